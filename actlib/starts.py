"""Starts of scenes: rectangles that do not overlap, one of them grabbed at a point."""

import itertools
import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from actlib import overlaps

# Places tried at once for a box; rounds without success before a scene begins anew.
_TRIES, _PATIENCE = 16, 6
# Rounds that a full scene may take for each of its boxes, on average: a crowded world takes many more.
_EFFORT = 200
# Scenes drawn at a time. It fixes the order of the random numbers: part of the data.
_BLOCK = 1024


class Scenes(NamedTuple):
    """How boxes lie at the start, and where one of them is grabbed.

    Attributes
    ----------
    sides
        (n, b, 2), whole lengths along the boxes' own axes.
    centres
        (n, b, 2), x and y; y points down.
    angles
        (n, b), in radians, from x to y.
    grabbed
        (n), the number of the box.
    grabs
        (n, 2), from the centre of that box, along its own axes: the point stays with the box.
    """

    sides: Float[Tensor, "n b 2"]
    centres: Float[Tensor, "n b 2"]
    angles: Float[Tensor, "n b"]
    grabbed: Int64[Tensor, " n"]
    grabs: Float[Tensor, "n 2"]

    def points(self) -> Float[Tensor, "n 2"]:
        """Return where the boxes are grabbed in the world."""
        row = torch.arange(len(self.grabbed), device=self.grabbed.device)
        own = overlaps.boxes(self.sides[row, self.grabbed].T, self.angles[row, self.grabbed])
        return self.centres[row, self.grabbed] + own.to_world(self.grabs.T).T


def sample(
    n: int,
    *,
    generator: torch.Generator,
    n_boxes: int = 10,
    sides: tuple[float, float] = (7.0, 14.0),
    world: float = 64.0,
    gap: float = 0.5,
    dtype: torch.dtype = torch.float32,
) -> Scenes:
    """Return ``n`` random starts.

    The sides of a box are uniform in ``sides``, its angle in a half-turn. Boxes are placed from the largest to the
    smallest, each uniformly where it fits; a scene that leaves no room begins anew with other boxes. One box is
    grabbed, each with equal chance, at a point uniform in it.

    Parameters
    ----------
    n
        Number of scenes, at least 1.
    generator
        Source of all randomness; the scenes lie on its device.
    n_boxes
        Of each scene, at least 1.
    sides
        Least and greatest length, above 0.
    world
        Side of the square that holds all boxes whole.
    gap
        Between boxes, at least; and between a box and a wall.
    dtype
        Of the result, float32 or float64.

    Raises
    ------
    ValueError
        If a number is out of range, or the boxes do not fit.

    Examples
    --------
    >>> scenes = sample(500, generator=torch.Generator().manual_seed(0))
    """
    if min(n, n_boxes) < 1:
        raise ValueError(f"n = {n}, n_boxes = {n_boxes}; ask for at least 1 scene of at least 1 box")
    if not 0 < sides[0] <= sides[1] < math.inf or not 0 < world < math.inf or not 0 <= gap < math.inf:
        raise ValueError(
            f"sides = {sides}, world = {world}, gap = {gap}; give a least and a greatest side and a world above 0, "
            "and a gap of at least 0"
        )
    if n_boxes * sides[0] ** 2 > world**2:
        most = int(world**2 / sides[0] ** 2)
        raise ValueError(
            f"n_boxes = {n_boxes}; a world of {world:g} x {world:g} has room for no more than {most} boxes with sides "
            f"of at least {sides[0]:g}. Take fewer or smaller boxes"
        )
    parts = [
        _place(min(_BLOCK, n - start), n_boxes, sides, world, gap, generator, dtype) for start in range(0, n, _BLOCK)
    ]
    halves, centres, angles = (torch.cat(part) for part in zip(*parts, strict=True))
    like = {"generator": generator, "device": generator.device}
    grabbed = torch.randint(n_boxes, (n,), **like)
    grabs = (2 * torch.rand(n, 2, dtype=dtype, **like) - 1) * halves[torch.arange(n, device=grabbed.device), grabbed]
    return Scenes(2 * halves, centres, angles, grabbed, grabs)


