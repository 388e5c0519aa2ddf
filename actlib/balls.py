"""The ball around an image in L-inf and L2: points drawn from it, noise of its radius, and the way back into it.

Every function keeps to the range of the pixels as well. All is in units of a pixel's value.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

NORMS = ("linf", "l2")


def random_start(
    images: Float[Tensor, "b ..."],
    eps: float | int,
    *,
    norm: Literal["linf", "l2"] = "linf",
    generator: torch.Generator,
    bounds: tuple[float | int, float | int] = (0.0, 1.0),
) -> Float[Tensor, "b ..."]:
    """Return points drawn uniformly from the balls of radius ``eps`` around the images, clamped to the range.

    ``generator`` may be on any device. Raises ValueError as ``random_sign``.
    """
    check_ball(images, eps, norm, bounds)
    options = {"generator": generator, "dtype": torch.float64, "device": generator.device}
    if norm == "linf":
        shift = torch.rand(images.shape, **options) * 2 - 1
    else:
        shift = torch.randn(images.shape, **options)
        radius = torch.rand(len(images), **options) ** (1 / images[0].numel())
        shift *= per_image(radius / shift.flatten(1).norm(dim=1), shift)
    return (images + (shift * eps).to(images)).clamp(*bounds)


def random_sign(
    images: Float[Tensor, "b ..."],
    eps: float | int | Float[Tensor, " b"],
    *,
    norm: Literal["linf", "l2"] = "linf",
    generator: torch.Generator,
    bounds: tuple[float | int, float | int] = (0.0, 1.0),
) -> Float[Tensor, "b ..."]:
    """Return the images under noise of random signs: the control of an attack, of equal norm and without a gradient.

    Every pixel moves equally far, up or down by chance, or to the end of the range if that comes first. How far is
    chosen so that the norm of what was added is ``eps``, what the range takes away included; where the range is too
    small for that, all pixels lie at its ends.

    Parameters
    ----------
    images
        ``(b, *shape)``, in ``bounds``.
    eps
        One norm for all images or one an image, as that of the perturbations which an attack has found.
    norm
        In which it is measured.
    generator
        On any device.

    Raises
    ------
    ValueError
        If the norm is unknown, a radius negative or not finite, there are not as many as images, or the images are not
        floating point or leave the range.
    """
    check_ball(images, eps, norm, bounds, several=True)
    bits = torch.randint(2, images.shape, generator=generator, device=generator.device)
    sign = (bits * 2 - 1).to(images)
    low, high = bounds
    room = torch.where(sign > 0, high - images, images - low)
    eps = torch.as_tensor(eps, dtype=images.dtype, device=images.device).expand(len(images))
    length = eps if norm == "linf" else _common_length(room.flatten(1), eps)
    return (images + sign * per_image(length, images)).clamp(low, high)


def project(
    points: Float[Tensor, "b ..."],
    images: Float[Tensor, "b ..."],
    eps: float,
    norm: Literal["linf", "l2"],
    bounds: tuple[float | int, float | int],
) -> Float[Tensor, "b ..."]:
    """Return the points, each moved into the ball around its image, and then to the end of the range it has passed.

    In L2 a point comes back along the straight line to its image. As the images lie in the range, the clamp brings a
    point nearer to its image, so that it stays in the ball.
    """
    if norm == "linf":
        return torch.clamp(points, images - eps, images + eps).clamp_(*bounds)
    shift = points - images
    norms = shift.flatten(1).norm(dim=1)
    shrink = torch.where(norms > eps, eps / norms, 1.0)
    return shift.mul_(per_image(shrink, shift)).add_(images).clamp_(*bounds)


def unit(gradient: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
    """Return gradients of length 1, and 0 for those of 0; scaled first, for squares of small numbers are 0."""
    largest = per_image(gradient.flatten(1).abs().amax(1), gradient)
    scaled = torch.where(largest > 0, gradient / largest, 0.0)
    return scaled / per_image(scaled.flatten(1).norm(dim=1).clamp(min=1), gradient)


def _common_length(room: Tensor, eps: Tensor) -> Tensor:
    """Return how far all pixels move, each within its room, (b, d), for an L2 norm of eps; infinity if it is too far.

    With k pixels at their ends, (d - k) s^2 is what these leave of eps^2; k is the first for which s is in all other
    rooms.
    """
    room, _ = room.double().sort(1)
    squares, target = room.square(), eps.double().square()[:, None]
    before = squares.cumsum(1) - squares
    n_rest = torch.arange(room.shape[1], 0, -1, device=room.device)
    reached = before + n_rest * squares >= target
    first = reached.byte().argmax(1, keepdim=True)
    length = ((target - before) / n_rest).gather(1, first).clamp(min=0).sqrt()[:, 0]
    return length.masked_fill(~reached.any(1), math.inf).to(eps)


def per_image(values: Tensor, like: Tensor) -> Tensor:
    """Return (b,) values with axes of length 1 for all others of ``like``."""
    return values.reshape(-1, *(1,) * (like.ndim - 1))


def check_ball(
    images: Tensor,
    eps: float | int | Tensor,
    norm: str,
    bounds: tuple[float | int, float | int],
    *,
    several: bool = False,
) -> None:
    """Raise ValueError if the images, the radius, the norm or the range is none; ``several``: a radius an image."""
    if norm not in NORMS:
        raise ValueError(f"norm = {norm!r}; choose one of {NORMS}")
    low, high = bounds
    if not -math.inf < low < high < math.inf:
        raise ValueError(f"bounds = ({low}, {high}); give the smallest and the largest value of a pixel")
    if not images.dtype.is_floating_point:
        raise ValueError(f"images are {images.dtype}; give floating point, for bytes images / 255")
    if images.ndim < 2 or images.numel() == 0:
        raise ValueError(f"images have shape {tuple(images.shape)}; give (b, *shape) with one image or more")
    sizes = torch.as_tensor(eps, dtype=torch.float64)
    if sizes.ndim and not (several and sizes.shape == images.shape[:1]):
        remedy = "give one number, or one an image" if several else "give one number"
        raise ValueError(f"eps has shape {tuple(sizes.shape)} for {len(images)} images; {remedy}")
    if not (sizes.isfinite() & (sizes >= 0)).all():
        raise ValueError(f"eps = {sizes.min().item():g}; give a finite radius, 0 or more, in units of a pixel's value")
    least, most = torch.aminmax(images.detach())
    if not (least >= low and most <= high):  # NaN is neither
        inside = ((images >= low) & (images <= high)).flatten(1).all(1)
        k = int((~inside).nonzero()[0])
        raise ValueError(
            f"{int((~inside).sum())} of {len(images)} images leave [{low:g}, {high:g}], the first is image {k} with "
            f"values in [{images[k].min().item():g}, {images[k].max().item():g}]; state their range as bounds, "
            "and do not normalise: the model does that itself"
        )
