import math

import numpy as np
import pytest
import torch

from actlib import detectors, oscillations


def direct_evidence(image, noise, n, n_points):
    """Return the logarithm of the mean likelihood of each class, phase by phase, up to what the classes share."""
    size, variance = len(image), noise**2 / 12
    x, phases = np.arange(size), 2 * np.pi * np.arange(n_points) / n_points
    found = []
    for f_x in range(n):
        for f_y in range(n):
            logs = []
            for a in phases:
                row = np.cos(np.pi * x * f_x / n + a)
                wave = np.cos(np.pi * x[:, None] * f_y / n + phases).T[:, :, None] * row
                logs.append((np.sum(image**2) - np.sum((image - wave) ** 2, (1, 2))) / (2 * variance))
            top = np.max(logs)
            found.append(top + math.log(np.mean(np.exp(np.array(logs) - top))))
    return np.array(found)


@pytest.mark.parametrize("noise", [1.0, 3.0, 8.0])
def test_gaussian_is_the_direct_sum_over_all_phases(noise):
    data = oscillations.draw(2, noise=noise, seed=5, n_frequencies=3, size=6)
    found = detectors.gaussian(data.values(), noise=noise, n_frequencies=3)
    values = data.values().numpy()
    slow = np.array([direct_evidence(image, noise, 3, 64) for image in values])
    np.testing.assert_array_equal(found.numpy(), slow.argmax(1))
    # Cut in two the answers are the same, and some of them are wrong: the case is no trivial one.
    parts = [detectors.gaussian(part, noise=noise, n_frequencies=3) for part in data.values().split(7)]
    torch.testing.assert_close(torch.cat(parts), found)
    assert noise == 1 or (found != data.labels).any()


