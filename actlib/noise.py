"""The size of a region as the document measures it (S6.5): how much noise leaves a sample in its region.

The exact measure is ``inradius.inradius``. With B boundaries per unit of distance the noise survives as
``predicted_survival`` says, so that one in five survives at a sigma of about 7 / B: seven times the mean inradius.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from actlib.affine import as_piecewise
from actlib.piecewise import Piecewise


class NoiseWalk(NamedTuple):
    """What became of noisy copies of one sample.

    Attributes
    ----------
    sigmas, shares
        (steps,): the scale of the noise in each step, and the share of the copies that survived it.
    n_restarts
        How often none did.
    copies
        ``(n, *shape)``: at the end, all in the region.
    """

    sigmas: Float[Tensor, " steps"]
    shares: Float[Tensor, " steps"]
    n_restarts: int
    copies: Float[Tensor, "n ..."]


@torch.no_grad()
def survival(
    model: nn.Module | Piecewise,
    x: Float[Tensor, "..."],
    sigma: float | int,
    *,
    n_copies: int,
    generator: torch.Generator,
    gates: Iterable[str] | None = None,
) -> float:
    """Return the share of copies of one sample that keep its pattern under noise from U(-sigma, sigma).

    ``gates`` names those that must keep it, in any choice; None: all. Raises ValueError as ``noise_walk``.
    """
    if n_copies < 1 or not sigma > 0:
        raise ValueError(f"n_copies = {n_copies}, sigma = {sigma}; give one copy or more and a positive sigma")
    network = as_piecewise(model, x[None])
    x = network.points(x[None])
    names, pattern = network.select(gates), network.pattern(x)
    same = network.pattern(x + _noise(x, n_copies, sigma, generator)).same(pattern, names)
    return same.double().mean().item()


def predicted_survival(rate: float | int, sigma: float | int) -> float:
    """Return the share that keeps its region under noise from U(-sigma, sigma), if boundaries are met at a rate.

    ``rate`` is the number of boundaries per unit of distance from the sample, 1 over the mean L2 inradius. The law,
    exp(-rate sigma / sqrt(6 pi)), holds for many pixels, where the noise along any direction is normal. Raises
    ValueError if one of the two is below 0 or no number.
    """
    if not (rate >= 0 and sigma >= 0):
        raise ValueError(f"rate = {rate}, sigma = {sigma}; give a rate and a scale of 0 or more")
    return math.exp(-rate * sigma / math.sqrt(6 * math.pi))


@torch.no_grad()
def noise_walk(
    model: nn.Module | Piecewise,
    x: Float[Tensor, "..."],
    *,
    generator: torch.Generator,
    n_copies: int = 100,
    n_steps: int = 100,
    sigma: float | int = 0.1,
    shrink: float = 0.8,
    least: float | int = 0.2,
    drop: float | int = 0.1,
    gates: Iterable[str] | None = None,
) -> NoiseWalk:
    """Return how copies of one sample spread in its region, as the document measures a region's size (S6.5).

    In each step noise from U(-sigma, sigma) is added to all copies, and those whose pattern has changed are dropped. If
    fewer than the share ``least`` survive, sigma shrinks; if none does, all start anew from the sample. Of the
    survivors the share ``drop`` with the smallest summed L2 distance to the others is dropped, so that the rest
    spreads; copies of the rest, drawn by chance, fill the gaps. Noise adds up over the steps: it is a walk.

    Parameters
    ----------
    model
        A network in eval mode, or what ``piecewise.trace`` made of it.
    x
        One sample ``(*shape)``.
    generator
        On the CPU.
    n_copies, n_steps
        N and how many steps; the document does not say.
    sigma
        To start with, in units of a pixel's value.
    shrink
        What sigma is multiplied by: 0.8 in the program that was run, 0.5 in its description.
    least, drop
        Shares of the copies.
    gates
        Whose choices must stay; None: all, those of max-pooling too. Any of them may be left out.

    Raises
    ------
    ValueError
        As ``piecewise.trace``; if a number is out of range or there is no such gate.
    """
    if n_copies < 2 or n_steps < 1 or not (sigma > 0 and 0 < shrink < 1 and 0 <= least <= 1 and 0 <= drop < 1):
        raise ValueError(
            f"n_copies = {n_copies}, n_steps = {n_steps}, sigma = {sigma}, shrink = {shrink}, least = {least}, "
            f"drop = {drop}; give two copies or more, one step or more, positive sigma, and shares of 0 to 1"
        )
    network = as_piecewise(model, x[None])
    x = network.points(x[None])
    names, pattern = network.select(gates), network.pattern(x)
    copies, n_restarts = x.expand(n_copies, *x.shape[1:]), 0
    sigmas, shares = x.new_empty(n_steps), x.new_empty(n_steps)
    for k in range(n_steps):
        moved = copies + _noise(x, n_copies, sigma, generator)
        rest = moved[network.pattern(moved).same(pattern, names)]
        sigmas[k], shares[k] = sigma, len(rest) / n_copies
        if shares[k] < least:
            sigma *= shrink
        if len(rest) == 0:
            n_restarts, rest = n_restarts + 1, x
        copies = _refill(rest, n_copies, drop, generator)
    return NoiseWalk(sigmas, shares, n_restarts, copies)


def _noise(x: Tensor, n: int, sigma: float | int, generator: torch.Generator) -> Tensor:
    """Return n samples of U(-sigma, sigma)."""
    uniform = torch.rand(n, *x.shape[1:], generator=generator, dtype=torch.float64)
    return (uniform * 2 - 1).mul_(sigma).to(x)


def _refill(rest: Tensor, n: int, drop: float, generator: torch.Generator) -> Tensor:
    """Return n samples: the rest without those in the thick of it, and copies of what is left."""
    flat = rest.flatten(1)
    near = torch.cdist(flat, flat).sum(1).argsort()[int(drop * len(rest)) :]
    extra = near[torch.randint(len(near), (n - len(near),), generator=generator).to(near.device)]
    return rest[torch.cat([near, extra])]
