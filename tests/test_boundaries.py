"""Lines of units and classes against values on both sides, total lengths and the argmax of a grid."""

import numpy as np
import pytest
import torch
from test_slices import SQUARE, UNIT, convnet, inside, mlp, seeded
from torch import nn

from actlib import boundaries, piecewise, planes, polygons, slices


def partition(model, shape, scale=0.3, **options):
    network = piecewise.trace(model, shape)
    plane = planes.through(*torch.randn(3, *shape, generator=seeded(1)))
    return network, slices.partition(network, plane, plane.corners.mean(0) + SQUARE * scale, **options)


def lengths(edges):
    return np.linalg.norm(edges[:, 1] - edges[:, 0], axis=1)


@pytest.mark.parametrize(("model", "shape"), [(mlp(6, 15, 15, 5), (6,)), (convnet("before"), (1, 8, 8))])
def test_classes_are_the_largest_output_of_each_piece_and_fill_the_window(model, shape):
    # Shifted so that all classes meet in the middle of the window.
    plane = planes.through(*torch.randn(3, *shape, generator=seeded(1)))
    with torch.no_grad():
        model[-1].bias -= model(plane.points(plane.corners.mean(0)[None]).float())[0]
    network, part = partition(model, shape, scale=1)
    found = boundaries.classes(part)
    x = part.plane.points(polygons.centroids(found.cells))
    np.testing.assert_array_equal(found.classes, network(x).argmax(1))
    sums = np.bincount(found.owners, polygons.areas(found.cells), minlength=len(part))
    np.testing.assert_allclose(sums, part.areas, atol=1e-12 * part.areas.sum())
    mesh = polygons.mesh(found.cells)
    assert mesh.euler == 1
    assert len(np.unique(found.classes)) > 1
    # On the lines between classes the two largest outputs are the same.
    edges = polygons.borders(mesh, found.classes)
    best = network(part.plane.points(edges.reshape(-1, 2))).topk(2, dim=1).values
    torch.testing.assert_close(best[:, 0], best[:, 1], atol=1e-9, rtol=0)
    grid = np.random.default_rng(0).uniform(-1, 1, (20_000, 2)) * 3 + part.plane.corners.mean(0)
    shares = np.bincount(network(part.plane.points(grid)).argmax(1), minlength=network.output_shape[0]) / len(grid)
    areas = np.bincount(found.classes, polygons.areas(found.cells), minlength=len(shares))
    np.testing.assert_allclose(areas / areas.sum(), shares, atol=0.02)


def test_three_classes_that_meet_in_a_point_are_cut_there():
    model = nn.Linear(2, 3).eval()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.0, 1], [1, -1], [-1, -1]]))
        model.bias.zero_()
    part = slices.partition(piecewise.trace(model, (2,)), UNIT, SQUARE)
    found = boundaries.classes(part)
    mesh = polygons.mesh(found.cells)
    assert (sorted(found.classes.tolist()), mesh.euler) == ([0, 1, 2], 1)
    edges = polygons.borders(mesh, found.classes)
    assert len(edges) == 3
    np.testing.assert_allclose(np.abs(edges).sum(2).min(1), 0, atol=1e-15)


def test_of_equal_outputs_the_first_counts():
    model = nn.Linear(2, 3).eval()
    with torch.no_grad():
        model.weight.zero_()
        model.bias.copy_(torch.tensor([0.0, 1, 1]))
    found = boundaries.classes(slices.partition(piecewise.trace(model, (2,)), UNIT, SQUARE))
    assert found.classes.tolist() == [1]


def test_a_unit_changes_where_it_is_zero_and_nowhere_else():
    model = mlp(6, 15, 15, 5)
    network, part = partition(model, (6,), scale=2)
    total = 0
    for name in network.gates:
        for unit in range(15):
            edges = boundaries.lines(part, name, unit)
            x = part.plane.points(edges.reshape(-1, 2)).float()
            values = model[: int(name)](x)[:, unit]
            torch.testing.assert_close(values, torch.zeros_like(values), atol=1e-5, rtol=0)
            total += lengths(edges).sum()
    rim = 4 * 12.0
    mesh = part.mesh
    every = lengths(mesh.points[mesh.edges])
    np.testing.assert_allclose(total, every.sum() - rim)
    gates = boundaries.edge_gates(part)
    np.testing.assert_allclose(every[gates == -1].sum(), rim)
    for at, name in enumerate(network.gates):
        mine = sum(lengths(boundaries.lines(part, name, unit)).sum() for unit in range(15))
        np.testing.assert_allclose(every[gates == at].sum(), mine)


def test_a_line_of_the_first_layer_is_straight_and_those_behind_it_bend():
    network, part = partition(mlp(6, 15, 15, 5), (6,), scale=2)

    def bends(name):
        found = 0
        for unit in range(15):
            edges = boundaries.lines(part, name, unit)
            angles = np.arctan2(*(edges[:, 1] - edges[:, 0]).T) % np.pi
            found += len(np.unique(np.round(angles[lengths(edges) > 1e-3], 6) % np.round(np.pi, 6))) > 1
        return found

    first, second = network.gates
    assert bends(first) == 0
    assert bends(second) > 5


def test_windows_of_pooling_change_where_two_values_are_the_same():
    network, part = partition(convnet("behind"), (1, 8, 8), scale=1)
    name = next(name for name, gate in network.gates.items() if gate.kind == "max")
    found = [boundaries.lines(part, name, unit) for unit in range(network.gates[name].n_units)]
    assert sum(map(len, found)) > 10
    x = inside(part)
    assert part.pattern().same(network.pattern(x)).all()


def test_what_has_no_answer_is_refused():
    _, part = partition(mlp(6, 15, 2), (6,))
    with pytest.raises(ValueError, match=r"unknown gate 'relu'; the partition has \['1'\]"):
        boundaries.lines(part, "relu", 0)
    for unit in (-1, 15):
        with pytest.raises(ValueError, match=rf"unit = {unit}; 1 has 0 to 14"):
            boundaries.lines(part, "1", unit)
    _, ended = partition(mlp(6, 15, 2), (6,), last="1")
    with pytest.raises(ValueError, match="ends at a gate; classes need one that goes on"):
        boundaries.classes(ended)
    _, single = partition(mlp(6, 15, 1), (6,))
    with pytest.raises(ValueError, match=r"outputs of shape \(1,\)"):
        boundaries.classes(single)
