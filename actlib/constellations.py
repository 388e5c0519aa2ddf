"""Constellations: groups of samples whose patterns are close together and far from all others.

The definition of the document on activation patterns: within a group no distance is above a threshold t, and from
inside to outside none is t or less. In the graph that joins all pairs at most t apart, such a group is a component in
which all are joined to all. The document counts clusters of a hierarchical clustering instead and does not say of
which linkage. Complete linkage keeps the first clause, single linkage the second; a group that both find is a
constellation, and every constellation is found by both, whatever the order of equal distances.

Distances are whole numbers, and so are thresholds: 0 to the number of bits.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numpy import ndarray
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.cluster import contingency_matrix

from actlib import hamming, linkage
from actlib.bits import Packed
from actlib.cosines import as_integers
from actlib.linkage import Tree
from actlib.neighbours import Array, check_count
from actlib.tiles import Patterns, as_patterns


class Trees(NamedTuple):
    """Both clusterings of n patterns of ``n_bits``; see ``linkage`` for what a row says."""

    complete: Tree
    single: Tree
    n_bits: int


class Constellations(NamedTuple):
    """All constellations of two or more, and for which thresholds each is one.

    Attributes
    ----------
    births, deaths
        A constellation from threshold ``birth``, its largest inner distance, up to but not at ``death``, the smallest
        distance to an outsider, n_bits + 1 if there is none. Earliest birth first.
    sizes
        How many samples it has.
    alone
        For each sample the distance of its nearest: below that it is a constellation of one.
    """

    births: Int64[ndarray, " g"]
    deaths: Int64[ndarray, " g"]
    sizes: Int64[ndarray, " g"]
    alone: Int64[ndarray, " n"]


class Curves(NamedTuple):
    """Numbers of groups at each threshold.

    Attributes
    ----------
    thresholds
        0, 1, ..., n_bits.
    complete, single
        Clusters of each linkage.
    exact
        Constellations of two or more.
    gathered
        Samples in these.
    alone
        Samples that have nobody within the threshold: constellations of one.
    """

    thresholds: Int64[ndarray, " t"]
    complete: Int64[ndarray, " t"]
    single: Int64[ndarray, " t"]
    exact: Int64[ndarray, " t"]
    gathered: Int64[ndarray, " t"]
    alone: Int64[ndarray, " t"]


def trees(patterns: Patterns) -> Trees:
    """Return both clusterings of the patterns. The CPU does it; 16,000 patterns take half a GB and some seconds.

    Raises
    ------
    ValueError
        If there are fewer than two patterns, numbers are neither 0 nor 1, or the matrix of distances has more than
        2 GiB, as of 32,769 patterns.
    """
    words, n_bits = as_patterns(patterns)
    if len(words) < 2:
        raise ValueError("one pattern cannot be clustered; give two at least")
    distances = hamming.matrix(Packed(words, n_bits)).cpu().numpy()
    single = linkage.single(distances)
    return Trees(linkage.complete(distances, overwrite=True), single, n_bits)


def find(trees: Trees) -> Constellations:
    """Return all constellations with the thresholds at which they are some."""
    n = len(trees.single) + 1
    sets = _sets(trees.complete), _sets(trees.single)
    _, mine, theirs = np.intersect1d(sets[0][n:], sets[1][n:], return_indices=True)
    ends = _ends(trees.single, trees.n_bits + 1)
    births, deaths = trees.complete[mine, 2].astype(np.int64), ends[n + theirs]
    sizes = trees.single[theirs, 3].astype(np.int64)
    lasting = np.flatnonzero(births < deaths)
    order = lasting[np.lexsort((deaths[lasting], births[lasting]))]
    return Constellations(births[order], deaths[order], sizes[order], ends[:n])


def curves(trees: Trees) -> Curves:
    """Return the numbers of groups at every threshold."""
    found, thresholds = find(trees), np.arange(trees.n_bits + 1)
    clusters = [len(tree) + 1 - np.searchsorted(tree[:, 2], thresholds, side="right") for tree in trees[:2]]
    n_steps = trees.n_bits + 2
    steps = [np.bincount(times, minlength=n_steps) for times in (found.births, found.deaths)]
    joined = [np.bincount(times, found.sizes, n_steps).astype(np.int64) for times in (found.births, found.deaths)]
    exact, gathered = (np.cumsum(begin - end)[:-1] for begin, end in (steps, joined))
    alone = len(found.alone) - np.searchsorted(np.sort(found.alone), thresholds, side="right")
    return Curves(thresholds, *clusters, exact, gathered, alone)


def members(trees: Trees, threshold: int) -> Int64[ndarray, " n"]:
    """Return of which constellation, 0, 1, ..., each sample is at a threshold; -1 for those of none or alone.

    Raises
    ------
    ValueError
        If the threshold is no whole number from 0 to the number of bits.
    """
    _check_threshold(threshold, trees.n_bits)
    cliques, components = linkage.cut(trees.complete, threshold), linkage.cut(trees.single, threshold)
    pairs = np.unique(np.stack([components, cliques]), axis=1)[0]
    whole = (np.bincount(pairs) == 1) & (np.bincount(components) > 1)  # components of one clique, of two or more
    return np.where(whole, np.cumsum(whole) - 1, -1)[components]


def score(counts: Int64[ndarray, " t"], n: int) -> float:
    """Return the integral of a curve of clusters of n samples over the thresholds 1 to n_bits, as a share of its most.

    It is the mean number of clusters a sample, 1 / n if all are one from the beginning and 1 if nobody is joined ever.
    The document proposes the integral: the lower, the more samples are gathered.

    Raises
    ------
    ValueError
        If ``counts`` are not those of thresholds 0, 1, ... or not between 1 and ``n``.
    """
    if counts.ndim != 1 or len(counts) < 2 or counts.min() < 1 or counts.max() > n:
        raise ValueError(f"counts of shape {counts.shape} for n = {n}; give Curves.complete or single, from 1 to n")
    return float(counts[1:].mean() / n)


class Scores(NamedTuple):
    """Scores of both linkages, one for each draw."""

    complete: Float64[ndarray, " d"]
    single: Float64[ndarray, " d"]


def bootstrap(patterns: Patterns, n_draws: int = 20, *, generator: torch.Generator) -> Scores:
    """Return the scores of halves of the samples, drawn by chance without putting back.

    Samples drawn twice would be clusters at distance 0. Halves have none, and the standard deviation of what they give
    is that of all samples (delete-d jackknife with d = n / 2: Shao and Wu 1989). Their mean is not: more samples
    are closer together. So compare the scores of all, and take only the spread from here.

    Raises
    ------
    ValueError
        As ``trees``, of which four patterns at least are needed, and if there is no draw.
    """
    words, n_bits = as_patterns(patterns)
    check_count("n_draws", n_draws, 10**6, "halves of the samples")
    n, found = len(words), []
    if n < 4:
        raise ValueError(f"{n} patterns have no halves to cluster; give four at least")
    signed = words.view(torch.int64)
    for _ in range(n_draws):
        half = torch.randperm(n, generator=generator, device=generator.device)[: n // 2].to(words.device)
        some = trees(Packed(signed[half].view(torch.uint64), n_bits))
        numbers = curves(some)
        found.append((score(numbers.complete, n // 2), score(numbers.single, n // 2)))
    return Scores(*np.array(found).T)


class Agreement(NamedTuple):
    """How far clusters are classes.

    Attributes
    ----------
    purity
        The share of samples that are of the commonest class of their cluster. It is 1 if everybody is alone: read it
        beside the number of clusters.
    adjusted_rand
        The adjusted Rand index: 1 if clusters are the classes, 0 as by chance (Hubert and Arabie 1985).
    n_clusters
        Clusters.
    """

    purity: float
    adjusted_rand: float
    n_clusters: int


def agreement(clusters: Array, labels: Array) -> Agreement:
    """Return how far ``clusters``, whole numbers (n), agree with the classes ``labels`` of the same samples.

    Raises
    ------
    ValueError
        If there is no sample, or not one whole number a sample in both.
    """
    labels = as_integers(labels, len(labels), "labels").cpu().numpy()
    clusters = as_integers(clusters, len(labels), "clusters").cpu().numpy()
    if len(labels) == 0:
        raise ValueError("no samples; give one at least")
    table = contingency_matrix(labels, clusters, sparse=True)
    purity = table.max(axis=0).sum() / len(labels)
    return Agreement(float(purity), float(adjusted_rand_score(labels, clusters)), table.shape[1])


def _sets(tree: Tree) -> Int64[ndarray, " k"]:
    """Return a number for each node, elements first, that only nodes with the same elements share.

    Numbers drawn for the elements are summed and wrap around: two of 30,000 sets meet by chance once in 10^10 trees.
    """
    n = len(tree) + 1
    drawn = np.random.default_rng(0).integers(2**63, size=n)
    numbers = drawn.tolist()
    for a, b in tree[:, :2].astype(np.int64).tolist():
        numbers.append((numbers[a] + numbers[b]) % 2**63)
    return np.array(numbers, dtype=np.int64)


def _ends(tree: Tree, last: int) -> Int64[ndarray, " k"]:
    """Return for each node, elements first, the height at which it is joined to another; ``last`` for the root."""
    n = len(tree) + 1
    ends = np.full(2 * n - 1, last, dtype=np.int64)
    ends[tree[:, :2].astype(np.int64)] = tree[:, 2:3].astype(np.int64)
    return ends


def _check_threshold(threshold: int, n_bits: int) -> None:
    """Raise ValueError if there is no such threshold."""
    whole = isinstance(threshold, int | np.integer) and not isinstance(threshold, bool)
    if not (whole and 0 <= threshold <= n_bits):
        raise ValueError(f"threshold = {threshold!r}; give a whole number from 0 to n_bits = {n_bits}")
