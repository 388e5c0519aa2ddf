"""Procedural colour images of simple shapes: a small RGB data set that needs no download.

A class is an outline. Place, size, rotation, colours, texture and background are drawn at random for each image by laws
that all classes share, and every outline covers the same share of the image on average: neither the colours nor the
mean of an image give its class away, only the form does.
"""

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, UInt8
from torch import Tensor

TEXTURES = ("plain", "gradient", "stripes", "checks", "noise")

# Lengths are in 32nds of the image's side, so that 32 and 64 pixels show the same scenes.
_SIDE = 32
# Square root of a shape's area, smallest and largest.
_SCALES = (9.5, 14.0)
# Largest rotation to either side, in radians: a cross stays a cross and does not turn into a saltire.
_TURN = np.pi / 9
# Radius, for area 1, of a circle that holds every outline: the shape stays inside the image.
_REACH = 1.06
# A template spans [-_SPAN, _SPAN] for area 1, in so many points a side.
_SPAN, _POINTS = 1.3, 105
_CLUTTER = 3
# Images drawn at a time, to keep the temporaries small. It fixes the order of the random numbers: part of the data.
_BLOCK = 256

Number = float | int


def _arc(radius: Number, start: Number, stop: Number, n: int = 48) -> Float[np.ndarray, "corners 2"]:
    """Return ``n`` points from angle ``start`` towards ``stop`` (degrees, clockwise on screen), without the last."""
    angle = np.deg2rad(np.linspace(start, stop, n, endpoint=False))
    return radius * np.c_[np.cos(angle), np.sin(angle)]


def _box(x: Number, y: Number, right: Number, bottom: Number) -> Float[np.ndarray, "corners 2"]:
    """Return the corners of an upright rectangle."""
    return np.array([(x, y), (right, y), (right, bottom), (x, bottom)], dtype=float)


def _plus(a: float) -> Float[np.ndarray, "corners 2"]:
    """Return a cross with arms of length 1 and half-width ``a``."""
    quarter = np.array([(-a, -1), (a, -1), (a, -a)])
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    return np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)])


def _crescent(radius: float = 0.8, shift: float = 0.55) -> Float[np.ndarray, "corners 2"]:
    """Return the unit disc without a disc of ``radius`` that lies ``shift`` to the right."""
    horn = np.arccos((1 + shift**2 - radius**2) / (2 * shift))
    inner = np.rad2deg(np.arctan2(np.sin(horn), np.cos(horn) - shift))
    outer = np.rad2deg(horn)
    return np.r_[_arc(1, outer, 360 - outer), _arc(radius, 360 - inner, inner) + np.array([shift, 0])]


def _heart() -> Float[np.ndarray, "corners 2"]:
    """Return the heart curve x = 16 sin^3 t, y = -(13 cos t - 5 cos 2t - 2 cos 3t - cos 4t)."""
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    return np.c_[16 * np.sin(t) ** 3, -13 * np.cos(t) + 5 * np.cos(2 * t) + 2 * np.cos(3 * t) + np.cos(4 * t)]


# Polygons in any size and place, y pointing down. A hole runs the other way round than the polygon it lies in.
_OUTLINES = {
    "disc": [_arc(1, 0, 360)],
    "ring": [_arc(1, 0, 360), _arc(0.58, 360, 0)],
    "square": [_box(-1, -1, 1, 1)],
    "triangle": [_arc(1, -90, 270, 3)],
    "cross": [_plus(0.32)],
    "star": [_arc(1, -90, 270, 10) * np.tile([1, 0.45], 5)[:, None]],
    "crescent": [_crescent()],
    "heart": [_heart()],
    "arrow": [np.array([(0, -1), (0.9, 0), (0.35, 0), (0.35, 1), (-0.35, 1), (-0.35, 0), (-0.9, 0)])],
    "bars": [_box(-0.9, -1, -0.3, 1), _box(0.3, -1, 0.9, 1)],
    "diamond": [np.array([(0, -1.25), (0.8, 0), (0, 1.25), (-0.8, 0)])],
    "ellipse": [_arc(1, 0, 360) * [1.4, 0.7]],
    "frame": [_box(-1, -1, 1, 1), _box(-0.6, -0.6, 0.6, 0.6)[::-1]],
    "saltire": [_plus(0.32) @ [[1, 1], [-1, 1]]],
    "ell": [np.array([(-0.8, -1), (-0.15, -1), (-0.15, 0.4), (0.8, 0.4), (0.8, 1), (-0.8, 1)])],
    "tee": [np.array([(-1, -1), (1, -1), (1, -0.4), (0.3, -0.4), (0.3, 1), (-0.3, 1), (-0.3, -0.4), (-1, -0.4)])],
    "half-disc": [_arc(1, 180, 360.01)],
    "drop": [np.r_[_arc(0.75, -25, 205), [(0, -1.4)]]],
    "hourglass": [np.array([(-0.8, -1), (0.8, -1), (0.15, 0), (0.8, 1), (-0.8, 1), (-0.15, 0)])],
    "chevron": [np.array([(0, -0.8), (1, 0.1), (1, 0.9), (0, 0), (-1, 0.9), (-1, 0.1)])],
}
# The first ten are the set of ten classes.
CLASSES = tuple(_OUTLINES)


