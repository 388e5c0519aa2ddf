"""Files: atomic writes, content hashes, manifests, locks and a check for free space.

Everything in the package that writes a file goes through this module, so that a killed run, a full disk or a
second process never leaves a half-written file behind.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import filelock
import numpy as np

_BLOCK = 1 << 20
# Letters that tell the temporary files of one path apart.
_TAG = 12
# Room left free on the disk, on top of what a file needs: 64 MiB.
_RESERVE = 64 << 20


def data_root(root: str | Path | None = None) -> Path:
    """Return the folder that holds data sets: the argument, else ``$ACTLIB_DATA``, else the user's cache."""
    return Path(root or os.environ.get("ACTLIB_DATA") or Path.home() / ".cache" / "actlib" / "data").expanduser()


def cache_root(root: str | Path | None = None) -> Path:
    """Return the folder for what can be computed again: the argument, ``$ACTLIB_CACHE``, or the user's cache."""
    return Path(root or os.environ.get("ACTLIB_CACHE") or Path.home() / ".cache" / "actlib").expanduser()


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; what was written there replaces ``path`` when the block succeeds.

    The replacement is one rename on one file system, so a reader sees the old file or the new one, never a part.
    When the block raises, the temporary file is removed and ``path`` is as before.

    Raises
    ------
    OSError
        If the folder cannot be made or written to, or the disk is full.

    Examples
    --------
    >>> with atomic("values.txt") as temporary:
    ...     temporary.write_text("1 2 3")
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last, because numpy and matplotlib choose or append the format by it.
    temporary = path.with_name(f".{path.stem}.{uuid4().hex[:_TAG]}{path.suffix}")
    try:
        yield temporary
        with open(temporary, "r+b") as file:  # Windows syncs only what may be written
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: str | Path, pattern: str) -> None:
    """Remove what killed blocks of ``atomic`` left in ``folder`` of the files whose names fit ``pattern``: ``*.npy``.

    Only who holds the lock of these files may call it: what another process is writing goes too.
    """
    name = Path(pattern)
    for leftover in Path(folder).glob(f".{name.stem}.{'?' * _TAG}{name.suffix}"):
        leftover.unlink(missing_ok=True)


def begin_array(file: Any, shape: tuple[int, ...], dtype: str | type | np.dtype) -> None:
    """Write the head of a ``.npy`` file, open for bytes, behind which the values are written in parts, in C order.

    That is in place of a memory map: on a full disk a write is an error, a mapped page a killed process.
    """
    head = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, head)


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Write ``content`` to ``path`` atomically and return the path."""
    require_space(path, len(content))
    with atomic(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def write_json(path: str | Path, content: Any) -> Path:
    """Write ``content`` as JSON, indented and with a final newline, atomically.

    Raises
    ------
    ValueError
        If ``content`` holds a NaN or an infinity, which JSON cannot say.
    """
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return write_bytes(path, text.encode())


def read_json(path: str | Path) -> Any:
    """Return the content of a JSON file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged; the message names it.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not readable JSON: {error}") from error


def hash_bytes(*parts: bytes | str) -> str:
    """Return the SHA-256 of ``parts`` in hexadecimal; each part counts with its length, so borders matter."""
    digest = hashlib.sha256()
    for part in parts:
        part = part.encode() if isinstance(part, str) else part
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def hash_file(path: str | Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def hash_json(content: Any) -> str:
    """Return the SHA-256 of ``content`` written as JSON with sorted keys: the key of a configuration."""
    return hash_bytes(json.dumps(content, sort_keys=True, default=str))


@contextmanager
def lock(path: str | Path, timeout: float | int = -1) -> Iterator[None]:
    """Hold the lock that belongs to ``path``; another process that asks for it waits.

    The lock is the operating system's, on a file ``path.lock``: it is free again when its holder dies.

    Parameters
    ----------
    path
        The file or folder to protect; it need not exist.
    timeout
        Seconds to wait; -1 waits without end.

    Raises
    ------
    TimeoutError
        If the lock was not free within ``timeout`` seconds.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    holder = filelock.FileLock(path.with_name(path.name + ".lock"))
    try:
        holder.acquire(timeout=timeout)
    except filelock.Timeout as error:
        raise TimeoutError(f"{path} is in use by another process (waited {timeout:g} s)") from error
    try:
        yield
    finally:
        holder.release()


def require_space(path: str | Path, n_bytes: int) -> None:
    """Check that ``n_bytes`` fit on the disk of ``path`` and leave 64 MiB free.

    Raises
    ------
    OSError
        If they do not; the message says how much is needed and how much is there.
    """
    folder = Path(path).absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < n_bytes + _RESERVE:
        raise OSError(
            f"{path} needs {n_bytes / 2**20:,.0f} MiB and 64 MiB to spare, but {folder} has {free / 2**20:,.0f} MiB "
            "free; make room, or set ACTLIB_CACHE to another disk"
        )


def write_manifest(folder: str | Path, about: dict[str, Any]) -> Path:
    """Write ``manifest.json`` into ``folder``: ``about`` and, for every other file there, its size and SHA-256."""
    folder = Path(folder)
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": hash_file(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json" and path.suffix != ".lock"
    }
    return write_json(folder / "manifest.json", {"about": about, "files": files})


def read_manifest(folder: str | Path, *, deep: bool = False) -> dict[str, Any]:
    """Return what ``write_manifest`` stored as ``about`` after checking that every file is there and whole.

    Parameters
    ----------
    folder
        The folder that holds ``manifest.json``.
    deep
        Compare each file's hash as well as its size; reads every byte.

    Raises
    ------
    FileNotFoundError
        If there is no manifest.
    ValueError
        If a file is missing or has changed; the message names it.
    """
    folder = Path(folder)
    manifest = read_json(folder / "manifest.json")
    for name, entry in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise ValueError(
                f"{path} is missing though {folder / 'manifest.json'} lists it; delete {folder}, it will be made again"
            )
        if path.stat().st_size != entry["bytes"] or (deep and hash_file(path) != entry["sha256"]):
            raise ValueError(
                f"{path} is damaged: its content is not the one in the manifest; delete {folder}, it will be made again"
            )
    return manifest["about"]
