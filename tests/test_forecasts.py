import math

import jaxtyping
import numpy as np
import pytest
import torch
from torch.testing import assert_close

from actlib import forecasts, rectangles, rendering, starts

N = 48
PICTURES = {"size": 32, "fill": 1.0}


@pytest.fixture
def unchecked(monkeypatch):
    """Let annotations go unchecked, as outside the tests."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(scope="module")
def world():
    """Return scenes, their motion, and the pictures of start and result."""
    scenes = starts.sample(N, generator=torch.Generator().manual_seed(3))
    motion = rectangles.simulate(scenes)
    inputs, targets = rectangles.examples(scenes, motion, **PICTURES)
    return scenes, motion, inputs[:, 1:], targets


def drawn(n=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 1, 3, 5, generator=generator)


def test_changed_pixels_differ_by_more_than_the_least():
    start, target = drawn(seed=1), drawn(seed=2)
    target[0] = start[0] + 0.05
    found = forecasts.changed(start, target, least=0.3)
    pairs = zip(start.flatten().tolist(), target.flatten().tolist(), strict=True)
    expected = torch.tensor([abs(a - b) > 0.3 for a, b in pairs]).view_as(start)
    assert_close(found, expected)
    assert not found[0].any()


def test_errors_are_those_of_a_loop_over_pixels():
    predicted, target, where = drawn(seed=1), drawn(seed=2), drawn(seed=3) > 0.6
    each, total = [], []
    for p, t, w in zip(predicted.numpy(), target.numpy(), where.numpy(), strict=True):
        squares = [(p[0, i, j] - t[0, i, j]) ** 2 for i in range(3) for j in range(5) if w[0, i, j]]
        each.append(np.mean(squares))
        total += squares
    assert_close(forecasts.errors(predicted, target, where), torch.tensor(each), check_dtype=False)
    assert forecasts.error(predicted, target, where) == pytest.approx(np.mean(total), rel=1e-5)
    assert_close(forecasts.errors(predicted, target), (predicted - target).square().flatten(1).mean(1))


def test_a_picture_without_a_pixel_that_counts_has_no_error():
    where = torch.ones(2, 1, 3, 5, dtype=torch.bool)
    where[1] = False
    found = forecasts.errors(drawn(2, 1), drawn(2, 2), where)
    assert math.isfinite(found[0])
    assert math.isnan(found[1])


def test_alone_a_box_goes_as_far_as_the_formula_says(world):
    scenes, _, _, _ = world
    physics = rectangles.Physics(force=200.0, drag=0.7, walls=False)
    # Small steps: the rules of a simulation hold at their limit.
    motion = forecasts.alone(scenes, physics, n_frames=3, frame_time=1.0, n_substeps=400)
    row, k, t = torch.arange(N), physics.drag, 3.0
    mass = scenes.sides[row, scenes.grabbed].prod(-1)
    way = motion.centres[row, -1, scenes.grabbed] - motion.centres[row, 0, scenes.grabbed]
    expected = -physics.force / (mass * k) * (t - (1 - math.exp(-k * t)) / k)
    assert_close(way[:, 1], expected, rtol=2e-3, atol=0)
    assert_close(way[:, 0], torch.zeros(N), rtol=0, atol=1e-4)


def test_alone_is_the_whole_truth_where_no_boxes_meet_and_nowhere_else(world):
    scenes, motion, _, _ = world
    found = forecasts.alone(scenes)
    apart = (found.centres - motion.centres).norm(dim=-1).amax((1, 2))
    turned = (found.angles - motion.angles).abs().amax((1, 2))
    met = motion.touched[..., :-1].any(-1).any(-1)
    assert 3 < met.sum() < N - 3
    assert motion.touched[~met][..., -1].any()  # walls are met by some of them
    assert apart[~met].max() < 1e-4
    assert turned[~met].max() < 1e-4
    assert apart[met].min() > 1e-4
    assert not found.touched[..., :-1].any()
    assert_close(found.touched[~met], motion.touched[~met])
    assert_close(found.impulses[~met], motion.impulses[~met], rtol=1e-4, atol=1e-3)


def test_alone_only_the_grabbed_box_moves(world):
    scenes, _, _, _ = world
    found = forecasts.alone(scenes)
    rests = torch.ones_like(scenes.angles, dtype=torch.bool)
    rests[torch.arange(N), scenes.grabbed] = False
    for part, start in ((found.centres, scenes.centres), (found.angles, scenes.angles)):
        assert_close(part[:, -1][rests], start[rests], rtol=0, atol=0)
    for part in (found.velocities, found.spins):
        assert part[:, -1][rests].abs().max() == 0
        assert part[:, -1][~rests].reshape(N, -1).norm(dim=1).min() > 0


def test_the_truth_misses_no_push_and_the_start_misses_all(world):
    scenes, motion, start, target = world
    row = torch.arange(N)
    pushed = rectangles.moved(scenes, motion, least=2.0)
    pushed[row, scenes.grabbed] = False
    assert 10 < pushed.sum() < pushed.numel() / 4
    for picture, expected in ((target, torch.zeros_like(pushed)), (start, pushed)):
        found = forecasts.missed(picture, scenes, motion)
        assert_close(found.pushed, pushed)
        assert_close(found.missed, expected)


def test_one_box_left_behind_is_the_one_that_is_missed(world):
    scenes, motion, _, _ = world
    pushed = forecasts.missed(torch.zeros(N, 1, 32, 32), scenes, motion).pushed
    both = (pushed.sum(1) >= 2).nonzero()[:, 0]
    assert len(both) > 1
    for n in both.tolist():
        left = int(pushed[n].nonzero()[0, 0])
        centres, angles = motion.centres[:, -1].clone(), motion.angles[:, -1].clone()
        centres[n, left], angles[n, left] = motion.centres[n, 0, left], motion.angles[n, 0, left]
        picture = rendering.boxes(scenes.sides, centres, angles, **PICTURES)[:, None]
        found = forecasts.missed(picture, scenes, motion)
        assert found.missed.nonzero().tolist() == [[n, left]]


def test_missed_agrees_with_a_loop_over_boxes(world, monkeypatch):
    scenes, motion, start, target = world
    picture = torch.lerp(start, target, 0.5) + 0.4 * torch.rand(
        N, 1, 32, 32, generator=torch.Generator().manual_seed(0)
    )
    monkeypatch.setattr(forecasts, "_BLOCK", 7)
    found = forecasts.missed(picture, scenes, motion, least=1.5)
    assert 0 < found.missed.sum() < found.pushed.sum()
    for n, box in found.pushed.nonzero().tolist():
        own = []
        for f in (0, -1):
            place = motion.centres[n, f, box][None], motion.angles[n, f, box][None]
            own.append(rendering.boxes(scenes.sides[n, box][None], *place, **PICTURES).numpy())
        gain = 0.0
        for i in range(32):
            for j in range(32):
                if (own[0][i, j] > 0.5) != (own[1][i, j] > 0.5):
                    value = float(picture[n, 0, i, j])
                    gain += (value - float(target[n, 0, i, j])) ** 2 - (value - float(start[n, 0, i, j])) ** 2
        assert bool(found.missed[n, box]) == (gain > 0)


@pytest.mark.usefixtures("unchecked")
def test_pictures_that_differ_in_shape_are_refused(world):
    _, _, start, target = world
    for call in (forecasts.changed, forecasts.errors):
        with pytest.raises(ValueError, match=r"has the shape .*16.*, the targets .*32"):
            call(start[..., :16], target)
    where = forecasts.changed(start, target)
    with pytest.raises(ValueError, match="where has the shape"):
        forecasts.errors(start, target, where[:, :, 1:])
    with pytest.raises(ValueError, match="predicted has the shape"):
        forecasts.error(start[:, :, 1:], target, where)
    for call in (forecasts.errors, forecasts.error):
        with pytest.raises(ValueError, match=r"where is torch\.float32; give a mask"):
            call(start, target, where.float())
    with pytest.raises(ValueError, match="no pixel counts"):
        forecasts.error(start, target, torch.zeros_like(where))


@pytest.mark.usefixtures("unchecked")
def test_pushes_need_a_square_picture_of_each_scene_and_a_distance(world):
    scenes, motion, start, _ = world
    for picture in (start[1:], start[..., 1:]):
        with pytest.raises(ValueError, match=f"for {N} scenes"):
            forecasts.missed(picture, scenes, motion)
    for picture in (start.byte(), start / 0):
        with pytest.raises(ValueError, match="give ink from 0 to 1"):
            forecasts.missed(picture, scenes, motion)
    with pytest.raises(ValueError, match=r"least = 0\.0"):
        forecasts.missed(start, scenes, motion, least=0.0)
