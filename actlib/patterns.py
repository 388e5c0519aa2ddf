"""Who is active: patterns of a layer as packed bits, how far they are apart, and whether chance would make them.

This is the face of what modules below do: ``hamming`` compares patterns, ``activity`` counts how often units are
active, ``independence`` and ``spectra`` test them against coins. All take what ``bits.pack`` made, or numbers 0 and 1.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from actlib.activity import Activation, Margins, activation, margins
from actlib.bits import Packed
from actlib.hamming import disjoint_pairs, histogram, matrix, nearest, pair_distances
from actlib.independence import bernoulli_test, distance_law, heterogeneity_test, variance_test
from actlib.spectra import correlations, spectrum
from actlib.tiles import Patterns, as_patterns

__all__ = [
    "Activation", "Margins", "Unique", "activation", "bernoulli_test", "correlations", "disjoint_pairs",
    "distance_law", "heterogeneity_test", "histogram", "margins", "matrix", "nearest", "pair_distances", "spectrum",
    "unique", "variance_test",
]  # fmt: skip


class Unique(NamedTuple):
    """The patterns that differ, in the order in which they first appear.

    Attributes
    ----------
    patterns
        Each once, packed.
    counts
        How often each stands among those given.
    inverse
        Which of them each of those given is.
    first
        Where each stands first: ``labels[first]``, and so on.
    """

    patterns: Packed
    counts: Int64[Tensor, " u"]
    inverse: Int64[Tensor, " n"]
    first: Int64[Tensor, " u"]


def unique(patterns: Patterns) -> Unique:
    """Return the patterns that differ from each other, and how often each occurs.

    Raises
    ------
    ValueError
        If there is no pattern or a number is neither 0 nor 1.

    Examples
    --------
    >>> unique(np.array([[0, 1], [1, 1], [0, 1]])).counts
    tensor([2, 1])
    """
    words, n_bits = as_patterns(patterns)
    rows = np.ascontiguousarray(words.cpu().numpy())
    # A pattern as one item of many bytes: seven times as fast as comparing rows.
    whole = rows.view(np.dtype((np.void, rows.shape[1] * rows.itemsize)))[:, 0]
    _, first, inverse, counts = np.unique(whole, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    first, counts, inverse = (
        torch.from_numpy(x).to(words.device) for x in (first[order], counts[order], place[inverse])
    )
    return Unique(Packed(words.view(torch.int64)[first].view(torch.uint64), n_bits), counts, inverse, first)
