"""Every region that the segment between two inputs passes, and every unit that changes on the way, exactly.

Layer by layer: the gates before cut the segment into pieces, in a piece all values that enter the next gate are affine
in the time, and all their zeros are found at once. Many segments go through the network together.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int64, Shaped
from numpy import ndarray
from torch import Tensor

from actlib import growth, intervals
from actlib.bits import Packed, unpack
from actlib.gates import Gate, Pattern
from actlib.growth import Growth, Level, Rows, table
from actlib.intervals import Intervals
from actlib.piecewise import Piecewise
from actlib.subdivision import Cells

# Bits that are compared at a time.
_BITS = 2**24


class Crossings(NamedTuple):
    """All changes of choices on segments, by segment and time; of one time, by gate and unit.

    Attributes
    ----------
    segments
        (e), on which segment.
    times
        (e), when: 0 at its first input, 1 at the second.
    gates
        (e), the place of the gate in ``levels``.
    units
        (e), the place in the flat layer.
    """

    segments: Int64[ndarray, " e"]
    times: Float64[ndarray, " e"]
    gates: Int64[ndarray, " e"]
    units: Int64[ndarray, " e"]


class Segments(NamedTuple):
    """The pieces of s segments, each in one region, by segment and time.

    Attributes
    ----------
    pieces
        Of which segment, from which time to which.
    offsets
        (s + 1), where the pieces of each segment begin.
    levels
        By the names of the gates: what is chosen in the pieces up to there.
    ancestors
        (p, g), for each piece the row of each level.
    crossings
        What changes between pieces.
    constant, directions
        The outputs of the network in each piece, ``(p, *out)``: constant + t directions at the time t. None if the last
        gate was named.
    """

    pieces: Intervals
    offsets: Int64[ndarray, " s1"]
    levels: dict[str, Level]
    ancestors: Int64[ndarray, "p g"]
    crossings: Crossings
    constant: Float64[ndarray, "p *out"] | None
    directions: Float64[ndarray, "p *out"] | None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def counts(self) -> Int64[ndarray, "s g"]:
        """Return how many units of each gate change on each segment, every change counted."""
        keys = self.crossings.segments * len(self.levels) + self.crossings.gates
        return np.bincount(keys, minlength=len(self) * len(self.levels)).reshape(len(self), -1)

    def distances(self) -> Int64[ndarray, "s g"]:
        """Return in how many units of each gate the two ends differ: the Hamming distance for a ReLU.

        An end that is on a boundary counts to the region that the segment has there.
        """
        first, last = self.ancestors[self.offsets[:-1]], self.ancestors[self.offsets[1:] - 1]
        columns = [
            np.bincount(_differences(level, first[:, at], last[:, at])[0], minlength=len(self))
            for at, level in enumerate(self.levels.values())
        ]
        return np.stack(columns, axis=1) if columns else np.zeros((len(self), 0), np.int64)

    def pattern(self, index: Shaped[ndarray, " n"] | None = None) -> Pattern:
        """Return the patterns of some pieces, or of all; for many of them, large."""
        return growth.pattern(self.levels, self.ancestors[slice(None) if index is None else index])


def between(
    network: Piecewise,
    first: Float[Tensor, "..."],
    second: Float[Tensor, "..."],
    *,
    last: str | None = None,
    most: int = 10_000_000,
) -> Segments:
    """Return the regions of a network on the segments from ``first`` to ``second``, with every change between them.

    A unit that is within 1e-12 of the largest value it may take is on the boundary, and so is one below 1e-14 of the
    largest of its layer; it changes where it leaves for the other side. Two that are the same input give one piece.

    Parameters
    ----------
    network
        Of ``piecewise.trace``, in float64.
    first, second
        As many inputs each, ``(s, *shape)``.
    last
        The gate to end at; None goes on to the outputs.
    most
        Allowed pieces.

    Raises
    ------
    ValueError
        If the network is not in float64, inputs are not finite or of another shape, the gate is unknown, or there are
        more pieces than ``most``.
    """
    growth.check(network, last)
    first, second = network.points(first), network.points(second)
    if len(first) != len(second):
        raise ValueError(f"{len(first)} first and {len(second)} second inputs; give as many of both")
    growing = Growth(network, network.start(first, (second - first)[:, None]), _cut, last, most)
    fields, outputs = [Rows(), Rows(), Rows()], [Rows(), Rows()]
    whole = Intervals(np.arange(len(first)), np.zeros(len(first)), np.ones(len(first)))
    for cells, found in growing.run(whole):
        for rows, part in zip(fields + outputs, (*cells, *(found or ())), strict=False):
            rows.add(part)
    pieces, levels = Intervals(*(rows.joined() for rows in fields)), growing.levels()
    order = np.lexsort((pieces.starts, pieces.owners))
    pieces, rows = Intervals(*(field[order] for field in pieces)), growth.ancestors(levels, len(order))[order]
    offsets = np.searchsorted(pieces.owners, np.arange(len(first) + 1))
    constant, directions = (None, None) if last else (rows.joined()[order] for rows in outputs)
    directions = directions if last else directions[:, 0]
    return Segments(pieces, offsets, levels, rows, _crossings(pieces, levels, rows), constant, directions)


def _cut(gate: Gate, number: int, values: tuple[ndarray, ndarray], cells: Intervals, n_block: int) -> Iterator[Cells]:
    """Cut pieces at a gate."""
    constant, directions = values[0], values[1][:, 0]
    if gate.kind == "relu":
        choices, events = intervals.units(constant, directions, cells)
    else:
        choices, events = intervals.windows(constant, directions, table(gate), cells)
    return intervals.cut(cells, choices, events, n_block)


def _crossings(pieces: Intervals, levels: dict[str, Level], rows: Int64[ndarray, "p g"]) -> Crossings:
    """Return what changes from each piece to the next of the same segment.

    Patterns are compared, so that a unit counts that changes just where another one cuts.
    """
    after = np.flatnonzero(np.diff(pieces.owners) == 0) + 1
    parts = []
    for at, level in enumerate(levels.values()):
        where, which = _differences(level, rows[after - 1, at], rows[after, at])
        parts.append((after[where], np.full(len(where), at), which))
    places, gates, which = map(np.concatenate, zip(*parts, strict=True)) if parts else [after[:0]] * 3
    order = np.lexsort((which, gates, places))
    places, gates, which = places[order], gates[order], which[order]
    return Crossings(pieces.owners[places], pieces.starts[places], gates, which)


def _differences(level: Level, first: Int64[ndarray, " n"], second: Int64[ndarray, " n"]) -> tuple[ndarray, ndarray]:
    """Return which pairs of cells of a level differ, and in which units."""
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    moved = np.flatnonzero(first != second)
    step = max(1, _BITS // level.gate.n_units)
    for start in range(0, len(moved), step):
        index = moved[start : start + step]
        if isinstance(level.choices, Packed):
            words, n_bits = level.choices
            differ = unpack(words[first[index]] ^ words[second[index]], n_bits)
        else:
            differ = level.choices[first[index]] != level.choices[second[index]]
        where, which = np.nonzero(differ)
        found.append((index[where], which))
    return tuple(map(np.concatenate, zip(*found, strict=True)))
