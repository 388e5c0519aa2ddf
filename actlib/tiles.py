"""Hamming distances of some patterns to some others, a tile of the matrix at a time.

On the CPU bits are compared 64 at once: a word of one pattern xor that of another has a one for each difference. On a
GPU, where PyTorch counts no ones, a product of the matrices of bits says the same: patterns a and b differ in
sum(a) + sum(b) - 2 a.b places. Both are exact.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float16, Int, UInt64
from torch import Tensor

from actlib import bits
from actlib.bits import Packed
from actlib.neighbours import Array

Patterns = Packed | Array

# Rows and columns compared at once on the CPU: words, counts and sums stay in a processor's cache.
_ROWS, _COLUMNS = 64, 1024
# Columns handed out at a time on the CPU; rows and columns on a GPU, which needs more to be busy.
_WIDTH = 2**16
_GPU_ROWS, _GPU_COLUMNS = 2**11, 2**14
# Half precision holds all whole numbers up to this one: so many bits a product.
_HALF = 2**11


class Tile(NamedTuple):
    """Some rows and columns of the matrix of distances.

    Attributes
    ----------
    rows, columns
        Which patterns these are, and with which they are compared.
    distances
        The next tile overwrites them: read or copy them before.
    """

    rows: slice
    columns: slice
    distances: Int[Tensor, "r c"]


def as_patterns(patterns: Patterns, name: str = "patterns") -> Packed:
    """Return patterns as packed words (n, ceil(n_bits / 64)), a tensor where they are, checked.

    Parameters
    ----------
    patterns
        What ``bits.pack`` made of (n, n_bits); or n patterns of numbers 0 and 1 of any type, each flattened to a row.
    name
        What the message calls them.

    Raises
    ------
    ValueError
        If there is no pattern or no bit, a number is neither 0 nor 1, or the words are not those of n patterns.
    """
    words, n_bits = patterns if isinstance(patterns, Packed) else _pack(patterns, name)
    if words.ndim != 2 or len(words) == 0 or n_bits < 1:
        raise ValueError(
            f"{name} are words of shape {tuple(words.shape)} for {n_bits} bits; give at least one pattern of at least "
            "one bit, patterns as rows: bits.pack(values.flatten(1) > 0)"
        )
    if isinstance(words, np.ndarray):
        words = torch.from_numpy(np.require(words, requirements=["C", "W"]))
    if words.shape[1] != -(-n_bits // 64):
        raise ValueError(
            f"{name} have {words.shape[1]} words each, but {n_bits} bits need {-(-n_bits // 64)}; give what pack made"
        )
    if n_bits % 64 and (words.view(torch.int64)[:, -1] >> n_bits % 64).any():
        raise ValueError(
            f"{name} have a bit set behind bit {n_bits - 1}: n_bits is wrong, or the words are not; give what pack made"
        )
    return Packed(words, n_bits)


def as_pair(patterns: Patterns, others: Patterns | None) -> tuple[Packed, Packed | None]:
    """Return both sets of patterns, packed, on the device of the first; raise ValueError if lengths differ."""
    patterns = as_patterns(patterns)
    if others is None:
        return patterns, None
    others = as_patterns(others, "others")
    if patterns.n_bits != others.n_bits:
        raise ValueError(
            f"patterns have {patterns.n_bits} bits and others {others.n_bits}; give patterns of one layer in both"
        )
    return patterns, Packed(others.words.to(patterns.words.device), others.n_bits)


def tiles(patterns: Packed, others: Packed | None = None) -> Iterator[Tile]:
    """Yield the distances of patterns to others, rows and columns in order.

    Without others patterns are compared among themselves, in one half of the matrix: the columns of a tile begin at
    its first row, or behind its last. Distances are int16, or int32 for more than 32,766 bits.
    """
    if patterns.words.device.type == "cpu":
        return _counted(patterns, others)
    return _multiplied(patterns, others)


def distance_type(n_bits: int) -> torch.dtype:
    """Return the type of distances: it holds n_bits + 1 too, which stands for none."""
    return torch.int16 if n_bits < 2**15 - 1 else torch.int32


def _pack(patterns: Array, name: str) -> Packed:
    """Return numbers 0 and 1 as packed words, or raise ValueError."""
    x = patterns if isinstance(patterns, Tensor) else np.asarray(patterns)
    if not isinstance(x, Tensor) and x.dtype.kind not in "biuf":
        raise ValueError(f"{name} are of type {x.dtype}; give numbers 0 and 1, or packed bits: bits.pack(values > 0)")
    if x.ndim < 2 or 0 in x.shape:
        raise ValueError(f"{name} have shape {tuple(x.shape)}; give (n, n_bits) with one pattern and one bit at least")
    x = x.reshape(len(x), -1)
    active = x != 0
    wrong = active & (x != 1)
    if wrong.any():
        row, bit = np.argwhere(np.asarray(wrong.cpu() if isinstance(x, Tensor) else wrong))[0].tolist()
        raise ValueError(
            f"{name}[{row}] holds {x[row, bit].item():g} at bit {bit}; give numbers 0 and 1, such as values > 0"
        )
    return bits.pack(active)


def _edges(n: int, step: int, first: int = 0) -> Iterator[slice]:
    """Yield slices of ``step`` from ``first`` to ``n``."""
    return (slice(start, min(start + step, n)) for start in range(first, n, step))


def _counted(patterns: Packed, others: Packed | None) -> Iterator[Tile]:
    """Yield tiles by counting ones."""
    first = patterns.words.T.contiguous()  # (w, n): words of one place are neighbours in memory
    second = first if others is None else others.words.T.contiguous()
    n, m = first.shape[1], second.shape[1]
    held = torch.empty(_ROWS * min(_WIDTH, m), dtype=distance_type(patterns.n_bits))
    count = _Counter(held.dtype)
    for rows in _edges(n, _ROWS):
        for columns in _edges(m, _WIDTH, rows.start if others is None else 0):
            shape = rows.stop - rows.start, columns.stop - columns.start
            distances = held[: shape[0] * shape[1]].view(shape)
            for part in _edges(shape[1], _COLUMNS):
                there = slice(columns.start + part.start, columns.start + part.stop)
                distances[:, part] = count(first[:, rows], second[:, there])
            yield Tile(rows, columns, distances)


class _Counter:
    """Distances of a few patterns to some others, in memory that is asked for once."""

    def __init__(self, dtype: torch.dtype):
        size = _ROWS * _COLUMNS
        self.words, self.sums = torch.empty(size, dtype=torch.int64), torch.empty(size, dtype=dtype)
        self.ones = torch.empty(size, dtype=torch.uint8)

    def __call__(self, a: UInt64[Tensor, "w r"], b: UInt64[Tensor, "w c"]) -> Int[Tensor, "r c"]:
        shape = a.shape[1], b.shape[1]
        words, ones, sums = (x[: shape[0] * shape[1]].view(shape) for x in (self.words, self.ones, self.sums))
        ones_, sums_, words_ = ones.numpy(), sums.numpy(), words.numpy().view(np.uint64)
        sums_[:] = 0
        for mine, theirs in zip(a.view(torch.int64), b.view(torch.int64), strict=True):
            torch.bitwise_xor(mine[:, None], theirs, out=words)  # three times as fast as NumPy's
            np.bitwise_count(words_, out=ones_)
            np.add(sums_, ones_, out=sums_)
        return sums


def _multiplied(patterns: Packed, others: Packed | None) -> Iterator[Tile]:
    """Yield tiles by products of bits."""
    second = patterns if others is None else others
    for rows in _edges(len(patterns.words), _GPU_ROWS):
        for columns in _edges(len(second.words), _GPU_COLUMNS, rows.start if others is None else 0):
            yield Tile(rows, columns, _multiply(patterns.words[rows], second.words[columns], patterns.n_bits))


def _multiply(a: UInt64[Tensor, "r w"], b: UInt64[Tensor, "c w"], n_bits: int) -> Int[Tensor, "r c"]:
    """Return the distances of all ``a`` to all ``b``."""
    found = torch.zeros(len(a), len(b), dtype=torch.int32, device=a.device)
    for part in _edges(a.shape[1], _HALF // 64):
        x, y = _numbers(a[:, part]), _numbers(b[:, part])
        found += x.sum(1, dtype=torch.int32)[:, None] + y.sum(1, dtype=torch.int32) - 2 * (x @ y.T).int()
    return found.to(distance_type(n_bits))


def _numbers(words: UInt64[Tensor, "n w"]) -> Float16[Tensor, "n b"]:
    """Return all bits of some words as numbers 0 and 1."""
    return bits.unpack(words.contiguous(), 64 * words.shape[1]).half()
