"""t-SNE's objective against its definition, hand-computed points, openTSNE and finite differences."""

import math

import numpy as np
import pytest
import torch
from openTSNE import affinity
from scipy import optimize, special

from actlib import objective


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_affinities(x, perplexity):
    """Return P row by row, each width found by scipy as the root of its definition."""
    n = len(x)
    conditional = np.zeros((n, n))
    for i in range(n):
        others = np.delete(np.arange(n), i)
        squares = ((x[others] - x[i]) ** 2).sum(1)

        def shares(log_width, squares=squares):
            return special.softmax(-squares / (2 * math.exp(2 * log_width)))

        def excess(log_width, shares=shares):
            return 2 ** (special.entr(shares(log_width)).sum() / math.log(2)) - perplexity

        conditional[i, others] = shares(optimize.brentq(excess, -10, 10, xtol=1e-13, rtol=1e-14))
    return (conditional + conditional.T) / (2 * n)


@pytest.mark.parametrize("perplexity", [1.5, 7.0, 25.0])
def test_affinities_have_the_perplexity_of_the_definition(perplexity):
    x = normal(30, 4) * torch.tensor([1.0, 3.0, 0.2, 1.0])
    p = objective.affinities(x, perplexity)
    np.testing.assert_allclose(p, slow_affinities(x.numpy(), perplexity), atol=1e-12)


def test_affinities_agree_with_opentsne_that_keeps_all_neighbours():
    x = normal(50, 3)
    theirs = affinity.PerplexityBasedNN(x.numpy(), 10, method="exact", k_neighbors=49).P.toarray()
    np.testing.assert_allclose(objective.affinities(x, 10), theirs, atol=1e-8)
    shorter = affinity.PerplexityBasedNN(x.numpy(), 10, method="exact", k_neighbors=30).P.toarray()
    assert abs(shorter - theirs).max() > 1e-5


def test_affinities_are_symmetric_sum_to_one_and_see_neither_scale_nor_place():
    x = normal(40, 5).float()
    p = objective.affinities(x, 8)
    torch.testing.assert_close(p, p.T, rtol=0, atol=0)
    torch.testing.assert_close(p.sum(), torch.tensor(1.0, dtype=torch.float64))
    assert (p.diagonal() == 0).all()
    for scale in (1e-90, 1e-12, 1e12, 1e90):
        torch.testing.assert_close(objective.affinities(x.double() * scale, 8), objective.affinities(x, 8))
    torch.testing.assert_close(objective.affinities(x.double() + 100, 8), p)
    torch.testing.assert_close(objective.affinities(x.view(40, 1, 5).numpy(), 8), p)
    assert (objective.affinities(x, 9) - p).abs().max() > 1e-6


def test_corners_of_a_triangle_share_alike_and_a_far_point_still_has_neighbours():
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(0.75)]], dtype=torch.float64)
    expected = (1 - torch.eye(3, dtype=torch.float64)) / 6
    torch.testing.assert_close(objective.affinities(corners, 1.5), expected)
    far = torch.cat([normal(30, 2), torch.tensor([[1e4, 0.0]], dtype=torch.float64)])
    # Nobody has it as a neighbour, but it has its own: this is why P is made symmetric.
    np.testing.assert_allclose(objective.affinities(far, 5)[-1].sum(), 1 / (2 * 31), rtol=1e-9)


def test_a_point_with_more_copies_than_perplexity_shares_itself_out_among_them():
    x = normal(20, 3)
    x[:8] = x[0].clone()
    p = objective.affinities(x, 3)
    torch.testing.assert_close(p.sum(), torch.tensor(1.0, dtype=torch.float64))
    within = p[:8, :8][~torch.eye(8, dtype=torch.bool)]
    torch.testing.assert_close(within, torch.full_like(within, 1 / 7 / 20))


@pytest.mark.parametrize("perplexity", [1.0, 9.0, 30.0, -2.0, math.nan])
def test_a_perplexity_that_no_width_has_is_refused(perplexity):
    with pytest.raises(ValueError, match=f"perplexity = {perplexity} for 10 points; give more than 1 and less than 9"):
        objective.affinities(normal(10, 2), perplexity)


def test_three_points_by_hand():
    # On a line at 0, 1 and 3 the weights are 1/2, 1/10 and 1/5, each pair twice: 8/5 in all.
    q = objective.similarities(torch.tensor([[0.0], [1.0], [3.0]]))
    expected = torch.tensor([[0, 5, 1], [5, 0, 2], [1, 2, 0]], dtype=torch.float64) / 16
    torch.testing.assert_close(q, expected)
    p = (1 - torch.eye(3, dtype=torch.float64)) / 6
    by_hand = (math.log(16 / 30) + math.log(16 / 6) + math.log(16 / 12)) / 3
    np.testing.assert_allclose(objective.divergence(p, q), by_hand)
    # On point 0: 4 [(1/6 - 5/16) (-1) / 2 + (1/6 - 1/16) (-3) / 10]
    force = objective.gradient(p, torch.tensor([[0.0], [1.0], [3.0]]))[0, 0]
    np.testing.assert_allclose(force, 4 * ((1 / 6 - 5 / 16) * -1 / 2 + (1 / 6 - 1 / 16) * -3 / 10))


def test_divergence_is_scipy_s_relative_entropy_zero_only_for_equals_and_not_symmetric():
    p, q = objective.affinities(normal(15, 4), 4), objective.similarities(normal(15, 2, seed=1))
    np.testing.assert_allclose(objective.divergence(p, q), special.rel_entr(p.numpy(), q.numpy()).sum())
    np.testing.assert_allclose(objective.divergence(q, q), 0, atol=1e-15)
    assert objective.divergence(p, q) > 0
    assert abs(objective.divergence(p, q) - objective.divergence(q, p)) > 1e-3


@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_gradient_is_the_finite_difference_of_the_divergence(n_components):
    p, y = objective.affinities(normal(12, 4), 4), 2 * normal(12, n_components, seed=1)
    step, expected = 1e-6, torch.empty_like(y)
    for i in np.ndindex(*y.shape):
        shift = torch.zeros_like(y)
        shift[i] = step
        ends = [objective.divergence(p, objective.similarities(y + sign * shift)) for sign in (1, -1)]
        expected[i] = (ends[0] - ends[1]) / (2 * step)
    torch.testing.assert_close(objective.gradient(p, y), expected, rtol=1e-6, atol=1e-8)


def test_forces_cancel_vanish_where_p_is_q_and_turn_with_the_picture():
    p, y = objective.affinities(normal(20, 4), 5), normal(20, 2, seed=1)
    forces = objective.gradient(p, y)
    torch.testing.assert_close(forces.sum(0), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-15)
    turn = torch.linalg.qr(normal(2, 2, seed=2)).Q
    torch.testing.assert_close(objective.gradient(p, y @ turn), forces @ turn)
    still = objective.gradient(objective.similarities(y), y)
    torch.testing.assert_close(still, torch.zeros_like(y), rtol=0, atol=1e-15)
    assert forces.abs().max() > 1e-3
