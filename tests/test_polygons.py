"""Many polygons at once against one at a time: SciPy's hulls, triangles, and meshes counted by hand."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull, Delaunay

from actlib import polygons

SQUARE = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])


def hulls(n=50, seed=0):
    """Convex polygons of 3 to 12 corners, far from the origin and small."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(n):
        points = rng.normal(size=(rng.integers(3, 25), 2)) * 1e-3 + 7
        found.append(points[ConvexHull(points).vertices])
    return found


def centre_of_triangles(points):
    simplices = points[Delaunay(points).simplices]
    sizes = np.abs(np.linalg.det(simplices[:, 1:] - simplices[:, :1]))
    return (simplices.mean(1) * sizes[:, None]).sum(0) / sizes.sum()


def placed(corners):
    """Polygons whose names follow from the places of their corners: a mesh, if corners are shared."""
    parts = [polygons.window(np.array(part, float)) for part in corners]
    named = [part._replace(names=polygons.mix((part.vertices @ [1000, 1]).astype(np.uint64) + 7)) for part in parts]
    return polygons.rename(polygons.join([part._replace(homes=part.names[:1]) for part in named]))


def test_areas_centroids_and_discs_are_those_of_each_polygon_alone():
    given = hulls()
    cells = polygons.join([polygons.window(points) for points in given])
    np.testing.assert_allclose(polygons.areas(cells), [ConvexHull(points).volume for points in given], rtol=1e-9)
    np.testing.assert_allclose(polygons.centroids(cells), [centre_of_triangles(p) for p in given], rtol=1e-13)
    centres, radii = polygons.discs(cells)
    np.testing.assert_allclose(centres, [points.mean(0) for points in given])
    farthest = [np.linalg.norm(points - points.mean(0), axis=1).max() for points in given]
    np.testing.assert_allclose(radii, farthest)
    assert polygons.sizes(cells).tolist() == [len(points) for points in given]


def test_taken_polygons_may_repeat_and_keep_everything():
    cells = polygons.join([polygons.window(points) for points in hulls(5)])
    index = np.array([3, 0, 3])
    found = polygons.take(cells, index)
    for place, old in enumerate(index):
        mine, theirs = (slice(*part.offsets[[i, i + 1]]) for part, i in ((found, place), (cells, old)))
        np.testing.assert_array_equal(found.vertices[mine], cells.vertices[theirs])
        np.testing.assert_array_equal(found.sides[mine], cells.sides[theirs])
    np.testing.assert_array_equal(
        polygons.owners(found, np.arange(len(found.names))), np.repeat([0, 1, 2], np.diff(found.offsets))
    )
    assert polygons.areas(polygons.take(cells, index[:0])).shape == (0,)


def test_either_sense_gives_the_same_window():
    one, other = polygons.window(SQUARE), polygons.window(SQUARE[::-1])
    np.testing.assert_array_equal(polygons.areas(one), polygons.areas(other))
    np.testing.assert_array_equal(polygons.areas(other), [1.0])


def test_the_mesh_of_four_squares():
    cells = placed([SQUARE + shift for shift in ([0, 0], [1, 0], [0, 1], [1, 1])])
    mesh = polygons.mesh(cells)
    assert (len(mesh.points), len(mesh.edges), mesh.euler) == (9, 12, 1)
    inner = mesh.neighbours[mesh.neighbours[:, 1] >= 0]
    assert sorted(map(sorted, inner.tolist())) == [[0, 1], [0, 2], [1, 3], [2, 3]]
    np.testing.assert_array_equal(mesh.points[mesh.corners], cells.vertices)
    found = polygons.borders(mesh, np.array([0, 0, 1, 1]))
    np.testing.assert_array_equal(found[:, :, 1], 1)  # the two edges on y = 1
    assert sorted(found[:, :, 0].sum(1).tolist()) == [1, 3]
    assert len(polygons.borders(mesh, np.zeros(4))) == 0


def test_a_corner_that_one_neighbour_does_not_know_is_seen():
    halves = [[[0, 0], [1, 0], [1, 2], [0, 2]], [[1, 0], [2, 0], [2, 1], [1, 1]], [[1, 1], [2, 1], [2, 2], [1, 2]]]
    assert polygons.mesh(placed(halves)).euler == 0
    halves[0].insert(2, [1, 1])
    assert polygons.mesh(placed(halves)).euler == 1


def test_points_with_two_names_are_one_where_an_edge_has_no_partner():
    cells = placed([SQUARE, SQUARE + np.array([1, 0]), SQUARE + np.array([0, 1]), SQUARE + np.array([1, 1])])
    expected, names = polygons.mesh(cells), cells.names.copy()
    middle = np.flatnonzero((cells.vertices == 1).all(1))
    names[middle[:2]] = [1, 2]  # three names for the point in the middle
    moved = cells.vertices.copy()
    moved[middle[0]] += 1e-14
    found = polygons.mesh(cells._replace(names=names, vertices=moved))
    assert (len(found.points), len(found.edges), found.euler) == (9, 12, 1)
    assert (np.sort(found.neighbours, 1)[:, 0] == -1).sum() == (expected.neighbours[:, 1] == -1).sum()
    moved[middle[0]] += 1e-6  # as far away it is another point
    assert polygons.mesh(cells._replace(names=names, vertices=moved)).euler != 1


def test_an_edge_of_the_rim_may_be_short():
    tiny = [[0, 0], [1, 0], [1, 1], [1e-11, 1], [0, 1 - 1e-11]]
    mesh = polygons.mesh(polygons.window(np.array(tiny)))
    assert (len(mesh.points), len(mesh.edges), mesh.euler) == (5, 5, 1)


def test_a_hole_is_seen():
    ring = [SQUARE + np.array([x, y]) for x in range(3) for y in range(3) if (x, y) != (1, 1)]
    assert polygons.mesh(placed(ring)).euler == 0


def test_names_of_sides_are_the_same_from_both_sides_and_differ_otherwise():
    cells = placed([SQUARE, SQUARE + np.array([1, 0])])
    assert len(set(cells.sides.tolist())) == 7
    assert cells.homes[0] != cells.homes[1]


@pytest.mark.parametrize(
    ("corners", "message"),
    [
        (SQUARE[:2], r"shape \(2, 2\); give three finite points"),
        (np.zeros((3, 3)), r"shape \(3, 3\)"),
        ([[0, 0], [1, 0], [np.nan, 1]], "give three finite points"),
        ([[0, 0], [1, 1], [2, 2]], "no area"),
        ([[0, 0], [1, 0], [1, 1e-14]], "no area"),
        (np.zeros((4, 2)), "no area"),
        (SQUARE[[0, 1, 1, 2, 3]], "not those of a convex polygon in order, each once"),
        (SQUARE[[0, 1, 3, 2]] + [[0, 0], [0, 0], [0, 0.5], [0, 0]], "not those of a convex polygon"),
        ([[0, 0], [4, 0], [4, 4], [2, 1]], "not those of a convex polygon"),
        (np.stack([np.cos(t := np.arange(5) * 4 * np.pi / 5), np.sin(t)], 1), "not those of a convex polygon"),
    ],
)
def test_what_is_no_window_is_refused(corners, message):
    with pytest.raises(ValueError, match=message):
        polygons.window(np.array(corners, float))
