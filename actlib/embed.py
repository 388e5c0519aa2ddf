"""Embeddings: points of many dimensions brought to two or three, or to a few groups, and what that keeps of them."""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from openTSNE import TSNE, affinity, nearest_neighbors
from openTSNE import initialization as starts
from scipy import sparse
from sklearn.cluster import KMeans
from torch import Tensor

from actlib import neighbours, objective
from actlib.neighbours import Array

# Up to so many points the exact gradient is as fast as a tree; from so many on, in the plane, a grid beats a tree.
N_EXACT = 250
N_GRID = 10_000


class Embedding(NamedTuple):
    """Points in the plane or in space.

    Attributes
    ----------
    points
        (n, c), on the CPU.
    kl
        KL(P || Q) in nats at ``points``, P after ``n_pca``. Q is exact, P too for up to ``N_EXACT`` points; of more,
        each keeps only its 3 x perplexity nearest, as in the fit (van der Maaten 2014): do not compare the two kinds.
    perplexity, seed, method
        As asked for; and how the gradient was found: "exact", "Barnes-Hut" (a tree) or "interpolation" (a grid, FFT).
    """

    points: Float32[Tensor, "n c"]
    kl: float
    perplexity: int | float
    seed: int
    method: str


def tsne(
    x: Array,
    n_components: int = 2,
    *,
    perplexity: int | float = 50,
    seed: int = 0,
    n_pca: int | None = 50,
    n_threads: int = 1,
    n_iterations: int = 500,
    initialization: str | Array = "pca",
) -> Embedding:
    """Return the points in the plane or in space by t-SNE: whoever is near in ``x`` is to be near there.

    It makes ``objective.divergence`` small, by openTSNE and on the CPU: 250 steps with P exaggerated 12 times, then
    ``n_iterations`` without, at learning rates n / 12 and n (Belkina et al. 2019). The same seed and number of threads
    give the same points. Constant features change nothing; copies of a point end beside or on each other.

    Parameters
    ----------
    x
        (n, ...), at least 3 x perplexity points, on any device.
    n_components
        2 or 3.
    perplexity
        The number of neighbours that a point effectively has, above 1.
    n_pca
        More dimensions are first reduced to so many by ``pca``, which saves time and noise; None keeps all.
    n_threads, n_iterations
        At least 1; more threads than are idle make it far slower than one.
    initialization
        "pca", where the seed matters little, or "random", shrunk to a standard deviation of 0.0001; or places (n, c),
        as they are, and without the exaggeration, which would destroy them.

    Raises
    ------
    ValueError
        If ``x`` is no set of points (see ``neighbours.as_points``), too small for the perplexity, or an option is bad.
    """
    x = neighbours.as_points(x)
    _check_options(len(x), n_components, perplexity, n_iterations=n_iterations, n_threads=n_threads)
    x = x.cpu() if n_pca is None or n_pca >= min(x.shape) else pca(x, n_pca).points.cpu()
    start = _start(x, n_components, initialization, seed)
    method, gradient, given = "exact", _exact, affinity.Affinities()
    if len(x) <= N_EXACT:
        given.P = objective.affinities(x, perplexity).numpy()
    else:
        near = neighbours.nearest(x, min(len(x) - 1, int(3 * perplexity)))
        scale = near.distances.mean(1, keepdim=True).clamp_min(1e-300)
        scale[(scale > 1e-5) & (scale < 1e5)] = 1  # openTSNE's search for widths fails far from 1: others go there
        known = nearest_neighbors.PrecomputedNeighbors(near.indices.numpy(), (near.distances / scale).numpy())
        given = affinity.PerplexityBasedNN(knn_index=known, perplexity=perplexity, n_jobs=n_threads)
        on_grid = len(x) >= N_GRID and n_components == 2
        method, gradient = ("interpolation", "fft") if on_grid else ("Barnes-Hut", "bh")
    fit = TSNE(n_components, n_jobs=n_threads, negative_gradient_method=gradient)
    picture = fit.prepare_initial(affinities=given, initialization=np.zeros_like(start))
    picture[:] = start  # put in here, because openTSNE warns of places that are far apart
    if isinstance(initialization, str):
        picture.optimize(250, exaggeration=12, inplace=True)
    picture.optimize(n_iterations, inplace=True)
    points = torch.from_numpy(np.array(picture, dtype=np.float32))
    return Embedding(points, _divergence(sparse.coo_array(given.P), points.double()), perplexity, seed, method)


class PrincipalComponents(NamedTuple):
    """Coordinates along the principal components, and what defines them.

    Attributes
    ----------
    points
        (n, k), centred, the first column with the largest variance.
    explained
        (k), the share of the whole variance along each component.
    mean, components
        (d) and (k, d): the points are about ``mean + points @ components``; the components are orthonormal.
    """

    points: Float64[Tensor, "n k"]
    explained: Float64[Tensor, " k"]
    mean: Float64[Tensor, " d"]
    components: Float64[Tensor, "k d"]


