"""The folds of a spectrum: which frequencies of a map fall on each other when every r-th sample is kept.

Keeping every r-th sample of N makes one frequency k of n = N / r out of r: k, k + n, ..., k + (r - 1) n, each in a
*fold* of its own. The spectrum afterwards is the mean of the folds. The *own* fold of k is that of the frequency
nearest to zero, the one that a slower grid can hold. In two dimensions there are r1 r2 folds. At k = n / 2 the two
halves of one oscillation fall on each other, which loses its phase.
"""

import math
from functools import cached_property
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Complex, Float, Int32, Int64, Shaped
from torch import Tensor
from torch.nn import functional as F

__all__ = ["CORRECTED", "LITERAL", "Grid", "Rule", "folds", "prepare"]

# Largest threshold: far beyond it the rounding of single precision would pass.
_MOST_DB = 100


class Rule(NamedTuple):
    """How the frequencies of a map are sorted; change a field with ``_replace``.

    Attributes
    ----------
    threshold
        A fold passes above the reference less this many decibels, from 0 to 100.
    reference
        Of the power of the spectrum after down-sampling, for each map its ``"max"`` or its ``"mean"``.
    scale
        ``"share"`` compares what a fold adds to that spectrum, X / (r1 r2). ``"whole"`` compares X, as published, which
        lowers the threshold by 20 log10(r1 r2) decibels: 12.04 for stride 2.
    dc
        Whether the mean of the map is ``"removed"`` or ``"kept"``.
    window
        ``"hann"`` lets the map fade to zero at its border; ``"none"``.
    padding
        ``"folds"`` adds zeros up to r times the size, as published. ``"none"`` repeats the last row and column up to a
        multiple of the stride; these copies are never sampled.
    own
        ``"nearest"``; at k = n / 2 both ends count. ``"blocks"``, as published, gives fold i the i-th of r blocks of k,
        which is right for stride 2 and an even size. Where blocks overlap, no fold is the own one.
    exclusive
        Whether a frequency has one category. If not, as published, ``no pass`` holds those that are aliased too.
    """

    threshold: float | int = 20
    reference: Literal["max", "mean"] = "max"
    scale: Literal["share", "whole"] = "share"
    dc: Literal["removed", "kept"] = "removed"
    window: Literal["none", "hann"] = "none"
    padding: Literal["none", "folds"] = "none"
    own: Literal["nearest", "blocks"] = "nearest"
    exclusive: bool = True


CORRECTED = Rule()
LITERAL = Rule(scale="whole", dc="kept", padding="folds", own="blocks", exclusive=False)
_CHOICES = {
    "reference": ("max", "mean"), "scale": ("share", "whole"), "dc": ("removed", "kept"), "window": ("none", "hann"),
    "padding": ("none", "folds"), "own": ("nearest", "blocks"), "exclusive": (True, False),
}  # fmt: skip


def folds(
    maps: Float[Tensor, "*maps h w"], stride: int | tuple[int, int], rule: Rule = CORRECTED
) -> Complex[Tensor, "*maps r1 r2 n1 n2"]:
    """Return the discrete Fourier transform of maps, fold by fold; their mean is that of every r-th sample.

    Parameters
    ----------
    maps
        As they are before every r-th sample is kept. Half precision is computed in single.
    stride
        r, or (r1, r2) for rows and columns; one of them must be 2 or more.
    rule
        Gives the mean, window and padding before the transform; the transform is a sum without a factor.

    Raises
    ------
    ValueError
        If maps are not real, not finite or smaller than the stride, or the stride or a field of the rule is out of
        range.
    """
    grid = Grid(maps, stride, rule)
    y, exponent = prepare(maps.reshape(-1, *maps.shape[-2:]), grid)
    scale = torch.pow(2.0, exponent.to(y.dtype))[:, None, None, None, None]
    return (grid.split(torch.fft.fft2(y, s=grid.size)) * scale).reshape(*maps.shape[:-2], *grid.stride, *grid.n)


