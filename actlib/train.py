"""Training of classification networks by one plain loop, and what a network then says of images."""

import functools
import itertools
import math
import time
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad
from tqdm import tqdm

from actlib import hooks, models


class History(NamedTuple):
    """How a training run went: one entry an epoch, loss and accuracy as measured on the batches before each step."""

    loss: list[float]
    accuracy: list[float]
    seconds: list[float]


def fit(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epochs: int,
    learning_rate: float,
    generator: torch.Generator,
    batch_size: int = 128,
    optimizer: Literal["sgd", "adam"] = "sgd",
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    schedule: Literal["constant", "cosine", "onecycle"] = "constant",
    augment: Literal["flip", "crop-flip"] | None = None,
    precision: Literal["float32", "bfloat16"] = "float32",
    progress: bool = True,
) -> History:
    """Train ``model`` in place by cross-entropy, leave it in eval mode and return how it went.

    Parameters
    ----------
    model
        A network that gives (n, k) logits; it stays on its device.
    images
        (n, c, h, w), uint8 or float in [0, 1]; they stay where and what they are: each batch goes through
        ``models.prepare``.
    labels
        (n), int64, classes 0 to k - 1.
    epochs, batch_size
        Passes over all images, each in a new order; the last batch of a pass may be smaller.
    learning_rate
        Of the first step (constant, cosine) or the highest one (onecycle).
    generator
        The source of the order and of the augmentation.
    optimizer, momentum, weight_decay
        SGD with momentum, or Adam, which ignores ``momentum``. The decay is the coupled one, an L2 term.
    schedule
        Over all steps: "cosine" falls to 0; "onecycle" rises from 4 % in the first 30 % of the steps, then falls to
        nearly 0 (Smith and Topin 2019).
    augment
        "flip" mirrors half of the images; "crop-flip" also shifts each by up to an eighth of its size in both
        directions, with black at the border (He et al. 2015).
    precision
        "bfloat16" multiplies in that precision, twice as fast on CPUs that can; the weights stay as they are.
    progress
        Show a bar where the output is a terminal.

    Raises
    ------
    ValueError
        If an option, the images or a label is out of range; the model is then as it was.
    FloatingPointError
        If the loss is NaN or infinite; the message says at which step. The model is then of no use.
    """
    _check_labels(model, images, labels)
    _choose("augment", augment, {None: None, "flip": None, "crop-flip": None})
    _choose("precision", precision, {"float32": None, "bfloat16": None})
    stepper = _optimizer(model, optimizer, learning_rate, momentum, weight_decay)
    n_steps = _count_steps(len(images), epochs, batch_size)
    scheduler = _scheduler(stepper, schedule, learning_rate, n_steps)
    history = History([], [], [])
    steps = itertools.count(1)
    model.train()
    try:
        with tqdm(total=n_steps, unit="step", disable=None if progress else True, leave=False) as bar:
            for _ in range(epochs):
                started, total_loss, n_right = time.perf_counter(), 0.0, 0
                for batch, target in _batches(images, labels, batch_size, augment, generator):
                    loss, right = _loss(model, batch, target, precision)
                    _check_loss(loss.item(), next(steps), learning_rate)
                    stepper.zero_grad()
                    loss.backward()
                    stepper.step()
                    scheduler.step()
                    bar.update()
                    total_loss, n_right = total_loss + loss.item() * len(batch), n_right + right
                history.loss.append(total_loss / len(images))
                history.accuracy.append(n_right / len(images))
                history.seconds.append(time.perf_counter() - started)
    finally:
        model.eval()
    return history


def logits(model: nn.Module, images: Tensor, *, batch_size: int = 500) -> Float[Tensor, "n k"]:
    """Return what ``model`` gives for all images in eval mode, without gradients; its modes are then as before.

    ``batch_size`` images go through at a time.

    Raises
    ------
    ValueError
        As ``models.prepare``.
    """
    with hooks.evaluating(model), torch.no_grad():
        return torch.cat([model(models.prepare(model, batch)) for batch in images.split(batch_size)])


def predict(model: nn.Module, images: Tensor, *, batch_size: int = 500) -> Int64[Tensor, " n"]:
    """Return the class with the highest logit for each image, on the model's device; otherwise as ``logits``."""
    return logits(model, images, batch_size=batch_size).argmax(1)


def accuracy(model: nn.Module, images: Tensor, labels: Int64[Tensor, " n"], *, batch_size: int = 500) -> float:
    """Return the share of images, 0 to 1, whose predicted class is their label.

    Raises
    ------
    ValueError
        If there are no images, or not one label an image.
    """
    if len(images) != len(labels):
        raise ValueError(f"{len(images)} images but {len(labels)} labels; give one label an image")
    predicted = predict(model, images, batch_size=batch_size)
    return (predicted == labels.to(predicted.device)).double().mean().item()