def test_evidence_is_the_direct_sum():
    n, noise, size = 3, 2.0, 5
    image = oscillations.draw(1, noise=noise, seed=9, n_frequencies=n, size=size).values()[:1]
    axis = detectors._axis(size, n)
    projections = torch.einsum("nyx,xfa,ygb->nfgab", image, axis.basis, axis.basis).flatten(0, 2)
    first = torch.arange(n)
    grams = axis.gram[first.repeat_interleave(n)], axis.gram[first.repeat(n)]
    found = detectors.evidence(projections, grams, noise**2 / 12, 32)
    np.testing.assert_allclose(found.numpy(), direct_evidence(image[0].numpy(), noise, n, 32), atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_no_peak_rises_above_what_the_bound_allows(seed):
    # The likelihood on a grid ten times as fine never exceeds the coarse one by more than the bound.
    data = oscillations.draw(1, noise=1.0, seed=seed, n_frequencies=4, size=8)
    axis = detectors._axis(8, 4)
    projections = torch.einsum("nyx,xfa,ygb->nfgab", data.values(), axis.basis, axis.basis).flatten(1, 2)
    first = torch.arange(4)
    grams = axis.gram[first.repeat_interleave(4)], axis.gram[first.repeat(4)]
    coarse, fine = (detectors._scores(projections, *grams, p).flatten(2).amax(2) for p in (32, 320))
    hidden = detectors._curvature(projections, grams) / 2 * (math.pi / 32) ** 2
    assert (fine <= coarse + hidden + 1e-9).all()
    assert (fine > coarse + 0.01 * hidden).any()  # and it does rise


def test_a_peak_between_the_points_of_the_coarse_grid_is_not_missed():
    # Images of three pixels a side: classes are much alike, and the noise is so small that peaks are needles.
    n, noise = 4, 0.1
    data = oscillations.draw(12, noise=noise, seed=8, n_frequencies=n, size=3)
    axis, first = detectors._axis(3, n), torch.arange(n)
    projections = torch.einsum("nyx,xfa,ygb->nfgab", data.values(), axis.basis, axis.basis).flatten(1, 2)
    grams = axis.gram[first.repeat_interleave(n)], axis.gram[first.repeat(n)]
    fine = torch.stack([detectors.evidence(part, grams, noise**2 / 12, 400) for part in projections])
    found = detectors.gaussian(data.values(), noise=noise, n_frequencies=n)
    torch.testing.assert_close(found, fine.argmax(1))
    coarse = detectors._scores(projections, *grams, 32).flatten(2).amax(2)
    assert (coarse.argmax(1) != found).any()


@pytest.mark.parametrize(("noise", "low", "high"), [(1.0, 0.98, 1.0), (4.0, 0.97, 1.0), (8.0, 0.955, 0.998)])
def test_ceilings_are_the_known_ones(noise, low, high):
    data = oscillations.draw(1, noise=noise, seed=30001)
    right = (detectors.gaussian(data.values(), noise=noise, n_frequencies=20) == data.labels).double().mean()
    assert low <= right <= high


@pytest.mark.parametrize("noise", [2.0, 4.0])
def test_uniform_names_the_class_that_most_random_phases_allow(noise):
    n, size, draws = 3, 3, 20_000
    data = oscillations.draw(2, noise=noise, seed=1, n_frequencies=n, size=size)
    found = detectors.uniform(data.values(), noise=noise, n_frequencies=n)
    rng, x = np.random.default_rng(0), np.arange(size)
    phases = rng.uniform(0, 2 * np.pi, (draws, 2))
    clear = 0
    for image, label in zip(data.values().numpy(), found.tolist(), strict=True):
        hits = []
        for k in range(n * n):
            along_x = np.cos(np.pi * x * (k // n) / n + phases[:, :1])
            along_y = np.cos(np.pi * x * (k % n) / n + phases[:, 1:])
            wave = along_y[:, :, None] * along_x[:, None, :]
            hits.append((np.abs(image - wave) <= noise / 2).all((1, 2)).sum())
        best, second = sorted(hits)[:-3:-1]
        if best - second > 6 * math.sqrt(best + 1) and best > 1.3 * second:
            clear += 1
            assert label == int(np.argmax(hits))
    assert clear >= 6
    assert (found != data.labels).any()


def test_uniform_beats_gaussian_where_pixels_are_few():
    data = oscillations.draw(12, noise=4.0, seed=3, n_frequencies=3, size=8)
    options = {"noise": 4.0, "n_frequencies": 3}
    sharp, blunt = (
        (f(data.values(), **options) == data.labels).double().mean() for f in (detectors.uniform, detectors.gaussian)
    )
    assert blunt + 0.02 < sharp < 1


@pytest.mark.parametrize("detect", [detectors.gaussian, detectors.uniform])
def test_an_image_on_its_side_has_its_frequencies_exchanged(detect):
    data = oscillations.draw(1, noise=2.0, seed=4, n_frequencies=4, size=9)
    options = {"noise": 2.0, "n_frequencies": 4}
    found, turned = detect(data.values(), **options), detect(data.values().mT, **options)
    torch.testing.assert_close(turned, found % 4 * 4 + found // 4)
    shuffled = data.values().flatten(1)[:, torch.randperm(81, generator=torch.Generator().manual_seed(0))]
    if detect is detectors.gaussian:  # without its order an image says nothing
        right = (detect(shuffled.view(-1, 9, 9), **options) == data.labels).double().mean()
        assert right < 0.5 < (found == data.labels).double().mean()


def test_uniform_refuses_what_no_class_can_have_made():
    with pytest.raises(ValueError, match="no class can have made"):
        detectors.uniform(torch.full((1, 4, 4), 5.0).double(), noise=2.0, n_frequencies=3)


@pytest.mark.parametrize("detect", [detectors.gaussian, detectors.uniform])
@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (torch.zeros(1, 3, 4), {}, "square"),
        (torch.zeros(0, 3, 3), {}, "one at least"),
        (torch.full((1, 3, 3), math.nan), {}, "finite"),
        (torch.zeros(1, 3, 3), {"noise": 0.0}, "noise = 0.0"),
        (torch.zeros(1, 3, 3), {"noise": -1.0}, "positive"),
        (torch.zeros(1, 3, 3), {"n_frequencies": 1}, "2 frequencies"),
    ],
)
def test_bad_input_is_refused(detect, values, options, message):
    with pytest.raises(ValueError, match=message):
        detect(values.double(), **({"noise": 1.0, "n_frequencies": 3} | options))
