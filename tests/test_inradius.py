"""Inradii against gradients one by one, a planted arrangement, and 20,000 steps that stay inside."""

import math

import pytest
import torch
from torch import nn

from actlib import models, piecewise
from actlib.inradius import inradius

DUAL = {"l2": 2, "linf": 1, "l1": math.inf}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def rand(*shape, seed=1):
    return torch.rand(*shape, dtype=torch.float64, generator=seeded(seed))


def convnet():
    """Overlapping max-pooling with a border, before and after a ReLU."""
    layers = [nn.Conv2d(1, 3, 3), nn.MaxPool2d(2, 1), nn.ReLU(), nn.Conv2d(3, 4, 3), nn.ReLU()]
    model = nn.Sequential(
        *layers, nn.MaxPool2d(2, padding=1), nn.Flatten(), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, 2)
    )
    return models.initialize(model, seeded(5)).double(), (1, 8, 8)


def mlp():
    return models.mlp((9, 8, 7), input_shape=(1, 5, 5), generator=seeded()).double(), (1, 5, 5)


def by_hand(model, x, norm):
    """Go through the layers of a sequence, take each face's gradient by autograd; return (b, g)."""
    rows = []
    for sample in x:
        z = h = sample[None].clone().requires_grad_()
        row = []
        for layer in model:
            faces = []
            if isinstance(layer, nn.ReLU):
                faces = list(h.flatten())
            elif isinstance(layer, nn.MaxPool2d):
                k, s, p = layer.kernel_size, layer.stride, layer.padding
                padded = nn.functional.pad(h, (p, p, p, p), value=-math.inf)[0]
                for channel in padded:
                    for i in range(0, channel.shape[0] - k + 1, s):
                        for j in range(0, channel.shape[1] - k + 1, s):
                            window = [v for v in channel[i : i + k, j : j + k].flatten() if v.isfinite()]
                            best = max(range(len(window)), key=lambda m, w=window: w[m].item())
                            faces += [window[best] - v for m, v in enumerate(window) if m != best]
            if faces:
                nearest = math.inf
                for face in faces:
                    (g,) = torch.autograd.grad(face, z, retain_graph=True, allow_unused=True)
                    size = 0 if g is None else g.flatten().norm(DUAL[norm]).item()
                    if size > 1e-12:
                        nearest = min(nearest, abs(face.item()) / size)
                row.append(nearest)
            h = layer(h)
        rows.append(row)
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("norm", ["l2", "l1", "linf"])
@pytest.mark.parametrize("build", [mlp, convnet])
@pytest.mark.parametrize("blocks", [False, True])
def test_every_gate_has_the_distance_found_by_gradients_one_by_one(build, norm, blocks, monkeypatch):
    if blocks:  # few directions at a time, so that their norms are added up, and one sample at a time
        monkeypatch.setattr("actlib.inradius._VALUES", 2000)
    model, shape = build()
    x = rand(3, *shape)
    found = inradius(model.eval(), x, norm)
    torch.testing.assert_close(found.by_gate, by_hand(model, x, norm), rtol=1e-9, atol=1e-13)
    assert torch.equal(found.radius, found.by_gate.amin(1))
    assert torch.equal(found.gate, found.by_gate.argmin(1))


def test_a_narrow_layer_is_pushed_on_as_a_triangle_with_the_same_result(monkeypatch):
    model, shape = mlp()
    x = rand(8, *shape)
    found = inradius(model, x)
    monkeypatch.setattr("actlib.inradius._triangle", lambda directions: directions)
    torch.testing.assert_close(inradius(model, x).by_gate, found.by_gate, rtol=1e-12, atol=0)


class Skip(nn.Module):
    """A narrow value that waits while a wide one is made."""

    def __init__(self):
        super().__init__()
        self.narrow, self.wide, self.out = nn.Linear(20, 4), nn.Linear(20, 30), nn.Linear(34, 5)

    def forward(self, x):
        narrow = self.narrow(torch.relu(x))
        return torch.relu(self.out(torch.cat([narrow, torch.relu(self.wide(x))], 1)))


def test_a_triangle_is_taken_only_where_one_value_is_all_there_is(monkeypatch):
    model, x = models.initialize(Skip(), seeded()).double(), rand(4, 20)
    found = inradius(model, x)
    monkeypatch.setattr("actlib.inradius._triangle", lambda directions: directions)
    torch.testing.assert_close(inradius(model, x).by_gate, found.by_gate, rtol=1e-12, atol=0)


def gradient(network, x, found):
    """The gradient of the nearest face of one sample, from the affine functions at its gate."""
    n = x.numel()
    state, name = network.start(x, torch.eye(n).reshape(1, n, *x.shape[1:])), found.gates[found.gate]
    while (gate := network.advance(state)).name != name:
        state.resolve(state.decide())
    flat = state.directions.flatten(3) if gate.kind == "max" else state.directions.flatten(2)
    if gate.kind == "relu":
        return flat[0, :, found.unit], state.constant.flatten()[found.unit]
    channel, window = divmod(found.unit.item(), len(gate.windows))
    chosen = state.decide().flatten(2)[0, channel, window]
    slopes = flat[0, :, channel, chosen] - flat[0, :, channel, found.rival]
    values = state.constant.flatten(2)[0, channel]
    return slopes, values[chosen] - values[found.rival]


