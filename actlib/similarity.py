"""Whether vectors of one class are alike: the cosine similarity of some of them, the references, with all others.

This is the face of what modules below do: ``cosines`` multiplies, ``votes`` asks the most similar. Of the similarities
only some rows are in memory at a time, however many references there are; work happens where the references are. A
vector of zeros has similarity 0 with everybody.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64
from torch import Tensor

from actlib import cosines, statistics
from actlib.cosines import cosine
from actlib.neighbours import Array
from actlib.votes import nearest_classes, vote

__all__ = ["Histograms", "Separation", "cosine", "histograms", "nearest_classes", "separation", "vote"]

# Rows of similarities sorted into bins at a time.
_BINNED = 32


class Histograms(NamedTuple):
    """How many of the others lie in which of b bins of similarity to each reference.

    Attributes
    ----------
    edges
        The ends of the bins, from -1 to 1. A bin holds its lower end, the last one both.
    same, different
        Numbers of those of the reference's class and of all other classes. Divide each by its sum to see both: the
        few of one class are lost beside the many.
    n_zero_references, n_zero_others
        Vectors of zeros, which stand at similarity 0.
    """

    edges: Float64[Tensor, " b+1"]
    same: Int64[Tensor, "r b"]
    different: Int64[Tensor, "r b"]
    n_zero_references: int
    n_zero_others: int


def histograms(
    references: Array,
    reference_labels: Array,
    others: Array,
    labels: Array,
    *,
    reference_indices: Array | None = None,
    mean: Array | None = None,
    n_bins: int = 200,
) -> Histograms:
    """Return for each reference the histograms of its similarity to its own class and to all other classes.

    Parameters
    ----------
    references, others, mean
        As in ``cosine``, but as many references as you like.
    reference_labels, labels
        (r) and (n), whole numbers: the classes.
    reference_indices
        (r), where each reference stands among the others: it is not compared with itself. None if it does not.
    n_bins
        Bins of equal width; 200 are 0.01 wide.

    Raises
    ------
    ValueError
        As ``cosines.blocks``; if labels do not fit; or if a reference has nobody of its class to be compared with, or
        nobody of another.
    """
    if n_bins < 1:
        raise ValueError(f"n_bins = {n_bins}; give 1 or more, such as 200 for a width of 0.01")
    counts, n_zero_references, n_zero_others = [], 0, 0
    for block, same in _labelled(references, reference_labels, others, labels, reference_indices, mean):
        for values, theirs in zip(block.values.split(_BINNED), same.split(_BINNED), strict=True):
            counts.append(_count(values, theirs, n_bins))
        n_zero_references, n_zero_others = n_zero_references + block.n_zero_references, block.n_zero_others
    different, same = torch.cat(counts).unbind(1)
    edges = (2 * torch.arange(n_bins + 1, dtype=torch.float64, device=same.device) - n_bins) / n_bins
    return Histograms(edges, same, different, n_zero_references, n_zero_others)


class Separation(NamedTuple):
    """For each reference how well similarity finds those of its class.

    Attributes
    ----------
    auroc
        How often one of its class is more similar than one of another: 0 to 1, one half is chance, equal ones count
        one half. By the ranks of all, not by bins: exact.
    d_prime
        The distance of the means of the two kinds in units of their spread (see ``statistics.d_prime``). NaN where
        there is no spread, as for a reference of zeros, and where one kind has fewer than two.
    precision
        The share of its class among the k most similar, a column for each k. Those equally similar at the k-th place
        share it, so the order of the samples does not matter.
    """

    auroc: Float64[Tensor, " r"]
    d_prime: Float64[Tensor, " r"]
    precision: Float64[Tensor, "r k"]


def separation(
    references: Array,
    reference_labels: Array,
    others: Array,
    labels: Array,
    *,
    reference_indices: Array | None = None,
    mean: Array | None = None,
    k: tuple[int, ...] = (1, 10, 100),
) -> Separation:
    """Return how well similarity to each reference tells its own class from all other classes.

    Parameters
    ----------
    references, reference_labels, others, labels, reference_indices, mean
        As in ``histograms``, with the same errors.
    k
        How many of the most similar to look at, each at most as many as there are to compare with.
    """
    cosines.check_k(k, others, reference_indices)
    found, precision = [], []
    for block, same in _labelled(references, reference_labels, others, labels, reference_indices, mean):
        top = block.values.topk(max(k)).values
        precision.append(torch.stack([_precision(block.values, same, top[:, [n - 1]], n) for n in k], 1))
        for row, theirs in zip(block.values.cpu().numpy(), same.cpu().numpy(), strict=True):
            compared = np.isfinite(row)
            row, theirs = row[compared], theirs[compared]
            found.append((statistics.auroc(row, theirs).item(), _d_prime(row, theirs)))
    auroc, d_prime = torch.tensor(found, dtype=torch.float64, device=precision[0].device).unbind(1)
    return Separation(auroc, d_prime, torch.cat(precision))


def _labelled(
    references: Array, theirs: Array, others: Array, labels: Array, indices: Array | None, mean: Array | None
) -> Iterator[tuple[cosines.Block, Bool[Tensor, "b n"]]]:
    """Yield blocks of cosines, and who of the others is of the reference's class."""
    theirs = cosines.as_integers(theirs, len(references), "reference_labels")
    labels = cosines.as_integers(labels, len(others), "labels")
    for block in cosines.blocks(references, others, mean=mean, reference_indices=indices):
        same = labels.to(block.values.device) == theirs[block.rows, None].to(block.values.device)
        _check_kinds(block, same, theirs[block.rows])
        yield block, same


