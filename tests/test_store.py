"""Files survive kills, full disks and second processes."""

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple

import numpy as np
import pytest

from actlib import store


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = store.write_bytes(tmp_path / "a.bin", b"old")
    with pytest.raises(RuntimeError, match="in mid-write"), store.atomic(path) as temporary:  # noqa: PT012
        temporary.write_bytes(b"half")
        raise RuntimeError("in mid-write")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_write_leaves_the_old_file(tmp_path):
    path = store.write_bytes(tmp_path / "a.bin", b"old")
    code = f"""
from actlib import store
import time
with store.atomic({str(path)!r}) as temporary:
    temporary.write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"writing\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert path.read_bytes() == b"old"
    left = set(tmp_path.iterdir()) - {path}
    assert len(left) == 1
    store.remove_leftovers(tmp_path, "b.bin")
    assert left < set(tmp_path.iterdir())
    store.remove_leftovers(tmp_path, path.name)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("dtype", ["float32", np.uint64, np.dtype("int16")])
def test_an_array_written_in_parts_is_the_one_that_numpy_writes(tmp_path, dtype):
    array = np.arange(24).reshape(4, 3, 2).astype(dtype)
    with open(tmp_path / "parts.npy", "wb") as file:
        store.begin_array(file, array.shape, dtype)
        for part in (array[:1], array[1:]):
            file.write(part.tobytes())
    np.save(tmp_path / "whole.npy", array)
    assert (tmp_path / "parts.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_atomic_keeps_the_suffix_that_writers_look_at(tmp_path):
    with store.atomic(tmp_path / "a.npy") as temporary:
        np.save(temporary, np.arange(3))
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), [0, 1, 2])


def test_hash_of_a_file_is_sha256_of_its_bytes(tmp_path):
    content = os.urandom(3_000_000)
    (tmp_path / "a").write_bytes(content)
    assert store.hash_file(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_borders_between_hashed_parts_count():
    assert store.hash_bytes("ab", "c") != store.hash_bytes("a", "bc")
    assert store.hash_bytes("ab") == store.hash_bytes(b"ab")


def test_hash_of_a_configuration_ignores_the_order_of_its_keys():
    assert store.hash_json({"a": 1, "b": 2}) == store.hash_json({"b": 2, "a": 1})
    assert store.hash_json({"a": 1}) != store.hash_json({"a": 2})


def test_json_comes_back_and_a_nan_is_refused(tmp_path):
    path = store.write_json(tmp_path / "a.json", {"x": [1, 0.5, "ü"]})
    assert store.read_json(path) == {"x": [1, 0.5, "ü"]}
    with pytest.raises(ValueError, match="Out of range"):
        store.write_json(path, {"x": float("nan")})
    assert store.read_json(path) == {"x": [1, 0.5, "ü"]}


def test_damaged_json_names_its_path(tmp_path):
    (tmp_path / "a.json").write_text('{"x": ')
    with pytest.raises(ValueError, match=r"a\.json is not readable JSON"):
        store.read_json(tmp_path / "a.json")


def _hold(path, seconds, order):
    with store.lock(path):
        order.put(time.monotonic())
        time.sleep(seconds)
        order.put(time.monotonic())


def test_a_second_process_waits_for_the_lock(tmp_path):
    context = multiprocessing.get_context("spawn")
    order = context.Queue()
    both = [context.Process(target=_hold, args=(tmp_path / "x", 0.3, order)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(300)
    times = [order.get(timeout=60) for _ in range(4)]
    # enter, leave, enter, leave: the second came in after the first had left
    assert times == sorted(times)
    assert times[2] >= times[1]


def test_a_lock_in_use_is_an_error_when_waiting_ends(tmp_path):
    with store.lock(tmp_path / "x"), pytest.raises(TimeoutError, match="in use by another process"):  # noqa: SIM117
        with store.lock(tmp_path / "x", timeout=0.05):
            pass


def test_a_full_disk_is_said_before_writing(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 1 << 20))
    with pytest.raises(OSError, match=r"needs 5 MiB .* has 1 MiB free; make room"):
        store.write_bytes(tmp_path / "new" / "a.bin", bytes(5 << 20))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("n_bytes", "fits"), [(36 << 20, True), ((36 << 20) + 1, False), (0, True)])
def test_64_mib_stay_free_on_the_disk_of_the_nearest_folder_that_is_there(tmp_path, monkeypatch, n_bytes, fits):
    usage, asked = namedtuple("usage", "total used free"), []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: asked.append(path) or usage(0, 0, 100 << 20))
    path = tmp_path / "new" / "deep" / "a.bin"
    if fits:
        assert store.require_space(path, n_bytes) is None
    else:
        with pytest.raises(OSError, match="make room") as caught:
            store.require_space(path, n_bytes)
        assert str(caught.value) == (
            f"{path} needs 36 MiB and 64 MiB to spare, but {tmp_path} has 100 MiB free; make room, or set "
            "ACTLIB_CACHE to another disk"
        )
    assert asked == [tmp_path]


def test_a_manifest_finds_what_is_missing_or_changed(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text("same size")
    store.write_manifest(tmp_path, {"n": 2})
    assert store.read_manifest(tmp_path, deep=True) == {"n": 2}
    (tmp_path / "a").write_text("SAME SIZE")
    assert store.read_manifest(tmp_path) == {"n": 2}
    with pytest.raises(ValueError, match="a is damaged"):
        store.read_manifest(tmp_path, deep=True)
    (tmp_path / "b").unlink()
    with pytest.raises(ValueError, match="b is missing"):
        store.read_manifest(tmp_path)


def test_roots_are_the_argument_then_the_variable_then_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("ACTLIB_DATA", "/somewhere")
    assert store.data_root(tmp_path) == tmp_path
    assert str(store.data_root()) == "/somewhere"
    monkeypatch.delenv("ACTLIB_DATA")
    assert store.data_root().parts[-3:] == (".cache", "actlib", "data")
    monkeypatch.setenv("ACTLIB_CACHE", str(tmp_path))
    assert store.cache_root() == tmp_path


def test_manifest_is_plain_json(tmp_path):
    (tmp_path / "a").write_bytes(b"123")
    path = store.write_manifest(tmp_path, {})
    assert json.loads(path.read_text())["files"]["a"]["bytes"] == 3
