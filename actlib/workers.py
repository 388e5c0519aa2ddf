"""Jobs for other processes, here or on a cluster, some of which may be lost on the way.

Any ``concurrent.futures.Executor`` will do: a pool of processes, or ``distributed.Client(...).get_executor()`` for a
cluster. An executor tells a job that failed from a worker that was lost by nothing but the exception's type, and each
has types of its own. Here a job's own exception travels back as a value, so any other one means a lost worker.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import torch

# So many rounds in a row may lose every one of their jobs before we give up.
_BARREN_ROUNDS = 3


def count() -> int:
    """Return how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread, so that sums do not depend on the machine, and as many as before afterwards."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def refuse_a_second_main() -> None:
    """Raise RuntimeError in a fresh process that, on its way up, runs a script's work once more: it lacks its guard.

    Where this comes before a lock, such a process does not wait for its own parent.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # set while the main script is imported
        raise RuntimeError('a pool imports the script in each process: begin its work under if __name__ == "__main__":')


def run(
    function: Callable[[Any], Any],
    jobs: Iterable[Any],
    *,
    executor: Executor | None = None,
    n_workers: int | None = None,
) -> Iterator[tuple[Any, Any]]:
    """Yield (job, ``function(job)``) for each job as it is done; one whose worker was lost is submitted again.

    Parameters
    ----------
    function
        Of one argument. For other processes: a function of a module, or a ``functools.partial`` of one.
    jobs
        Different from each other, hashable, and few bytes each: data go through files.
    executor
        Where to work; None makes a pool of fresh processes. They end when this one does, killed or not. In a script
        such a pool needs the guard ``if __name__ == "__main__":``.
    n_workers
        Processes of the pool, by default as many as CPUs. One, or only one job, means this very process. Not together
        with ``executor``.

    Raises
    ------
    ValueError
        If ``n_workers`` is below 1 or comes together with an executor.
    RuntimeError
        If three rounds in a row lost the workers of all their jobs; its cause is the executor's last exception.
    Exception
        Whatever ``function`` raises: at once, jobs not yet begun are cancelled.
    """
    if n_workers is not None and (n_workers < 1 or executor is not None):
        raise ValueError(f"n_workers = {n_workers}; give at least 1, and none together with an executor of your own")
    jobs = list(dict.fromkeys(jobs))
    n_workers = min(n_workers or count(), len(jobs))
    if executor is None and n_workers <= 1:
        return _here(function, jobs)
    return _elsewhere(function, jobs, executor, n_workers)


def _here(function: Callable[[Any], Any], jobs: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Yield each job and its result, worked out in this process."""
    for job in jobs:
        yield job, function(job)


def _elsewhere(
    function: Callable[[Any], Any], jobs: list[Any], executor: Executor | None, n_workers: int
) -> Iterator[tuple[Any, Any]]:
    """Yield each job and its result, round by round until no job is left."""
    waiting, barren = dict.fromkeys(jobs), 0
    while waiting:
        before, lost = len(waiting), []
        # A pool that lost a process takes no more jobs: each round has a new one.
        with _pool(n_workers) if executor is None else _borrowed(executor) as place:
            for job, result in _round(place, function, list(waiting), lost):
                del waiting[job]
                yield job, result
        barren = barren + 1 if len(waiting) == before else 0
        if barren == _BARREN_ROUNDS:
            raise RuntimeError(
                f"{barren} times in a row the workers of all {len(waiting)} jobs were lost ({lost[-1]!r}): is there "
                "enough memory, can the workers import actlib, and does a script begin its work under "
                "if __name__ == '__main__'?"
            ) from lost[-1]


def _round(
    place: Executor, function: Callable[[Any], Any], jobs: list[Any], lost: list[Exception]
) -> Iterator[tuple[Any, Any]]:
    """Yield (job, result) of those jobs whose worker lived; put the others' exceptions into ``lost``."""
    futures = {}
    try:
        for job in jobs:
            # dask takes calls with equal arguments for one call and would hand back an old result.
            futures[place.submit(_carry, function, job, uuid4().hex)] = job
    except Exception as error:
        lost.append(error)  # broken before all were submitted
    try:
        for future in as_completed(futures):
            try:
                result, fault = future.result()
            except Exception as error:
                lost.append(error)
                continue
            if fault is not None:
                raise fault
            yield futures[future], result
    finally:
        for future in futures:
            future.cancel()


def _carry(function: Callable[[Any], Any], job: Any, token: str) -> tuple[Any, Exception | None]:
    """Return (result, None), or (None, the exception that ``function`` raised); ``token`` makes the call unique."""
    try:
        return function(job), None
    except Exception as error:
        return None, error


@contextmanager
def _pool(n_workers: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of fresh processes; at the end jobs not yet begun are dropped, others are finished."""
    # Spawned, not forked: the threads of numpy and torch do not survive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(n_workers, mp_context=context, initializer=_follow_parent)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _borrowed(executor: Executor) -> Iterator[Executor]:
    """Yield an executor that is not ours to shut down."""
    yield executor


def _follow_parent() -> None:
    """Make this process end when its parent does: an orphan would wait for jobs for ever."""
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
