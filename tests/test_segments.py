"""Segments against exact fractions, fine grids, slow loops and the straight line of TH11."""

import numpy as np
import pytest
import rational
import torch
from hypothesis import given, settings
from test_slices import Residual, convnet, filled, mlp, networks, seeded, torch_network
from torch import nn

from actlib import growth, piecewise, segments


def ends(s, *shape, seed=0):
    return torch.randn(2, s, *shape, dtype=torch.float64, generator=seeded(seed))


def flat(found):
    choices = [choice.flatten(1).long() for choice in found.pattern().choices.values()]
    return torch.cat(choices, 1).numpy() if choices else np.zeros((len(found.pieces.owners), 0), int)


def along(first, second, owners, times):
    start = first[owners]
    return start + torch.from_numpy(times).view(-1, *[1] * (start.ndim - 1)) * (second - first)[owners]


def middles(found, first, second):
    return along(first, second, found.pieces.owners, (found.pieces.starts + found.pieces.stops) / 2)


def stepped(network, first, second, n=20_001):
    """The number of changes of each gate between the points of a grid."""
    times = torch.linspace(0, 1, n, dtype=torch.float64).view(-1, *[1] * first.ndim)
    pattern = network.pattern(first + times * (second - first))
    return [int((bits[1:] != bits[:-1]).sum()) for bits in pattern.choices.values()]


@settings(max_examples=80, deadline=None, derandomize=True)
@given(networks())
def test_pieces_are_those_of_exact_fractions_also_with_several_units_at_one_time(layers):
    first, second = (
        torch.tensor([[-2.0, 1], [0, 0], [-1, -1], [3, 1]]),
        torch.tensor([[2.0, -1], [1, 2], [-1, -1], [1, 1]]),
    )
    found = segments.between(piecewise.trace(torch_network(layers), (2,)), first, second)
    for s, (a, b) in enumerate(zip(first.int().tolist(), second.int().tolist(), strict=True)):
        at_line = ("affine", [[y - x] for x, y in zip(a, b, strict=True)], a)
        expected = rational.regions([at_line, *layers], [(0,), (1,)])
        # An interval of no length for the oracle, too: one point has one region.
        expected = sorted(expected, key=lambda cell: cell[0][0])
        mine = slice(*found.offsets[[s, s + 1]])
        np.testing.assert_array_equal(flat(found)[mine], [list(map(int, cell[1])) for cell in expected])
        np.testing.assert_allclose(found.pieces.starts[mine], [float(cell[0][0][1]) for cell in expected], atol=1e-10)
        maps = np.array([cell[2] for cell in expected], float)
        np.testing.assert_allclose(found.constant[mine], maps[:, :, 0], atol=1e-9)
        np.testing.assert_allclose(found.directions[mine], maps[:, :, 1], atol=1e-9)


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (mlp(6, 20, 20, 20, 3), (6,)),
        (convnet("behind"), (1, 8, 8)),
        (convnet("before"), (1, 8, 8)),
        (filled(Residual()), (1, 4, 4)),
    ],
)
def test_a_fine_grid_sees_the_same_changes_and_a_coarse_one_never_more(model, shape):
    network = piecewise.trace(model, shape)
    first, second = ends(3, *shape)
    found = segments.between(network, first, second)
    assert found.pattern().same(network.pattern(middles(found, first, second))).all()
    x = along(first, second, found.pieces.owners, found.pieces.starts)
    outputs = found.constant + found.pieces.starts[:, None] * found.directions
    np.testing.assert_allclose(outputs, network(x), atol=1e-12)
    for s in range(3):
        np.testing.assert_array_equal(found.counts()[s], stepped(network, first[s], second[s]))
        assert (stepped(network, first[s], second[s], 15) <= found.counts()[s]).all()
    assert found.counts().sum() > 30


def test_crossings_are_the_changes_from_piece_to_piece_in_order():
    network = piecewise.trace(convnet("behind"), (1, 8, 8))
    found = segments.between(network, *ends(4, 1, 8, 8))
    widths = [gate.n_units for gate in network.gates.values()]
    slow = []
    for p in range(1, len(found.pieces.owners)):
        if found.pieces.owners[p] == found.pieces.owners[p - 1]:
            assert found.pieces.starts[p] == found.pieces.stops[p - 1]
            for place in np.flatnonzero(flat(found)[p] != flat(found)[p - 1]):
                gate = int(np.searchsorted(np.cumsum(widths), place, side="right"))
                slow.append((found.pieces.owners[p], found.pieces.starts[p], gate, place - sum(widths[:gate])))
    np.testing.assert_array_equal(np.array(slow), np.stack(found.crossings, 1))
    for s in range(4):
        first, last = flat(found)[found.offsets[s]], flat(found)[found.offsets[s + 1] - 1]
        parts = np.split(first != last, np.cumsum(widths)[:-1])
        np.testing.assert_array_equal(found.distances()[s], [part.sum() for part in parts])
    assert (found.pieces.starts[found.offsets[:-1]] == 0).all()
    assert (found.pieces.stops[found.offsets[1:] - 1] == 1).all()


