"""Pictures against brute force: pixels split into many points, each of them inside a box or not."""

import numpy as np
import pytest
import torch
from torch import pi

from actlib import rendering

FINE = 16


def brute(sides, centres, angles, *, size=64, world=64.0, fill=1.0, outline=1.0):
    """Return a picture of boxes that do not overlap, from ``FINE`` x ``FINE`` points in each pixel."""
    axis = (np.arange(size * FINE) + 0.5) / FINE
    x, y = np.meshgrid(axis, axis)
    ink = np.zeros_like(x)
    for (a, b), (cx, cy), angle in zip(sides, centres, angles, strict=True):
        dx, dy = x - cx * size / world, y - cy * size / world
        u, v = abs(np.cos(angle) * dx + np.sin(angle) * dy), abs(np.cos(angle) * dy - np.sin(angle) * dx)
        half = np.array([a, b]) * size / world / 2
        ink = np.where((u < half[0]) & (v < half[1]), 1.0, ink)
        ink = np.where((u < half[0] - outline) & (v < half[1] - outline), fill, ink)
    return ink.reshape(size, FINE, size, FINE).mean((1, 3))


def few(n_boxes=4, seed=0, n=3):
    """Return boxes in four corners of the world, so that they do not meet."""
    generator = torch.Generator().manual_seed(seed)
    like = {"generator": generator, "dtype": torch.float64}
    corners = torch.tensor([(16.0, 16.0), (48.0, 16.0), (16.0, 48.0), (48.0, 48.0)], dtype=torch.float64)
    centres = corners[:n_boxes] + 4 * (torch.rand(n, n_boxes, 2, **like) - 0.5)
    return 7 + 7 * torch.rand(n, n_boxes, 2, **like), centres, 2 * pi * torch.rand(n, n_boxes, **like)


@pytest.mark.parametrize(("fill", "outline"), [(1.0, 1.0), (0.5, 1.0), (0.0, 1.5), (0.3, 0.0)])
@pytest.mark.parametrize("size", [64, 32])
def test_pictures_are_near_those_of_many_points_a_pixel(fill, outline, size):
    scenes = few()
    found = rendering.boxes(*scenes, size=size, fill=fill, outline=outline).numpy()
    for picture, *scene in zip(found, *(part.numpy() for part in scenes), strict=True):
        expected = brute(*scene, size=size, fill=fill, outline=outline)
        assert np.abs(picture - expected).mean() < 0.002
        assert np.abs(picture - expected).max() < 0.1
        assert np.abs(picture[:, ::-1] - expected).mean() > 0.01, "a mirrored picture must not fit"


def test_an_upright_box_covers_its_pixels_exactly():
    scene = torch.tensor([[9.5, 6.25]]), torch.tensor([[20.3, 31.4]]), torch.tensor([pi / 2])
    found = rendering.boxes(*scene, fill=1.0).numpy()
    # A quarter turn changes its sides; lengths along x and y that fall into each pixel.
    pixels = np.arange(64)
    across = np.clip(np.minimum(20.3 + 3.125, pixels + 1) - np.maximum(20.3 - 3.125, pixels), 0, 1)
    down = np.clip(np.minimum(31.4 + 4.75, pixels + 1) - np.maximum(31.4 - 4.75, pixels), 0, 1)
    np.testing.assert_allclose(found, np.outer(down, across), atol=1e-5)


@pytest.mark.parametrize("size", [64, 32, 100])
def test_the_ink_of_a_filled_box_is_its_area_and_its_mean_is_its_centre(size):
    sides, centres, angles = few(n_boxes=1, n=50)
    found = rendering.boxes(sides, centres, angles, size=size, fill=1.0)
    scale = size / 64
    area = found.sum((1, 2))
    expected = sides.prod(-1)[:, 0] * scale**2
    torch.testing.assert_close(area, expected, rtol=0.03, atol=0)
    assert (area / expected - 1).abs().median() < 0.002
    axis = torch.arange(size, dtype=torch.float64) + 0.5
    mean = torch.stack(((found.sum(1) * axis).sum(1), (found.sum(2) * axis).sum(1)), dim=1) / area[:, None]
    torch.testing.assert_close(mean, centres[:, 0] * scale, atol=0.07, rtol=0)


