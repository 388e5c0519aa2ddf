"""What the vectors most similar to a reference say about its class, by cosine similarity.

Vectors and similarities are those of ``cosines``. Of others equally similar to a reference the first comes first.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float32, Float64, Int64
from torch import Tensor

from actlib import cosines
from actlib.neighbours import Array


class NearestClasses(NamedTuple):
    """The classes in order, and how many of the k most similar to each reference are of which."""

    classes: Int64[Tensor, " c"]
    counts: Int64[Tensor, "r c"]


def nearest_classes(
    references: Array,
    others: Array,
    labels: Array,
    k: int = 100,
    *,
    reference_indices: Array | None = None,
    mean: Array | None = None,
) -> NearestClasses:
    """Return the numbers of each class among the ``k`` others most similar to each reference.

    A reference with similarity 0 to all, such as one of zeros, has no nearest: its counts are 0.

    Parameters
    ----------
    references, others, mean
        As in ``cosines.cosine``, but as many references as you like.
    labels
        (n), whole numbers: the classes of the others.
    k
        At most as many as there are to compare with.
    reference_indices
        (r), where each reference stands among the others: it is not compared with itself. None if it does not.

    Raises
    ------
    ValueError
        As ``cosines.blocks``, and if ``k`` is out of range or there is not one whole number a vector in ``labels``.
    """
    theirs, found = _nearest_labels(references, others, labels, k, reference_indices, mean)
    classes = cosines.as_integers(labels, len(others), "labels").to(theirs.device).unique()
    counts = theirs.new_zeros(len(theirs), len(classes))
    counts.scatter_add_(1, torch.searchsorted(classes, theirs), found[:, None].expand_as(theirs).long())
    return NearestClasses(classes, counts)


class Votes(NamedTuple):
    """What the k most similar to each reference say.

    Attributes
    ----------
    labels
        The commonest class among them; -1 where the vote is not decided.
    shares
        How many of them are of that class, 0 to 1.
    decided
        Whether these are enough.
    """

    labels: Int64[Tensor, " r"]
    shares: Float64[Tensor, " r"]
    decided: Bool[Tensor, " r"]


def vote(
    references: Array,
    others: Array,
    labels: Array,
    k: int = 10,
    *,
    threshold: float = 0.5,
    reference_indices: Array | None = None,
    mean: Array | None = None,
) -> Votes:
    """Return the commonest class among the ``k`` others most similar to each reference, if it is common enough.

    Of equally common classes the one with the most similar member is taken. A reference with similarity 0 to all, such
    as one of zeros, has no nearest: its share is 0 and its vote not decided. The defaults are those of the LESCI layer
    of Simsso's entry to the Adversarial Vision Challenge (2018), which takes the lowest of equally common classes.

    Parameters
    ----------
    references, others, labels, k, reference_indices, mean
        As in ``nearest_classes``.
    threshold
        The share, above 0 and at most 1, from which on a vote is decided.

    Raises
    ------
    ValueError
        As ``nearest_classes``, and if the threshold is out of range.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold = {threshold:g}; give a share above 0 and at most 1, such as 0.5")
    theirs, found = _nearest_labels(references, others, labels, k, reference_indices, mean)
    votes = sum((theirs == theirs[:, [j]]).long() for j in range(k))  # (r, k)
    most, first = votes.max(1)  # the first of equals, and so the nearest
    shares = torch.where(found, most.double() / k, 0)
    decided = shares >= threshold
    winners = theirs.gather(1, first[:, None])[:, 0]
    return Votes(winners.masked_fill(~decided, -1), shares, decided)


def _nearest_labels(
    references: Array, others: Array, labels: Array, k: int, indices: Array | None, mean: Array | None
) -> tuple[Int64[Tensor, "r k"], Bool[Tensor, " r"]]:
    """Return the labels of the ``k`` most similar to each reference, nearest first, and who has a nearest at all."""
    cosines.check_k((k,), others, indices)
    labels, theirs, found = cosines.as_integers(labels, len(others), "labels"), [], []
    for block in cosines.blocks(references, others, mean=mean, reference_indices=indices):
        theirs.append(labels.to(block.values.device)[_nearest(block.values, k)])
        found.append((block.values.isfinite() & (block.values != 0)).any(1))
    return torch.cat(theirs), torch.cat(found)


def _nearest(values: Float32[Tensor, "b n"], k: int) -> Int64[Tensor, "b k"]:
    """Return the places of the ``k`` largest values of each row, largest first, of equals the first first."""
    # One more than asked for shows where a tie is cut in two: only there all must be sorted.
    top, places = values.topk(min(k + 1, values.shape[1]))
    places = places[:, :k]
    cut = top[:, -1] == top[:, k - 1] if top.shape[1] > k else torch.zeros_like(top[:, 0], dtype=torch.bool)
    places[cut] = values[cut].sort(descending=True, stable=True).indices[:, :k]
    places = places.sort().values
    order = values.gather(1, places).sort(descending=True, stable=True).indices
    return places.gather(1, order)
