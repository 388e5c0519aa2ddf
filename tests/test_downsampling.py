"""Maps at stride 1 against what each layer gives, and a network that does not notice."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations
from torch.testing import assert_close
from torchvision import models

from actlib import downsampling, resnets
from actlib.downsampling import at_stride_1, capture, select, strides


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def convolution(stride, **options):
    layer = nn.Conv2d(4, 6, (3, 2), stride=stride, **options).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(1))
    return layer


def check(layer, x):
    found, (r1, r2) = at_stride_1(layer, x), downsampling._pair(layer.stride)
    given, h, w = layer(x), *layer(x).shape[2:]
    assert_close(found[:, :, ::r1, ::r2], given)
    assert found.shape[2] > (h - 1) * r1
    assert found.shape[3] > (w - 1) * r2


@pytest.mark.parametrize("stride", [2, 3, (2, 1), (1, 3), (4, 2)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": (1, 2)},
        {"dilation": 2},
        {"groups": 2, "bias": False},
        {"padding": 1, "padding_mode": "circular"},
    ],
)
def test_convolutions_at_stride_1_hold_what_they_give(stride, options):
    check(convolution(stride, **options), noise(2, 4, 11, 8))


sizes = st.integers(1, 4)


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from([nn.MaxPool2d, nn.AvgPool2d]), st.tuples(sizes, sizes), st.tuples(sizes, sizes), sizes, sizes,
    st.booleans(), st.booleans(), st.integers(4, 12), st.integers(4, 12),
)  # fmt: skip
def test_pooling_at_stride_1_holds_what_it_gives(kind, kernel, stride, padding, other, ceil, flag, h, w):
    padding = min(padding - 1, min(kernel) // 2)
    options = {"stride": stride, "padding": padding, "ceil_mode": ceil}
    if kind is nn.MaxPool2d:
        options |= {"dilation": min(other, 2)}
    else:
        options |= {"count_include_pad": flag, "divisor_override": other if other > 2 else None}
    assume(h + 2 * padding > 2 * (kernel[0] - 1) and w + 2 * padding > 2 * (kernel[1] - 1))
    check(kind(kernel, **options), noise(2, 3, h, w))


def test_option_a_shortcuts_and_other_weights_are_known():
    check(nn.MaxPool2d(2), noise(1, 2, 7, 9))
    check(parametrizations.weight_norm(convolution(2)).eval(), noise(1, 4, 8, 8))
    x = noise(2, 3, 8, 8)
    shortcut = resnets.Subsample(3, 3, 2)
    assert_close(at_stride_1(shortcut, x), x)
    assert at_stride_1(shortcut, x).data_ptr() != x.data_ptr()
    twin = convolution(2)
    at_stride_1(twin, noise(1, 4, 8, 8))
    assert twin.stride == (2, 2)


def test_every_layer_that_down_samples_is_found_by_name():
    found = strides(models.resnet34(weights=None))
    assert list(found) == [
        "conv1", "maxpool", *(f"layer{k}.0.{name}" for k in (2, 3, 4) for name in ("conv1", "downsample.0"))
    ]  # fmt: skip
    assert set(found.values()) == {(2, 2)}
    mixed = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3, (1, 2)), nn.AvgPool2d(3), nn.MaxPool2d(2, 1))
    assert strides(mixed) == {"1": (1, 2), "2": (3, 3)}
    cifar = resnets.cifar(20, generator=torch.Generator().manual_seed(0))
    assert len(strides(cifar)) == 4
    assert sum(isinstance(cifar.get_submodule(name), resnets.Subsample) for name in strides(cifar)) == 2
    assert strides(nn.Sequential(nn.Linear(2, 2))) == {}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.MaxPool2d(3, (2, 1), 1, ceil_mode=True),
        nn.BatchNorm2d(4), nn.Conv2d(4, 5, 2, 3), nn.Flatten(), nn.LazyLinear(3),
    )  # fmt: skip


@pytest.fixture
def images():
    return noise(4, 3, 21, 17).float()


def state(model):
    tables = ("_forward_hooks", "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_backward_hooks")
    return (
        [[list(getattr(module, table)) for table in tables] for module in model.modules()],
        [module.training for module in model.modules()],
        {name: value.tolist() for name, value in model.state_dict().items()},
        torch.get_rng_state().tolist(),
    )


def test_the_network_gives_the_same_to_the_last_bit(model, images):
    model(images)
    for train in (False, True):
        model.train(train)
        with torch.random.fork_rng():
            expected = model(images)
        with torch.random.fork_rng(), capture(model) as maps:
            found = model(images)
        assert_close(found, expected, rtol=0, atol=0)
    assert list(maps) == ["0", "3", "5"]
    assert maps["0"].shape[2:] == (21, 17)
    assert (maps["0"] < 0).any()  # before the in-place ReLU


def test_no_trace_is_left_after_an_exception_either(model, images):
    model.eval()(images)
    model[2].train()
    before = state(model)
    with torch.no_grad(), capture(model, ["0"]):
        assert state(model) != before
        model.eval()[2].train()
        model[:2](images)
    assert state(model) == before
    with pytest.raises(RuntimeError), capture(model):
        model(images[:, :2])
    assert state(model) == before


def test_a_layer_that_is_called_twice_is_numbered(images):
    twice = nn.Conv2d(3, 3, 3, 2, 1)
    model = nn.Sequential(twice, nn.ReLU(), twice)
    with torch.no_grad(), capture(model) as maps:
        model(images)
    assert {key: tuple(value.shape[2:]) for key, value in maps.items()} == {"0": (21, 17), "0_1": (11, 9)}


def test_what_cannot_be_meant_is_refused(model):
    with pytest.raises(ValueError, match=r"Sequential has no layer that down-samples: no nn\.Conv2d"):
        select(nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU()))
    with pytest.raises(ValueError, match=r"layers \['1'\] do not down-sample; those that do are \['0', '3', '5'\]"):
        select(model, ["0", "1"])
    with pytest.raises(ValueError, match="unknown layer '9'"):
        select(model, ["9"])
    with pytest.raises(ValueError, match="is one name; give a list"):
        capture(model, "0")
    with pytest.raises(ValueError, match=r"layers \['0', '3', '5'\] were not called"), capture(model, ["0", "3", "5"]):
        pass
