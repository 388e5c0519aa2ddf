"""Rectangles that overlap: by how much, in which direction, and where they touch.

Two boxes that overlap touch along the axis of least overlap, among the four that the separating axis theorem looks at.
They touch in one point: the mean of the two points that clipping leaves of the nearest edge, weighted by their depths.
It moves steadily from a corner to the middle of an edge as the edge comes to lie flat.

Vectors have their two parts in the first axis. y points down, and angles turn from x to y.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Boxes(NamedTuple):
    """Boxes as the separating axes need them.

    Attributes
    ----------
    halves
        ``(2, *)``, half the sides.
    cos, sin
        ``(*)``, of the angles, which turn from x to y.
    """

    halves: Tensor
    cos: Tensor
    sin: Tensor

    def at(self, index: Tensor) -> "Boxes":
        """Return some of the boxes, as one row."""
        return Boxes(self.halves.flatten(1)[:, index], self.cos.flatten()[index], self.sin.flatten()[index])

    def extents(self) -> Tensor:
        """Return half the width and height of the upright frames around the boxes, ``(2, *)``."""
        cos, sin = self.cos.abs(), self.sin.abs()
        return torch.stack((cos * self.halves[0] + sin * self.halves[1], sin * self.halves[0] + cos * self.halves[1]))

    def to_own(self, vectors: Tensor) -> Tensor:
        """Return vectors ``(2, *)`` of the world along the boxes' own axes."""
        x, y = vectors
        return torch.stack((self.cos * x + self.sin * y, self.cos * y - self.sin * x))

    def to_world(self, vectors: Tensor) -> Tensor:
        """Return vectors ``(2, *)`` along the boxes' own axes in the world."""
        x, y = vectors
        return torch.stack((self.cos * x - self.sin * y, self.sin * x + self.cos * y))


def boxes(halves: Tensor, angles: Tensor) -> Boxes:
    """Return boxes by half their sides ``(2, *)`` and their angles ``(*)``."""
    return Boxes(halves, angles.cos(), angles.sin())


def separations(difference: Tensor, one: Boxes, other: Boxes) -> Tensor:
    """Return how far boxes are apart along the axes of both, ``(4, *)``; below 0 they overlap along it.

    Boxes overlap when all four are below 0 (separating axis theorem); else the largest is at most their distance.

    Parameters
    ----------
    difference
        From the centre of the one to that of the other, ``(2, *)``.
    one, other
        Of shapes that broadcast.
    """
    cos = (one.cos * other.cos + one.sin * other.sin).abs()
    sin = (one.cos * other.sin - one.sin * other.cos).abs()
    (a, b), (c, d) = one.halves, other.halves
    reaches = (a + cos * c + sin * d, b + sin * c + cos * d, c + cos * a + sin * b, d + sin * a + cos * b)
    ways = (*one.to_own(difference).abs(), *other.to_own(difference).abs())
    return torch.stack([way - reach for way, reach in zip(ways, reaches, strict=True)])


def cross(a: Tensor, b: Tensor) -> Tensor:
    """Return the cross products of vectors ``(2, *)`` of the plane."""
    return a[0] * b[1] - a[1] * b[0]


def touch(difference: Tensor, one: Boxes, other: Boxes, apart: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return normals from one box to the other (2, k), points from the centre of the one (2, k), and depths (k).

    Parameters
    ----------
    difference
        From the centre of the one to that of the other, (2, k).
    one, other
        Boxes that overlap.
    apart
        As ``separations`` gives it, (4, k).
    """
    best = apart.argmax(0)  # of parallel boxes two axes tie, by rounding: both lead to the same point
    swapped, upright = best >= 2, best % 2 == 0
    # From here on the box whose axis it is stays still, and the edge of the other that faces it is clipped.
    still = Boxes(*(torch.where(swapped, b, a) for a, b in zip(one, other, strict=True)))
    clipped = Boxes(*(torch.where(swapped, a, b) for a, b in zip(one, other, strict=True)))
    way = still.to_own(torch.where(swapped, -difference, difference))
    sign = torch.where(torch.where(upright, way[0], way[1]) < 0, -1.0, 1.0).to(way.dtype)
    point = _clip(torch.where(upright, way, way.flip(0)), still, clipped, upright, sign)
    arm = still.to_world(torch.where(upright, point, point.flip(0)))
    normal = still.to_world(torch.stack((sign * upright, sign * ~upright)))
    arm = torch.where(swapped, arm + difference, arm)
    return torch.where(swapped, -normal, normal), arm, -apart.amax(0)


def _clip(way: Tensor, still: Boxes, clipped: Boxes, upright: Tensor, sign: Tensor) -> Tensor:
    """Return where boxes touch (2, k), along the normal and across it, from the centre of the box that stays still.

    ``way`` leads to the other box in the same directions; the side that it meets is the one of ``sign``.
    """
    half, width = torch.where(upright, still.halves, still.halves.flip(0))
    cos = still.cos * clipped.cos + still.sin * clipped.sin
    sin = still.cos * clipped.sin - still.sin * clipped.cos
    # The axes of the clipped box along and across the normal; an upright normal is the first axis of the still box.
    first = torch.where(upright, torch.stack((cos, sin)), torch.stack((sin, cos)))
    second = torch.where(upright, torch.stack((-sin, cos)), torch.stack((cos, -sin)))
    faces = first[0].abs() >= second[0].abs()
    face, edge = torch.where(faces, first, second), torch.where(faces, second, first)
    thick, long = torch.where(faces, clipped.halves, clipped.halves.flip(0))
    along, across = way - sign * face[0].sign() * thick * face  # the middle of the facing edge
    # It lies at 45 degrees at most, so that edge[1] is not 0.
    ends = torch.stack([(across + end * long * edge[1]).clamp(-width, width) for end in (-1, 1)])
    heights = along + edge[0] / edge[1] * (ends - across)
    # Should both ends miss, by rounding, they count alike.
    weights = (half - sign * heights).clamp(min=0) + torch.finfo(way.dtype).eps * half
    return torch.stack(((weights * heights).sum(0), (weights * ends).sum(0))) / weights.sum(0)
