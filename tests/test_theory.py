import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from actlib import theory


def rng(seed=0):
    return np.random.default_rng(seed)


def plain(function):
    """Return a function without its annotations' checks, as users call it."""
    return getattr(function, "__wrapped__", function)


def assert_mean(draws, expected, *, bias=0.0):
    """Assert that the mean of draws is as expected, within 4.5 standard errors and a known bias."""
    error = np.std(draws) / math.sqrt(len(draws))
    np.testing.assert_allclose(np.mean(draws), expected, atol=4.5 * error + bias, rtol=0)


def assert_sd(draws, expected, *, rtol):
    np.testing.assert_allclose(np.std(draws), expected, rtol=rtol)


def gaussian_pair(correlation, n, seed=0):
    a, b = rng(seed).normal(size=(2, n))
    return a, correlation * a + math.sqrt(1 - correlation**2) * b


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0, 2.0])
def test_units_are_active_as_often_as_kappa_says(shift):
    mean, draws = np.full(50, shift), 4_000
    unit = rng(1).normal(size=(draws, 50))
    probability = stats.norm.cdf(unit @ mean / np.linalg.norm(unit, axis=1))  # of N(mean, 1) inputs, given the unit
    found = theory.kappa(shift**2 / (shift**2 + 1))
    np.testing.assert_allclose(found, shift)
    if shift:
        for p in (0.01, 0.2, 0.5, 0.9):
            assert_mean(probability <= p, theory.activation_cdf(p, found), bias=0.003)
    else:
        np.testing.assert_allclose(probability, 0.5)


def test_kappa_is_1_for_uniform_and_infinite_for_dead_units():
    p = np.linspace(0, 1, 11)
    np.testing.assert_allclose(theory.activation_cdf(p, theory.kappa(0.5)), p)
    np.testing.assert_allclose(theory.activation_pdf(p[1:-1], 1.0), 1)
    np.testing.assert_allclose(theory.kappa(np.array([0, 1.0])), [0, np.inf])
    assert not np.allclose(theory.activation_cdf(p, 0.683), p, atol=0.05)


@pytest.mark.parametrize("n", [16, 400])
def test_fair_bits_with_a_bias_have_the_kappa_of_the_docstring(n):
    bits = rng(2).integers(0, 2, (2, 3_000, n))
    weights, biases = rng(3).uniform(-1, 1, (3_000, n)), rng(4).uniform(-1, 1, 3_000)
    first, second = (np.einsum("ij,ij->i", bits[k], weights) + biases for k in (0, 1))
    c = (1 + 4 / n) / (2 + 4 / n)
    np.testing.assert_allclose(theory.kappa(c) ** 2, 1 + 4 / n)
    assert_mean(first * second / (first**2 + second**2).mean() * 2, c, bias=0.02)


@pytest.mark.parametrize("kappa", [0.3, 0.9, 2.5])
def test_the_density_is_the_slope_of_the_distribution(kappa):
    p = np.linspace(0.05, 0.95, 7)
    total = [integrate.quad(lambda x: theory.activation_pdf(x, kappa), 0.02, end)[0] for end in p]
    expected = theory.activation_cdf(p, kappa) - theory.activation_cdf(0.02, kappa)
    np.testing.assert_allclose(total, expected, rtol=1e-6)


@pytest.mark.parametrize("c", [-1.0, -0.6, 0.0, 0.3, 0.9, 1.0])
def test_the_kernels_are_what_relu_and_sign_make_of_gaussians(c):
    a, b = gaussian_pair(c, 200_000)
    assert_mean(2 * np.maximum(a, 0) * np.maximum(b, 0), theory.arc_cosine(c))
    assert_mean((a > 0) == (b > 0), theory.arc_cosine(c, 0), bias=1e-12)


def test_the_kernels_have_their_known_values_and_slope():
    np.testing.assert_allclose(theory.arc_cosine(np.array([-1, 0, 1.0])), [0, 1 / math.pi, 1], atol=1e-15)
    np.testing.assert_allclose(theory.arc_cosine(np.array([-1, 0, 0.5, 1.0]), 0), [0, 1 / 2, 2 / 3, 1], atol=1e-15)
    c = np.linspace(-0.9, 0.9, 7)
    slope = (theory.arc_cosine(c + 1e-6) - theory.arc_cosine(c - 1e-6)) / 2e-6
    np.testing.assert_allclose(slope, theory.arc_cosine(c, 0), rtol=1e-6)  # degree 0 is the derivative of degree 1


