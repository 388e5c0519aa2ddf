"""Measuring a whole data set: the same as map by map, whatever the batches, and nothing left behind."""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from actlib import aliasing
from actlib.aliasing import CORRECTED, LITERAL, measure


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.MaxPool2d(2, (2, 1)), nn.BatchNorm2d(4),
        nn.Conv2d(4, 5, 2, 3), nn.Flatten(), nn.LazyLinear(3),
    )  # fmt: skip


@pytest.fixture
def images():
    return torch.rand(7, 3, 26, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def found(model, images):
    return measure(model, images, channels=True, batch_size=3, progress=False)


def test_measuring_is_tallying_each_map(model, images, found):
    model.eval()
    for k, image in enumerate(images):
        with torch.no_grad(), aliasing.capture(model) as maps:
            model(image[None])
        for rule, settings in (("literal", LITERAL), ("corrected", CORRECTED)):
            assert list(found[rule]) == ["0", "3", "5"]
            for layer, one in found[rule].items():
                tally = aliasing.tally(maps[layer][0], aliasing.strides(model)[layer], settings)
                counts = tally.counts.double()
                assert_close(one.shares[k], counts.sum(0) / counts.sum())
                assert_close(one.channel_shares[k], counts / counts.sum(1, keepdim=True))
                assert_close(one.outside[k], tally.outside.sum() / tally.energy.sum(), rtol=1e-4, atol=1e-6)
                assert_close(one.channel_outside[k], tally.outside / tally.energy, rtol=1e-4, atol=1e-6)
                assert one.size == tuple(maps[layer].shape[2:])
                assert one.stride == aliasing.strides(model)[layer]


def test_shares_add_up_and_the_two_modes_differ(found):
    for layers in found.values():
        for one in layers.values():
            assert_close(one.shares.sum(1), torch.ones(7, dtype=torch.float64))
            assert ((one.outside > 0) & (one.outside < 1)).all()
    assert (found["literal"]["0"].shares - found["corrected"]["0"].shares).abs().max() > 0.05


@pytest.mark.parametrize("form", ["one by one", "uint8", "numpy", "read only", "one image"])
def test_batches_and_forms_change_nothing(model, images, form):
    whole = (images * 255).to(torch.uint8)
    expected = measure(model, whole.float() / 255, progress=False)
    given = {"one by one": whole.float() / 255, "one image": whole[:1]}.get(form, whole)
    if form in ("numpy", "read only"):
        given = given.numpy().copy()
        given.flags.writeable = form == "numpy"
    got = measure(model, given, batch_size=1 if form == "one by one" else 5, progress=False)
    for rule, layers in got.items():
        for layer, one in layers.items():
            assert_close(one.shares, expected[rule][layer].shares[: len(given)], rtol=0, atol=2e-2)
            assert_close(one.outside, expected[rule][layer].outside[: len(given)], rtol=1e-4, atol=1e-6)
            assert one.channel_shares is one.channel_outside is None


def test_rules_and_layers_can_be_chosen(model, images):
    rules = {"hann": CORRECTED._replace(window="hann"), "strict": CORRECTED._replace(threshold=3)}
    got = measure(model, images, (name for name in ["5", "3"]), rules=rules, progress=False)
    assert list(got) == ["hann", "strict"]
    assert list(got["hann"]) == ["3", "5"]
    assert (got["strict"]["3"].shares[:, 0] > got["hann"]["3"].shares[:, 0]).all()


def state(model):
    tables = ("_forward_hooks", "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs")
    return (
        [[list(getattr(module, table)) for table in tables] for module in model.modules()],
        [module.training for module in model.modules()],
        {name: value.tolist() for name, value in model.state_dict().items()},
        torch.get_rng_state().tolist(),
    )


def test_a_network_is_as_before_after_an_exception_too(model, images):
    model.eval()(images)
    model.train()[4].eval()
    before, original = state(model), copy.deepcopy(model)
    measure(model, images, progress=False)
    assert state(model) == before
    with torch.no_grad():
        model[5].weight[0, 0] = float("inf")
    before = state(model)
    message = "maps hold NaN or infinity, first in map 0"
    with pytest.raises(ValueError, match=message) as caught:
        measure(model, images, batch_size=3, progress=False)
    assert caught.value.__notes__ == ["in layer '5', for the batch that begins with image 0"]
    assert state(model) == before
    assert_close(model.eval()[:5](images), original.eval()[:5](images), rtol=0, atol=0)


def test_a_dead_channel_has_no_energy_and_passes_nothing(model, images):
    with torch.no_grad():
        model[0].bias[1] = -100
        model[0].weight[1] = 0
    one = measure(model, images, ["3"], channels=True, progress=False)["corrected"]["3"]
    assert one.channel_outside[:, 1].isnan().all()
    assert_close(one.channel_shares[:, 1], torch.tensor([[1.0, 0, 0, 0]], dtype=torch.float64).expand(7, 4))
    assert one.outside.isfinite().all()


def test_what_has_no_answer_is_refused(model, images):
    plain = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU())
    small = nn.Sequential(nn.Conv2d(3, 2, 26, 2))
    for call, message in [
        (lambda: measure(plain, images), "has no layer that down-samples"),
        (lambda: measure(model, images, ["1"]), r"layers \['1'\] do not down-sample"),
        (lambda: measure(model, images, "0"), "is one name; give a list"),
        (lambda: measure(model, images[:, :1]), r"images have shape \(c, h, w\) = \(1, 26, 32\)"),
        (lambda: measure(model, images[:0]), "2 rules, 0 images; give at least one of each"),
        (lambda: measure(model, images, rules={}), "0 rules, 7 images"),
        (lambda: measure(model, images, batch_size=0), "batch_size = 0"),
        (lambda: measure(model, images * 2), "float images lie in"),
        (lambda: measure(model, images * float("nan")), "hold NaN or infinity"),
        (lambda: measure(model, images, rules={"x": CORRECTED._replace(threshold=200)}), "threshold = 200 dB"),
        (lambda: measure(small, images[..., :26]), "smaller than the stride"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_layers_that_do_not_see_each_image_once_are_refused(images):
    class Half(nn.Module):
        def __init__(self, n):
            super().__init__()
            self.n, self.part = n, nn.Conv2d(3, 2, 3, 2)

        def forward(self, x):
            return self.part(x[: self.n]) if self.n else x

    with pytest.raises(ValueError, match="layer 'part' was not called once for each image; leave it out of layers"):
        measure(Half(2), images, progress=False)
    with pytest.raises(ValueError, match="no layer that down-samples was called; use the model's own forward pass"):
        measure(Half(0), images, progress=False)


def test_layers_that_are_not_called_are_left_out_unless_they_are_named(images):
    class Partly(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Conv2d(3, 2, 3, 2), nn.Conv2d(3, 2, 3, 2)

        def forward(self, x):
            return self.used(x)

    assert list(measure(Partly(), images, progress=False)["literal"]) == ["used"]
    with pytest.raises(ValueError, match=r"layers \['unused'\] were not called"):
        measure(Partly(), images, ["unused"], progress=False)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_finds_the_same(model, images):
    expected = measure(model, images, progress=False)
    got = measure(model.cuda(), images, progress=False)
    for layer, one in got["corrected"].items():
        assert one.shares.is_cuda
        assert_close(one.outside.cpu(), expected["corrected"][layer].outside, rtol=1e-3, atol=1e-5)
