import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from actlib import arrangements

# Exact values for the bias that the study states, P(K = 0), P(K = 1), ... up to the middle.
STATED = {
    1: ["3/8", "1/4"],
    2: ["13/48", "7/48", "1/6"],
    3: ["73/384", "67/768", "27/256", "15/256", "15/128"],
}


def rng(seed=0):
    return np.random.default_rng(seed)


def plain(function):
    """Return a function without its annotations' checks, as users call it."""
    return getattr(function, "__wrapped__", function)


def rank(rows):
    """Return the rank of integer rows by elimination in fractions."""
    rows, found = [[Fraction(int(x)) for x in row] for row in rows], 0
    for column in range(len(rows[0]) if rows else 0):
        pivot = next((k for k in range(found, len(rows)) if rows[k][column]), None)
        if pivot is None:
            continue
        rows[found], rows[pivot] = rows[pivot], rows[found]
        for k in range(found + 1, len(rows)):
            factor = rows[k][column] / rows[found][column]
            rows[k] = [a - factor * b for a, b in zip(rows[k], rows[found], strict=True)]
        found += 1
    return found


def whitney(weights, biases):
    """Count regions exactly: sum of (-1)^(size - rank) over the subsets that have a common point (Zaslavsky 1975)."""
    total = 0
    for size in range(len(weights) + 1):
        for chosen in map(list, itertools.combinations(range(len(weights)), size)):
            own = rank(weights[chosen])
            if own == rank(np.column_stack([weights, biases])[chosen]):
                total += (-1) ** (size - own)
    return total


def sampled(weights, biases, points):
    """Return the set of patterns of the points."""
    return set(map(tuple, (points @ weights.T + biases > 0).tolist()))


def check_points(found, weights, biases):
    """Assert that each point has its pattern and no pattern comes twice."""
    np.testing.assert_array_equal(found.points @ weights.T + biases > 0, found.patterns)
    assert len(np.unique(found.patterns, axis=0)) == len(found.patterns)


@pytest.mark.parametrize(("n", "r"), [(n, r) for r in (1, 2, 3) for n in range(1, 6)] + [(5, 4)])
def test_general_position_makes_as_many_regions_as_the_count(n, r):
    weights, biases = rng(n).normal(size=(n, r)), rng(r).normal(size=n)
    found = arrangements.regions(weights, biases)
    check_points(found, weights, biases)
    assert len(found.patterns) == arrangements.affine(n, r)
    assert len(arrangements.regions(weights).patterns) == arrangements.central(n, r)


def test_the_recurrence_of_the_study_is_the_count_for_every_rank():
    for n in range(1, 30):
        for r in range(1, n + 1):
            assert arrangements.recurrence(n, r) == arrangements.affine(n, r)


def test_units_without_biases_obey_the_recurrence_from_another_start():
    c = arrangements.central
    assert all(c(n + 1, r + 1) == c(n, r + 1) + c(n, r) for n in range(1, 12) for r in range(1, 12))
    assert [c(n, n) for n in (1, 2, 5)] == [2, 4, 32]
    assert c(7, 1) == 2 != arrangements.recurrence(7, 1)


def test_known_numbers_of_regions():
    assert arrangements.affine(256, 2) == 32_897
    assert arrangements.affine(64, 2) == 2_081
    np.testing.assert_allclose(math.log10(arrangements.affine(256, 10)), 17.5, atol=0.05)
    np.testing.assert_allclose(math.log10(arrangements.affine(256, 256)), 256 * math.log10(2))
    assert [arrangements.affine(n, 2) for n in range(7)] == [1, 2, 4, 7, 11, 16, 22]  # the lazy caterer
    assert [arrangements.affine(n, 3) for n in range(7)] == [1, 2, 4, 8, 15, 26, 42]  # the cake numbers
    assert (arrangements.central(5, 2), arrangements.central(6, 3)) == (10, 32)
    assert arrangements.central(0, 3) == arrangements.affine(0, 3) == arrangements.affine(4, 0) == 1


@pytest.mark.parametrize("r", [2, 3])
def test_the_rank_counts_and_not_the_number_of_inputs(r):
    weights, biases = rng(r).normal(size=(6, r)) @ rng(9).normal(size=(r, 5)), rng(1).normal(size=6)
    found = arrangements.regions(weights, biases, most=arrangements.affine(6, r))
    check_points(found, weights, biases)
    assert found.points.shape == (arrangements.affine(6, r), 5)


