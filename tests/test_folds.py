"""Folds against decimation in space, Parseval's sum and a transform written as a matrix product."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actlib.folds import CORRECTED, LITERAL, Rule, folds

RAW = CORRECTED._replace(dc="kept")


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def matrix(n, size):
    """Return the matrix of the transform of n samples, with zeros up to size."""
    return np.exp(-2j * np.pi * np.outer(np.arange(size), np.arange(n)) / size)


sides = st.integers(1, 23)
steps = st.integers(1, 5)


@settings(deadline=None, max_examples=40)
@given(sides, sides, steps, steps, st.booleans())
def test_the_mean_of_the_folds_is_the_transform_of_what_is_kept(h, w, r1, r2, padded):
    if max(r1, r2) < 2 or h < r1 or w < r2:
        return
    x = noise(2, h, w)
    found = folds(x, (r1, r2), RAW._replace(padding="folds" if padded else "none")).mean((1, 2))
    n1, n2 = (h, w) if padded else (-(-h // r1), -(-w // r2))
    expected = np.fft.fft2(x[:, ::r1, ::r2].numpy(), s=(n1, n2))
    np.testing.assert_allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize("stride", [2, 3, (1, 2), (3, 2)])
def test_folds_hold_the_frequencies_in_their_order(stride):
    x = noise(3, 4, 12, 18)
    r1, r2 = (stride, stride) if isinstance(stride, int) else stride
    found = folds(x, stride, RAW)
    whole = matrix(12, 12) @ x.numpy() @ matrix(18, 18).T
    for i in range(r1):
        for j in range(r2):
            n1, n2 = 12 // r1, 18 // r2
            expected = whole[..., i * n1 : (i + 1) * n1, j * n2 : (j + 1) * n2]
            np.testing.assert_allclose(found[:, :, i, j], expected, atol=1e-9)


HANN = CORRECTED._replace(window="hann")


@pytest.mark.parametrize("rule", [RAW, CORRECTED, LITERAL, HANN, LITERAL._replace(dc="removed")])
def test_the_folds_hold_the_energy_of_the_map(rule):
    x = noise(5, 13, 16) + 1
    found = folds(x, (2, 3), rule)
    grown = x if rule.padding == "folds" else torch.from_numpy(np.pad(x.numpy(), ((0, 0), (0, 1), (0, 2)), mode="edge"))
    if rule.window == "hann":
        weights = np.outer(*(np.sin(np.pi * np.arange(1, n + 1) / (n + 1)) ** 2 for n in grown.shape[1:]))
        weights = torch.from_numpy(weights)
    else:
        weights = torch.ones(grown.shape[1:], dtype=torch.float64)
    if rule.dc == "removed":
        grown = grown - ((grown * weights).sum((1, 2)) / weights.sum())[:, None, None]
    energy = (grown * weights).square().sum((1, 2))
    torch.testing.assert_close(found.abs().square().mean((1, 2, 3, 4)), energy)


def test_a_removed_mean_leaves_nothing_at_zero_and_a_kept_one_all():
    x = noise(3, 8, 8) + 5
    for window in ("none", "hann"):
        rule = CORRECTED._replace(window=window)
        assert folds(x, 2, rule)[:, 0, 0, 0, 0].abs().max() < 1e-10
        assert folds(x, 2, rule._replace(dc="kept"))[:, 0, 0, 0, 0].abs().min() > 50
    # Zeros after the mean is removed keep it removed.
    assert folds(x, 2, LITERAL._replace(dc="removed"))[:, 0, 0, 0, 0].abs().max() < 1e-10


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_very_small_and_very_large_maps_are_transformed(scale):
    x = noise(2, 6, 6).float()
    torch.testing.assert_close(folds(x * scale, 2, RAW) / scale, folds(x, 2, RAW))


def test_leading_axes_stay_and_inputs_are_not_written():
    x = noise(2, 3, 8, 8)
    before = x.clone()
    assert folds(x, 2).shape == (2, 3, 2, 2, 4, 4)
    assert folds(x[0, 0], 2).shape == (2, 2, 4, 4)
    torch.testing.assert_close(folds(x[0, 0], 2), folds(x, 2)[0, 0])
    torch.testing.assert_close(x, before, rtol=0, atol=0)
    assert folds(x.half(), 2).dtype == torch.complex64


X = noise(2, 8, 8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: folds(X, 1), "stride = 1; give whole numbers"),
        (lambda: folds(X, 0), "stride = 0; give whole numbers"),
        (lambda: folds(X, (1, 1)), r"stride = \(1, 1\); give"),
        (lambda: folds(X, (2, -1)), r"stride = \(2, -1\); give"),
        (lambda: folds(X, 9), r"maps of 8 x 8 are smaller than the stride \(9, 9\)"),
        (lambda: folds(X[:, :1], 2), r"maps of 1 x 8 are smaller than the stride \(2, 2\)"),
        (lambda: folds(X[:0], 2), r"torch.float64 of shape \(0, 8, 8\); give a tensor of real numbers"),
        (lambda: folds(X.log(), 2), "maps hold NaN or infinity, first in map 0"),
        (lambda: folds(torch.stack([X[0], X[1] / 0]), 2), "maps hold NaN or infinity, first in map 1"),
        (lambda: folds(X, 2, Rule(threshold=-1)), "threshold = -1 dB; give 0 to 100"),
        (lambda: folds(X, 2, Rule(threshold=101)), "threshold = 101 dB; give 0 to 100"),
        (lambda: folds(X, 2, Rule(threshold=float("nan"))), "threshold = nan dB"),
        (lambda: folds(X, 2, Rule(reference="median")), r"reference = 'median'; choose one of \('max', 'mean'\)"),
        (lambda: folds(X, 2, Rule(window="hamming")), "window = 'hamming'; choose one of"),
    ],
)
def test_what_has_no_answer_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
