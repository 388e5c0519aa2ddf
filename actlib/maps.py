"""Activation maps: one scale for a row of them, their smoothness, and whether a unit stands for something.

A *map* is one channel of one layer's output for one image, an array (h, w). A *unit* is a channel; its *score* on
an image is one number made from its map, here the maximum over positions.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from actlib import statistics


def signed(maps: Float[Tensor, "*shape"], *, over: tuple[int, ...] | None = None) -> Float[Tensor, "*shape"]:
    """Return maps divided by their largest absolute value, so that zero stays zero and signs keep their colours.

    Parameters
    ----------
    maps
        Activations of any shape.
    over
        The axes that share one scale; None takes all of them, which keeps the maps of one row comparable.

    Returns
    -------
    Tensor
        Values in [-1, 1]; a group of zeros stays zero.
    """
    axes = tuple(range(maps.ndim)) if over is None else over
    largest = maps.abs().amax(dim=axes, keepdim=True)
    return maps / largest.clamp_min(torch.finfo(maps.dtype).tiny)


def scores(maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c"]:
    """Return each unit's score on each image: the maximum of its map, in the unit of the activations."""
    return maps.amax(dim=(2, 3))


def top_images(values: Float[Tensor, "n c"], unit: int, k: int = 9) -> Int[Tensor, " k"]:
    """Return the indices of the ``k`` images on which a unit scores highest, best first.

    Raises
    ------
    ValueError
        If there is no such unit or there are fewer images than ``k``.
    """
    n, c = values.shape
    if not 0 <= unit < c:
        raise ValueError(f"unit = {unit}; the layer has units 0 to {c - 1}")
    if not 0 < k <= n:
        raise ValueError(f"k = {k}; choose 1 to {n}, the number of images")
    return values[:, unit].topk(k).indices


def morans_i(maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c"]:
    """Return the spatial autocorrelation of each map: Moran's I with the four nearest neighbours.

    One for a map that changes slowly, minus one for a chess board, and -1 / (h w - 1) on average for a map whose
    values were shuffled (Moran 1950). A constant map has none: nan.

    Raises
    ------
    ValueError
        If the maps are smaller than 2 x 2.
    """
    h, w = maps.shape[2:]
    if min(h, w) < 2:
        raise ValueError(f"maps are {h} x {w}; autocorrelation needs at least 2 x 2 positions")
    centred = (maps - maps.mean(dim=(2, 3), keepdim=True)).double()
    pairs = (centred[:, :, 1:] * centred[:, :, :-1]).sum(dim=(2, 3))
    pairs = pairs + (centred[:, :, :, 1:] * centred[:, :, :, :-1]).sum(dim=(2, 3))
    n_pairs = (h - 1) * w + h * (w - 1)
    power = centred.square().sum(dim=(2, 3))
    return torch.where(power > 0, pairs / n_pairs * (h * w) / power, torch.nan).to(maps.dtype)


def shuffle(maps: Float[Tensor, "n c h w"], *, generator: torch.Generator) -> Float[Tensor, "n c h w"]:
    """Return maps with the same values at random positions, each map shuffled on its own."""
    keys = torch.rand(maps.shape, generator=generator, device=generator.device).to(maps.device).flatten(2)
    return maps.flatten(2).gather(2, keys.argsort(dim=2)).view_as(maps)


def rotate(maps: Float[Tensor, "n c h w"], *, generator: torch.Generator) -> Float[Tensor, "n c h w"]:
    """Return random orthonormal combinations of the channels: as many maps, the same information, other axes.

    The rotation is uniform (Haar), by the QR decomposition of a Gaussian matrix with the signs of R's diagonal put
    right (Mezzadri 2007).
    """
    c = maps.shape[1]
    normal = torch.randn(c, c, generator=generator, device=generator.device, dtype=maps.dtype)
    q, r = torch.linalg.qr(normal.to(maps.device))
    return torch.einsum("nchw,cd->ndhw", maps, q * r.diagonal().sign())


class Selectivity(NamedTuple):
    """For each unit the class it stands for best, and how well (AUROC) on images that did not choose it."""

    best: Int[np.ndarray, " c"]
    auroc: Float[np.ndarray, " c"]


def selectivity(values: Float[Tensor, "n c"], labels: Int[Tensor, " n"], chosen_on: Bool[Tensor, " n"]) -> Selectivity:
    """Return how well each unit tells one class from the rest.

    For each unit the class with the largest AUROC is chosen on one half of the images and its AUROC reported on the
    other: the largest of many noisy numbers is too large, a fresh measurement of it is not.

    Parameters
    ----------
    values
        Scores of the units.
    labels
        Class of each image.
    chosen_on
        True for the images that choose; the others report.

    Raises
    ------
    ValueError
        If a class is not in both halves.
    """
    values, labels, first = values.detach().cpu().numpy(), labels.cpu().numpy(), chosen_on.cpu().numpy()
    for half in (first, ~first):
        if len(missing := np.setdiff1d(labels, labels[half])):
            raise ValueError(f"class {missing[0]} has no image in one half; split with maps.halves, or leave it out")
    halves = [statistics.auroc_by_class(values[half], labels[half]) for half in (first, ~first)]  # (k, c) each
    best = halves[0].argmax(axis=0)
    return Selectivity(np.unique(labels)[best], np.take_along_axis(halves[1], best[None], axis=0)[0])


def halves(labels: Int[Tensor, " n"], *, generator: torch.Generator) -> Bool[Tensor, " n"]:
    """Return True for a random half of each class: the images that choose, so that the others can judge.

    Of a class with an odd number of images, either half may get the extra one.
    """
    shuffled = torch.randperm(len(labels), generator=generator, device=generator.device).to(labels.device)
    by_class = shuffled[labels[shuffled].argsort(stable=True)]
    half = torch.zeros(len(labels), dtype=torch.bool, device=labels.device)
    half[by_class[::2]] = True
    return half
