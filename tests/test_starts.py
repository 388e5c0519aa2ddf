"""Starts against boxes whose corners are projected one by one, and grabbed points against the boxes' edges."""

import re

import boxes as plain
import numpy as np
import pytest
import torch

from actlib import starts


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def scenes():
    return starts.sample(300, generator=generator(), dtype=torch.float64)


def corners(scenes):
    """Return the corners of all boxes, (n, b, 4, 2)."""
    signs = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    own = signs * scenes.sides.numpy()[:, :, None] / 2
    c, s = np.cos(scenes.angles.numpy())[..., None], np.sin(scenes.angles.numpy())[..., None]
    turned = np.stack((c * own[..., 0] - s * own[..., 1], s * own[..., 0] + c * own[..., 1]), -1)
    return scenes.centres.numpy()[:, :, None] + turned


def separation(scenes):
    """Return, for each pair of boxes, the greatest gap between their corners on any axis of either, (n, b, b)."""
    places, angles = corners(scenes), scenes.angles.numpy()
    best = np.full((*angles.shape, angles.shape[1]), -np.inf)
    for turn in (0, np.pi / 2):
        axis = np.stack((np.cos(angles + turn), np.sin(angles + turn)), -1)  # (n, b, 2)
        shadows = np.einsum("nid,njcd->nijc", axis, places)  # of box j on an axis of box i
        mine = np.einsum("nid,nicd->nic", axis, places)[:, :, None]
        gap = np.maximum(shadows.min(-1) - mine.max(-1), mine.min(-1) - shadows.max(-1))
        best = np.maximum(best, np.maximum(gap, gap.transpose(0, 2, 1)))
    return best


def test_boxes_do_not_overlap_and_keep_the_gap_also_to_the_walls(scenes):
    gaps = separation(scenes)[:, ~np.eye(10, dtype=bool)]
    assert gaps.min() >= 0.5 - 1e-9
    assert gaps.min() < 0.6
    assert corners(scenes).min() >= 0.5 - 1e-9
    assert corners(scenes).max() <= 63.5 + 1e-9


def test_the_measure_of_overlap_sees_one():
    box = torch.tensor([[[10.0, 10.0], [10.0, 10.0]]]), torch.tensor([[[20.0, 20.0], [29.0, 20.0]]]), torch.zeros(1, 2)
    assert separation(starts.grab(*box, torch.tensor([[20.0, 20.0]])))[0, 0, 1] == pytest.approx(-1)


def test_sizes_places_and_grabbed_boxes_are_spread_over_what_is_allowed(scenes):
    sides = scenes.sides.numpy()
    assert 7 <= sides.min() < 7.2
    assert 13.8 < sides.max() <= 14
    np.testing.assert_allclose(
        np.histogram(scenes.centres, bins=4, range=(0, 64))[0] / scenes.centres.numel(), 0.25, atol=0.06
    )
    np.testing.assert_allclose(
        np.histogram(scenes.angles, bins=4, range=(0, np.pi))[0] / scenes.angles.numel(), 0.25, atol=0.04
    )
    np.testing.assert_allclose(scenes.grabbed.bincount().numpy() / 300, 0.1, atol=0.05)
    half = scenes.sides[torch.arange(300), scenes.grabbed] / 2
    share = scenes.grabs / half
    assert share.abs().max() <= 1
    np.testing.assert_allclose(np.histogram(share, bins=4, range=(-1, 1))[0] / 600, 0.25, atol=0.06)


def test_grabbed_points_lie_in_their_box_and_lead_back_to_it(scenes):
    points = scenes.points()
    for n in range(20):
        k = int(scenes.grabbed[n])
        box = plain.Box(*(part[n, k].numpy() for part in scenes[:3]))
        expected = box.centre + scenes.grabs[n].numpy() @ box.axes()
        np.testing.assert_allclose(points[n], expected)
    again = starts.grab(*scenes[:3], points)
    for found, expected in zip(again, scenes, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_same_seed_gives_the_same_scenes(dtype):
    one, other = (starts.sample(20, generator=generator(3), dtype=dtype) for _ in range(2))
    for found, expected in zip(one, other, strict=True):
        torch.testing.assert_close(found, expected, atol=0, rtol=0)
    assert one.sides.dtype == dtype
    assert (starts.sample(20, generator=generator(4), dtype=dtype).centres - one.centres).abs().max() > 1


def test_long_lists_are_drawn_part_by_part(monkeypatch):
    monkeypatch.setattr(starts, "_BLOCK", 8)
    scenes = starts.sample(19, generator=generator(), n_boxes=4)
    assert scenes.angles.shape == (19, 4)
    assert separation(scenes)[:, ~np.eye(4, dtype=bool)].min() >= 0.5 - 1e-4


def test_a_scene_whose_boxes_do_not_fit_begins_anew_with_others():
    for seed in range(20):  # two boxes with sides above 32 fit in no way, which is one draw in five
        scenes = starts.sample(1, generator=generator(seed), n_boxes=2, sides=(20.0, 44.0))
        assert separation(scenes)[0, 0, 1] > 0.5 - 1e-4


def test_a_single_box_fits():
    scenes = starts.sample(1, generator=generator(), n_boxes=1, sides=(40.0, 40.0), world=64.0)
    torch.testing.assert_close(scenes.sides, torch.full((1, 1, 2), 40.0))


def test_boxes_whose_area_is_more_than_the_world_are_refused_with_the_number_that_fits():
    with pytest.raises(ValueError, match=r"n_boxes = 100; .* no more than 64 boxes .* 8\. Take fewer or smaller"):
        starts.sample(2, generator=generator(), n_boxes=100, sides=(8.0, 16.0))


def test_boxes_that_find_no_place_are_refused_with_the_number_that_did():
    message = (
        r"n_boxes = 20; .* from 12 to 14 .* room for (\d+) boxes in each of 3 scenes, and for (\d+) in the fullest"
    )
    with pytest.raises(ValueError, match=message) as caught:
        starts.sample(3, generator=generator(), n_boxes=20, sides=(12.0, 14.0))
    least, most = (int(word) for word in re.search(message, str(caught.value)).groups())
    assert 6 <= least <= most < 20
    starts.sample(3, generator=generator(), n_boxes=least, sides=(12.0, 14.0))


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"n": 0}, "n = 0"),
        ({"n_boxes": 0}, "n_boxes = 0"),
        ({"sides": (0.0, 4.0)}, "sides = "),
        ({"sides": (5.0, 4.0)}, "sides = "),
        ({"sides": (5.0, float("inf"))}, "sides = "),
        ({"world": -1.0}, "world = -1"),
        ({"gap": -0.1}, "gap = -0.1"),
    ],
)
def test_numbers_out_of_range_are_refused(options, found):
    with pytest.raises(ValueError, match=found):
        starts.sample(**({"n": 2} | options), generator=generator())


def test_a_point_outside_every_box_is_refused(scenes):
    points = scenes.points().clone()
    points[7] = torch.tensor([-3.0, 20.0])
    with pytest.raises(
        ValueError, match=r"scene 7 is grabbed at \(-3, 20\), .* outside the nearest box, number \d; grab"
    ):
        starts.grab(*scenes[:3], points)


@pytest.mark.parametrize("side", [0.0, -1.0, float("nan")])
def test_boxes_without_size_are_refused(scenes, side):
    sides = scenes.sides.clone()
    sides[2, 3, 0] = side
    with pytest.raises(ValueError, match="scene 2, box 3 has sides"):
        starts.grab(sides, *scenes[1:3], scenes.points())
