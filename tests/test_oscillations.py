import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actlib import models, oscillations


def by_pixels(per_class, noise, seed, n, size):
    """Return values and labels as the paper's text has them, pixel by pixel."""
    classes = [(a / n, b / n) for a in range(n) for b in range(n)]
    labels = np.array([k for k in range(n * n) for _ in range(per_class)])
    np.random.RandomState(seed=seed).shuffle(labels)
    along_x = np.random.RandomState(seed=seed + 1).uniform(0, 2 * math.pi, len(labels))
    along_y = np.random.RandomState(seed=seed + 2).uniform(0, 2 * math.pi, len(labels))
    values = np.empty((len(labels), size, size))
    for i, label in enumerate(labels):
        f_x, f_y = classes[label]
        flat = iter(np.random.RandomState(seed=seed + 3 + i).uniform(-noise / 2, noise / 2, size * size))
        for y in range(size):
            for x in range(size):
                wave = math.cos(math.pi * x * f_x + along_x[i]) * math.cos(math.pi * y * f_y + along_y[i])
                values[i, y, x] = wave + next(flat)
    return values, labels


@pytest.mark.parametrize(("per_class", "noise", "seed", "n", "size"), [(2, 1.0, 2, 3, 5), (1, 8.0, 30001, 4, 6)])
def test_images_are_those_of_the_definition(per_class, noise, seed, n, size):
    data = oscillations.draw(per_class, noise=noise, seed=seed, n_frequencies=n, size=size)
    values, labels = by_pixels(per_class, noise, seed, n, size)
    torch.testing.assert_close(data.labels, torch.from_numpy(labels))
    torch.testing.assert_close(data.values(), torch.from_numpy(values), atol=1e-6, rtol=0)
    other, _ = by_pixels(per_class, noise, seed + 1, n, size)
    assert np.abs(data.values().numpy() - other).max() > 0.1


def test_normalize_restores_the_published_values():
    data = oscillations.draw(1, noise=4.0, seed=2)
    restored = models.Normalize(data.mean, data.std)(models.prepare(torch.nn.Flatten(), data.images))
    torch.testing.assert_close(restored[:, 0].double(), data.values(), atol=2e-6, rtol=0)
    assert (data.mean, data.std) == (0.5, pytest.approx(1 / (2 + 4)))
    # The noise's law: what is left without the signal is uniform on [-2, 2].
    noise = data.values() - oscillations.signals(data.frequencies[data.labels], data.phases)
    assert noise.abs().max() <= 2 + 1e-6
    np.testing.assert_allclose(noise.std(), 4 / math.sqrt(12), rtol=0.01)
    np.testing.assert_allclose(noise.mean(), 0, atol=0.01)


def test_the_published_splits_have_equal_classes_and_share_no_seed():
    (train, first), (held_out, second) = oscillations.SPLITS.values()
    assert (train * 400, held_out * 400) == (20000, 10000)
    assert set(range(first, first + 3 + 20000)).isdisjoint(range(second, second + 3 + 10000))
    data = oscillations.draw(3, noise=1.0, seed=first, n_frequencies=5, size=4)
    assert data.labels.bincount().tolist() == [3] * 25
    assert (data.labels.diff() < 0).any()


def test_four_patterns_coincide_after_decimation_and_only_then():
    f, phases = 10 / 32, torch.tensor([[0.7, 2.1], [-0.7, 2.1], [0.7, -2.1], [-0.7, -2.1]])
    four = oscillations.signals(torch.tensor([[f, f], [1 - f, f], [f, 1 - f], [1 - f, 1 - f]]), phases)
    small = four[:, ::2, ::2]
    torch.testing.assert_close(small, small[:1].expand_as(small))
    assert ((four[1:] - four[0]).abs().amax((1, 2)) > 1).all()


def test_classes_are_ordered_by_the_frequency_along_x():
    torch.testing.assert_close(
        oscillations.frequencies(2), torch.tensor([[0, 0], [0, 0.5], [0.5, 0], [0.5, 0.5]]).double()
    )
    wave = oscillations.signals(torch.tensor([[0.5, 0.0]]), torch.zeros(1, 2), 4)[0]
    torch.testing.assert_close(wave, torch.tensor([1.0, 0, -1, 0]).double().expand(4, 4))


@given(
    per_class=st.integers(1, 2), n=st.integers(2, 4), size=st.integers(2, 7),
    noise=st.floats(0, 50), seed=st.integers(0, 2**32 - 100),
)  # fmt: skip
def test_images_are_shares_and_the_same_for_one_seed(per_class, n, size, noise, seed):
    data = oscillations.draw(per_class, noise=noise, seed=seed, n_frequencies=n, size=size)
    assert data.images.shape == (per_class * n * n, 1, size, size)
    assert data.images.min() >= 0
    assert data.images.max() <= 1
    again = oscillations.draw(per_class, noise=noise, seed=seed, n_frequencies=n, size=size)
    torch.testing.assert_close(data.images, again.images, atol=0, rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per_class": 0}, "per_class = 0"),
        ({"n_frequencies": 1}, "2 frequencies"),
        ({"size": 1}, "2 pixels"),
        ({"noise": -1.0}, "not negative"),
        ({"noise": math.nan}, "finite"),
        ({"noise": math.inf}, "finite"),
        ({"seed": -1}, "seed = -1"),
        ({"seed": 2**32 - 5}, "need a seed from 0"),
    ],
)
def test_bad_options_are_refused(options, message):
    good = {"per_class": 1, "noise": 1.0, "seed": 2, "n_frequencies": 2, "size": 2}
    with pytest.raises(ValueError, match=message):
        oscillations.draw(**(good | options))


def test_signals_need_two_phases_for_two_frequencies():
    with pytest.raises(ValueError, match="give two of each"):
        oscillations.signals(torch.zeros(3, 2), torch.zeros(2, 2))
