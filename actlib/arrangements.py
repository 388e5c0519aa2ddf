"""Arrangements of hyperplanes: how many regions they make, which ones, and how large those of 4.3.3 are.

A layer of n units, each weights . x + bias, cuts its input space by n hyperplanes; a region is where the signs, its
pattern, stay the same. Seen from the weights, each input is a hyperplane too: the second half holds the law of how
many of all inputs in {0, 1}^n activate a random unit. *The study* is the study of activation patterns (Swiniarski,
Bruna and Cho).
"""

import math
from collections.abc import Iterable
from fractions import Fraction
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Shaped
from numpy import ndarray
from scipy import optimize

# Regions are looked for as wide as this at least, where 1 is the distance of the farthest hyperplane (or 1).
_NARROWEST = 1e-9


class Regions(NamedTuple):
    """The m regions of n hyperplanes: the side of each, True where the unit is active, and a point inside."""

    patterns: Bool[ndarray, "m n"]
    points: Float64[ndarray, "m d"]


def affine(n: int, r: int) -> int:
    """Return F(n, r) = sum over k up to r of C(n, k), the regions of n hyperplanes in general position in R^r.

    This is what n units with biases and weights of rank r make (Buck 1943; Zaslavsky 1975), and the most that any
    can; parallel hyperplanes, or more than r through one point, make fewer. Raises ValueError if a number is below 0.
    """
    _check("n", n, 0)
    _check("r", r, 0)
    return sum(math.comb(n, k) for k in range(min(n, r) + 1))


def central(n: int, r: int) -> int:
    """Return 2 sum over k below r of C(n - 1, k): the regions if all pass through 0, units without biases; r >= 1.

    Otherwise in general position: any r of them meet in 0 alone (Schläfli 1901; Cover 1965).
    """
    _check("n", n, 0)
    _check("r", r, 1)
    return 2 * affine(n - 1, r - 1) if n else 1


def recurrence(n: int, r: int) -> int:
    """Return f(n, r), 1 <= r <= n, from (59) to (61) of the study alone: what it guessed is ``affine``.

    f(n, n) = 2^n, f(n, 1) = n + 1, f(n + 1, r + 1) = f(n, r + 1) + f(n, r). Proof: the n old hyperplanes cut the new
    one into f(n, r) pieces, and each piece cuts one old region in two. ``central`` obeys (59) and (61) too, but not
    (60): units without biases on a line make 2 regions.
    """
    _check("n", n, 1)
    _check("r", r, 1, n)
    row = [2]  # f(m, 1), ..., f(m, m)
    for m in range(2, n + 1):
        row = [m + 1, *(row[k] + row[k - 1] for k in range(1, m - 1)), 2**m]
    return row[r - 1]


def regions(
    weights: Shaped[ndarray, "n d"], biases: Shaped[ndarray, " n"] | None = None, *, most: int = 2_000
) -> Regions:
    """Return every region of a layer by linear programming, in general position or not, adding unit after unit.

    A known region lies on one side of the next hyperplane at least: where its point is. One programme looks for the
    point on the other side that is farthest from all hyperplanes, and this region counts if the point's signs are
    right. The search runs in the row space of the weights, with at most ``affine(n, rank + 1)`` programmes of 1 to
    4 ms: 300 regions of 12 units in rank 3 take about 3 s.

    Parameters
    ----------
    weights, biases
        (n, d) and (n); None is no biases.
    most
        Allowed regions, since they may be as many as ``affine(n, rank)``, or ``central`` without biases.

    Raises
    ------
    ValueError
        If there may be more regions than ``most``, a value is not finite, shapes differ or a row of weights is 0.

    Notes
    -----
    A region that holds no ball of the radius 1e-9, in units of the distance of the farthest hyperplane from 0, is
    left out: where hyperplanes meet in one point, rounding makes such regions.
    """
    weights, biases, central_ones = _layer(weights, biases)
    n, d = weights.shape
    _, sizes, axes = np.linalg.svd(weights, full_matrices=False)
    rank = int((sizes > sizes.max(initial=0) * max(n, d) * np.finfo(np.float64).eps).sum())
    bound = central(n, max(rank, 1)) if central_ones else affine(n, rank)
    if bound > most:
        raise ValueError(
            f"{n} hyperplanes of rank {rank} may have {bound} regions, allowed are most = {most}; give fewer units, "
            "inputs on a plane (rank 2), or a larger most"
        )
    normals, scale = weights @ axes[:rank].T, float(np.abs(biases).max(initial=0)) or 1.0  # (n, rank)
    offsets = biases / scale
    found = [(np.zeros(0, dtype=bool), np.zeros(rank))]
    for i in range(n):
        found = [piece for pattern, point in found for piece in _divide(pattern, point, normals, offsets, i)]
    patterns, points = map(np.array, zip(*found, strict=True))
    return Regions(patterns, points @ axes[:rank] * scale)


