"""Adversarial images: FGSM, PGD in L-inf and L2, and random noise of the same norm as their control.

An attack ascends the cross-entropy of the logits, summed over the images so that none depends on its batch, and treats
no gradient as zero that is not. Images and ``eps`` are in input units: normalisation is a layer of the model. What
moved an image is read from its difference to the original.

Sources: Goodfellow, Shlens and Szegedy 2015 (FGSM); Madry et al. 2018 (PGD).
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from actlib.balls import NORMS, check_ball, project, random_sign, random_start, unit
from actlib.hooks import evaluating

__all__ = ["NORMS", "Attack", "fgsm", "pgd", "random_sign", "random_start"]


class Attack(NamedTuple):
    """What an attack made of b images.

    Attributes
    ----------
    images
        ``(b, *shape)``: in the ball around the originals and in the range, up to rounding.
    n_steps
        (b,): the steps that each took; fewer than asked for where it stopped early.
    n_flat
        (b,): in how many of them the gradient was exactly zero, so that the image stayed where it was. Where that is
        all of them, the image was not attacked at all.
    """

    images: Float[Tensor, "b ..."]
    n_steps: Int64[Tensor, " b"]
    n_flat: Int64[Tensor, " b"]


def fgsm(
    model: nn.Module,
    images: Float[Tensor, "b ..."],
    labels: Int64[Tensor, " b"],
    eps: float | int,
    *,
    targeted: bool = False,
    bounds: tuple[float | int, float | int] = (0.0, 1.0),
    batch_size: int = 256,
) -> Attack:
    """Return the images after one step of ``eps`` along the sign of the gradient; arguments and errors as ``pgd``."""
    options = {"norm": "linf", "n_steps": 1, "targeted": targeted, "bounds": bounds}
    return pgd(model, images, labels, eps, step_size=eps, batch_size=batch_size, **options)


def pgd(
    model: nn.Module,
    images: Float[Tensor, "b ..."],
    labels: Int64[Tensor, " b"],
    eps: float | int,
    *,
    norm: Literal["linf", "l2"] = "linf",
    n_steps: int = 20,
    step_size: float | int | None = None,
    generator: torch.Generator | None = None,
    targeted: bool = False,
    early_stop: bool = False,
    bounds: tuple[float | int, float | int] = (0.0, 1.0),
    batch_size: int = 256,
) -> Attack:
    """Return the images after steps uphill in the loss, each followed by a projection on the ball and the range.

    A step goes along the sign of the gradient (L-inf) or along the gradient at length 1 (L2). The model runs in eval
    mode; afterwards its modes, gradients and the random state are as before, after an exception too.

    Parameters
    ----------
    model
        Gives logits (b, classes). On the device and in the dtype of the images.
    images
        ``(b, *shape)``, floating point in ``bounds``.
    labels
        (b,): the true classes, whose loss grows; if ``targeted``, the classes to reach, whose loss shrinks.
    eps
        Radius of the ball, in units of a pixel's value; 0 leaves the images as they are.
    norm
        Of the ball.
    n_steps, step_size
        How many, and how long in this norm; None: 2.5 eps / n_steps.
    generator
        Starts at ``random_start``; None: at the images.
    early_stop
        Let an image rest once it is misclassified (targeted: classified as asked for). It then costs no more time, and
        lies less far beyond the boundary. One that is misclassified at its start takes no step.
    bounds
        The smallest and the largest value of a pixel.
    batch_size
        Images in one forward pass.

    Raises
    ------
    ValueError
        If a number is out of range; images are not floating point, finite and in the range, or have another dtype or
        device than the model; labels are not whole numbers, one an image, of the model's classes; or the model gives no
        finite logits (b, classes) with a gradient.
    """
    check_ball(images, eps, norm, bounds)
    labels = _checked_labels(images, labels)
    step_size = 2.5 * eps / n_steps if step_size is None and n_steps >= 1 else step_size
    if n_steps < 1 or batch_size < 1 or not 0 <= step_size < math.inf:
        raise ValueError(
            f"n_steps = {n_steps}, step_size = {step_size}, batch_size = {batch_size}; give one step or more, a step "
            "size that is finite and not negative, and one image or more in a batch"
        )
    _check_model(model, images)
    start = images
    if generator is not None:
        start = random_start(images, eps, norm=norm, generator=generator, bounds=bounds)
    with _left_as_it_was(model, images):
        # Copies outside of any inference mode, whose tensors have no gradient.
        images, labels, start = (part.detach().clone() for part in (images, labels, start))
        climb = _Climb(model, float(eps), norm, n_steps, float(step_size), targeted, early_stop, bounds)
        batches = zip(*(part.split(batch_size) for part in (images, labels, start)), strict=True)
        return Attack(*(torch.cat(parts) for parts in zip(*(climb(*batch) for batch in batches), strict=True)))


class _Climb(NamedTuple):
    """The steps of an attack on one batch."""

    model: nn.Module
    eps: float
    norm: str
    n_steps: int
    step_size: float
    targeted: bool
    early_stop: bool
    bounds: tuple[float | int, float | int]

    def __call__(self, images: Tensor, labels: Tensor, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the images that were found, the steps that each took and how many of them were flat."""
        found, n_flat = points.clone(), torch.zeros_like(labels)
        n_steps, active = torch.full_like(labels, self.n_steps), torch.arange(len(labels), device=labels.device)
        for k in range(self.n_steps):
            points = points.detach().requires_grad_()
            logits = self.model(points.clone())  # a first layer may work in place
            if k == 0:
                _check_logits(logits, labels)
            going = self._going(logits, labels)
            if going is not None and not going.all():
                n_steps[active[~going]] = k
                found[active[~going]] = points.detach()[~going]
                if not going.any():
                    return found, n_steps, n_flat
            loss = F.cross_entropy(logits, labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, points, materialize_grads=True)
            if going is not None and not going.all():
                parts = (images, labels, points, gradient, active)
                images, labels, points, gradient, active = (part[going] for part in parts)
            n_flat[active] += gradient.flatten(1).abs().amax(1) == 0
            points = self._step(images, points.detach(), gradient)
        found[active] = points
        return found, n_steps, n_flat

    def _going(self, logits: Tensor, labels: Tensor) -> Bool[Tensor, " b"] | None:
        """Return which images have not arrived yet; None where nobody asks."""
        return (logits.argmax(1) == labels) != self.targeted if self.early_stop else None

    def _step(self, images: Tensor, points: Tensor, gradient: Tensor) -> Tensor:
        """Return the points one step further, back in the ball and the range."""
        length = -self.step_size if self.targeted else self.step_size
        direction = gradient.sign() if self.norm == "linf" else unit(gradient)
        moved = torch.add(points, direction, alpha=length)
        return project(moved, images, self.eps, self.norm, self.bounds)


