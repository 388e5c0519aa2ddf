"""Scores of judges: slow loops, closed forms, and what weights must and must not change."""

import jaxtyping
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from actlib import scores


@pytest.fixture
def untyped(monkeypatch):
    """As outside the tests, where types go unchecked."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def rng(seed=0):
    return np.random.default_rng(seed)


def judged(n=300, seed=0, share=0.5):
    """Probabilities with ties, on cuts of the bins among others, that say something about right and wrong."""
    right = rng(seed).random(n) < share
    right[:2] = True, False
    probability = (rng(seed + 1).normal(0.3 * right + 0.35, 0.2).clip(0, 1) * 30).round() / 30
    return probability, right


def repeated(probability, right, n_right, n_wrong):
    """Rows taken several times, as whole weights."""
    times = np.where(right, n_right, n_wrong)
    return np.repeat(probability, times), np.repeat(right, times)


def average_precision(value, hit, weights):
    """Return the sum over the distinct thresholds of precision times the gain in recall."""
    total, seen, known = sum(weights[hit]), 0.0, 0.0
    found = 0.0
    for threshold in sorted(set(value.tolist()), reverse=True):
        taken = [k for k in range(len(value)) if value[k] >= threshold]
        hits = sum(weights[k] for k in taken if hit[k])
        precision = hits / sum(weights[k] for k in taken)
        found += precision * (hits - known) / total
        seen, known = threshold, hits
    assert seen == min(value)
    return found


def calibration(probability, right, weights, n_bins):
    """Return confidence, accuracy and share bin by bin, and the ECE."""
    rows, ece = [], 0.0
    edges = np.linspace(0, 1, n_bins + 1)
    for k in range(n_bins):
        inside = [
            j for j, p in enumerate(probability) if edges[k] <= p and (p < edges[k + 1] or (k == n_bins - 1 and p == 1))
        ]
        share = sum(weights[j] for j in inside) / sum(weights)
        if not inside:
            rows.append((np.nan, np.nan, 0.0))
            continue
        mass = sum(weights[j] for j in inside)
        confidence = sum(weights[j] * probability[j] for j in inside) / mass
        accuracy = sum(weights[j] * right[j] for j in inside) / mass
        rows.append((confidence, accuracy, share))
        ece += share * abs(accuracy - confidence)
    return np.array(rows).T, ece


def weights_for(right, prevalence):
    if prevalence is None:
        return np.ones(len(right))
    return np.array([prevalence / right.sum() if hit else (1 - prevalence) / (~right).sum() for hit in right])


def test_regression_is_the_textbook():
    truth = rng().random(200)
    predicted = truth + rng(1).normal(0, 0.2, 200)
    found = scores.regression(predicted, truth)
    residual = sum((a - b) ** 2 for a, b in zip(predicted, truth, strict=True))
    total = sum((b - truth.mean()) ** 2 for b in truth)
    np.testing.assert_allclose(found.r2, 1 - residual / total)
    np.testing.assert_allclose(found.mae, sum(abs(predicted - truth)) / 200)
    ranks = [[sum(v > w for w in values) for v in values] for values in (predicted, truth)]
    np.testing.assert_allclose(found.spearman, np.corrcoef(ranks)[0, 1])


def test_regression_of_the_truth_of_its_mean_and_of_a_monotone_map():
    truth = rng().random(50).astype(np.float32)
    np.testing.assert_allclose(scores.regression(truth, truth), [1, 0, 1], atol=1e-12)
    mean = scores.regression(np.full(50, truth.astype(np.float64).mean()), truth)
    np.testing.assert_allclose([mean.r2, mean.spearman], [0, 0], atol=1e-12)
    assert scores.regression(np.full(50, 0.1), truth).r2 < -0.1
    cubed = scores.regression(truth**3, truth)
    np.testing.assert_allclose(cubed.spearman, 1)
    assert cubed.r2 < 0.9
    np.testing.assert_allclose(scores.regression(-truth, truth).spearman, -1)


@pytest.mark.parametrize("prevalence", [None, 0.5, 0.9, 0.03])
@pytest.mark.parametrize("seed", [0, 5])
def test_classification_is_that_of_slow_loops(prevalence, seed):
    probability, right = judged(120, seed)
    weights = weights_for(right, prevalence)
    found = scores.classification(probability, right, prevalence=prevalence)
    total = sum(weights)
    hits = [(p >= 0.5) == hit for p, hit in zip(probability, right, strict=True)]
    np.testing.assert_allclose(found.accuracy, sum(w for w, hit in zip(weights, hits, strict=True) if hit) / total)
    wins = [(a > b) + 0.5 * (a == b) for a in probability[right] for b in probability[~right]]
    np.testing.assert_allclose(found.auroc, np.mean(wins))
    np.testing.assert_allclose(found.aupr, average_precision(probability, right, weights))
    np.testing.assert_allclose(found.aupr_wrong, average_precision(1 - probability, ~right, weights))
    np.testing.assert_allclose(found.ece, calibration(probability, right, weights, 15)[1])
    np.testing.assert_allclose(found.brier, sum(weights * (probability - right) ** 2) / total)


@given(st.integers(1, 20), st.sampled_from([None, 0.2, 0.8]), st.integers(0, 50))
def test_bins_are_those_of_a_loop(n_bins, prevalence, seed):
    probability, right = judged(40, seed)
    probability[:3] = 0, 1, 0.5
    expected, ece = calibration(probability, right, weights_for(right, prevalence), n_bins)
    found = scores.reliability(probability, right, n_bins=n_bins, prevalence=prevalence)
    np.testing.assert_allclose(np.array(found), expected, atol=1e-12)
    np.testing.assert_allclose(found.share.sum(), 1)
    np.testing.assert_allclose(found.ece(), ece, atol=1e-12)


def test_prevalence_is_rows_taken_more_often_and_leaves_auroc():
    probability, right = judged(200)
    probability, right = np.concatenate([probability[right][:60], probability[~right][:60]]), np.arange(120) < 60
    plain = scores.classification(probability, right)
    for n_right, n_wrong in ((9, 1), (1, 3)):
        more = scores.classification(*repeated(probability, right, n_right, n_wrong))
        found = scores.classification(probability, right, prevalence=n_right / (n_right + n_wrong))
        np.testing.assert_allclose(found, more)
        np.testing.assert_allclose(found.auroc, plain.auroc)
        weighted = roc_auc_score(right, probability, sample_weight=np.where(right, n_right, n_wrong))
        np.testing.assert_allclose(found.auroc, weighted)
        assert min(abs(found.aupr - plain.aupr), abs(found.aupr_wrong - plain.aupr_wrong)) > 0.05
        assert abs(found.ece - plain.ece) > 0.05
    np.testing.assert_allclose(scores.classification(probability, right, prevalence=0.5), plain)


@pytest.mark.parametrize("constant", [0.0, 0.3, 0.5, 0.62, 1.0])
@pytest.mark.parametrize("prevalence", [None, 0.9])
def test_a_constant_judge_has_the_scores_of_the_closed_form(constant, prevalence):
    right = np.arange(50) < 20
    p = 0.4 if prevalence is None else prevalence
    found = scores.classification(np.full(50, constant), right, prevalence=prevalence)
    brier = p * (1 - constant) ** 2 + (1 - p) * constant**2
    expected = [p if constant >= 0.5 else 1 - p, 0.5, p, 1 - p, abs(p - constant), brier]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_perfect_judge_and_its_opposite():
    right = np.arange(40) % 4 > 0
    np.testing.assert_allclose(scores.classification(right.astype(float), right), [1, 1, 1, 1, 0, 0], atol=1e-12)
    wrong = scores.classification(1.0 - right, right)
    np.testing.assert_allclose([wrong.accuracy, wrong.auroc, wrong.ece, wrong.brier], [0, 0, 1, 1], atol=1e-12)


def test_labels_drawn_with_their_probability_are_calibrated_and_a_power_of_it_is_not():
    n = 100_000
    probability = rng().random(n)
    right = rng(1).random(n) < probability
    found = scores.classification(probability, right)
    assert found.ece < 15 * 0.5 / np.sqrt(n / 15) / 3  # the mean of 15 errors, each of at most this deviation
    np.testing.assert_allclose(found.brier, 1 / 6, atol=0.005)
    np.testing.assert_allclose(found.accuracy, 0.75, atol=0.006)
    # Integral of abs(p - p^3) over p: 1/2 - 1/4.
    np.testing.assert_allclose(scores.classification(probability**3, right).ece, 0.25, atol=0.01)
    natural = scores.classification(probability, right, prevalence=0.9)
    assert natural.ece > 0.2  # the probabilities are those of equal shares


def test_a_judge_at_random_has_the_prevalence_as_average_precision():
    right = rng().random(40_000) < 0.2
    probability = rng(1).random(40_000)
    found = scores.classification(probability, right)
    np.testing.assert_allclose([found.aupr, found.aupr_wrong, found.auroc], [0.2, 0.8, 0.5], atol=0.01)
    natural = scores.classification(probability, right, prevalence=0.95)
    np.testing.assert_allclose([natural.aupr, natural.aupr_wrong], [0.95, 0.05], atol=0.01)


def test_gaussian_scores_have_the_auroc_and_the_probability_of_bayes():
    n = 20_000
    right = np.arange(2 * n) < n
    value = rng().normal(np.where(right, 1.5, 0), 1)
    probability = 1 / (1 + np.exp(-(1.5 * value - 1.5**2 / 2)))
    found = scores.classification(probability, right)
    np.testing.assert_allclose(found.auroc, stats.norm.cdf(1.5 / np.sqrt(2)), atol=0.006)
    np.testing.assert_allclose(found.accuracy, stats.norm.cdf(0.75), atol=0.006)
    assert found.ece < 0.015


def test_a_value_on_a_cut_belongs_above_it_and_one_to_the_last_bin():
    found = scores.reliability(np.array([0.0, 0.5, 1.0]), np.array([True, False, True]), n_bins=4)
    np.testing.assert_allclose(found.share, [1 / 3, 0, 1 / 3, 1 / 3])
    np.testing.assert_allclose(found.confidence, [0, np.nan, 0.5, 1])
    np.testing.assert_allclose(found.accuracy, [1, np.nan, 0, 1])


def test_inputs_are_left_alone():
    probability, right = judged(50)
    kept = probability.copy(), right.copy()
    scores.classification(probability, right, prevalence=0.7)
    scores.regression(probability, probability**2)
    np.testing.assert_array_equal(probability, kept[0])
    np.testing.assert_array_equal(right, kept[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probability": np.array([0.1, 1.2, 0.3])}, r"lies in \[0.1, 1.2\], not in \[0, 1\]"),
        ({"probability": np.array([-1e-3, 0.2, 0.3])}, r"not in \[0, 1\]"),
        ({"probability": np.array([0.1, np.nan, 0.3])}, "1 of 3 values of probability are NaN .* first in row 1"),
        ({"probability": np.array([[0.1, 0.2, 0.3]])}, r"has shape \(1, 3\)"),
        ({"probability": np.array([0.1, 0.2])}, r"bool of shape \(3,\) for 2 probabilities"),
        ({"probability": np.array([]), "right": np.array([], bool)}, "0 of 0 rows are right"),
        ({"right": np.array([1, 0, 1])}, "right is int64 .* give one bool each"),
        ({"right": np.array([True] * 3)}, "3 of 3 rows are right; give rows of both kinds"),
        ({"right": np.array([False] * 3)}, "0 of 3 rows are right"),
        ({"prevalence": 0}, "prevalence = 0; give a share between 0 and 1"),
        ({"prevalence": 1.0}, "prevalence = 1"),
        ({"prevalence": float("nan")}, "prevalence = nan"),
    ],
)
@pytest.mark.parametrize("score", ["classification", "reliability"])
def test_what_cannot_be_scored_is_refused(untyped, score, change, message):
    given = {"probability": np.array([0.1, 0.2, 0.3]), "right": np.array([True, False, True])} | change
    with pytest.raises(ValueError, match=message):
        getattr(scores, score)(**given)


def test_no_bin_no_truth_and_no_number_are_refused(untyped):
    values = np.array([0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="n_bins = 0"):
        scores.reliability(values, values > 0.1, n_bins=0)
    with pytest.raises(ValueError, match="predicted has 2 values and truth 3"):
        scores.regression(values[:2], values)
    for truth in (np.full(3, 0.4), values[:1], values[:0]):
        with pytest.raises(ValueError, match="all equal"):
            scores.regression(values[: len(truth)], truth)
    holed = np.array([0.1, np.inf, np.nan])
    for name, pair in (("predicted", (holed, values)), ("truth", (values, holed))):
        with pytest.raises(ValueError, match=f"2 of 3 values of {name} are NaN or infinite, the first in row 1"):
            scores.regression(*pair)
