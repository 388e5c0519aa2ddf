"""Signed scales, autocorrelation, rotations and selectivity."""

import numpy as np
import pytest
import torch

from actlib import maps


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_signed_keeps_signs_and_zero_and_reaches_one(generator):
    values = torch.randn(2, 3, 4, 5, generator=generator)
    values[0, 0, 0, 0] = 0
    scaled = maps.signed(values)
    torch.testing.assert_close(scaled.abs().max(), torch.tensor(1.0))
    torch.testing.assert_close(scaled.sign(), values.sign())


def test_signed_gives_each_group_its_own_scale_and_keeps_dead_maps_zero():
    values = torch.zeros(3, 2, 2)
    values[0, 0, 0], values[2, 0, 1] = -4, 1
    scaled = maps.signed(values, over=(1, 2))
    assert scaled[0].min() == -1
    torch.testing.assert_close(scaled[1], torch.zeros(2, 2))
    assert scaled[2].max() == 1


def slow_morans_i(x):
    """Return Moran's I from its definition: a double loop over positions with weight 1 for neighbours."""
    h, w = x.shape
    z = x - x.mean()
    total = weights = 0.0
    for i in range(h):
        for j in range(w):
            for k, m in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
                if 0 <= k < h and 0 <= m < w:
                    total += z[i, j] * z[k, m]
                    weights += 1
    return h * w / weights * total / (z**2).sum()


def test_morans_i_equals_the_double_loop_of_its_definition(generator):
    values = torch.randn(2, 3, 4, 6, generator=generator, dtype=torch.float64)
    expected = [[slow_morans_i(m.numpy()) for m in row] for row in values]
    np.testing.assert_allclose(maps.morans_i(values), expected, rtol=1e-12)


def test_a_chess_board_has_minus_one_a_slope_is_near_one_and_a_constant_has_none():
    board = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 2.0 - 1
    slope = torch.arange(30.0).expand(30, 30)
    torch.testing.assert_close(maps.morans_i(board[None, None])[0, 0], torch.tensor(-1.0))
    assert maps.morans_i(slope[None, None])[0, 0] > 0.9
    assert maps.morans_i(torch.ones(1, 1, 3, 3)).isnan().all()


def test_shuffled_maps_have_the_null_expectation(generator):
    slopes = torch.arange(6.0).expand(1, 4000, 5, 6)
    shuffled = maps.shuffle(slopes, generator=generator)
    values = maps.morans_i(shuffled)
    error = values.std() / 4000**0.5
    assert abs(values.mean() + 1 / (5 * 6 - 1)) < 4 * error
    torch.testing.assert_close(shuffled.flatten(2).sort().values, slopes.flatten(2).sort().values)


def test_maps_too_small_for_neighbours_are_refused():
    with pytest.raises(ValueError, match="maps are 1 x 5"):
        maps.morans_i(torch.ones(1, 1, 1, 5))


def test_a_rotation_keeps_lengths_and_angles_and_mixes_channels(generator):
    values = torch.randn(5, 7, 3, 2, generator=generator, dtype=torch.float64)
    turned = maps.rotate(values, generator=generator)
    gram = [torch.einsum("nchw,mchw->nm", v, v) for v in (values, turned)]
    torch.testing.assert_close(*gram)
    assert (values - turned).abs().max() > 0.1


def test_rotations_are_uniform(generator):
    # A Haar entry has mean zero; QR without the signs of R would have diagonal entries below zero on average.
    unit = torch.eye(4)[:, :, None, None]
    entries = torch.stack([maps.rotate(unit, generator=generator)[0, 0, 0, 0] for _ in range(2000)])
    assert abs(entries.mean()) < 4 * entries.std() / 2000**0.5


def planted(generator, n=400, strength=3.0):
    """Return scores in which unit 1 stands for class 2 and the others for nothing."""
    labels = torch.arange(n) % 4
    values = torch.randn(n, 5, generator=generator)
    values[:, 1] += strength * (labels == 2)
    half = torch.rand(n, generator=generator) < 0.5
    return values, labels, half


def test_selectivity_finds_the_planted_unit_and_its_class(generator):
    found = maps.selectivity(*planted(generator))
    assert found.auroc.argmax() == 1
    assert found.best[1] == 2
    # Two unit Gaussians three apart: AUROC = Phi(3 / sqrt 2) = 0.983
    np.testing.assert_allclose(found.auroc[1], 0.983, atol=0.02)


def test_without_a_planted_unit_the_fresh_half_reports_chance_where_the_choosing_half_does_not(generator):
    values, labels, half = planted(generator, n=200, strength=0.0)
    values = torch.randn(200, 300, generator=generator)
    fresh = maps.selectivity(values, labels, half)
    everything = torch.cat([values, values]), torch.cat([labels, labels])
    same = maps.selectivity(*everything, torch.arange(400) < 200)
    assert abs(fresh.auroc.mean() - 0.5) < 0.02
    assert same.auroc.mean() > 0.55


def test_top_images_come_best_first_and_bad_requests_say_what_is_possible():
    values = torch.tensor([[1.0], [5.0], [3.0]])
    assert maps.top_images(values, 0, k=2).tolist() == [1, 2]
    with pytest.raises(ValueError, match="units 0 to 0"):
        maps.top_images(values, 1, k=2)
    with pytest.raises(ValueError, match="choose 1 to 3"):
        maps.top_images(values, 0, k=4)


def test_scores_are_the_largest_value_of_each_map():
    values = torch.arange(24.0).view(1, 2, 3, 4)
    torch.testing.assert_close(maps.scores(values), torch.tensor([[11.0, 23.0]]))


def test_halves_split_every_class_evenly_and_at_random(generator):
    labels = torch.arange(50) % 7
    half = maps.halves(labels, generator=generator)
    for k in range(7):
        assert abs(int(half[labels == k].sum()) - int((~half)[labels == k].sum())) <= 1
    assert not torch.equal(half, maps.halves(labels, generator=generator))


def test_a_split_without_regard_to_classes_would_lose_one(generator):
    # Two images a class: by chance alone some class would stand on one side only.
    labels = torch.arange(100) // 2
    half = maps.halves(labels, generator=generator)
    assert len(labels[half].unique()) == len(labels[~half].unique()) == 50
    chance = torch.rand(100, generator=generator) < 0.5
    assert len(labels[chance].unique()) < 50


def test_a_class_that_stands_in_one_half_only_is_named(generator):
    values, labels, _ = planted(generator)
    with pytest.raises(ValueError, match="class 3 has no image in one half"):
        maps.selectivity(values, labels, labels != 3)
