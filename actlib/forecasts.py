"""What a predicted picture of rectangles is worth: its error where something happened, and the pushes that it missed.

Most of a picture stays as it is, so an error over all pixels says little. Beside a network stand predictions that cost
nothing (the start itself, the mean of all results) and one that knows everything but the other boxes.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from actlib import rectangles, rendering
from actlib.rectangles import Motion, Physics
from actlib.starts import Scenes

# Scenes whose boxes are drawn one by one at a time.
_BLOCK = 256


class Pushes(NamedTuple):
    """Which boxes were pushed by others, and which of these pushes a prediction missed.

    Attributes
    ----------
    pushed
        (n, b), boxes that were not grabbed, and moved.
    missed
        (n, b), those of them that the prediction shows where they began rather than where they came to lie.
    """

    pushed: Bool[Tensor, "n b"]
    missed: Bool[Tensor, "n b"]


def changed(
    starts: Float[Tensor, "n 1 h w"], targets: Float[Tensor, "n 1 h w"], *, least: float = 0.1
) -> Bool[Tensor, "n 1 h w"]:
    """Return the pixels whose ink differs by more than ``least`` between the start and the result."""
    _check(starts, targets, "starts")
    return (targets - starts).abs() > least


def errors(
    predicted: Float[Tensor, "n 1 h w"],
    targets: Float[Tensor, "n 1 h w"],
    where: Bool[Tensor, "n 1 h w"] | None = None,
) -> Float[Tensor, " n"]:
    """Return the mean squared error of each picture.

    Parameters
    ----------
    predicted, targets
        Pictures with values from 0 to 1; a prediction may go beyond.
    where
        The pixels that count; all, if not given.

    Returns
    -------
    Tensor
        At least 0; NaN for a picture without a pixel that counts.

    Raises
    ------
    ValueError
        If the shapes differ, or ``where`` is no mask.
    """
    _check(predicted, targets, "predicted")
    squares = (predicted - targets).square()
    if where is None:
        return squares.mean((1, 2, 3))
    _check_where(where, targets)
    return (squares * where).sum((1, 2, 3)) / where.sum((1, 2, 3))


def error(
    predicted: Float[Tensor, "n 1 h w"], targets: Float[Tensor, "n 1 h w"], where: Bool[Tensor, "n 1 h w"]
) -> float:
    """Return the mean squared error over all pixels that count, of all pictures together.

    Raises
    ------
    ValueError
        If the shapes differ, ``where`` is no mask, or no pixel counts.
    """
    _check(predicted, targets, "predicted")
    _check_where(where, targets)
    if not bool(where.any()):
        raise ValueError("no pixel counts: where is False everywhere; give pictures in which something moves")
    return (predicted - targets)[where].square().mean().item()


def alone(scenes: Scenes, physics: Physics | None = None, **options: int | float) -> Motion:
    """Return the motion that follows if the grabbed box is alone in its world; the others stay where they are.

    The same rules, walls too: a prediction that knows everything exactly but for what boxes do to each other.

    Parameters
    ----------
    scenes, physics, options
        As in ``rectangles.simulate``.

    Raises
    ------
    ValueError
        As ``rectangles.simulate``.
    """
    row, box = torch.arange(len(scenes.grabbed), device=scenes.grabbed.device), scenes.grabbed
    own = [part[row, box][:, None] for part in (scenes.sides, scenes.centres, scenes.angles)]
    single = Scenes(*own, torch.zeros_like(box), scenes.grabs)
    found = rectangles.simulate(single, physics or Physics(), **options)
    n_frames, (n, n_boxes) = found.angles.shape[1], scenes.angles.shape
    centres, angles = (
        part[:, None].repeat(1, n_frames, *[1] * (part.dim() - 1)) for part in (scenes.centres, scenes.angles)
    )
    velocities, spins = torch.zeros_like(centres), torch.zeros_like(angles)
    for all_, one in zip((centres, angles, velocities, spins), found[:4], strict=True):
        all_[row, :, box] = one[:, :, 0]
    touched = torch.zeros(n, n_boxes, n_boxes + 1, dtype=torch.bool, device=box.device)
    touched[row, box, -1] = found.touched[:, 0, -1]
    impulses = torch.zeros_like(scenes.angles)
    impulses[row, box] = found.impulses[:, 0]
    return Motion(centres, angles, velocities, spins, touched, impulses)


def missed(
    predicted: Float[Tensor, "n 1 h h"],
    scenes: Scenes,
    motion: Motion,
    *,
    world: float = 64.0,
    least: float = 2.0,
) -> Pushes:
    """Return which boxes were pushed, and of these the ones that a prediction leaves where they were.

    A push is missed if the prediction is nearer to the start than to the result, in squared error, over the pixels that
    are ink of this box at the start or at the end, but not at both.

    Parameters
    ----------
    predicted
        Pictures of the last frame, of filled boxes.
    scenes, motion
        What is true.
    world
        The side of the world that the pictures show.
    least
        How far a corner of a box has to move for a push, in units of the world, above 0.

    Raises
    ------
    ValueError
        If the pictures are not square or not one for each scene, are bytes or hold a value that is no number, or
        ``least`` is not above 0.
    """
    n, size = len(scenes.grabbed), predicted.shape[-1]
    if predicted.shape != (n, 1, size, size) or not least > 0:
        raise ValueError(
            f"predicted has the shape {tuple(predicted.shape)} for {n} scenes, least = {least}; give one square "
            "picture for each scene and a distance above 0"
        )
    if not predicted.is_floating_point() or not bool(predicted.isfinite().all()):
        raise ValueError(f"predicted is {predicted.dtype} or holds a value that is no number; give ink from 0 to 1")
    pushed = rectangles.moved(scenes, motion, least=least)
    pushed[torch.arange(n, device=pushed.device), scenes.grabbed] = False
    nearer = [
        _nearer_to_start(predicted[k : k + _BLOCK, 0], *_slice(scenes, motion, k), world, size)
        for k in range(0, n, _BLOCK)
    ]
    return Pushes(pushed, pushed & torch.cat(nearer))


def _slice(scenes: Scenes, motion: Motion, first: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the sides of some scenes' boxes, and their centres and angles at the start and at the end."""
    some = slice(first, first + _BLOCK)
    return scenes.sides[some], motion.centres[some][:, [0, -1]], motion.angles[some][:, [0, -1]]


