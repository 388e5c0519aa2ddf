"""Scores of a judge of predictions: of the share that it foretells, or of its probability that a prediction is right.

Arrays of numpy in, numbers out; scikit-learn computes where it has the score.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64
from numpy import ndarray
from sklearn import metrics

from actlib import statistics

__all__ = ["Classification", "Regression", "Reliability", "classification", "regression", "reliability"]

_BINS = 15  # as Guo et al. 2017


class Regression(NamedTuple):
    """Scores of foretold numbers.

    Attributes
    ----------
    r2
        1 less the squared errors over those of the mean of the truth: at most 1, and 0 for that mean.
    mae
        The mean of the absolute errors, in the unit of the truth.
    spearman
        The rank correlation with the truth, -1 to 1; 0 for a constant prediction, which orders nothing.
    """

    r2: float
    mae: float
    spearman: float


class Classification(NamedTuple):
    """Scores of probabilities that predictions are right; each 0 to 1.

    Attributes
    ----------
    accuracy
        The share of rows judged well, where one half and more says "right".
    auroc
        How often a right row gets more than a wrong one. No weights between right and wrong change it.
    aupr
        The average precision with which high values find right rows; about the share of right rows by chance.
    aupr_wrong
        The same for low values and wrong rows (both in Hendrycks and Gimpel 2017).
    ece
        The expected calibration error: see ``reliability``.
    brier
        The mean of (probability - right)^2, right as 0 or 1 (Brier 1950).
    """

    accuracy: float
    auroc: float
    aupr: float
    aupr_wrong: float
    ece: float
    brier: float


class Reliability(NamedTuple):
    """What happened where a judge was how sure, for the reliability diagram.

    Attributes
    ----------
    confidence, accuracy
        (b,): the mean probability and the share of right rows in each bin; NaN in an empty bin.
    share
        (b,): the share of all rows, with the sum 1.
    """

    confidence: Float64[ndarray, " b"]
    accuracy: Float64[ndarray, " b"]
    share: Float64[ndarray, " b"]

    def ece(self) -> float:
        """Return the mean distance of confidence and accuracy, each bin by its share (Guo et al. 2017, eq. 3)."""
        return float(np.nansum(self.share * np.abs(self.accuracy - self.confidence)))


def regression(predicted: Float[ndarray, " n"], truth: Float[ndarray, " n"]) -> Regression:
    """Return how well numbers, such as the shares of ``robustness.ratios``, are foretold.

    Parameters
    ----------
    predicted, truth
        (n,), finite; the truth must vary.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, or there are not two different values of the truth.
    """
    predicted, truth = _numbers(predicted, "predicted"), _numbers(truth, "truth")
    if len(predicted) != len(truth):
        raise ValueError(f"predicted has {len(predicted)} values and truth {len(truth)}; give one for each row")
    if len(truth) < 2 or (truth == truth[0]).all():
        raise ValueError(f"truth has {len(truth)} values, all equal; scores need two that differ")
    constant = (predicted == predicted[0]).all()
    return Regression(
        r2=float(metrics.r2_score(truth, predicted)),
        mae=float(metrics.mean_absolute_error(truth, predicted)),
        spearman=0.0 if constant else statistics.spearman(predicted, truth),
    )


def classification(
    probability: Float[ndarray, " n"], right: Bool[ndarray, " n"], *, prevalence: float | None = None
) -> Classification:
    """Return how well a judge tells right predictions from wrong ones.

    Parameters
    ----------
    probability
        That the prediction of a row is right, in [0, 1].
    right
        Whether it is; rows of both kinds.
    prevalence
        Weigh the rows so that this share of them is right, between 0 and 1; None takes the rows as they are. A set with
        as many wrong rows as right ones says so what would be at the accuracy of the networks. The probabilities stay:
        a judge that learned on equal shares is then badly calibrated, which ``ece`` shows.

    Raises
    ------
    ValueError
        If a probability is NaN or outside [0, 1], lengths differ, all rows are of one kind or ``prevalence`` is out of
        range.
    """
    probability, right, weights = _checked(probability, right, prevalence)
    return Classification(
        accuracy=float(np.average((probability >= 0.5) == right, weights=weights)),
        auroc=float(statistics.auroc(probability, right)),
        aupr=float(metrics.average_precision_score(right, probability, sample_weight=weights)),
        aupr_wrong=float(metrics.average_precision_score(~right, -probability, sample_weight=weights)),
        ece=_reliability(probability, right, weights, _BINS).ece(),
        brier=float(np.average((probability - right) ** 2, weights=weights)),
    )


def reliability(
    probability: Float[ndarray, " n"],
    right: Bool[ndarray, " n"],
    *,
    n_bins: int = _BINS,
    prevalence: float | None = None,
) -> Reliability:
    """Return mean probability and share of right rows in bins of equal width, for the reliability diagram.

    Parameters
    ----------
    probability, right, prevalence
        As in ``classification``.
    n_bins
        How many parts [0, 1] is cut into; a value on a cut belongs to the bin above it, and 1 to the last.

    Raises
    ------
    ValueError
        As in ``classification``, and if there is no bin.
    """
    if n_bins < 1:
        raise ValueError(f"n_bins = {n_bins}; give 1 or more")
    return _reliability(*_checked(probability, right, prevalence), n_bins)


def _reliability(probability: ndarray, right: ndarray, weights: ndarray, n_bins: int) -> Reliability:
    """Return the bins of checked and weighted rows."""
    place = np.searchsorted(np.linspace(0, 1, n_bins + 1)[1:-1], probability, side="right")
    share, confidence, accuracy = (
        np.bincount(place, weights * values, n_bins) / len(weights)
        for values in (np.ones_like(weights), probability, right)
    )
    filled = np.where(share > 0, share, np.nan)
    return Reliability(confidence / filled, accuracy / filled, share)


def _checked(probability: ndarray, right: ndarray, prevalence: float | None) -> tuple[ndarray, ndarray, ndarray]:
    """Return probabilities as float64, right or wrong, and the weight of each row, 1 on average."""
    probability, right = _numbers(probability, "probability"), np.asarray(right)
    if right.dtype != bool or right.shape != probability.shape:
        raise ValueError(
            f"right is {right.dtype} of shape {right.shape} for {len(probability)} probabilities; give one bool each, "
            "such as found.type == 1"
        )
    if len(probability) and not (probability.min() >= 0 and probability.max() <= 1):
        raise ValueError(
            f"probability lies in [{probability.min():.4g}, {probability.max():.4g}], not in [0, 1]; give "
            "probabilities, and not logits or margins"
        )
    n, n_right = len(right), int(right.sum())
    if n_right in (0, n):
        raise ValueError(f"{n_right} of {n} rows are right; give rows of both kinds")
    if prevalence is None:
        return probability, right, np.ones(n)
    if not 0 < prevalence < 1:
        raise ValueError(f"prevalence = {prevalence:g}; give a share between 0 and 1, such as 0.9, or None")
    return probability, right, n * np.where(right, prevalence / n_right, (1 - prevalence) / (n - n_right))


def _numbers(values: ndarray, name: str) -> Float64[ndarray, " n"]:
    """Return values as float64, once it is clear that they are finite and in one row."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"{name} has shape {values.shape}; give one number a row, (n,)")
    if (bad := ~np.isfinite(values)).any():
        raise ValueError(
            f"{bad.sum()} of {len(values)} values of {name} are NaN or infinite, the first in row {bad.argmax()}; "
            "leave these rows out"
        )
    return values