def uniform_law(n: int) -> list[Fraction]:
    """Return P(K = 0), ..., P(K = 2^n), where K of the 2^n inputs in {0, 1}^n activate a random unit, n 1 to 16.

    It is (30) and (31) of the study: 1/2^(n+1) at both ends, 1/2^n between. It holds for every n, for independent
    weights of any continuous symmetric laws and a bias of random sign that is small beside every sum of weights.
    Proof: flip the signs of the weights in a set B, and the sum over A becomes that over (A xor B) less that over B.
    So K counts the subset sums above the sum over B, which takes every rank once as B runs through all subsets (the
    typical values of Hartigan 1969). The input 0 gives the bias alone, and adds 1 half of the time.
    """
    _check("n", n, 1, 16)
    inner = Fraction(1, 2**n)
    return [inner / 2, *[inner] * (2**n - 1), inner / 2]


def sign_flip_law(weights: Shaped[ndarray, " n"], bias: float | int = 0.0) -> Float64[ndarray, " k"]:
    """Return the law of K, as in ``uniform_law``, where only the signs of given weights and bias are random.

    Exact: all 2^(n+1) choices of signs are tried, n is 1 to 20. A bias of 0 is the limit of small ones. Where all
    subset sums differ this limit is ``uniform_law``; for the weights 1 and 1 it is not. Raises ValueError for more
    weights, or if one is not finite.
    """
    weights, bias = np.abs(np.asarray(weights, dtype=np.float64)), abs(float(bias))
    if weights.ndim != 1 or not np.isfinite([*weights.ravel(), bias]).all():
        raise ValueError(f"weights are {weights.shape}, bias = {bias:g}; give (n) and a number, all finite")
    _check("the number of weights", len(weights), 1, 20)
    sums = np.zeros(1)
    for weight in weights:
        sums = np.concatenate([sums, sums + weight])
    sums.sort()
    lower = np.searchsorted(sums, sums - bias, "right" if bias else "left")  # sums that stay at or below 0
    higher = np.searchsorted(sums, sums + bias, "right")
    counts = np.bincount(len(sums) - np.concatenate([lower, higher]), minlength=len(sums) + 1)
    return counts / counts.sum()


def stated_bias_law(n: int) -> list[Fraction]:
    """Return the law of K, as in ``uniform_law``, for weights and bias that are all uniform on [-m, m], n 1 to 3.

    This is the bias that (24) of the study states, and the law is not uniform: (30) and (31) are false for it. It is
    exact. The signs are averaged as in the proof of ``uniform_law``. The absolute values fill a cube, cut into
    simplices wherever a difference of two subset sums equals the bias, and on each of these K is known.
    """
    _check("n", n, 1, 3)  # 4 takes minutes
    forms = [(1, *rest) for rest in product((-1, 0, 1), repeat=n)]
    subsets = list(product((0, 1), repeat=n))
    law = [Fraction(0)] * (2**n + 1)
    for place in range(n + 1):  # the rank of the bias among the absolute values; the weights may change places
        ranks = [place, *(k for k in range(n + 1) if k != place)]
        corners = [tuple(Fraction(rank >= j) for rank in ranks) for j in range(n + 1)]
        for share, vertices in _cut(Fraction(1, n + 1), corners, forms):
            bias, *values = map(sum, zip(*vertices, strict=True))  # a multiple of the centre
            sums = [_dot(bits, values) for bits in subsets]
            for own, signed in product(sums, (bias, -bias)):
                law[sum(other > own + signed for other in sums)] += share / 2 ** (n + 1)
    return law