def _place(
    n: int,
    n_boxes: int,
    sides: tuple[float, float],
    world: float,
    gap: float,
    generator: torch.Generator,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return half the sides, centres and angles of boxes that do not overlap: (n, b, 2), (n, b, 2) and (n, b)."""
    like = {"device": generator.device, "dtype": dtype}
    halves = _halves(n, n_boxes, sides, generator, dtype)
    centres, angles = torch.zeros(n, n_boxes, 2, **like), torch.zeros(n, n_boxes, **like)
    placed, failed = (torch.zeros(n, dtype=torch.int64, device=generator.device) for _ in range(2))
    best, spent = torch.zeros_like(placed), 0
    for turn in itertools.count():
        row = (placed < n_boxes).nonzero()[:, 0]
        if not len(row):
            return halves, centres, angles
        spent += len(row)
        if turn > 4 * n_boxes and spent > _EFFORT * n_boxes * (1 + n - len(row)):
            break
        k = placed[row]
        places = world * torch.rand(len(row), _TRIES, 2, generator=generator, **like)
        turns = math.pi * torch.rand(len(row), _TRIES, generator=generator, **like)
        others = halves[row], centres[row], angles[row]
        fits = _fits(halves[row, k], places, turns, others, k, world, gap)  # (row, tries)
        found, at = fits.max(1)
        rows, chosen = row[found], at[found]
        centres[rows, k[found]], angles[rows, k[found]] = places[found, chosen], turns[found, chosen]
        placed[rows] += 1
        failed[row] = torch.where(found, 0, failed[row] + 1)
        best = torch.maximum(best, placed)
        again = (failed >= _PATIENCE).nonzero()[:, 0]
        placed[again], failed[again] = 0, 0
        halves[again] = _halves(len(again), n_boxes, sides, generator, dtype)
    raise ValueError(
        f"n_boxes = {n_boxes}; with sides from {sides[0]:g} to {sides[1]:g} and gaps of {gap:g} a world of {world:g} x "
        f"{world:g} had room for {int(best.min())} boxes in each of {n} scenes, and for {int(best.max())} in the "
        "fullest. Take fewer or smaller boxes"
    )


def _halves(n: int, n_boxes: int, sides: tuple[float, float], generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Return half the sides of random boxes, (n, b, 2), of each scene the largest first."""
    drawn = torch.rand(n, n_boxes, 2, generator=generator, device=generator.device, dtype=dtype)
    halves = (sides[0] + (sides[1] - sides[0]) * drawn) / 2
    order = halves.prod(2).argsort(dim=1, descending=True, stable=True)
    return halves.gather(1, order[..., None].expand_as(halves))


def _fits(
    halves: Tensor,
    places: Tensor,
    turns: Tensor,
    others: tuple[Tensor, Tensor, Tensor],
    placed: Tensor,
    world: float,
    gap: float,
) -> Tensor:
    """Return which of the tried places are free, (m, t).

    Parameters
    ----------
    halves, places, turns
        Of the new box: (m, 2), (m, t, 2) and (m, t).
    others
        Halves, centres and angles of all boxes, (m, b, 2), (m, b, 2) and (m, b), of which the first ``placed`` count.
    world, gap
        As in ``sample``.
    """
    new = overlaps.boxes(halves.T[:, :, None], turns)  # (2, m, 1) and (m, t)
    reach = new.extents() + gap
    inside = ((places.movedim(-1, 0) >= reach) & (places.movedim(-1, 0) <= world - reach)).all(0)
    # (2, m, 1, b) and (m, 1, b) against (2, m, 1, 1) and (m, t, 1)
    old = overlaps.boxes(others[0].movedim(-1, 0)[:, :, None], others[2][:, None])
    new = overlaps.Boxes(new.halves[..., None], new.cos[..., None], new.sin[..., None])
    difference = (others[1][:, None] - places[:, :, None]).movedim(-1, 0)  # (2, m, t, b)
    free = overlaps.separations(difference, new, old).amax(0) >= gap
    counted = torch.arange(others[2].shape[1], device=placed.device) < placed[:, None]
    return inside & (free | ~counted[:, None]).all(2)


def grab(
    sides: Float[Tensor, "n b 2"],
    centres: Float[Tensor, "n b 2"],
    angles: Float[Tensor, "n b"],
    points: Float[Tensor, "n 2"],
) -> Scenes:
    """Return scenes of given boxes, grabbed at points of the world.

    Raises
    ------
    ValueError
        If a side is not above 0, or a point lies in no box.
    """
    _check_sides(sides)
    own = overlaps.boxes(sides.movedim(-1, 0) / 2, angles)
    ways = own.to_own((points[:, None] - centres).movedim(-1, 0))  # (2, n, b)
    beyond = (ways.abs() - own.halves).amax(0)
    outside, grabbed = beyond.min(1)
    if bool((outside > 0).any()):
        n = int(outside.argmax())
        x, y = points[n].tolist()
        raise ValueError(
            f"scene {n} is grabbed at ({x:g}, {y:g}), {outside[n].item():g} outside the nearest box, number "
            f"{int(grabbed[n])}; grab a point inside a box"
        )
    grabs = ways[:, torch.arange(len(points), device=points.device), grabbed].T
    return Scenes(sides, centres, angles, grabbed, grabs)


def check(scenes: Scenes) -> None:
    """Raise a ValueError unless all sides are above 0 and all else are numbers."""
    _check_sides(scenes.sides)
    for name, part in scenes._asdict().items():
        if len(bad := (~part.isfinite()).nonzero()):
            n = int(bad[0, 0])
            raise ValueError(f"scene {n} has {name} = {part[n].tolist()}; give finite numbers")


def _check_sides(sides: Tensor) -> None:
    """Raise unless all sides are above 0."""
    if len(bad := (~((sides > 0) & sides.isfinite())).any(-1).nonzero()):
        n, k = bad[0].tolist()
        raise ValueError(f"scene {n}, box {k} has sides {sides[n, k].tolist()}; give lengths above 0")
