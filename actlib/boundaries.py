"""The lines in a slice: where a unit changes, where a layer cuts, and where another class begins."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from actlib import polygons
from actlib.cutters import Windows
from actlib.polygons import Polygons
from actlib.slices import Partition
from actlib.subdivision import subdivide

# Cells whose outputs are compared at a time.
_BLOCK = 2**14


class Classes(NamedTuple):
    """The cells of a partition, cut where another output becomes the largest.

    Attributes
    ----------
    cells
        The polygons.
    owners
        (q), the polygon of the partition that each is part of.
    classes
        (q), the largest output; of equal ones the first.
    """

    cells: Polygons
    owners: Int64[ndarray, " q"]
    classes: Int64[ndarray, " q"]


def classes(partition: Partition) -> Classes:
    """Return where each output is the largest, exactly: ``polygons.borders`` of these are the decision boundaries.

    Raises
    ------
    ValueError
        If the partition has no outputs, or they are not two numbers or more.
    """
    constant, directions = partition.constant, partition.directions
    if constant is None or constant.ndim != 2 or constant.shape[1] < 2:
        found = "ends at a gate" if constant is None else f"has outputs of shape {constant.shape[1:]}"
        raise ValueError(f"the partition {found}; classes need one that goes on to two outputs or more, in a row")
    window, reach = np.arange(constant.shape[1])[None], float(np.abs(partition.cells.vertices).max())
    parts = []
    for start in range(0, len(partition), _BLOCK):
        index = np.arange(start, min(start + _BLOCK, len(partition)))
        cutters = Windows(constant[index], directions[index], window, reach, len(partition.levels))
        for part in subdivide(polygons.take(partition.cells, index), cutters, _BLOCK):
            parts.append((part.cells, index[part.parents], part.choices[:, 0]))
    cells, owners, found = zip(*parts, strict=True)
    return Classes(polygons.join(list(cells)), np.concatenate(owners), np.concatenate(found))


def edge_gates(partition: Partition) -> Int64[ndarray, " e"]:
    """Return for each edge of the mesh the first gate whose choice differs on its two sides, -1 at the window's rim."""
    ancestors, neighbours = partition.ancestors(), partition.mesh.neighbours
    differ = ancestors[neighbours[:, 0]] != ancestors[neighbours[:, 1]]
    return np.where(neighbours[:, 1] == polygons.OUTSIDE, -1, differ.argmax(1))


def lines(partition: Partition, name: str, unit: int) -> Float64[ndarray, "e 2 2"]:
    """Return the edges, as two ends each, along which a unit of a gate changes: where it is zero.

    Units are counted in a flat layer. Of max-pooling it is where the window takes another place.

    Raises
    ------
    ValueError
        If there is no such gate or unit.
    """
    if name not in partition.levels:
        raise ValueError(f"unknown gate {name!r}; the partition has {list(partition.levels)}")
    level, place = partition.levels[name], list(partition.levels).index(name)
    if not 0 <= unit < level.gate.n_units:
        raise ValueError(f"unit = {unit}; {name} has 0 to {level.gate.n_units - 1}")
    return polygons.borders(partition.mesh, level.of(unit)[partition.ancestors()[:, place]])