def _nearer_to_start(
    predicted: Tensor, sides: Tensor, centres: Tensor, angles: Tensor, world: float, size: int
) -> Tensor:
    """Return for each box whether a picture is nearer to the start than to the end, where the box came or went."""
    options = {"world": world, "size": size, "fill": 1.0}
    each = [part[:, :, :, None] for part in (centres, angles)]
    start, end = rendering.boxes(sides[:, None, :, None], *each, **options).unbind(1)  # (n, b, h, w)
    region = (start > 0.5) != (end > 0.5)
    scene = rendering.boxes(sides[:, None], centres, angles, **options)  # (n, 2, h, w)
    nearer = (predicted - scene[:, 1]).square() - (predicted - scene[:, 0]).square()
    return (nearer[:, None] * region).sum((2, 3)) > 0


def _check_where(where: Tensor, targets: Tensor) -> None:
    """Raise unless ``where`` says yes or no of each pixel."""
    _check(where, targets, "where")
    if where.dtype != torch.bool:
        raise ValueError(f"where is {where.dtype}; give a mask of True and False, such as forecasts.changed makes")


def _check(given: Tensor, targets: Tensor, name: str) -> None:
    """Raise unless two batches of pictures have one shape."""
    if given.shape != targets.shape:
        raise ValueError(
            f"{name} has the shape {tuple(given.shape)}, the targets {tuple(targets.shape)}; give pictures alike"
        )
