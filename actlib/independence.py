"""Whether patterns are what independent coins would throw, asked of distances and of single units.

If units are independent and unit i is active with probability p_i, two independent samples differ in it with
probability q_i = 2 p_i (1 - p_i): their distance follows the Poisson-binomial law, the sum of such coins. Fair coins
make it the binomial law of n_bits throws. So no law has to be drawn here, and no p-value is below what can be resolved.

The tests see different things. The mean distance is n_bits / 2 less 2 sum (p_i - 1/2)^2: it sees probabilities that are
not one half, and never that units depend on each other. The variance sees dependence. ``spectra`` sees which.

Distances must be those of independent pairs: of ``hamming.disjoint_pairs``.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numpy import ndarray
from scipy import stats

from actlib.activity import count_active
from actlib.neighbours import Array, check_count
from actlib.tiles import Patterns, as_patterns


class MeanTest(NamedTuple):
    """The mean distance against that of fair, independent coins.

    Attributes
    ----------
    mean, expected
        The mean found, and n_bits / 2.
    sd
        Standard deviation of the mean under the null.
    z
        (mean - expected) / sd.
    p_below
        The probability of such a mean or a lower one: the one-sided p-value of the document on activation patterns.
    p_value
        Two-sided.
    n_pairs
        Pairs of samples.
    """

    mean: float
    expected: float
    sd: float
    z: float
    p_below: float
    p_value: float
    n_pairs: int


class VarianceTest(NamedTuple):
    """The variance of the distance against that of independent units.

    Attributes
    ----------
    variance, expected
        Found, and sum q_i (1 - q_i), a quarter of n_bits for fair coins. NaN stands for what no unit varies for.
    sd
        Standard deviation of the variance under the null.
    z
        (variance - expected) / sd: above 0 if units go together.
    p_value
        Two-sided, by the normal law: good from some 100 pairs on.
    overdispersion
        The variance divided by that of a binomial law of the mean found, mean (1 - mean / n_bits).
    effective_bits
        n_bits / overdispersion: so many independent bits would scatter as much.
    """

    variance: float
    expected: float
    sd: float
    z: float
    p_value: float
    overdispersion: float
    effective_bits: float


class HeterogeneityTest(NamedTuple):
    """Whether all units are active with the same probability.

    Attributes
    ----------
    statistic, n_degrees
        Sum of squared deviations of the counts, each divided by its variance; chi-squared if units are independent.
    p_value
        Of the statistic. Units that depend on each other make it too small or too large.
    p_extreme
        Of the one unit farthest away, times the number of units: an upper bound, however units depend.
    rms
        Root of the mean square of p_i - p, less what counting adds by chance; 0 if there is less than that.
    """

    statistic: float
    n_degrees: int
    p_value: float
    p_extreme: float
    rms: float


def bernoulli_test(distances: Array, n_bits: int) -> MeanTest:
    """Return whether the mean distance is that of fair, independent coins. The null is exact.

    The sum of the distances of N independent pairs is then the number of heads in N n_bits throws of a fair coin.

    Parameters
    ----------
    distances
        (N), whole numbers from 0 to ``n_bits``, of pairs without a common sample.
    n_bits
        Units of the patterns.

    Raises
    ------
    ValueError
        If there is no distance, or one is out of range.

    Examples
    --------
    >>> bernoulli_test(np.array([1, 2, 3, 1]), 4).p_below
    0.4018096923828125
    """
    d = _as_distances(distances, n_bits, at_least=1)
    throws, sd = len(d) * n_bits, math.sqrt(n_bits / 4 / len(d))
    law = stats.binom(throws, 0.5)
    below, above = law.cdf(d.sum()), law.sf(d.sum() - 1)
    z = (d.mean() - n_bits / 2) / sd
    return MeanTest(
        float(d.mean()), n_bits / 2, sd, float(z), float(below), float(min(1, 2 * min(below, above))), len(d)
    )


def distance_law(probabilities: Array) -> Float64[ndarray, " b"]:
    """Return the probabilities of the distances 0, 1, ..., n_bits of two samples if units are independent.

    Parameters
    ----------
    probabilities
        (n_bits), 0 to 1: how likely each unit is active. All one half gives the binomial law.

    Raises
    ------
    ValueError
        If there is no probability or one is out of range.
    """
    law = np.ones(1)
    for q in _differing(probabilities):
        # The next unit differs or does not. All terms are positive, so nothing is lost by rounding.
        law = np.append(law * (1 - q), 0) + np.append(0, law * q)
    return law


def variance_test(distances: Array, n_bits: int, *, probabilities: Array | None = None) -> VarianceTest:
    """Return whether the distances scatter as those of independent units do.

    Parameters
    ----------
    distances, n_bits
        As in ``bernoulli_test``; two distances at least.
    probabilities
        (n_bits), the activation probability of each unit, so that units which differ in it are not taken for
        dependent ones; None for fair coins. From the same samples they may be taken, if these are many.

    Raises
    ------
    ValueError
        As ``bernoulli_test``, and if ``probabilities`` are not ``n_bits`` numbers from 0 to 1.
    """
    d = _as_distances(distances, n_bits, at_least=2)
    q = _differing(np.full(n_bits, 0.5) if probabilities is None else probabilities)
    if len(q) != n_bits:
        raise ValueError(f"{len(q)} probabilities for n_bits = {n_bits}; give one a unit")
    spread, n = q * (1 - q), len(d)
    expected, variance = spread.sum(), d.var(ddof=1)
    # The variance of a variance, with the fourth moment of a sum of coins.
    fourth = 3 * expected**2 + (spread * (1 - 6 * spread)).sum()
    sd = math.sqrt(max(0, fourth - expected**2 * (n - 3) / (n - 1)) / n)
    z = (variance - expected) / sd if sd else math.nan
    binomial = d.mean() * (1 - d.mean() / n_bits)
    over = variance / binomial if binomial else math.nan
    effective = n_bits / over if over else math.nan
    numbers = (variance, expected, sd, z, 2 * stats.norm.sf(abs(z)), over, effective)
    return VarianceTest(*map(float, numbers))


def heterogeneity_test(patterns: Patterns, *, probability: float | None = 0.5) -> HeterogeneityTest:
    """Return whether all units are active with one probability.

    Parameters
    ----------
    patterns
        Packed bits, or numbers 0 and 1.
    probability
        Above 0 and below 1; None for the one that all units share, whatever it is, of which two units are needed.

    Raises
    ------
    ValueError
        If ``patterns`` are none, or ``probability`` is out of range.
    """
    patterns = as_patterns(patterns)
    counts, n = count_active(patterns).double().cpu().numpy(), len(patterns.words)
    if probability is not None and not 0 < probability < 1:
        raise ValueError(f"probability = {probability:g}; give a number between 0 and 1, such as 0.5, or None")
    if probability is None and len(counts) < 2:
        raise ValueError("one unit has nothing to be compared with; give two at least, or a probability")
    p = counts.mean() / n if probability is None else probability
    n_degrees = len(counts) - (probability is None)
    if p in (0, 1):  # all units are constant, and all alike
        return HeterogeneityTest(0.0, n_degrees, 1.0, 1.0, 0.0)
    statistic = ((counts - n * p) ** 2).sum() / (n * p * (1 - p))
    farthest = int(counts[np.abs(counts - n * p).argmax()])
    extreme = min(1.0, len(counts) * stats.binomtest(farthest, n, p).pvalue)
    excess = max(0.0, (statistic / n_degrees - 1) * p * (1 - p) / n)
    p_value = stats.chi2.sf(statistic, n_degrees)
    return HeterogeneityTest(float(statistic), n_degrees, float(p_value), float(extreme), math.sqrt(excess))


def _as_distances(distances: Array, n_bits: int, at_least: int) -> Int64[ndarray, " p"]:
    """Return distances as an array, or raise ValueError."""
    check_count("n_bits", n_bits, 2**31, "a pattern")
    d = np.asarray(distances.detach().cpu() if isinstance(distances, torch.Tensor) else distances)
    if d.ndim != 1 or len(d) < at_least or d.dtype.kind not in "iu" or d.min() < 0 or d.max() > n_bits:
        raise ValueError(
            f"distances are {d.dtype} of shape {d.shape}"
            + (f", from {d.min()} to {d.max()}" if d.size and d.dtype.kind in "iuf" else "")
            + f"; give at least {at_least}, whole numbers from 0 to n_bits = {n_bits}"
        )
    return d.astype(np.int64)


def _differing(probabilities: Array) -> Float64[ndarray, " u"]:
    """Return how likely two samples differ in each unit, or raise ValueError."""
    probabilities = probabilities.detach().cpu() if isinstance(probabilities, torch.Tensor) else probabilities
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 1 or len(p) == 0 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"probabilities of shape {p.shape}; give (n_bits) numbers from 0 to 1")
    return 2 * p * (1 - p)
