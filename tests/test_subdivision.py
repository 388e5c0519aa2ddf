"""Cells cut by many lines against closed forms, exact fractions and regular grids; in blocks of any size."""

import numpy as np
import pytest
import rational
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from actlib import cutters, polygons, subdivision

BOX = np.array([[-4.0, -4], [4, -4], [4, 4], [-4, 4]])


def cut(lines, n_block=1000):
    """The cells of the box between lines (c, x, y)."""
    lines = np.asarray(lines, float)
    units = cutters.Units(lines[None, :, 0], lines[None, :, 1:].transpose(0, 2, 1), 4.0, 0)
    parts = list(subdivision.subdivide(polygons.window(BOX), units, n_block))
    assert all(0 < len(part.parents) <= n_block for part in parts)
    return polygons.join([part.cells for part in parts]), np.concatenate([part.choices for part in parts])


def check(cells, choices):
    assert polygons.mesh(cells).euler == 1
    np.testing.assert_allclose(polygons.areas(cells).sum(), 64)
    assert len(np.unique(choices, axis=0)) == len(choices)


@pytest.mark.parametrize("n", [1, 2, 7, 60])
def test_lines_through_one_point_make_twice_as_many_cells(n):
    angles = np.random.default_rng(n).random(n) * np.pi
    through = np.stack([-0.3 * np.cos(angles) - 0.7 * np.sin(angles), np.cos(angles), np.sin(angles)], 1)
    cells, choices = cut(through)
    check(cells, choices)
    assert len(choices) == 2 * n


@pytest.mark.parametrize("k", [3, 7])
def test_a_grid_with_diagonals_through_its_corners(k):
    at = (np.arange(k) - k // 2) * 8 / (k + 1)
    flat = [(-a, 1, 0) for a in at] + [(-a, 0, 1) for a in at]
    cells, choices = cut(flat)
    check(cells, choices)
    assert len(choices) == (k + 1) ** 2
    cells, choices = cut([*flat, (0, 1, 1), (0, 1, -1)])
    check(cells, choices)
    assert len(choices) == (k + 1) ** 2 + 2 * (k + 1)  # each diagonal halves k + 1 squares, none twice


@settings(max_examples=40, deadline=None, derandomize=True)
@given(arrays.arrays(np.int64, st.tuples(st.integers(1, 9), st.just(3)), elements=st.integers(-3, 3)))
def test_lines_with_whole_numbers_are_cut_as_in_fractions(lines):
    cells, choices = cut(lines)
    check(cells, choices)
    layer = ("affine", lines[:, 1:].tolist(), lines[:, 0].tolist())
    expected = rational.regions([layer, ("relu",)], BOX.astype(int).tolist())
    areas = {pattern: float(rational.area(points)) for points, pattern, _ in expected}
    found = dict(zip(map(tuple, choices.tolist()), polygons.areas(cells), strict=True))
    assert found.keys() == areas.keys()
    np.testing.assert_allclose([found[key] for key in areas], list(areas.values()))


def test_lines_as_near_as_rounding_are_one_and_farther_ones_two():
    for shift, n_cells in ((1e-14, 2), (1e-10, 3)):
        cells, choices = cut([(0.1, 1, 1), (0.1 + shift, 1, 1)])
        check(cells, choices)
        assert len(choices) == n_cells


def test_blocks_of_any_size_hold_the_same_cells(monkeypatch):
    lines = np.random.default_rng(0).normal(size=(14, 3))
    cells, choices = cut(lines)
    monkeypatch.setattr(subdivision, "_CELLS", 3)
    monkeypatch.setattr(subdivision, "_PAIRS", 10)
    for n_block in (2, 17):
        other_cells, other = cut(lines, n_block)
        check(other_cells, other)
        orders = np.lexsort(choices.T), np.lexsort(other.T)
        np.testing.assert_array_equal(choices[orders[0]], other[orders[1]])
        np.testing.assert_allclose(polygons.areas(cells)[orders[0]], polygons.areas(other_cells)[orders[1]], rtol=1e-9)


def test_few_blocks_are_held_on_the_way():
    """Sixty lines have some 1,000 cells; the first block is there long before the last."""
    lines = np.random.default_rng(0).normal(size=(60, 3))
    units = cutters.Units(lines[None, :, 0], lines[None, :, 1:].transpose(0, 2, 1), 4.0, 0)
    judged = []
    judge = units.judge
    units.judge = lambda cells, *rest: judged.append(len(cells.homes)) or judge(cells, *rest)
    subdivision_cells, subdivision._CELLS = subdivision._CELLS, 50
    try:
        parts = subdivision.subdivide(polygons.window(BOX), units, 20)
        next(parts)
        first = sum(judged)
        n_cells = 20 + sum(len(part.parents) for part in parts)
    finally:
        subdivision._CELLS = subdivision_cells
    assert first < sum(judged) / 4
    assert max(judged) <= 100 < n_cells


def test_where_nothing_cuts_cells_come_back():
    cells, choices = cut([(9, 1, 1), (-9, 1, 1), (0, 0, 0)])
    np.testing.assert_array_equal(cells.vertices, BOX)
    assert choices.tolist() == [[True, False, False]]
