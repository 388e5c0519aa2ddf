"""What cuts cells of the plane: the units of a ReLU, or the windows of max-pooling.

Each cell has an affine function of its own for each unit. Of many pairs of a cell and a unit it is said, without loops,
whether the unit cuts the cell; a cell is divided by one unit at a time. See ``subdivision`` for the rest.

Cells come as polygons, with ``roots``: for each the row of its functions, since parts of a cell share them.
"""

import numpy as np
from jaxtyping import Float64, Int64, UInt64
from numpy import ndarray

from actlib.clipping import keep, split
from actlib.polygons import Polygons, join, mix, owners, sizes, spread, take

# Of the largest value that a unit takes in the window, and that any unit of the layer takes: what is less is zero.
_OWN, _LAYER = 1e-12, 1e-14
# Beside every value; where a window of max-pooling leaves the plane.
NOTHING = -1e300


class Units:
    """The units of a ReLU: b affine functions each, cut where they are zero. A choice is whether a unit is above 0."""

    def __init__(
        self, constant: Float64[ndarray, "b n"], directions: Float64[ndarray, "b 2 n"], reach: float, seed: int
    ):
        self.constant, self.along, self.across = constant, directions[:, 0], directions[:, 1]
        self.n_items = constant.shape[1]
        self.tolerance = tolerance(np.abs(constant) + reach * np.abs(directions).sum(1))
        self.labels = _labels(self.n_items, seed)

    def survey(self, centres, radii):
        """Return the choices at the centres of discs, (b, n), and which may differ elsewhere in the disc."""
        values = self.constant + self.along * centres[:, :1] + self.across * centres[:, 1:]
        reach = np.sqrt(self.along**2 + self.across**2) * radii[:, None]
        return values > self.tolerance, np.abs(values) < reach - self.tolerance

    def judge(self, cells, roots, places, items):
        """Say of pairs of a place among the cells and an item whether it cuts the cell, and give the choice if not."""
        values, first = self._values(cells, roots[places], places, items)
        low, high = np.minimum.reduceat(values, first), np.maximum.reduceat(values, first)
        tolerance = self.tolerance[roots[places], items]
        return (low < -tolerance) & (high > tolerance), high > tolerance

    def divide(self, cells, roots, items):
        """Return the parts of each cell by the item of its own, the cells that they are parts of, and the choices."""
        values, _ = self._values(cells, roots, np.arange(len(items)), items)
        labels = self.labels[items]

        def name(edges):
            return mix(cells.sides[edges] + labels[owners(cells, edges)])

        above, below = split(cells, values, self.tolerance[roots, items], name, cells.homes + labels)
        parents = np.concatenate([above.parents, below.parents])
        return join([above.polygons, below.polygons]), parents, np.arange(len(parents)) < len(above.parents)

    def _values(self, cells, rows, places, items):
        """Return the items' functions at the corners of their owners, and where each pair begins."""
        counts = sizes(cells)[places]
        corners = cells.vertices[spread(cells.offsets[places], counts)]
        three = self.constant[rows, items], self.along[rows, items], self.across[rows, items]
        constant, along, across = (np.repeat(part, counts) for part in three)
        return constant + along * corners[:, 0] + across * corners[:, 1], counts.cumsum() - counts


