"""Labels of predictions: how often noise leaves them as they are, and which predictions get a label.

The labels of the meta-network study (document 001; M1, M2): normal noise of standard deviation 0.9 is added to an
image, nothing is clipped, and the label is the share of 1,000 noisy copies that get the class of the clean image. The
study took the same 1,000 noises for all networks and images: labels of one network share their luck.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from actlib import perturbations
from actlib.members import Population, n_members, prepared
from actlib.selection import Selection, select

__all__ = ["Selection", "divergences", "ratios", "select", "selected_ratios"]


def ratios(
    population: Population,
    images: Tensor,
    *,
    generator: torch.Generator,
    sigma: float | int = 0.9,
    n_copies: int = 1000,
    noise: Literal["common", "independent"] = "common",
    progress: bool = False,
) -> Float64[Tensor, "*m n"]:
    """Return the share of noisy copies of each image that get the class of the clean image (M2).

    The work is a few times less than that of a loop over pairs, and the result the same up to ties: where rounding
    decides which of two logits is larger, a copy may count differently. In float32 that is one in a million or so.

    Parameters
    ----------
    population
        One network in any mode, or stacked parameters (m, ...) of ``models.lenet5``. Work happens on its device.
    images
        (n, c, h, w), as for ``models.prepare``.
    generator
        Of the noise; on the CPU or on the device of the network.
    sigma
        Standard deviation of the noise, in units of a pixel's value, where the range of the images is [0, 1].
    n_copies
        Noisy copies of each image.
    noise
        ``"common"``: the same copies of the noise for all images and networks, as in the study; with the generator's
        seed 42 they are what its ``torch.randn`` drew. ``"independent"``: new ones for each pair, at three times the
        cost.
    progress
        Show a bar where the output is a terminal.

    Returns
    -------
    Tensor
        (n,) for one network, (m, n) for a population, in [0, 1]. NaN where the clean logits are not finite.

    Raises
    ------
    ValueError
        If images or parameters do not fit, or a number is out of range.

    Examples
    --------
    >>> labels = robustness.ratios(model, images, generator=torch.Generator().manual_seed(42))
    """
    made = perturbations.Noise(noise, sigma, generator)
    return _means(population, images, _unchanged, made, n_copies, progress)


def selected_ratios(
    population: Population,
    images: Tensor,
    selection: Selection,
    *,
    generator: torch.Generator,
    sigma: float | int = 0.9,
    n_copies: int = 1000,
    noise: Literal["common", "independent"] = "common",
    progress: bool = False,
) -> Float64[Tensor, " p"]:
    """Return the labels of the selected pairs only; as ``ratios`` else."""
    made = perturbations.Noise(noise, sigma, generator)
    rows = selection.rows(n_members(population), len(images))
    return _means(population, images, _unchanged, made, n_copies, progress, rows)


def divergences(
    population: Population,
    images: Tensor,
    *,
    generator: torch.Generator,
    sigma: float | int = 0.9,
    n_copies: int = 1000,
    noise: Literal["common", "independent"] = "common",
    progress: bool = False,
) -> Float64[Tensor, "*m n"]:
    """Return the mean KL divergence of noisy copies' probabilities from the clean image's, in nats; as ``ratios`` else.

    The other label that the study names and did not compute: KL(softmax of clean logits, softmax of noisy logits).
    """
    made = perturbations.Noise(noise, sigma, generator)
    return _means(population, images, _divergence, made, n_copies, progress)


def _unchanged(clean: Tensor, noisy: Tensor) -> Tensor:
    """Return 1 where noisy logits (b g k) choose the class of clean ones (g k), else 0; NaN for no choice."""
    same = (noisy.argmax(-1) == clean.argmax(-1)).to(clean.dtype)
    return same.where(clean.isfinite().all(-1), torch.nan)


def _divergence(clean: Tensor, noisy: Tensor) -> Tensor:
    """Return KL(clean, noisy) of the probabilities of logits (g k) and (b g k)."""
    clean = clean.log_softmax(-1)
    return (clean.exp() * (clean - noisy.log_softmax(-1))).sum(-1)


def _means(
    population: Population,
    images: Tensor,
    statistic: Callable[[Tensor, Tensor], Tensor],
    noise: perturbations.Noise,
    n_copies: int,
    progress: bool,
    rows: Sequence[Tensor] | None = None,
) -> Float64[Tensor, "*m n"]:
    """Return the mean of a statistic over the copies of each pair."""
    _check(noise, n_copies)
    images = prepared(population, images)
    m, n = n_members(population), len(images)
    own = [torch.arange(n)] * m if rows is None else rows
    means = perturbations.totals(population, images, own, statistic, noise, n_copies, progress=progress) / n_copies
    return means if rows is not None or isinstance(population, nn.Module) else means.unflatten(0, (m, n))


def _check(noise: perturbations.Noise, n_copies: int) -> None:
    """Raise ValueError for numbers out of range."""
    if noise.kind not in ("common", "independent"):
        raise ValueError(f"noise = {noise.kind!r}; choose 'common' or 'independent'")
    if not (math.isfinite(noise.sigma) and noise.sigma >= 0):
        raise ValueError(f"sigma = {noise.sigma}; give a finite standard deviation of 0 or more")
    if n_copies < 1:
        raise ValueError(f"n_copies = {n_copies}; give 1 or more")
