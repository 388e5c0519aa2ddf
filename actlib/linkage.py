"""Hierarchical clustering of some 10,000 elements, from the matrix of their distances, in any type of number.

Trees are those of ``scipy.cluster.hierarchy.linkage``, equal distances included: row i joins two clusters, named by
its first two entries, at the distance in the third, into cluster n + i with as many elements as the fourth says. SciPy
works in float64 and on copies, which takes eight times the memory of int16 distances.

Nothing here calls itself, so a tree that is one long chain breaks no limit.
"""

import numpy as np
from jaxtyping import Float64, Int64, Shaped
from numpy import ndarray
from scipy.cluster import hierarchy

Tree = Float64[ndarray, "m 4"]


def complete(distances: Shaped[ndarray, "n k"], *, overwrite: bool = False) -> Tree:
    """Return the tree in which clusters are as far apart as their two farthest elements.

    By chains of nearest neighbours (Murtagh 1983): from any cluster go to its nearest and on until two are each
    other's nearest, and join these. It takes time n^2.

    Parameters
    ----------
    distances
        Symmetric, of whole or real numbers; the diagonal does not matter.
    overwrite
        Whether the matrix may be spoilt, which saves a copy.

    Raises
    ------
    ValueError
        If there are fewer than two elements, or the matrix is not square or holds NaN, infinity or the largest number
        of its type.
    """
    square, far = _as_square(distances)
    if not overwrite:
        square = square.copy()
    np.fill_diagonal(square, far)
    n, chain, merges = len(square), [], []
    alive = np.ones(n, bool)
    for _ in range(n - 1):
        if not chain:
            chain.append(int(alive.argmax()))
        while True:
            row = square[chain[-1]]
            nearest = int(row.argmin())
            if len(chain) > 1 and row[chain[-2]] == row[nearest]:
                break  # back to the one before, also where another is as near: chains must not run in circles
            chain.append(nearest)
        gone, kept = sorted((chain.pop(), chain.pop()))
        merges.append((gone, kept, square[gone, kept]))
        joined = np.maximum(square[gone], square[kept], out=square[kept])
        joined[[gone, kept]] = far
        square[:, kept] = joined
        square[:, gone] = far
        alive[gone] = False
    return _labelled(np.array(merges, dtype=np.float64))


def single(distances: Shaped[ndarray, "n k"]) -> Tree:
    """Return the tree in which clusters are as far apart as their two nearest elements.

    By the shortest tree that spans all elements (Prim 1957): cut at t, its parts are the components of the graph of
    all pairs at most t apart. Arguments and errors as ``complete``.
    """
    square, far = _as_square(distances)
    n, here, merges = len(square), 0, []
    reach = np.full(n, far, dtype=square.dtype)  # from what is in the tree
    outside = np.ones(n, bool)
    for _ in range(n - 1):
        outside[here] = False
        np.minimum(reach, square[here], out=reach, where=outside)
        reach[here] = far
        nearest = int(reach.argmin())
        merges.append((here, nearest, reach[nearest]))
        here = nearest
    return _labelled(np.array(merges, dtype=np.float64))


def cut(tree: Tree, threshold: float | int) -> Int64[ndarray, " n"]:
    """Return the cluster of each element, 0, 1, ... in the order of their first elements, joined up to ``threshold``.

    Raises
    ------
    ValueError
        If the threshold is below 0 or no number.
    """
    if not threshold >= 0:
        raise ValueError(f"threshold = {threshold:g}; give a distance, 0 or more")
    found = hierarchy.fcluster(tree, threshold, "distance")
    _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def _as_square(distances: Shaped[ndarray, "n k"]) -> tuple[ndarray, int | float]:
    """Return the matrix and a number beyond all distances, or raise ValueError."""
    kind = distances.dtype.kind
    if distances.ndim != 2 or distances.shape[0] != distances.shape[1] or len(distances) < 2 or kind not in "iuf":
        raise ValueError(
            f"distances are {distances.dtype} of shape {distances.shape}; give a square matrix of numbers for two "
            "elements at least"
        )
    far = np.inf if kind == "f" else np.iinfo(distances.dtype).max
    largest = distances.max()  # hands on a NaN
    if not largest < far:
        raise ValueError(f"distances go to {largest}; give numbers below {far}")
    return distances, far


def _labelled(merges: Float64[ndarray, "m 3"]) -> Tree:
    """Return merges of elements, in any order, as a tree: nearest first, clusters by their numbers."""
    merges = merges[np.argsort(merges[:, 2], kind="stable")]
    n = len(merges) + 1
    above, size, rows = list(range(2 * n - 1)), [1] * (2 * n - 1), []
    for new, (a, b, height) in enumerate(merges.tolist(), start=n):
        low, high = sorted((_root(above, int(a)), _root(above, int(b))))
        above[low] = above[high] = new
        size[new] = size[low] + size[high]
        rows.append((low, high, height, size[new]))
    return np.array(rows, dtype=np.float64)


def _root(above: list[int], node: int) -> int:
    """Return the cluster that a node has come to, and shorten the way there."""
    root = node
    while above[root] != root:
        root = above[root]
    while above[node] != root:
        above[node], node = root, above[node]
    return root