@pytest.mark.parametrize("build", [mlp, convnet])
def test_20_000_steps_inside_stay_and_one_beyond_changes_one_choice(build):
    model, shape = build()
    network = piecewise.trace(model.eval(), shape)
    for seed in range(2):
        x = rand(1, *shape, seed=seed)
        found = inradius(network, x)
        pattern = network.pattern(x)
        d = torch.randn(10_000, *shape, dtype=torch.float64, generator=seeded(seed))
        d /= d.flatten(1).norm(dim=1).reshape(-1, *[1] * len(shape))
        assert network.pattern(x + 0.999 * found.radius * d).same(pattern).all()
        one = type(found)(*(part[0] for part in found[:5]), found.gates)
        slopes, value = gradient(network, x, one)
        step = (-value.sign() * slopes / slopes.norm()).reshape(x.shape)
        assert network.pattern(x + 0.9999 * found.radius * step).same(pattern).item()
        beyond = network.pattern(x + 1.0001 * found.radius * step)
        changed = {
            name: int((beyond.choices[name] != choice).sum())
            for name, choice in pattern.choices.items()
            if not torch.equal(beyond.choices[name], choice)
        }
        assert changed == {found.gates[one.gate]: 1}
        # A step of the same length in L-inf is far outside.
        assert not network.pattern(x + 3 * found.radius * step.sign()).same(pattern).item()


@pytest.mark.parametrize("norm", ["l1", "linf"])
def test_balls_of_other_norms_stay_inside_and_are_as_large_as_can_be(norm):
    model, shape = mlp()
    network, x = piecewise.trace(model.eval(), shape), rand(1, *shape)
    radius, pattern = inradius(network, x, norm).radius, network.pattern(x)
    n = x.numel()
    if norm == "linf":
        corners = torch.randint(0, 2, (4000, n), generator=seeded()).double() * 2 - 1
    else:
        corners = torch.cat([torch.eye(n), -torch.eye(n)]).double()
    corners = corners.reshape(-1, *shape)
    assert network.pattern(x + 0.999 * radius * corners).same(pattern).all()
    best = inradius(network, x, norm)
    slopes, value = gradient(network, x, type(best)(*(part[0] for part in best[:5]), best.gates))
    worst = (
        slopes.sign()
        if norm == "linf"
        else torch.zeros(n).double().index_fill_(0, slopes.abs().argmax(), 1) * slopes.sign()
    )
    step = -value.sign() * worst.reshape(x.shape)
    assert not network.pattern(x + 1.001 * radius * step).same(pattern).item()


def test_a_planted_square_has_its_distances():
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU()).double()
    model[0].weight.data = torch.tensor([[1.0, 0], [-1, 0], [0, 2], [3, 4]]).double()
    model[0].bias.data = torch.tensor([0.0, 1, 2, -100]).double()
    x = torch.tensor([[0.25, 0.25], [0.5, -0.75]]).double()
    assert inradius(model, x).radius.tolist() == pytest.approx([0.25, 0.25])
    assert inradius(model, x).unit.tolist() == [0, 2]
    assert inradius(model, x, "l1").radius.tolist() == pytest.approx([0.25, 0.25])
    only = model[0].weight.data[3:], model[0].bias.data[3:]
    model[0] = nn.Linear(2, 1).double()
    model[0].weight.data, model[0].bias.data = only
    expected = {"l2": (98.25 / 5, 101.5 / 5), "linf": (98.25 / 7, 101.5 / 7), "l1": (98.25 / 4, 101.5 / 4)}
    for norm, radii in expected.items():
        assert inradius(model, x, norm).radius.tolist() == pytest.approx(radii)


def test_dead_layers_have_no_faces_and_a_sample_on_a_boundary_has_radius_0():
    model, shape = mlp()
    model.fc2.weight.data.zero_()
    model.fc2.bias.data.fill_(-1)
    found = inradius(model, rand(4, *shape))
    assert found.by_gate[:, 0].isfinite().all()
    assert found.by_gate[:, 1:].isinf().all()
    dead = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    dead[0].weight.data.zero_()
    found = inradius(dead, torch.ones(3, 2))
    assert found.radius.isinf().all()
    assert found.gate.tolist() == found.unit.tolist() == found.rival.tolist() == [-1] * 3
    edge = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU())
    assert inradius(edge, torch.zeros(1, 2)).radius.item() == 0


def test_windows_where_all_are_off_are_no_boundary():
    model = nn.Sequential(nn.ReLU(), nn.MaxPool1d(2))
    x = torch.tensor([[[-1.0, -3]], [[2.0, 0.5]], [[2.0, -0.5]], [[1.0, 1.0]]])
    found = inradius(model, x)
    # The last sample lies on the boundary between the two; the second is nearer to 0 than to 2.
    assert found.by_gate[:, 0].tolist() == [1, 0.5, 0.5, 1]
    assert found.by_gate[:, 1].tolist() == pytest.approx([math.inf, 1.5 / math.sqrt(2), 2, 0])
    assert found.rival.tolist() == [-1, -1, -1, 1]


def test_gates_can_be_chosen():
    model, shape = mlp()
    x = rand(5, *shape)
    every, some = inradius(model, x), inradius(model, x, gates=["relu3", "relu1"])
    assert some.gates == ("relu1", "relu3")
    torch.testing.assert_close(some.by_gate, every.by_gate[:, [0, 2]])
    assert inradius(model, x, gates=[]).radius.isinf().all()
    with pytest.raises(ValueError, match=r"no gate \['relu9'\]; choose of \['relu1'"):
        inradius(model, x, gates="relu9")
    with pytest.raises(ValueError, match="x holds NaN"):
        inradius(model, x * torch.nan)