def network(gains, biases, x, seed=0):
    """Yield the pre-activations of a random ReLU network, wide and Gaussian."""
    generator = rng(seed)
    for gain, bias in zip(gains, biases, strict=True):
        n = x.shape[1]
        z = x @ generator.normal(0, math.sqrt(gain / n), (n, 2_500)) + generator.normal(0, math.sqrt(bias), 2_500)
        yield z
        x = np.maximum(z, 0)


@pytest.mark.parametrize(("gain", "bias"), [(1 / 3, 1e-3), (2.0, 0.0), (1.5, 0.2)])
def test_a_wide_network_follows_the_recursion(gain, bias):
    gains, biases = np.full(3, gain), np.full(3, bias)
    x = rng(5).normal(size=(2, 800))
    x[1] = 0.4 * x[0] + math.sqrt(1 - 0.4**2) * x[1]
    square, product = (x**2).mean(), (x[0] * x[1]).mean()
    found = theory.depth_recursion(square, product / square, gains, biases)
    for layer, z in enumerate(network(gains, biases, x)):
        np.testing.assert_allclose((z**2).mean(), found.mean_square[layer], rtol=0.15)
        seen = (z[0] * z[1]).mean() / (z**2).mean()
        np.testing.assert_allclose(seen, found.correlation[layer], atol=0.05)
    np.testing.assert_allclose(found.kappa, np.sqrt(found.correlation / (1 - found.correlation)))


def test_default_biases_saturate_a_deep_network_and_none_does_much_less():
    n_in = np.array([3072] + [256] * 9)
    default = theory.depth_recursion(1.0, 0.0, np.full(10, 1 / 3), 1 / (3 * n_in))
    expected = [0.02, 0.71, 1.14, 1.99, 4.4, 10.7, 26, 65, 159, 389]
    np.testing.assert_allclose(default.kappa, expected, rtol=0.02, atol=0.005)
    shares = 2 * theory.activation_cdf(0.01, default.kappa)
    np.testing.assert_allclose(shares[1:7], [0, 0.04, 0.24, 0.60, 0.83, 0.93], atol=0.005)
    np.testing.assert_allclose(shares[9], 0.995, atol=0.001)
    free = [theory.depth_recursion(1.0, 0.0, np.full(10, gain), np.zeros(10)) for gain in (1 / 3, 1, 2)]
    np.testing.assert_allclose(free[0].kappa, free[1].kappa)
    np.testing.assert_allclose(free[0].kappa, free[2].kappa)
    np.testing.assert_allclose(free[0].kappa[[1, 2, 9]], [0.683, 0.99, 2.43], atol=0.005)
    np.testing.assert_allclose(free[2].mean_square[1:], 2)  # He keeps the signal


def test_activation_and_pattern_agree_in_79_percent():
    np.testing.assert_allclose(theory.pattern_agreement(), 0.79405, atol=5e-6)
    np.testing.assert_allclose(theory.arc_cosine(theory.pattern_correlation(), 0), 0.79405, atol=5e-6)


