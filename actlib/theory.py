"""Closed forms for a layer at its initialisation: what a random unit does, before anything is measured.

Weights are independent, symmetric and of one law. PyTorch's default for a linear layer with n inputs draws weights and
biases from U(-1/sqrt n, 1/sqrt n): each has the variance 1/(3n). *The study* is the study of activation patterns
(Swiniarski, Bruna and Cho), with its sections and equations; ``arrangements`` holds the exact laws of its 4.3.3.
A number or an array of any shape may be given where the type is ``Real``. A value out of range raises ValueError.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Shaped
from numpy import ndarray
from scipy import optimize
from scipy.special import log_ndtr, ndtr, ndtri

Number = float | int
Real = Shaped[ndarray, "..."] | Number

# Correlation of a rectified Gaussian with its bit when both are centred, as batch normalisation does: 0.683.
CENTRED_PATTERN_CORRELATION = 1 / math.sqrt(math.pi - 1)
# Where ``pattern_correlation`` of its own result, layer by layer, comes to rest: 0.664, equal signs in 73.1 %.
BINARISED_FIXED_POINT = 1 / (math.sqrt(2 * math.pi) - 1)


class Law(NamedTuple):
    """Mean and standard deviation of a random quantity."""

    mean: Real
    sd: Real


class Depth(NamedTuple):
    """The pre-activations of each layer: mean square, correlation of two random inputs, and its ``kappa``."""

    mean_square: Float64[ndarray, " l"]
    correlation: Float64[ndarray, " l"]
    kappa: Float64[ndarray, " l"]


def kappa(correlation: Real) -> Real:
    """Return kappa = sqrt(c / (1 - c)), where c, 0 to 1, is the correlation of pre-activations of two random inputs.

    Over the inputs the pre-activation of a unit is about Gaussian, with a mean of its own. So its probability to be
    active is Phi(kappa Z), Z standard normal: near 1/2 for a small kappa, uniform for 1, near 0 or 1 for a large one.
    For inputs h, kappa^2 = (norm(E h)^2 + v) / tr Cov(h), where v is the variance of a bias over that of a weight: for
    fair bits and PyTorch's bias 1 + 4/n, so that 4.3.3 of the study holds for large n.
    """
    c = _within("correlation", correlation, 0, 1)
    with np.errstate(divide="ignore"):
        return np.sqrt(c / (1 - c))


def activation_cdf(p: Real, kappa: Real) -> Real:
    """Return the share of units whose activation probability is at most ``p``, 0 to 1, for a finite ``kappa`` above 0.

    Twice that of 0.01 is the share of saturated units, those with a probability below 1 % or above 99 %.
    """
    return ndtr(ndtri(_within("p", p, 0, 1)) / _positive("kappa", kappa))


def activation_pdf(p: Real, kappa: Real) -> Real:
    """Return the density of the activation probability at ``p``, between 0 and 1, for a finite ``kappa`` above 0."""
    kappa = _positive("kappa", kappa)
    return np.exp(ndtri(_within("p", p, 0, 1, ends=False)) ** 2 * (1 - kappa**-2) / 2) / kappa


def arc_cosine(correlation: Real, degree: int = 1) -> Real:
    """Return the arc-cosine kernel of two vectors of length 1, scaled to 1 at 1 (Cho and Saul 2009, equations 3 to 6).

    ``correlation``, -1 to 1, is that of two Gaussians of mean 0. Degree 1 is what ReLU makes of it, not centred:
    E[f g] over the root mean squares. Degree 0 is the probability that both have the same sign (Sheppard 1899): the
    agreement of 4.3.2 in the study, and the expected share of equal bits of two patterns.
    """
    c = _within("correlation", correlation, -1, 1)
    if degree not in (0, 1):
        raise ValueError(f"degree = {degree}; choose 0 (signs) or 1 (ReLU)")
    same = 1 - np.arccos(c) / np.pi
    return same if degree == 0 else np.sqrt((1 - c) * (1 + c)) / np.pi + c * same


def depth_recursion(
    mean_square: Number, correlation: Number, gains: Shaped[ndarray, " l"], bias_variances: Shaped[ndarray, " l"]
) -> Depth:
    """Return what reaches each of l wide ReLU layers at initialisation (Cho and Saul 2009; Poole et al. 2016).

    Parameters
    ----------
    mean_square, correlation
        Of the network's input: the mean square of a value (above 0) and, over it, the mean product of the values of
        two images (0 to 1).
    gains, bias_variances
        One a layer: its number of inputs n times the variance of a weight, and the variance of a bias. PyTorch's
        default is 1/3 and 1/(3n): a sixth of the signal remains in each layer, until there is little but biases.
    """
    q, c = float(_positive("mean_square", mean_square)), float(_within("correlation", correlation, 0, 1))
    gains, biases = _positive("gains", gains), _within("bias_variances", bias_variances, 0, _LARGEST)
    if gains.ndim != 1 or gains.shape != biases.shape or not gains.size:
        raise ValueError(f"gains are {gains.shape} and bias_variances {biases.shape}; give one of each a layer: (l)")
    found = []
    for gain, bias in zip(gains, biases, strict=True):
        signal = gain * (q / 2 if found else q)
        c = (signal * (arc_cosine(c) if found else c) + bias) / (signal + bias)
        q, c = signal + bias, min(c, 1.0)  # rounding may lead beyond 1
        found.append((q, c))
    squares, correlations = np.array(found).T
    return Depth(squares, correlations, kappa(correlations))


def pattern_correlation(correlation: Real = 1.0) -> Real:
    """Return the correlation of a unit's values for many activations and for a pattern in their place (4.3.2).

    The activations are rectified Gaussians; the pattern holds the bits of Gaussians that have a ``correlation``, -1 to
    1, with these. It is (1 + c) / sqrt(2 pi), so sqrt(2 / pi) for their own pattern. Where every layer is binarised it
    falls to ``BINARISED_FIXED_POINT``, where only the first is, ``arc_cosine`` raises it: errors do not add up.
    """
    return (1 + _within("correlation", correlation, -1, 1)) / math.sqrt(2 * math.pi)


def pattern_agreement(n: Number = math.inf) -> float:
    """Return how often a unit's sign is the same for n activations and for their pattern: the 79 % of 4.3.2.

    The activations are a first layer's, rectified Gaussians of deviation 0.577; the unit is Gaussian, with PyTorch's
    variances. To first order in 1/n, for n from 64 on. Proof: the relative change of the cosine has the mean 1/2 (the
    moments over n values) + sqrt(6 pi) - 4 (the bias) and the variance pi - 3, each over n.
    """
    odds = 2 / (math.pi - 2)  # c^2 / (1 - c^2) for c^2 = 2 / pi
    change = 1 / 2 + math.sqrt(6 * math.pi) - 4 + odds * (math.pi - 3) / 2
    at_once = float(arc_cosine(pattern_correlation(), 0))
    return at_once + math.sqrt(odds) / math.pi * change / float(_within("n", n, 64))


def hamming(correlation: Real, n: int) -> Law:
    """Return the law of the distance of two patterns of n units whose pre-activations have a ``correlation``, -1 to 1.

    The mean is n angle / pi (Goemans and Williamson 1995; Charikar 2002); the deviation takes units as independent.
    """
    n, p = float(_within("n", n, 1)), 1 - arc_cosine(correlation, 0)
    return Law(n * p, np.sqrt(n * p * (1 - p)))


def hamming_of_independent(probabilities: Shaped[ndarray, " n"]) -> Law:
    """Return the law of the distance of the patterns of two independent inputs, from each unit's probability.

    The mean, n/2 - 2 sum (p - 1/2)^2, needs no independence of the units; the deviation does. With 1/2 for every unit
    it is the null of 2.3.1 in the study, whose test of the mean sees units off 1/2, and never that they depend.
    """
    p = _within("probabilities", probabilities, 0, 1)
    differ = 2 * p * (1 - p)
    return Law(differ.sum(), np.sqrt((differ * (1 - differ)).sum()))


def weight_norm(n: int) -> Law:
    """Return the law of the norm of n weights of PyTorch's default, for large n: (28) of the study, 0.577."""
    return Law(3**-0.5, float(15 * _within("n", n, 1)) ** -0.5)


