"""The tests against their exact laws, on coins that must pass, and on what each must see and must not see."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from actlib import hamming, independence

N_BITS = 64


def coins(n, p=0.5, seed=0, n_bits=N_BITS):
    return np.random.default_rng(seed).random((n, n_bits)) < p


def pairs(x, seed=0):
    n = len(x)
    return hamming.pair_distances(x, hamming.disjoint_pairs(n, n // 2, generator=torch.Generator().manual_seed(seed)))


def correlated(n, seed=0):
    """Fair coins, of which each eight go together half of the time."""
    rng = np.random.default_rng(seed)
    shared = np.repeat(rng.random((n, N_BITS // 8)) < 0.5, 8, axis=1)
    return np.where(rng.random((n, N_BITS)) < 0.5, shared, rng.random((n, N_BITS)) < 0.5)


def heterogeneous(n, seed=0):
    return coins(n, np.random.default_rng(99).uniform(0.2, 0.8, N_BITS), seed)


def test_the_mean_is_tested_by_the_law_of_all_throws():
    d = np.array([3, 1, 2, 2])
    found = independence.bernoulli_test(d, 5)
    below = sum(math.comb(20, k) for k in range(9)) / 2**20
    assert found.p_below == pytest.approx(below)
    assert found.p_value == pytest.approx(2 * below)
    assert (found.mean, found.expected, found.n_pairs) == (2, 2.5, 4)
    # Distances to the opposite patterns: as far above as these are below.
    above = independence.bernoulli_test(5 - d, 5)
    assert above.p_value == pytest.approx(found.p_value)
    assert above.p_below == pytest.approx(sum(math.comb(20, k) for k in range(13)) / 2**20)
    assert found.sd == pytest.approx(math.sqrt(5 / 4 / 4))
    assert found.z == pytest.approx((2 - 2.5) / found.sd)


def test_the_document_s_null_and_its_p_value_of_18_percent():
    # 10,000 pairs of 256 bits: sd 0.08, and 18 % belongs to a mean of 127.93.
    d = np.full(10_000, 128)
    d[:700] = 127
    found = independence.bernoulli_test(d, 256)
    assert (found.mean, found.sd) == (127.93, pytest.approx(0.08))
    assert found.p_below == pytest.approx(0.19, abs=0.01)


@pytest.mark.parametrize("p", [[0.5], [0.1, 0.9, 0.4], [0.0, 1.0, 0.5, 0.3]])
def test_the_law_of_the_distance_is_the_sum_over_all_pairs_of_patterns(p):
    expected = np.zeros(len(p) + 1)
    for a, b in itertools.product(itertools.product((0, 1), repeat=len(p)), repeat=2):
        chance = math.prod(q if bit else 1 - q for bits in (a, b) for q, bit in zip(p, bits, strict=True))
        expected[sum(u != v for u, v in zip(a, b, strict=True))] += chance
    np.testing.assert_allclose(independence.distance_law(p), expected, atol=1e-15)


def test_the_law_of_fair_coins_is_binomial():
    expected = stats.binom(256, 0.5).pmf(np.arange(257))
    np.testing.assert_allclose(independence.distance_law(np.full(256, 0.5)), expected, rtol=1e-11)


def test_the_spread_under_the_null_is_that_of_the_law():
    p = np.array([0.1, 0.5, 0.7, 0.9])
    law, d = independence.distance_law(p), np.arange(5)
    mean = (law * d).sum()
    second, fourth = (law * (d - mean) ** 2).sum(), (law * (d - mean) ** 4).sum()
    found = independence.variance_test(np.array([0, 1, 1, 2, 4, 0, 3]), 4, probabilities=p)
    assert found.expected == pytest.approx(second)
    assert found.sd == pytest.approx(math.sqrt((fourth - second**2 * 4 / 6) / 7))
    assert found.variance == pytest.approx(np.var([0, 1, 1, 2, 4, 0, 3], ddof=1))


def rejections(call, n_draws=300, level=0.05):
    return np.mean([call(seed) < level for seed in range(n_draws)])


NULLS = {
    "mean": lambda s: independence.bernoulli_test(pairs(coins(400, seed=s), s), N_BITS).p_value,
    "variance": lambda s: independence.variance_test(pairs(coins(400, seed=s), s), N_BITS).p_value,
    "variance, unequal units": lambda s: (
        independence.variance_test(
            pairs(heterogeneous(400, s), s), N_BITS, probabilities=heterogeneous(400, s).mean(0)
        ).p_value
    ),
    "heterogeneity": lambda s: independence.heterogeneity_test(coins(400, seed=s)).p_value,
    "heterogeneity, any probability": lambda s: (
        independence.heterogeneity_test(coins(400, 0.2, s), probability=None).p_value
    ),
}


@pytest.mark.parametrize("name", NULLS)
def test_true_nulls_are_rejected_as_often_as_the_level_says(name):
    # 300 draws at 5 %: sd 1.3 %
    assert 0.01 < rejections(NULLS[name]) < 0.10


def test_an_extreme_unit_is_seldom_found_where_there_is_none_and_always_where_there_is():
    assert rejections(lambda s: independence.heterogeneity_test(coins(400, seed=s)).p_extreme) < 0.09
    p = np.full(N_BITS, 0.5)
    p[7] = 0.65
    assert rejections(lambda s: independence.heterogeneity_test(coins(400, p, s)).p_extreme, 20) == 1


def test_the_mean_sees_unequal_units_and_not_dependent_ones():
    unequal, dependent = heterogeneous(4000), correlated(4000)
    found = independence.bernoulli_test(pairs(unequal), N_BITS)
    assert found.p_below < 1e-10
    p = np.random.default_rng(99).uniform(0.2, 0.8, N_BITS)
    assert found.mean == pytest.approx(N_BITS / 2 - 2 * ((p - 0.5) ** 2).sum(), abs=0.5)
    # Dependence widens the mean's own spread, but moves it nowhere.
    assert independence.bernoulli_test(pairs(dependent), N_BITS).mean == pytest.approx(N_BITS / 2, abs=0.6)


def test_the_variance_sees_dependent_units_and_not_unequal_ones():
    unequal, dependent = heterogeneous(4000), correlated(4000)
    assert independence.variance_test(pairs(dependent), N_BITS).p_value < 1e-10
    found = independence.variance_test(pairs(unequal), N_BITS, probabilities=unequal.mean(0))
    assert found.p_value > 0.001
    copies = np.repeat(coins(4000, n_bits=8), 8, axis=1)
    over = independence.variance_test(pairs(copies), N_BITS)
    assert over.overdispersion == pytest.approx(8, rel=0.2)
    assert over.effective_bits == pytest.approx(8, rel=0.2)


def test_heterogeneity_finds_the_planted_spread_and_only_what_was_asked():
    p = np.random.default_rng(99).uniform(0.2, 0.8, N_BITS)
    found = independence.heterogeneity_test(heterogeneous(4000))
    assert found.p_value < 1e-10
    assert found.rms == pytest.approx(math.sqrt(((p - 0.5) ** 2).mean()), rel=0.03)
    assert found.n_degrees == N_BITS
    assert independence.heterogeneity_test(coins(4000, 0.4)).p_value < 1e-10
    same = independence.heterogeneity_test(coins(4000, 0.4), probability=None)
    assert same.p_value > 0.001
    assert same.n_degrees == N_BITS - 1


def test_heterogeneity_is_scipy_s_chi_squared_of_the_table():
    x = coins(50, n_bits=6)
    counts = x.sum(0)
    expected = stats.chi2_contingency(np.stack([counts, 50 - counts]), correction=False)
    found = independence.heterogeneity_test(x, probability=None)
    assert (found.statistic, found.p_value) == pytest.approx((expected.statistic, expected.pvalue))


def test_constant_units_and_one_unit_have_answers():
    zeros = np.zeros((10, 5), int)
    assert independence.heterogeneity_test(zeros, probability=None).p_value == 1
    assert independence.heterogeneity_test(zeros).p_value < 1e-3
    d = pairs(zeros)
    assert independence.bernoulli_test(d, 5).p_below == pytest.approx(2.0**-25)
    found = independence.variance_test(d, 5, probabilities=np.zeros(5))
    assert (found.variance, found.expected) == (0, 0)
    assert all(math.isnan(v) for v in (found.z, found.p_value, found.overdispersion, found.effective_bits))
    assert independence.heterogeneity_test(coins(40, n_bits=1)).n_degrees == 1
    assert independence.bernoulli_test(np.array([1, 0, 1]), 1).mean == pytest.approx(2 / 3)


D = np.array([1, 2])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: independence.bernoulli_test(D, 1),
            r"from 1 to 2; give at least 1, whole numbers from 0 to n_b",
        ),
        (lambda: independence.bernoulli_test(-D, 5), "from -2 to -1"),
        (lambda: independence.bernoulli_test(D[:0], 5), r"of shape \(0,\); give at least 1"),
        (lambda: independence.bernoulli_test(D / 2, 5), "distances are float64"),
        (lambda: independence.bernoulli_test(D, 0), "n_bits = 0 for a pattern; choose 1 to"),
        (lambda: independence.variance_test(D[:1], 5), r"shape \(1,\), from 1 to 1; give at least 2"),
        (
            lambda: independence.variance_test(D, 5, probabilities=[0.5]),
            "1 probabilities for n_bits = 5; give one",
        ),
        (
            lambda: independence.distance_law([0.5, 1.5]),
            r"probabilities of shape \(2,\); give \(n_bits\) numbers",
        ),
        (lambda: independence.distance_law([math.nan]), "numbers from 0 to 1"),
        (lambda: independence.distance_law([]), r"shape \(0,\)"),
        (lambda: independence.heterogeneity_test(coins(5), probability=1.0), "probability = 1; give a number between"),
        (lambda: independence.heterogeneity_test(coins(5, n_bits=1), probability=None), "one unit has nothing to be"),
        (lambda: independence.heterogeneity_test(coins(0)), r"shape \(0, 64\)"),
    ],
)
def test_what_has_no_answer_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
