"""Whatever writes files survives a kill in mid-write, a full disk, a read-only folder, damage, and another at work.

Afterwards nothing half-written stands under a final name, the next run does its work, and no rest of the fault is left
in its way. The faults are real: a process that is killed, a limit of the system on the size of files, a file system
mounted read-only or full. Where a system has no such thing, the test skips and says so.
"""

import errno
import os
import shutil
import signal
import subprocess
import traceback
import warnings

import pytest
import torch
from writers import JOBS, Book, files, make, whole

from actlib import store

resource = pytest.importorskip("resource", reason="the limit on files is one of Unix")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="faults are made in a copy of this process")
# They hold no lock, so the next call must not take away what may be another's: who holds one clears up.
UNLOCKED = {"write_json", "save"}
# A second call writes once more; that of any other job finds its result, and writes only what is damaged.
REPLACES = {"write_json", "save", "collect", "write_pairs", "record"}
# The driver writes these; a second build is refused by the lock of the first.
ONE_AT_A_TIME = {"record", "stage"}


class Started:
    """Some work in a copy of this process."""

    def __init__(self, work):
        self._read, write = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads: the copy has one, and starts no other
            self._pid = os.fork()
        if not self._pid:
            code = 1
            try:
                torch.set_num_threads(1)
                warnings.simplefilter("ignore")
                work()
                code = 0
            except BaseException:
                os.write(write, traceback.format_exc().encode()[-20_000:])
            finally:
                os._exit(code)
        os.close(write)

    def end(self):
        """Return how it ended: 0, the signal's number below 0, or 1 with its error."""
        with open(self._read, "rb") as pipe:
            said = pipe.read().decode(errors="replace")
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1]), said


def kill_at(name, count, *, after=False):
    """Kill this process at the so many-th call of a function of ``os``, before it does its work or after."""
    plain, calls = getattr(os, name), []

    def call(*args, **kwargs):
        calls.append(1)
        if len(calls) == count and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = plain(*args, **kwargs)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(os, name, call)


