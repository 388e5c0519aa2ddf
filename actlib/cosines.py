"""The cosine of the angle between vectors, some against many, a few rows at a time.

A *vector* is what one sample gives: anything of shape (n, ...) is flattened to (n, d). Some vectors, the references,
are compared with all others. Work happens on the device of the references. The others, which may be a file mapped to
memory, are read there a part at a time, and of the r x n cosines only some rows are held: beside the vectors never
more than a few hundred MB.

Cosines are float32 products divided by the lengths, clamped to [-1, 1] and right to ``TOLERANCE`` unless PyTorch is
told to multiply less precisely. A vector of zeros has no direction: its cosines are 0, and it is counted.
"""

import math
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64, Shaped
from torch import Tensor

from actlib.neighbours import Array

# Largest distance from products in float64, for up to 300,000 dimensions; a third of it was found.
TOLERANCE = 2e-5

# Cosines held at a time, 64 MB unless one row is longer; and the most that ``cosine`` hands out.
_HELD = 2**24
_RETURNED = 2**26
# Values of the others read at a time: 4 MB stay in a processor's cache, a GPU needs more to be busy.
_READ, _READ_GPU = 2**20, 2**25
# So many vectors at least, however long they are: a product with fewer is slow.
_LEAST = 64
# The squares of lengths between these lose nothing in float32.
_SHORT, _LONG = 1e-15, 1e15
# Types with numbers that float32 does not hold.
_WIDE = {torch.float64, torch.int32, torch.int64, torch.uint32, torch.uint64}


class Cosines(NamedTuple):
    """Cosines of each reference with all others, and how many vectors are zero."""

    values: Float32[Tensor, "r n"]
    n_zero_references: int
    n_zero_others: int


def cosine(references: Array, others: Array, *, mean: Array | None = None) -> Cosines:
    """Return the cosine similarity, -1 to 1, of each reference with each of the others.

    Parameters
    ----------
    references, others
        (r, ...) and (n, ...), real numbers of any type, as many a vector in both. For one reference give ``x[[4]]``.
    mean
        As many numbers as a vector has, taken off all of them in float64: what vectors have in common raises all
        cosines and says nothing about who is like whom. None leaves them as they are.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is NaN or infinite (the message names the first such vector), or there are more
        than 67 million cosines.

    Examples
    --------
    >>> cosine(torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 1.0], [0.0, 3.0], [0.0, 0.0]]))
    Cosines(values=tensor([[0.7071, 0.0000, 0.0000]]), n_zero_references=0, n_zero_others=1)
    """
    if len(references) * len(others) > _RETURNED:
        raise ValueError(
            f"{len(references)} references and {len(others)} others have more than {_RETURNED:,} cosines; give fewer "
            "references at a time, or go through cosines.blocks"
        )
    found = list(blocks(references, others, mean=mean))
    n_zero = sum(block.n_zero_references for block in found)
    return Cosines(torch.cat([block.values for block in found]), n_zero, found[0].n_zero_others)


class Block(NamedTuple):
    """Some rows of the matrix of cosines.

    Attributes
    ----------
    rows
        Which references these are.
    values
        Their cosines with all others; minus infinity with itself, where a reference stands among the others.
    n_zero_references
        How many of these references are zero.
    n_zero_others
        How many of all others are.
    """

    rows: slice
    values: Float32[Tensor, "b n"]
    n_zero_references: int
    n_zero_others: int