def _check_kinds(block: cosines.Block, same: Bool[Tensor, "b n"], labels: Int64[Tensor, " b"]) -> None:
    """Raise ValueError if a reference is of another class than at its index, or cannot be compared with both kinds."""
    compared = block.values != -math.inf
    n_same, n_compared = (same & compared).sum(1), compared.sum(1)
    for wrong, what in (
        ((~compared & ~same).any(1), "but has another label where reference_indices put it; give labels of one kind"),
        (n_same == 0, "of which nobody else is among the others; leave it out or give more of its class"),
        (n_same == n_compared, "of which all the others are; give others of two classes at least"),
    ):
        if wrong.any():
            i = wrong.nonzero()[0].item()
            raise ValueError(f"references[{block.rows.start + i}] is of class {labels[i].item()}, {what}")


def _count(values: Float32[Tensor, "b n"], same: Bool[Tensor, "b n"], n_bins: int) -> Int64[Tensor, "b 2 k"]:
    """Return the histograms of each row, of the different and of the same."""
    # In float64 about 0, where no similarity is rounded over an edge. Minus infinity falls below the first bin.
    middle, odd = divmod(n_bins, 2)
    bins = (values.double() * (n_bins / 2) + odd / 2).floor_().clamp_(-middle - 1, n_bins - middle - 1).long()
    rows = torch.arange(len(values), device=values.device)[:, None]
    cells = (2 * rows + same) * (n_bins + 1) + bins + middle + 1
    counts = torch.bincount(cells.flatten(), minlength=2 * len(values) * (n_bins + 1))
    return counts.view(len(values), 2, n_bins + 1)[:, :, 1:]


def _precision(
    values: Float32[Tensor, "b n"], same: Bool[Tensor, "b n"], last: Float32[Tensor, "b 1"], k: int
) -> Float64[Tensor, " b"]:
    """Return the share of the same among the ``k`` largest values, of which ``last`` is the smallest."""
    above, level = values > last, values == last
    share = (level & same).sum(1).double() / level.sum(1)
    return ((above & same).sum(1) + (k - above.sum(1)) * share) / k


def _d_prime(values: Float32[np.ndarray, " n"], same: Bool[np.ndarray, " n"]) -> float:
    """Return d', or NaN where there is no spread to measure in."""
    kinds = values[same], values[~same]
    if min(map(len, kinds)) < 2 or not any(map(np.ptp, kinds)):
        return math.nan
    return statistics.d_prime(values, same).item()
