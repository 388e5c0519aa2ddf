"""The correlations between units, and how much of them chance makes: the law of Marchenko and Pastur.

Of n samples of u independent units the correlations are not zero but of the order of 1 / sqrt(n), and the eigenvalues
of their matrix spread around 1, between (1 - sqrt(u / n))^2 and (1 + sqrt(u / n))^2 (Marchenko and Pastur 1967). An
eigenvalue above is a direction in which units go together.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from actlib.activity import unpacked
from actlib.bits import Packed
from actlib.tiles import Patterns, as_patterns

# Units whose matrix of correlations, in float64, has half a GiB.
_MOST_UNITS = 2**13
# The largest eigenvalue is below this quantile of its law in 99 of 100 cases (Tracy and Widom 1996, real matrices).
_TRACY_WIDOM = 2.0234


class Correlations(NamedTuple):
    """Correlations of the bits of units that vary.

    Attributes
    ----------
    values
        Pearson's, -1 to 1; the diagonal is 1.
    varying
        Which units these are: one that is always active or never has no correlation, and is left out.
    n_samples
        Samples they are from.
    """

    values: Float64[Tensor, "v v"]
    varying: Bool[Tensor, " u"]
    n_samples: int


class Spectrum(NamedTuple):
    """Eigenvalues of the correlations between units, and where chance ends.

    Attributes
    ----------
    eigenvalues
        Of the units that vary, the largest first; their sum is the number of these.
    lower_edge, upper_edge
        Ends of the law of Marchenko and Pastur. With more units than samples there are also eigenvalues of 0.
    bound
        Above the upper edge: where the largest of independent units stays in 99 of 100 cases.
    n_above
        Eigenvalues above the bound.
    n_constant
        Units left out because they do not vary.
    """

    eigenvalues: Float64[Tensor, " v"]
    lower_edge: float
    upper_edge: float
    bound: float
    n_above: int
    n_constant: int


def correlations(patterns: Patterns) -> Correlations:
    """Return the correlations between the bits of all units that vary.

    Raises
    ------
    ValueError
        If there are fewer than two patterns or no unit varies, numbers are neither 0 nor 1, or units are more than
        8,192.
    """
    patterns = as_patterns(patterns)
    n = len(patterns.words)
    if n < 2:
        raise ValueError("one pattern has no correlations; give two at least")
    if patterns.n_bits > _MOST_UNITS:
        raise ValueError(f"{patterns.n_bits:,} units; give at most {_MOST_UNITS:,} of them, such as bits[:, :4096]")
    together = _together(patterns)
    counts = together.diagonal()
    varying = (counts > 0) & (counts < n)
    if not varying.any():
        raise ValueError(f"none of the {patterns.n_bits} units varies over {n} patterns; give units that do")
    together, counts = together[varying][:, varying], counts[varying]
    # Whole numbers so far: n times the covariance times n is exact.
    covariance = n * together - counts[:, None] * counts
    size = covariance.diagonal().sqrt()
    values = (covariance / (size[:, None] * size)).clamp_(-1, 1)
    values.fill_diagonal_(1)
    return Correlations(values, varying, n)


def spectrum(patterns: Patterns) -> Spectrum:
    """Return the eigenvalues of the correlations between units beside the edges of chance.

    Samples must be independent: of patterns that stand twice the spectrum is wider. The edges are those of many units
    and samples; one unit has the one eigenvalue 1. Errors as ``correlations``.
    """
    values, varying, n = correlations(patterns)
    eigenvalues, u = torch.linalg.eigvalsh(values).flip(0), len(values)
    ends = [(1 + sign * math.sqrt(u / n)) ** 2 for sign in (-1, 1)]
    bound = max(ends[1], _largest(u, n))
    n_above = int((eigenvalues > bound).sum())
    return Spectrum(eigenvalues, *ends, bound, n_above, len(varying) - u)


def _largest(u: int, n: int) -> float:
    """Return below what the largest eigenvalue of u independent units stays in 99 of 100 cases (Johnstone 2001)."""
    a, b = math.sqrt(n - 1), math.sqrt(u)
    centre, width = (a + b) ** 2, (a + b) * (1 / a + 1 / b) ** (1 / 3)
    return (centre + _TRACY_WIDOM * width) / n


def _together(patterns: Packed) -> Float64[Tensor, "u u"]:
    """Return how often each two units are active together: whole numbers, exact."""
    found = torch.zeros(patterns.n_bits, patterns.n_bits, dtype=torch.float64, device=patterns.words.device)
    for part in unpacked(patterns):
        numbers = part.float()  # sums of less than 2**24 are exact
        found += numbers.T @ numbers
    return found