def hyperplane_pdf(distance: Real, n: int) -> Real:
    """Return the density of the distance, 0 or more, from 0 to a unit's hyperplane, for large n (10 to 13).

    It is flat up to sqrt(3/n), the mean half of that; the spread of ``weight_norm`` rounds the edge. The distance is
    abs(b) / norm(w): (13) of the study has lost the absolute value.
    """
    norm, sd = weight_norm(n)
    with np.errstate(divide="ignore"):
        edge = (1 / (_within("distance", distance, 0) * math.sqrt(n)) - norm) / sd
    return math.sqrt(n) * (norm * ndtr(edge) - sd * _bell(edge))


def folded_normal(mean: Real, sd: Real) -> Law:
    """Return the law of abs(Y), Y Gaussian: (18) of the study, and the root of its (19), which is the variance.

    With mean 0 it is half-normal: the mean is sqrt(2 / pi) sd, the variance (1 - 2 / pi) sd^2.
    """
    return _bent(mean, sd, left=1)


def rectified_normal(mean: Real, sd: Real) -> Law:
    """Return the law of max(Y, 0), Y Gaussian: for white inputs a unit with mean b and deviation norm(w) (4.2)."""
    return _bent(mean, sd, left=0)


def next_variance(covariance: Shaped[ndarray, "n n"], weight_variance: Number, *, excess_kurtosis: Number = 0.0) -> Law:
    """Return the law, over units with random weights, of the variance w' C w of a pre-activation over the inputs (4.4).

    Parameters
    ----------
    covariance
        C of the n inputs, centred: (39) of the study forgets a mean. Their independence, as in (41), is not needed.
    weight_variance
        Of one weight, above 0; the mean is this times tr C.
    excess_kurtosis
        Of a weight, -2 or more: 0 for Gaussian, -1.2 for uniform ones. For Gaussian ones the relative deviation is
        sqrt(2 / n_eff), where n_eff = tr(C)^2 / tr(C^2) counts the directions in which the inputs vary.
    """
    matrix = _within("covariance", covariance, -_LARGEST, _LARGEST)
    square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] > 0
    if not square or np.abs(matrix - matrix.T).max() > 1e-6 * np.abs(matrix).max():
        raise ValueError(f"covariance of shape {matrix.shape} is not symmetric (n, n); give that of the inputs")
    scale, extra = _positive("weight_variance", weight_variance), _within("excess_kurtosis", excess_kurtosis, -2)
    spread = 2 * (matrix**2).sum() + extra * (matrix.diagonal() ** 2).sum()
    return Law(scale * matrix.trace(), scale * np.sqrt(spread))


