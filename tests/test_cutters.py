"""What cuts a cell: discs that are passed over never hide a cut, and windows are those of an argmax."""

import numpy as np
import pytest

from actlib import cutters, polygons, subdivision

from test_polygons import hulls  # isort: skip

TABLE = np.array([[0, 1, 2, 5], [2, 3, 4, -1], [1, 2, 3, 4]])  # windows overlap, and one leaves the plane


def cells_of(n=40, seed=0):
    points = [(hull - 7) * 1e3 for hull in hulls(n, seed)]
    return polygons.join([polygons.window(hull) for hull in points])


def functions(n, n_values, seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, n_values)) * 2, rng.normal(size=(n, 2, n_values))


def values_at(constant, directions, cells):
    """Values at the corners of each cell, one list for each."""
    return [
        constant[p] + cells.vertices[slice(*cells.offsets[[p, p + 1]])] @ directions[p] for p in range(len(cells.homes))
    ]


def pairs(n, m):
    return np.repeat(np.arange(n), m), np.tile(np.arange(m), n)


def test_units_cut_where_corners_have_both_signs_and_the_survey_misses_none():
    cells, (constant, directions) = cells_of(), functions(40, 30)
    units = cutters.Units(constant, directions, 5.0, 0)
    at = values_at(constant, directions, cells)
    mixed = np.array([(v.min(0) < 0) & (v.max(0) > 0) for v in at])
    on = np.array([v.max(0) > 0 for v in at])
    choices, suspects = units.survey(*polygons.discs(cells))
    assert not (mixed & ~suspects).any()
    assert (suspects & ~mixed).any()  # a disc is larger than its cell
    np.testing.assert_array_equal(choices[~suspects], on[~suspects])
    cut, found = units.judge(cells, np.arange(40), *pairs(40, 30))
    np.testing.assert_array_equal(cut.reshape(40, 30), mixed)
    np.testing.assert_array_equal(found.reshape(40, 30)[~mixed], on[~mixed])


def test_a_cell_is_divided_by_one_unit_into_two_that_share_an_edge():
    cells, (constant, directions) = cells_of(), functions(40, 1)
    units = cutters.Units(constant, directions, 5.0, 0)
    cut, _ = units.judge(cells, np.arange(40), *pairs(40, 1))
    roots = np.flatnonzero(cut)
    cells = polygons.rename(polygons.take(cells, roots))
    parts, parents, choices = units.divide(cells, roots, np.zeros(len(roots), int))
    assert len(parents) == 2 * len(roots) == 2 * choices.sum()
    sums = np.bincount(parents, polygons.areas(parts))
    np.testing.assert_allclose(sums, polygons.areas(cells))
    for p in range(len(roots)):
        mine = polygons.take(parts, np.flatnonzero(parents == p))
        assert polygons.mesh(mine).euler == 1
    middle = polygons.centroids(parts)
    value = constant[roots[parents], 0] + (middle * directions[roots[parents], :, 0]).sum(1)
    np.testing.assert_array_equal(value > 0, choices)


def largest(constant, directions, points):
    """The candidate of each window at points of one plane, by a slow loop."""
    found = []
    for point in points:
        values = constant + point @ directions
        found.append([max((k for k in range(4) if row[k] >= 0), key=lambda k: values[row[k]]) for row in TABLE])
    return np.array(found)


def test_windows_are_judged_as_by_all_their_corners():
    cells, (constant, directions) = cells_of(), functions(40, 6)
    windows = cutters.Windows(constant, directions, TABLE, 5.0, 0)
    corners = [
        largest(constant[p], directions[p], c) for p, c in enumerate(np.split(cells.vertices, cells.offsets[1:-1]))
    ]
    mixed = np.array([(c != c[0]).any(0) for c in corners])
    choices, suspects = windows.survey(*polygons.discs(cells))
    assert not (mixed & ~suspects).any()
    np.testing.assert_array_equal(choices[~suspects], np.array([c[0] for c in corners])[~suspects])
    cut, found = windows.judge(cells, np.arange(40), *pairs(40, 3))
    np.testing.assert_array_equal(cut.reshape(40, 3), mixed)
    np.testing.assert_array_equal(found[~cut], np.array([c[0] for c in corners])[~mixed])


