"""Activation probabilities and margins: counted by hand, by loops, and on planted values."""

import math

import numpy as np
import pytest
import torch

from actlib import activity, bits
from actlib.tiles import as_patterns


@pytest.mark.parametrize("block", [2**22, 1, 300])
@pytest.mark.parametrize(("n", "n_bits"), [(1, 1), (3, 130), (600, 5)])
def test_counts_are_sums_of_the_bits_in_blocks_of_any_size(monkeypatch, block, n, n_bits):
    monkeypatch.setattr(activity, "_UNPACKED", block)
    x = np.random.default_rng(0).random((n, n_bits)) < 0.8
    found = activity.activation(x)
    np.testing.assert_allclose(found.units, x.mean(0), rtol=1e-15)
    assert found.layer == pytest.approx(x.mean())
    assert (found.n_never, found.n_always) == ((~x.any(0)).sum(), x.all(0).sum())
    assert found.n_samples == n


def test_more_than_a_byte_of_samples_are_counted():
    found = activity.count_active(as_patterns(np.ones((1000, 3), int)))
    np.testing.assert_array_equal(found, [1000] * 3)


def test_constant_units_are_counted_and_probabilities_are_those_planted():
    p = np.linspace(0, 1, 6)
    x = np.random.default_rng(0).random((20_000, 6)) < p
    found = activity.activation(bits.pack(x))
    np.testing.assert_allclose(found.units, p, atol=5 * 0.5 / math.sqrt(20_000))
    assert (found.n_never, found.n_always) == (1, 1)


def test_margins_are_counted_by_hand():
    x = torch.tensor([[0.0, 1e-7, -1.0], [2.0, -1e-7, 3.0], [0.0, 5.0, 2e-7]])
    found = activity.margins(x, 1e-7)
    assert (found.n_near, found.n_zero, found.n_patterns) == (4, 2, 3)
    assert found.share == pytest.approx(4 / 9)
    assert found.units.tolist() == [2, 2, 0]
    assert found.smallest == pytest.approx(1e-7)
    exact = activity.margins(x, 0)
    assert (exact.n_near, exact.n_patterns) == (2, 2)


def test_margins_grow_with_the_tolerance_as_the_density_at_zero_says():
    x = torch.randn(200, 10, 10, generator=torch.Generator().manual_seed(0))
    found = activity.margins(x.numpy(), 0.01)
    expected = math.erf(0.01 / math.sqrt(2))
    assert found.share == pytest.approx(expected, abs=5 * math.sqrt(expected / 20_000))
    assert found.units.shape == (10, 10)
    assert found.units.sum() == found.n_near
    assert activity.margins(x + 1, 0.01).share < 0.8 * expected


def test_bits_outside_the_margin_survive_an_error_of_its_size_and_not_all_inside_do():
    generator = torch.Generator().manual_seed(0)
    x, error = torch.randn(500, 40, generator=generator), torch.rand(500, 40, generator=generator) * 2e-2 - 1e-2
    flipped = (x > 0) != (x + error > 0)
    assert not (flipped & (x.abs() > 1e-2)).any()
    assert 0 < flipped.sum() < activity.margins(x, 1e-2).n_near


def test_zeros_only_have_no_smallest_value():
    assert activity.margins(torch.zeros(2, 2), 1.0).smallest == math.inf


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: activity.activation(np.full((2, 2), 3)), "patterns.0. holds 3"),
        (lambda: activity.activation(np.ones((0, 2))), r"shape \(0, 2\)"),
        (lambda: activity.margins(torch.zeros(0, 2), 1.0), r"shape \(0, 2\); give floats \(n, ...\)"),
        (lambda: activity.margins(torch.zeros(2), 1.0), r"shape \(2,\)"),
        (lambda: activity.margins(torch.ones(2, 2, dtype=torch.int64), 1.0), "torch.int64"),
        (lambda: activity.margins(torch.ones(2, 2), -1.0), "tolerance = -1; give a distance from zero, 0 or more"),
        (lambda: activity.margins(torch.ones(2, 2), math.inf), "tolerance = inf"),
        (lambda: activity.margins(torch.tensor([[1.0], [math.nan]]), 1.0), r"activations\[1\] holds NaN or infinity"),
    ],
)
def test_what_has_no_answer_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
