"""The exact regions of a network in a plane through three inputs: polygons, patterns, areas and affine maps.

Layer by layer: within a cell of the layers before, the values that enter a gate are affine functions on the plane, so
its units cut the cell along lines. What comes out is the partition itself, not a sample of it. Lengths and areas are
those of the input space.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64, Shaped
from numpy import ndarray

from actlib import growth, polygons
from actlib.cutters import Units, Windows
from actlib.gates import Gate, Pattern
from actlib.growth import Growth, Level, Rows, table
from actlib.piecewise import Piecewise
from actlib.planes import Plane
from actlib.polygons import Mesh, Polygons
from actlib.subdivision import Cells, subdivide

# How far the areas may add up to something else, for rounding.
_AREA = 1e-9


class Partition(NamedTuple):
    """All regions in a window of a plane.

    Attributes
    ----------
    plane
        Where coordinates belong.
    cells
        The polygons, in coordinates of the plane.
    areas
        (p), of each.
    mesh
        Their corners and edges, each once.
    levels
        By the names of the gates. The cells of the last one are the polygons.
    constant, directions
        The outputs of the network in each cell, ``(p, *out)`` and ``(p, 2, *out)``: at the coordinates (x, y) they are
        constant + x directions[0] + y directions[1]. None if the partition ends at a gate.
    """

    plane: Plane
    cells: Polygons
    areas: Float64[ndarray, " p"]
    mesh: Mesh
    levels: dict[str, Level]
    constant: Float64[ndarray, "p *out"] | None
    directions: Float64[ndarray, "p 2 *out"] | None

    def __len__(self) -> int:
        return len(self.areas)

    def ancestors(self) -> Int64[ndarray, "p g"]:
        """Return the cell of each level that each polygon is part of."""
        return growth.ancestors(self.levels, len(self))

    def pattern(self, index: Shaped[ndarray, " n"] | None = None) -> Pattern:
        """Return the patterns of some polygons, or of all; for many of them, large."""
        return growth.pattern(self.levels, self.ancestors()[slice(None) if index is None else index])


def partition(
    network: Piecewise,
    plane: Plane,
    window: Shaped[ndarray, "k 2"] | None = None,
    *,
    last: str | None = None,
    most: int = 1_000_000,
) -> Partition:
    """Return all regions of a network in a window of a plane.

    A unit whose values all lie below 1e-14 of the largest of its layer, or that passes a corner by less than 1e-12 of
    the size of the window, is not told from zero: it cuts nothing there.

    Parameters
    ----------
    network
        Of ``piecewise.trace``, in float64.
    plane
        Of the same input space.
    window
        Corners of a convex polygon, in coordinates of the plane; None is the parallelogram whose corners are the first
        input, the second, the sum of the second and third less the first, and the third.
    last
        The gate to end at; None goes on to the outputs.
    most
        Allowed regions.

    Raises
    ------
    ValueError
        If the network is not in float64, the plane has another shape, the window has no area, the gate is unknown, or
        there are more regions than ``most``.
    AssertionError
        If areas do not add up to the window's, or neighbours do not agree in their corners: then something is wrong
        here.
    """
    growth.check(network, last)
    _check(network, plane)
    first, second, third = plane.corners
    box = polygons.window(np.stack([first, second, second + third - first, third]) if window is None else window)
    growing = Growth(network, network.start(plane.origin[None], plane.axes[None]), _cut_by(box), last, most)
    cells, constant, directions = _joined(growing.run(box))
    areas, mesh = polygons.areas(cells), polygons.mesh(cells)
    whole = polygons.areas(box)[0]
    assert abs(areas.sum() - whole) <= _AREA * whole, f"areas add up to {areas.sum()}, the window's is {whole}"
    assert mesh.euler == 1, f"points - edges + regions = {mesh.euler} of {len(areas)} regions, not 1"
    return Partition(plane, cells, areas, mesh, growing.levels(), constant, directions)


def counts(partition: Partition) -> dict[str, int]:
    """Return how many cells there are behind each gate: regions of the network up to there."""
    return {name: len(level.parents) for name, level in partition.levels.items()}


def conditional_counts(partition: Partition) -> dict[str, Int64[ndarray, " c"]]:
    """Return how many patterns of each gate occur within each cell of the gates before it (of the first: in all)."""
    before, found = 1, {}
    for name, level in partition.levels.items():
        found[name] = np.bincount(level.parents, minlength=before)
        before = len(level.parents)
    return found


class Estimates(NamedTuple):
    """The number of regions, from the areas of those in which n points fell.

    Attributes
    ----------
    exact
        How many there are.
    harmonic
        The window's area times the mean of 1 / area: right in the mean, but far off in single draws.
    plain
        The window's area by the mean area: too few, since large regions are met more often.
    """

    exact: int
    harmonic: float
    plain: float


def estimates(areas: Float64[ndarray, " p"], n_points: int, *, generator: torch.Generator) -> Estimates:
    """Return estimates of the number of regions from ``n_points`` points, uniform in the window.

    Raises
    ------
    ValueError
        If there is no area or point.
    """
    if len(areas) == 0 or not (areas > 0).all() or n_points < 1:
        raise ValueError(f"{len(areas)} areas and n_points = {n_points}; give areas above 0 and one point at least")
    whole = areas.sum()
    places = torch.rand(n_points, dtype=torch.float64, generator=generator, device=generator.device).cpu().numpy()
    met = areas[np.searchsorted(areas.cumsum() / whole, places).clip(max=len(areas) - 1)]
    return Estimates(len(areas), float(whole * (1 / met).mean()), float(whole / met.mean()))


def _cut_by(box: Polygons) -> Callable[..., Iterator[Cells]]:
    """Return the function that cuts cells at a gate, for coordinates in a window."""
    reach = float(np.abs(box.vertices).max())

    def cut(gate: Gate, number: int, values: tuple[ndarray, ndarray], cells: Polygons, n_block: int) -> Iterator[Cells]:
        kind = Units(*values, reach, number) if gate.kind == "relu" else Windows(*values, table(gate), reach, number)
        return subdivide(cells, kind, n_block)

    return cut


def _joined(blocks: Iterator[tuple]) -> tuple[Polygons, ndarray | None, ndarray | None]:
    """Return the cells of all blocks, and their outputs."""
    vertices, names, sizes, constants, directions = (Rows() for _ in range(5))
    for cells, outputs in blocks:
        parts = cells.vertices, cells.names, polygons.sizes(cells), *(outputs or ())
        for rows, part in zip((vertices, names, sizes, constants, directions), parts, strict=False):
            rows.add(part)
    found, counts = names.joined(), sizes.joined()
    cells = Polygons(vertices.joined(), polygons.ends(counts), found, found, found[: len(counts)])
    with_outputs = constants.n > 0
    return polygons.rename(cells), *(rows.joined() if with_outputs else None for rows in (constants, directions))


def _check(network: Piecewise, plane: Plane) -> None:
    """Raise ValueError if a plane is not one of the inputs of a network."""
    if tuple(plane.origin.shape) != network.shape:
        raise ValueError(
            f"the plane is in inputs of shape {tuple(plane.origin.shape)}, the network takes {network.shape}; give one "
            "through three of its inputs"
        )
