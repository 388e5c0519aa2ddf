"""Inside the region of a sample: where a line leaves it, and points drawn from it uniformly.

A region is a convex polytope: where all gates keep their choices, all values are affine. Nothing here needs its faces
as a list; a line is followed through the network instead, for any network that ``piecewise.trace`` takes.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from actlib.affine import as_piecewise
from actlib.gates import Pattern, leads
from actlib.piecewise import Piecewise


class Chords(NamedTuple):
    """The part of each of b lines x + t d that lies in the region of x: low < t < high; infinite if nothing ends it."""

    low: Float[Tensor, " b"]
    high: Float[Tensor, " b"]


class HitAndRun(NamedTuple):
    """Samples of b regions.

    Attributes
    ----------
    samples
        ``(n, b, *shape)``.
    lengths
        (n, b): of the chord, in L2, from which each was drawn.
    """

    samples: Float[Tensor, "n b ..."]
    lengths: Float[Tensor, "n b"]


@torch.no_grad()
def chords(
    model: nn.Module | Piecewise,
    x: Float[Tensor, "b ..."],
    directions: Float[Tensor, "b ..."],
    *,
    gates: Iterable[str] | None = None,
    box: tuple[float | int, float | int] | None = None,
) -> Chords:
    """Return where lines through samples leave their regions.

    Parameters
    ----------
    model
        A network in eval mode, or what ``piecewise.trace`` made of it.
    x, directions
        ``(b, *shape)``; t counts in lengths of the direction.
    gates
        Which keep their choices: the first ones up to some gate, or None: all.
    box
        Lowest and highest value of a pixel, where lines end too.

    Raises
    ------
    ValueError
        As ``piecewise.trace``; if gates in between are left out (such a region is not convex), a direction is zero, or
        x is outside of the box.
    """
    network = as_piecewise(model, x)
    x, names = network.points(x), _first_gates(network, gates)
    return _chords(network, x, network.points(directions), network.pattern(x), names, box)


def _chords(
    network: Piecewise, x: Tensor, directions: Tensor, pattern: Pattern, names: list[str],
    box: tuple[float | int, float | int] | None,
) -> Chords:  # fmt: skip
    """Return the chords of regions that are known by their patterns."""
    if not directions.flatten(1).any(1).all():
        raise ValueError("a direction is zero; give directions that lead somewhere")
    low, high = x.new_full((len(x),), -math.inf), x.new_full((len(x),), math.inf)
    state, left = network.start(x, directions[:, None]), len(names)
    while left and (gate := network.advance(state)) is not None:
        choices = pattern.choices[gate.name]
        ahead = leads(gate, choices, state.constant).flatten(1).clamp(min=0)
        low, high = _narrow(low, high, ahead, leads(gate, choices, state.directions[:, 0]).flatten(1))
        state.resolve(choices)
        left -= 1
    if box is not None:
        if x.min() < box[0] or x.max() > box[1]:
            raise ValueError(f"x lies in [{x.min():.4g}, {x.max():.4g}], not in the box {box}; give samples inside")
        flat, slopes = x.flatten(1), directions.flatten(1)
        low, high = _narrow(low, high, flat - box[0], slopes)
        low, high = _narrow(low, high, box[1] - flat, -slopes)
    return Chords(low, high)


def _narrow(low: Tensor, high: Tensor, ahead: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the part of t in which a lead (b, q) with its slope is not negative, too."""
    ends = -ahead / slopes
    low = torch.maximum(low, torch.where(slopes > 0, ends, -math.inf).amax(1))
    return low, torch.minimum(high, torch.where(slopes < 0, ends, math.inf).amin(1))


@torch.no_grad()
def hit_and_run(
    model: nn.Module | Piecewise,
    x: Float[Tensor, "b ..."],
    n_samples: int,
    *,
    generator: torch.Generator,
    thin: int = 1,
    gates: Iterable[str] | None = None,
    box: tuple[float | int, float | int] | None = (0.0, 1.0),
) -> HitAndRun:
    """Return points of the samples' regions, in the long run uniform: each is drawn from a chord in a random direction.

    Parameters
    ----------
    model, x, gates, box
        As for ``chords``. Many regions have no end without a box.
    n_samples
        How many for each region.
    generator
        On the CPU.
    thin
        Steps from one sample to the next. Successive steps are alike, the more so the more pixels there are.

    Raises
    ------
    ValueError
        As ``chords``; if a region has no end, or a number is below 1.
    """
    if n_samples < 1 or thin < 1:
        raise ValueError(f"n_samples = {n_samples}, thin = {thin}; give 1 or more")
    network = as_piecewise(model, x)
    x, names = network.points(x), _first_gates(network, gates)
    pattern, ones = network.pattern(x), [1] * (x.ndim - 1)
    samples, lengths = x.new_empty(n_samples, *x.shape), x.new_empty(n_samples, len(x))
    for k in range(n_samples):
        for _ in range(thin):
            d = torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x)
            d /= d.flatten(1).norm(dim=1).reshape(-1, *ones)
            low, high = _chords(network, x, d, pattern, names, box)
            if not (high - low).isfinite().all():
                raise ValueError("a region has no end in some direction; give a box")
            t = low + torch.rand(len(x), generator=generator, dtype=torch.float64).to(x) * (high - low)
            x = x + t.reshape(-1, *ones) * d
            x = x if box is None else x.clamp(*box)
        samples[k], lengths[k] = x, high - low
    return HitAndRun(samples, lengths)


def _first_gates(network: Piecewise, gates: Iterable[str] | None) -> list[str]:
    """Return gates, if none in between is left out."""
    names = network.select(gates)
    if names != list(network.gates)[: len(names)]:
        raise ValueError(f"gates {names} are not the first ones of {list(network.gates)}: no convex region; give those")
    return names