@contextmanager
def _left_as_it_was(model: nn.Module, images: Tensor) -> Iterator[None]:
    """Put the model into eval mode with gradients on; modes and random states are restored at the end."""
    devices = [images.device] if images.device.type == "cuda" else []
    with evaluating(model), torch.random.fork_rng(devices), torch.inference_mode(False), torch.enable_grad():
        yield


def _checked_labels(images: Tensor, labels: Tensor) -> Tensor:
    """Return the labels as int64 on the device of the images."""
    if labels.shape != images.shape[:1] or labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(
            f"labels are {labels.dtype} of shape {tuple(labels.shape)} for {len(images)} images; give one whole "
            "number an image"
        )
    return labels.to(images.device, torch.int64)


def _check_model(model: nn.Module, images: Tensor) -> None:
    """Raise ValueError if the model lies elsewhere than the images."""
    like = next((t for t in chain(model.parameters(), model.buffers()) if t.is_floating_point()), images)
    if (like.dtype, like.device) != (images.dtype, images.device):
        raise ValueError(
            f"images are {images.dtype} on {images.device}, the model is {like.dtype} on {like.device}; move one of "
            "them with .to"
        )


def _check_logits(logits: Tensor, labels: Tensor) -> None:
    """Raise ValueError if this is nothing to climb on, or the labels do not fit."""
    if logits.ndim != 2 or len(logits) != len(labels) or logits.shape[1] < 2:
        raise ValueError(f"the model gives {tuple(logits.shape)} for {len(labels)} images; give one with logits (b, k)")
    if not logits.isfinite().all():
        raise ValueError("the model gives NaN or infinity; repair the model")
    if not logits.requires_grad:
        raise ValueError("no gradient reaches the images; the model must not detach them or run without gradients")
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise ValueError(
            f"labels lie in {labels.min().item()}..{labels.max().item()}, but the model has {logits.shape[1]} classes; "
            f"give labels in 0..{logits.shape[1] - 1}"
        )
