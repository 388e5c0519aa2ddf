"""Midpoints on networks where they are known: the identity, a line, a layer that folds."""

import functools
import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from actlib import midpoints, models, paths


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def pairs(n, *shape, seed=0):
    return torch.rand(2, n, *shape, dtype=torch.float64, generator=seeded(seed))


IDENTITY = nn.Sequential(nn.Identity())


def test_for_l2_the_midpoint_is_in_the_middle_and_for_l1_anywhere_in_between():
    start, end = pairs(5, 6)
    outside = (end + 0.3).clamp(max=1)
    two = midpoints.midpoints(IDENTITY, start, end, ["0"], norm="l2", initial=outside)
    assert_close(two.points, (start + end) / 2, atol=1e-3, rtol=0)
    assert_close(two.costs, (start - end).square().sum(1) / 2, atol=1e-5, rtol=0)
    one = midpoints.midpoints(IDENTITY, start, end, ["0"], norm="l1", initial=outside)
    assert_close(one.costs, (start - end).abs().sum(1), atol=2e-2, rtol=0)
    assert (one.points - (start + end) / 2).abs().max() > 0.1
    # A start that is in between is best already.
    quarter = start + (end - start) / 4
    kept = midpoints.midpoints(IDENTITY, start, end, ["0"], initial=quarter, n_steps=20)
    assert (kept.costs <= (start - end).abs().sum(1) + 1e-12).all()


def plain(values, start, end, norm, masked):
    """Equations 49 and 50, unit by unit."""
    total = 0.0
    for z, a, b in zip(values.tolist(), start.tolist(), end.tolist(), strict=True):
        for other in (a, b):
            if not masked or (z > 0) != (other > 0):
                total += abs(z - other) if norm == "l1" else (z - other) ** 2
    return total


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("masked", [False, True])
def test_costs_are_those_of_the_equations(masked, norm):
    model = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 7), nn.ReLU()).double()
    for place in (0, 2):
        model[place].weight.data.normal_(generator=seeded(place))
        model[place].bias.data.zero_()
    start, end = pairs(3, 6, seed=3)
    options = {"norm": norm, "masked": masked}
    found = midpoints.midpoints(model, start, end, {"1": 2.0, "3": 0.5}, n_steps=40, **options)
    begun = midpoints.midpoints(model, start, end, {"1": 2.0, "3": 0.5}, n_steps=0, **options)
    assert_close(begun.points, (start + end) / 2)
    for z in (found, begun):
        for i in range(3):
            trio = [model[:2](x[i : i + 1])[0] for x in (z.points, start, end)]
            deep = [model(x[i : i + 1])[0] for x in (z.points, start, end)]
            expected = 2 * plain(*trio, norm, masked) + 0.5 * plain(*deep, norm, masked)
            assert z.costs[i].item() == pytest.approx(expected)
    assert (found.costs <= begun.costs).all()
    assert (found.costs < begun.costs).any()


def test_the_mask_passes_no_gradient_and_shared_bits_give_no_force():
    # Both ends and z are positive in the first unit, which is then not counted, however far z is.
    start, end = torch.tensor([[0.1, -0.5]]).double(), torch.tensor([[0.2, 0.5]]).double()
    z = torch.tensor([[0.9, 0.4]]).double()
    options = {"bounds": (-1, 1), "initial": z, "n_steps": 400, "norm": "l2"}
    found = midpoints.midpoints(IDENTITY, start, end, ["0"], masked=True, **options)
    assert found.points[0, 0].item() == z[0, 0].item()
    # The second is pulled to the end of other sign only, and crosses over or stops beside the jump at zero.
    assert found.points[0, 1].abs() < 0.4
    assert found.costs.item() < 0.9**2
    counted = midpoints.midpoints(IDENTITY, start, end, ["0"], **options)
    assert_close(counted.points[0], torch.tensor([0.15, 0.0]).double(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("masked", [False, True])
def test_a_batch_is_one_pair_after_the_other(masked):
    model = models.mlp((12, 12), input_shape=(1, 4, 4), generator=seeded()).double()
    start, end = pairs(4, 1, 4, 4)
    find = functools.partial(midpoints.midpoints, model, layers=["relu1", "relu2"], masked=masked, n_steps=30)
    together = find(start, end)
    alone = [find(start[i : i + 1], end[i : i + 1]) for i in range(4)]
    assert_close(together.points, torch.cat([one.points for one in alone]), atol=1e-7, rtol=0)
    assert (together.points - (start + end) / 2).abs().max() > 1e-4


def test_recursive_midpoints_for_l2_are_the_equally_spaced_segment():
    start, end = pairs(3, 5)
    path = midpoints.recursive(IDENTITY, start, end, ["0"], 3, norm="l2")
    assert_close(path, paths.straight(start, end, 9), atol=1e-4, rtol=0)
    assert_close(path[:, [0, -1]], torch.stack([start, end], 1), atol=0, rtol=0)
    assert midpoints.recursive(IDENTITY, start, end, iter(["0"]), 0).shape == (3, 2, 5)
    same = midpoints.recursive(IDENTITY, start, start, ["0"], 2, n_steps=5)
    assert_close(same, start[:, None].expand(-1, 5, -1), atol=0, rtol=0)


def test_each_recursive_midpoint_is_one_of_its_neighbours():
    model = models.mlp((12, 12), input_shape=(1, 4, 4), generator=seeded()).double()
    start, end = pairs(2, 1, 4, 4)
    path = midpoints.recursive(model, start, end, ["relu2"], 2, n_steps=20)
    for left, middle, right in ((0, 2, 4), (0, 1, 2), (2, 3, 4)):
        found = midpoints.midpoints(model, path[:, left], path[:, right], ["relu2"], n_steps=20)
        assert_close(path[:, middle], found.points, atol=1e-7, rtol=0)
    masked = midpoints.recursive(model, start, end, ["relu2"], 2, masked=True, n_steps=20)
    assert (masked - path).abs().max() > 1e-4


def test_what_does_not_fit_is_refused():
    start, end = pairs(2, 4)
    nan = torch.full_like(start, math.nan)
    for options, message in [
        ({"initial": nan}, "not finite"),
        ({"initial": start[:1]}, r"start is \(1, 4\) and end \(2, 4\)"),
        ({"n_steps": -1}, "n_steps = -1"),
        ({"bounds": (0.4, 0.6)}, "outside of bounds"),
    ]:
        with pytest.raises(ValueError, match=message):
            midpoints.midpoints(IDENTITY, start, end, ["0"], **options)
    with pytest.raises(ValueError, match=r"start is \(2, 4\) and end \(1, 4\)"):
        midpoints.midpoints(IDENTITY, start, end[:1], ["0"], masked=True)
    with pytest.raises(ValueError, match="unknown layer 'relu'"):
        midpoints.recursive(IDENTITY, start, end, ["relu"], 0)
    with pytest.raises(ValueError, match="depth = -1"):
        midpoints.recursive(IDENTITY, start, end, ["0"], -1)
