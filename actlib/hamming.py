"""The Hamming distance of patterns: in how many units two of them differ.

Patterns are packed bits, or numbers 0 and 1, of as many units each. All pairs are gone through without holding the
matrix of their distances, and work happens where the patterns are. Distances are whole numbers from 0 to the number of
bits, exact; divide by that number to compare layers.
"""

import numpy as np
import torch
from jaxtyping import Bool, Int, Int64
from torch import Tensor

from actlib.bits import Packed, unpack
from actlib.neighbours import Array, Neighbours, check_count
from actlib.tiles import Patterns, as_pair, as_patterns, distance_type, tiles

# Bytes of the largest matrix that is handed out.
_RETURNED = 2**31
# Pairs compared at a time where they are named one by one.
_PAIRS = 2**16
# Sides of what is mirrored at a time.
_SQUARE = 512
_NOT_WHOLE = {torch.bool, torch.half, torch.bfloat16, torch.float, torch.double, torch.cfloat, torch.cdouble}


def matrix(patterns: Patterns, others: Patterns | None = None) -> Int[Tensor, "n m"]:
    """Return the distances of all patterns to all others, or among themselves.

    Returns
    -------
    Tensor
        (n, m) or (n, n), int16, or int32 for more than 32,766 bits; where the patterns are.

    Raises
    ------
    ValueError
        If there is no pattern, numbers are neither 0 nor 1, patterns differ in length, or the matrix has more than
        2 GiB.

    Examples
    --------
    >>> matrix(np.array([[0, 0, 1], [0, 1, 1], [1, 1, 0]]))
    tensor([[0, 1, 3],
            [1, 0, 2],
            [3, 2, 0]], dtype=torch.int16)
    """
    patterns, others = as_pair(patterns, others)
    n, m = len(patterns.words), len((others or patterns).words)
    dtype = distance_type(patterns.n_bits)
    if n * m * dtype.itemsize > _RETURNED:
        raise ValueError(
            f"{n:,} x {m:,} distances: {n * m * dtype.itemsize / 2**30:.1f} GiB, more than {_RETURNED / 2**30:.1f}; "
            "use hamming.histogram or hamming.nearest, which hold no matrix, or give fewer patterns"
        )
    found = torch.empty(n, m, dtype=dtype, device=patterns.words.device)
    for rows, columns, distances in tiles(patterns, others):
        found[rows, columns] = distances
    if others is None:
        _mirror(found)
    return found


def histogram(patterns: Patterns, others: Patterns | None = None) -> Int64[Tensor, " b"]:
    """Return how many pairs are at distance 0, 1, ..., n_bits.

    Without others these are the n (n - 1) / 2 pairs of different patterns of one set, of which there must be two; with
    others all n m pairs of one pattern of each set. No matrix is held. Errors as ``matrix``.
    """
    patterns, others = as_pair(patterns, others)
    n, n_bits = len(patterns.words), patterns.n_bits
    if others is None and n < 2:
        raise ValueError("one pattern has no pair; give two at least, or others to compare it with")
    counts = torch.zeros(n_bits + 1, dtype=torch.int64, device=patterns.words.device)
    for rows, columns, distances in tiles(patterns, others):
        counts += _bins(distances, n_bits)
        if others is None and columns.start == rows.start:
            # Here each pair stands twice, and each pattern beside itself.
            square = _bins(distances[:, : rows.stop - rows.start], n_bits)
            square[0] += rows.stop - rows.start
            counts -= square // 2
    return counts


