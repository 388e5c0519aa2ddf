"""Partitions against exact fractions, closed forms, grids and gradients; and cases where counts must differ."""

from itertools import pairwise

import numpy as np
import pytest
import rational
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from actlib import arrangements, growth, piecewise, planes, polygons, slices

SQUARE = np.array([[-3.0, -3], [3, -3], [3, 3], [-3, 3]])
UNIT = planes.through(torch.zeros(2), torch.tensor([1.0, 0]), torch.tensor([0.0, 1]))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def filled(model, seed=0, scale=1.0):
    """The network with weights drawn by chance, in eval mode."""
    generator = seeded(seed)
    with torch.no_grad():
        for weight in model.parameters():
            fan = weight[0].numel() if weight.ndim > 1 else 1
            weight.copy_(torch.randn(weight.shape, generator=generator) * scale / fan**0.5)
    return model.eval()


def mlp(*widths, seed=0):
    layers = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.ReLU())]
    return filled(nn.Sequential(*layers[:-1]), seed)


def convnet(order, seed=0):
    """Pooling behind or before the ReLU, with windows that overlap or not."""
    pools = (
        (nn.MaxPool2d(2), nn.MaxPool2d(2)) if order == "behind" else (nn.MaxPool2d(3, 2, padding=1), nn.MaxPool2d(2))
    )
    parts = [nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), pools[0], nn.Conv2d(3, 4, 3), nn.ReLU(), pools[1]]
    if order == "before":
        parts[1:3], parts[4:6] = parts[2:0:-1], parts[:3:-1]
    return filled(nn.Sequential(*parts, nn.Flatten(), nn.Linear(4, 3)), seed)


