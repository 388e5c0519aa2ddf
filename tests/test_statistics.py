import itertools
import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from actlib import statistics


def rng(seed=0):
    return np.random.default_rng(seed)


def plain(function):
    """Return a function without its annotations' checks, as users call it."""
    return getattr(function, "__wrapped__", function)


def labelled(n=40, c=5, seed=0):
    """Return scores with many ties, which lean to the labels in the last columns, and labels."""
    labels = rng(seed).random(n) < 0.4
    scores = rng(seed + 1).integers(0, 6, (n, c)) + labels[:, None] * np.arange(c)
    return scores.astype(np.float64), labels


def test_auroc_counts_pairs_and_half_the_ties():
    scores, labels = labelled()
    for column, found in zip(scores.T, statistics.auroc(scores, labels), strict=True):
        pairs = list(itertools.product(column[labels], column[~labels]))
        wins = sum((a > b) + 0.5 * (a == b) for a, b in pairs)
        np.testing.assert_allclose(found, wins / len(pairs), atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64, np.uint8, np.bool_])
def test_auroc_agrees_with_scikit_learn(dtype):
    scores, labels = labelled(200, 7)
    scores = scores.astype(dtype)
    expected = [roc_auc_score(labels, column) for column in scores.T]
    np.testing.assert_allclose(statistics.auroc(scores, labels), expected, atol=1e-12)


def test_auroc_of_one_column_is_a_number_and_of_maps_keeps_their_shape():
    scores, labels = labelled(30, 6)
    whole = statistics.auroc(scores.reshape(30, 2, 3), labels)
    assert statistics.auroc(scores[:, 1], labels).shape == ()
    np.testing.assert_allclose(whole, statistics.auroc(scores, labels).reshape(2, 3))
    np.testing.assert_allclose(statistics.auroc(scores[:, 1], labels), whole[0, 1])


def test_auroc_is_0_half_or_1_where_it_must_be():
    labels = np.array([False, False, True, True])
    scores = np.array([[1.0, 4.0, 7.0, -np.inf], [2.0, 3.0, 7.0, 0.0], [3.0, 2.0, 7.0, 1.0], [4.0, 1.0, 7.0, np.inf]])
    np.testing.assert_allclose(statistics.auroc(scores, labels), [1, 0, 0.5, 1])


def test_auroc_sees_order_only_and_turns_with_the_sign():
    scores, labels = labelled(60)
    np.testing.assert_allclose(statistics.auroc(np.exp(scores), labels), statistics.auroc(scores, labels))
    np.testing.assert_allclose(statistics.auroc(-scores, labels), 1 - statistics.auroc(scores, labels))
    assert not np.allclose(statistics.auroc(np.abs(scores - 3), labels), statistics.auroc(scores, labels))


def test_gaussians_have_the_auroc_that_d_prime_says():
    n, distance, wide = 20_000, 1.3, 2.0
    scores = np.concatenate([rng().normal(distance, wide, n), rng(1).normal(0, 1, n)])
    labels = np.arange(2 * n) < n
    expected = distance / math.sqrt((wide**2 + 1) / 2)
    found = statistics.d_prime(scores, labels)
    np.testing.assert_allclose(found, expected, atol=0.03)
    np.testing.assert_allclose(statistics.auroc(scores, labels), stats.norm.cdf(found / math.sqrt(2)), atol=0.005)


def test_d_prime_is_welch_s_statistic_for_groups_of_one_size():
    scores, _ = labelled(20)
    labels = np.arange(20) % 2 == 0
    welch = stats.ttest_ind(scores[labels], scores[~labels], equal_var=False).statistic
    np.testing.assert_allclose(statistics.d_prime(scores, labels), welch * np.sqrt(2 / 10))