@pytest.mark.parametrize("seed", range(6))
def test_special_positions_have_the_number_of_regions_of_zaslavsky(seed):
    weights = rng(seed).integers(-1, 2, (7, 2 + seed % 2))
    weights = weights[np.abs(weights).sum(1) > 0]
    biases = rng(seed + 50).integers(-1, 2, len(weights))
    found = arrangements.regions(weights, biases)
    check_points(found, weights, biases)
    assert len(found.patterns) == whitney(weights, biases)
    assert len(found.patterns) < arrangements.affine(*weights.shape)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_dense_sample_meets_the_same_regions(seed):
    turns = np.arange(6) * math.pi / 6
    weights, biases = np.column_stack([np.cos(turns), np.sin(turns)]), rng(seed).normal(size=6)
    angles, radii = rng(5).uniform(0, 2 * math.pi, 200_000), np.exp(rng(6).uniform(-3, 6, 200_000))
    seen = sampled(weights, biases, np.column_stack([radii * np.cos(angles), radii * np.sin(angles)]))
    assert seen == set(map(tuple, arrangements.regions(weights, biases).patterns.tolist()))
    assert len(seen) < 2**6


def test_a_convolution_makes_fewer_regions_than_general_position():
    channels, offsets = np.array([1.5, -0.7]), np.array([0.3, 0.8])
    weights, biases = np.kron(np.eye(4), channels[:, None]), np.tile(offsets, 4)  # 1 x 1 on 4 pixels
    assert len(arrangements.regions(weights, biases).patterns) == 3**4
    assert arrangements.affine(8, 4) == 163


def test_parallel_equal_and_concurrent_hyperplanes_make_fewer():
    lines = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert len(arrangements.regions(lines, np.array([0.0, 1.0, 0.0])).patterns) == 6
    assert len(arrangements.regions(lines, np.array([1.0, 1.0, 0.0])).patterns) == 4
    star = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    through = -star @ np.array([0.1, 0.7])
    assert len(arrangements.regions(star, through).patterns) == 6
    # and a triangle that is small, but wider than rounding, is the seventh
    assert len(arrangements.regions(star, through + np.array([0, 0, 1e-7])).patterns) == 7


@pytest.mark.parametrize("seed", range(8))
def test_rounding_makes_no_region_where_lines_meet(seed):
    lines, point = rng(seed).normal(size=(4, 2)), rng(seed + 9).normal(size=2)
    assert len(arrangements.regions(lines, -lines @ point).patterns) == 8


def test_the_units_of_the_weights_do_not_matter():
    weights, biases = rng(6).normal(size=(5, 2)), rng(7).normal(size=5)
    patterns = arrangements.regions(weights, biases).patterns
    sizes = np.array([1e-6, 1e6, 3, 1, 1e3])
    for unit in (1e5, 1e-10):
        scaled = arrangements.regions(weights * sizes[:, None], biases * sizes * unit)
        np.testing.assert_array_equal(scaled.patterns, patterns)
        check_points(scaled, weights * sizes[:, None], biases * sizes * unit)


def test_no_unit_makes_one_region_and_no_input_is_changed():
    assert arrangements.regions(np.zeros((0, 3)), np.zeros(0)).points.shape == (1, 3)
    weights, biases = rng(1).normal(size=(3, 2)), rng(2).normal(size=3)
    copies = weights.copy(), biases.copy()
    arrangements.regions(weights, biases)
    np.testing.assert_array_equal(weights, copies[0])
    np.testing.assert_array_equal(biases, copies[1])


def test_what_would_explode_is_refused_before_it_starts():
    weights = rng().normal(size=(40, 30))
    with pytest.raises(ValueError, match=r"40 hyperplanes of rank 30 .* most = 2000"):
        arrangements.regions(weights, np.ones(40))
    square = rng().normal(size=(5, 2))
    with pytest.raises(ValueError, match="may have 16 regions, allowed are most = 15"):
        arrangements.regions(square, np.ones(5), most=15)
    assert len(arrangements.regions(square, np.ones(5), most=16).patterns) <= 16
    assert len(arrangements.regions(square, most=10).patterns) == 10