class Residual(nn.Module):
    """Sums, one ReLU called twice, BatchNorm and average pooling."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.norm, self.relu, self.fc = nn.BatchNorm2d(3), nn.ReLU(), nn.Linear(3, 2)

    def forward(self, x):
        h = self.relu(self.norm(self.a(x)))
        h = self.relu(h + self.b(h))
        return self.fc(nn.functional.avg_pool2d(h, 4).flatten(1))


def inside(part):
    return part.plane.points(polygons.centroids(part.cells))


def same_as_network(network, part):
    """Check patterns and outputs at the centroids, and that no two cells have one pattern."""
    x = inside(part)
    assert part.pattern().same(network.pattern(x)).all()
    there = polygons.centroids(part.cells)
    found = part.constant + np.einsum("pm,pm...->p...", there, part.directions)
    np.testing.assert_allclose(found, network(x).numpy(), atol=1e-12)
    assert part.pattern().ids().unique().numel() == len(part)


# Against fractions.


def torch_network(layers, channels=1):
    """The same network in PyTorch: max-pooling is that of rows, cut into channels."""
    parts = []
    for kind, *values in layers:
        if kind == "affine":
            linear = nn.Linear(len(values[0][0]), len(values[0]))
            linear.weight.data, linear.bias.data = torch.tensor(values[0]).float(), torch.tensor(values[1]).float()
            parts.append(linear)
        elif kind == "relu":
            parts.append(nn.ReLU())
        else:
            parts += [nn.Unflatten(1, (1, -1)), values[1], nn.Flatten()]
    return nn.Sequential(*parts).eval()


def pool(width, kernel, stride, padding):
    """Max-pooling of a row as the oracle and as PyTorch have it."""
    n = (width + 2 * padding - kernel) // stride + 1
    windows = [
        [p if 0 <= p < width else -1 for p in range(i * stride - padding, i * stride - padding + kernel)]
        for i in range(n)
    ]
    return ("max", windows, nn.MaxPool1d(kernel, stride, padding)), n


def whole(draw, rows, columns, most=3):
    number = st.integers(-most, most)
    return draw(st.lists(st.lists(number, min_size=columns, max_size=columns), min_size=rows, max_size=rows))


@st.composite
def networks(draw):
    """Of small whole numbers: dead units, twice the same unit and lines through one point are common."""
    layers, width = [], 2
    for _ in range(draw(st.integers(1, 3))):
        after = draw(st.integers(1, 5))
        layers.append(("affine", whole(draw, after, width), whole(draw, 1, after)[0]))
        width, kind = after, draw(st.sampled_from(["relu", "max", "both", "turned"]))
        kinds = {"both": ["relu", "max"], "turned": ["max", "relu"]}.get(kind, [kind])
        for kind in kinds:
            if kind == "relu":
                layers.append(("relu",))
            elif width > 1:
                kernel = draw(st.integers(2, min(width, 3)))
                layer, width = pool(width, kernel, draw(st.integers(1, kernel)), draw(st.integers(0, kernel // 2)))
                layers.append(layer)
    return [*layers, ("affine", whole(draw, 2, width), [0, 1])]


def flat(part):
    choices = [choice.flatten(1).long() for choice in part.pattern().choices.values()]
    return torch.cat(choices, 1).tolist() if choices else [[]] * len(part)


@settings(max_examples=70, deadline=None, derandomize=True)
@given(networks())
def test_regions_are_those_of_exact_fractions_also_with_lines_through_one_point(layers):
    network = piecewise.trace(torch_network(layers), (2,))
    part = slices.partition(network, UNIT, SQUARE)
    expected = rational.regions(layers, SQUARE.astype(int).tolist())
    areas = {tuple(map(int, pattern)): float(rational.area(points)) for points, pattern, _ in expected}
    assert len(areas) == len(expected)
    found = dict(zip(map(tuple, flat(part)), part.areas.tolist(), strict=True))
    assert found.keys() == areas.keys()
    np.testing.assert_allclose([found[key] for key in areas], list(areas.values()), rtol=1e-8)
    maps = {tuple(map(int, pattern)): np.array(map_, float) for _, pattern, map_ in expected}
    for row, key in enumerate(map(tuple, flat(part))):
        mine = np.stack([part.constant[row], *part.directions[row]], 1)
        np.testing.assert_allclose(mine, maps[key], atol=1e-9)


# Closed forms.


@pytest.mark.parametrize("seed", range(3))
def test_one_hidden_layer_has_one_plus_lines_plus_crossings(seed):
    model = mlp(2, 40, 1, seed=seed)
    part = slices.partition(piecewise.trace(model, (2,)), UNIT, SQUARE)
    weights, biases = model[0].weight.detach().double().numpy(), model[0].bias.detach().double().numpy()
    values = SQUARE @ weights.T + biases
    w, b = (x[(values.min(0) < 0) & (values.max(0) > 0)] for x in (weights, biases))
    i, j = np.triu_indices(len(w), 1)
    crossings = np.linalg.solve(np.stack([w[i], w[j]], 1), -np.stack([b[i], b[j]], 1)[..., None])[..., 0]
    assert len(part) == 1 + len(w) + (np.abs(crossings) < 3).all(1).sum()


def test_a_large_window_sees_all_regions_of_a_layer_and_a_small_one_fewer():
    network = piecewise.trace(mlp(2, 9, 1), (2,))
    assert len(slices.partition(network, UNIT, SQUARE * 1e3)) == arrangements.affine(9, 2)
    assert len(slices.partition(network, UNIT, SQUARE * 1e-2)) < arrangements.affine(9, 2)


def test_layers_of_low_rank_have_the_fewer_regions_of_parallel_lines():
    model = mlp(4, 7, 1)
    with torch.no_grad():
        model[0].weight.copy_(model[0].weight[:, :1] @ torch.ones(1, 4))
    plane = planes.through(*torch.eye(4)[:3])
    part = slices.partition(piecewise.trace(model, (4,)), plane, SQUARE * 1e3 @ [[1, 1], [-1, 1]])
    assert len(part) in {1, 8}  # parallel in every plane, and never a crossing
    model = mlp(4, 7, 1)
    part = slices.partition(piecewise.trace(model, (4,)), plane, SQUARE * 1e3)
    assert len(part) == arrangements.affine(7, 2)


# Grids and gradients.


@pytest.mark.parametrize("model", [mlp(5, 12, 12, 3), mlp(5, 8, 8, 8, 3, seed=4)])
def test_a_grid_never_sees_another_region(model):
    network = piecewise.trace(model, (5,))
    part = slices.partition(network, planes.through(*torch.randn(3, 5, generator=seeded())))
    first, second, third = part.plane.corners
    grid = np.random.default_rng(0).random((20_000, 2)) @ np.stack([second - first, third - first])
    seen = {tuple(row) for row in network.pattern(part.plane.points(grid)).packed().words.tolist()}
    known = {tuple(row) for row in part.pattern().packed().words.tolist()}
    assert seen <= known
    # All of those are met that a thousandth of the points should hit.
    large = {
        row
        for row, size in zip(map(tuple, part.pattern().packed().words.tolist()), part.areas, strict=True)
        if size > part.areas.sum() / 1000
    }
    assert large <= seen


@pytest.mark.parametrize("model", [convnet("behind"), convnet("before"), convnet("before", 1), filled(Residual())])
def test_convolutions_pooling_and_sums(model):
    network = piecewise.trace(model, (1, 8, 8)[:1] + ((8, 8) if not isinstance(model, Residual) else (4, 4)))
    x = torch.randn(3, *network.shape, generator=seeded(1))
    plane = planes.through(*x)
    part = slices.partition(network, plane, plane.corners.mean(0) + SQUARE / 3)
    assert len(part) > 10
    same_as_network(network, part)
    x = inside(part)[::23].requires_grad_()
    outputs = model.double()(x)
    for unit in range(outputs.shape[1]):
        (gradient,) = torch.autograd.grad(outputs[:, unit].sum(), x, retain_graph=True)
        slopes = torch.tensordot(gradient.flatten(1), plane.axes.flatten(1).T, 1)
        np.testing.assert_allclose(part.directions[::23, :, unit], slopes, atol=1e-12)


def test_equal_bits_of_relus_alone_are_not_the_same_region_with_pooling():
    network = piecewise.trace(convnet("behind"), (1, 8, 8))
    part = slices.partition(network, planes.through(*torch.randn(3, 1, 8, 8, generator=seeded(1))), SQUARE / 2)
    words = part.pattern().packed().words
    assert len(np.unique(words, axis=0)) < len(part)


def test_four_candidates_that_are_the_same_in_one_point_make_a_cross():
    model = nn.Sequential(nn.Linear(2, 4), nn.Unflatten(1, (1, 2, 2)), nn.MaxPool2d(2), nn.Flatten()).eval()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[0.0, 0], [1, 0], [0, 1], [1, 1]]) @ torch.tensor([[4.0, 3], [-3, 4]]))
        model[0].bias.copy_(torch.tensor([0.0, 1, 2, 3]))
    part = slices.partition(piecewise.trace(model, (2,)), UNIT, SQUARE)
    assert (len(part), part.mesh.euler, len(part.mesh.points)) == (4, 1, 9)


# Readings.


def test_counts_behind_each_gate_are_those_of_the_network_cut_off_there():
    network = piecewise.trace(mlp(2, 10, 9, 8, 2), (2,))
    part = slices.partition(network, UNIT, SQUARE)
    counts, conditional = slices.counts(part), slices.conditional_counts(part)
    for name in network.gates:
        ended = slices.partition(network, UNIT, SQUARE, last=name)
        assert ended.constant is ended.directions is None
        assert len(ended) == counts[name] == conditional[name].sum()
    words = [part.pattern().packed(list(network.gates)[:n]).words for n in (1, 2, 3)]
    for n, name in enumerate(network.gates):
        slow = {}  # prefix: the patterns behind it
        for row in range(len(part)):
            before = tuple(words[n - 1][row].tolist()) if n else ()
            slow.setdefault(before, set()).add(tuple(words[n][row].tolist()))
        assert sorted(conditional[name].tolist()) == sorted(map(len, slow.values()))


def test_the_harmonic_estimate_is_right_in_the_mean_and_the_plain_one_too_small():
    areas = np.array([4.0, 3, 2, 1, 1, 0.5])
    found = slices.estimates(areas, 400_000, generator=seeded())
    whole_area = areas.sum()
    spread = np.sqrt((whole_area / areas).sum() - 36) / np.sqrt(400_000)
    assert abs(found.harmonic - 6) < 4 * spread
    assert abs(found.plain - whole_area**2 / (areas**2).sum()) < 0.02
    assert found.plain < 5 < found.exact == 6
    equal = slices.estimates(np.full(7, 0.3), 10, generator=seeded())
    np.testing.assert_allclose([equal.harmonic, equal.plain], 7)


# Size, and what is refused.


def test_blocks_of_any_size_give_the_same_partition(monkeypatch):
    network = piecewise.trace(convnet("before"), (1, 8, 8))
    plane = planes.through(*torch.randn(3, 1, 8, 8, generator=seeded(1)))
    box = plane.corners.mean(0) + SQUARE / 12
    one = slices.partition(network, plane, box)
    monkeypatch.setattr(growth, "_BLOCK", 7)
    monkeypatch.setattr("actlib.subdivision._CELLS", 5)
    other = slices.partition(network, plane, box)
    order = [np.lexsort(np.array(flat(part)).T) for part in (one, other)]
    np.testing.assert_array_equal(np.array(flat(one))[order[0]], np.array(flat(other))[order[1]])
    np.testing.assert_allclose(one.areas[order[0]], other.areas[order[1]], rtol=1e-9)
    assert slices.counts(one) == slices.counts(other)


def test_dead_layers_and_networks_without_gates_have_one_region():
    model = mlp(2, 5, 5, 1)
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].bias.copy_(torch.tensor([0.0, -1, 1, 0, 2]))
    part = slices.partition(piecewise.trace(model, (2,)), UNIT, SQUARE)
    assert len(part) == 1
    assert flat(part)[0][:5] == [0, 0, 1, 0, 1]
    part = slices.partition(piecewise.trace(nn.Linear(2, 3).eval(), (2,)), UNIT, SQUARE)
    assert (len(part), part.ancestors().shape, slices.counts(part)) == (1, (1, 0), {})


def test_the_window_may_be_any_convex_polygon():
    network = piecewise.trace(mlp(2, 30, 1), (2,))
    angles = np.linspace(0, 2 * np.pi, 40)[:-1]
    disc = np.stack([np.cos(angles), np.sin(angles)], 1) * 3
    whole_part, part = (slices.partition(network, UNIT, box) for box in (SQUARE, disc))
    np.testing.assert_allclose(part.areas.sum(), polygons.areas(polygons.window(disc))[0])
    seen, known = ({tuple(row) for row in flat(x)} for x in (part, whole_part))
    assert seen < known


N = piecewise.trace(mlp(2, 5, 1), (2,))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: slices.partition(N, UNIT, SQUARE[[0, 0, 1]]), "no area"),
        (lambda: slices.partition(N, UNIT, SQUARE * [1, 0]), "no area"),
        (lambda: slices.partition(N, UNIT, SQUARE, last="2"), r"unknown gate '2'; the network has \['1'\]"),
        (lambda: slices.partition(N, UNIT, SQUARE * 1e3, most=5), "more than most = 5 regions; give a smaller window"),
        (
            lambda: slices.partition(N, planes.through(*torch.eye(3)), SQUARE),
            r"inputs of shape \(3,\), the network takes",
        ),
        (
            lambda: slices.partition(piecewise.trace(mlp(2, 5, 1), (2,), dtype=torch.float32), UNIT, SQUARE),
            "torch.float32; trace it in float64",
        ),
        (lambda: slices.estimates(np.zeros(0), 3, generator=seeded()), "0 areas and n_points = 3; give areas above 0"),
        (lambda: slices.estimates(np.ones(2), 0, generator=seeded()), "n_points = 0"),
    ],
)
def test_what_has_no_answer_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