def _layer(weights: ndarray, biases: ndarray | None) -> tuple[ndarray, ndarray, bool]:
    """Return rows of length 1 and their biases, checked, and whether all hyperplanes pass through 0."""
    weights = np.asarray(weights, dtype=np.float64)
    biases = np.zeros(len(weights)) if biases is None else np.asarray(biases, dtype=np.float64)
    if weights.ndim != 2 or not weights.shape[1] or biases.shape != weights.shape[:1]:
        raise ValueError(f"weights are {weights.shape} and biases {biases.shape}; give (n, d) and (n)")
    if not (np.isfinite(weights).all() and np.isfinite(biases).all()):
        raise ValueError("weights or biases hold NaN or infinity; give finite numbers")
    lengths = np.linalg.norm(weights, axis=1)
    if (lengths == 0).any():
        raise ValueError(f"unit {int(np.argmin(lengths))} has weights 0: it has no hyperplane; leave it out")
    return weights / lengths[:, None], biases / lengths, not biases.any()


def _divide(pattern: ndarray, point: ndarray, normals: ndarray, offsets: ndarray, i: int) -> list:
    """Return the pieces of a region, one or two, that hyperplane i leaves: their patterns and points inside."""
    pieces = []
    height = normals[i] @ point + offsets[i]
    for side in (False, True):
        longer, inside = np.append(pattern, side), point
        if (height if side else -height) <= _NARROWEST:
            inside = _deepest(np.where(longer, 1, -1), normals[: i + 1], offsets[: i + 1])
        if inside is not None:
            pieces.append((longer, inside))
    return pieces


def _deepest(signs: ndarray, normals: ndarray, offsets: ndarray) -> ndarray | None:
    """Return the point farthest from all hyperplanes, at most 1, with these signs; None if there is none."""
    sides = np.column_stack([-signs[:, None] * normals, np.ones(len(signs))])
    found = optimize.linprog(
        [0.0] * normals.shape[1] + [-1.0],  # maximise the distance, the last variable
        A_ub=sides,
        b_ub=signs * offsets,
        bounds=[(None, None)] * normals.shape[1] + [(None, 1)],
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if found.status != 0:
        raise RuntimeError(f"the linear programme of a region failed: {found.message}")
    point = found.x[:-1]
    return point if (signs * (normals @ point + offsets)).min() > _NARROWEST else None


def _cut(share: Fraction, vertices: list, forms: list) -> list:
    """Return a simplex in pieces on which no form changes its sign, each with its share of the volume."""
    pieces = [(share, vertices)]
    for form in forms:
        todo, pieces = pieces, []
        while todo:
            share, vertices = todo.pop()
            heights = [_dot(form, vertex) for vertex in vertices]
            top, low = max(heights), min(heights)
            if low >= 0 or top <= 0:
                pieces.append((share, vertices))
                continue
            # Where the form is 0 on the edge between its extremes the simplex is cut in two.
            i, j, t = heights.index(top), heights.index(low), top / (top - low)
            corner = tuple(a + t * (b - a) for a, b in zip(vertices[i], vertices[j], strict=True))
            todo.append((share * (1 - t), [corner if k == i else v for k, v in enumerate(vertices)]))
            todo.append((share * t, [corner if k == j else v for k, v in enumerate(vertices)]))
    return pieces


def _dot(a: Iterable, b: Iterable) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


def _check(name: str, value: int, low: int, high: float | int = math.inf) -> None:
    """Raise ValueError if a count is out of range."""
    if not low <= value <= high:
        allowed = f"{low} or more" if high == math.inf else f"{low} to {high}"
        raise ValueError(f"{name} = {value}; allowed is {allowed}")
