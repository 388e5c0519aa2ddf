"""Where a box of known sides lies in a picture, however blurred, and how well its shape is kept.

A network that predicts where a box will lie answers with a picture. What is measured in it is the pose whose drawn box,
in the grey that fits best, differs least from the picture, in the sum of squares: the best place is searched on all
pixels and over a half-turn, then made finer. The grey is free because a network that is not sure draws a faint box, and
black ones would be placed so that they have little ink, across pixels.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.fft import irfft2, rfft2

from actlib import overlaps, rendering

# Values of the templates that are compared with the pictures at a time: about 60 MB with all temporaries.
_BLOCK = 2**21
# The fine search: its steps begin with half a pixel and a 16th of a half-turn, and shrink by this factor. Smaller turns
# or faster shrinking leave some boxes of 4 pixels behind, whose cost hardly changes with the angle. No start moves by
# more than 2 pixels, and ink and rounding add 1: the slack of the pieces that are cut out around the boxes.
_ROUNDS, _SHRINK, _TURN, _SLACK = 12, 0.65, 16, 3


class Poses(NamedTuple):
    """Boxes found in pictures.

    Attributes
    ----------
    centres
        (n, 2), x and y in units of the world, y down.
    angles
        (n), in radians from x to y, at least 0 and below pi: a box turned by half a turn is the same.
    overlaps
        (n), 0 to 1: what the picture and the drawn box have in common, as a share of what either shows.
    """

    centres: Float[Tensor, "n 2"]
    angles: Float[Tensor, " n"]
    overlaps: Float[Tensor, " n"]


@torch.no_grad()
def find(
    pictures: Float[Tensor, "n h w"],
    sides: Float[Tensor, "m 2"],
    *,
    world: float = 64.0,
    margin: float = 3.0,
    n_angles: int = 24,
) -> Poses:
    """Return the pose in which a filled box of given sides differs least from each picture, in the sum of squares.

    The box is drawn in the grey that fits best. It is sought among poses whole in the world: one that is cut by a wall
    is found at the wall. Values of the pictures are cut to 0 and 1 first, the range of ink. All else in a picture is
    ignored, so the box should be the only one with its sides.

    The overlap is the sum of the smaller of the two inks over the sum of the larger, in the drawn box and a margin
    around it: 1 if the picture shows just this box there, 1/2 for the box at half grey, 0 for no ink. Blur, holes and
    bumps make it smaller; so do other boxes in the margin.

    Boxes with sides 7 to 14 in a world of 64, drawn by ``rendering.boxes``, are found within 0.001 units and 0.02
    degrees at 32 and 64 pixels, also faint. With noise of standard deviation 0.1 the median error is 0.08 units and 0.8
    degrees at 32 pixels, a third of it at 64; with a blur of 1 pixel 0.14 units and 2.6 degrees, and 0.04 and 0.7. The
    angle of what is almost a square may then be a quarter-turn off.

    Parameters
    ----------
    pictures
        (n, h, h), floating point: the whole world with ink 1 and paper 0.
    sides
        (n, 2), whole lengths along the boxes' own axes, in units of the world: above 0 and no more than its side.
    world, margin
        Side of the world, above 0, and width around the box that counts for the overlap, at least 0, in its units.
    n_angles
        Of the first search, in a half-turn, at least 4, an int. Boxes much longer than 20 pixels need more than 24.

    Returns
    -------
    Poses
        On the device of the pictures, in their dtype, float32 or float64.

    Raises
    ------
    ValueError
        If pictures and sides do not fit each other, the pictures are not floating point, or a value is no number or out
        of range.
    """
    _check(pictures, sides, world, margin, n_angles)
    size, dtype = pictures.shape[-1], torch.promote_types(pictures.dtype, torch.float32)
    scale = size / world
    pictures, sides = pictures.to(dtype).clamp(0, 1), sides.to(pictures.device, dtype) * scale
    n_block = max(1, _BLOCK // (n_angles * size**2))
    parts = zip(pictures.split(n_block), sides.split(n_block), strict=True)
    found = [_find(*part, margin * scale, n_angles) for part in parts]
    centres, angles, shared = (torch.cat(part) for part in zip(*found, strict=True))
    angles = angles.remainder(math.pi)
    return Poses(centres / scale, angles.where(angles < math.pi, 0), shared)


def turns_between(a: Float[Tensor, "*#n"], b: Float[Tensor, "*#n"]) -> Float[Tensor, "*_"]:
    """Return the smallest turn that takes rectangles at angles ``a`` to angles ``b``: 0 to pi/2, in radians.

    Angles are in radians, any number; a half-turn changes nothing. Squares, which look the same after a quarter of a
    turn, count as other rectangles.
    """
    turns = (a - b).remainder(math.pi)
    return torch.minimum(turns, math.pi - turns).clamp(min=0)


def _find(pictures: Tensor, sides: Tensor, margin: float, n_angles: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return centres, angles and overlaps, with all lengths in pixels."""
    n, size = pictures.shape[:2]
    starts = torch.cat(_starts(pictures, sides, n_angles))
    twice = sides.repeat(2, 1)
    pieces, corners = _cut(pictures.repeat(2, 1, 1), starts[:, :2], twice)
    steps = starts.new_tensor([0.5, 0.5, math.pi / min(n_angles, _TURN)])
    ends, costs = _refine(pieces, corners, twice, starts, steps, size)
    best = costs.view(2, n).argmin(0) * n + torch.arange(n, device=costs.device)
    poses = ends[best]
    return poses[:, :2], poses[:, 2], _overlaps(pictures, sides, poses, margin)


