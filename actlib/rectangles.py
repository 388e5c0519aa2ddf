"""Rectangles in a square world that are pulled and push each other: physics for a network to learn.

The experiment of Fleuret 2016, "Predicting the dynamics of 2d objects with a deep residual network": rectangles lie
about without overlap, one is grabbed at a point and pulled upward with a constant force, and some time later they lie
elsewhere. The numbers of his simulator are not ours. The rules here: seen from above, without gravity and without
friction between boxes; mass is area, and the moment of inertia follows from it; speed and spin decay steadily, as in a
thick fluid; boxes bounce off each other and off the walls as ``collisions`` says. y points down, angles turn from x to
y, the world is 64 units wide (a unit is a pixel of a 64 x 64 picture), and a unit of time is a saved step.

Time goes on in small steps: the speeds change by the pull and decay, the places by the new speeds (semi-implicit
Euler), then contacts are resolved. Scenes know nothing of each other.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from actlib import collisions, overlaps, rendering, starts
from actlib.starts import Scenes

# Scenes simulated at a time on a CPU: enough to keep the operations busy, and few enough for the cache.
_BLOCK = 4096


class Physics(NamedTuple):
    """The rules of a world.

    Attributes
    ----------
    world
        Its side, above 0.
    force
        Of the pull, at least 0; a box of area 1 has mass 1.
    drag, spin_drag
        Rates at which speed and spin decay, at least 0: left alone, they fall to exp(-rate) in a unit of time.
    restitution
        Of all bounces, 0 to 1; 1 loses no energy.
    walls
        Whether walls stand around the world.
    """

    world: float = 64.0
    force: float = 300.0
    drag: float = 1.0
    spin_drag: float = 1.0
    restitution: float = 0.75
    walls: bool = True


class Motion(NamedTuple):
    """What became of scenes. Frame 0 is the start, the last one the result.

    Attributes
    ----------
    centres, angles
        (n, f, b, 2) and (n, f, b).
    velocities, spins
        The same, per unit of time.
    touched
        (n, b, b + 1), whether two boxes met, and in the last column whether a box met a wall.
    impulses
        (n, b), the sum of all impulses that a box got from boxes and walls.
    """

    centres: Float[Tensor, "n f b 2"]
    angles: Float[Tensor, "n f b"]
    velocities: Float[Tensor, "n f b 2"]
    spins: Float[Tensor, "n f b"]
    touched: Bool[Tensor, "n b b1"]
    impulses: Float[Tensor, "n b"]

    def n_collisions(self) -> Int64[Tensor, " n"]:
        """Return how many pairs of boxes met in each scene; walls do not count."""
        return self.touched[..., :-1].sum((1, 2)) // 2


def simulate(
    scenes: Scenes,
    physics: Physics | None = None,
    *,
    n_frames: int = 5,
    frame_time: float = 1.0,
    n_substeps: int = 20,
    velocities: Float[Tensor, "n b 2"] | None = None,
    spins: Float[Tensor, "n b"] | None = None,
) -> Motion:
    """Return how scenes go on while one box is pulled upward, at the point where it is grabbed, with constant force.

    Boxes that overlap at the start are moved apart. With the default rules and ``starts.sample``, two thirds of the
    scenes have a collision of boxes, and the grabbed box moves by 8 units in the median scene, by 3 to 14 in nine of
    ten. Half the time step moves the ends of the worst box of a scene by 0.07 units in the median.

    Parameters
    ----------
    scenes
        Starts, as ``starts.sample`` or ``starts.grab`` give them. The work happens on their device, in their dtype.
    physics
        The rules; those of ``Physics()``, if not given.
    n_frames
        Frames saved after the start, at least 1.
    frame_time
        From one to the next, above 0.
    n_substeps
        Steps from one to the next, at least 10. A box should move by much less than its size in a step.
    velocities, spins
        At the start; at rest, if not given.

    Raises
    ------
    ValueError
        If a number is out of range or none, or a scene has a box without size or is grabbed outside its box.
    """
    physics = physics or Physics()
    _check(scenes, physics, n_frames, frame_time, n_substeps)
    velocities = torch.zeros_like(scenes.centres) if velocities is None else velocities
    spins = torch.zeros_like(scenes.angles) if spins is None else spins
    n_block = len(scenes.angles) if scenes.angles.is_cuda else _BLOCK
    parts = zip(*(part.split(n_block) for part in (*scenes, velocities, spins)), strict=True)
    motions = [
        _run(Scenes(*scene), velocity, spin, physics, n_frames, n_substeps, frame_time / n_substeps)
        for *scene, velocity, spin in parts
    ]
    return Motion(*(torch.cat(part) for part in zip(*motions, strict=True)))


def _run(
    scenes: Scenes, velocities: Tensor, spins: Tensor, physics: Physics, n_frames: int, n_substeps: int, step: float
) -> Motion:
    """Return the motion of some scenes."""
    halves = scenes.sides.permute(2, 1, 0).contiguous() / 2  # (2, b, n)
    mass = 4 * halves[0] * halves[1]
    inverses = _and_walls(torch.stack((1 / mass, 1 / mass, 3 / (mass * (halves**2).sum(0)))))  # (3, w, n)
    positions, velocities = _bodies(scenes.centres, scenes.angles), _bodies(velocities, spins)
    decay = positions.new_tensor([-physics.drag, -physics.drag, -physics.spin_drag]).mul(step).exp()[:, None, None]
    n_bodies, n = positions.shape[1:]
    touched = torch.zeros(n_bodies, n_bodies, n, dtype=torch.bool, device=positions.device)
    impulses, frames = torch.zeros_like(positions[0]), [(positions, velocities)]
    for _ in range(n_frames):
        for _ in range(n_substeps):
            velocities = (velocities + step * inverses * _pull(positions, scenes, physics.force)) * decay
            positions = positions + step * velocities
            contacts = collisions.find(positions, halves, world=physics.world, walls=physics.walls)
            if not len(contacts.depths):
                continue
            positions, velocities, sizes = collisions.resolve(
                positions, velocities, inverses, contacts, restitution=physics.restitution, step=step
            )
            first, second, scene = contacts.first // n, contacts.second // n, contacts.first % n
            touched[first, second, scene] = touched[second, first, scene] = True
            for body in (contacts.first, contacts.second):
                impulses.view(-1).index_add_(0, body, sizes)
        frames.append((positions, velocities))
    return _motion(frames, touched, impulses)


def _and_walls(bodies: Tensor) -> Tensor:
    """Return the numbers (3, b, n) of boxes with a row of zeros for the walls."""
    return torch.cat((bodies, torch.zeros_like(bodies[:, :1])), dim=1)


def _bodies(centres: Tensor, angles: Tensor) -> Tensor:
    """Return centres (n, b, 2) and angles (n, b), or their speeds, as ``collisions`` takes them: (3, w, n)."""
    return _and_walls(torch.cat((centres, angles[..., None]), dim=-1).permute(2, 1, 0).contiguous())


def _pull(positions: Tensor, scenes: Scenes, force: float) -> Tensor:
    """Return the upward force and its torque on the bodies, (3, w, n)."""
    pull = torch.zeros_like(positions)
    scene = torch.arange(positions.shape[2], device=positions.device)
    angles = positions[2, scenes.grabbed, scene]
    lever = angles.cos() * scenes.grabs[:, 0] - angles.sin() * scenes.grabs[:, 1]  # its x
    pull[1, scenes.grabbed, scene], pull[2, scenes.grabbed, scene] = -force, -force * lever
    return pull


def _motion(frames: list[tuple[Tensor, Tensor]], touched: Tensor, impulses: Tensor) -> Motion:
    """Return the saved frames and the contacts with the scenes in front."""
    places, speeds = (torch.stack(parts).permute(3, 0, 2, 1)[:, :, :-1] for parts in zip(*frames, strict=True))
    met = touched.permute(2, 0, 1)[:, :-1]
    return Motion(places[..., :2], places[..., 2], speeds[..., :2], speeds[..., 2], met, impulses.T[:, :-1])


def _check(scenes: Scenes, physics: Physics, n_frames: int, frame_time: float, n_substeps: int) -> None:
    """Raise if a number is out of range."""
    if n_frames < 1 or not 0 < frame_time < math.inf or n_substeps < 10:
        raise ValueError(
            f"n_frames = {n_frames}, frame_time = {frame_time}, n_substeps = {n_substeps}; give at least 1 frame, a "
            "time above 0 and at least 10 sub-steps"
        )
    bounds = {"force": (0, math.inf), "drag": (0, math.inf), "spin_drag": (0, math.inf), "restitution": (0, 1)}
    for name, (low, high) in bounds.items():
        value = getattr(physics, name)
        if not low <= value <= high or math.isinf(value):
            raise ValueError(f"{name} = {value}; give a number from {low} to {high}, and not infinity")
    if not 0 < physics.world < math.inf:
        raise ValueError(f"world = {physics.world}; give a side above 0")
    starts.check(scenes)
    row = torch.arange(len(scenes.grabs), device=scenes.grabs.device)
    beyond = scenes.grabs.abs() - scenes.sides[row, scenes.grabbed] / 2
    # The last digit of a point on the edge may be rounded.
    if bool((outside := (beyond > 1e-5 * scenes.sides.amax((1, 2))[:, None]).any(1)).any()):
        n = int(outside.nonzero()[0, 0])
        raise ValueError(
            f"scene {n} is grabbed outside its box {int(scenes.grabbed[n])}, at {scenes.grabs[n].tolist()} from the "
            "centre along its own axes; give a point within half its sides, or find it with starts.grab"
        )


def moved(scenes: Scenes, motion: Motion, *, least: float = 1.0) -> Bool[Tensor, "n b"]:
    """Return which boxes have a corner that lies at least so many units from where it began."""
    ways = []
    for signs in ((1, 1), (1, -1)):  # the opposite corners move alike, but for the sign of the turn
        corner = (scenes.sides / 2 * scenes.sides.new_tensor(signs)).movedim(-1, 0)
        start, end = (overlaps.boxes(corner, motion.angles[:, f]).to_world(corner) for f in (0, -1))
        shift = (motion.centres[:, -1] - motion.centres[:, 0]).movedim(-1, 0)
        ways += [(shift + sign * (end - start)).norm(dim=0) for sign in (1, -1)]
    return torch.stack(ways).amax(0) >= least


def film(scenes: Scenes, motion: Motion, **options: int | float) -> Float[Tensor, "n f size size"]:
    """Return pictures of all saved frames; ``options`` are those of ``rendering.boxes``."""
    return rendering.boxes(scenes.sides[:, None], motion.centres, motion.angles, **options)


def examples(
    scenes: Scenes, motion: Motion, *, world: float = 64.0, size: int = 64, **options: int | float
) -> tuple[Float[Tensor, "n 2 size size"], Float[Tensor, "n 1 size size"]]:
    """Return what a network is given, pictures of the grabbed point and of the start, and what it should predict.

    Parameters
    ----------
    scenes, motion
        Starts, and what became of them; the last frame is to be predicted.
    world, size, options
        As in ``rendering.boxes``.
    """
    start, end = (
        rendering.boxes(scenes.sides, motion.centres[:, f], motion.angles[:, f], world=world, size=size, **options)
        for f in (0, -1)
    )
    return torch.stack((rendering.points(scenes.points(), world=world, size=size), start), dim=1), end[:, None]