def test_bad_layers_are_refused():
    good = np.ones((3, 2))
    with pytest.raises(ValueError, match=r"biases \(2,\); give \(n, d\)"):
        plain(arrangements.regions)(good, np.ones(2))
    with pytest.raises(ValueError, match="NaN"):
        arrangements.regions(good * np.nan, np.ones(3))
    with pytest.raises(ValueError, match="unit 1 has weights 0"):
        arrangements.regions(np.array([[1.0, 0], [0, 0]]))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: arrangements.affine(-1, 2), "n = -1; allowed is 0 or more"),
        (lambda: arrangements.affine(1, -2), "r = -2"),
        (lambda: arrangements.central(3, 0), "r = 0; allowed is 1 or more"),
        (lambda: arrangements.recurrence(3, 4), "r = 4; allowed is 1 to 3"),
        (lambda: arrangements.uniform_law(17), "n = 17; allowed is 1 to 16"),
        (lambda: arrangements.stated_bias_law(4), "n = 4; allowed is 1 to 3"),
        (lambda: arrangements.sign_flip_law(np.ones(21)), "weights = 21; allowed is 1 to 20"),
        (lambda: arrangements.sign_flip_law(np.array([np.nan])), "all finite"),
        (lambda: arrangements.sign_flip_law(np.ones(2), math.inf), "bias = inf"),
    ],
)
def test_numbers_out_of_range_are_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def active(weights, biases):
    """Count, for each row of weights, the inputs in {0, 1}^n that activate the unit."""
    inputs = np.array(list(itertools.product((0, 1), repeat=weights.shape[1])))
    return (weights @ inputs.T + biases[:, None] > 0).sum(1)


def flipped(weights, bias):
    """Return how often each count comes among all signs of weights and bias."""
    signs = np.array(list(itertools.product((-1, 1), repeat=len(weights))))
    counts = np.concatenate([active(signs * weights, np.full(len(signs), b)) for b in (bias, -bias)])
    return np.bincount(counts, minlength=2 ** len(weights) + 1) / len(counts)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6, 8, 10, 12])
def test_the_uniform_law_holds_for_every_n_whatever_the_weights(n):
    weights = rng(n).standard_cauchy(n)
    expected = np.array([float(p) for p in arrangements.uniform_law(n)])
    np.testing.assert_allclose(arrangements.sign_flip_law(weights), expected, rtol=1e-12)
    np.testing.assert_allclose(expected.sum(), 1)
    if n <= 10:  # by brute force with a bias that is small beside every sum
        np.testing.assert_allclose(flipped(weights, 1e-9), expected, rtol=1e-12)


def test_the_uniform_law_is_that_of_the_study():
    assert arrangements.uniform_law(2) == [
        Fraction(1, 8),
        Fraction(1, 4),
        Fraction(1, 4),
        Fraction(1, 4),
        Fraction(1, 8),
    ]
    assert arrangements.uniform_law(3)[:2] == [Fraction(1, 16), Fraction(1, 8)]


@pytest.mark.parametrize("bias", [0.0, 0.3, 1.7, 50.0])
def test_sign_flips_are_counted_as_by_brute_force(bias):
    weights = rng(8).normal(size=6)
    np.testing.assert_allclose(arrangements.sign_flip_law(weights, bias), flipped(weights, bias or 1e-12), rtol=1e-12)


def test_equal_weights_break_the_uniform_law():
    law = arrangements.sign_flip_law(np.ones(2))
    np.testing.assert_allclose(law, flipped(np.ones(2), 1e-12))
    np.testing.assert_allclose(law, np.array([1, 3, 0, 3, 1]) / 8)


def test_weights_that_are_not_symmetric_break_the_uniform_law():
    weights = rng(9).exponential(size=(20_000, 3)) - 0.5
    seen = np.bincount(active(weights, np.zeros(20_000)), minlength=9) / 20_000
    assert np.abs(seen[1:7] - 1 / 8).max() > 0.05
    symmetric = weights * rng(10).choice([-1, 1], weights.shape)
    again = np.bincount(active(symmetric, np.zeros(20_000)), minlength=9) / 20_000
    np.testing.assert_allclose(again[:8], 1 / 8, atol=5 * math.sqrt(1 / 8 / 20_000))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_stated_bias_has_the_known_fractions(n):
    half = [Fraction(text) for text in STATED[n]]
    assert arrangements.stated_bias_law(n) == half + half[-2::-1]
    assert arrangements.stated_bias_law(n) != arrangements.uniform_law(n)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_stated_bias_agrees_with_draws(n):
    draws = 100_000
    drawn = rng(n).uniform(-1, 1, (draws, n + 1))
    seen = np.bincount(active(drawn[:, 1:], drawn[:, 0]), minlength=2**n + 1) / draws
    law = np.array([float(p) for p in arrangements.stated_bias_law(n)])
    np.testing.assert_array_less(np.abs(seen - law), 4.5 * np.sqrt(law * (1 - law) / draws))
