"""No connection leaves this machine: whoever asks for one gets an error that says so.

The tests load it, and every Python process that they start finds it on its path and loads it by this name. An audit
hook sees each call before it is made, also those of libraries and of asyncio, and no test can take it away again.

One gap is left: Python reports no ``send`` on a connected socket, so what a datagram socket sends to an address in
``_ASKED_BY_DASK`` is not seen.
"""

import ipaddress
import socket
import sys

# dask connects a datagram socket to these to learn the own address; that sends nothing. See distributed.utils.get_ip.
_ASKED_BY_DASK = {("8.8.8.8", 80), ("2001:4860:4860::8888", 80)}
_CONNECT, _SEND = "socket.connect", ("socket.sendto", "socket.sendmsg")
_LOOK_UP = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyname_ex", "socket.gethostbyaddr")


class NetworkRefused(RuntimeError):
    """A test asked for a connection to another machine."""


def local(host):
    """Return whether a name or an address is this machine's own."""
    host = host.decode() if isinstance(host, bytes) else host
    if host in (None, "", "localhost", socket.gethostname()):
        return True
    try:
        return (address := ipaddress.ip_address(host.split("%")[0])).is_loopback or address.is_unspecified
    except ValueError:
        return False


def refuse(event, arguments):
    """Raise NetworkRefused for a call that would reach another machine or ask for its address."""
    if not event.startswith("socket."):
        return
    if event in _LOOK_UP:
        host = arguments[0]
    elif event == _CONNECT or event in _SEND:
        connection, address = arguments
        if not isinstance(address, tuple):  # a Unix socket's path, or no address: it was connected before
            return
        if event == _CONNECT and connection.type == socket.SOCK_DGRAM and address[:2] in _ASKED_BY_DASK:
            return
        host = address[0]
    else:
        return
    if not local(host):
        raise NetworkRefused(f"{event} {host!r}: no test reaches the network; use a file or a server on 127.0.0.1")


sys.addaudithook(refuse)