def nearest(patterns: Patterns, k: int, others: Patterns | None = None) -> Neighbours:
    """Return the ``k`` nearest others of each pattern, or its nearest in its own set, itself left out.

    Of those at the same distance, which are common, the first come first: to break ties by chance, shuffle the others
    before. No matrix is held.

    Raises
    ------
    ValueError
        As ``matrix``, and if there are fewer than ``k`` to choose from.
    """
    patterns, others = as_pair(patterns, others)
    n, alone = len(patterns.words), others is None
    n_others = n if alone else len(others.words)
    if n_others == alone:
        raise ValueError("one pattern has no neighbour; give two at least, or others to look among")
    check_count("k", k, n_others - alone, f"{n_others} patterns to look among")
    best = _Best((n, k), n_others, patterns)
    for rows, columns, distances in tiles(patterns, others):
        if alone and columns.start == rows.start:
            distances.fill_diagonal_(patterns.n_bits + 1)  # nobody's neighbour
        best.see(rows.start, columns.start, distances)
        if alone and columns.stop > rows.stop:
            behind = max(columns.start, rows.stop)
            best.see(behind, rows.start, distances[:, behind - columns.start :], dim=1)
    return Neighbours(best.keys % n_others, best.keys // n_others)


def pair_distances(patterns: Patterns, pairs: Array) -> Int64[Tensor, " p"]:
    """Return the distances of the patterns whose places ``pairs``, whole numbers (p, 2), name.

    Raises
    ------
    ValueError
        As ``matrix``, and if ``pairs`` are not of this shape or there is no such pattern.
    """
    words = as_patterns(patterns).words
    pairs = pairs if isinstance(pairs, Tensor) else torch.tensor(np.asarray(pairs))
    if pairs.ndim != 2 or pairs.shape[1] != 2 or len(pairs) == 0 or pairs.dtype in _NOT_WHOLE:
        raise ValueError(f"pairs are {pairs.dtype} of shape {tuple(pairs.shape)}; give whole numbers (p, 2)")
    if pairs.min() < 0 or pairs.max() >= len(words):
        raise ValueError(f"pairs reach from {pairs.min()} to {pairs.max()}; choose 0 to {len(words) - 1}")
    signed = words.view(torch.int64)
    found = [_ones(signed[part[:, 0]] ^ signed[part[:, 1]]) for part in pairs.to(words.device).long().split(_PAIRS)]
    return torch.cat(found)


def disjoint_pairs(n: int, n_pairs: int, *, generator: torch.Generator) -> Int64[Tensor, "p 2"]:
    """Return pairs drawn by chance from 0, ..., n - 1, none of which stands in two: their distances are independent.

    Raises
    ------
    ValueError
        If ``n_pairs`` is not 1 to n / 2.
    """
    if n < 2:
        raise ValueError(f"n = {n} patterns have no pair; give two at least")
    check_count("n_pairs", n_pairs, n // 2, f"{n} patterns, each in one pair only")
    return torch.randperm(n, generator=generator, device=generator.device)[: 2 * n_pairs].view(-1, 2)


class _Best:
    """The nearest seen so far of each pattern, as keys: distance times the number of others, plus the place."""

    def __init__(self, shape: tuple[int, int], n_others: int, patterns: Packed):
        # Distance n_bits + 1 stands for nobody. A span is larger than every key.
        self.nobody, self.n_others = patterns.n_bits + 1, n_others
        self.span = (self.nobody + 1) * n_others
        self.keys = torch.full(shape, self.nobody * n_others, dtype=torch.int64, device=patterns.words.device)

    def see(self, first: int, start: int, distances: Int[Tensor, "r c"], *, dim: int = 0) -> None:
        """Take in the distances of patterns from the ``first``, along ``dim``, to others from ``start``, in order."""
        n, n_others = distances.shape if dim == 0 else distances.shape[::-1]
        k, last = self.keys.shape[1], self.keys[first : first + n, -1] // self.n_others
        if k <= n_others and (last == self.nobody).any():
            last = torch.minimum(last, distances.kthvalue(k, dim=1 - dim).values + 1)
        # Not those equal to the last: who was seen before stands before.
        near = _true(distances < last.to(distances.dtype).unsqueeze(1 - dim))
        if len(near[0]):
            self._merge(first + near[dim], distances[near].long() * self.n_others + start + near[1 - dim])

    def _merge(self, patterns: Int64[Tensor, " c"], keys: Int64[Tensor, " c"]) -> None:
        """Keep the smallest keys of each pattern, of the old and the new ones."""
        k = self.keys.shape[1]
        touched, place, counts = patterns.unique(return_inverse=True, return_counts=True)
        shift = torch.arange(len(touched), device=keys.device) * self.span
        both = torch.cat([(self.keys[touched] + shift[:, None]).flatten(), keys + shift[place]]).sort().values
        begin = (counts + k).cumsum(0) - counts - k
        self.keys[touched] = both[begin[:, None] + torch.arange(k, device=keys.device)] - shift[:, None]


def _mirror(square: Int[Tensor, "n n"]) -> None:
    """Copy the half above the diagonal to that below, in squares that stay in a processor's cache."""
    for start in range(0, len(square), _SQUARE):
        rows = slice(start, start + _SQUARE)
        half = square[rows, rows].triu()
        square[rows, rows] = half + half.triu(1).T
        for other in range(start + _SQUARE, len(square), _SQUARE):
            columns = slice(other, other + _SQUARE)
            square[columns, rows] = square[rows, columns].clone().T.contiguous()


def _bins(distances: Int[Tensor, "r c"], n_bits: int) -> Int64[Tensor, " b"]:
    """Return how many distances are 0, 1, ..., n_bits."""
    return torch.bincount(distances.flatten(), minlength=n_bits + 1)


def _true(mask: Bool[Tensor, "r c"]) -> tuple[Int64[Tensor, " t"], Int64[Tensor, " t"]]:
    """Return the rows and columns of what is true."""
    flat = mask.flatten()
    # NumPy finds a few among many seven times as fast.
    places = torch.from_numpy(np.flatnonzero(flat.numpy())) if flat.device.type == "cpu" else flat.nonzero()[:, 0]
    return places // mask.shape[1], places % mask.shape[1]


def _ones(words: Int64[Tensor, "p w"]) -> Int64[Tensor, " p"]:
    """Return the number of ones in the words of each pattern."""
    if words.device.type == "cpu":
        return torch.from_numpy(np.bitwise_count(words.numpy().view(np.uint64)).sum(1, dtype=np.int64))
    return unpack(words.view(torch.uint64), 64 * words.shape[1]).sum(1)
