"""Timed jobs: ours beside its peers in one process. ``python -m benchmarks`` runs them all.

Each module of this folder has ``rows(device)``, and constants that the page of timings prints, made of nothing but
literals and other constants: ``ASKED``, what is to be reached, in words, by device where that matters or the job does
not run on all; ``KINDS``, which of its peers are none but a ``bound``, a ``target``, an ``estimate`` of few calls, or
``quoted``; ``MISSED``, why a row that begins so misses its target.
"""

import gc
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import torch

N_ROUNDS = 30
_N_WARM = 3


class Row(NamedTuple):
    """One line of the table.

    Attributes
    ----------
    job
        What is timed.
    ours
        Median seconds of one call.
    peers
        The same for each peer, by its name; None if it was not run.
    ratio
        Ours against the first peer: the median of the ratios of the pairs.
    target
        What was asked for, in words.
    met
        Whether it was reached.
    n_rounds
        How often each was timed.
    quality
        How good each result is, where they are not the same.
    """

    job: str
    ours: float
    peers: dict[str, float | None]
    ratio: float
    target: str
    met: bool
    n_rounds: int = N_ROUNDS
    quality: dict[str, float] | None = None


def interleaved(
    calls: dict[str, Callable[[], Any]],
    device: str,
    *,
    n_calls: int = 1,
    n_rounds: int = N_ROUNDS,
    n_warm: int = _N_WARM,
) -> dict[str, list[float]]:
    """Return the seconds of one call, for each of the ``calls``, in each of ``n_rounds`` rounds.

    A round times all of them, one after the other, so that a slow moment of the machine hits all alike; the order is
    turned from round to round. ``n_warm`` rounds come before and are not counted. ``n_calls`` calls are timed
    together, for those too short for the clock.
    """
    seconds = {name: [] for name in calls}
    names = list(calls)
    gc.disable()
    try:
        for turn in range(n_warm + n_rounds):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                spent = _time(calls[name], device, n_calls)
                if turn >= n_warm:
                    seconds[name].append(spent)
            gc.collect()
    finally:
        gc.enable()
    return seconds


def _time(call: Callable[[], Any], device: str, n_calls: int) -> float:
    """Return the seconds of one of ``n_calls`` calls in a row."""
    wait = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    wait()
    start = perf_counter()
    for _ in range(n_calls):
        call()
    wait()
    return (perf_counter() - start) / n_calls


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Return the median of the ratios of the pairs."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def extra(ours: list[float], theirs: list[float]) -> float:
    """Return the median of the differences of the pairs, in seconds."""
    return median(a - b for a, b in zip(ours, theirs, strict=True))