def pca(x: Array, n_components: int) -> PrincipalComponents:
    """Return the points along their first principal components, exactly, where ``x`` is.

    By the eigenvectors of the smaller of the two products, d x d or n x n; the time grows with the cube of its size,
    and 2,000 take seconds on one core. A component's sign makes its largest entry positive.

    Parameters
    ----------
    x
        (n, ...); constant features get weight 0.
    n_components
        1 to min(n, d). There are at most n - 1 directions with variance; further ones are arbitrary.

    Raises
    ------
    ValueError
        If ``x`` is no set of points or there are not so many components.
    """
    x = neighbours.as_points(x)
    n, d = x.shape
    neighbours.check_count("n_components", n_components, min(n, d), f"{n} points of {d} features")
    mean = x.mean(0, dtype=torch.float64)
    centred = x - mean
    values, vectors = torch.linalg.eigh(centred @ centred.T if n < d else centred.T @ centred)  # ascending
    vectors = vectors.flip(1)[:, :n_components]
    if n < d:
        vectors = torch.linalg.qr(centred.T @ vectors).Q  # orthogonal already, up to their lengths
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    components = (vectors * largest.sign()).T
    explained = values.flip(0)[:n_components].clamp_min(0) / centred.square().sum()
    return PrincipalComponents(centred @ components.T, explained, mean, components)


class Clusters(NamedTuple):
    """For each point its cluster; the clusters' means; the sum of the squared distances of all points to theirs."""

    labels: Int64[Tensor, " n"]
    centres: Float64[Tensor, "k d"]
    inertia: float


def kmeans(x: Array, k: int, *, seed: int) -> Clusters:
    """Return ``k`` clusters by k-means, on the CPU: the best of ten runs from k-means++ starts, by scikit-learn.

    Raises
    ------
    ValueError
        If ``x`` is no set of points or has fewer than ``k`` that differ.
    """
    x = neighbours.as_points(x).cpu()
    n_distinct = len(neighbours.first_copies(x).unique())
    neighbours.check_count("k", k, n_distinct, f"{n_distinct} different points")
    found = KMeans(k, n_init=10, random_state=seed).fit(x.double().numpy())
    labels, centres = (torch.from_numpy(each) for each in (found.labels_, found.cluster_centers_))
    return Clusters(labels.long(), centres, float(found.inertia_))


class Measures(NamedTuple):
    """What goes beside a picture: see the functions of ``neighbours``; None where that needs labels."""

    accuracy_full: float | None
    accuracy_picture: float | None
    trustworthiness: float
    continuity: float
    silhouette_full: float | None
    silhouette_picture: float | None


def measures(x: Array, points: Array, labels: Array | None = None, *, k_accuracy: int = 10, k: int = 12) -> Measures:
    """Return how well ``points`` show ``x``, and how far the classes are apart in both.

    ``x`` and ``points`` are (n, ...), in the same order, and ``labels`` (n) the classes. ``k_accuracy`` neighbours vote
    for the accuracy, ``k`` are compared for trustworthiness and continuity.

    Raises
    ------
    ValueError
        As the functions of ``neighbours``.
    """
    kept = [measure(x, points, k) for measure in (neighbours.trustworthiness, neighbours.continuity)]
    if labels is None:
        return Measures(None, None, *kept, None, None)
    accuracies = [neighbours.accuracy(side, labels, k_accuracy) for side in (x, points)]
    return Measures(*accuracies, *kept, *(neighbours.silhouette(side, labels) for side in (x, points)))


def _exact(embedding: np.ndarray, p: np.ndarray, **_: object) -> tuple[float, np.ndarray]:
    """Return what openTSNE asks of an objective; its learning rates are for a gradient without the factor 4."""
    found = objective.gradient(torch.from_numpy(p), torch.from_numpy(np.asarray(embedding)))
    return math.nan, found.numpy() / 4


def _divergence(p: sparse.coo_array, y: Float64[Tensor, "n c"]) -> float:
    """Return KL(P || Q) for a sparse P: Q only where P is not zero, but its sum over all pairs."""
    total = sum((1 / (1 + torch.cdist(rows, y).square())).sum() for rows in y.split(256)) - len(y)
    (i, j), p = (torch.from_numpy(index).long() for index in p.coords), torch.from_numpy(p.data)
    log_q = -torch.log1p((y[i] - y[j]).square().sum(1)) - total.log()
    return (torch.xlogy(p, p) - p * log_q).sum().item()


def _start(x: Tensor, n_components: int, initialization: str | Array, seed: int) -> Float64[np.ndarray, "n c"]:
    """Return the places to start from; components are shifted by a hundredth of their spread, which parts copies."""
    if not isinstance(initialization, str):
        places = neighbours.as_points(initialization, name="initialization").cpu().double().numpy()
        if places.shape != (len(x), n_components):
            raise ValueError(f"initialization is {places.shape}, not {len(x), n_components}: one place a point")
        return places
    if initialization == "random":
        return starts.random(len(x), n_components, random_state=seed)
    if initialization == "pca":
        return starts.jitter(starts.rescale(pca(x, n_components).points.numpy()), random_state=seed)
    raise ValueError(f"initialization = {initialization!r}; choose 'pca' or 'random', or give places")


def _check_options(n: int, n_components: int, perplexity: int | float, **numbers: int) -> None:
    """Raise ValueError if one is out of range."""
    if n_components not in (2, 3):
        raise ValueError(f"n_components = {n_components}; choose 2 or 3")
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} = {number}; give at least 1")
    if not 1 < perplexity < math.inf:
        raise ValueError(f"perplexity = {perplexity}; give a number above 1")
    if n < (needed := math.ceil(3 * perplexity)):
        raise ValueError(f"perplexity = {perplexity} needs {needed} points, x has {n}; lower it to at most {n // 3}")