def test_units_of_the_first_layer_change_once_at_most_and_later_ones_more_often():
    network = piecewise.trace(mlp(10, 60, 60, 60, 2), (10,))
    found = segments.between(network, *ends(40, 10))
    np.testing.assert_array_equal(found.counts()[:, 0], found.distances()[:, 0])
    assert (found.counts() >= found.distances()).all()
    assert (found.counts()[:, 2] > found.distances()[:, 2]).any()
    assert ((found.counts() - found.distances()) % 2 == 0).all()


def test_the_way_back_is_the_same():
    network = piecewise.trace(convnet("before"), (1, 8, 8))
    first, second = ends(5, 1, 8, 8)
    there, back = segments.between(network, first, second), segments.between(network, second, first)
    np.testing.assert_array_equal(there.counts(), back.counts())
    np.testing.assert_allclose(np.sort(there.crossings.times), np.sort(1 - back.crossings.times), atol=1e-12)


def test_an_end_on_a_boundary_counts_to_the_side_where_the_segment_is():
    model = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1), nn.ReLU()).eval()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        model[0].bias.zero_()
        model[2].weight.copy_(torch.tensor([[1.0, -1.0]]))
        model[2].bias.zero_()
    network = piecewise.trace(model, (1,))
    found = segments.between(network, torch.tensor([[0.0], [0], [-1], [0]]), torch.tensor([[1.0], [-1], [1], [0]]))
    # Through 0, where three units of two layers change at once; no other segment meets a change.
    np.testing.assert_array_equal(found.counts(), [[0, 0], [0, 0], [2, 1], [0, 0]])
    assert found.crossings.times.tolist() == [0.5, 0.5, 0.5]
    assert found.crossings.units.tolist() == [0, 1, 0]
    np.testing.assert_array_equal(flat(found), [[1, 0, 1], [0, 1, 0], [0, 1, 0], [1, 0, 1], [0, 0, 0]])


def test_the_same_input_twice_gives_one_piece_with_its_pattern():
    network = piecewise.trace(mlp(5, 30, 30, 2), (5,))
    first, second = ends(3, 5)
    found = segments.between(network, first, torch.stack([first[0], second[1], first[2]]))
    assert np.diff(found.offsets)[[0, 2]].tolist() == [1, 1]
    assert found.counts()[[0, 2]].sum() == found.distances()[[0, 2]].sum() == 0
    assert found.pattern(found.offsets[[0, 2]]).same(network.pattern(first[[0, 2]])).all()


def test_blocks_of_any_size_and_segments_alone_give_the_same(monkeypatch):
    network = piecewise.trace(convnet("before"), (1, 8, 8))
    first, second = ends(6, 1, 8, 8)
    one = segments.between(network, first, second)
    alone = segments.between(network, first[3:4], second[3:4])
    np.testing.assert_array_equal(alone.counts()[0], one.counts()[3])
    monkeypatch.setattr(growth, "_BLOCK", 3)
    other = segments.between(network, first, second)
    np.testing.assert_array_equal(flat(one), flat(other))
    np.testing.assert_array_equal(one.offsets, other.offsets)
    np.testing.assert_allclose(one.pieces.starts, other.pieces.starts, atol=1e-13)


def test_it_ends_at_the_gate_that_is_named():
    network = piecewise.trace(mlp(5, 30, 30, 2), (5,))
    whole, part = (segments.between(network, *ends(3, 5), last=last) for last in (None, "1"))
    assert part.constant is part.directions is None
    np.testing.assert_array_equal(part.counts()[:, 0], whole.counts()[:, 0])
    assert part.counts().shape == (3, 1)
    plain = segments.between(piecewise.trace(nn.Linear(4, 2).eval(), (4,)), *ends(2, 4))
    assert (plain.counts().shape, plain.distances().shape, len(plain.pieces.owners)) == ((2, 0), (2, 0), 2)


N = piecewise.trace(mlp(5, 30, 1), (5,))
A, B = ends(4, 5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: segments.between(N, A, B[:3]), "4 first and 3 second inputs; give as many of both"),
        (lambda: segments.between(N, A[0], B[0]), r"x has shape \(5,\)"),
        (lambda: segments.between(N, A, B * torch.nan), "NaN or infinity"),
        (lambda: segments.between(N, A, B, last="relu"), r"unknown gate 'relu'; the network has \['1'\]"),
        (lambda: segments.between(N, A, B, most=5), "more than most = 5"),
        (
            lambda: segments.between(piecewise.trace(mlp(5, 3, 1), (5,), dtype=torch.float32), A, B),
            "trace it in float64",
        ),
    ],
)
def test_what_has_no_answer_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_weights_that_are_not_finite_are_refused():
    model = mlp(5, 3, 1)
    with torch.no_grad():
        model[0].weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match="NaN or infinity"):
        piecewise.trace(model, (5,))
