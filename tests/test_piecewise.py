"""Networks as steps: against the networks themselves, finite differences and PyTorch's own max-pooling."""

import copy

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from actlib import gates, models, piecewise, preactivation, resnets


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Reused(nn.Module):
    """A ReLU called twice and in place, sums, constants, slices and functions."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(8, 3)
        self.relu, self.shift = nn.ReLU(inplace=True), nn.Parameter(torch.linspace(-1, 1, 6))
        self.relu_1 = nn.Identity()

    def forward(self, x, flag=True):
        h = self.relu(self.a(x.view(x.size(0), -1)))
        later = self.relu(self.b(h) + self.shift)
        h = torch.add(h, later, alpha=2)
        h -= 0.3
        h = F.leaky_relu(1 - h * 0.5, 0.2)
        zeros = torch.zeros(x.shape[0], 2)
        return self.c(torch.cat([h[:, 3:], h[:, :3], zeros.to(h)], 1)) / 2


class Residual(nn.Module):
    """In place on what is used again: the sum sees the value after the ReLU."""

    def __init__(self):
        super().__init__()
        self.a, self.relu = nn.Linear(4, 4), nn.ReLU(inplace=True)

    def forward(self, x):
        h = self.a(x)
        return h + 2 * F.relu(h, inplace=True)


class Pools(nn.Module):
    """Overlapping windows, borders, holes, and one more window than fits."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1, padding_mode="reflect")
        self.one = nn.MaxPool2d(3, 2, padding=1)
        self.two = nn.MaxPool2d((2, 3), stride=(2, 1), dilation=(1, 2), ceil_mode=True)
        self.mean, self.fc = nn.AvgPool2d(2, ceil_mode=True), nn.LazyLinear(4)
        self(torch.zeros(1, 1, 13, 15))

    def forward(self, x):
        h = F.pad(self.two(self.one(self.conv(x))), (1, 0), value=0.5)
        return self.fc(torch.flatten(F.max_pool1d(self.mean(h).mean(2), 2), 1))


class Sized(nn.Module):
    """A network that asks its samples for their size and computes with its weights before it uses them."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 4, generator=seeded()))

    def forward(self, x):
        if x.dim() != 2 or x.numel() != 4 * len(x):
            raise ValueError(f"samples have shape {tuple(x.shape)}; give (n, 4)")
        return F.linear(x, self.weight.exp()).relu()


class Pooled(nn.Module):
    """Max-pooling in the plane as a function, without a module of its own."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)

    def forward(self, x):
        return F.max_pool2d(self.conv(x), 2).flatten(1)


NETWORKS = {
    "mlp": lambda: (models.mlp((7, 6), input_shape=(1, 3, 3), generator=seeded()), (1, 3, 3)),
    "weight norm": lambda: (models.mlp((7,), input_shape=(1, 3, 3), normalization="weight"), (1, 3, 3)),
    "batch norm": lambda: (models.mlp((7, 5), input_shape=(1, 3, 3), normalization="batch"), (1, 3, 3)),
    "lenet5": lambda: (models.lenet5(size=16), (1, 16, 16)),
    "reused": lambda: (Reused(), (5,)),
    "residual": lambda: (Residual(), (4,)),
    "pooled": lambda: (Pooled(), (1, 7, 9)),
    "sized": lambda: (Sized(), (4,)),
    "pools": lambda: (Pools(), (1, 13, 15)),
    "cifar A": lambda: (resnets.cifar(8, widths=(4, 6, 8), size=8), (3, 8, 8)),
    "cifar B": lambda: (resnets.cifar(8, widths=(4, 6, 8), size=8, shortcut="B"), (3, 8, 8)),
    "v2": lambda: (preactivation.baseline(size=8, widths=(4, 6), blocks=(1, 2)), (3, 8, 8)),
    "resnet18": lambda: (torchvision.models.resnet18(), (3, 32, 32)),
    "squeezenet": lambda: (torchvision.models.squeezenet1_1(num_classes=5), (3, 32, 32)),
}


