"""No test reaches the network: the block holds in this process, in threads and in processes that tests start."""

import errno
import os
import socket
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

# Kept for documentation (RFC 5737 and 2606): no machine has them, so a test that reached out would wait in vain.
ADDRESS, NAME = "192.0.2.1", "example.invalid"
REFUSED = "no test reaches the network"


def connect():
    with socket.socket() as connection:
        connection.settimeout(0.2)
        connection.connect((ADDRESS, 80))


def try_to_connect():
    with socket.socket() as connection:
        connection.settimeout(0.2)
        connection.connect_ex((ADDRESS, 80))


def send():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.sendto(b"", (ADDRESS, 53))


def send_connected(port=53, host=ADDRESS):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.connect((host, port))
        connection.send(b"")


CALLS = {
    "connect": connect, "connect_ex": try_to_connect, "sendto": send, "send": send_connected,
    "send, port 80": lambda: send_connected(80), "send, a name server": lambda: send_connected(53, "8.8.8.8"),
    "getaddrinfo": lambda: socket.getaddrinfo(NAME, 80), "gethostbyname": lambda: socket.gethostbyname(NAME),
}  # fmt: skip


@pytest.mark.parametrize("reach", CALLS.values(), ids=CALLS)
def test_a_call_to_another_machine_is_an_error_that_says_so(reach):
    with pytest.raises(RuntimeError, match=REFUSED):
        reach()
    with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match=REFUSED):
        pool.submit(reach).result()


def test_dask_may_ask_for_the_own_address_and_that_is_the_one_gap():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        try:
            connection.connect(("8.8.8.8", 80))  # sends nothing; what would be sent by `send` now, no hook would see
        except OSError as error:
            assert error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EPERM)  # noqa: PT017
        with pytest.raises(RuntimeError, match=REFUSED):
            connection.sendto(b"", ("8.8.8.8", 80))
    with socket.socket() as connection, pytest.raises(RuntimeError, match=REFUSED):
        connection.connect(("8.8.8.8", 80))


def test_datagrams_stay_possible_on_this_machine():
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        one.bind(("127.0.0.1", 0))
        one.settimeout(5)
        two.connect(one.getsockname())
        two.send(b"x")
        assert one.recv(1) == b"x"


def test_what_libraries_ask_for_is_refused_too(monkeypatch, tmp_path):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RuntimeError, match=REFUSED):
        urllib.request.urlopen(f"http://{NAME}/", timeout=1)


def test_a_process_that_a_test_starts_cannot_either():
    code = f"import socket; socket.create_connection(({ADDRESS!r}, 80), timeout=0.2)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert REFUSED in done.stderr


def test_a_program_that_is_not_python_meets_a_proxy_at_which_nobody_listens():
    assert {os.environ[name] for name in ("http_proxy", "https_proxy", "ALL_PROXY")} == {"http://127.0.0.1:9"}
    with socket.socket() as connection:
        assert connection.connect_ex(("127.0.0.1", 9)) != 0


class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"here")

    def log_message(self, *args):
        pass


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_of_this_machine_is_reached(host):
    server = HTTPServer(("127.0.0.1", 0), Page)
    Thread(target=server.handle_request, daemon=True).start()
    try:
        with urllib.request.urlopen(f"http://{host}:{server.server_port}/", timeout=5) as answer:
            assert answer.read() == b"here"
    finally:
        server.server_close()


def test_sockets_of_files_and_pairs_work(tmp_path):
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "s"))
        server.listen()
        client.connect(str(tmp_path / "s"))
    one, other = socket.socketpair()
    with one, other:
        one.sendall(b"x")
        assert other.recv(1) == b"x"