def test_boxes_thinner_than_a_pixel_have_little_ink():
    scene = torch.tensor([[20.0, 0.25]]), torch.tensor([[30.0, 30.5]]), torch.tensor([0.0])
    torch.testing.assert_close(rendering.boxes(*scene).sum(), torch.tensor(5.0))


def test_boxes_without_sides_are_left_out():
    sides, centres, angles = few()
    sides[:, 1:3] = 0
    found = rendering.boxes(sides, centres, angles)
    torch.testing.assert_close(found, rendering.boxes(*(part[:, [0, 3]] for part in (sides, centres, angles))))


def test_leading_shapes_broadcast_and_long_lists_are_as_the_single_pictures(monkeypatch):
    sides, centres, angles = few(n=3)
    moved = centres[:, None] + torch.arange(5.0, dtype=torch.float64)[:, None, None]
    monkeypatch.setattr(rendering, "_BLOCK", 4)
    found = rendering.boxes(sides[:, None], moved, angles[:, None])
    assert found.shape == (3, 5, 64, 64)
    for n in range(3):
        for f in range(5):
            torch.testing.assert_close(found[n, f], rendering.boxes(sides[n], moved[n, f], angles[n]))


def test_mirrored_boxes_give_mirrored_pictures():
    sides, centres, angles = few()
    mirrored = torch.stack((64 - centres[..., 0], centres[..., 1]), dim=-1)
    found = rendering.boxes(sides, mirrored, -angles)
    torch.testing.assert_close(found, rendering.boxes(sides, centres, angles).flip(-1))


def test_boxes_that_touch_can_be_told_apart_by_their_outlines_only():
    sides, angles = torch.tensor([[10.0, 10.0], [10.0, 10.0]]), torch.zeros(2)
    centres = torch.tensor([[20.0, 30.0], [30.0, 30.0]])
    assert rendering.boxes(sides, centres, angles, fill=1.0)[30, 16:34].min() == 1
    drawn = rendering.boxes(sides, centres, angles)[30, 16:34]
    torch.testing.assert_close(drawn, torch.tensor([0.5] * 8 + [1.0, 1.0] + [0.5] * 8))


def test_a_filled_box_two_pixels_off_is_nearer_than_none_and_an_outline_is_not():
    sides, centres, angles = few(n_boxes=1, n=100)
    for fill, better in ((0.0, False), (0.5, True), (1.0, True)):
        true, off = (rendering.boxes(sides, places, angles, fill=fill) for places in (centres, centres + 2**0.5))
        nearer = ((off - true) ** 2).sum((1, 2)) < (true**2).sum((1, 2))
        assert nearer.double().mean() > 0.95 if better else nearer.double().mean() < 0.05


@pytest.mark.parametrize(("size", "radius"), [(64, 3.0), (64, 1.5), (32, 4.0)])
def test_a_point_is_a_disc_at_its_place(size, radius):
    places = torch.tensor([[20.3, 40.6], [11.5, 9.25]], dtype=torch.float64)
    found = rendering.points(places, size=size, radius=radius)
    ink, scale = found.sum((1, 2)), size / 64
    torch.testing.assert_close(ink, torch.full_like(ink, pi * (radius * scale) ** 2), rtol=0.05, atol=0)
    axis = torch.arange(size, dtype=torch.float64) + 0.5
    mean = torch.stack(((found.sum(1) * axis).sum(1), (found.sum(2) * axis).sum(1)), dim=1) / ink[:, None]
    torch.testing.assert_close(mean, places * scale, atol=0.05, rtol=0)


def test_a_point_stays_visible_in_a_small_picture():
    found = rendering.points(torch.tensor([4.0, 4.0]), size=8)
    torch.testing.assert_close(found.amax(), torch.tensor(1.0))


@pytest.mark.parametrize(
    "options",
    [{"size": 0}, {"world": 0.0}, {"world": float("nan")}, {"fill": 1.5}, {"fill": -0.1}, {"outline": -1.0}],
)
def test_what_cannot_be_drawn_is_refused(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} = .*give a"):
        rendering.boxes(*few(), **options)


@pytest.mark.parametrize("options", [{"size": 0}, {"world": -1.0}, {"radius": 0.0}])
def test_a_point_that_cannot_be_drawn_is_refused(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} = .*give"):
        rendering.points(torch.zeros(2), **options)
