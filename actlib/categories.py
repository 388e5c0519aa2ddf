"""Four kinds of frequency after down-sampling, by the folds that pass a threshold (Ribeiro and Schön 2021).

``no pass``: none; ``non-aliased``: the own fold alone; ``aliased``: one other alone, so that nothing is lost;
``tangled``: two or more, which cannot be told apart afterwards. ``folds.LITERAL`` is the measure as it was published,
``folds.CORRECTED`` ours; a ``folds.Rule`` between the two tells what each difference does.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64, UInt8
from torch import Tensor

from actlib.folds import CORRECTED, Grid, Rule, half, power, prepare

__all__ = ["CATEGORIES", "Tally", "category_map", "single_counted", "tally"]

CATEGORIES = ("no pass", "non-aliased", "aliased", "tangled")
# Numbers of a spectrum that are worked on at a time: what stays in a processor's cache, and what fills a GPU.
_VALUES = {"cpu": 2**20, "cuda": 2**25}


class Tally(NamedTuple):
    """What was found in each map.

    Attributes
    ----------
    counts
        ``(*maps, 4)``: frequencies in each of ``CATEGORIES``. Of an exclusive rule they add up to n1 n2, of another to
        that and the number of aliased ones.
    energy
        ``(*maps)``: the sum of squares of the map as it was transformed.
    outside
        ``(*maps)``: the part of it outside the own folds; at k = n / 2 one half of what is there.
    """

    counts: Int64[Tensor, "*maps 4"]
    energy: Float64[Tensor, "*maps"]
    outside: Float64[Tensor, "*maps"]


@torch.no_grad()
def tally(maps: Float[Tensor, "*maps h w"], stride: int | tuple[int, int], rule: Rule = CORRECTED) -> Tally:
    """Return how many frequencies of each map are in each category, and its energy; on the device of the maps.

    Arguments and errors are those of ``folds.folds``. A few maps are transformed at a time, so that memory is that of
    the maps and little more.

    Examples
    --------
    >>> tally(torch.ones(14, 14), 2, LITERAL).counts
    tensor([158,   0,   0,  38])
    """
    grid = Grid(maps, stride, rule)
    flat, n_block = maps.reshape(-1, *grid.shape), _VALUES.get(maps.device.type, 2**25) // (grid.size[0] * grid.size[1])
    parts = [_tally(block, grid) for block in flat.split(max(1, n_block))]
    shape = maps.shape[:-2]
    counts, energy, outside = (torch.cat(part) for part in zip(*parts, strict=True))
    return Tally(counts.reshape(*shape, 4), energy.reshape(shape), outside.reshape(shape))


@torch.no_grad()
def category_map(
    maps: Float[Tensor, "*maps h w"], stride: int | tuple[int, int], rule: Rule = CORRECTED
) -> UInt8[Tensor, "*maps n1 n2"]:
    """Return the category of each frequency as its place in ``CATEGORIES``; arguments and errors as ``folds.folds``.

    Frequencies are centred: zero is at [n1 // 2, n2 // 2]. Under any rule each has one category here; those that the
    published counts hold twice are ``aliased``.
    """
    grid = Grid(maps, stride, rule)
    y, _ = prepare(maps.reshape(-1, *grid.shape), grid)
    spectrum = torch.view_as_real(torch.fft.fft2(y, s=grid.size)).square().sum(-1)
    passing = grid.split(spectrum) > grid.limit(y)[:, None, None, None, None]
    own = passing & grid.own[0][:, None, :, None] & grid.own[1][None, :, None, :]
    total, kept = passing.sum((1, 2)), own.flatten(1, 2).any(1)
    kinds = torch.where(total == 1, 2 - kept.long(), 3 * (total > 1))
    return torch.fft.fftshift(kinds.to(torch.uint8), dim=(-2, -1)).reshape(*maps.shape[:-2], *grid.n)


def single_counted(shares: Float[Tensor, "*rows 4"]) -> Float[Tensor, "*rows 4"]:
    """Return the shares of four exclusive categories, from published ones whose ``no pass`` holds the aliased too.

    With a the share that is called aliased, the sum of counts is 1 / (1 - a) times the number of frequencies. A mean of
    shares is corrected only about.
    """
    aliased = shares[..., 2:3]
    return (shares - aliased * shares.new_tensor([1, 0, 0, 0])) / (1 - aliased)


def _tally(maps: Float[Tensor, "m h w"], grid: Grid) -> tuple[Tensor, Tensor, Tensor]:
    """Return counts (m, 4), energies (m,) and those outside (m,) of a few maps."""
    y, exponent = prepare(maps, grid)
    powers = power(half(y, grid.size))
    counts = _count(_above(powers, grid.limit(y)[:, None, None]), grid)
    rows, columns = grid.inside
    energy, inside = y.square().sum((1, 2)).double(), (powers @ rows @ columns).double()
    scale = torch.pow(4.0, exponent.double())
    return counts, energy * scale, (energy - inside).clamp_min(0) * scale


def _above(powers: Float[Tensor, "m half N1"], limit: Float[Tensor, "m 1 1"]) -> Bool[Tensor, "m half N1"]:
    """Return where the power is above the limit."""
    if powers.device.type == "cpu":  # where NumPy compares five times as fast
        return torch.from_numpy(np.greater(powers.numpy(), limit.numpy()))
    return powers > limit


def _count(passing: Bool[Tensor, "m half N1"], grid: Grid) -> Int64[Tensor, "m 4"]:
    """Return the counts from what passes in half of a spectrum; the other half is its mirror image.

    Columns are folded first and rows then, so that what is gone through lies in one piece.
    """
    n1, ((rows, columns), (image_rows, image_columns)) = grid.n[0], grid.spans
    found = list(_folded_columns(passing.view(torch.uint8), grid))  # 0 and 1: bytes are faster than booleans
    some, more = _overlap(found, [0] * len(found))
    own, image = _chosen(found, columns, 1), _chosen(found, image_columns, 1)
    some, more, own, image = (part.split(n1, 2) for part in (some, more, own, image))
    some, more = _overlap(some, more)
    alone = some ^ more
    own, image = _chosen(own, rows, 2) & alone, _chosen(image, image_rows, 2) & alone
    # Columns of k that are not their own mirror stand for two, and the image is that of -k.
    twice = grid.twice
    some, more = ((mask.sum(2) * (1 + twice)).sum(1) for mask in (some, more))
    kept = (own.sum(2) + image.sum(2) * twice).sum(1)
    none, aliased = math.prod(grid.n) - some, some - more - kept
    return torch.stack([none if grid.rule.exclusive else none + aliased, kept, aliased, more], 1)


def _folded_columns(passing: UInt8[Tensor, "m half N1"], grid: Grid) -> Iterator[UInt8[Tensor, "m k N1"]]:
    """Yield the columns of each fold for k2 from 0 to n2 // 2."""
    r2, n2 = grid.stride[1], grid.n[1]
    for j in range(r2):
        if 2 * j < r2:
            yield passing[:, j * n2 : j * n2 + n2 // 2 + 1]
        else:  # in the half that is not there: the value at -f
            last = (r2 - j) * n2
            image = passing[:, last - n2 // 2 : last + 1].flip(1)
            yield torch.cat([image[..., :1], image[..., 1:].flip(2)], 2)


def _overlap(some: Sequence[Tensor], more: Sequence[Tensor | int]) -> tuple[Tensor, Tensor]:
    """Return where at least one fold passes, and where two, from both for the parts that fall together."""
    one, two = some[0], more[0]
    for part, pair in zip(some[1:], more[1:], strict=True):
        two = (one & part) | two | pair
        one = one | part
    return one, two if isinstance(two, Tensor) else torch.zeros_like(one)


def _chosen(parts: Sequence[Tensor], spans: Sequence[slice], dim: int) -> Tensor:
    """Return what the own folds hold: of each part the span that is its own."""
    found = torch.zeros_like(parts[0], memory_format=torch.contiguous_format)
    for part, span in zip(parts, spans, strict=True):
        here = (slice(None),) * dim + (span,)
        found[here] |= part[here]
    return found