def test_d_prime_weighs_both_variances_alike_for_groups_of_unequal_size():
    scores = np.array([0.0, 10.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    labels = np.arange(8) < 2
    np.testing.assert_allclose(statistics.d_prime(scores, labels), 4.5 / math.sqrt((50 + 0.3) / 2))


@pytest.mark.parametrize("function", [statistics.auroc, statistics.d_prime])
def test_two_groups_of_one_kind_are_refused(function):
    with pytest.raises(ValueError, match=r"labels are True; give|all 4 labels are True; give samples of both"):
        function(np.arange(4.0), np.ones(4, dtype=bool))
    with pytest.raises(ValueError, match=r"0 of 4 labels are True|all 4 labels are False"):
        function(np.arange(4.0), np.zeros(4, dtype=bool))


@pytest.mark.parametrize("function", [statistics.auroc, statistics.d_prime])
def test_labels_that_would_pick_rows_are_refused(function):
    with pytest.raises(ValueError, match=r"labels are int64 of shape \(4,\) for 4 scores; give one bool each"):
        plain(function)(np.arange(4.0), np.array([0, 1, 0, 1]))
    with pytest.raises(ValueError, match=r"labels are bool of shape \(3,\) for 4 scores"):
        plain(function)(np.arange(4.0), np.array([True, False, True]))


@pytest.mark.parametrize("function", [statistics.auroc, statistics.d_prime])
def test_a_nan_is_named_by_its_place(function):
    scores, labels = labelled()
    scores[7, 2] = np.nan
    with pytest.raises(ValueError, match=r"1 of 200 scores are NaN.*, the first at \(7, 2\); leave these samples out"):
        function(scores, labels)


def test_a_distance_without_a_unit_is_refused():
    function = statistics.d_prime
    scores, labels = labelled()
    scores[:, 3] = 0.1 + labels * 0.2  # a mean of tenths is not quite a tenth
    with pytest.raises(ValueError, match=r"1 columns do not vary within either kind, the first is column 3"):
        function(scores, labels)
    with pytest.raises(ValueError, match=r"the first is column 0"):
        function(scores[:, 3], labels)
    with pytest.raises(ValueError, match=r"scores are NaN or infinite"):
        function(np.where(scores > 5, np.inf, scores), labels)


def test_one_kind_may_be_constant():
    scores, labels = np.array([2.0, 2.0, 0.0, 1.0, 2.0]), np.array([True, True, False, False, False])
    np.testing.assert_allclose(statistics.d_prime(scores, labels), 1 / math.sqrt(1 / 2))
    np.testing.assert_allclose(statistics.d_prime(scores, ~labels), -1 / math.sqrt(1 / 2))


def test_spearman_agrees_with_the_formula_and_with_pearson_of_ranks():
    x, y = rng().permutation(9).astype(float), rng(1).permutation(9).astype(float)
    by_formula = 1 - 6 * ((x - y) ** 2).sum() / (9 * (81 - 1))
    np.testing.assert_allclose(statistics.spearman(x, y), by_formula)
    tied, other = rng(2).integers(0, 4, 50), rng(3).integers(0, 4, 50)
    ranks = [[(v > x).sum() + ((v == x).sum() + 1) / 2 for v in x] for x in (tied, other)]
    np.testing.assert_allclose(statistics.spearman(tied, other), np.corrcoef(ranks)[0, 1])


def test_spearman_is_1_for_any_rising_relation_and_not_for_a_bent_one():
    x = rng().normal(size=30)
    np.testing.assert_allclose(statistics.spearman(x, np.exp(3 * x)), 1)
    np.testing.assert_allclose(statistics.spearman(x, -(x**3)), -1)
    assert abs(statistics.spearman(x, x**2)) < 0.9


@pytest.mark.parametrize("values", [np.ones(5), np.array([3.0]), np.array([])])
def test_a_constant_has_no_rank_correlation(values):
    with pytest.raises(ValueError, match=r"x has \d values, all equal; a rank correlation needs two that differ"):
        statistics.spearman(values, values)


def test_pairs_are_needed():
    with pytest.raises(ValueError, match="x has 3 values and y 4; give pairs"):
        plain(statistics.spearman)(np.arange(3.0), np.arange(4.0))


def test_interval_agrees_with_the_table_of_student():
    found = statistics.interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    half = 2.776 * math.sqrt(2.5 / 5)  # t for 4 degrees of freedom at 97.5 %, from printed tables
    np.testing.assert_allclose(found, (3, 3 - half, 3 + half, math.sqrt(2.5), 5), atol=1e-3)


def test_interval_agrees_with_scipy_at_other_levels():
    values = rng().normal(size=7)
    result = stats.ttest_1samp(values, 0).confidence_interval(0.8)
    found = statistics.interval(values, level=0.8)
    np.testing.assert_allclose((found.low, found.high), (result.low, result.high))


def test_interval_holds_the_true_mean_as_often_as_it_says():
    held = [
        found.low < 0 < found.high
        for found in (statistics.interval(rng(seed).normal(size=4), level=0.8) for seed in range(1_000))
    ]
    np.testing.assert_allclose(np.mean(held), 0.8, atol=0.04)


def test_bootstrap_interval_of_a_mean_is_near_the_closed_form():
    values = rng().exponential(size=400)
    low, high = statistics.bootstrap_interval(values, np.mean, generator=rng(1), n_draws=4_000)
    half = 1.96 * values.std() / math.sqrt(400)
    np.testing.assert_allclose((low, high), (values.mean() - half, values.mean() + half), atol=0.1 * half)


def test_bootstrap_interval_draws_whole_samples():
    pairs = np.stack([np.arange(20.0), np.arange(20.0)], axis=1)
    low, high = statistics.bootstrap_interval(
        pairs, lambda drawn: np.abs(drawn[:, 0] - drawn[:, 1]).max(), generator=rng(), n_draws=50
    )
    assert (low, high) == (0, 0)


def test_bootstrap_interval_widens_with_the_level_and_repeats_with_the_seed():
    values = rng().normal(size=50)
    narrow = statistics.bootstrap_interval(values, np.median, generator=rng(1), level=0.5)
    wide = statistics.bootstrap_interval(values, np.median, generator=rng(1), level=0.99)
    again = statistics.bootstrap_interval(values, np.median, generator=rng(1), level=0.99)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    np.testing.assert_array_equal(wide, again)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: statistics.interval(np.array([1.0])), "values has 1 entries; an interval needs at least two seeds"),
        (
            lambda: statistics.interval(np.array([1.0, np.inf])),
            r"1 of 2 values are NaN or infinite, the first at \(1,\)",
        ),
        (lambda: statistics.interval(np.arange(3.0), level=95.0), "level = 95; give a share between 0 and 1"),
        (lambda: statistics.bootstrap_interval(np.ones(1), np.mean, generator=rng()), "1 values and n_draws = 2000"),
        (lambda: statistics.bootstrap_interval(np.ones(3), np.mean, generator=rng(), n_draws=1), "n_draws = 1; give"),
        (lambda: statistics.bootstrap_interval(np.ones(3), np.mean, generator=rng(), level=1.0), "level = 1"),
        (
            lambda: statistics.bootstrap_interval(np.ones(3), lambda _: math.nan, generator=rng(), n_draws=5),
            "the statistic is NaN for 5 of 5 draws",
        ),
        (lambda: statistics.spearman(np.arange(2.0), np.array([1, np.nan])), "1 of 2 y are NaN"),
    ],
)
def test_what_has_no_answer_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_auroc_by_class_is_auroc_class_by_class():
    scores = rng().integers(0, 5, (60, 4)).astype(float)  # many ties
    labels = np.arange(60) % 7 * 10
    found = statistics.auroc_by_class(scores, labels)
    np.testing.assert_allclose(found, [statistics.auroc(scores, labels == k) for k in np.unique(labels)], rtol=1e-12)
    with pytest.raises(ValueError, match="all 60 labels are 3"):
        statistics.auroc_by_class(scores, np.full(60, 3))
