"""Geodesics of maps whose shortest paths are known: linear, a circle, a bent plane."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn
from torch.testing import assert_close

from actlib import energies, models, paths

ends = [0, -1]


class Radius(nn.Module):
    def forward(self, x):
        return x.square().sum(1, keepdim=True)


class Bend(nn.Module):
    def forward(self, x):
        return torch.stack([x[:, 0], x[:, 1] + x[:, 0] ** 2], 1)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def pairs(n, *shape, seed=0):
    return torch.rand(2, n, *shape, dtype=torch.float64, generator=seeded(seed))


def network(*widths, seed=0):
    return models.mlp(widths, input_shape=(1, 4, 4), generator=seeded(seed)).double()


def linear(n_in, n_out, seed=0):
    model = nn.Sequential(nn.Linear(n_in, n_out)).double()
    model[0].weight.data = torch.randn(n_out, n_in, dtype=torch.float64, generator=seeded(seed))
    return model


def away(start, end, by=0.1, n_points=11):
    """Paths that leave the segment between their ends."""
    path = paths.straight(start, end, n_points)
    path[:, 1:-1] += by * torch.randn(path[:, 1:-1].shape, dtype=torch.float64, generator=seeded(9))
    return path


def test_on_a_linear_network_the_geodesic_is_the_segment():
    start, end = pairs(3, 8)
    initial, segment = away(start, end), paths.straight(start, end)
    # Five values of eight pixels: E[f] leaves three directions free, in which only E[gamma] decides.
    found = paths.geodesic(linear(8, 5), start, end, ["0"], initial=initial, bounds=None, n_rounds=70, n_steps=15)
    assert (initial - segment).abs().max() > 0.2
    assert_close(found.points, segment, atol=2e-2, rtol=0)
    # Without rounds it ends where E[f] is least, which is not the segment.
    partial = paths.geodesic(linear(8, 5), start, end, ["0"], initial=initial, bounds=None, n_rounds=0)
    assert_close(partial.layer_energies[-1], found.layer_energies[-1], rtol=0.05, atol=0)
    assert (partial.points - segment).abs().max() > 0.05
    # The segment itself stays.
    kept = paths.geodesic(linear(8, 5), start, end, ["0"], n_rounds=2, n_steps=20)
    assert_close(kept.points, segment, atol=1e-6, rtol=0)


def test_descent_leaves_alone_what_the_layer_does_not_see():
    start, end = pairs(2, 8)
    model = linear(8, 5)
    initial = away(start, end)
    found = paths.geodesic(model, start, end, ["0"], initial=initial, bounds=None, n_rounds=0, n_steps=50)
    free = torch.from_numpy(np.linalg.svd(model[0].weight.detach().numpy())[2][5:])
    assert_close(found.points @ free.T, initial @ free.T)
    assert (found.points - initial).abs().max() > 0.05


def test_of_all_paths_of_one_radius_the_geodesic_is_the_arc():
    angle = torch.tensor([2.0, 1.0], dtype=torch.float64)
    start = torch.tensor([[1.0, 0.0]] * 2, dtype=torch.float64)
    end = torch.stack([angle.cos(), angle.sin()], 1)
    found = paths.geodesic(nn.Sequential(Radius()), start, end, ["0"], bounds=None, n_rounds=20, n_steps=60)
    turns = torch.linspace(0, 1, 11, dtype=torch.float64) * angle[:, None]
    arc = torch.stack([turns.cos(), turns.sin()], 2)
    assert_close(found.points, arc, atol=2e-2, rtol=0)
    assert_close(found.pixel_energies[-1], 10 * (2 - 2 * torch.cos(angle / 10)), rtol=5e-3, atol=0)
    assert (found.layer_energies[0] > 0.01).all()
    assert (found.layer_energies[-1] < 1e-5).all()
    assert (paths.straight(start, end) - arc).abs().max() > 0.3


def test_in_a_bent_plane_the_path_is_straight_for_the_network():
    start, end = torch.tensor([[[-1.0, 0.0]], [[1.0, 1.5]]], dtype=torch.float64)
    found = paths.geodesic(nn.Sequential(Bend()), start, end, ["0"], bounds=None, n_rounds=0)
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    x, v = -1 + 2 * t, 1 + 1.5 * t
    assert_close(found.points[0], torch.stack([x, v - x.square()], 1), atol=1e-4, rtol=0)
    assert found.layer_energies[-1].item() == pytest.approx((4 + 1.5**2) / 10)
    # Weights act on each layer's energy: the identity in front of the bend, counted a lot, keeps the segment.
    model = nn.Sequential(nn.Identity(), Bend())
    stiff = paths.geodesic(model, start, end, {"0": 1e6, "1": 1.0}, bounds=None, n_rounds=0)
    assert_close(stiff.points, paths.straight(start, end), atol=1e-3, rtol=0)


def least_absolute(alpha, begin):
    """The least cost with absolute values, by bounds of them as further variables: smooth, with constraints."""

    def steps(z):
        p = np.concatenate([[[-1, 0]], z[:6].reshape(-1, 2), [[1, 1.5]]])
        return np.diff(p, axis=0), np.diff(np.stack([p[:, 0], p[:, 1] + p[:, 0] ** 2], 1), axis=0).ravel()

    sides = [{"type": "ineq", "fun": lambda z, s=s: z[6:] + s * steps(z)[1]} for s in (1, -1)]
    begin = np.concatenate([begin, np.abs(steps(begin)[1]) + 0.1])
    options = {"maxiter": 1000, "ftol": 1e-12}
    found = minimize(
        lambda z: (steps(z)[0] ** 2).sum() + alpha * z[6:].sum(),
        begin,
        constraints=sides,
        method="SLSQP",
        options=options,
    )
    return found.fun  # a line search that ends in rounding is no failure: the test compares costs


@pytest.mark.parametrize(("norm", "power"), [("l2", 2), ("l1", 1)])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 20.0])
def test_joint_finds_what_scipy_finds(alpha, norm, power):
    def cost(z):
        p = np.concatenate([[[-1, 0]], z.reshape(-1, 2), [[1, 1.5]]])
        f = np.stack([p[:, 0], p[:, 1] + p[:, 0] ** 2], 1)
        return (np.diff(p, axis=0) ** 2).sum() + alpha * (np.abs(np.diff(f, axis=0)) ** power).sum()

    start, end = torch.tensor([[[-1.0, 0.0]], [[1.0, 1.5]]], dtype=torch.float64)
    options = {"n_points": 5, "bounds": None, "n_steps": 800}
    found = paths.joint(nn.Sequential(Bend()), start, end, ["0"], alpha, norm=norm, **options)
    begin = paths.straight(start, end, 5)[0, 1:-1].numpy().ravel()
    best = minimize(cost, begin).fun if norm == "l2" else least_absolute(alpha, begin)
    total = found.pixel_energies[-1] + alpha * found.layer_energies[-1]
    assert cost(found.points[0, 1:-1].numpy()) == pytest.approx(total.item())
    assert total.item() == pytest.approx(best, rel=2e-3)
    assert found.pixel_energies.shape == found.layer_energies.shape == (802, 1)


def test_the_projection_takes_away_the_component_along_the_other_gradient():
    d_p = torch.tensor([[[3.0, 4.0]], [[1.0, 2.0]], [[5.0, 6.0]]])
    d_r = torch.tensor([[[2.0, 0.0]], [[1.0, 1.0]], [[0.0, 0.0]]])
    expected = torch.tensor([[[0.0, 4.0]], [[-0.5, 0.5]], [[5.0, 6.0]]])
    assert_close(paths.without_component(d_p, d_r), expected)
    assert_close(paths.without_component(d_p, 1e-25 * d_r), expected)


def test_energies_are_those_of_the_definition():
    model, (start, end) = network(6, 5), pairs(2, 1, 4, 4)
    found = paths.geodesic(model, start, end, ["relu1", "relu2"], n_rounds=1, n_steps=5, n_points=4)
    for row, points in ((0, paths.straight(start, end, 4)), (-1, found.points)):
        for pair, path in enumerate(points):
            values = [hidden(model, image) for image in path]
            f = sum(((b - a) ** 2).sum() for a, b in pairwise(values))
            e = sum(((b - a) ** 2).sum() for a, b in pairwise(path))
            assert found.layer_energies[row, pair].item() == pytest.approx(f.item())
            assert found.pixel_energies[row, pair].item() == pytest.approx(e.item())
    assert found.pixel_energies.shape == (3, 2)


def hidden(model, image):
    """Both ReLU layers of the plain network, one image at a time."""
    values = []
    modules = dict(model.named_modules())
    linears = [m for m in modules.values() if isinstance(m, nn.Linear)]
    h = next(m for m in modules.values() if isinstance(m, models.Normalize))(image[None]).flatten(1)
    for layer in linears[:2]:
        h = (h @ layer.weight.T + layer.bias).clamp(min=0)
        values.append(h)
    return torch.cat(values, 1).detach()


@pytest.mark.parametrize("run", [paths.geodesic, lambda *a, **k: paths.joint(*a, 2.0, **k)])
def test_a_batch_is_one_pair_after_the_other_and_ends_never_move(run):
    model, (start, end) = network(12, 12), pairs(4, 1, 4, 4)
    options = {"n_steps": 20} | ({"n_rounds": 2} if run is paths.geodesic else {})
    together = run(model, start, end, ["relu2"], **options)
    alone = [run(model, start[i : i + 1], end[i : i + 1], ["relu2"], **options) for i in range(4)]
    assert_close(together.points, torch.cat([one.points for one in alone]), atol=1e-7, rtol=0)
    assert_close(together.layer_energies, torch.cat([one.layer_energies for one in alone], 1))
    assert_close(together.points[:, ends], torch.stack([start, end], 1), atol=0, rtol=0)
    assert (together.points - paths.straight(start, end)).abs().max() > 1e-3
    assert together.layer_energies[-1].max() < together.layer_energies[0].max()


def test_the_path_keeps_to_the_range_and_the_network_stays_as_it_was():
    model, (start, end) = network(12, 12), pairs(3, 1, 4, 4).round()
    model.train()
    held = [p.clone() for p in model.parameters()]
    initial = away(start, end, 0.5)
    found = paths.joint(model, start, end, ["relu2"], 1e3, initial=initial, n_steps=30)
    assert found.points.min() >= 0
    assert found.points.max() <= 1
    assert model.training
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert_close(list(model.parameters()), held)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_a_path_of_two_points_and_equal_ends_are_defined():
    model, (start, end) = network(6, 6), pairs(2, 1, 4, 4)
    for run in (paths.geodesic, lambda *a, **k: paths.joint(*a, 1.0, **k)):
        two = run(model, start, end, ["relu1"], n_points=2)
        assert_close(two.points, torch.stack([start, end], 1), atol=0, rtol=0)
        assert (two.pixel_energies > 0).all()
        same = run(model, start, start, ["relu1"], n_steps=5)
        assert_close(same.points, start[:, None].expand(-1, 11, -1, -1, -1), atol=0, rtol=0)
        assert (same.pixel_energies == 0).all()
        assert (same.layer_energies == 0).all()


def test_what_does_not_fit_is_refused():
    model, (start, end) = network(6, 6), pairs(2, 1, 4, 4)
    nan = start.clone()
    nan[0] = math.nan
    cases = [
        ((start, end[:1], ["relu1"]), {}, r"start is \(2, 1, 4, 4\) and end \(1, 1, 4, 4\)"),
        ((start[:0], end[:0], ["relu1"]), {}, "one pair or more"),
        ((start, end, ["relu9"]), {}, "unknown layer 'relu9'; the nearest"),
        ((start, end, "relu1"), {}, "is one name"),
        ((start, end, []), {}, "no layers"),
        ((start, end, {"relu1": -1.0}), {}, "weights of 0 or more"),
        ((start, end, {"relu1": 0}), {}, "one of them positive"),
        ((start.float(), end.float(), ["relu1"]), {}, "start is torch.float32 .* the model torch.float64"),
        ((nan, end, ["relu1"]), {}, "not finite"),
        ((start * 2, end, ["relu1"]), {}, r"start goes from .* outside of bounds = \(0, 1\)"),
        ((start, end, ["relu1"]), {"bounds": (1, 0)}, "lowest, highest"),
        ((start, end, ["relu1"]), {"n_points": 1}, "n_points = 1; a path has two"),
        ((start, end, ["relu1"]), {"n_steps": -1}, "n_steps = -1"),
        ((start, end, ["relu1"]), {"rate": 0.0}, "positive rate"),
        ((start, end, ["relu1"]), {"step": 0.3}, r"step = 0\.3"),
        ((start, end, ["relu1"]), {"n_rounds": -1}, "n_rounds = -1"),
        ((start, end, ["relu1"]), {"initial": paths.straight(end, start)}, "first and last points"),
    ]
    for arguments, options, message in cases:
        with pytest.raises(ValueError, match=message):
            paths.geodesic(model, *arguments, **options)
    with pytest.raises(ValueError, match=r"alpha = -1\.0"):
        paths.joint(model, start, end, ["relu1"], -1.0)
    with pytest.raises(ValueError, match="norm = 'l3'; choose"):
        energies.check_norm("l3")


def test_layers_that_are_not_called_or_pass_no_gradient_are_named():
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle, self.cut = nn.Identity(), nn.Identity(), nn.Identity()

        def forward(self, x):
            self.cut(x.detach().round())
            return self.used(x)

    start, end = pairs(2, 3)
    for layer, message in (("idle", r"\['idle'\] were not called"), ("cut", "'cut' passes no gradient")):
        with pytest.raises(ValueError, match=message):
            paths.geodesic(Idle(), start, end, ["used", layer], n_steps=2)


def test_a_model_in_training_is_followed_in_eval_mode_and_left_training():
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)).double()
    start, end = torch.rand(2, 3, 6, generator=torch.Generator().manual_seed(1)).double()
    options = {"n_points": 5, "n_rounds": 1, "n_steps": 10}
    expected = paths.geodesic(model.eval(), start, end, ["4"], **options)
    statistics = model[1].running_mean.clone()
    found = paths.geodesic(model.train(), start, end, ["4"], **options)
    assert_close(found.points, expected.points, atol=0, rtol=0)
    assert all(module.training for module in model.modules())
    assert_close(model[1].running_mean, statistics, atol=0, rtol=0)