class Windows:
    """Windows of max-pooling: b times n, of k candidates each. A choice is the place of the largest in the window.

    Of equal ones it is the first. ``table`` holds the candidates of each window among the values, -1 where there is
    none.
    """

    def __init__(
        self,
        constant: Float64[ndarray, "b v"],
        directions: Float64[ndarray, "b 2 v"],
        table: Int64[ndarray, "n k"],
        reach: float,
        seed: int,
    ):
        self.n_items, self.n_candidates = table.shape
        self.functions = np.stack([constant, directions[:, 0], directions[:, 1]], axis=-1)[:, table]  # (b, n, k, 3)
        bound = np.abs(self.functions) @ np.array([1.0, reach, reach])
        self.functions[:, table < 0] = [NOTHING, 0, 0]
        bound[:, table < 0] = 0
        self.tolerance = tolerance(bound.max(-1))
        self.table, self.labels = table, _labels(constant.shape[1], seed)

    def survey(self, centres, radii):
        """Return the choices at the centres of discs, (b, n), and which may differ elsewhere in the disc."""
        seen = np.concatenate([np.ones((len(centres), 1)), centres], axis=1)
        values = np.einsum("bnkf,bf->bnk", self.functions, seen)
        best = values.argmax(-1)
        lead = self.functions[np.arange(len(best))[:, None], np.arange(self.n_items), best][:, :, None] - self.functions
        margin = np.einsum("bnkf,bf->bnk", lead, seen)
        least = margin - np.hypot(lead[..., 1], lead[..., 2]) * radii[:, None, None]
        return best, least.min(-1) < -self.tolerance

    def judge(self, cells, roots, places, items):
        """Say of pairs of a place among the cells and an item whether it cuts the cell, and give the choice if not."""
        counts = sizes(cells)[places]
        values, first = self._values(cells, roots, places, items), counts.cumsum() - counts
        best = np.add.reduceat(values / np.repeat(counts, counts)[:, None], first).argmax(1)
        lead = np.take_along_axis(values, np.repeat(best, counts)[:, None], 1) - values
        return np.minimum.reduceat(lead.min(1), first) < -self.tolerance[roots[places], items], best

    def divide(self, cells, roots, items):
        """Return the parts of each cell by the item of its own, the cells that they are parts of, and the choices."""
        parents, choices = np.nonzero(self._candidates(cells, roots, items))
        viable = np.zeros((len(items), self.n_candidates), bool)
        viable[parents, choices] = True
        parts = take(cells, parents)
        for rival in range(self.n_candidates):
            at = roots[parents], items[parents]
            lead = self.functions[(*at, choices)] - self.functions[at][:, rival]
            counts, tolerance = sizes(parts), self.tolerance[at]
            values = np.repeat(lead[:, 0], counts) + (np.repeat(lead[:, 1:], counts, axis=0) * parts.vertices).sum(1)
            spared = ~viable[parents, rival] | (choices == rival)
            values[np.repeat(spared, counts)] = np.inf
            naming = _Naming(self, parts, *at, choices, np.full(len(parents), rival))
            part = keep(parts, values, tolerance, naming.points, naming.cuts())
            parts, parents, choices = part.polygons, parents[part.parents], choices[part.parents]
        return parts, parents, choices

    def _candidates(self, cells, roots, items):
        """Say which candidates may be the largest somewhere: not beaten by one and the same everywhere."""
        values, first = self._values(cells, roots, np.arange(len(items)), items), cells.offsets[:-1]
        tolerance = self.tolerance[roots, items][:, None]
        beaten = values[first] <= NOTHING / 2
        for rival in range(self.n_candidates):
            lead = values - values[:, rival : rival + 1]
            behind = np.maximum.reduceat(lead, first) <= tolerance
            equal = behind & (np.minimum.reduceat(lead, first) >= -tolerance)
            beaten |= behind & ~(equal & (np.arange(self.n_candidates) <= rival))
        return ~beaten

    def _values(self, cells, roots, places, items):
        """Return the candidates of the items at the corners of their owners, (v, k)."""
        counts = sizes(cells)[places]
        corners = cells.vertices[spread(cells.offsets[places], counts)]
        found = np.repeat(self.functions[roots[places], items], counts, axis=0)
        return found[..., 0] + found[..., 1] * corners[:, :1] + found[..., 2] * corners[:, 1:]


class _Naming:
    """The names of what the line between two candidates of a window makes in some parts of cells."""

    def __init__(self, windows: Windows, parts: Polygons, roots, items, own, rival):
        self.windows, self.parts, self.roots, self.items, self.own, self.rival = (
            windows,
            parts,
            roots,
            items,
            own,
            rival,
        )

    def cuts(self) -> UInt64[ndarray, " p"]:
        """Return the names of the new edges."""
        return self.parts.homes + mix(self._label(slice(None), self.own) + self._label(slice(None), self.rival))

    def points(self, edges: Int64[ndarray, " e"]) -> UInt64[ndarray, " e"]:
        """Return the names of the points where the line cuts edges.

        Of candidates that are equal along the edge the first one counts, since from the other side of the edge another
        may be seen. So does a point between three candidates have one name, whichever two meet there first.
        """
        part = owners(self.parts, edges)
        own, rival = self._equal(edges, part, self.own[part]), self._equal(edges, part, self.rival[part])
        return mix(self.parts.sides[edges] + mix(self._label(part, own) + self._label(part, rival)))

    def _label(self, part, candidates) -> UInt64[ndarray, " e"]:
        return self.windows.labels[self.windows.table[self.items[part], candidates]]

    def _equal(self, edges, part, candidates) -> Int64[ndarray, " e"]:
        """Return the first candidate that equals another at both ends of an edge."""
        after = np.where(edges + 1 == self.parts.offsets[part + 1], self.parts.offsets[part], edges + 1)
        functions = self.windows.functions[self.roots[part], self.items[part]]  # (e, k, 3)
        bound, equal = self.windows.tolerance[self.roots[part], self.items[part]][:, None], True
        for end in (edges, after):
            values = functions[..., 0] + (functions[..., 1:] * self.parts.vertices[end][:, None]).sum(-1)
            equal = equal & (np.abs(values - np.take_along_axis(values, candidates[:, None], 1)) <= bound)
        return equal.argmax(1)


def tolerance(bound: Float64[ndarray, "b n"]) -> Float64[ndarray, "b n"]:
    """Return what counts as zero in each family, from the largest values that units may take there."""
    return _OWN * bound + _LAYER * bound.max(1, keepdims=True)


def _labels(n: int, seed: int) -> UInt64[ndarray, " n"]:
    """Return a name for each item of the layer ``seed``."""
    return mix(mix(np.full(n, seed + 1, np.uint64)) + np.arange(n, dtype=np.uint64))
