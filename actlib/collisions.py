"""Contacts of rectangles with each other and with walls, found and resolved for thousands of scenes at once.

Scenes stand in the last axis, where each operation runs along contiguous memory, and a body is three numbers: x, y and
angle, or their speeds. The bodies of a scene are its boxes and, as the last one, the walls, which have no inverse mass.
A contact is the vector that turns the speeds of its two bodies into the speed at which they part there; an impulse
along it changes the speeds by the inverse masses times that vector. So momentum and angular momentum are kept, and with
a restitution of at most 1 the energy does not grow. There is no friction between boxes.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from actlib import overlaps
from actlib.overlaps import Boxes

# Outward normals of the left, right, upper and lower wall; y points down.
_OUTWARD = ((-1.0, 1.0, 0.0, 0.0), (0.0, 0.0, -1.0, 1.0))


class Contacts(NamedTuple):
    """Contacts of all scenes, each of two bodies; body w of scene n of N has the number w N + n.

    Attributes
    ----------
    first, second
        The bodies.
    along_first, along_second
        What the speed of parting is made of: the speeds of the two bodies times these, summed.
    depths
        How far the bodies overlap, above 0.
    """

    first: Int64[Tensor, " k"]
    second: Int64[Tensor, " k"]
    along_first: Float[Tensor, "3 k"]
    along_second: Float[Tensor, "3 k"]
    depths: Float[Tensor, " k"]


class Resolved(NamedTuple):
    """Scenes after their contacts; see ``resolve``.

    Attributes
    ----------
    positions, velocities
        Of the bodies.
    impulses
        Of the contacts, at least 0.
    """

    positions: Float[Tensor, "3 w n"]
    velocities: Float[Tensor, "3 w n"]
    impulses: Float[Tensor, " k"]


def find(
    positions: Float[Tensor, "3 w n"], halves: Float[Tensor, "2 b n"], *, world: float, walls: bool = True
) -> Contacts:
    """Return all contacts, those of two boxes before those with walls.

    Parameters
    ----------
    positions
        x, y and angle of the b boxes of each scene; the last body, w = b + 1, stands for the walls.
    halves
        Half the sides of the boxes.
    world
        Its side: walls stand at 0 and at ``world`` in x and in y.
    walls
        Whether they stand.
    """
    turned = overlaps.boxes(halves, positions[2, :-1])
    extents = turned.extents()
    found = _between(positions, turned, extents)
    if not walls:
        return found
    with_walls = _with_walls(positions, turned, extents, world)
    return Contacts(*(torch.cat(parts, dim=-1) for parts in zip(found, with_walls, strict=True)))


def _between(positions: Tensor, turned: Boxes, extents: Tensor) -> Contacts:
    """Return the contacts of two boxes."""
    n_boxes, n = turned.cos.shape
    one, other = torch.triu_indices(n_boxes, n_boxes, 1, device=positions.device)
    near = torch.ones(len(one), n, dtype=torch.bool, device=positions.device)
    for axis in range(2):  # only boxes whose upright frames overlap go further: about one pair in ten
        near &= (positions[axis, one] - positions[axis, other]).abs() < extents[axis, one] + extents[axis, other]
    pair, scene = near.nonzero(as_tuple=True)
    first, second = one[pair] * n + scene, other[pair] * n + scene
    centres = positions[:2].flatten(1)
    difference = centres[:, second] - centres[:, first]
    apart = overlaps.separations(difference, turned.at(first), turned.at(second))
    hit = (apart.amax(0) < 0).nonzero()[:, 0]
    first, second, difference = first[hit], second[hit], difference[:, hit]
    normal, arm, depths = overlaps.touch(difference, turned.at(first), turned.at(second), apart[:, hit])
    along = torch.cat((normal, overlaps.cross(arm, normal)[None]))
    along_second = torch.cat((normal, overlaps.cross(arm - difference, normal)[None]))
    return Contacts(first, second, -along, along_second, depths)


def _with_walls(positions: Tensor, turned: Boxes, extents: Tensor, world: float) -> Contacts:
    """Return the contacts of boxes with walls."""
    n_boxes, n = turned.cos.shape
    x, y = positions[:2, :-1]
    beyond = torch.stack((extents[0] - x, x + extents[0] - world, extents[1] - y, y + extents[1] - world))
    wall, box, scene = (beyond > 0).nonzero(as_tuple=True)
    first, depths = box * n + scene, beyond[wall, box, scene]
    touching = turned.at(first)
    normal = positions.new_tensor(_OUTWARD)[:, wall]
    own = torch.where(touching.to_own(normal) < 0, -1, 1) * touching.halves  # the deepest corner, along the box's axes
    corners = [own * own.new_tensor(signs)[:, None] for signs in ((1, 1), (1, -1), (-1, 1))]
    arms = torch.stack([touching.to_world(corner) for corner in corners])  # (3, 2, k)
    reach = (arms * normal).sum(1)
    weights = (depths - (reach[:1] - reach)).clamp(min=0)[:, None]
    arm = (weights * arms).sum(0) / weights.sum(0)
    along = torch.cat((normal, overlaps.cross(arm, normal)[None]))
    return Contacts(first, n_boxes * n + scene, -along, torch.zeros_like(along), depths)


def resolve(
    positions: Float[Tensor, "3 w n"],
    velocities: Float[Tensor, "3 w n"],
    inverses: Float[Tensor, "3 w n"],
    contacts: Contacts,
    *,
    restitution: float,
    step: float,
) -> Resolved:
    """Return the scenes after an impulse at each contact whose bodies approach, and without the overlap.

    The contacts of a scene are resolved one after the other, in their order, at the places where they were found: each
    impulse meets the speeds that the one before left. Then the bodies are moved along the contacts, as an impulse would
    move them: out of the overlap, and on by restitution times the part of it that this time step can have made. That
    is where they would be had they met at the right moment within the step: exactly so for boxes that meet head-on.
    These moves keep the common centre of mass but not quite the angular momentum: in a world without drag and walls,
    with six collisions in a scene, it drifts by 0.1 % in the median scene and by 1.4 % at the most, half as much
    with half the step.

    Parameters
    ----------
    positions, velocities
        Of the bodies.
    inverses
        One over mass, mass and moment of inertia.
    contacts
        As ``find`` returns them.
    restitution
        Speed of parting over speed of approach, 0 to 1.
    step
        The time since the boxes were moved to these positions from others.
    """
    shape, masses = positions.shape, inverses.flatten(1)
    positions, velocities = positions.flatten(1).clone(), velocities.flatten(1).clone()
    first, second, along_first, along_second, depths = contacts
    lighter_first, lighter_second = along_first * masses[:, first], along_second * masses[:, second]
    yielding = (lighter_first * along_first + lighter_second * along_second).sum(0)  # speed per impulse
    impulses, moves, turns = torch.zeros_like(depths), depths.clone(), _turns(first % shape[2])
    for k in turns:  # of each scene one contact, so no body is met twice
        a, b = first[k], second[k]
        one, other = velocities[:, a], velocities[:, b]
        approach = -(along_first[:, k] * one + along_second[:, k] * other).sum(0).clamp(max=0)
        impulses[k] = (1 + restitution) * approach / yielding[k]
        moves[k] += restitution * torch.minimum(depths[k], step * approach)
        velocities[:, a] = one + lighter_first[:, k] * impulses[k]
        velocities[:, b] = other + lighter_second[:, k] * impulses[k]
    moves /= yielding
    for k in turns:
        positions[:, first[k]] += lighter_first[:, k] * moves[k]
        positions[:, second[k]] += lighter_second[:, k] * moves[k]
    return Resolved(positions.view(shape), velocities.view(shape), impulses)


def _turns(scenes: Int64[Tensor, " k"]) -> list[Tensor]:
    """Return the numbers of the first contact of each scene, then those of the second, and so on."""
    ordered, order = scenes.sort(stable=True)
    rank = torch.arange(len(scenes), device=scenes.device) - torch.searchsorted(ordered, ordered)
    rank, by_rank = rank.sort(stable=True)
    return list(order[by_rank].split(rank.bincount().tolist()))
