"""Grey pictures of rectangles and of points, with smooth edges.

Boxes are grey with a black outline; values are ink, 0 (paper) to 1. Outlines alone are what the original seems to show
("edges"), and they say where one box ends when two touch, which a plain filling hides. But a network that is trained
with the quadratic error does better to leave a thin outline away than to draw it two pixels beside its place; with the
grey filling it does better to draw it. Both pure kinds are there: ``fill`` = 0 and 1.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

# Pictures drawn at a time, to keep the temporaries small, and how many times as many on a GPU.
_BLOCK, _GPU = 64, 64


def boxes(
    sides: Float[Tensor, "*#p b 2"],
    centres: Float[Tensor, "*#p b 2"],
    angles: Float[Tensor, "*#p b"],
    *,
    world: float = 64.0,
    size: int = 64,
    fill: float = 0.5,
    outline: float = 1.0,
) -> Float[Tensor, "*_ size size"]:
    """Return one picture of all boxes for each entry of the leading shape, to which the arguments broadcast.

    A pixel's value is the share of it that boxes cover, with the pixel turned like the box: exact for upright boxes,
    and at most 0.1 beside the truth for others. The ink of a filled box is its area, within 1.5 % at 64 pixels and
    mostly within 0.1 %. What boxes add to a pixel is cut at 1.

    Parameters
    ----------
    sides
        Whole lengths along the boxes' own axes. A box with sides 0 leaves no ink: so some boxes can be left out.
    centres, angles
        In units of the world, y down, and in radians from x to y.
    world, size
        Side of the world and of the picture, which shows it all.
    fill
        Grey of the inside, 0 to 1.
    outline
        Width of the outline in pixels, drawn along the inside of the edge.

    Returns
    -------
    Tensor
        Values 0 to 1, (..., size, size), in the dtype of the centres.

    Raises
    ------
    ValueError
        If the world, the picture, the grey or the outline is out of range.
    """
    _check_frame(world, size)
    if not 0 <= fill <= 1 or not 0 <= outline < math.inf:
        raise ValueError(
            f"fill = {fill}, outline = {outline}; give a grey from 0 to 1 and a width of at least 0 pixels"
        )
    scale = size / world
    shape = torch.broadcast_shapes(sides.shape[:-2], centres.shape[:-2], angles.shape[:-1])
    n_boxes = centres.shape[-2]
    parts = (sides * (scale / 2), centres * scale, angles[..., None])
    flat = [part.expand(*shape, n_boxes, -1).reshape(-1, n_boxes, part.shape[-1]) for part in parts]
    pixels = centres.new_empty(len(flat[0]), size, size)
    step = _BLOCK * (_GPU if pixels.is_cuda else 1)
    for start in range(0, len(pixels), step):
        block = slice(start, start + step)
        _paint(pixels[block], *(part[block] for part in flat), fill, outline)
    return pixels.reshape(*shape, size, size)


def _paint(pixels: Tensor, halves: Tensor, centres: Tensor, angles: Tensor, fill: float, outline: float) -> None:
    """Draw boxes, given in pixels, into ``pixels``."""
    axis = torch.arange(pixels.shape[-1], device=pixels.device, dtype=pixels.dtype) + 0.5
    cos, sin = angles.cos(), angles.sin()  # (p, b, 1)
    x, y = axis - centres[..., :1], axis - centres[..., 1:]  # (p, b, w) and (p, b, h)
    pixels.zero_()
    for k in range(centres.shape[1]):
        across = ((cos * x)[:, k, None] + (sin * y)[:, k, :, None]).abs_()  # (p, h, w), from the middle of the box
        along = ((cos * y)[:, k, :, None] - (sin * x)[:, k, None]).abs_()
        half = halves[:, k, :, None, None]
        pixels.addcmul_(_ramp(half[:, 0], across), _ramp(half[:, 1], along))
        if fill < 1:
            half = (half - outline).clamp(min=0)
            pixels.addcmul_(_ramp(half[:, 0], across), _ramp(half[:, 1], along), value=fill - 1)
    pixels.clamp_(0, 1)


def _ramp(half: Tensor, way: Tensor) -> Tensor:
    """Return the share of a pixel at a distance from the middle of a strip that lies in the strip."""
    return (half + 0.5 - way).clamp_(min=0).clamp_(max=(2 * half).clamp(max=1))


def points(
    places: Float[Tensor, "*p 2"], *, world: float = 64.0, size: int = 64, radius: float = 1.5
) -> Float[Tensor, "*p size size"]:
    """Return one picture of a point for each entry of the leading shape: a disc with a smooth edge.

    Parameters
    ----------
    places
        In units of the world, y down.
    world, size
        Side of the world and of the picture, which shows it all.
    radius
        Of the disc, in units of the world: it is as large in a small picture, but never smaller than a pixel.

    Returns
    -------
    Tensor
        Values 0 to 1, (..., size, size), in the dtype of the places.

    Raises
    ------
    ValueError
        If the world, the picture or the radius is not above 0.
    """
    _check_frame(world, size)
    if not 0 < radius < math.inf:
        raise ValueError(f"radius = {radius}; give one above 0")
    axis = torch.arange(size, device=places.device, dtype=places.dtype) + 0.5
    x, y = (places * (size / world)).unbind(-1)
    distance = torch.hypot(axis - x[..., None, None], axis[:, None] - y[..., None, None])
    return (max(radius * size / world, 0.5) + 0.5 - distance).clamp(0, 1)


def _check_frame(world: float, size: int) -> None:
    """Raise unless a picture of the world has pixels."""
    if not 0 < world < math.inf or size < 1:
        raise ValueError(f"world = {world}, size = {size}; give a world with a side above 0 and at least 1 pixel")