def prepared(name):
    """One network with running statistics that are not 0 and 1, and its samples."""
    model, shape = NETWORKS[name]()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.uniform_(-0.5, 0.5, generator=seeded(1))
            module.running_var.uniform_(0.5, 2, generator=seeded(2))
    return model.eval(), shape


@pytest.mark.parametrize("name", NETWORKS)
def test_steps_give_the_network_and_families_its_differences(name):
    model, shape = prepared(name)
    network, exact = piecewise.trace(model, shape), copy.deepcopy(model).double()
    x = torch.rand(3, *shape, dtype=torch.float64, generator=seeded(3))
    d = torch.randn(3, 2, *shape, dtype=torch.float64, generator=seeded(4))
    with torch.no_grad():
        torch.testing.assert_close(network(x), exact(x.clone()), rtol=1e-12, atol=1e-12)
        state, pattern = network.start(x, d), network.pattern(x)
        while (gate := network.advance(state)) is not None:
            choices = state.decide()
            assert torch.equal(choices, pattern.choices[gate.name])
            assert tuple(choices.shape[1:]) == gate.shape
            state.resolve(choices)
        torch.testing.assert_close(state.constant, exact(x.clone()), rtol=1e-12, atol=1e-12)
        step = 1e-8
        for k in range(2):
            moved = (exact(x + step * d[:, k]) - exact(x - step * d[:, k])) / (2 * step)
            torch.testing.assert_close(state.directions[:, k], moved, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["reused", "weight norm", "batch norm"])
def test_the_network_is_left_as_it_was(name):
    model, shape = prepared(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    x = torch.rand(2, *shape)
    expected, modes = model(x), [module.training for module in model.modules()]
    piecewise.trace(model, shape)
    assert torch.equal(model(x), expected)
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in before.items())
    assert [module.training for module in model.modules()] == modes
    assert all(p.requires_grad and p.dtype == torch.float32 for p in model.parameters())


def test_gates_are_numbered_and_never_take_a_module_s_name():
    network = piecewise.trace(Reused().eval(), (5,))
    assert list(network.gates) == ["relu", "relu__1", "leaky_relu"]  # relu_1 is a module
    assert [gate.slope for gate in network.gates.values()] == [0, 0, 0.2]
    names = list(piecewise.trace(torchvision.models.resnet18().eval(), (3, 32, 32)).gates)
    assert names[:4] == ["relu", "maxpool", "layer1.0.relu", "layer1.0.relu_1"]
    assert len(names) == 18


@settings(max_examples=25, deadline=None)
@given(
    st.integers(2, 9), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(0, 1), st.booleans(),
    st.integers(0, 10**6),
)  # fmt: skip
def test_max_pooling_of_any_form_is_pytorch_s(size, kernel, stride, dilation, padding, ceil, seed):
    padding = min(padding, kernel // 2)
    if (kernel - 1) * dilation + 1 > size + 2 * padding:
        return
    pool = nn.MaxPool2d(kernel, stride, padding=padding, dilation=dilation, ceil_mode=ceil)
    network = piecewise.trace(nn.Sequential(pool), (2, size, size + 1))
    # Whole numbers: many are equal, and the first of them counts.
    x = torch.randint(0, 4, (5, 2, size, size + 1), generator=seeded(seed)).double()
    found, places = F.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode=ceil, return_indices=True)
    (gate,) = network.gates.values()
    assert torch.equal(gates.decide(gate, x), places)
    assert torch.equal(network.pattern(x).choices["0"], places)
    assert torch.equal(gates.pass_through(network.steps[0], places, x), found)


