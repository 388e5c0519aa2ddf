"""Many convex polygons of the plane at once, measured and joined to the mesh that they form.

The polygons are ragged arrays, with corners against the clock. A corner carries a name, so that the polygons around a
point know it for the same whatever rounding does to its place; ``clipping`` cuts them so that names agree.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int64, Shaped, UInt64
from numpy import ndarray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

# Of its length: a window that is less wide has no area.
_FLAT = 1e-9
# Angles at corners that may be rounding.
_STRAIGHT = 1e-6
# Of the size of the window: points as near as this may be one.
_NEAR = 1e-10
# The outside of a window, as a polygon.
OUTSIDE = -1


class Polygons(NamedTuple):
    """Polygons p = 0, 1, ..., with the corners ``offsets[p]`` to ``offsets[p + 1]``.

    Attributes
    ----------
    vertices
        (v, 2), the corners of each, against the clock.
    offsets
        (p + 1), where each begins; the last is v.
    names
        (v), of the corners: the same point has the same name in all polygons of a mesh.
    sides
        (v), of the edge from each corner to the next. Parts of an edge keep its name until ``rename``.
    homes
        (p), of each polygon. Parts keep it until ``rename``.
    """

    vertices: Float64[ndarray, "v 2"]
    offsets: Int64[ndarray, " p1"]
    names: UInt64[ndarray, " v"]
    sides: UInt64[ndarray, " v"]
    homes: UInt64[ndarray, " p"]


class Mesh(NamedTuple):
    """Polygons that fill a window, joined.

    Attributes
    ----------
    points
        (n, 2), each corner once.
    corners
        (v), the point of each corner of each polygon.
    edges
        (e, 2), the points at the ends of each edge, which no corner lies between.
    neighbours
        (e, 2), the polygons on its two sides, the smaller number last; -1 is the outside.
    euler
        Points less edges plus polygons: 1 where the window has no hole and neighbours agree in their corners.
    """

    points: Float64[ndarray, "n 2"]
    corners: Int64[ndarray, " v"]
    edges: Int64[ndarray, "e 2"]
    neighbours: Int64[ndarray, "e 2"]
    euler: int


def window(corners: Shaped[ndarray, "k d"]) -> Polygons:
    """Return one convex polygon, from its corners in either sense.

    Raises
    ------
    ValueError
        If there are fewer than three corners, two are the same, one is not finite, the polygon is not convex or its
        area is zero, up to rounding.
    """
    vertices = np.array(corners, dtype=np.float64)
    if vertices.ndim != 2 or vertices.shape[1] != 2 or len(vertices) < 3 or not np.isfinite(vertices).all():
        raise ValueError(f"corners have shape {vertices.shape}; give three finite points at least, (k, 2)")
    extent = np.linalg.svd(vertices - vertices.mean(0), compute_uv=False)
    if not extent[1] > _FLAT * extent[0]:
        raise ValueError(f"the window has no area: corners {vertices.tolist()}; give three that are on no line")
    ahead = np.roll(vertices, -1, axis=0) - vertices
    after = np.roll(ahead, -1, axis=0)
    turns = np.arctan2(_cross(ahead, after), (ahead * after).sum(1))
    if turns.sum() < 0:
        turns, vertices = -turns, vertices[::-1]
    if not ahead.any(1).all() or turns.min() < -_STRAIGHT or abs(turns.sum() - 2 * np.pi) > _STRAIGHT:
        raise ValueError(
            f"corners {vertices.tolist()} are not those of a convex polygon in order, each once; list them so"
        )
    return rename(_alone(np.ascontiguousarray(vertices)))


def rename(polygons: Polygons) -> Polygons:
    """Return the polygons with fresh names of edges and homes, as they must be before a new set of lines."""
    first = polygons.offsets[:-1]
    sides = mix(polygons.names + polygons.names[following(polygons)])
    return polygons._replace(sides=sides, homes=mix(np.add.reduceat(polygons.names, first)))


def take(polygons: Polygons, index: Int64[ndarray, " q"]) -> Polygons:
    """Return the polygons ``index``, which may repeat."""
    counts = sizes(polygons)[index]
    at = spread(polygons.offsets[index], counts)
    return Polygons(polygons.vertices[at], ends(counts), polygons.names[at], polygons.sides[at], polygons.homes[index])


def join(parts: list[Polygons]) -> Polygons:
    """Return all polygons of a list, in order."""
    counts = np.concatenate([sizes(part) for part in parts])
    vertices, names, sides, homes = (
        np.concatenate([getattr(part, field) for part in parts]) for field in ("vertices", "names", "sides", "homes")
    )
    return Polygons(vertices, ends(counts), names, sides, homes)


def sizes(polygons: Polygons) -> Int64[ndarray, " p"]:
    """Return the number of corners of each."""
    return np.diff(polygons.offsets)


def owners(polygons: Polygons, corners: Int64[ndarray, " e"]) -> Int64[ndarray, " e"]:
    """Return the polygons of some corners."""
    return np.searchsorted(polygons.offsets, corners, side="right") - 1


def areas(polygons: Polygons) -> Float64[ndarray, " p"]:
    """Return the area of each."""
    here, ahead = _from_first(polygons)
    return np.add.reduceat(_cross(here, ahead), polygons.offsets[:-1]) / 2


def centroids(polygons: Polygons) -> Float64[ndarray, "p 2"]:
    """Return the centre of mass of each."""
    here, ahead = _from_first(polygons)
    first = polygons.offsets[:-1]
    weights = _cross(here, ahead)[:, None]
    total = 3 * np.add.reduceat(weights, first)
    return polygons.vertices[first] + np.add.reduceat(weights * (here + ahead), first) / total


def discs(polygons: Polygons) -> tuple[Float64[ndarray, "p 2"], Float64[ndarray, " p"]]:
    """Return a disc around each: the mean of its corners, which lies inside, and the distance of the farthest."""
    first, counts = polygons.offsets[:-1], sizes(polygons)
    centres = np.add.reduceat(polygons.vertices, first) / counts[:, None]
    apart = polygons.vertices - np.repeat(centres, counts, axis=0)
    return centres, np.sqrt(np.maximum.reduceat((apart * apart).sum(1), first))


def mesh(polygons: Polygons) -> Mesh:
    """Return the points and edges of polygons that fill a window, each once.

    Points are the same by their names. Where more lines meet in one point than names foresee, an edge has no partner,
    and then points are the same by their places, too.
    """
    _, first, corners = np.unique(polygons.names, return_index=True, return_inverse=True)
    edges, neighbours = _edges(polygons, corners)
    one = _same(polygons.vertices[first], edges, edges[neighbours[:, 1] == OUTSIDE])
    if one is not None:
        corners = one[corners]
        _, first, corners = np.unique(corners, return_index=True, return_inverse=True)
        edges, neighbours = _edges(polygons, corners)
    euler = len(first) - len(edges) + len(polygons.homes)
    return Mesh(polygons.vertices[first], corners, edges, neighbours, euler)


def borders(mesh: Mesh, labels: Shaped[ndarray, " p"]) -> Float64[ndarray, "e 2 2"]:
    """Return the edges between polygons with different labels, as two ends each."""
    first, second = mesh.neighbours.T
    return mesh.points[mesh.edges[(second != OUTSIDE) & (labels[first] != labels[second])]]


def mix(numbers: UInt64[ndarray, "*n"]) -> UInt64[ndarray, "*n"]:
    """Return numbers that look drawn by chance, one for each number: the finalizer of SplitMix64 (Steele 2014)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


