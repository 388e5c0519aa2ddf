"""Many convex polygons cut at once, each by a line of its own.

Neighbours are cut apart from each other, and still agree: a new corner is named after the edge and the line that made
it, so both sides of an edge give the same name to the same corner, whatever rounding does to its place. A line that
passes a corner within the tolerance passes through it, so no polygon is thinner than the tolerance.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int8, Int64, UInt64
from numpy import ndarray

from actlib.polygons import Polygons, ends, following, sizes


class Part(NamedTuple):
    """What is left of polygons behind a cut, and which ones they were."""

    polygons: Polygons
    parents: Int64[ndarray, " p"]


def keep(
    polygons: Polygons,
    values: Float64[ndarray, " v"],
    tolerance: Float64[ndarray, " p"],
    name: Callable[[Int64[ndarray, " e"]], UInt64[ndarray, " e"]],
    cuts: UInt64[ndarray, " p"],
) -> Part:
    """Return the part of each polygon where a function that is affine on it is positive.

    A value within the tolerance is zero: the line passes through that corner. A polygon that is positive nowhere is
    left out.

    Parameters
    ----------
    polygons
        Any.
    values
        The function at each corner.
    tolerance
        For each polygon, 0 or more.
    name
        Called with the edges that are cut, gives the names of the points where: the same on both sides of an edge, and
        whichever of two lines comes first.
    cuts
        The name of the new edge of each polygon.
    """
    signs = _signs(polygons, values, tolerance)
    edges, points = _crossings(polygons, values, signs)
    return _part(polygons, signs, edges, points, name(edges), cuts)


def split(
    polygons: Polygons,
    values: Float64[ndarray, " v"],
    tolerance: Float64[ndarray, " p"],
    name: Callable[[Int64[ndarray, " e"]], UInt64[ndarray, " e"]],
    cuts: UInt64[ndarray, " p"],
) -> tuple[Part, Part]:
    """Return the parts where the function is positive and where it is negative; arguments as ``keep``."""
    signs = _signs(polygons, values, tolerance)
    edges, points = _crossings(polygons, values, signs)
    names = name(edges)
    return _part(polygons, signs, edges, points, names, cuts), _part(polygons, -signs, edges, points, names, cuts)


def _signs(
    polygons: Polygons, values: Float64[ndarray, " v"], tolerance: Float64[ndarray, " p"]
) -> Int8[ndarray, " v"]:
    """Return -1, 0 or 1 for each corner; of polygons on both sides, no two neighbouring corners are 0."""
    bound = np.repeat(tolerance, sizes(polygons))
    signs = (values > bound).astype(np.int8) - (values < -bound)
    after, first = following(polygons), polygons.offsets[:-1]
    if not ((signs == 0) & (signs[after] == 0)).any():
        return signs
    both = (np.maximum.reduceat(signs, first) > 0) & (np.minimum.reduceat(signs, first) < 0)
    both = np.repeat(both, sizes(polygons))
    while (double := np.flatnonzero((signs == 0) & (signs[after] == 0) & both)).size:
        # An edge as short as the tolerance: the line goes through its first corner.
        signs[after[double]] = signs[after[after[double]]]
    return signs


def _crossings(
    polygons: Polygons, values: Float64[ndarray, " v"], signs: Int8[ndarray, " v"]
) -> tuple[Int64[ndarray, " e"], Float64[ndarray, "e 2"]]:
    """Return the edges with ends on both sides, and the points where they are cut."""
    after = following(polygons)
    edges = np.flatnonzero(signs * signs[after] < 0)
    # From the positive end, as the neighbour goes, too.
    up = signs[edges] > 0
    high, low = np.where(up, edges, after[edges]), np.where(up, after[edges], edges)
    share = values[high] / (values[high] - values[low])
    start = polygons.vertices[high]
    points = start + share[:, None] * (polygons.vertices[low] - start)
    return edges, points


def _part(
    polygons: Polygons,
    signs: Int8[ndarray, " v"],
    edges: Int64[ndarray, " e"],
    points: Float64[ndarray, "e 2"],
    names: UInt64[ndarray, " e"],
    cuts: UInt64[ndarray, " p"],
) -> Part:
    """Return what lies where the signs are positive."""
    first, counts = polygons.offsets[:-1], sizes(polygons)
    alive = np.maximum.reduceat(signs, first) > 0
    kept = (signs >= 0) & np.repeat(alive, counts)
    emitted = kept.astype(np.int64)
    emitted[edges] += 1
    place = emitted.cumsum() - emitted
    old, new = place[kept], place[edges] + kept[edges]
    after, total = following(polygons), int(emitted.sum())
    # Where the boundary turns into the cut: behind a corner on it, or at a point of an edge that leaves.
    leaves = kept & (signs == 0) & (signs[after] < 0)
    source = np.empty(total, np.int64)
    source[old] = np.where(leaves, -1, np.arange(len(signs)))[kept]
    source[new] = np.where(signs[edges] > 0, -1, edges)
    vertices, found = np.empty((total, 2)), np.empty(total, np.uint64)
    vertices[old], vertices[new] = polygons.vertices[kept], points
    found[old], found[new] = polygons.names[kept], names
    sizes_left = np.add.reduceat(emitted, first)[alive]
    owners = np.repeat(np.flatnonzero(alive), sizes_left)
    sides = np.where(source < 0, cuts[owners], polygons.sides[source])
    left = Polygons(vertices, ends(sizes_left), found, sides, polygons.homes[alive])
    return Part(left, np.flatnonzero(alive))