def random_network(draw):
    """A small convnet or MLP of drawn widths."""
    n, layers = draw(st.integers(2, 6)), []
    if draw(st.booleans()):
        layers += [nn.Conv2d(2, n, draw(st.integers(1, 3)), stride=draw(st.integers(1, 2))), nn.ReLU()]
        layers += [draw(st.sampled_from([nn.MaxPool2d(2, 1), nn.AvgPool2d(2), nn.BatchNorm2d(n), nn.Identity()]))]
    layers += [nn.Flatten(), nn.LazyLinear(n), draw(st.sampled_from([nn.ReLU(), nn.LeakyReLU(0.1)])), nn.Linear(n, 2)]
    return nn.Sequential(*layers)


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(0, 10**6))
def test_take_splits_families_whose_halves_go_their_own_ways(data, seed):
    model = random_network(data.draw).eval()
    model(torch.zeros(2, 2, 6, 6))
    network = piecewise.trace(model, (2, 6, 6))
    x, y = torch.randn(2, 4, 2, 6, 6, dtype=torch.float64, generator=seeded(seed))
    one, both = network.start(x, (y - x)[:, None]), network.start(x, (y - x)[:, None])
    index = torch.tensor([3, 3, 0])
    pattern, other = network.pattern(x), network.pattern(y)
    first = True
    while (gate := network.advance(both)) is not None:
        network.advance(one)
        one.resolve(pattern.choices[gate.name])
        if first:
            both.take(index)
            first = False
        choices = pattern.choices[gate.name][index].clone()
        choices[1] = other.choices[gate.name][3]  # the second copy takes the pieces of y
        both.resolve(choices)
    network.advance(one)
    torch.testing.assert_close(both.constant[::2], one.constant[index[::2]])
    torch.testing.assert_close(both.directions[::2], one.directions[index[::2]])
    # At t = 1 that copy is at y, whose pieces it has.
    torch.testing.assert_close(both.constant[1] + both.directions[1, 0], network(y)[3], rtol=1e-9, atol=1e-9)


def test_a_value_of_exactly_0_is_off_wherever_it_is_asked():
    network = piecewise.trace(nn.Sequential(nn.ReLU()), (3,))
    x = torch.tensor([[-1.0, 0, 1]])
    state = network.start(x, x[:, None])
    network.advance(state)
    assert state.decide().tolist() == network.pattern(x).choices["0"].tolist() == [[False, False, True]]


def test_directions_that_all_share_are_pushed_once_up_to_the_first_gate():
    network = piecewise.trace(*prepared("lenet5"))
    x, d = torch.rand(4, 1, 16, 16), torch.rand(1, 3, 1, 16, 16)
    shared, own = network.start(x, d), network.start(x, d.expand(4, -1, -1, -1, -1))
    assert network.advance(shared).name == network.advance(own).name == "relu1"
    assert len(shared.directions) == 1
    for state in (shared, own):
        while state.gate is not None:
            state.resolve(state.decide())
            network.advance(state)
    torch.testing.assert_close(shared.directions, own.directions)


