"""Patterns drawn in between, and images sought for them, where it is known which exist."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from actlib import models, targets


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def layer(weight, bias):
    model = nn.Sequential(nn.Linear(len(weight[0]), len(weight)), nn.ReLU(inplace=True)).double()
    model[0].weight.data = torch.tensor(weight).double()
    model[0].bias.data = torch.tensor(bias).double()
    return model


# On when the pixel is above a quarter, and above three quarters: 10 lies between, 01 is no image's.
STEPS = layer([[1.0], [1.0]], [-0.25, -0.75])


def test_patterns_are_the_signs_before_the_relu():
    x = torch.tensor([[0.1], [0.5], [0.9]]).double()
    expected = torch.tensor([[False, False], [True, False], [True, True]])
    assert_close(targets.patterns(STEPS, x, ["1"])["1"], expected)


def test_a_pattern_in_between_has_each_bit_from_one_of_the_two():
    one, other = ({"a": b[:, :30], "b": b[:, 30:]} for b in (torch.rand(2, 50, 70, generator=seeded()) > 0.5))
    for share in (0, 0.5, 0.3, 1):
        drawn = targets.between(one, other, generator=seeded(1), share=share)
        counts = torch.zeros(2, 50, dtype=torch.int64)
        for name in ("a", "b"):
            assert ((drawn[name] == one[name]) | (drawn[name] == other[name])).all()
            counts += torch.stack([(drawn[name] != side[name]).sum(1) for side in (one, other)])
        differ = sum((one[name] != other[name]).sum(1) for name in one)
        # 0.3 has no exact binary form; a float32 product rounds down as a float64 product does for these.
        assert_close(counts[0], (differ * share).floor().long())
        assert_close(counts.sum(0), differ)
    again = [targets.between(one, other, generator=seeded(s))["a"] for s in (1, 1, 2)]
    assert_close(again[0], again[1])
    assert (again[0] != again[2]).any()


def test_a_pattern_that_exists_is_found_and_one_that_does_not_is_not():
    initial = torch.tensor([[0.9], [0.1], [0.5]]).double()
    target = {"1": torch.tensor([[True, False]] * 3)}
    found = targets.seek(STEPS, initial, target, ["1"], margin=0.1)
    assert found.n_wrong.tolist() == [0, 0, 0]
    assert ((found.points > 0.25) & (found.points < 0.75)).all()
    assert_close(found.costs, torch.zeros(3).double(), atol=1e-4, rtol=0)
    impossible = targets.seek(STEPS, initial, {"1": ~target["1"]}, ["1"], margin=0.1)
    assert (impossible.n_wrong > 0).all()
    # Off below a quarter by the margin and on above three quarters by it: one of them is wrong by 0.7 in all.
    assert_close(impossible.costs, torch.full((3,), 0.7).double(), atol=1e-3, rtol=0)


def test_a_start_that_has_the_pattern_with_the_margin_stays():
    initial = torch.tensor([[0.5]]).double()
    found = targets.seek(STEPS, initial, targets.patterns(STEPS, initial, ["1"]), ["1"], n_steps=50)
    assert_close(found.points, initial, atol=0, rtol=0)
    assert found.costs.item() == 0


def test_wide_first_layers_have_images_of_all_patterns_and_a_second_layer_brings_them_back_in_range():
    model = models.mlp((6, 5), input_shape=(1, 4, 4), generator=seeded()).double().eval()
    images = torch.rand(8, 1, 4, 4, dtype=torch.float64, generator=seeded(1))
    wish = {"relu1": torch.rand(8, 6, generator=seeded(2)) > 0.5}
    free = targets.seek(model, images, wish, ["relu1"], bounds=None, n_steps=800, rate=0.05)
    assert free.n_wrong.tolist() == [0] * 8
    for image, bits in zip(free.points, wish["relu1"], strict=True):
        assert_close(targets.patterns(model, image[None], ["relu1"])["relu1"][0], bits)
    known = targets.patterns(model, images.flip(0), ["relu1", "relu2"])
    kept = targets.seek(model, images, known, ["relu1", "relu2"])
    assert kept.points.min() >= 0
    assert kept.points.max() <= 1
    before = sum((targets.patterns(model, images, [n])[n] != known[n]).sum(1) for n in known)
    after = sum((targets.patterns(model, kept.points, [n])[n] != known[n]).sum(1) for n in known)
    assert_close(after, kept.n_wrong)
    assert after.sum() < before.sum() / 4


def test_what_does_not_fit_is_refused():
    x = torch.full((2, 1), 0.5).double()
    target = targets.patterns(STEPS, x, ["1"])
    with pytest.raises(ValueError, match="margin = 0"):
        targets.seek(STEPS, x, target, ["1"], margin=0)
    with pytest.raises(ValueError, match=r"target holds \{'1': \(1, 2\)\}; these images have \{'1': \(2, 2\)\}"):
        targets.seek(STEPS, x, {"1": target["1"][:1]}, ["1"])
    with pytest.raises(ValueError, match="unknown layer '7'"):
        targets.seek(STEPS, x, target, ["7"])
    with pytest.raises(ValueError, match="not finite"):
        targets.seek(STEPS, x * math.nan, target, ["1"])
    with pytest.raises(ValueError, match=r"share = 2; give equal shapes"):
        targets.between(target, target, generator=seeded(), share=2)
    with pytest.raises(ValueError, match="give equal shapes"):
        targets.between(target, {"2": target["1"]}, generator=seeded())
