"""Pieces of segments cut at a gate, all zeros of all units at once.

Within a piece every value that enters the gate is affine in the time t, from 0 at the first end of the segment to 1 at
the second, so its zero follows in closed form. A unit has one choice before its zero and the other behind it, by the
order of times alone; nothing is evaluated again beside a zero. Times nearer than the tolerance are the same.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped
from numpy import ndarray

from actlib.cutters import NOTHING, tolerance
from actlib.subdivision import Cells

# Times nearer than this are one.
_SAME = 1e-12
_NEVER = np.iinfo(np.int32).max


class Intervals(NamedTuple):
    """Pieces of segments: of which, from which time to which."""

    owners: Int64[ndarray, " p"]
    starts: Float64[ndarray, " p"]
    stops: Float64[ndarray, " p"]


class Events(NamedTuple):
    """Changes of choices in b pieces: which unit of which piece, when, and what it chooses from then on."""

    pieces: Int64[ndarray, " e"]
    units: Int64[ndarray, " e"]
    times: Float64[ndarray, " e"]
    choices: Shaped[ndarray, " e"]


def units(
    constant: Float64[ndarray, "b n"], directions: Float64[ndarray, "b n"], cells: Intervals
) -> tuple[Bool[ndarray, "b n"], Events]:
    """Return which units of a ReLU are on where a piece begins, and where they change."""
    bound = tolerance(np.abs(constant) + np.abs(directions))
    first, last = (constant + directions * time[:, None] for time in (cells.starts, cells.stops))
    # On the boundary at its start, a piece has the side that it goes to.
    on = (first > bound) | ((first >= -bound) & (last > bound))
    pieces, which = np.nonzero((first * last < 0) & (np.minimum(np.abs(first), np.abs(last)) > bound))
    start, stop = first[pieces, which], last[pieces, which]
    times = _between(cells, pieces, start / (start - stop))
    return on, Events(pieces, which, times, ~on[pieces, which])


def windows(
    constant: Float64[ndarray, "b v"],
    directions: Float64[ndarray, "b v"],
    table: Int64[ndarray, "n k"],
    cells: Intervals,
) -> tuple[Int64[ndarray, "b n"], Events]:
    """Return which candidate of each window is the largest where a piece begins, and which is from when on.

    ``table`` holds the candidates of each window among the values, -1 where there is none.
    """
    bound = np.where(table < 0, 0, (np.abs(constant) + np.abs(directions))[:, table]).max(-1)
    bound = tolerance(bound)[..., None]
    first, last = (
        np.where(table < 0, NOTHING, (constant + directions * time[:, None])[:, table])
        for time in (cells.starts, cells.stops)
    )
    # Of those that are the largest at the start, the one that ends up highest.
    best = _highest(np.where(first >= first.max(-1, keepdims=True) - bound, last, 2 * NOTHING), bound)
    found = []
    pieces, which = np.nonzero(_at(last, best)[..., 0] < last.max(-1) - bound[..., 0])
    now, share = best[pieces, which], np.zeros(len(pieces))
    while len(pieces):
        # Who is behind now and ahead at the end, overtakes in between: the first to do so is next.
        start = _at(first[pieces, which], now) - first[pieces, which]
        gain = last[pieces, which] - _at(last[pieces, which], now)
        overtakes = gain > bound[pieces, which]
        when = np.where(overtakes, np.maximum(start, 0) / (np.maximum(start, 0) + np.where(overtakes, gain, 1)), np.inf)
        share = np.maximum(share, when.min(-1))
        now = _highest(np.where(when <= share[:, None] + _SAME, last[pieces, which], 2 * NOTHING), bound[pieces, which])
        found.append(Events(pieces, which, _between(cells, pieces, share), now))
        left = _at(last[pieces, which], now)[:, 0] < last[pieces, which].max(-1) - bound[pieces, which, 0]
        pieces, which, now, share = pieces[left], which[left], now[left], share[left]
    none = Events(pieces, which, np.zeros(0), now)
    return best, Events(*map(np.concatenate, zip(none, *found, strict=True)))


def cut(cells: Intervals, choices: Shaped[ndarray, "b n"], events: Events, n_block: int) -> Iterator[Cells]:
    """Yield the parts of pieces between events, in order, in blocks, with their choices."""
    order = np.lexsort((events.times, events.pieces))
    pieces, which, times, later = (field[order] for field in events)
    # Events of one piece at one time make one cut.
    new = np.ones(len(times), bool)
    new[1:] = (np.diff(pieces) > 0) | (np.diff(times) > _SAME)
    cuts, held = np.flatnonzero(new), new.cumsum()
    n_cuts = np.bincount(pieces[cuts], minlength=len(cells.owners))
    begin = n_cuts.cumsum() - n_cuts
    parents = np.repeat(np.arange(len(cells.owners)), n_cuts + 1)
    ranks = np.arange(len(parents)) - np.repeat(begin + np.arange(len(n_cuts)), n_cuts + 1)
    starts, stops = cells.starts[parents], cells.stops[parents]
    starts[ranks > 0] = stops[ranks < n_cuts[parents]] = times[cuts]
    parts = Intervals(cells.owners[parents], starts, stops)
    turns = _turns(choices.shape, pieces, which, held - begin[pieces], later)
    for first in range(0, len(parents), n_block):
        index = slice(first, first + n_block)
        chosen = choices[parents[index]]
        for ranked, taken in turns:
            behind = ranks[index, None] >= ranked[parents[index]]
            chosen = np.where(behind, taken[parents[index]], chosen)
        yield Cells(Intervals(*(field[index] for field in parts)), parents[index], chosen)


def _turns(shape, pieces, which, ranks, later) -> list[tuple[ndarray, ndarray]]:
    """Return the first changes of all units, then the second ones, ...: from which part on, and to what."""
    turns = []
    while len(pieces):
        _, first = np.unique(pieces * shape[1] + which, return_index=True)
        ranked, taken = np.full(shape, _NEVER, np.int32), np.zeros(shape, later.dtype)
        ranked[pieces[first], which[first]] = ranks[first]
        taken[pieces[first], which[first]] = later[first]
        turns.append((ranked, taken))
        pieces, which, ranks, later = (np.delete(field, first) for field in (pieces, which, ranks, later))
    return turns


def _between(cells: Intervals, pieces: Int64[ndarray, " e"], share: Float64[ndarray, " e"]) -> Float64[ndarray, " e"]:
    """Return the time at a share of a piece."""
    return cells.starts[pieces] + share * (cells.stops[pieces] - cells.starts[pieces])


def _at(values: Float64[ndarray, "*b k"], index: Int64[ndarray, "*b"]) -> Float64[ndarray, "*b 1"]:
    """Return the value of one candidate of each window."""
    return np.take_along_axis(values, index[..., None], -1)


def _highest(values: Float64[ndarray, "*b k"], bound: Float64[ndarray, "*b 1"]) -> Int64[ndarray, "*b"]:
    """Return the first of the candidates that are the largest within the tolerance."""
    return (values >= values.max(-1, keepdims=True) - bound).argmax(-1)