def blocks(
    references: Array, others: Array, *, mean: Array | None = None, reference_indices: Array | None = None
) -> Iterator[Block]:
    """Yield the cosines of some references after another with all others.

    Parameters
    ----------
    references, others, mean
        As in ``cosine``, but as many as you like.
    reference_indices
        (r), where each reference stands among the others; None if it does not.

    Raises
    ------
    ValueError
        As ``cosine``, and if there is no such index or another vector than the reference stands there.
    """
    _check(references, others, mean)
    references, step = _read(references, slice(None)), max(1, _HELD // len(others))
    if mean is not None:
        mean = _read(mean[None], slice(None)).to(references.device).double()
        if not mean.isfinite().all():
            raise ValueError("the mean holds NaN or infinity; take it of vectors without")
    if reference_indices is not None:
        reference_indices = as_integers(reference_indices, len(references), "reference_indices").to(references.device)
        _check_range(reference_indices, len(others))
    for start in range(0, len(references), step):
        rows = slice(start, min(start + step, len(references)))
        vectors, lengths, zero = _measure(references[rows], mean, "references", start)
        values, n_zero_others = _multiply(vectors / lengths[:, None], others, mean)
        if reference_indices is not None:
            _exclude(values, reference_indices[rows], zero, start)
        yield Block(rows, values, int(zero.sum()), n_zero_others)


def as_integers(values: Array, n: int, name: str) -> Int64[Tensor, " n"]:
    """Return labels or indices as a tensor, or raise ValueError if they are not one whole number a vector."""
    found = values if isinstance(values, Tensor) else torch.tensor(values)
    if found.shape != (n,) or found.dtype == torch.bool or found.is_floating_point() or found.is_complex():
        raise ValueError(
            f"{name} are {found.dtype} of shape {tuple(found.shape)}; give {n} whole numbers, one a vector"
        )
    return found.long()


def check_k(k: tuple[int, ...], others: Array, reference_indices: Array | None) -> None:
    """Raise ValueError if there are not so many others to compare a reference with."""
    largest = len(others) - (reference_indices is not None)
    if not k or min(k) < 1 or max(k) > largest:
        raise ValueError(f"k = {', '.join(map(str, k))} with {largest} vectors to compare with; choose 1 to {largest}")


def _multiply(
    units: Float32[Tensor, "b d"], others: Array, mean: Float64[Tensor, "1 d"] | None
) -> tuple[Float32[Tensor, "b n"], int]:
    """Return the cosines of vectors of length 1 with all others, and how many of these are zero."""
    values, n_zero = units.new_empty(len(units), len(others)), 0
    step = max(_LEAST, (_READ if units.device.type == "cpu" else _READ_GPU) // units.shape[1])
    for start in range(0, len(others), step):
        part = slice(start, start + step)
        vectors, lengths, zero = _measure(_read(others, part).to(units.device), mean, "others", start)
        values[:, part] = (units @ vectors.T).div_(lengths).clamp_(-1, 1)
        n_zero += int(zero.sum())
    return values, n_zero


def _measure(
    x: Shaped[Tensor, "n d"], mean: Float64[Tensor, "1 d"] | None, name: str, start: int
) -> tuple[Float32[Tensor, "n d"], Float32[Tensor, " n"], Bool[Tensor, " n"]]:
    """Return vectors less the mean, their lengths, 1 for those of zeros, and which these are.

    Vectors may come back at another length: only directions count.
    """
    if mean is None:
        vectors = x.float()
    elif x.dtype in _WIDE:
        vectors = (x.double() - mean).float()
    else:
        # In two parts, since one rounded to float32 would falsify small remainders of large numbers.
        high = mean.float()
        vectors = x.float().sub(high).sub_((mean - high).float())
    lengths = torch.linalg.vector_norm(vectors, dim=1)
    if not ((lengths > _SHORT) & (lengths < _LONG)).all():
        # Zeros, NaN, or sizes that float32 cannot square: the largest value of each vector becomes 1.
        wide = x.double() if mean is None else x.double() - mean
        largest = wide.abs().amax(1, keepdim=True)
        if not largest.isfinite().all():
            first = start + (~largest[:, 0].isfinite()).nonzero()[0].item()
            raise ValueError(f"{name}[{first}] holds NaN or infinity; repair or leave out such vectors")
        vectors = (wide / largest.where(largest > 0, 1)).float()
        lengths = torch.linalg.vector_norm(vectors, dim=1)
    zero = lengths == 0
    return vectors, lengths.masked_fill(zero, 1), zero


def _check_range(indices: Int64[Tensor, " r"], n: int) -> None:
    """Raise ValueError if there is no such vector among ``n``."""
    if ((indices < 0) | (indices >= n)).any():
        raise ValueError(f"reference_indices reach from {indices.min()} to {indices.max()}; choose 0 to {n - 1}")


def _exclude(values: Float32[Tensor, "b n"], own: Int64[Tensor, " b"], zero: Bool[Tensor, " b"], start: int) -> None:
    """Put minus infinity where references meet themselves, or raise ValueError if it is not themselves."""
    met = values.gather(1, own[:, None])
    strangers = ((met[:, 0] < 1 - TOLERANCE) & ~zero).nonzero()
    if len(strangers):
        i = strangers[0].item()
        raise ValueError(
            f"references[{start + i}] is not others[{own[i].item()}], where reference_indices put it: their cosine is "
            f"{met[i].item():.5f}; give the places of the references among the others"
        )
    values.scatter_(1, own[:, None], -math.inf)


def _read(x: Array, rows: slice) -> Shaped[Tensor, "n d"]:
    """Return some vectors as a tensor, the same memory where that can be."""
    part = x[rows]
    if isinstance(part, np.ndarray):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # not writable, as files mapped to memory are: it is only read
            part = torch.from_numpy(np.ascontiguousarray(part))
    return part.detach().reshape(len(part), -1)


def _check(references: Array, others: Array, mean: Array | None) -> None:
    """Raise ValueError if these are no vectors of one length."""
    given = {"references": references, "others": others} | ({} if mean is None else {"mean": mean[None]})
    for name, x in given.items():
        real = x.dtype.kind in "biuf" if isinstance(x, np.ndarray) else not x.is_complex()
        if not real or x.ndim == 0 or 0 in x.shape:
            raise ValueError(f"{name} are {x.dtype} of shape {tuple(x.shape)}; give vectors of real numbers")
    sizes = {name: math.prod(x.shape[1:]) for name, x in given.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"the numbers of values a vector differ: {sizes}; give vectors of one kind, such as x[[4]]")