def wrapped(function, *layers, train=False):
    """A network that sends its first layer through others and a function."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(4, 4), *layers)

        def forward(self, x):
            return function(self.body(x))

    return Model().train(train)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (wrapped(F.gelu), r"^gelu: gelu\(\) has no exact linear regions here; allowed are linear layers"),
        (wrapped(lambda x: x, nn.GELU()), "^body.1: GELU has no exact"),
        (wrapped(lambda x: x, nn.ReLU(), nn.Softmax(1)), "^body.2: Softmax"),
        (wrapped(lambda x: x, nn.SELU()), "^body.1: SELU"),
        (wrapped(lambda x: x, nn.LayerNorm(4)), "^body.1: LayerNorm"),
        (wrapped(lambda x: x * x), r"mul\(\) of 2 values"),
        (wrapped(lambda x: x * x.relu()), r"mul\(\) of 2 values"),
        (wrapped(lambda x: 1 / x), "division by a value"),
        (wrapped(lambda x: x.exp()), r"exp\(\)"),
        (wrapped(lambda x: F.dropout(x)), r"dropout\(\) that is not switched off"),
        (wrapped(lambda x: x[:1]), "loses the axis of samples"),
        (wrapped(lambda x: x + x.flip(0)), "do not give the model's output"),
        (wrapped(lambda x: x if x.sum() > 0 else -x), r"decides by values what it computes, in .*x\.sum\(\) > 0"),
        (wrapped(lambda x: torch.stack(list(x))), r"decides by values what it computes, in .*list\(x\)"),
        (wrapped(lambda x: x * float(x.max())), r"cannot be followed, in .*float\(x.max\(\)\).*without float\(\)"),
        (wrapped(lambda x: torch.from_numpy(x.numpy())), "cannot be followed, in .*from_numpy.* or NumPy"),
        (wrapped(lambda x: x.real), "^the model: the attribute .real of a value has no exact linear regions here"),
        (wrapped(lambda x: (x[:, None] @ x[:, None].mT)[:, 0]), r"^matmul: matmul\(\) of 2 values"),
        (wrapped(lambda x: (x, x)), "gives a tuple"),
        (wrapped(lambda x: x[0], nn.MaxPool1d(2, return_indices=True)), "^body.1: MaxPool1d with return_indices"),
        (wrapped(lambda x: F.max_pool1d(x, 2, return_indices=True)[0]), r"max_pool1d_with_indices\(\)|return_indices"),
        (wrapped(lambda x: x, nn.MaxPool1d(2)), r"^body.1: MaxPool1d of one sample of shape \(4,\), without a channel"),
        (wrapped(lambda x: x, nn.Linear(4, 4), nn.BatchNorm1d(4), train=True), "^body.2: BatchNorm1d in train mode"),
        (wrapped(lambda x: x, nn.BatchNorm1d(4, track_running_stats=False)), "^body.1: BatchNorm1d in train mode or"),
        (wrapped(lambda x: x, nn.Dropout(), train=True), "^body.1: Dropout in train mode"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_its_path(model, message):
    with pytest.raises(ValueError, match=message):
        piecewise.trace(model, (4,))


def test_samples_of_another_size_are_refused_with_pytorch_s_words():
    with pytest.raises(ValueError, match=r"takes no samples of shape \(5,\): .*cannot be multiplied"):
        piecewise.trace(nn.Linear(4, 2), (5,))


def test_a_device_without_float64_has_its_exact_copy_on_the_cpu():
    with pytest.warns(UserWarning, match="this device has no float64; the exact copy is on the CPU"):
        network = piecewise.trace(nn.Linear(2, 1), (2,), device=torch.device("mps"))
    assert network(torch.zeros(1, 2, dtype=torch.float64)).device.type == "cpu"


def test_a_transpose_by_its_attribute_is_followed():
    network = piecewise.trace(wrapped(lambda x: x.view(-1, 2, 2).mT.flatten(1), nn.ReLU()), (4,))
    x = torch.randn(3, 4, dtype=torch.float64)
    torch.testing.assert_close(network(x)[:, [0, 2, 1, 3]], network.run(x, until=2)[0])


def test_dropout_in_eval_mode_is_the_identity():
    network = piecewise.trace(nn.Sequential(nn.Linear(3, 3), nn.Dropout(), nn.ReLU()).eval(), (3,))
    assert [step.kind for step in network.steps] == ["affine", "relu"]


def test_bad_weights_and_bad_samples_are_refused():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    network = piecewise.trace(model, (3,))
    model[0].bias.data[1] = torch.nan
    with pytest.raises(ValueError, match=r"weights hold NaN or infinity: \['0.bias'\]"):
        piecewise.trace(model, (3,))
    with pytest.raises(ValueError, match=r"x has shape \(2, 4\); give samples \(b, 3\)"):
        network(torch.zeros(2, 4))
    with pytest.raises(ValueError, match="x holds NaN"):
        network.pattern(torch.full((1, 3), torch.inf))
    with pytest.raises(ValueError, match=r"directions have shape \(2, 1, 4\)"):
        network.start(torch.zeros(2, 3), torch.zeros(2, 1, 4))
    with pytest.raises(ValueError, match="no gate waits"):
        network.start(torch.zeros(2, 3), torch.zeros(2, 1, 3)).resolve(torch.zeros(2, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match="stands for 0 values"):
        network.place("nobody")
    with pytest.raises(ValueError, match=r"no gate \['nobody'\]"):
        network.select("nobody")