@pytest.mark.parametrize("seed", range(4))
def test_cells_between_windows_that_overlap_are_those_of_the_argmax(seed):
    constant, directions = functions(1, 6, seed)
    windows = cutters.Windows(constant * 0.3, directions, TABLE, 5.0, 0)
    box = polygons.window(np.array([[-3.0, -3], [3, -3], [3, 3], [-3, 3]]))
    (part,) = subdivision.subdivide(box, windows, 1000)
    np.testing.assert_array_equal(
        part.choices, largest(constant[0] * 0.3, directions[0], polygons.centroids(part.cells))
    )
    assert polygons.mesh(part.cells).euler == 1
    np.testing.assert_allclose(polygons.areas(part.cells).sum(), 36)
    assert len(np.unique(part.choices, axis=0)) == len(part.choices) > 4
    grid = np.random.default_rng(0).uniform(-3, 3, (5_000, 2))
    seen = {tuple(row) for row in largest(constant[0] * 0.3, directions[0], grid).tolist()}
    assert seen <= {tuple(row) for row in part.choices.tolist()}


def n_points(cells):
    """How many points there are by their names, and by their places."""
    return len(np.unique(cells.names)), len(np.unique(np.round(cells.vertices, 9), axis=0))


@pytest.mark.parametrize("seed", range(4))
def test_a_point_between_three_candidates_has_one_name(seed):
    constant, directions = functions(1, 6, seed)
    windows = cutters.Windows(constant * 0.3, directions, TABLE, 5.0, 0)
    box = polygons.window(np.array([[-3.0, -3], [3, -3], [3, 3], [-3, 3]]))
    (part,) = subdivision.subdivide(box, windows, 1000)
    by_name, by_place = n_points(part.cells)
    assert by_name == by_place > 6


def test_a_point_of_an_edge_has_one_name_though_two_candidates_are_the_same_on_one_side_only():
    box = polygons.window(np.array([[-3.0, -3], [3, -3], [3, 3], [-3, 3]]))
    unit = cutters.Units(np.zeros((1, 1)), np.array([[[1.0], [0.0]]]), 3.0, 0)
    (halves,) = subdivision.subdivide(box, unit, 9)  # x > 0 and x < 0
    constant = np.array([[0.0, 0.0, 0.5]]).repeat(2, 0)
    directions = np.zeros((2, 2, 3))
    directions[:, 1, :2] = 1  # y, y and 0.5; where x > 0 the second is y + x
    directions[halves.choices[:, 0], 0, 1] = 1
    windows = cutters.Windows(constant, directions, np.array([[0, 1, 2]]), 3.0, 1)
    (part,) = subdivision.subdivide(halves.cells, windows, 9)
    assert n_points(part.cells) == (9, 9)
    assert sorted(zip(part.parents.tolist(), part.choices[:, 0].tolist(), strict=True)) == sorted(
        (half, choice) for half in (0, 1) for choice in (2, 1 if halves.choices[half, 0] else 0)
    )


def test_of_candidates_that_are_the_same_function_the_first_counts():
    constant, directions = functions(1, 6)
    constant[:, 5], directions[:, :, 5] = constant[:, 0], directions[:, :, 0]
    windows = cutters.Windows(constant, directions, TABLE[:1], 5.0, 0)
    box = polygons.window(np.array([[-3.0, -3], [3, -3], [3, 3], [-3, 3]]) * 9)
    (part,) = subdivision.subdivide(box, windows, 1000)
    assert set(part.choices[:, 0].tolist()) == {0, 1, 2}
    assert polygons.mesh(part.cells).euler == 1


def test_the_tolerance_is_that_of_the_unit_and_never_less_than_rounding_of_its_layer():
    found = cutters.tolerance(np.array([[1.0, 1e-3, 1e-9], [1e6, 1, 0]]))
    np.testing.assert_allclose(
        found, [[1.01e-12, 1.1e-14, 1.0001e-14 - 1e-20 + 1e-21], [1.01e-6, 1.0001e-8, 1e-8]], rtol=1e-3
    )
