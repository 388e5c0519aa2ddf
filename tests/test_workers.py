"""Workers: every job comes back once with its own result, whichever workers are lost on the way."""

import functools
import os
import subprocess
import sys
import threading
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from pathlib import Path

import jobs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actlib import workers


class Losing(Executor):
    """An executor that works at once, loses the calls whose turn is in ``turns``, and remembers equal calls as dask."""

    def __init__(self, turns=(), refused=()):
        self.turns, self.refused, self.n_calls, self.known, self.down = set(turns), set(refused), 0, {}, False

    def submit(self, fn, /, *args):
        self.n_calls += 1
        if self.n_calls in self.refused:
            raise BrokenExecutor("no more")
        if args not in self.known:
            self.known[args] = Future()
            if self.n_calls in self.turns:
                self.known[args].set_exception(BrokenExecutor(f"call {self.n_calls} is lost"))
            else:
                self.known[args].set_result(fn(*args))
        return self.known[args]

    def shutdown(self, wait=True, *, cancel_futures=False):
        self.down = True


def square(job):
    return job**2


def test_one_worker_or_one_job_is_this_process():
    here = os.getpid()
    assert list(workers.run(lambda job: os.getpid() + job, [3, 1, 2], n_workers=1)) == [
        (3, here + 3), (1, here + 1), (2, here + 2)
    ]  # fmt: skip
    assert list(workers.run(lambda job: os.getpid(), [7, 7])) == [(7, here)]


def test_a_pool_works_elsewhere_and_survives_the_loss_of_a_process(tmp_path):
    found = dict(workers.run(functools.partial(jobs.fragile, str(tmp_path)), range(4), n_workers=2))
    assert found == {job: 2 * job for job in range(4)}
    marks = [path.name.split("-") for path in tmp_path.iterdir()]
    assert str(os.getpid()) not in {pid for _, pid in marks}
    assert [job for job, _ in marks].count("1") == 2


@given(st.integers(1, 6), st.sets(st.integers(1, 12)), st.sets(st.integers(1, 12), max_size=2))
def test_every_job_comes_back_once_whatever_is_lost(n_jobs, turns, refused):
    place = Losing(turns, refused)
    found, end = [], None
    try:
        found.extend(workers.run(square, range(n_jobs), executor=place))
    except RuntimeError as error:
        end = error
    if end is None:
        assert sorted(found) == [(job, job**2) for job in range(n_jobs)]
    else:
        assert isinstance(end.__cause__, BrokenExecutor)
        assert len(turns | refused) >= 3
    assert not place.down


def test_three_rounds_without_any_job_done_are_the_end():
    place = Losing(turns=range(1, 100))
    with pytest.raises(RuntimeError, match=r"3 times in a row the workers of all 2 jobs were lost .*call [56] is lost"):
        list(workers.run(square, [5, 6], executor=place))
    assert place.n_calls == 6


def test_a_job_that_is_done_gives_the_others_three_more_rounds():
    # Rounds of 2 jobs: all lost, all lost, the first done, then the second is lost twice and done.
    place = Losing(turns=[1, 2, 3, 4, 6, 7, 8])
    assert dict(workers.run(square, [5, 6], executor=place)) == {5: 25, 6: 36}


def fails(job):
    if job == 1:
        raise OSError("disk full")
    return job


def test_a_jobs_own_exception_is_no_loss_and_ends_the_run():
    place = Losing()
    with pytest.raises(OSError, match="disk full"):
        list(workers.run(fails, range(5), executor=place))
    assert place.n_calls == 5  # none was submitted again
    with pytest.raises(OSError, match="disk full"):
        list(workers.run(fails, range(5), n_workers=1))


def test_after_a_failure_jobs_not_yet_begun_are_cancelled():
    begun = []

    def job(number):
        begun.append(number)
        if number == 0:
            raise ValueError("wrong")
        release.wait(5)

    release = threading.Event()
    with ThreadPoolExecutor(1) as place:
        place.submit(int).result()
        with pytest.raises(ValueError, match="wrong"):
            list(workers.run(job, range(50), executor=place))
        release.set()
    assert len(begun) <= 2


def test_a_borrowed_executor_is_left_open():
    with ThreadPoolExecutor(2) as place:
        assert dict(workers.run(square, [2, 3], executor=place)) == {2: 4, 3: 9}
        assert place.submit(int).result() == 0


def test_no_jobs_are_no_work():
    assert list(workers.run(square, [])) == []
    assert list(workers.run(square, [], executor=Losing())) == []


@pytest.mark.parametrize(("n_workers", "executor"), [(0, None), (-1, None), (2, Losing())])
def test_impossible_numbers_of_workers_are_refused(n_workers, executor):
    with pytest.raises(ValueError, match=r"n_workers = -?\d; give at least 1, and none together with an executor"):
        workers.run(square, [1], executor=executor, n_workers=n_workers)


def test_the_count_is_what_this_process_may_use():
    assert 1 <= workers.count() <= os.cpu_count()


def test_one_thread_is_for_a_while_and_after_an_exception_it_is_as_before():
    before = torch.get_num_threads()
    try:
        for n_threads in (3, 1):
            torch.set_num_threads(n_threads)
            with workers.one_thread():
                assert torch.get_num_threads() == 1
            assert torch.get_num_threads() == n_threads
            with pytest.raises(KeyError), workers.one_thread():
                raise KeyError
            assert torch.get_num_threads() == n_threads
    finally:
        torch.set_num_threads(before)


def test_a_script_without_its_guard_is_told(monkeypatch):
    workers.refuse_a_second_main()
    monkeypatch.setattr(workers.multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(RuntimeError, match=r'begin its work under if __name__ == "__main__":'):
        workers.refuse_a_second_main()


SCRIPT = """
import jobs
from actlib import workers
if __name__ == "__main__":
    list(workers.run(jobs.sleep, range(2), n_workers=2))
"""


def test_the_processes_of_a_pool_end_with_a_killed_parent(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    path = os.pathsep.join([str(Path(jobs.__file__).parent), str(Path(workers.__file__).parents[1])])
    process = subprocess.Popen(
        [sys.executable, str(script)], env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, text=True
    )
    assert [process.stdout.readline() for _ in range(2)] == ["begun\n"] * 2
    process.kill()
    # The output ends when the last process that holds it does.
    assert process.communicate(timeout=20)[0] == ""
