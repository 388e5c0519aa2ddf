"""Affine maps against autograd and jacrev, and at other points of the same region."""

import pytest
import torch
from torch import nn
from torch.func import jacrev, vmap

from actlib import affine, capture, models, piecewise, resnets


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def rand(*shape, seed=1):
    return torch.rand(*shape, dtype=torch.float64, generator=seeded(seed))


class Sums(nn.Module):
    """Sums with factors, differences, constants, slices and a value used three times."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(5, 6), nn.Linear(8, 6)

    def forward(self, x):
        a = torch.relu(self.a(x))
        b = torch.relu(self.b(torch.cat([a, x[:, :2] * 3], 1)))
        c = torch.add(a, b, alpha=2) - torch.sub(b, a, alpha=0.5)
        return (c + c) / 4 + a.add(b, alpha=-3).relu() + (1 - b).mean(1, keepdim=True) - x.sum(1, keepdim=True)


NETWORKS = {
    "sums": lambda: (Sums(), (5,)),
    "mlp": lambda: (models.mlp((9, 8), input_shape=(1, 3, 4), generator=seeded()), (1, 3, 4)),
    "lenet5": lambda: (models.lenet5(size=16, generator=seeded()), (1, 16, 16)),
    "course": lambda: (models.course_lenet(size=22, generator=seeded()), (1, 22, 22)),
    "cifar": lambda: (resnets.cifar(8, widths=(3, 4, 5), size=8, generator=seeded()), (3, 8, 8)),
    "leaky": lambda: (nn.Sequential(nn.Linear(6, 9), nn.LeakyReLU(0.3), nn.Linear(9, 4)), (6,)),
    "overlap": lambda: (
        nn.Sequential(nn.Conv2d(2, 3, 3), nn.MaxPool2d(3, 1, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(48, 5)),
        (2, 6, 6),
    ),
}


def jacobian(model, x):
    model = model.double().eval()
    return vmap(jacrev(lambda z: model(z[None])[0]))(x)


@pytest.mark.parametrize("mode", ["reverse", "forward"])
@pytest.mark.parametrize("name", NETWORKS)
def test_maps_are_the_jacobian_and_the_value_both_ways(name, mode, monkeypatch):
    for constant in ("_VALUES", "_FORWARD"):  # several blocks
        monkeypatch.setattr(affine, constant, 10**5 if name == "course" else 5000)
    model, shape = NETWORKS[name]()
    x = rand(5, *shape)
    found = affine.maps(model.eval(), x, mode=mode)
    expected = jacobian(model, x)
    torch.testing.assert_close(found.weight, expected, rtol=1e-11, atol=1e-13)
    with torch.no_grad():
        torch.testing.assert_close(found(x), model(x), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_hidden_layers_and_chosen_units_have_maps_too(mode):
    model, shape = NETWORKS["lenet5"]()
    x, model = rand(2, *shape), model.double().eval()
    for layer, key, inputs in [("relu2", "relu2", True), ("conv2", "conv2", False), ("pool2", "pool2", True)]:
        with capture.capture(model, [key], inputs=inputs) as seen:
            z = x.clone().requires_grad_()
            model(z)
            values = seen[key].flatten(1)
        units = torch.tensor([63, 0, 17])
        found = affine.maps(model, x, layer, units=units, mode=mode)
        for k, unit in enumerate(units):
            (gradient,) = torch.autograd.grad(values[:, unit].sum(), z, retain_graph=True)
            torch.testing.assert_close(found.weight[:, k], gradient, rtol=1e-11, atol=1e-13)
        torch.testing.assert_close(found(x), values[:, units].detach(), rtol=1e-11, atol=1e-13)


def test_the_way_is_chosen_by_the_number_of_rows_and_both_agree():
    model = models.mlp((300,), input_shape=(1, 4, 4), generator=seeded())
    x = rand(3, 1, 4, 4)
    wide = affine.maps(model, x, "relu1")
    assert wide.weight.shape == (3, 300, 1, 4, 4)
    torch.testing.assert_close(wide.weight, affine.maps(model, x, "relu1", mode="reverse").weight)


@pytest.mark.parametrize("name", ["mlp", "lenet5", "cifar", "overlap"])
def test_same_pattern_same_map_and_displaced_points_agree(name):
    model, shape = NETWORKS[name]()
    network = piecewise.trace(model.eval(), shape)
    x = rand(6, *shape)
    found = affine.maps(network, x)
    check = affine.verify(network, found, x, generator=seeded(2))
    assert (check.residuals < 1e-12).all()
    assert (check.distances > 1e-7).all()
    near = x + check.distances.reshape(-1, *[1] * len(shape)) * 1e-3 * torch.randn(x.shape, generator=seeded(3))
    same = network.pattern(near).same(network.pattern(x))
    assert same.any()
    other = affine.maps(network, near)
    torch.testing.assert_close(other.weight[same], found.weight[same], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(other.bias[same], found.bias[same], rtol=1e-10, atol=1e-12)


def test_a_wrong_map_fails_the_check_at_a_displaced_point_though_it_is_right_at_the_sample():
    model, shape = NETWORKS["mlp"]()
    network, x = piecewise.trace(model.eval(), shape), rand(4, *shape)
    found = affine.maps(network, x)
    weight = found.weight * 1.01
    bias = network(x) - torch.einsum("bkd,bd->bk", weight.flatten(2), x.flatten(1))
    wrong = found._replace(weight=weight, bias=bias)
    torch.testing.assert_close(wrong(x), network(x))
    assert (affine.verify(network, wrong, x, generator=seeded()).residuals > 1e-6).all()


def test_equal_bits_are_not_enough_where_the_largest_of_a_window_moves():
    model = nn.Sequential(nn.ReLU(), nn.MaxPool1d(2))
    network = piecewise.trace(model, (1, 2))
    x = torch.tensor([[[1.0, 2.0]], [[2.0, 1.0]]])
    pattern = network.pattern(x)
    assert pattern.same(pattern[[1, 0]], ["0"]).all()
    assert not pattern.same(pattern[[1, 0]]).any()
    torch.testing.assert_close(affine.maps(network, x).weight.flatten(1), torch.tensor([[0.0, 1], [1, 0]]).double())
    assert pattern.ids().tolist() in ([0, 1], [1, 0])
    assert pattern.packed().words.tolist() == [[3], [3]]


def test_a_dead_layer_has_a_constant_map():
    model, shape = NETWORKS["mlp"]()
    model.fc2.weight.data.zero_()
    model.fc2.bias.data.fill_(-1)
    found = affine.maps(model, rand(3, *shape))
    assert not found.weight.any()
    torch.testing.assert_close(found.bias, model.fc3.bias.detach().double().expand(3, -1))


def test_units_and_windows_on_a_boundary_are_counted():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    model[0].weight.data = torch.eye(2)
    model[0].bias.data.zero_()
    x = torch.tensor([[0.0, 1], [1, 1], [1e-7, -1e-8]], dtype=torch.float64)
    found = affine.maps(model, x)
    assert found.n_boundary.tolist() == [1, 0, 2]
    assert found.pattern.choices["1"].tolist() == [[False, True], [True, True], [True, False]]
    assert affine.verify(model, found, x, step=1.0, generator=seeded()).residuals[1] < 1e-12
    pool = nn.Sequential(nn.ReLU(), nn.MaxPool1d(2))
    ties = torch.tensor([[[1.0, 1, 0, 0.0]], [[-1, -2, 3, 4.0]]])
    assert affine.maps(pool, ties).n_boundary.tolist() == [3, 0]  # two zeros, one pair of equal values


def test_a_sample_on_a_boundary_is_checked_on_its_own_side_or_not_at_all():
    edge = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU())
    edge[0].weight.data.fill_(1.0)
    x = torch.zeros(40, 1)
    found = affine.maps(edge, x)
    assert found.n_boundary.tolist() == [1] * 40
    check = affine.verify(edge, found, x, generator=seeded())
    assert torch.equal(check.residuals.isnan(), check.distances.isnan())
    assert 5 < check.residuals.isnan().sum() < 35  # steps to the other side, however short, leave the region
    assert (check.residuals[~check.residuals.isnan()] == 0).all()


def test_float32_is_close_and_float64_is_exact():
    model, shape = NETWORKS["lenet5"]()
    x = rand(4, *shape)
    exact = affine.maps(model, x)
    rough = affine.maps(model, x, dtype=torch.float32)
    assert rough.weight.dtype == torch.float32
    difference = (rough.weight - exact.weight).abs().max() / exact.weight.abs().max()
    assert 1e-10 < difference < 1e-5


def test_a_map_of_the_input_itself_is_the_identity():
    network = piecewise.trace(nn.Sequential(nn.ReLU()), (3,))
    for mode in ("reverse", "forward"):
        found = affine.maps(network, torch.ones(2, 3), "0", mode=mode)
        torch.testing.assert_close(found.weight, torch.eye(3, dtype=torch.float64).expand(2, 3, 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": [10]}, r"units = \[10\]; give whole numbers from 0 to 9"),
        ({"units": [-1]}, r"units = \[-1\]"),
        ({"units": []}, r"units = \[\]"),
        ({"layer": "nobody"}, "layer 'nobody' stands for 0 values"),
    ],
)
def test_what_there_is_not_is_refused(options, message):
    model, shape = NETWORKS["mlp"]()
    with pytest.raises(ValueError, match=message):
        affine.maps(model, rand(2, *shape), **options)


def test_maps_that_do_not_fit_are_refused_before_they_are_made():
    network = piecewise.trace(models.mlp((3000,), input_shape=(3, 32, 32)), (3, 32, 32))
    with pytest.raises(ValueError, match=r"these maps take 13.7 GiB, more than 8"):
        affine.maps(network, torch.zeros(200, 3, 32, 32), "relu1")
    found = affine.maps(network, torch.zeros(2, 3, 32, 32))
    with pytest.raises(ValueError, match=r"\(2, 10\) maps for 3 samples"):
        affine.verify(network, found, torch.zeros(3, 3, 32, 32))
