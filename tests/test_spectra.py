"""Correlations against NumPy, and the law of Marchenko and Pastur on coins and on planted dependence."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from actlib import activity, bits, spectra


def coins(n, n_bits, seed=0, p=0.5):
    return np.random.default_rng(seed).random((n, n_bits)) < p


@pytest.mark.parametrize("block", [2**22, 50])
def test_correlations_are_numpy_s(monkeypatch, block):
    monkeypatch.setattr(activity, "_UNPACKED", block)
    x = coins(80, 20, p=np.linspace(0.1, 0.9, 20))
    found = spectra.correlations(bits.pack(x))
    np.testing.assert_allclose(found.values, np.corrcoef(x.T), atol=1e-14)
    assert found.n_samples == 80


def test_constant_units_are_left_out_and_counted():
    x = coins(80, 20)
    x[:, 3], x[:, 11] = False, True
    found = spectra.correlations(x)
    assert np.flatnonzero(~found.varying.numpy()).tolist() == [3, 11]
    np.testing.assert_allclose(found.values, np.corrcoef(np.delete(x, [3, 11], axis=1).T), atol=1e-14)
    spectrum = spectra.spectrum(x)
    assert spectrum.n_constant == 2
    assert spectrum.eigenvalues.sum() == pytest.approx(18)


def test_eigenvalues_of_coins_follow_the_law():
    u, n = 200, 800
    found = spectra.spectrum(coins(n, u))
    assert (found.lower_edge, found.upper_edge) == (0.25, 2.25)
    assert found.n_above == 0
    low, high = found.lower_edge, found.upper_edge
    values = found.eigenvalues.numpy()
    assert (np.diff(values) <= 0).all()
    for a, b in [(0.25, 0.6), (0.6, 1.0), (1.0, 1.5), (1.5, 2.25)]:
        share, _ = quad(lambda x: math.sqrt((high - x) * (x - low)) / (2 * math.pi * u / n * x), a, b)
        assert ((values >= a) & (values < b)).mean() == pytest.approx(share, abs=0.02)


def test_the_largest_of_coins_is_above_the_bound_in_one_of_a_hundred():
    above = sum(spectra.spectrum(coins(400, 50, seed)).n_above > 0 for seed in range(300))
    assert above <= 10
    # A bound below would be passed: the largest eigenvalue is near it.
    largest = [spectra.spectrum(coins(400, 50, seed)).eigenvalues[0].item() for seed in range(60)]
    bound = spectra.spectrum(coins(400, 50)).bound
    assert 0.9 * bound < np.mean(largest) < bound


def test_planted_dependence_is_above_the_edge_and_unequal_units_are_not():
    rng = np.random.default_rng(0)
    x = coins(2000, 100)
    for first in (0, 20):
        shared = rng.random((2000, 1)) < 0.5
        x[:, first : first + 20] = np.where(rng.random((2000, 20)) < 0.5, shared, x[:, first : first + 20])
    found = spectra.spectrum(x)
    assert found.n_above == 2
    # Each two of the twenty have correlation 1/4: 1 + 19 / 4
    np.testing.assert_allclose(found.eigenvalues[:2], [5.75, 5.75], atol=0.5)
    assert spectra.spectrum(coins(2000, 100, p=rng.uniform(0.1, 0.9, 100))).n_above == 0


def test_one_unit_and_more_units_than_samples_have_answers():
    found = spectra.spectrum(coins(50, 1))
    np.testing.assert_array_equal(found.eigenvalues, [1])
    assert found.n_above == 0
    wide = spectra.spectrum(coins(20, 60))
    assert wide.lower_edge == pytest.approx((1 - math.sqrt(3)) ** 2)
    np.testing.assert_allclose(wide.eigenvalues[-40:], 0, atol=1e-12)
    assert wide.n_above == 0


def test_copies_of_a_unit_are_one_direction():
    found = spectra.spectrum(np.repeat(coins(30, 1), 4, axis=1))
    np.testing.assert_allclose(found.eigenvalues, [4, 0, 0, 0], atol=1e-12)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((10, 4), int), "none of the 4 units varies over 10 patterns"),
        (coins(1, 4), "one pattern has no correlations; give two at least"),
        (np.ones((2, 8193), bool), "8,193 units; give at most 8,192 of them"),
        (np.full((2, 2), 5), "holds 5"),
        (np.ones((0, 2)), r"shape \(0, 2\)"),
    ],
)
def test_what_has_no_answer_is_refused(x, message):
    with pytest.raises(ValueError, match=message):
        spectra.spectrum(x)
