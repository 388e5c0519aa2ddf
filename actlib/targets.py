"""Images for activation patterns that were chosen beforehand: the document's third way to a midpoint (S5.2.3).

A pattern has one bit for each unit of some ReLU layers: whether the input of the ReLU is positive.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from actlib import energies
from actlib.energies import Bounds, representation

__all__ = ["Sought", "between", "patterns", "seek"]

Patterns = dict[str, Bool[Tensor, "_ _"]]


class Sought(NamedTuple):
    """What a search for p given patterns found.

    Attributes
    ----------
    points
        ``(p, *shape)``.
    costs
        (p,): 0 where all units are on their side with the margin asked for.
    n_wrong
        (p,): how many units are on the other side, the Hamming distance to the pattern; 0: found.
    """

    points: Float[Tensor, "p *shape"]
    costs: Float[Tensor, " p"]
    n_wrong: Int64[Tensor, " p"]


@torch.no_grad()
def patterns(model: nn.Module, x: Float[Tensor, "p *shape"], layers: Iterable[str]) -> Patterns:
    """Return which units are on, (p, units) for each ReLU layer: whose input is positive."""
    with representation(model, energies.as_weights(model, layers), inputs=True) as features:
        return {name: value[:, 0] > 0 for name, (_, value) in features(x[:, None]).items()}


def between(first: Patterns, second: Patterns, *, generator: torch.Generator, share: float | int = 0.5) -> Patterns:
    """Return patterns in between: of the bits in which two patterns differ, drawn by chance a share from the second.

    All of a pair's layers are drawn from together; the number is rounded down. There are C(d, d / 2) patterns midway
    between two of distance d, and most belong to no image. The generator is on the CPU.

    Raises
    ------
    ValueError
        If the patterns are not of the same layers and shapes, or the share is not of 0 to 1.
    """
    shapes = [{name: tuple(bits.shape) for name, bits in pattern.items()} for pattern in (first, second)]
    if shapes[0] != shapes[1] or not first or not 0 <= share <= 1:
        raise ValueError(f"patterns of {shapes[0]} and {shapes[1]}, share = {share}; give equal shapes, a share of 0-1")
    one, other = (torch.cat(list(pattern.values()), 1) for pattern in (first, {n: second[n] for n in first}))
    differ = (one != other).cpu()
    keys = torch.rand(differ.shape, generator=generator, dtype=torch.float64).masked_fill(~differ, 2.0)
    chosen = keys.argsort(1).argsort(1) < (differ.sum(1, keepdim=True) * share).floor()
    drawn = torch.where(chosen.to(one.device), other, one)
    return dict(zip(first, drawn.split([bits.shape[1] for bits in first.values()], 1), strict=True))


@torch.no_grad()
def seek(
    model: nn.Module,
    initial: Float[Tensor, "p *shape"],
    target: Patterns,
    layers: Iterable[str] | Mapping[str, float | int],
    *,
    margin: float | int = 0.01,
    n_steps: int = 500,
    rate: float | int = 0.01,
    bounds: Bounds = (0, 1),
) -> Sought:
    """Return images that come as near as descent can bring them to given patterns (document S5.2.3).

    The cost is the sum over all units of how far the input of the ReLU is from its side of ``margin``. That it stays
    positive does not prove that no image has the pattern; a linear programme would.

    Parameters
    ----------
    model
        A network whose ReLUs are modules.
    initial
        ``(p, *shape)``, where to begin.
    target
        Patterns as of ``patterns`` or ``between``.
    layers
        The ReLU layers that they are of; weights count a layer more or less.
    margin
        By which the input of a unit is to be positive or negative, above 0.
    n_steps, rate, bounds
        As ``midpoints.midpoints``.

    Raises
    ------
    ValueError
        If the images do not fit the model, the bounds or the patterns, a layer is unknown, or a number is out of range.
    """
    energies.check_pairs(model, initial, initial, bounds)
    if not 0 < margin < math.inf:
        raise ValueError(f"margin = {margin}; give a positive number")
    weights = energies.as_weights(model, layers)
    found = {name: tuple(bits.shape) for name, bits in patterns(model, initial, weights).items()}
    if found != (given := {name: tuple(bits.shape) for name, bits in target.items()}):
        raise ValueError(f"target holds {given}; these images have {found}: give as many patterns of these layers")
    sides = {name: bits * 2.0 - 1 for name, bits in target.items()}
    with representation(model, weights, inputs=True) as features:

        def cost(z: Tensor) -> Tensor:
            found = features(z[:, None])
            return sum(w * (margin - sides[name] * h[:, 0]).relu().sum(1) for name, (w, h) in found.items())

        z = energies.minimize(cost, initial, n_steps=n_steps, rate=rate, bounds=bounds)
        reached = patterns(model, z, weights)
        n_wrong = sum((reached[name] != bits).sum(1) for name, bits in target.items())
        return Sought(z, cost(z), n_wrong)