def goes_on(job, folder, rests=()):
    """Check that the next run works and leaves no rest of what came before."""
    whole(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        JOBS[job](folder)
    whole(folder)
    assert files(folder)[0], "a job leaves files"
    if job not in UNLOCKED:
        assert files(folder)[1] == [], "what the fault left is removed"


# Before the content is on the disk, before the last file has its name, and just after the first one has.
POINTS = [
    pytest.param(("fsync", 1, False), id="unsynced", marks=pytest.mark.long),
    pytest.param(("replace", 1, False), id="unnamed"),
    pytest.param(("replace", 2, False), id="second"),
    pytest.param(("replace", 1, True), id="named", marks=pytest.mark.long),
]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("job", JOBS)
def test_a_kill_in_mid_write_leaves_nothing_half_written(job, point, tmp_path):
    name, count, after = point

    def work():
        kill_at(name, count, after=after)
        JOBS[job](tmp_path)

    code, said = Started(work).end()
    # A job that writes one file only ends before its second.
    assert code in ((-signal.SIGKILL, 0) if count == 2 else (-signal.SIGKILL,)), said
    goes_on(job, tmp_path)


def killed_at_the_first_replacement(job, folder):
    """Check that a second call of a job is killed just before it gives a file its name."""

    def work():
        kill_at("replace", 1)
        JOBS[job](folder)

    code, said = Started(work).end()
    assert code == -signal.SIGKILL, said or "nothing was replaced"


def names(folder):
    return {path.relative_to(folder) for path in files(folder)[0]}


@pytest.mark.long
@pytest.mark.parametrize("job", sorted(REPLACES))
def test_a_kill_while_an_older_result_is_replaced_leaves_the_old_one_or_the_new(job, tmp_path):
    JOBS[job](tmp_path)
    before = names(tmp_path)
    killed_at_the_first_replacement(job, tmp_path)
    goes_on(job, tmp_path)
    assert names(tmp_path) == before


@pytest.mark.long
@pytest.mark.parametrize("job", [job for job in JOBS if job not in REPLACES])
def test_a_kill_while_a_damaged_result_is_mended_leaves_no_more_damage(job, tmp_path):
    JOBS[job](tmp_path)
    before = names(tmp_path)
    for path in files(tmp_path)[0]:
        if "photos" not in path.parts:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    killed_at_the_first_replacement(job, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        JOBS[job](tmp_path)
    goes_on(job, tmp_path)
    assert names(tmp_path) == before


@pytest.mark.parametrize("job", JOBS)
def test_a_file_that_the_system_cuts_off_is_an_error_and_leaves_no_part(job, tmp_path):
    JOBS[job](prepared := tmp_path / "photos") if job == "decode" else None
    folder = tmp_path / "work"
    folder.mkdir()
    if job == "decode":
        (prepared / "photos").rename(folder / "photos")

    def work():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
        JOBS[job](folder)

    code, said = Started(work).end()
    assert code == 1
    assert "File too large" in said or "os error 27" in said, said[-2000:]
    assert files(folder)[1] == []
    goes_on(job, folder)


def mounted(folder, *options):
    """Mount a file system on a folder; skip where this process may not, or the system has no such program."""
    if not (shutil.which("mount") and shutil.which("umount")):
        pytest.skip("this system has no programs mount and umount")
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting takes rights that this process has not: {done.stderr.strip()}")


@pytest.fixture
def place(tmp_path):
    """A folder to mount something on, that is free again afterwards."""
    yield tmp_path / "mounted"
    if os.path.ismount(tmp_path / "mounted"):
        subprocess.run(["umount", str(tmp_path / "mounted")], capture_output=True, check=True)


@pytest.mark.parametrize("job", JOBS)
def test_a_full_disk_is_an_error_and_leaves_no_part(job, place, monkeypatch):
    mounted(place, "-t", "tmpfs", "-o", "size=64k", "tmpfs")
    monkeypatch.setattr(store, "require_space", lambda path, n_bytes: None)  # as if the disk filled up later
    if job == "decode":
        JOBS[job](place)
        for path in files(place)[0]:
            if "images" in path.parts:
                path.unlink()
    free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
    (place / "ballast").write_bytes(bytes(max(0, free - 4096)))
    with pytest.raises(Exception) as caught:  # noqa: PT011
        JOBS[job](place)
    assert getattr(caught.value, "errno", None) == errno.ENOSPC or "No space left" in str(caught.value)
    assert files(place)[1] == []
    (place / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,size=8m", str(place)], check=True)
    goes_on(job, place)


@pytest.mark.long
@pytest.mark.parametrize("job", JOBS)
def test_a_disk_without_room_is_told_with_what_is_needed_and_what_to_do(job, place):
    mounted(place, "-t", "tmpfs", "-o", "size=1m", "tmpfs")
    with pytest.raises(OSError, match=r"MiB to spare, but .* MiB free; make room, or set ACTLIB_CACHE"):
        JOBS[job](place)
    assert files(place)[1] == []


@pytest.mark.parametrize("job", JOBS)
def test_a_read_only_folder_is_an_error_that_names_it(job, place, monkeypatch):
    monkeypatch.setattr(store, "require_space", lambda path, n_bytes: None)  # the mounted one is small
    mounted(place, "-t", "tmpfs", "-o", "size=8m", "tmpfs")
    if job in ("decode", "record"):
        JOBS[job](place)
        for path in files(place)[0]:
            if {"images", "results"} & set(path.parts):
                path.unlink()
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    with pytest.raises(OSError, match="Read-only") as caught:
        JOBS[job](place)
    assert caught.value.errno == errno.EROFS
    assert str(place) in str(caught.value)


LONG = [pytest.param(kind, marks=pytest.mark.long) for kind in ("empty", "noise")]


@pytest.mark.parametrize("damage", ["half", *LONG])
@pytest.mark.parametrize("job", ["fit", "judge", "grow_zoo", "decode", "oscillate"])
def test_damage_in_a_cache_is_told_by_name_and_mended(job, damage, tmp_path):
    JOBS[job](tmp_path)
    kept = [path for path in files(tmp_path)[0] if "photos" not in path.parts]
    for path in kept:
        content = path.read_bytes()
        changed = {"half": content[: len(content) // 2], "empty": b"", "noise": bytes(len(content))}[damage]
        path.write_bytes(changed)
        with pytest.warns(UserWarning, match="damaged|of no use|again") as said:
            JOBS[job](tmp_path)
        assert any(path.name in str(w.message) or path.parent.name in str(w.message) for w in said)
        whole(tmp_path)


@pytest.mark.parametrize("job", [job for job in JOBS if job not in ONE_AT_A_TIME])
def test_two_processes_at_once_both_do_their_work(job, tmp_path):
    JOBS[job](tmp_path) if job == "decode" else None
    ready, go = os.pipe()

    def work():
        os.read(ready, 1)
        JOBS[job](tmp_path)

    started = [Started(work), Started(work)]
    os.write(go, b"xx")
    for other in started:
        code, said = other.end()
        assert code == 0, said
    os.close(ready)
    os.close(go)
    whole(tmp_path)
    assert files(tmp_path)[1] == []


def test_a_second_build_is_refused_while_the_first_one_runs(tmp_path):
    book, said = Book(tmp_path), tmp_path / "said"

    def work():
        said.write_text("; ".join(str(failure) for failure in make.book(book, None)))

    with store.lock(book.build / "build"):
        assert Started(work).end()[0] == 0
    assert "another build is running" in said.read_text()