def outline(name: str) -> list[Float[np.ndarray, "_ 2"]]:
    """Return the polygons of a class, with area 1 in all and the centroid at the origin; y points down.

    A point is in the shape when it lies in an odd number of them: the second polygon of a ``ring`` is its hole.
    """
    polygons = _OUTLINES[name]
    following = [np.roll(polygon, -1, axis=0) for polygon in polygons]
    # Shoelace formula: holes run the other way round, so that signed areas and moments add up.
    crosses = [a[:, 0] * b[:, 1] - b[:, 0] * a[:, 1] for a, b in zip(polygons, following, strict=True)]
    area = sum(cross.sum() for cross in crosses) / 2
    moment = sum(cross @ (a + b) for a, b, cross in zip(polygons, following, crosses, strict=True)) / 6
    return [(polygon - moment / area) / np.sqrt(abs(area)) for polygon in polygons]


@lru_cache
def _template(name: str) -> Float32[Tensor, "p p"]:
    """Return the signed distance to a class's outline on a square grid, negative inside."""
    axis = np.linspace(-_SPAN, _SPAN, _POINTS)
    x, y = (part.reshape(-1, 1) for part in np.meshgrid(axis, axis))  # (p*p, 1) each
    distance, inside = np.full(x.shape[0], np.inf), np.zeros(x.shape[0], dtype=bool)
    for polygon in outline(name):
        (ax, ay), (bx, by) = polygon.T, np.roll(polygon, -1, axis=0).T
        ex, ey = bx - ax, by - ay
        along = (((x - ax) * ex + (y - ay) * ey) / (ex**2 + ey**2)).clip(0, 1)  # (p*p, corners)
        distance = np.minimum(distance, np.hypot(x - ax - along * ex, y - ay - along * ey).min(axis=1))
        # A level edge spans no y and is never crossed: the 1 only avoids a division by 0.
        crossed = ((ay > y) != (by > y)) & (x < ax + (y - ay) * ex / np.where(ey == 0, 1, ey))
        inside ^= crossed.sum(axis=1) % 2 == 1
    return torch.from_numpy(np.where(inside, -distance, distance).reshape(_POINTS, _POINTS).astype(np.float32))


def _texture(u: Float32[Tensor, "n 5"], x: Tensor, y: Tensor, blocks: Tensor) -> Float32[Tensor, "n h w"]:
    """Return one texture of ``TEXTURES`` for each image, values -1 to 1, chosen and turned by ``u`` in [0, 1)."""
    angle, period = 2 * np.pi * u[:, 1], 5 + 4 * u[:, 2]
    cos, sin = (part[:, None, None] for part in (torch.cos(angle) / period, torch.sin(angle) / period))
    a = cos * x + sin * y + u[:, 3, None, None]  # (n, h, w), in periods
    b = cos * y - sin * x + u[:, 4, None, None]

    def wave(t: Tensor) -> Tensor:
        return 4 * (t - torch.floor(t) - 0.5).abs() - 1

    slope = (a - u[:, 3, None, None]) * period[:, None, None] / (_SIDE / 2)
    kinds = (torch.zeros_like(a), slope, 2 * wave(a), 4 * wave(a) * wave(b), blocks)
    chosen = (u[:, 0, None, None] * len(TEXTURES)).floor()
    texture = sum(values * (chosen == kind) for kind, values in enumerate(kinds))
    return texture.clamp(-1, 1)


def _cover(templates: Tensor, u: Tensor, x: Tensor, y: Tensor) -> Float32[Tensor, "n h w"]:
    """Return the share of each pixel that the shape covers, 0 to 1, for a scale, place and rotation given by ``u``."""
    scale = _SCALES[0] + (_SCALES[1] - _SCALES[0]) * u[:, 0]
    room = _SIDE / 2 - _REACH * scale
    angle = (2 * u[:, 3] - 1) * _TURN
    cos, sin = (part[:, None, None] for part in (torch.cos(angle), torch.sin(angle)))
    dx = x - ((2 * u[:, 1] - 1) * room)[:, None, None]
    dy = y - ((2 * u[:, 2] - 1) * room)[:, None, None]
    place = torch.stack((cos * dx + sin * dy, cos * dy - sin * dx), dim=-1) / (scale[:, None, None, None] * _SPAN)
    distance = torch.nn.functional.grid_sample(templates[:, None], place, padding_mode="border", align_corners=True)
    pixels = scale * (x.shape[-1] / _SIDE)
    return (0.5 - distance[:, 0] * pixels[:, None, None]).clamp(0, 1)