def _draw(sides: Tensor, poses: Tensor, size: int) -> Tensor:
    """Return one filled box for each pose (..., 3) of centre and angle, with lengths in pixels."""
    centres, angles = poses.split((2, 1), dim=-1)
    return rendering.boxes(sides[..., None, :], centres[..., None, :], angles, world=float(size), size=size, fill=1.0)


def _reach(sides: Tensor, angles: Tensor) -> Tensor:
    """Return how far turned boxes (..., 2) extend from their centres along x and y, (..., 2)."""
    return overlaps.boxes(sides.movedim(-1, 0) / 2, angles).extents().movedim(0, -1)


def _starts(pictures: Tensor, sides: Tensor, n_angles: int) -> tuple[Tensor, Tensor]:
    """Return the best poses (n, 3) on the grid of pixels and angles, and the best that are far from them in angle.

    A box that is almost a square fits nearly as well after a quarter of a turn, and between the points of the grid
    either may be better.
    """
    n, size = pictures.shape[:2]
    angles = torch.arange(n_angles, device=sides.device, dtype=sides.dtype) * (math.pi / n_angles)
    middle = torch.full((n, n_angles, 2), size // 2 + 0.5, device=sides.device, dtype=sides.dtype)
    templates = _draw(sides[:, None], torch.cat((middle, angles.expand(n, -1)[..., None]), dim=-1), size)
    # The least |P - g T|^2 of all greys g is |P|^2 - <P, T>^2 / |T|^2, and the products for all shifts of T come from
    # Fourier transforms. No product is negative but by rounding.
    products = irfft2(rfft2(pictures)[:, None] * rfft2(templates).conj(), s=(size, size))
    costs = -products.clamp_(min=0).square_() / templates.square().sum((-2, -1))[..., None, None]
    axis = (torch.arange(size, device=sides.device) + size // 2) % size + 0.5  # entry s: the middle, shifted by s
    reach = _reach(sides[:, None], angles)[..., None] - 0.5  # (n, angles, 2, 1): a true centre may lie beside a pixel
    outside = (axis < reach) | (axis > size - reach)
    costs.masked_fill_(outside[:, :, 0, None, :] | outside[:, :, 1, :, None], math.inf)
    least, at = costs.flatten(2).min(2)  # (n, angles)
    first = least.argmin(1)
    apart = turns_between(angles, angles[first, None]) > math.pi / 4
    second = least.masked_fill(~apart, math.inf).argmin(1)
    row = torch.arange(n, device=sides.device)

    def pose(angle: Tensor) -> Tensor:
        place = at[row, angle]
        return torch.stack((axis[place % size].to(sides.dtype), axis[place // size].to(sides.dtype), angles[angle]), 1)

    return pose(first), pose(second)


def _cut(pictures: Tensor, centres: Tensor, sides: Tensor) -> tuple[Tensor, Tensor]:
    """Return the square pieces of the pictures that hold all the ink of boxes at or near these centres, and where.

    Returns
    -------
    tuple of Tensor
        (n, k, k), and the corner of each piece in the picture, (n, 2).
    """
    size = pictures.shape[-1]
    width = min(size, math.ceil(float(torch.linalg.vector_norm(sides, dim=-1).max())) + 2 * _SLACK)
    corners = (centres - width / 2).round().clamp(0, size - width)
    ways = corners.long()[..., None] + torch.arange(width, device=corners.device)  # (n, 2, k)
    row = torch.arange(len(pictures), device=corners.device)[:, None, None]
    return pictures[row, ways[:, 1, :, None], ways[:, 0, None, :]], corners


def _refine(
    pieces: Tensor, corners: Tensor, sides: Tensor, poses: Tensor, steps: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    """Return poses (n, 3) of nearly least cost, near the given ones, and these costs (n).

    Each round tries a step to either side along the box's own axes and in its angle, where the cost hardly has mixed
    terms, and the lowest point of the parabolas through these. The best of all is kept, and the steps shrink.
    """
    within, width = torch.cat((corners, torch.zeros_like(corners[:, :1])), dim=1)[:, None], pieces.shape[-1]
    flat = pieces.flatten(1)[:, None]

    def tried(poses: Tensor) -> tuple[Tensor, Tensor]:
        """Return poses (n, t, 3), moved into the world, and their costs (n, t)."""
        reach = _reach(sides[:, None], poses[..., 2])
        centres = torch.minimum(torch.maximum(poses[..., :2], reach), size - reach)
        poses = torch.cat((centres, poses[..., 2:]), dim=-1)
        drawn = _draw(sides[:, None], poses - within, width).flatten(2)
        greys = (drawn * flat).sum(-1) / drawn.square().sum(-1)
        costs = (greys[..., None] * drawn - flat).square().sum(-1)
        return poses, costs.masked_fill((2 * reach > size * (1 + 1e-6)).any(-1), math.inf)

    poses, costs = tried(poses[:, None])
    for _ in range(_ROUNDS):
        cos, sin = poses[..., 2].cos(), poses[..., 2].sin()
        nil, one = torch.zeros_like(cos), torch.ones_like(cos)
        ways = torch.cat([torch.stack(way, -1) for way in ((cos, sin, nil), (-sin, cos, nil), (nil, nil, one))], dim=1)
        ways = ways * steps[:, None]
        around, slopes = tried(poses + torch.cat((ways, -ways), dim=1))
        ahead, behind = slopes.split(3, dim=1)
        lowest = ((behind - ahead) / (2 * (ahead + behind - 2 * costs))).nan_to_num(0, 0, 0).clamp(-1, 1)
        inner, bottom = tried(poses + (lowest[..., None] * ways).sum(1, keepdim=True))
        poses, costs = torch.cat((poses, around, inner), dim=1), torch.cat((costs, slopes, bottom), dim=1)
        costs, best = costs.min(1, keepdim=True)
        poses, steps = poses.gather(1, best[..., None].expand(-1, -1, 3)), steps * _SHRINK
    return poses[:, 0], costs[:, 0]


def _overlaps(pictures: Tensor, sides: Tensor, poses: Tensor, margin: float) -> Tensor:
    """Return the soft intersection over union of pictures and boxes, in the boxes and a margin around them."""
    size = pictures.shape[-1]
    boxes, near = _draw(sides, poses, size), _draw(sides + 2 * margin, poses, size)
    common, either = torch.minimum(pictures, boxes) * near, torch.maximum(pictures, boxes) * near
    return common.sum((1, 2)) / either.sum((1, 2))


def _check(pictures: Tensor, sides: Tensor, world: float, margin: float, n_angles: int) -> None:
    """Raise unless poses can be found."""
    fit = pictures.ndim == 3 and pictures.shape == pictures.mT.shape and sides.shape == (len(pictures), 2)
    if not fit or not pictures.numel():
        raise ValueError(
            f"pictures {tuple(pictures.shape)} and sides {tuple(sides.shape)} found; give at least one picture, all "
            "square, as (n, h, h), and a row of 2 sides for each, as (n, 2)"
        )
    if not pictures.is_floating_point():
        raise ValueError(f"pictures are {pictures.dtype}; give floating-point ones, with ink 1 and paper 0")
    if not (0 < world < math.inf and 0 <= margin < math.inf and isinstance(n_angles, int) and n_angles >= 4):
        raise ValueError(
            f"world = {world}, margin = {margin}, n_angles = {n_angles!r}; give a world with a side above 0, a margin "
            "of at least 0, and at least 4 angles, an int"
        )
    if len(bad := (~((sides > 0) & (sides <= world))).any(-1).nonzero()):
        n = int(bad[0])
        raise ValueError(f"box {n} has sides {sides[n].tolist()}; give lengths above 0, at most the world of {world:g}")
    if len(bad := (~pictures.isfinite()).flatten(1).any(1).nonzero()):
        raise ValueError(f"picture {int(bad[0])} has values that are no finite numbers; give finite ones")
