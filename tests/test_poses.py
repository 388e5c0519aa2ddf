"""Poses against planted boxes, pixels split into many points, and a global optimiser that knows no drawing of ours."""

import math

import jaxtyping
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.optimize import differential_evolution
from torch import pi

from actlib import poses, rendering, starts

DEGREE = pi / 180


@pytest.fixture
def unchecked(monkeypatch):
    """Let annotations go unchecked, as outside the tests."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def planted(n, size, *, seed=0, dtype=torch.float32, sides=(7.0, 14.0)):
    """Return pictures of one box each, and its sides, centre and angle."""
    like = {"generator": torch.Generator().manual_seed(seed), "dtype": dtype}
    scenes = starts.sample(n, n_boxes=1, sides=sides, **like)
    drawn = rendering.boxes(scenes.sides, scenes.centres, scenes.angles, size=size, fill=1.0)
    return drawn, scenes.sides[:, 0], scenes.centres[:, 0], scenes.angles[:, 0]


def box(sides, centre, angle=0.0, size=64):
    """Return a picture (1, h, h) of one box, and its sides (1, 2)."""
    sides, centre = torch.tensor([sides]), torch.tensor([centre])
    return rendering.boxes(sides, centre, torch.tensor([angle]), size=size, fill=1.0)[None], sides


def brute(sides, pose, size, fine):
    """Return a picture of a box, all in pixels, from ``fine`` x ``fine`` points in each pixel."""
    axis = (np.arange(size * fine) + 0.5) / fine
    x, y = axis - pose[0], axis[:, None] - pose[1]
    cos, sin = np.cos(pose[2]), np.sin(pose[2])
    ink = (abs(cos * x + sin * y) < sides[0] / 2) & (abs(cos * y - sin * x) < sides[1] / 2)
    return ink.reshape(size, fine, size, fine).mean((1, 3))


def errors(found, centres, angles):
    """Return distances in units and turns in degrees."""
    return torch.linalg.vector_norm(found.centres - centres, dim=1), poses.turns_between(found.angles, angles) / DEGREE


@pytest.mark.parametrize("size", [32, 64])
def test_planted_boxes_are_found(size):
    pictures, sides, centres, angles = planted(100 if size == 32 else 30, size)
    found = poses.find(pictures, sides)
    distances, turns = errors(found, centres, angles)
    assert distances.max() < 0.003
    assert turns.max() < 0.02
    assert found.overlaps.min() > 0.999
    assert found.overlaps.max() <= 1
    assert found.angles.min() >= 0
    assert found.angles.max() < pi


@pytest.mark.parametrize(("size", "far", "turned"), [(32, 0.02, 0.7), (64, 0.01, 0.2)])
def test_boxes_drawn_by_counting_points_are_found(size, far, turned):
    _, sides, centres, angles = planted(20, size, seed=1)
    scale = size / 64
    drawn = [
        brute(a, np.append(c, t), size, 8)
        for a, c, t in zip(sides.numpy() * scale, centres.numpy() * scale, angles.numpy(), strict=True)
    ]
    distances, turns = errors(poses.find(torch.tensor(np.array(drawn)), sides), centres, angles)
    assert distances.median() < far
    assert distances.max() < 5 * far
    oblong = (sides[:, 0] - sides[:, 1]).abs() > 1
    assert turns[oblong].median() < turned
    assert turns[oblong].max() < 6 * turned


@pytest.mark.parametrize(("size", "far", "turned"), [(32, 0.1, 1.0), (64, 0.04, 0.35)])
def test_noise_moves_the_found_pose_a_little(size, far, turned):
    pictures, sides, centres, angles = planted(80 if size == 32 else 40, size, seed=2)
    noisy = pictures + 0.1 * torch.randn(pictures.shape, generator=torch.Generator().manual_seed(3))
    found = poses.find(noisy, sides)
    distances, turns = errors(found, centres, angles)
    assert 0.5 * far < distances.median() < far
    assert distances.max() < 4 * far
    assert turns.median() < turned
    oblong = (sides[:, 0] - sides[:, 1]).abs() > 1
    assert turns[oblong].max() < 8 * turned
    assert (found.overlaps < 0.97).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_a_global_optimiser_finds_the_same_pose(seed):
    draw, size, fine = np.random.default_rng(seed), 24, 4
    sides = np.array([10.0, 6.0]) + draw.random(2)
    truth = np.append(8 + 8 * draw.random(2), pi * draw.random())
    picture = gaussian_filter(brute(sides, truth, size, 8), 0.5) + 0.1 * draw.standard_normal((size, size))

    def cost(pose):
        drawn, given = brute(sides, pose, size, fine).ravel(), picture.clip(0, 1).ravel()
        return np.linalg.lstsq(drawn[:, None], given, rcond=None)[1].item()  # the best grey is free

    bounds = [(6.5, 17.5), (6.5, 17.5), (0, pi)]
    best = differential_evolution(cost, bounds, rng=seed, maxiter=60, popsize=10, tol=1e-6)
    found = poses.find(torch.tensor(picture)[None], torch.tensor(sides)[None], world=float(size))
    distances, turns = errors(found, torch.tensor(best.x[None, :2]), torch.tensor(best.x[2:]))
    assert distances < 0.15
    assert turns < 2.5
    assert cost([*found.centres[0].tolist(), found.angles.item()]) < best.fun * 1.06


def test_the_cost_of_the_found_pose_is_the_least_around():
    pictures, sides, _, _ = planted(40, 32, seed=4, dtype=torch.float64)
    blurred = torch.tensor(gaussian_filter(pictures.numpy(), (0, 0.7, 0.7))) * 0.7
    found = poses.find(blurred, sides)

    def cost(centres, angles):
        drawn = rendering.boxes(sides[:, None], centres[:, None], angles[:, None], size=32, fill=1.0)
        shares = (drawn * blurred).sum((1, 2)) ** 2 / drawn.square().sum((1, 2)) / blurred.square().sum((1, 2))
        return 1 - shares

    least, generator = cost(found.centres, found.angles), torch.Generator().manual_seed(5)
    better = []
    inside = ((found.centres > 11) & (found.centres < 53)).all(1)  # else a wall may hold the box
    for reach in (0.05, 0.3, 2.0):
        for _ in range(20):
            moves = torch.randn(40, 3, generator=generator, dtype=torch.float64) * reach
            other = cost(found.centres + moves[:, :2], found.angles + moves[:, 2] / 5)
            better.append((least - other)[inside])
    assert torch.cat(better).max() < 0.003
    assert (torch.cat(better) > 1e-5).double().mean() < 0.01


def test_faint_boxes_and_boxes_at_walls_are_found():
    for centre in ((32.0, 20.0), (6.0, 4.0), (58.0, 60.0)):
        picture, sides = box((12.0, 8.0), centre)
        found = poses.find(0.1 * picture, sides)
        torch.testing.assert_close(found.centres, torch.tensor([centre]), atol=0.01, rtol=0)
        torch.testing.assert_close(found.overlaps, torch.tensor([0.1]), atol=0.001, rtol=0)


def test_a_box_that_leaves_the_picture_is_found_at_the_wall():
    picture, sides = box((12.0, 8.0), (3.0, 30.0))
    found = poses.find(picture, sides)
    torch.testing.assert_close(found.centres, torch.tensor([[6.0, 30.0]]), atol=0.3, rtol=0)
    assert 0.7 < found.overlaps.item() < 0.8  # 9 of 12 columns
    crowd = poses.find(torch.rand(8, 32, 32), torch.full((8, 2), 20.0))
    reach = 10 * (crowd.angles.cos().abs() + crowd.angles.sin().abs())[:, None]
    assert ((crowd.centres - reach > -1e-3) & (crowd.centres + reach < 64 + 1e-3)).all()


def test_a_box_is_not_found_across_opposite_walls():
    picture, sides = box((12.0, 8.0), (30.0, 20.0))
    picture *= 0.7
    picture[0, 40:48, :6] = picture[0, 40:48, -6:] = 1
    found = poses.find(picture, sides)
    torch.testing.assert_close(found.centres, torch.tensor([[30.0, 20.0]]), atol=0.01, rtol=0)


def test_a_long_box_is_not_found_in_angles_that_have_no_room():
    picture, sides = box((64.0, 20.0), (32.0, 32.0), 0.3)
    found = poses.find(picture, sides)
    assert 32 * found.angles.cos().abs() + 10 * found.angles.sin() <= 32 + 1e-3
    assert 32 * found.angles.sin() + 10 * found.angles.cos().abs() <= 32 + 1e-3


def test_boxes_as_wide_as_the_world_are_found():
    sides = torch.tensor([[64.0, 64.0], [64.0, 10.0], [60.0, 5.0]])
    centres = torch.tensor([[32.0, 32.0], [32.0, 40.3], [33.0, 12.4]])
    drawn = rendering.boxes(sides[:, None], centres[:, None], torch.zeros(3, 1), fill=1.0)
    found = poses.find(drawn, sides)
    torch.testing.assert_close(found.centres, centres, atol=0.01, rtol=0)
    assert errors(found, centres, torch.zeros(3))[1].max() < 0.05
    assert poses.find(torch.rand(3, 64, 64), sides).overlaps.isfinite().all()


def test_the_overlap_has_closed_forms():
    picture, sides = box((12.0, 8.0), (30.0, 20.0))  # columns 24 to 35, rows 16 to 23
    assert picture.sum() == 96
    holed, bumped, far, twice = (picture.clone() for _ in range(4))
    holed[0, 18:20, 26:30] = 0
    bumped[0, [14, 25], 29:31] = 1
    bumped[0, 19:21, [22, 37]] = 1
    far[0, 30:33, 28:31] = 1
    twice[0] = 1.7 * picture[0] - 0.4
    values = torch.tensor([1, 1 / 2, 1 / 4, 0, 88 / 96, 96 / 104, 1, 1])
    given = torch.cat((picture, picture / 2, picture / 4, 0 * picture, holed, bumped, far, twice))
    found = poses.find(given, sides.expand(8, 2))
    torch.testing.assert_close(found.overlaps, values, atol=2e-3, rtol=0)
    torch.testing.assert_close(poses.find(bumped, sides, margin=0.0).overlaps, torch.ones(1), atol=2e-3, rtol=0)
    wide = poses.find(far, sides, margin=12.0).overlaps
    torch.testing.assert_close(wide, torch.tensor([96 / 105]), atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    ("size", "options", "margin"),
    [(64, {}, 3.0), (64, {"margin": 2.0}, 2.0), (64, {"margin": 4.5}, 4.5), (32, {"margin": 4.0}, 4.0)],
)
def test_ink_counts_up_to_the_margin_and_not_beyond(size, options, margin):
    picture, sides = box((12.0, 8.0), (32.0, 24.0), size=size)
    scale = size / 64
    left, right, top, bottom = (int(edge * scale) for edge in (26, 38, 20, 28))
    assert picture[0, top:bottom, left:right].sum() == picture.sum() == 96 * scale**2
    middle, reach = [int(24 * scale) - 1, int(24 * scale)], margin * scale
    for way in range(1, math.ceil(reach) + 4):  # pixels between the box and the ink: ink that touches it moves it
        above, beside = picture.clone(), picture.clone()
        above[0, [top - 1 - way, bottom + way], int(32 * scale)] = 1
        beside[0, middle, left - 1 - way] = beside[0, middle, right + way] = 1
        share = min(max(reach - way, 0), 1)  # of the ink that lies within the margin
        expected = [96 * scale**2 / (96 * scale**2 + pixels * share) for pixels in (2, 4)]
        found = poses.find(torch.cat((above, beside)), sides.expand(2, 2), **options)
        torch.testing.assert_close(found.overlaps, torch.tensor(expected), atol=3e-3, rtol=0)


def test_blur_and_wrong_sides_lower_the_overlap():
    pictures, sides, _, _ = planted(12, 64, seed=6)
    blurred = [torch.tensor(gaussian_filter(pictures.numpy(), (0, s, s))) for s in (0.0, 0.5, 1.0, 2.0, 4.0)]
    found = torch.stack([poses.find(given, sides).overlaps for given in blurred])
    assert (found.diff(dim=0) < -0.02).all()
    wrong = torch.stack([poses.find(pictures, sides * factor).overlaps for factor in (1.0, 0.8, 1.2)])
    assert (wrong[1:] < 0.9).all()
    assert (wrong[0] > 0.999).all()


def test_of_two_boxes_the_one_with_the_given_sides_is_found():
    sides, centres = torch.tensor([[14.0, 7.0], [9.0, 9.0]]), torch.tensor([[20.0, 20.0], [40.0, 45.0]])
    angles = torch.tensor([0.4, 1.2])
    picture = rendering.boxes(sides, centres, angles, fill=1.0).expand(2, 64, 64)
    found = poses.find(picture, sides)
    torch.testing.assert_close(found.centres, centres, atol=0.01, rtol=0)
    assert found.overlaps.min() > 0.99


def test_pictures_without_a_box_have_little_overlap():
    faint = 0.05 * torch.rand(4, 32, 32, generator=torch.Generator().manual_seed(7))
    line = torch.zeros(1, 32, 32)
    line[0, 10] = 1
    found = poses.find(torch.cat((faint, line)), torch.tensor([[14.0, 12.0]]).expand(5, 2))
    assert found.overlaps[:4].max() < 0.06
    assert found.overlaps[4] < 0.3


def test_mirrored_and_transposed_pictures_give_mirrored_poses():
    pictures, sides, _, _ = planted(30, 32, seed=8, dtype=torch.float64)
    noisy = pictures + 0.1 * torch.randn(pictures.shape, generator=torch.Generator().manual_seed(9))
    found = poses.find(noisy, sides)
    oblong = (sides[:, 0] - sides[:, 1]).abs() > 1
    for turned, back, angles in (
        (noisy.flip(-1), lambda c: torch.stack((64 - c[:, 0], c[:, 1]), 1), -found.angles),
        (noisy.mT, lambda c: c.flip(1), pi / 2 - found.angles),
    ):
        other = poses.find(turned.contiguous(), sides)
        distances, turns = errors(other, back(found.centres), angles)
        assert distances[oblong].max() < 0.01
        assert turns[oblong].max() < 0.2
        torch.testing.assert_close(other.overlaps[oblong], found.overlaps[oblong], atol=2e-3, rtol=0)
    assert errors(other, found.centres, found.angles)[0].median() > 5, "a mirrored pose must differ"


def test_almost_squares_get_the_right_angle():
    sides = torch.tensor([[8.0, 8.3]]).expand(40, 2)
    angles, centres = torch.linspace(0, 3.1, 40), torch.linspace(15, 45, 80).reshape(40, 2)
    pictures = rendering.boxes(sides[:, None], centres[:, None], angles[:, None], size=32, fill=1.0)
    assert errors(poses.find(pictures, sides), centres, angles)[1].max() < 0.1


def test_angles_stay_below_a_half_turn():
    sides, centres = torch.tensor([[12.0, 8.0]]).expand(30, 2), 12 + 40 * torch.rand(30, 2)
    pictures = rendering.boxes(sides[:, None], centres[:, None], torch.full((30, 1), -1e-8), size=32, fill=1.0)
    found = poses.find(pictures, sides)  # rounding leaves some angles a hair below 0
    assert found.angles.min() >= 0
    assert 3.14 < found.angles.max() < pi


def test_the_world_only_scales(monkeypatch):
    pictures, sides, _, _ = planted(7, 32, seed=10, dtype=torch.float64)
    pictures = 0.9 * pictures + 0.1 * torch.rand(pictures.shape)
    found = poses.find(pictures, sides)
    small = poses.find(pictures, sides / 64, world=1.0, margin=3 / 64)
    torch.testing.assert_close(small.centres * 64, found.centres, atol=1e-3, rtol=0)
    torch.testing.assert_close(small.overlaps, found.overlaps, atol=1e-4, rtol=0)
    monkeypatch.setattr(poses, "_BLOCK", 1)
    alone = poses.find(pictures, sides)
    for one, many in zip(alone, found, strict=True):
        torch.testing.assert_close(one, many, atol=2e-3, rtol=0)


def test_few_angles_and_other_sizes_do():
    pictures, sides, centres, angles = planted(20, 45, seed=11)
    for n_angles in (12, 25, 48):
        distances, turns = errors(poses.find(pictures, sides, n_angles=n_angles), centres, angles)
        assert distances.max() < 0.02
        assert turns.max() < 0.2


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_poses_are_in_the_dtype_of_the_pictures_and_need_no_gradient(dtype):
    picture, sides = box((12.0, 8.0), (30.0, 20.0))
    given = picture.to(dtype).requires_grad_()
    found = poses.find(given, sides)
    assert {part.dtype for part in found} == {torch.promote_types(dtype, torch.float32)}
    assert not any(part.requires_grad for part in found)
    assert given.detach().equal(picture.to(dtype))


def test_turns_between_rectangles():
    a = torch.tensor([0.0, 0.1, 0.0, 3.1, 0.2, -7.0])
    b = torch.tensor([0.0, pi + 0.1, pi / 2, 0.05, 1.2, 7.0])
    expected = torch.tensor([0.0, 0.0, pi / 2, pi - 3.05, 1.0, abs(14 - 4 * pi)])
    torch.testing.assert_close(poses.turns_between(a, b), expected, atol=2e-6, rtol=0)
    torch.testing.assert_close(poses.turns_between(b, a), expected, atol=2e-6, rtol=0)
    generator = torch.Generator().manual_seed(0)
    a, b = 20 * torch.rand(2, 500, generator=generator, dtype=torch.float64) - 10
    plain = [min(abs(x - y + k * math.pi) for k in range(-9, 10)) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    np.testing.assert_allclose(poses.turns_between(a, b).numpy(), plain, atol=1e-12)
    assert poses.turns_between(torch.zeros(3, 1), torch.zeros(1, 4)).shape == (3, 4)
    assert poses.turns_between(torch.tensor([0.0]), torch.tensor([-1e-9])).item() >= 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pictures": torch.zeros(2, 8, 9)}, r"pictures \(2, 8, 9\).*square"),
        ({"pictures": torch.zeros(3, 8, 8)}, r"pictures \(3, 8, 8\) and sides \(2, 2\)"),
        ({"pictures": torch.zeros(0, 8, 8), "sides": torch.zeros(0, 2)}, "at least one picture"),
        ({"pictures": torch.tensor([0.0, math.nan])[:, None, None].expand(2, 8, 8)}, "picture 1 .* finite"),
        ({"pictures": torch.tensor([math.inf, 0.0])[:, None, None].expand(2, 8, 8)}, "picture 0 .* finite"),
        ({"sides": torch.tensor([[3.0, 4.0], [3.0, 0.0]])}, r"box 1 has sides \[3.0, 0.0\].*above 0"),
        ({"sides": torch.tensor([[3.0, -4.0], [3.0, 1.0]])}, "box 0 has sides .*above 0"),
        ({"sides": torch.tensor([[3.0, math.nan], [3.0, 1.0]])}, "box 0 has sides .*above 0"),
        ({"sides": torch.tensor([[3.0, 4.0], [64.5, 1.0]])}, "box 1 has sides .* the world of 64"),
        ({"world": 0.0}, "world = 0.0"),
        ({"world": math.inf}, "world = inf"),
        ({"margin": -1.0}, "margin = -1.0"),
        ({"margin": math.nan}, "margin = nan"),
        ({"margin": math.inf}, "margin = inf"),
        ({"n_angles": 3}, "n_angles = 3"),
    ],
)
def test_what_has_no_pose_is_refused(change, message):
    given = {"pictures": torch.zeros(2, 8, 8), "sides": torch.full((2, 2), 9.0), **change}
    with pytest.raises(ValueError, match=message):
        poses.find(given.pop("pictures"), given.pop("sides"), **given)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sides": torch.ones(2, 3)}, r"sides \(2, 3\) found; .* a row of 2 sides for each, as \(n, 2\)"),
        ({"sides": torch.ones(2, 1)}, r"sides \(2, 1\) found"),
        ({"sides": torch.ones(2)}, r"sides \(2,\) found"),
        ({"sides": torch.tensor(9.0)}, r"sides \(\) found"),
        ({"sides": torch.ones(2, 1, 2)}, r"sides \(2, 1, 2\) found"),
        ({"pictures": torch.zeros(8, 8)}, r"pictures \(8, 8\) and .* all square, as \(n, h, h\)"),
        ({"pictures": torch.zeros(2, 2)}, r"pictures \(2, 2\) and"),
        ({"pictures": torch.zeros(2)}, r"pictures \(2,\) and"),
        ({"pictures": torch.tensor(0.0)}, r"pictures \(\) and"),
        ({"pictures": torch.tensor(0.0), "sides": torch.ones(2)}, r"pictures \(\) and"),
        ({"pictures": torch.zeros(2, 1, 8, 8)}, r"pictures \(2, 1, 8, 8\) and"),
        ({"pictures": torch.zeros(2, 8, 8, 1)}, r"pictures \(2, 8, 8, 1\) and"),
        ({"pictures": torch.zeros(2, 8, 8, dtype=torch.int64)}, r"pictures are torch\.int64; give floating-point"),
        ({"pictures": torch.full((2, 8, 8), 255, dtype=torch.uint8)}, r"pictures are torch\.uint8"),
        ({"pictures": torch.ones(2, 8, 8, dtype=torch.bool)}, r"pictures are torch\.bool"),
        ({"pictures": torch.ones(2, 8, 8, dtype=torch.complex64)}, r"pictures are torch\.complex64"),
        ({"n_angles": 4.5}, r"n_angles = 4\.5; .* at least 4 angles, an int"),
        ({"n_angles": 24.0}, r"n_angles = 24\.0;"),
        ({"n_angles": math.nan}, "n_angles = nan;"),
        ({"n_angles": "24"}, "n_angles = '24';"),
        ({"n_angles": None}, "n_angles = None;"),
    ],
)
def test_other_shapes_and_types_are_refused(change, message):
    given = {"pictures": torch.zeros(2, 8, 8), "sides": torch.full((2, 2), 9.0), **change}
    with pytest.raises(ValueError, match=message):
        poses.find(given.pop("pictures"), given.pop("sides"), **given)