def _paint(templates: Float32[Tensor, "n p p"], size: int, generator: torch.Generator) -> UInt8[Tensor, "n 3 h w"]:
    """Return one image for each template: background, its texture, clutter, the shape with its texture, noise."""
    n, device = len(templates), generator.device
    u = torch.rand(n, 26 + 6 * _CLUTTER, generator=generator, device=device)
    blocks = 2 * torch.rand(n, 2, _SIDE // 2, _SIDE // 2, generator=generator, device=device) - 1
    blocks = blocks.repeat_interleave(2 * size // _SIDE, 2).repeat_interleave(2 * size // _SIDE, 3)
    grain = torch.rand(n, 3, size, size, generator=generator, device=device) - 0.5
    axis = (torch.arange(size, device=device) + 0.5) * (_SIDE / size) - _SIDE / 2
    y, x = axis[:, None].expand(size, size), axis.expand(size, size)

    # In each channel the shape is brighter or darker than the background, by chance.
    middle = 0.35 + 0.3 * u[:, 0:3]
    half = (0.12 + 0.2 * u[:, 3:6]) * torch.where(u[:, 6:9] < 0.5, -1, 1)
    ground, figure = ((middle + sign * half)[:, :, None, None] for sign in (-1, 1))  # (n, 3, 1, 1)
    tint = (2 * u[:, 9:12] - 1)[:, :, None, None] * 0.2
    image = ground + tint * _texture(u[:, 12:17], x, y, blocks[:, 0])[:, None]
    for k in range(_CLUTTER):
        v = u[:, 26 + 6 * k : 32 + 6 * k, None, None]
        dx, dy = x - _SIDE * (v[:, 0] - 0.5), y - _SIDE * (v[:, 1] - 0.5)
        dot = ((1.2 + 1.2 * v[:, 2] - (dx * dx + dy * dy).sqrt()) * (size / _SIDE) + 0.5).clamp(0, 1)[:, None]
        image = image + dot * (ground + 0.5 * (v[:, 3:6] - 0.5) - image)
    paint = figure - tint * _texture(u[:, 17:22], x, y, blocks[:, 1])[:, None]
    image = image + _cover(templates, u[:, 22:26], x, y)[:, None] * (paint - image)
    return ((image + 0.12 * grain).clamp(0, 1) * 255 + 0.5).to(torch.uint8)


def draw(
    n: int, *, size: int = 32, n_classes: int = 10, generator: torch.Generator | int
) -> tuple[UInt8[Tensor, "n 3 h w"], Int64[Tensor, " n"]]:
    """Return ``n`` colour images of shapes and their labels, the same ones for the same seed.

    Each image shows one shape of ``CLASSES`` with anti-aliased edges. Drawn at random: the shape's area (9 to 19 %
    of the image), place (inside the image) and rotation (up to 20 degrees to either side), two colours, a texture of
    ``TEXTURES`` each for shape and background, three small discs behind the shape, and noise.

    The result does not depend on the number of threads: whole images meet only operations that round each element by
    itself, sine and cosine are taken of at most 256 numbers at a time, and normal random numbers are avoided.

    Parameters
    ----------
    n
        Number of images, at least 1; the classes are as equal in number as ``n`` allows, in random order.
    size
        Height and width in pixels, 32 or 64.
    n_classes
        10 or 20: the first so many of ``CLASSES``.
    generator
        Source of all randomness, or a seed for a new one on the CPU. The images are made on its device.

    Returns
    -------
    tuple
        Images, values 0 to 255, shape (n, 3, size, size), and labels 0 to n_classes - 1, shape (n,).

    Raises
    ------
    ValueError
        If ``n``, ``size`` or ``n_classes`` is none of the values above.

    Examples
    --------
    >>> images, labels = draw(6000, generator=0)
    """
    for name, value, allowed in (("size", size, (32, 64)), ("n_classes", n_classes, (10, 20))):
        if value not in allowed:
            raise ValueError(f"{name} = {value}; shapes are drawn with {name} = {allowed[0]} or {allowed[1]}")
    if n < 1:
        raise ValueError(f"n = {n}; ask for at least 1 image")
    if isinstance(generator, int):
        generator = torch.Generator().manual_seed(generator)
    order = torch.randperm(n, generator=generator, device=generator.device)
    labels = order % n_classes
    templates = torch.stack([_template(name) for name in CLASSES[:n_classes]]).to(generator.device)
    return torch.cat([_paint(templates[part], size, generator) for part in labels.split(_BLOCK)]), labels
