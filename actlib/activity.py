"""How often units are active: their probability over the samples, and how many bits are near to being the other.

A unit is active for a sample if its bit is one, which is where the pre-activation is above zero. A unit that is always
active, or never, is constant: it says nothing about a sample and adds nothing to a distance.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from actlib import bits
from actlib.bits import Packed
from actlib.neighbours import Array
from actlib.tiles import Patterns, as_patterns

# Bits unpacked at a time: one byte each.
_UNPACKED = 2**22


class Activation(NamedTuple):
    """How often the units of a layer are active.

    Attributes
    ----------
    units
        The share of the samples for which each unit is active, 0 to 1: its activation probability.
    layer
        Their mean: the share of active bits of the layer.
    n_never, n_always
        Units that are constant.
    n_samples
        Patterns counted; the standard error of a probability p is at most sqrt(p (1 - p) / n_samples).
    """

    units: Float64[Tensor, " u"]
    layer: float
    n_never: int
    n_always: int
    n_samples: int


def activation(patterns: Patterns) -> Activation:
    """Return the activation probability of each unit and of the layer.

    Raises
    ------
    ValueError
        If there is no pattern or a number is neither 0 nor 1.

    Examples
    --------
    >>> activation(np.array([[0, 1, 1], [0, 1, 0]])).units
    tensor([0.0000, 1.0000, 0.5000], dtype=torch.float64)
    """
    patterns = as_patterns(patterns)
    counts, n = count_active(patterns), len(patterns.words)
    n_never, n_always = int((counts == 0).sum()), int((counts == n).sum())
    return Activation(counts.double() / n, counts.sum().item() / (n * len(counts)), n_never, n_always, n)


def count_active(patterns: Packed) -> Int64[Tensor, " u"]:
    """Return for how many of the samples each unit is active."""
    parts = unpacked(patterns)
    if patterns.words.device.type != "cpu":
        return sum(part.sum(0) for part in parts)
    # A byte holds the sum of 255, and sums of bytes are the fastest.
    return sum(
        torch.from_numpy(np.add.reduce(some.numpy().view(np.uint8), axis=0, dtype=np.uint8).astype(np.int64))
        for part in parts
        for some in part.split(255)
    )


def unpacked(patterns: Packed) -> Iterator[Bool[Tensor, "b u"]]:
    """Yield the bits of some samples after another."""
    for words in patterns.words.split(max(1, _UNPACKED // patterns.n_bits)):
        yield bits.unpack(words, patterns.n_bits)


class Margins(NamedTuple):
    """How many bits lie so near to zero that rounding may decide them.

    Attributes
    ----------
    n_near, n_zero
        Values that are no farther from zero than the tolerance, and those that are zero, among these.
    share
        Those near, of all values.
    n_patterns
        Samples with at least one value near zero: so many patterns may be another on another machine.
    units
        Values near zero of each unit, in the shape of a sample.
    smallest
        The distance from zero of the nearest value that is not zero; infinite if all are.
    """

    n_near: int
    n_zero: int
    share: float
    n_patterns: int
    units: Int64[Tensor, "..."]
    smallest: float


def margins(activations: Array, tolerance: float | int) -> Margins:
    """Return how many bits of ``activations > 0`` would be uncertain by ``tolerance``.

    Give what enters the ReLU: behind it all that is not active is zero, and no margin is left to see.

    Parameters
    ----------
    activations
        (n, ...), floating-point numbers: pre-activations.
    tolerance
        In the unit of the activations, at least 0. A sum of d products is rounded by about sqrt(d) eps times its size:
        for float32, where eps is 1.2e-7, and d = 3,072, some 7e-6 times the length of the weights times that of the
        input is cautious. 0 counts exact zeros.

    Raises
    ------
    ValueError
        If there are no values, they are no floating-point numbers, NaN or infinite, or the tolerance is out of range.
    """
    x = activations.detach() if isinstance(activations, Tensor) else torch.from_numpy(np.array(activations))
    if x.ndim < 2 or 0 in x.shape or not x.is_floating_point():
        raise ValueError(
            f"activations are {x.dtype} of shape {tuple(x.shape)}; give floats (n, ...) from before the ReLU"
        )
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"tolerance = {tolerance:g}; give a distance from zero, 0 or more, such as 1e-6")
    sizes = x.abs()
    if not sizes.isfinite().all():
        first = (~sizes.flatten(1).isfinite()).any(1).nonzero()[0].item()
        raise ValueError(f"activations[{first}] holds NaN or infinity; repair or leave out such samples")
    near = sizes <= tolerance
    n_near, n_zero = int(near.sum()), int((sizes == 0).sum())
    smallest = sizes.masked_fill(sizes == 0, math.inf).min().item()
    return Margins(n_near, n_zero, n_near / x.numel(), int(near.flatten(1).any(1).sum()), near.sum(0), smallest)