def selu_law(mean: Real, sd: Real, alpha: Number, scale: Number) -> Law:
    """Return the law of selu(Y), Y Gaussian (Klambauer et al. 2017, equations 4 and 5); (9) of the study is selu."""
    m, s = _within("mean", mean, -_LARGEST, _LARGEST), _positive("sd", sd)
    none, once, twice = (np.exp(k * m + (k * s) ** 2 / 2 + log_ndtr(-m / s - k * s)) for k in range(3))  # E[e^kY; Y<0]
    above = m * ndtr(m / s) + s * _bell(m / s)
    square = (m**2 + s**2) * ndtr(m / s) + m * s * _bell(m / s)
    first = above + alpha * (once - none)
    return Law(scale * first, scale * np.sqrt(square + alpha**2 * (twice - 2 * once + none) - first**2))


def selu_constants() -> tuple[float, float]:
    """Return alpha and lambda of SELU, for which N(0, 1) keeps mean 0 and deviation 1, solved numerically."""
    found = optimize.root(lambda x: np.subtract(selu_law(0, 1, *x), (0, 1)), (1.0, 1.0), tol=1e-14)
    return float(found.x[0]), float(found.x[1])


_LARGEST = float(np.finfo(np.float64).max)


def _bell(x: Real) -> Real:
    return np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def _bent(mean: Real, sd: Real, *, left: int) -> Law:
    """Return the law of Y where it is positive and of -left Y elsewhere, Y Gaussian."""
    m, s = _within("mean", mean, -_LARGEST, _LARGEST), _positive("sd", sd)
    share, peak = ndtr(m / s), _bell(m / s)
    first = m * (share - left * (1 - share)) + s * peak * (1 + left)
    square = (m**2 + s**2) * (share + left**2 * (1 - share)) + m * s * peak * (1 - left**2)
    return Law(first, np.sqrt(np.maximum(square - first**2, 0)))


def _within(name: str, values: Real, low: Real, high: Real = math.inf, *, ends: bool = True) -> ndarray:
    """Return values as float64, or raise ValueError if one is NaN or out of range."""
    values = np.asarray(values, dtype=np.float64)
    good = (values >= low) & (values <= high) if ends else (values > low) & (values < high)
    if not good.all():
        allowed = f"{low:g} to {high:g}" + ("" if ends else ", the ends excluded")
        raise ValueError(f"{name} = {values[~good][0]:g}, {(~good).sum()} of {good.size}; allowed is {allowed}")
    return values


def _positive(name: str, values: Real) -> ndarray:
    return _within(name, values, 0, ends=False)