@pytest.mark.parametrize("n", [64, 256])
def test_the_agreement_for_n_inputs_is_that_of_drawn_activations(n):
    y = rng(6).normal(size=(3_000_000 // n, n))
    f, a = np.maximum(y, 0) / math.sqrt(3), (y > 0).astype(np.float64)
    cosine = ((f * a).sum(1) + 1) / np.sqrt(((f * f).sum(1) + 1) * (a.sum(1) + 1))  # 1 is the bias
    assert_mean(1 - np.arccos(cosine) / math.pi, theory.pattern_agreement(n), bias=3.5 / n**2)


def test_the_agreement_is_the_kernel_of_the_moments_that_its_proof_names():
    y, n, c = rng(7).normal(size=(20_000, 256)), 1e4, math.sqrt(2 / math.pi)
    a = y > 0
    ratio = (y * a).sum(1) / np.sqrt((y**2 * a).sum(1) * a.sum(1)) / c
    assert_mean(256 * (ratio - 1), 1 / 2, bias=0.01)
    np.testing.assert_allclose(256 * ratio.var(), math.pi - 3, rtol=0.05)
    middle, sd = 1 + (math.sqrt(6 * math.pi) - 3.5) / n, math.sqrt((math.pi - 3) / n)
    around = np.mean(theory.arc_cosine(c * np.array([middle - sd, middle + sd]), 0))
    np.testing.assert_allclose(
        n * (theory.pattern_agreement(n) - theory.pattern_agreement()),
        n * (around - theory.pattern_agreement()),
        rtol=1e-3,
    )


def test_the_agreement_of_drawn_units():
    draws, n = 20_000, 256
    y = rng(7).normal(size=(draws, n)) / math.sqrt(3)
    weights, biases = rng(8).uniform(-1, 1, (draws, n)), rng(9).uniform(-1, 1, draws)
    by_value = np.einsum("ij,ij->i", np.maximum(y, 0), weights) + biases
    by_pattern = np.einsum("ij,ij->i", (y > 0).astype(np.float64), weights) + biases
    assert_mean(by_value * by_pattern >= 0, theory.pattern_agreement(n))


@pytest.mark.parametrize("c", [0.0, 0.5, 0.9])
def test_a_pattern_of_a_neighbour_has_the_stated_correlation(c):
    y, z = gaussian_pair(c, 400_000, seed=3)
    expected = theory.pattern_correlation(c)
    assert_mean(2 * np.maximum(y, 0) * (z > 0), expected)  # 2 = 1 / sqrt(E f^2 E a^2), both 1/2


def test_a_centred_activation_and_its_bit_are_less_alike():
    y = rng(4).normal(size=400_000)
    seen = np.corrcoef(np.maximum(y, 0), y > 0)[0, 1]
    np.testing.assert_allclose(seen, theory.CENTRED_PATTERN_CORRELATION, atol=0.005)
    np.testing.assert_allclose(theory.arc_cosine(theory.CENTRED_PATTERN_CORRELATION, 0), 0.7395, atol=5e-5)


def test_binarising_every_layer_rests_at_the_fixed_point_and_one_layer_recovers():
    every, first = [theory.pattern_correlation()], [theory.pattern_correlation()]
    for _ in range(40):
        every.append(theory.pattern_correlation(every[-1]))
        first.append(theory.arc_cosine(first[-1]))
    seen = theory.arc_cosine(np.array(every), 0)
    np.testing.assert_allclose(seen[:4], [0.794, 0.755, 0.740, 0.735], atol=5e-4)
    np.testing.assert_allclose(seen[-1], 0.7310, atol=5e-5)
    np.testing.assert_allclose(every[-1], theory.BINARISED_FIXED_POINT)
    np.testing.assert_allclose(
        theory.arc_cosine(np.array(first[:5]), 0), [0.794, 0.809, 0.822, 0.833, 0.843], atol=5e-4
    )


@pytest.mark.parametrize("c", [-0.5, 0.0, 0.8])
def test_the_distance_of_two_patterns_is_their_angle(c):
    n, draws = 64, 20_000
    a, b = gaussian_pair(c, n * draws, seed=5)
    distances = ((a > 0) != (b > 0)).reshape(draws, n).sum(1)
    law = theory.hamming(c, n)
    assert_mean(distances, law.mean)
    assert_sd(distances, law.sd, rtol=0.03)


def test_the_distance_of_independent_inputs_sees_only_how_often_units_are_active():
    probabilities = rng(1).beta(3, 2, 64)
    bits = rng(2).random((2, 20_000, 64)) < probabilities
    law = theory.hamming_of_independent(probabilities)
    distances = (bits[0] != bits[1]).sum(1)
    assert_mean(distances, law.mean)
    assert_sd(distances, law.sd, rtol=0.03)
    # Units that all are copies of one have the mean of independent ones, and not their deviation.
    copies = np.repeat(rng(3).random((2, 20_000, 1)) < 0.5, 64, axis=2)
    copied, null = (copies[0] != copies[1]).sum(1), theory.hamming_of_independent(np.full(64, 0.5))
    assert_mean(copied, null.mean)
    assert copied.std() > 7 * null.sd


def test_the_null_of_the_bernoulli_test():
    np.testing.assert_allclose(theory.hamming_of_independent(np.full(256, 0.5)), (128, 8))
    for sd, mean in ((0.02, 127.80), (0.05, 126.72), (0.1, 122.88), (0.2, 107.52)):
        p = 0.5 + sd * np.resize([-1, 1], 256)
        np.testing.assert_allclose(theory.hamming_of_independent(p).mean, mean, atol=0.006)


@pytest.mark.parametrize("n", [256, 1024])
def test_hyperplanes_are_as_far_as_drawn_ones(n):
    draws = 3_000_000 // n
    weights, biases = rng(n).uniform(-1, 1, (draws, n)) / math.sqrt(n), rng(1).uniform(-1, 1, draws) / math.sqrt(n)
    norms = np.linalg.norm(weights, axis=1)
    law = theory.weight_norm(n)
    assert_mean(norms, law.mean, bias=0.1 / n)
    assert_sd(norms, law.sd, rtol=0.06)
    distances, farthest = np.abs(biases) / norms, math.sqrt(3 / n)
    assert_mean(distances, farthest / 2, bias=0.5 * farthest / n)
    for low, high in ((0, 0.5), (0.5, 0.95), (0.95, 1), (1, 1.05), (1.05, 2)):
        share = integrate.quad(theory.hyperplane_pdf, low * farthest, high * farthest, args=(n,))[0]
        assert_mean((distances > low * farthest) & (distances <= high * farthest), share, bias=2e-3)
    total = integrate.quad(theory.hyperplane_pdf, 0, 3 * farthest, args=(n,), points=[farthest])[0]
    np.testing.assert_allclose(total, 1, atol=1e-3)


@pytest.mark.parametrize("mean", [-1.0, 0.0, 0.4])
def test_folded_and_rectified_normals_have_the_moments_of_draws_and_of_scipy(mean):
    y = rng(2).normal(mean, 0.7, 300_000)
    folded, rectified = theory.folded_normal(mean, 0.7), theory.rectified_normal(mean, 0.7)
    known = stats.foldnorm(abs(mean) / 0.7, scale=0.7)
    np.testing.assert_allclose(folded, (known.mean(), known.std()))
    assert_mean(np.maximum(y, 0), rectified.mean)
    assert_sd(np.maximum(y, 0), rectified.sd, rtol=0.01)
    density = stats.norm(mean, 0.7).pdf
    square = integrate.quad(lambda t: t**2 * density(t), 0, 10)[0]
    np.testing.assert_allclose(rectified.sd**2 + rectified.mean**2, square, rtol=1e-7)


def test_the_half_normal_of_the_study():
    s = 3**-0.5
    np.testing.assert_allclose(theory.folded_normal(0.0, s), (0.4607, 0.3480), atol=5e-5)
    np.testing.assert_allclose(theory.rectified_normal(0.0, s), (0.2303, 0.3371), atol=5e-5)
    np.testing.assert_allclose(theory.folded_normal(0.0, 1.0), (stats.halfnorm.mean(), stats.halfnorm.std()))
    # 0.5842, the study's second scale, comes from the mean square; from the deviation it is nearer to the truth
    np.testing.assert_allclose(math.hypot(0.3489, 0.4685), 0.5842, atol=1e-4)
    np.testing.assert_allclose(0.3489 / theory.folded_normal(0.0, 1.0).sd, 0.5788, atol=1e-4)


def variances(draw, kurtosis, n=12, draws=60_000):
    """Return the variances of drawn units, and their law for a covariance with strong correlations."""
    root = rng(1).normal(size=(n, n)) * np.linspace(0.2, 2, n)
    covariance = root @ root.T
    weights = draw(size=(draws, n))
    seen = np.einsum("ij,jk,ik->i", weights, covariance, weights)
    return seen, theory.next_variance(covariance, 0.25, excess_kurtosis=kurtosis), covariance


def test_the_variance_of_the_next_layer_needs_no_independent_inputs():
    gaussian, law, covariance = variances(lambda size: rng(3).normal(0, 0.5, size), 0.0)
    assert_mean(gaussian, law.mean)
    assert_sd(gaussian, law.sd, rtol=0.03)
    np.testing.assert_allclose(law.mean, 0.25 * np.diag(covariance).sum())
    effective = np.trace(covariance) ** 2 / np.trace(covariance @ covariance)
    np.testing.assert_allclose(law.sd / law.mean, math.sqrt(2 / effective))
    uniform, narrower, _ = variances(lambda size: rng(4).uniform(-1, 1, size) * math.sqrt(0.75), -1.2)
    assert_mean(uniform, narrower.mean)
    assert_sd(uniform, narrower.sd, rtol=0.03)
    assert narrower.sd < 0.97 * law.sd


def test_a_mean_of_the_inputs_that_is_not_taken_off_counts_as_variance():
    x, w = rng(5).normal(3, 1, (5_000, 4)), np.array([0.5, -0.2, 0.8, 0.1])
    wrong = ((x @ w) ** 2).mean()  # (40) of the study
    np.testing.assert_allclose(np.var(x @ w), w @ np.cov(x.T, bias=True) @ w)
    assert wrong > 10 * np.var(x @ w)


def test_selu_has_the_published_constants():
    np.testing.assert_allclose(theory.selu_constants(), (1.6732632423543772, 1.0507009873554805), rtol=1e-12)


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (-0.8, 0.5), (1.5, 2.0)])
def test_selu_makes_the_law_that_integration_finds(mean, sd):
    alpha, scale = theory.selu_constants()

    def moment(power):
        def weighted(y):
            return torch.selu(torch.tensor(y, dtype=torch.float64)).item() ** power * stats.norm.pdf(y, mean, sd)

        return integrate.quad(weighted, mean - 12 * sd, mean + 12 * sd, points=[0.0])[0]

    law = theory.selu_law(mean, sd, alpha, scale)
    np.testing.assert_allclose(law.mean, moment(1), atol=1e-7)
    np.testing.assert_allclose(law.sd**2 + law.mean**2, moment(2), atol=1e-7)


