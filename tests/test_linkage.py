"""Trees against SciPy's, with and without equal distances, and against components found by walking the graph."""

import numpy as np
import pytest
from scipy.cluster import hierarchy
from scipy.spatial.distance import pdist, squareform

from actlib import linkage


def distances(n, n_bits, seed=0):
    """Hamming distances; few bits make many of them equal."""
    x = np.random.default_rng(seed).random((n, n_bits)) < 0.5
    return np.rint(squareform(pdist(x, "hamming")) * n_bits).astype(np.int16)


@pytest.mark.parametrize("method", ["complete", "single"])
@pytest.mark.parametrize("kind", [np.int16, np.uint8, np.float32, np.float64])
@pytest.mark.parametrize(("n", "n_bits"), [(2, 3), (3, 1), (40, 4), (150, 12), (200, 200)])
def test_trees_are_scipy_s_also_with_equal_distances(method, kind, n, n_bits):
    square = distances(n, n_bits)
    expected = hierarchy.linkage(squareform(square.astype(float)), method)
    np.testing.assert_array_equal(getattr(linkage, method)(square.astype(kind)), expected)


def test_real_distances_and_a_diagonal_of_anything_are_taken():
    x = np.random.default_rng(0).normal(size=(80, 3))
    square = squareform(pdist(x))
    for method in ("complete", "single"):
        expected = hierarchy.linkage(pdist(x), method)
        given = square.copy()
        np.fill_diagonal(given, 7)
        np.testing.assert_array_equal(getattr(linkage, method)(given), expected)


def test_the_matrix_is_kept_unless_it_may_be_spoilt():
    square = distances(30, 8)
    before = square.copy()
    found = linkage.complete(square)
    linkage.single(square)
    np.testing.assert_array_equal(square, before)
    square.flags.writeable = False
    np.testing.assert_array_equal(linkage.complete(square), found)
    square.flags.writeable = True
    np.testing.assert_array_equal(linkage.complete(square, overwrite=True), found)
    assert (square != before).any()


def components(near):
    """Return the component of each element, by walking."""
    found, n_found = [-1] * len(near), 0
    for start in range(len(near)):
        if found[start] < 0:
            todo = [start]
            while todo:
                i = todo.pop()
                if found[i] < 0:
                    found[i] = n_found
                    todo += np.flatnonzero(near[i]).tolist()
            n_found += 1
    return found


@pytest.mark.parametrize("threshold", range(7))
def test_single_linkage_cut_is_components_and_complete_linkage_has_no_larger_diameter(threshold):
    square = distances(60, 9)
    np.testing.assert_array_equal(linkage.cut(linkage.single(square), threshold), components(square <= threshold))
    cliques = linkage.cut(linkage.complete(square), threshold)
    for i in range(cliques.max() + 1):
        inside = cliques == i
        assert square[np.ix_(inside, inside)].max() <= threshold
        for j in range(i):  # and no two could be joined
            assert square[np.ix_(inside, cliques == j)].max() > threshold


def test_one_long_chain_breaks_no_limit():
    n = 3000
    places = np.arange(n) * np.arange(1, n + 1) / 2  # gaps 1, 2, 3, ...
    tree = linkage.single(np.abs(places[:, None] - places))
    np.testing.assert_array_equal(tree[:, 2], np.arange(1, n))
    np.testing.assert_array_equal(tree[:, 3], np.arange(2, n + 1))
    assert linkage.cut(tree, n // 2).max() == n - 1 - n // 2


S = distances(5, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: linkage.complete(S[:1, :1]), r"of shape \(1, 1\); give a square matrix of numbers for two elements"),
        (lambda: linkage.single(S[:3]), r"of shape \(3, 5\)"),
        (lambda: linkage.single(S > 1), "distances are bool"),
        (lambda: linkage.complete(np.full((2, 2), np.nan)), "distances go to nan; give numbers below inf"),
        (lambda: linkage.single(np.full((2, 2), np.inf)), "distances go to inf"),
        (lambda: linkage.single(np.full((2, 2), 255, np.uint8)), "distances go to 255; give numbers below 255"),
        (lambda: linkage.cut(linkage.single(S), -1), "threshold = -1; give a distance, 0 or more"),
        (lambda: linkage.cut(linkage.single(S), np.nan), "threshold = nan"),
    ],
)
def test_what_has_no_answer_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
