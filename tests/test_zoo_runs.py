"""Runs of a zoo in several processes: some are killed, some meet, and each shard is trained once all the same."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from actlib import grids, populations, shards, zoo, zoo_runs
from actlib.data import Images

TESTS = Path(__file__).parent
PACKAGE = Path(zoo.__file__).parents[1]

# Every process of the run begins with these lines, those of a pool too: each training is slow and leaves a line.
SCRIPT = """
import os, sys, time
from pathlib import Path
import torch
from actlib import grids, populations, zoo

fit = populations.fit

def slow(settings, *arguments, **options):
    with open(os.environ["ZOO_LOG"], "a") as log:
        log.write(" ".join(str(setting.seed) for setting in settings) + "\\n")
    time.sleep(float(os.environ["ZOO_SLOW"]))
    return fit(settings, *arguments, **options)

populations.fit = slow

def settings():
    return [grids.Setting("adam", 0.005, 0.0, 1, n, "default", 16) for n in range(12)]

def data():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (32, 1, 16, 16), dtype=torch.uint8, generator=generator), torch.arange(32) % 10

if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    found = zoo.fit(settings(), *data(), sys.argv[1], n_workers=int(sys.argv[2]), shard_size=2, progress=False)
    print(len(found), flush=True)
"""
SETTINGS = [grids.Setting("adam", 0.005, 0.0, 1, n, "default", 16) for n in range(12)]


def data():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (32, 1, 16, 16), dtype=torch.uint8, generator=generator), torch.arange(32) % 10


@pytest.fixture
def start(tmp_path):
    """Return a function that starts the script in a process of its own; all are ended at the end."""
    (tmp_path / "script.py").write_text(SCRIPT)
    processes = []

    def run(folder, *, n_workers, slow):
        path = os.pathsep.join([str(tmp_path), str(PACKAGE)])
        more = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "ZOO_LOG": str(tmp_path / "log"), "ZOO_SLOW": str(slow)}
        command = [sys.executable, str(tmp_path / "script.py"), str(folder), str(n_workers)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        processes.append(subprocess.Popen(command, env=os.environ | more, **pipes))
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def go(process):
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()


def wait_for(condition, seconds=60):
    """Wait until ``condition()`` is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def stamps(folder):
    """Return inode and time of each shard: they change when it is written again."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("shard-*")}


def trainings(tmp_path):
    """Return how often the training of each network began."""
    return Counter(int(seed) for seed in (tmp_path / "log").read_text().split())


def test_a_killed_run_goes_on_where_it_was(tmp_path, start):
    folder = tmp_path / "zoo"
    killed = start(folder, n_workers=2, slow=0.4)
    go(killed)
    wait_for(lambda: len(stamps(folder)) >= 2)
    killed.kill()
    killed.communicate(timeout=20)  # ends when the pool's processes have ended too
    before, began = stamps(folder), trainings(tmp_path)
    assert 2 <= len(before) < 6
    with pytest.raises(ValueError, match=rf"has {len(before)} of 6 shards"):
        zoo.open(folder)

    # The log tells of this process's trainings from here on.
    fit, here = populations.fit, Counter()
    populations.fit = lambda settings, *a, **k: here.update(s.seed for s in settings) or fit(settings, *a, **k)
    try:
        found = zoo.fit(SETTINGS, *data(), folder, n_workers=1, progress=False)
    finally:
        populations.fit = fit
    members = shards.read(folder).members
    finished = {n for number, own in enumerate(members) if shards.path(folder, number).name in before for n in own}
    assert here == Counter(set(range(12)) - finished)
    assert all(began[n] == 1 for n in finished)
    assert stamps(folder).items() >= before.items()
    assert_close(found.state(), populations.fit(SETTINGS, *data()), rtol=0, atol=0)
    assert not list(folder.glob(".shard*"))
    assert not (folder / "data.safetensors").exists()


def test_two_processes_in_one_folder_train_each_shard_once(tmp_path, start):
    folder = tmp_path / "zoo"
    both = [start(folder, n_workers=1, slow=0.1) for _ in range(2)]
    for process in both:
        go(process)
    assert [process.communicate(timeout=60)[0] for process in both] == ["12\n", "12\n"]
    assert trainings(tmp_path) == Counter(range(12))


def test_a_shard_that_another_worker_finished_meanwhile_is_not_trained(tmp_path, monkeypatch):
    zoo.fit(SETTINGS, *data(), tmp_path, n_workers=1, shard_size=4, progress=False)
    monkeypatch.setattr(populations, "fit", lambda *_a, **_k: pytest.fail("it trained"))
    assert len(zoo_runs.make(tmp_path, 1)["accuracy"]) == 4


def test_one_thread_works_and_all_are_back_afterwards(tmp_path, monkeypatch):
    seen, fit = [], populations.fit
    monkeypatch.setattr(populations, "fit", lambda *a, **k: seen.append(torch.get_num_threads()) or fit(*a, **k))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        zoo.fit(SETTINGS[:2], *data(), tmp_path, n_workers=1, progress=False)
        assert (seen, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)


def test_the_test_images_are_not_those_of_an_older_run(tmp_path):
    images, labels = data()
    other = Images(images.flip(0), labels.flip(0), ())
    for name, test in (("a", None), ("b", other)):
        found = zoo.fit(SETTINGS[:2], images, labels, tmp_path / name, test=test, n_workers=1, progress=False)
        judged = other if test else Images(images, labels, ())
        expected = populations.accuracies(found.state(), judged.images, judged.labels)
        assert_close(found.accuracies, expected, rtol=0, atol=0)


def test_data_of_another_run_are_not_taken(tmp_path):
    configuration = zoo_runs.configuration(*data(), None, backend="loop", n_classes=10)
    planned, other = (zoo_runs.plan(tmp_path, SETTINGS, configuration, size) for size in (2, 3))
    shards.begin(tmp_path, planned)
    zoo_runs.hand_over(tmp_path, other, 1, *data(), None)
    with pytest.raises(ValueError, match=r"data.safetensors belongs to another run"):
        zoo_runs.make(tmp_path, 0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::UserWarning")
def test_a_cluster_that_loses_a_worker_makes_the_same_zoo(tmp_path):
    distributed = pytest.importorskip("distributed", reason="needs the extra [cluster]")
    dask = pytest.importorskip("dask")
    settings = [setting._replace(epochs=12) for setting in SETTINGS]
    quiet = {"distributed.scheduler.allowed-failures": 0, "distributed.worker.daemon": True}
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": 60}
    with (
        dask.config.set(quiet),
        distributed.LocalCluster(**options) as cluster,
        distributed.Client(cluster) as client,
    ):
        pids = client.run(os.getpid)
        assert len(pids) == 2
        seen = {}

        def kill():
            wait_for(lambda: len(stamps(tmp_path / "zoo")) >= 1)
            seen.update(stamps(tmp_path / "zoo"))
            os.kill(next(iter(pids.values())), signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        found = zoo.fit(
            settings, *data(), tmp_path / "zoo", executor=client.get_executor(), shard_size=1, progress=False
        )
        killer.join()
        after = client.run(os.getpid)
    assert len(seen) < 12
    assert set(after.values()) != set(pids.values())
    assert stamps(tmp_path / "zoo").items() >= seen.items()
    assert_close(found.state(), populations.fit(settings, *data()), rtol=0, atol=0)