class Grid:
    """The frequencies of maps of one size and how they fold: ``size`` (N1, N2) of them in folds of ``n`` (n1, n2)."""

    def __init__(self, maps: Tensor, stride: int | tuple[int, int], rule: Rule):
        self.stride = _checked_stride(stride)
        _check_rule(rule)
        _check_maps(maps, self.stride)
        self.rule, self.device, self.shape = rule, maps.device, tuple(maps.shape[-2:])
        self.dtype = maps.dtype if maps.dtype == torch.float64 else torch.float32
        pairs = list(zip(self.shape, self.stride, strict=True))
        self.n = tuple(side if rule.padding == "folds" else -(-side // r) for side, r in pairs)
        self.size = tuple(n * r for n, r in zip(self.n, self.stride, strict=True))

    @cached_property
    def own(self) -> tuple[Bool[Tensor, "r1 n1"], Bool[Tensor, "r2 n2"]]:
        """Whether a fold is the own one of a frequency, for each axis."""
        rule = _nearest if self.rule.own == "nearest" else _blocks
        return tuple(rule(n, r).to(self.device) for n, r in zip(self.n, self.stride, strict=True))

    @cached_property
    def spans(self) -> tuple[tuple[list[slice], list[slice]], tuple[list[slice], list[slice]]]:
        """Where each fold is the own one of k, and where it holds the mirror image of that of -k, for each axis."""
        both = self.own, tuple(own.flatten().roll(-1).flip(0).view_as(own) for own in self.own)
        return tuple(tuple([_span(row) for row in axis] for axis in axes) for axes in both)

    @cached_property
    def twice(self) -> Int64[Tensor, " half"]:
        """1 for columns k2 up to n2 / 2 that stand for -k2 too, 0 for those that are their own mirror."""
        return ((2 * torch.arange(self.n[1] // 2 + 1)) % self.n[1] != 0).long().to(self.device)

    @cached_property
    def inside(self) -> tuple[Float[Tensor, " N1"], Float[Tensor, " half"]]:
        """Weights of rows and columns, up to N2 / 2, that give the energy in the own folds.

        A frequency counts 1 in its own fold, 0 in another and 1/2 at both ends of the own one.
        """
        rows, columns = (_nearest(n, r).double() for n, r in zip(self.n, self.stride, strict=True))
        rows, columns = ((part / part.sum(0)).flatten() for part in (rows, columns))
        columns[1 : -(-self.size[1] // 2)] *= 2
        columns = columns[: self.size[1] // 2 + 1] / math.prod(self.size)
        return rows.to(self.device, self.dtype), columns.to(self.device, self.dtype)

    @cached_property
    def window(self) -> Float[Tensor, "p1 p2"]:
        """The Hann window, less its two ends of zero, for the maps before any zeros are added."""
        sides = self.shape if self.rule.padding == "folds" else self.size
        like = {"dtype": self.dtype, "device": self.device}
        return torch.outer(*(torch.hann_window(side + 2, periodic=False, **like)[1:-1] for side in sides))

    def split(self, spectrum: Shaped[Tensor, "m N1 N2"]) -> Shaped[Tensor, "m r1 r2 n1 n2"]:
        """Return a spectrum, or its power, fold by fold."""
        (r1, r2), (n1, n2) = self.stride, self.n
        return spectrum.reshape(-1, r1, n1, r2, n2).transpose(2, 3)

    def limit(self, y: Float[Tensor, "m p1 p2"]) -> Float[Tensor, " m"]:
        """Return the power that a fold of each prepared map must exceed in order to pass."""
        r1, r2 = self.stride
        kept = y[:, ::r1, ::r2]
        if self.rule.reference == "max":
            reference = power(half(kept, self.n)).amax((1, 2))
        else:
            reference = kept.square().sum((1, 2))  # the mean of the power, by Parseval
        scale = (r1 * r2) ** 2 if self.rule.scale == "share" else 1
        limit = reference * (scale * 10 ** (-self.rule.threshold / 10))
        if self.rule.dc == "kept":
            return limit
        # Of a constant map rounding is left, which must not pass.
        return limit.clamp_min((_ROUNDING * torch.finfo(self.dtype).eps * math.prod(self.size)) ** 2)


# In units of the rounding of 1, what is taken for the rounding of a map's mean.
_ROUNDING = 4


def prepare(maps: Float[Tensor, "m h w"], grid: Grid) -> tuple[Float[Tensor, "m p1 p2"], Int32[Tensor, " m"]]:
    """Return maps as they are transformed, over two to the power of a number for each that keeps squares in range.

    Raises ValueError if a map is not finite.
    """
    peak = maps.abs().amax((1, 2)).to(grid.dtype)
    if not peak.isfinite().all():
        place = int((~peak.isfinite()).nonzero()[0, 0])
        raise ValueError(f"maps hold NaN or infinity, first in map {place}; look for weights that diverged")
    exponent = torch.frexp(peak)[1].clamp(-120, 120)
    y = maps.to(grid.dtype) * torch.pow(2.0, -exponent.to(grid.dtype))[:, None, None]
    if grid.rule.padding == "none" and grid.size != grid.shape:
        y = F.pad(y, (0, grid.size[1] - grid.shape[1], 0, grid.size[0] - grid.shape[0]), mode="replicate")
    weights = grid.window if grid.rule.window == "hann" else None
    if grid.rule.dc == "removed":
        mean = y.mean((1, 2)) if weights is None else (y * weights).sum((1, 2)) / weights.sum()
        y = y - mean[:, None, None]
    return (y if weights is None else y * weights), exponent


def half(y: Float[Tensor, "m p1 p2"], size: tuple[int, int]) -> Complex[Tensor, "m half N1"]:
    """Return the columns up to N2 // 2 of the transform of maps with zeros up to ``size``; the others mirror them."""
    # In two steps, since rows of zeros need no transform; the second leaves the columns in one piece.
    return torch.fft.fft(torch.fft.rfft(y, size[1], dim=-1).transpose(1, 2), size[0], dim=-1)


def power(spectrum: Complex[Tensor, "m half N1"]) -> Float[Tensor, "m half N1"]:
    """Return the squared absolute values; the spectrum is overwritten."""
    squares = torch.view_as_real(spectrum).square_()
    return squares[..., 0] + squares[..., 1]


def _span(row: Bool[Tensor, " n"]) -> slice:
    """Return where a row is true, which is in one piece."""
    places = row.nonzero().flatten().tolist()
    return slice(places[0], places[-1] + 1) if places else slice(0)


def _nearest(n: int, r: int) -> Bool[Tensor, "r n"]:
    """Return whether a frequency is the nearest to zero of those that fall together."""
    frequency = torch.arange(n * r)
    return (2 * torch.minimum(frequency, n * r - frequency) <= n).view(r, n)


def _blocks(n: int, r: int) -> Bool[Tensor, "r n"]:
    """Return whether k is in the block of a fold and no other: n / r long, rounded up, from i n / r, rounded down."""
    k, first = torch.arange(n), (torch.arange(r) * n // r)[:, None]
    inside = (k >= first) & (k < first - (-n // r))
    return inside & (inside.sum(0) == 1)


def _checked_stride(stride: int | tuple[int, int]) -> tuple[int, int]:
    pair = (stride, stride) if isinstance(stride, int) else tuple(stride)
    if len(pair) != 2 or min(pair) < 1 or max(pair) < 2:
        raise ValueError(f"stride = {stride}; give whole numbers (r1, r2) from 1 on, one of them 2 or more")
    return pair


def _check_rule(rule: Rule) -> None:
    if not 0 <= rule.threshold <= _MOST_DB:  # false for NaN too
        raise ValueError(f"threshold = {rule.threshold} dB; give 0 to {_MOST_DB}")
    for name, choices in _CHOICES.items():
        if getattr(rule, name) not in choices:
            raise ValueError(f"{name} = {getattr(rule, name)!r}; choose one of {choices}")


def _check_maps(maps: Tensor, stride: tuple[int, int]) -> None:
    if not isinstance(maps, Tensor) or maps.ndim < 2 or not maps.is_floating_point() or not maps.numel():
        found = f"{maps.dtype} of shape {tuple(maps.shape)}" if isinstance(maps, Tensor) else type(maps).__name__
        raise ValueError(f"maps are {found}; give a tensor of real numbers (..., h, w) with at least one map")
    if maps.shape[-2] < stride[0] or maps.shape[-1] < stride[1]:
        sides = " x ".join(map(str, maps.shape[-2:]))
        raise ValueError(f"maps of {sides} are smaller than the stride {stride}, so that nothing folds; leave them out")
