"""What t-SNE makes small: the divergence of a picture's neighbourhoods from those of the points, and its gradient.

The equations of van der Maaten and Hinton (2008), dense: n x n numbers in float64, where the points are. Made to be
read; ``embed.tsne`` runs on them for few points, and on approximations of them for many.
"""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from actlib import neighbours


def affinities(x: neighbours.Array, perplexity: int | float) -> Float64[Tensor, "n n"]:
    """Return P: the share of each pair in the neighbourhoods of the points.

    A Gaussian round point i gives each other point j a share p(j|i) (eq. 1). Its width is found by bisection: the one
    at which exp(entropy) of these shares, their perplexity, is as asked for. Then p_ij = (p(j|i) + p(i|j)) / 2n.

    Parameters
    ----------
    x
        (n, ...), points. One with more copies than ``perplexity`` has its share in these alone.
    perplexity
        The number of neighbours that a point effectively has: above 1, below n - 1.

    Returns
    -------
    Tensor
        Symmetric, zero on the diagonal, sums to one.

    Raises
    ------
    ValueError
        If ``x`` is no set of points (see ``neighbours.as_points``) or ``perplexity`` is out of range.
    """
    squares = squared_distances(neighbours.as_points(x).double())
    n = len(squares)
    if not 1 < perplexity < n - 1:
        raise ValueError(f"perplexity = {perplexity} for {n} points; give more than 1 and less than {n - 1}")
    squares /= squares.mean(1, keepdim=True)  # one range of widths fits all
    squares.fill_diagonal_(torch.inf)  # p(i|i) = 0
    low, high = squares.new_full((n, 1), -60), squares.new_full((n, 1), 60)
    for _ in range(64):
        middle = (low + high) / 2  # log of 1 / (2 sigma^2)
        p = torch.softmax(-middle.exp() * squares, dim=1)
        wide = torch.special.entr(p).sum(1, keepdim=True).exp() > perplexity
        low, high = torch.where(wide, middle, low), torch.where(wide, high, middle)
    return (p + p.T) / (2 * n)


def similarities(y: Float[Tensor, "n c"]) -> Float64[Tensor, "n n"]:
    """Return Q: the share of each pair in the picture, by a Student t of one degree of freedom (eq. 4).

    Symmetric, zero on the diagonal, sums to one. Its tail is heavier than a Gaussian's: points that are far apart in
    truth find room in the plane.
    """
    weights = 1 / (1 + squared_distances(y.double()))
    weights.fill_diagonal_(0)
    return weights / weights.sum()


def divergence(p: Float64[Tensor, "n n"], q: Float64[Tensor, "n n"]) -> float:
    """Return KL(P || Q) = sum p_ij log(p_ij / q_ij) in nats (eq. 2), where 0 log 0 is 0.

    Near points shown far apart cost much, far points shown near little.
    """
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum().item()


def gradient(p: Float64[Tensor, "n n"], y: Float[Tensor, "n c"]) -> Float64[Tensor, "n c"]:
    """Return the gradient of the divergence by the places y of the picture (eq. 5), springs between all pairs.

    Each pair is a spring: it pulls while P is larger than Q and pushes while it is smaller.
    """
    y = y.double()
    springs = (p - similarities(y)) / (1 + squared_distances(y))
    return 4 * (springs.sum(1, keepdim=True) * y - springs @ y)


def squared_distances(x: Float64[Tensor, "n d"]) -> Float64[Tensor, "n n"]:
    r"""Return :math:`|x_i - x_j|^2` from the differences themselves, so that copies are at exactly 0."""
    return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").square()
