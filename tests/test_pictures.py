"""Tests of ``actlib.pictures``: what comes out of a PNG is compared with what went in."""

import io

import numpy as np
import pytest
from PIL import Image

from actlib import pictures


def pixels(png):
    image = Image.open(io.BytesIO(png))
    return np.asarray(image if image.mode == "L" else image.convert("RGB"))


def of_colours(n, shape=(60, 70)):
    """Return a picture of n colours, each at least once."""
    rng = np.random.default_rng(n)
    codes = rng.choice(256**3, n, replace=False)
    places = np.concatenate([np.arange(n), rng.integers(0, n, shape[0] * shape[1] - n)])
    found = codes[rng.permutation(places)].reshape(shape)
    return np.stack([found >> 16, found >> 8 & 255, found & 255], -1).astype(np.uint8)


@pytest.mark.parametrize("n", [1, 2, 17, 255, 256, 257, 4000])
def test_every_pixel_is_kept_whatever_the_number_of_colours(n):
    picture = of_colours(n)
    png = pictures.encode(picture)
    np.testing.assert_array_equal(pixels(png), picture)
    assert (Image.open(io.BytesIO(png)).mode == "P") == (n <= 256)


def test_grey_pictures_are_kept():
    picture = np.random.default_rng(0).integers(0, 256, (9, 13), dtype=np.uint8)
    np.testing.assert_array_equal(pixels(pictures.encode(picture)), picture)


def test_few_colours_weigh_less_than_without_a_palette():
    picture, buffer = of_colours(200, (300, 300)), io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    assert len(pictures.encode(picture)) < 0.6 * len(buffer.getvalue())


def smooth(size):
    """Return a picture whose colours change slowly, with a little noise that makes it heavy."""
    y, x = np.mgrid[:size, :size] / size
    noise = np.random.default_rng(1).integers(0, 6, (size, size, 3))
    return (np.stack([200 * x, 200 * y, 100 * (x + y)], -1) + noise).astype(np.uint8)


def test_only_a_heavy_picture_is_made_lighter():
    png = pictures.encode(smooth(300))
    assert pictures.lighten(png, limit=len(png)) is png
    light = pictures.lighten(png, limit=len(png) - 1)
    assert len(light) < len(png) / 2
    off = np.abs(pixels(light).astype(int) - smooth(300))
    assert off.mean() < 4  # of 255; one colour for all would be off by 50
    assert np.abs(smooth(300).astype(int) - smooth(300).mean((0, 1))).mean() > 40


def test_colourful_noise_keeps_its_colours():
    png = pictures.encode(np.random.default_rng(2).integers(0, 256, (200, 200, 3), dtype=np.uint8))
    assert pictures.lighten(png, limit=1000) is png


def test_a_picture_that_would_grow_is_left_alone():
    png = pictures.encode(np.zeros((4, 4, 3), np.uint8))
    assert len(pictures.lighten(png, limit=0)) <= len(png)