def test_selu_draws_the_moments_back_and_other_constants_do_not():
    alpha, scale = theory.selu_constants()
    law, other = theory.Law(0.3, 1.4), theory.Law(0.3, 1.4)
    for _ in range(60):  # a layer of centred weights with gain 1 hands on the mean square as a variance
        law = theory.selu_law(0.0, math.hypot(*law), alpha, scale)
        other = theory.selu_law(0.0, math.hypot(*other), alpha, 0.9 * scale)
    np.testing.assert_allclose(law, (0, 1), atol=1e-6)
    assert other.sd < 0.9


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: theory.kappa(-0.1), r"correlation = -0.1, 1 of 1; allowed is 0 to 1"),
        (lambda: theory.kappa(np.array([0.5, np.nan, 2])), "correlation = nan, 2 of 3"),
        (lambda: theory.activation_cdf(0.5, 0), "kappa = 0, 1 of 1; allowed is 0 to inf, the ends excluded"),
        (lambda: theory.activation_cdf(1.5, 1), "p = 1.5"),
        (lambda: theory.activation_pdf(0.0, 1.0), "p = 0"),
        (lambda: theory.arc_cosine(1.01), "correlation = 1.01"),
        (lambda: theory.arc_cosine(0.5, 2), "degree = 2; choose 0"),
        (lambda: theory.depth_recursion(0.0, 0.0, np.ones(2), np.ones(2)), "mean_square = 0"),
        (lambda: theory.depth_recursion(1.0, -0.1, np.ones(2), np.ones(2)), "correlation = -0.1"),
        (lambda: theory.depth_recursion(1.0, 0.0, np.zeros(2), np.ones(2)), "gains = 0, 2 of 2"),
        (lambda: theory.depth_recursion(1.0, 0.0, np.ones(2), -np.ones(2)), "bias_variances = -1"),
        (lambda: theory.depth_recursion(1.0, 0.0, np.ones(0), np.ones(0)), r"gains are \(0,\)"),
        (lambda: theory.pattern_correlation(2.0), "correlation = 2"),
        (lambda: theory.pattern_agreement(16), "n = 16, 1 of 1; allowed is 64 to inf"),
        (lambda: theory.hamming(0.5, 0), "n = 0"),
        (lambda: theory.hamming_of_independent(np.array([0.5, 1.5])), "probabilities = 1.5, 1 of 2"),
        (lambda: theory.weight_norm(0), "n = 0"),
        (lambda: theory.hyperplane_pdf(-1.0, 4), "distance = -1"),
        (lambda: theory.folded_normal(0.0, 0.0), "sd = 0"),
        (lambda: theory.rectified_normal(np.inf, 1.0), "mean = inf"),
        (lambda: theory.next_variance(np.array([[1.0, 2], [0, 1]]), 1.0), "not symmetric"),
        (lambda: theory.next_variance(np.eye(2), 0.0), "weight_variance = 0"),
        (lambda: theory.next_variance(np.eye(2), 1.0, excess_kurtosis=-3.0), "excess_kurtosis = -3"),
        (lambda: theory.selu_law(0.0, -1.0, 1.0, 1.0), "sd = -1"),
    ],
)
def test_values_out_of_range_are_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"gains are \(2,\) and bias_variances \(3,\)"):
        plain(theory.depth_recursion)(1.0, 0.0, np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match=r"covariance of shape \(2, 3\)"):
        plain(theory.next_variance)(np.ones((2, 3)), 1.0)