def _check_labels(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Raise ValueError if images and labels cannot train this model."""
    if labels.shape != images.shape[:1] or labels.dtype != torch.int64:
        raise ValueError(
            f"labels are {labels.dtype} of shape {tuple(labels.shape)} for {len(images)} images; give one int64 each"
        )
    if images.is_floating_point():  # bytes cannot be out of range
        models.prepare(model, images)
    n_classes = logits(model, images[:1]).shape[1]
    low, high = labels.min().item(), labels.max().item()
    if low < 0 or high >= n_classes:
        raise ValueError(
            f"labels lie in {low}..{high}, but the network has {n_classes} outputs: 0..{n_classes - 1} are allowed; "
            "build it with n_classes for these data"
        )


def _count_steps(n: int, epochs: int, batch_size: int) -> int:
    """Return the number of steps of a run."""
    if epochs < 1 or batch_size < 1:
        raise ValueError(f"epochs = {epochs} and batch_size = {batch_size}; both must be at least 1")
    return epochs * math.ceil(n / batch_size)


def _choose(kind: str, name: Any, known: dict[Any, Any]) -> Any:
    """Return what an option's name stands for."""
    if name not in known:
        raise ValueError(f"unknown {kind} {name!r}; give one of {list(known)}")
    return known[name]


def _optimizer(model: nn.Module, name: str, learning_rate: float, momentum: float, weight_decay: float):
    """Return the optimizer; it leaves alone what gets no gradient."""
    if not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate = {learning_rate:g}; it must be positive and finite")
    sgd = functools.partial(torch.optim.SGD, momentum=momentum)
    build = _choose("optimizer", name, {"sgd": sgd, "adam": torch.optim.Adam})
    return build(model.parameters(), lr=learning_rate, weight_decay=weight_decay)


def _scheduler(stepper: torch.optim.Optimizer, name: str, learning_rate: float, n_steps: int):
    """Return what sets the learning rate of each step."""
    rule = torch.optim.lr_scheduler
    known = {
        "constant": lambda: rule.ConstantLR(stepper, factor=1, total_iters=0),
        "cosine": lambda: rule.CosineAnnealingLR(stepper, T_max=n_steps),
        "onecycle": lambda: rule.OneCycleLR(stepper, learning_rate, total_steps=n_steps, cycle_momentum=False),
    }
    return _choose("schedule", name, known)()


def _batches(images: Tensor, labels: Tensor, batch_size: int, augment: str | None, generator: torch.Generator):
    """Yield the images and labels of one pass, in a random order."""
    order = torch.randperm(len(images), generator=generator, device=generator.device)
    for chosen in order.split(batch_size):
        yield _augmented(images[chosen.to(images.device)], augment, generator), labels[chosen.to(labels.device)]


def _augmented(images: Tensor, augment: str | None, generator: torch.Generator) -> Tensor:
    """Return the images mirrored and shifted at random, each by its own draw."""
    n, c, h, w = images.shape

    def draw(high: int) -> Tensor:
        return torch.randint(high, (n, 1, 1, 1), generator=generator, device=generator.device).to(images.device)

    if augment is not None:
        images = torch.where(draw(2) == 1, images.flip(-1), images)
    if augment == "crop-flip":
        up, left = h // 8, w // 8
        rows = draw(2 * up + 1) + torch.arange(h, device=images.device)[:, None]  # (n, 1, h, 1)
        columns = draw(2 * left + 1) + torch.arange(w, device=images.device)  # (n, 1, 1, w)
        sample = torch.arange(n, device=images.device)[:, None, None, None]
        channel = torch.arange(c, device=images.device)[:, None, None]
        images = pad(images, (left, left, up, up))[sample, channel, rows, columns]
    return images


def _loss(model: nn.Module, batch: Tensor, target: Tensor, precision: str) -> tuple[Tensor, int]:
    """Return the mean cross-entropy of a batch and the number of right answers."""
    batch = models.prepare(model, batch)
    target = target.to(batch.device)
    with torch.autocast(batch.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        output = model(batch)
    return cross_entropy(output.to(batch.dtype), target), (output.argmax(1) == target).sum().item()


def _check_loss(loss: float, step: int, learning_rate: float) -> None:
    """Raise FloatingPointError if training has diverged."""
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"the loss is {loss} at step {step}: training diverged with learning_rate = {learning_rate:g}; try a tenth "
            "of it, or schedule='onecycle', which begins slowly"
        )
