"""Cuts of many polygons at once against one at a time in fractions, and lines through corners."""

from fractions import Fraction

import numpy as np
import pytest
import rational
from test_polygons import SQUARE, hulls

from actlib import clipping, polygons

TOLERANCE = 1e-12


def split(cells, values, tolerance=TOLERANCE):
    labels = polygons.mix(np.arange(len(cells.homes), dtype=np.uint64) + 99)

    def name(edges):
        return polygons.mix(cells.sides[edges] + labels[polygons.owners(cells, edges)])

    return clipping.split(cells, values, np.full(len(labels), tolerance), name, cells.homes + labels)


def line(cells, functions):
    """The values of one function (c, x, y) for each polygon at its corners."""
    rows = np.repeat(np.asarray(functions, float), polygons.sizes(cells), axis=0)
    return rows[:, 0] + (rows[:, 1:] * cells.vertices).sum(1)


def test_parts_are_those_of_exact_fractions():
    rng = np.random.default_rng(1)
    cells = polygons.join([polygons.window(points) for points in hulls(200)])
    functions = rng.normal(size=(200, 3))
    functions[:, 0] = -(functions[:, 1:] * polygons.centroids(cells)).sum(1) + rng.normal(size=200) * 1e-3
    above, below = split(cells, line(cells, functions), 1e-17)
    for part, sign in ((above, 1), (below, -1)):
        found = np.zeros(200)
        found[part.parents] = polygons.areas(part.polygons)
        for p in range(200):
            corners = cells.vertices[slice(*cells.offsets[[p, p + 1]])]
            points = [(Fraction(1), *map(Fraction, corner)) for corner in corners.tolist()]
            expected = rational.side(points, list(map(Fraction, functions[p].tolist())), sign)
            np.testing.assert_allclose(found[p], float(rational.area(expected)) if expected else 0, atol=1e-17)
    assert 50 < len(above.parents) + len(below.parents) - 200 < 200  # some were cut, some not


def corners_of(part, place=0):
    cells = part.polygons
    return cells.vertices[slice(*cells.offsets[[place, place + 1]])].tolist()


@pytest.mark.parametrize("shift", [0, 1e-13, -1e-13])
def test_a_line_through_two_corners_makes_no_new_ones(shift):
    cells = polygons.window(SQUARE)
    above, below = split(cells, line(cells, [[shift, 1, -1]]))
    assert corners_of(above) == [[0, 0], [1, 0], [1, 1]]
    assert corners_of(below) == [[0, 0], [1, 1], [0, 1]]


def test_beyond_the_tolerance_the_corner_is_cut_off():
    cells = polygons.window(SQUARE)
    above, below = split(cells, line(cells, [[1e-11, 1, -1]]))
    assert len(corners_of(above)) == 5
    assert len(corners_of(below)) == 3


@pytest.mark.parametrize("function", [[0, 1, 0], [1e-13, 1, 0], [-1e-13, 1, 0], [0, 1, 1], [5, 0, 0]])
def test_a_line_along_an_edge_or_through_one_corner_cuts_nothing(function):
    cells = polygons.window(SQUARE)
    above, below = split(cells, line(cells, [function]))
    assert corners_of(above) == SQUARE.tolist()
    assert len(below.parents) == 0


def test_where_all_is_zero_nothing_is_left_on_either_side():
    cells = polygons.window(SQUARE)
    above, below = split(cells, np.zeros(4))
    assert len(above.parents) == len(below.parents) == 0


@pytest.mark.parametrize("tiny", [1e-13, 3e-13])
def test_an_edge_as_short_as_the_tolerance_stays_one_edge_of_one_part(tiny):
    cells = polygons.window(np.array([[0, 0], [1, 0], [1, 1], [tiny, 1], [0, 1 - tiny]]))
    above, below = split(cells, line(cells, [[0.5 - tiny / 2, 0.5, -0.5]]) * 0 + line(cells, [[1 - tiny, -1, -1]]))
    both = polygons.join([above.polygons, below.polygons])
    assert polygons.mesh(both).euler == 1
    np.testing.assert_allclose(polygons.areas(both).sum(), polygons.areas(cells)[0], rtol=1e-12)


def test_neighbours_name_a_new_corner_alike_though_rounding_puts_it_elsewhere():
    cells = polygons.window(SQUARE)
    halves = split(cells, line(cells, [[-0.5, 1, 0]]))
    both = polygons.rename(polygons.join([half.polygons for half in halves]))
    # The same function on the common edge x = 0.5, up to rounding, and another one beside it.
    values = line(both, [[-0.3, 0.1, 1], [-0.3 - 1.1 * 0.5 + 1e-15, 1.2, 1]])

    def name(edges):
        return polygons.mix(both.sides[edges] + np.uint64(5))

    parts = clipping.split(both, values, np.full(2, TOLERANCE), name, both.homes + np.uint64(5))
    four = polygons.join([part.polygons for part in parts])
    mesh = polygons.mesh(four)
    assert (len(four.homes), mesh.euler) == (4, 1)
    wrong = polygons.mesh(four._replace(names=polygons.mix(four.vertices.view(np.uint64).sum(1))))
    assert wrong.euler != 1  # by their places alone they would be two


def test_keep_is_the_positive_part_of_split():
    cells = polygons.join([polygons.window(points) for points in hulls(30)])
    values = (
        np.random.default_rng(0).normal(size=30).repeat(polygons.sizes(cells)) + line(cells, np.ones((30, 3))) * 1e3
    )
    values -= np.repeat(np.add.reduceat(values, cells.offsets[:-1]) / polygons.sizes(cells), polygons.sizes(cells))
    names = []
    one = clipping.keep(cells, values, np.zeros(30), lambda e: names.append(e) or cells.sides[e], cells.homes)
    two, _ = clipping.split(cells, values, np.zeros(30), lambda e: cells.sides[e], cells.homes)
    np.testing.assert_array_equal(one.polygons.vertices, two.polygons.vertices)
    np.testing.assert_array_equal(one.parents, two.parents)
    assert len(names) == 1
    assert len(names[0]) == 60