def spread(starts: Int64[ndarray, " p"], counts: Int64[ndarray, " p"]) -> Int64[ndarray, " v"]:
    """Return the ``counts`` numbers from each of the ``starts`` on, one after the other."""
    behind = counts.cumsum()
    return np.arange(behind[-1] if len(behind) else 0) + np.repeat(starts - behind + counts, counts)


def following(polygons: Polygons) -> Int64[ndarray, " v"]:
    """Return the place of the next corner of the same polygon."""
    after = np.arange(1, len(polygons.names) + 1)
    after[polygons.offsets[1:] - 1] = polygons.offsets[:-1]
    return after


def ends(counts: Int64[ndarray, " p"]) -> Int64[ndarray, " p1"]:
    """Return the offsets of polygons with so many corners."""
    return np.concatenate([[0], counts.cumsum()])


def _alone(vertices: Float64[ndarray, "k 2"]) -> Polygons:
    """Return one polygon."""
    names = mix(np.arange(1, len(vertices) + 1, dtype=np.uint64))
    return Polygons(vertices, np.array([0, len(vertices)]), names, names, names[:1])


def _edges(polygons: Polygons, corners: Int64[ndarray, " v"]) -> tuple[Int64[ndarray, "e 2"], Int64[ndarray, "e 2"]]:
    """Return the edges between points, and their neighbours."""
    holders = np.repeat(np.arange(len(polygons.homes)), sizes(polygons))
    pairs = np.sort(np.stack([corners, corners[following(polygons)]], axis=1), axis=1)
    keys = pairs[:, 0] * len(pairs) + pairs[:, 1]
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    counts = np.diff(starts, append=len(keys))
    neighbours = np.full((len(starts), 2), OUTSIDE)
    neighbours[:, 0] = holders[order[starts + counts - 1]]
    neighbours[counts > 1, 1] = holders[order[starts[counts > 1]]]
    return pairs[order[starts]], neighbours


def _same(
    points: Float64[ndarray, "n 2"], edges: Int64[ndarray, "e 2"], alone: Int64[ndarray, "a 2"]
) -> Int64[ndarray, " n"] | None:
    """Return which points are one, of those at edges without a partner, or None if all differ."""
    loose = np.unique(alone)
    near = KDTree(points[loose]).query_pairs(_NEAR * np.ptp(points, axis=0).max(), output_type="ndarray")
    pairs = np.sort(loose[near], axis=1)
    pairs = pairs[~np.isin(pairs[:, 0] * len(points) + pairs[:, 1], edges[:, 0] * len(points) + edges[:, 1])]
    if len(pairs) == 0:
        return None
    links = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(points), len(points)))
    return connected_components(links, directed=False)[1].astype(np.int64)


def _cross(a: Float[ndarray, "v 2"], b: Float[ndarray, "v 2"]) -> Float[ndarray, " v"]:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _from_first(polygons: Polygons) -> tuple[Float64[ndarray, "v 2"], Float64[ndarray, "v 2"]]:
    """Return each corner and the next, seen from the first of the polygon, so that small ones keep their digits."""
    here = polygons.vertices - np.repeat(polygons.vertices[polygons.offsets[:-1]], sizes(polygons), axis=0)
    return here, here[following(polygons)]
