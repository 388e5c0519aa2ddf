"""Cells of the plane cut along all zero lines of a layer, or by the largest of each window of max-pooling.

Each cell keeps a list of the units that still cut it. In a round, every cell is cut by the first of its list, in one
order for all, and each part keeps those that cut it, so the work is in proportion to the parts that come out. The side
of a cut sets the choice; nothing is evaluated again beside it. Cells are worked off depth first, a block at a time, so
that a million of them need little memory on the way.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, Shaped
from numpy import ndarray

from actlib.cutters import Units, Windows
from actlib.polygons import Polygons, discs, join, rename, spread, take

# Cells, and pairs of a cell and what may cut it, that are worked on at a time.
_CELLS, _PAIRS = 2**12, 2**15


class Cells(NamedTuple):
    """Parts of the cells that were given, whose parts they are, and what is chosen in each of them."""

    cells: Polygons
    parents: Int64[ndarray, " p"]
    choices: Shaped[ndarray, "p n"]


def subdivide(cells: Polygons, cutters: Units | Windows, n_block: int) -> Iterator[Cells]:
    """Yield the parts of cells, each named after its place, in blocks of ``n_block`` (fewer in the last) or less."""
    cells = rename(cells)
    choices, cut = cutters.survey(*discs(cells))
    # By chance, so that a cell is halved by its first lines. The same order for all: parts of one line must agree.
    order = np.random.default_rng(0).permutation(cutters.n_items)
    owners, ranks = np.nonzero(cut[:, order])
    roots = np.arange(len(cells.homes))
    ready: list[Cells] = []
    waiting = [_judged(cells, roots, choices, owners, order[ranks], cutters, ready)]
    n_ready = sum(len(part.parents) for part in ready)
    while waiting:
        work = waiting.pop()
        if len(work.roots) > 1 and (len(work.roots) > _CELLS or len(work.owners) > _PAIRS):
            waiting += _halves(work)
        elif len(work.roots):
            before = len(ready)
            waiting.append(_round(work, cutters, ready))
            n_ready += sum(len(part.parents) for part in ready[before:])
        if n_ready >= n_block or not waiting:
            yield from _blocks(ready, n_block)
            ready, n_ready = [], 0


class _Work(NamedTuple):
    """Cells that are still cut: whose parts they are, choices so far, and pairs (cell, item), by cell and in order."""

    cells: Polygons
    roots: Int64[ndarray, " p"]
    choices: Shaped[ndarray, "p n"]
    owners: Int64[ndarray, " k"]
    items: Int64[ndarray, " k"]


def _round(work: _Work, cutters: Units | Windows, ready: list[Cells]) -> _Work:
    """Cut each cell by its first item, and hand on what must be cut again."""
    n = len(work.roots)
    starts = np.searchsorted(work.owners, np.arange(n))
    items = work.items[starts]
    parts, parents, found = cutters.divide(work.cells, work.roots, items)
    choices = work.choices[parents]
    choices[np.arange(len(parents)), items[parents]] = found
    rest = np.diff(starts, append=len(work.owners)) - 1
    owners = np.repeat(np.arange(len(parents)), rest[parents])
    left = work.items[spread(starts[parents] + 1, rest[parents])]
    return _judged(parts, work.roots[parents], choices, owners, left, cutters, ready)


def _judged(cells, roots, choices, owners, items, cutters, ready) -> _Work:
    """Set the choices of items that cut nothing, and put cells that nothing cuts with those that are ready."""
    if len(owners):
        cut, found = cutters.judge(cells, roots, owners, items)
        choices[owners[~cut], items[~cut]] = found[~cut]
        owners, items = owners[cut], items[cut]
    busy = np.zeros(len(roots), bool)
    busy[owners] = True
    if not busy.all():
        done = np.flatnonzero(~busy)
        ready.append(Cells(take(cells, done), roots[done], choices[done]))
    on = np.flatnonzero(busy)
    return _Work(take(cells, on), roots[on], choices[on], busy.cumsum()[owners] - 1, items)


def _halves(work: _Work) -> list[_Work]:
    """Return the work in two parts, the first one last."""
    middle = len(work.roots) // 2
    parts = []
    for index in (np.arange(middle, len(work.roots)), np.arange(middle)):
        mine = (work.owners >= index[0]) & (work.owners <= index[-1])
        owners = work.owners[mine] - index[0]
        parts.append(_Work(take(work.cells, index), work.roots[index], work.choices[index], owners, work.items[mine]))
    return parts


def _blocks(ready: list[Cells], n_block: int) -> Iterator[Cells]:
    """Yield what is ready in blocks."""
    if not ready:
        return
    cells = join([part.cells for part in ready])
    parents, choices = (np.concatenate([getattr(part, field) for part in ready]) for field in ("parents", "choices"))
    for start in range(0, len(parents), n_block):
        index = np.arange(start, min(start + n_block, len(parents)))
        yield Cells(take(cells, index), parents[index], choices[index])
