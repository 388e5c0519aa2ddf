"""Who is near whom: nearest neighbours, and what of them a picture of the points keeps.

A *point* is one sample, its values in one row: anything of shape (n, ...) is flattened to (n, d). Distances are
Euclidean. They are computed where the points are, in float64, a block of rows at a time: beside the points never more
than a few hundred MB. Of two points at the same distance the one with the lower index comes first.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64, Shaped
from torch import Tensor

Array = Shaped[Tensor, "..."] | Shaped[np.ndarray, "..."] | Sequence[Any]

# Values of one block: 32 MB.
_BLOCK = 2**22
# Rows compared at a time: they stay in the processor's cache, which is seven times as fast.
_CACHED_ROWS = 32
# Types that torch can compare; others, such as uint16, become float64.
_COMPARED = {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
             torch.half, torch.bfloat16, torch.float, torch.double}  # fmt: skip


class Neighbours(NamedTuple):
    """For each point, or pattern, its k nearest others, nearest first, and their distances: whole between patterns."""

    indices: Int64[Tensor, "n k"]
    distances: Float64[Tensor, "n k"] | Int64[Tensor, "n k"]


def nearest(x: Array, k: int) -> Neighbours:
    """Return the ``k`` nearest neighbours of each point, 1 to n - 1, itself left out; copies of it are at distance 0.

    Raises
    ------
    ValueError
        If ``x`` is no set of points (see ``as_points``) or ``k`` is out of range.
    """
    x, found = as_points(x), []
    check_count("k", k, len(x) - 1, f"{len(x)} points")
    for _, squares in _blocks(x, own=math.inf):
        # One more than asked for shows where a tie is cut in two: only there all must be sorted.
        values, indices = squares.topk(k + 1, largest=False)
        cut = values[:, k] == values[:, k - 1]
        indices = indices[:, :k]
        indices[cut] = squares[cut].sort(stable=True).indices[:, :k]
        indices = indices.sort().values
        values, order = squares.gather(1, indices).sort(stable=True)
        found.append(Neighbours(indices.gather(1, order), values.sqrt()))
    return Neighbours(*map(torch.cat, zip(*found, strict=True)))


def accuracy(x: Array, labels: Array, k: int = 10) -> float:
    """Return the share of points whose class is the commonest among their ``k`` nearest neighbours (leave-one-out).

    Where classes are equally common, the one with the nearest member is taken.

    Raises
    ------
    ValueError
        As ``nearest``, and if there is not one whole number a point in ``labels``.
    """
    near = nearest(x, k).indices
    labels = _as_labels(labels, len(near)).to(near.device)
    theirs = labels[near]  # (n, k)
    votes = sum((theirs == theirs[:, [j]]).int() for j in range(k))
    winners = theirs.gather(1, votes.argmax(1, keepdim=True))[:, 0]  # argmax: the first, and so the nearest
    return (winners == labels).double().mean().item()


def trustworthiness(x: Array, y: Array, k: int = 12) -> float:
    """Return how far the neighbours seen in a picture can be believed: 1 - 2 / (n k (2n - 3k - 1)) sum (r(i, j) - k).

    The sum runs over the points j that are among the ``k`` nearest of i in the picture ``y`` but not in ``x``, where
    j is the r-th nearest of i (Venna and Kaski 2001; Kaski et al. 2003). It is 1 if every neighbour in the picture is
    one in truth, about one half for a random picture, at worst 0. ``x`` and ``y`` are (n, ...), in the same order;
    ``k`` is at least 1 and below n / 2.

    Raises
    ------
    ValueError
        If ``x`` or ``y`` is no set of points, their numbers differ, or ``k`` is out of range.
    """
    return _kept(*_pair(x, y, k), k)


def continuity(x: Array, y: Array, k: int = 12) -> float:
    """Return how many neighbours the picture has kept together: trustworthiness with the roles of both exchanged.

    Here the sum runs over the points that are near in ``x`` and not in the picture ``y``, with their ranks in ``y``
    (Venna and Kaski 2001). A picture that tears a surface is trustworthy and not continuous; one that folds it is
    continuous and not trustworthy. Arguments, range and errors as there.
    """
    return _kept(*reversed(_pair(x, y, k)), k)


def silhouette(x: Array, labels: Array) -> float:
    """Return the mean silhouette of the classes: (b - a) / max(a, b), in [-1, 1].

    For each point a is its mean distance to the others of its class and b that to the nearest other class. A point
    alone in its class counts 0 (Rousseeuw 1987).

    Raises
    ------
    ValueError
        If ``x`` is no set of points, or ``labels`` are not one whole number a point or name not 2 to n - 1 classes.
    """
    x = as_points(x)
    classes, labels = _as_labels(labels, len(x)).to(x.device).unique(return_inverse=True)
    if not 2 <= len(classes) < len(x):
        raise ValueError(f"labels name {len(classes)} classes for {len(x)} points; a silhouette needs 2 to n - 1")
    members = torch.eye(len(classes), dtype=torch.float64, device=x.device)[labels]  # (n, k)
    counts, total = members.sum(0), 0.0
    for rows, squares in _blocks(x, own=0.0):
        own, sums = labels[rows, None], squares.sqrt_() @ members
        sizes = counts[own] - 1
        within = sums.gather(1, own) / sizes.clamp_min(1)
        between = (sums / counts).scatter(1, own, math.inf).amin(1, keepdim=True)
        scores = (between - within) / torch.maximum(between, within)
        total += scores.where(sizes > 0, 0).nan_to_num(0).sum().item()  # nan: both are 0, copies in two classes
    return total / len(x)


def as_points(x: Array, name: str = "x") -> Shaped[Tensor, "n d"]:
    """Return ``x``, numbers of any type, as a tensor (n, d), the same memory where that can be, checked.

    Raises
    ------
    ValueError
        If there are fewer than two points or no values, values are no real numbers, NaN or infinite (the message
        tells how many points and the first), or so large or so alike that squares of differences are no numbers or 0.
    """
    if not isinstance(x, Tensor):
        x = np.asarray(x)
        if x.dtype.kind not in "biuf":
            raise ValueError(f"{name} is of type {x.dtype}; give real numbers")
        with warnings.catch_warnings():
            # Not writable, as files mapped to memory are: it is only read. Too large for 64 bits: refused as infinite.
            warnings.simplefilter("ignore")
            known = x.dtype.isnative and x.itemsize <= 8
            x = torch.from_numpy(np.ascontiguousarray(x, dtype=x.dtype if known else np.float64))
    if x.ndim == 0 or len(x) < 2 or x.numel() == 0 or x.is_complex():
        raise ValueError(f"{name} is {x.dtype} of shape {tuple(x.shape)}; give at least two points of real numbers")
    x = x.detach().reshape(len(x), -1)
    x = x.byte() if x.dtype == torch.bool else x if x.dtype in _COMPARED else x.double()
    low, high = (ends.double() for ends in x.aminmax(dim=0))  # both hand on a NaN
    if not (low.isfinite().all() and high.isfinite().all()):
        bad = (~x.isfinite()).any(1).nonzero()[:, 0].tolist()
        told = f"{len(bad)} of {len(x)} points in {name} hold NaN or infinity, the first is point {bad[0]}"
        raise ValueError(f"{told}; repair or leave out these points")
    if (low == high).all():
        raise ValueError(f"all {len(x)} points in {name} are the same; give points that differ")
    largest, spread = torch.maximum(-low, high).max().item(), (high - low).max().item()
    if largest > 1e100 or spread < 1e-100:
        raise ValueError(f"{name} goes to {largest:.3g} and differs by {spread:.3g}; scale it to 1e-100 to 1e100")
    return x


def first_copies(x: Shaped[Tensor, "n d"]) -> Int64[Tensor, " n"]:
    """Return for each point the lowest index of a point equal to it: its own, unless it is a copy."""
    index, (_, groups, counts) = torch.arange(len(x), device=x.device), _keys(x).unique(True, True, True)
    twins = index[counts[groups] > 1]
    if len(twins):  # they share a key; whether they are equal their values say
        _, groups = x[twins].unique(dim=0, return_inverse=True)
        index[twins] = twins.scatter_reduce(0, groups, twins, "amin", include_self=False)[groups]
    return index


def _keys(x: Shaped[Tensor, "n d"]) -> Int64[Tensor, " n"]:
    """Return whole numbers that are the same for equal points, and seldom for others."""
    drawn = torch.randint(-(2**63), 2**63 - 1, (x.shape[1],), generator=torch.Generator().manual_seed(0))
    weights = drawn.to(x.device) | 1
    # Adding 0.0 makes -0.0 and 0.0 one. Whole numbers wrap around: unlike floats, their sum is the same in any order.
    bits = ((part.double() + 0.0).view(torch.int64) for part in x.split(max(1, _BLOCK // x.shape[1])))
    return torch.cat([((part ^ (part >> 32)) * weights).sum(1) for part in bits])


def check_count(name: str, count: int, largest: int, found: str) -> None:
    """Raise ValueError if ``count`` is no whole number from 1 to ``largest``, the most that ``found`` allow."""
    whole = isinstance(count, int | np.integer) and not isinstance(count, bool)
    if not (whole and 1 <= count <= largest):
        raise ValueError(f"{name} = {count!r} for {found}; choose 1 to {largest}" + ", a whole number" * (not whole))


def _blocks(x: Shaped[Tensor, "n d"], *, own: float) -> Iterator[tuple[slice, Float64[Tensor, "b n"]]]:
    """Yield for one block of points after another its rows and their squared distances to all; ``own`` to themselves.

    By a*a + b*b - 2ab, which loses digits where the points are far from the origin: so one near the middle is
    made the origin, a point and not the mean, which would turn whole numbers into rounded ones.
    """
    (n, d), first = x.shape, first_copies(x)
    parts = x.split(max(1, _BLOCK // d))
    mean = sum(part.sum(0, dtype=torch.float64) for part in parts) / n
    origin = x[torch.cat([(part - mean).square().sum(1) for part in parts]).argmin()].double()
    step = max(1, _BLOCK // max(n, d))
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        a, blocks = x[rows] - origin, []  # (b, d)
        for part in parts:
            b = part - origin
            sums = a.square().sum(1, keepdim=True) + b.square().sum(1)
            blocks.append(sums.addmm_(a, b.T, alpha=-2).clamp_min_(0))
        # Rounding must not set a copy apart from its original: they take the same column.
        squares = torch.cat(blocks, 1)[:, first]
        squares.masked_fill_(first[rows, None] == first, 0)
        squares.diagonal(start).fill_(own)
        yield rows, squares


def _pair(x: Array, y: Array, k: int) -> tuple[Shaped[Tensor, "n d"], Shaped[Tensor, "n e"]]:
    """Return points and their picture, checked."""
    x, y = as_points(x), as_points(y, name="y")
    if len(x) != len(y):
        raise ValueError(f"x has {len(x)} points and y {len(y)}; give a picture of the same points, in the same order")
    check_count("k", k, (len(x) - 1) // 2, f"{len(x)} points")
    return x, y.to(x.device)


def _kept(x: Shaped[Tensor, "n d"], y: Shaped[Tensor, "n e"], k: int) -> float:
    """Return the trustworthiness of ``y`` as a picture of ``x``."""
    n, near, too_far = len(x), nearest(y, k).indices.to(x.device), 0
    for rows, squares in _blocks(x, own=math.inf):
        too_far += (_ranks(squares, near[rows]) - k).clamp_min(0).sum().item()
    return 1 - 2 / (n * k * (2 * n - 3 * k - 1)) * too_far


def _ranks(squares: Float64[Tensor, "b n"], indices: Int64[Tensor, "b k"]) -> Int64[Tensor, "b k"]:
    """Return the rank of each of the given points in its row, 1 for the nearest."""
    order, found = torch.arange(squares.shape[1], device=squares.device), []
    for rows, theirs in zip(squares.split(_CACHED_ROWS), indices.split(_CACHED_ROWS), strict=True):
        places = [(j, rows.gather(1, j)) for j in theirs.split(1, dim=1)]
        nearer = [((rows < here) | ((rows == here) & (order < j))).count_nonzero(1) for j, here in places]
        found.append(torch.stack(nearer, 1) + 1)
    return torch.cat(found)


def _as_labels(labels: Array, n: int) -> Shaped[Tensor, " n"]:
    """Return one whole number a point as a tensor, checked."""
    found = labels if isinstance(labels, Tensor) else np.asarray(labels)
    if isinstance(found, np.ndarray) and found.dtype.kind in "biu":
        found = torch.from_numpy(found.astype(np.int64))
    whole = isinstance(found, Tensor) and not (found.is_floating_point() or found.is_complex())
    if found.shape != (n,) or not whole:
        raise ValueError(f"labels: {found.dtype} of shape {tuple(found.shape)}; give {n} whole numbers, one a point")
    return found.long()
