"""What a path costs in a network's layers, and how it is made cheaper: for many pairs of images at once.

What ``paths`` and ``midpoints`` share. A cost has one number for each pair, so that no pair depends on another.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from actlib.hooks import evaluating, record
from actlib.names import find

NORMS = ("l1", "l2")
Bounds = tuple[float | int, float | int] | None
# For each call of a layer its weight, and its values (p, m, d) at m points of each of p pairs.
Features = dict[str, tuple[float, Tensor]]


def check_pairs(model: nn.Module, start: Tensor, end: Tensor, bounds: Bounds) -> None:
    """Raise ValueError unless start and end, ``(p, *shape)``, are p pairs of images for ``model``, within bounds."""
    if start.shape != end.shape:
        raise ValueError(f"start is {tuple(start.shape)} and end {tuple(end.shape)}; give as many, of one shape")
    if start.ndim < 2 or not len(start):
        raise ValueError(f"start and end are {tuple(start.shape)}; give one pair or more: (pairs, *shape)")
    if bounds is not None and not bounds[0] < bounds[1]:
        raise ValueError(f"bounds = {bounds}; give (lowest, highest) of a pixel, or None")
    like = next((t for t in chain(model.parameters(), model.buffers()) if t.is_floating_point()), start)
    for name, x in (("start", start), ("end", end)):
        if not x.is_floating_point() or (x.dtype, x.device) != (like.dtype, like.device):
            raise ValueError(
                f"{name} is {x.dtype} on {x.device}, the model {like.dtype} on {like.device}; give floating point "
                "images of the model's type, on its device"
            )
        if not x.isfinite().all():
            raise ValueError(f"{name} holds values that are not finite; repair or leave out these images")
        if bounds is not None and not bounds[0] <= x.min() <= x.max() <= bounds[1]:
            raise ValueError(
                f"{name} goes from {x.min():.3g} to {x.max():.3g}, outside of bounds = {bounds}; give the range of the "
                "pixels as bounds, or None for no range"
            )


def check_norm(norm: str) -> None:
    """Raise ValueError for an unknown norm."""
    if norm not in NORMS:
        raise ValueError(f"norm = {norm!r}; choose one of {NORMS}")


def as_weights(model: nn.Module, layers: Iterable[str] | Mapping[str, float | int]) -> dict[str, float]:
    """Return the weight of each layer, 1 where none is given; raises ValueError for one that is unknown or negative."""
    find(model, layers)
    weights = dict(layers) if isinstance(layers, Mapping) else dict.fromkeys(layers, 1.0)
    if not all(0 <= w < float("inf") for w in weights.values()) or not any(weights.values()):
        raise ValueError(f"layers = {weights}; give weights of 0 or more, one of them positive")
    return {name: float(weight) for name, weight in weights.items()}


@contextmanager
def representation(
    model: nn.Module, weights: Mapping[str, float], *, inputs: bool = False
) -> Iterator[Callable[[Tensor], Features]]:
    """Yield the map from points ``(p, m, *shape)`` to the values of some layers, in eval mode and differentiable.

    A layer that is called several times in a forward pass counts at each call. ``inputs`` takes what goes into each
    layer instead. Raises ValueError for a layer that is not called, or one that no gradient passes.
    """
    of_module = {module: name for name, module in find(model, weights).items()}
    called: set[str] = set()

    def keep(module: nn.Module, key: str, tensor: Tensor) -> tuple[float, Tensor]:
        name = of_module[module]
        called.add(name)
        # A copy, since a later layer may work in place.
        return weights[name], tensor.clone()

    def features(x: Tensor) -> Features:
        model(x.flatten(0, 1))
        if missing := [name for name in weights if name not in called]:
            raise ValueError(f"layers {missing} were not called by the model's forward pass; leave them out")
        for key, (_, value) in kept.items():
            if len(value) != len(x) * x.shape[1]:
                raise ValueError(
                    f"layer {key!r} gives {tuple(value.shape)} for {len(x) * x.shape[1]} images; leave it out"
                )
            if x.requires_grad and torch.is_grad_enabled() and not value.requires_grad:
                raise ValueError(f"layer {key!r} passes no gradient on to the images; leave it out")
        return {key: (weight, value.unflatten(0, x.shape[:2]).flatten(2)) for key, (weight, value) in kept.items()}

    with evaluating(model), record(model, weights, keep, inputs=inputs, strict=False) as kept:
        yield features


def pixel_energy(points: Float[Tensor, "p m *shape"]) -> Float[Tensor, " p"]:
    """Return E[gamma], the sum of squared L2 distances between neighbours on each path."""
    return points.diff(dim=1).flatten(1).square().sum(1)


def layer_energy(features: Features, norm: Literal["l1", "l2"]) -> Float[Tensor, " p"]:
    """Return E[f(gamma)], the weighted sum over the layers of squared L2 distances, or of L1 distances."""
    total = 0
    for weight, value in features.values():
        steps = value.diff(dim=1).flatten(1)
        total = total + weight * size(steps, norm)
    return total


def size(values: Float[Tensor, "p d"], norm: str) -> Float[Tensor, " p"]:
    """Return the squared L2 norm of each row, or its L1 norm."""
    return values.abs().sum(1) if norm == "l1" else values.square().sum(1)


def clamp(x: Tensor, bounds: Bounds) -> Tensor:
    """Return x within the range of a pixel."""
    return x if bounds is None else x.clamp(*bounds)


def minimize(
    cost: Callable[[Tensor], Float[Tensor, " p"]],
    z: Float[Tensor, "p *rest"],
    *,
    n_steps: int,
    rate: float | int,
    bounds: Bounds,
) -> Float[Tensor, "p *rest"]:
    """Return for each pair the cheapest z met in ``n_steps`` steps of gradient descent with momentum from z.

    The steps of Adam with one scale for all numbers of a pair instead of one for each: each step is along gradients.
    With a scale for each pixel, the steps would also move what the cost leaves free. A step changes a pixel by about
    ``rate`` (root mean square) at first; the length falls to zero.

    Raises
    ------
    ValueError
        If ``n_steps`` or ``rate`` is out of range, or a cost at the start is not finite.
    """
    if n_steps < 0 or not 0 < rate < float("inf"):
        raise ValueError(f"n_steps = {n_steps}, rate = {rate}; give 0 steps or more and a positive rate")
    z = best = z.detach()
    axes = tuple(range(1, z.ndim))
    mean, square, lowest = torch.zeros_like(z), 0.0, z.new_full((len(z),), float("inf"))
    noise = 64 * torch.finfo(z.dtype).eps
    if not z.numel():
        return z
    for k in range(n_steps + 1):
        costs, gradient = _descend(cost, z)
        if k == 0 and not costs.isfinite().all():
            raise ValueError(
                "the network gives values that are not finite at these images; repair it, or choose others"
            )
        # Rounding is no gain, and a gradient is rounding if a way of length 1 along it changes nothing that is seen:
        # steps have a length of their own and would walk at random.
        seen = gradient.flatten(1).norm(dim=1) > noise * costs
        gradient = torch.where(seen.view(-1, *[1] * len(axes)), gradient, 0)
        better = costs < lowest * (1 - noise)
        lowest = torch.where(better, costs, lowest)
        best = torch.where(better.view(-1, *[1] * len(axes)), z, best)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.99 * square + 0.01 * gradient.square().mean(axes, keepdim=True)
        scale = (square / (1 - 0.99 ** (k + 1))).sqrt() + torch.finfo(z.dtype).tiny
        length = rate * (1 - k / max(n_steps, 1)) / (1 - 0.9 ** (k + 1))
        z = clamp(z - length * mean / scale, bounds)
    return best


@torch.enable_grad()
def _descend(cost: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cost of each pair and its gradient; the network's own gradients are left alone."""
    z = z.detach().requires_grad_()
    costs = cost(z)
    (gradient,) = torch.autograd.grad(costs.sum(), z)
    return costs.detach(), gradient


def gradient(cost: Callable[[Tensor], Float[Tensor, " p"]], z: Float[Tensor, "p *rest"]) -> Float[Tensor, "p *rest"]:
    """Return the gradient of each pair's cost."""
    return _descend(cost, z)[1]
