"""Numbers that compare two groups, relate two quantities or say how sure a mean is, by scipy and scikit-learn.

Arrays of numpy in and out. Input that gives no answer (one class, a constant, a NaN) raises ValueError.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped
from numpy import ndarray
from scipy import stats


class Interval(NamedTuple):
    """A value with its interval; ``sd`` is the spread of the n single values and not of their mean."""

    mean: float
    low: float
    high: float
    sd: float
    n: int


def auroc(scores: Shaped[ndarray, "n *c"], labels: Bool[ndarray, " n"]) -> Float[ndarray, "*c"]:
    """Return the area under the ROC curve of each column: how often a score of a true sample beats one of a false.

    Parameters
    ----------
    scores
        (n) or (n, c), real; a column is one quantity, such as the mean activation of a channel.
    labels
        True for the samples that a high score is to find.

    Returns
    -------
    ndarray
        () or (c), 0 to 1; one half is chance, and equal scores count one half (Mann and Whitney 1947).

    Raises
    ------
    ValueError
        If all labels are the same or a score is NaN.

    Examples
    --------
    >>> auroc(np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]]), np.array([False, False, True]))
    array([1. , 0.5])
    """
    scores = _numbers(scores, "scores", infinite=True)
    n, n_true = len(labels), _count_true(scores, labels)
    if n_true in (0, n):
        raise ValueError(f"all {n} labels are {bool(n_true)}; give samples of both kinds")
    ranks = stats.rankdata(scores, axis=0)  # (n, *c), ties share their mean rank
    return np.asarray((ranks[labels].sum(0) / n_true - (n_true + 1) / 2) / (n - n_true))


def auroc_by_class(scores: Shaped[ndarray, "n c"], labels: Shaped[ndarray, " n"]) -> Float[ndarray, "k c"]:
    """Return the area under the ROC curve of each column for each class against all others, ranking only once.

    Parameters
    ----------
    scores
        (n, c), real, as in ``auroc``.
    labels
        The class of each sample; the rows of the result stand in the order of ``np.unique(labels)``.

    Raises
    ------
    ValueError
        If there is only one class or a score is NaN.
    """
    ranks = stats.rankdata(_numbers(scores, "scores", infinite=True), axis=0)
    classes, labels, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise ValueError(f"all {len(scores)} labels are {classes[0]}; give samples of at least two classes")
    members = np.zeros((len(classes), len(labels)))
    members[labels, np.arange(len(labels))] = 1
    counts = counts[:, None]
    return (members @ ranks / counts - (counts + 1) / 2) / (len(labels) - counts)


def d_prime(scores: Shaped[ndarray, "n *c"], labels: Bool[ndarray, " n"]) -> Float[ndarray, "*c"]:
    """Return d' of each column: the distance of the two means in units of sqrt of the mean of the two variances.

    For two Gaussians, whatever their widths, the area under the ROC curve is Phi(d' / sqrt 2) (Green and Swets 1966).

    Parameters
    ----------
    scores, labels
        As in ``auroc``, with at least two samples of each kind.

    Raises
    ------
    ValueError
        If a kind has fewer than two samples, a score is not finite, or a column is constant within both kinds.
    """
    difference, first, second = _moments(scores, labels)
    return np.asarray(difference / np.sqrt((first + second) / 2))


def spearman(x: Shaped[ndarray, " n"], y: Shaped[ndarray, " n"]) -> float:
    """Return Spearman's rank correlation, -1 to 1, of two quantities; ties share their mean rank.

    Raises
    ------
    ValueError
        If there are fewer than two pairs, a value is NaN or a quantity is constant.
    """
    x, y = _numbers(x, "x", infinite=True), _numbers(y, "y", infinite=True)
    if len(x) != len(y):
        raise ValueError(f"x has {len(x)} values and y {len(y)}; give pairs")
    for name, values in (("x", x), ("y", y)):
        if len(values) < 2 or (values == values[0]).all():
            raise ValueError(f"{name} has {len(values)} values, all equal; a rank correlation needs two that differ")
    return float(stats.spearmanr(x, y).statistic)


def interval(values: Shaped[ndarray, " n"], *, level: float = 0.95) -> Interval:
    """Return the mean of independent values, such as one a seed, with Student's interval for it.

    Parameters
    ----------
    values
        Two at least; the interval is exact where they are Gaussian.
    level
        The share of such intervals that hold the true mean, between 0 and 1.

    Raises
    ------
    ValueError
        If there are fewer than two values, one is not finite or ``level`` is out of range.
    """
    values = _numbers(values, "values")
    _check_level(level)
    n = len(values)
    if n < 2:
        raise ValueError(f"values has {n} entries; an interval needs at least two seeds")
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * sd / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, sd, n)


def bootstrap_interval(
    values: Shaped[ndarray, "n *d"],
    statistic: Callable[[ndarray], float],
    *,
    generator: np.random.Generator,
    level: float = 0.95,
    n_draws: int = 2_000,
) -> tuple[float, float]:
    """Return the percentile interval of a statistic over samples drawn with replacement (Efron 1979).

    Parameters
    ----------
    values
        Independent samples along the first axis.
    statistic
        A function of such an array that gives one number.
    generator
        The source of the draws.
    level
        Between 0 and 1.
    n_draws
        Samples drawn; 2,000 put an end of a 95 % interval within about 0.4 % of its level.

    Raises
    ------
    ValueError
        If there are fewer than two values, one is not finite, the statistic of a draw is NaN or an option is out of
        range.
    """
    values = _numbers(values, "values")
    _check_level(level)
    if len(values) < 2 or n_draws < 2:
        raise ValueError(f"{len(values)} values and n_draws = {n_draws}; give at least two of each")
    n = len(values)
    drawn = np.array([float(statistic(values[generator.integers(n, size=n)])) for _ in range(n_draws)])
    if np.isnan(drawn).any():
        raise ValueError(
            f"the statistic is NaN for {np.isnan(drawn).sum()} of {n_draws} draws; give one that every draw has, or "
            "more values"
        )
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _numbers(values: ndarray, name: str, *, infinite: bool = False) -> ndarray:
    """Return values as float64, or raise ValueError if one is NaN or, unless allowed, infinite."""
    values = np.asarray(values, dtype=np.float64)
    bad = np.isnan(values) if infinite else ~np.isfinite(values)
    if bad.any():
        kind = "NaN" if infinite else "NaN or infinite"
        first = tuple(int(k) for k in np.argwhere(bad)[0])
        raise ValueError(
            f"{bad.sum()} of {values.size} {name} are {kind}, the first at {first}; leave these samples out"
        )
    return values


def _count_true(scores: ndarray, labels: ndarray) -> int:
    """Return the number of true labels, or raise ValueError if they are no labels of these scores."""
    if labels.dtype != bool or labels.shape != scores.shape[:1]:  # integers would pick rows
        raise ValueError(
            f"labels are {labels.dtype} of shape {labels.shape} for {len(scores)} scores; give one bool each, such as "
            "classes == 3"
        )
    return int(labels.sum())


def _moments(scores: ndarray, labels: ndarray) -> tuple:
    """Return the difference of the means, true less false, and the two variances, of which one at least is positive."""
    scores = _numbers(scores, "scores")
    n_true = _count_true(scores, labels)
    if min(n_true, len(scores) - n_true) < 2:
        raise ValueError(f"{n_true} of {len(scores)} labels are True; give at least two samples of each kind")
    first, second = scores[labels], scores[~labels]
    flat = np.flatnonzero((first == first[0]).all(0) & (second == second[0]).all(0))
    if flat.size:
        raise ValueError(
            f"{flat.size} columns do not vary within either kind, the first is column {flat[0]}: there is no unit to "
            "measure the distance in; leave them out"
        )
    return first.mean(0) - second.mean(0), first.var(0, ddof=1), second.var(0, ddof=1)


def _check_level(level: float) -> None:
    """Raise ValueError if a level is no probability strictly between 0 and 1."""
    if not 0 < level < 1:
        raise ValueError(f"level = {level:g}; give a share between 0 and 1, such as 0.95")
