"""Hamming distances against loops, scipy and known laws, in tiles of any size, by counting and by products."""

import itertools

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import binom

from actlib import bits, hamming, tiles
from actlib.bits import Packed


def coins(n, n_bits, seed=0, p=0.5):
    return np.random.default_rng(seed).random((n, n_bits)) < p


def slow(x, y):
    return np.array([[sum(a != b for a, b in zip(u, v, strict=True)) for v in y.tolist()] for u in x.tolist()])


@pytest.fixture(params=["counted", "counted small", "multiplied", "multiplied small"])
def way(request, monkeypatch):
    """Run a test by both ways, in one tile and in many; a GPU is not needed for the second."""
    if request.param.startswith("multiplied"):
        monkeypatch.setattr(hamming, "tiles", tiles._multiplied)
    if request.param.endswith("small"):
        sizes = {"_ROWS": 4, "_COLUMNS": 7, "_WIDTH": 16, "_GPU_ROWS": 5, "_GPU_COLUMNS": 8, "_HALF": 128}
        for name, size in sizes.items():
            monkeypatch.setattr(tiles, name, size)
        monkeypatch.setattr(hamming, "_SQUARE", 6)
        monkeypatch.setattr(hamming, "_PAIRS", 5)


SIZES = [(2, 1), (5, 3), (23, 64), (37, 65), (18, 200)]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("n", "n_bits"), SIZES)
def test_distances_are_those_of_a_loop(n, n_bits):
    x, y = coins(n, n_bits), coins(n // 2 + 1, n_bits, seed=1)
    np.testing.assert_array_equal(hamming.matrix(x), slow(x, x))
    np.testing.assert_array_equal(hamming.matrix(x, y), slow(x, y))
    pairs = np.array(list(itertools.product(range(n), range(n))))
    np.testing.assert_array_equal(hamming.pair_distances(x, pairs), slow(x, x).ravel())


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("n", "n_bits"), SIZES)
def test_histograms_count_each_pair_once(n, n_bits):
    x, y = coins(n, n_bits), coins(n // 2 + 1, n_bits, seed=1)
    expected = np.bincount(slow(x, x)[np.triu_indices(n, 1)], minlength=n_bits + 1)
    np.testing.assert_array_equal(hamming.histogram(x), expected)
    np.testing.assert_array_equal(hamming.histogram(x, y), np.bincount(slow(x, y).ravel(), minlength=n_bits + 1))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("n", "n_bits"), SIZES)
@pytest.mark.parametrize("k", [1, 3, 17])
def test_neighbours_are_those_of_a_stable_sort(n, n_bits, k):
    x, y = coins(n, n_bits), coins(n // 2 + 1, n_bits, seed=1)
    own = slow(x, x)
    np.fill_diagonal(own, n_bits + 1)
    for distances, others in ((own, None), (slow(x, y), y)):
        most = min(k, distances.shape[1] - (others is None))
        order = np.argsort(distances, axis=1, kind="stable")[:, :most]
        found = hamming.nearest(x, most, others)
        np.testing.assert_array_equal(found.indices, order)
        np.testing.assert_array_equal(found.distances, np.take_along_axis(distances, order, 1))


@pytest.mark.usefixtures("way")
def test_copies_are_neighbours_at_distance_0_in_their_order():
    found = hamming.nearest(np.zeros((30, 70), int), 29)
    for i, row in enumerate(found.indices.tolist()):
        assert row == [j for j in range(30) if j != i]
    assert not found.distances.any()


def test_larger_sets_agree_with_scipy_and_both_ways_agree(monkeypatch):
    x, y = coins(1100, 300, p=0.2), coins(700, 300, seed=1)
    np.testing.assert_array_equal(hamming.matrix(x, y), np.rint(cdist(x, y, "hamming") * 300))
    counted = hamming.nearest(x, 10), hamming.histogram(x)
    monkeypatch.setattr(hamming, "tiles", tiles._multiplied)
    torch.testing.assert_close((hamming.nearest(x, 10), hamming.histogram(x)), counted)


def test_distances_of_fair_coins_follow_the_binomial_law():
    counts = hamming.histogram(coins(1500, 64)).numpy()
    n = counts.sum()
    assert n == 1500 * 1499 // 2
    # Pairs of fair coins are independent of each other, two by two: so is the variance of a count.
    law = binom(64, 0.5).pmf(np.arange(65))
    assert np.abs((counts - n * law) / np.sqrt(n * law + 1)).max() < 5
    biased = hamming.histogram(coins(1500, 64, p=0.6)).numpy()
    assert np.abs((biased - n * law) / np.sqrt(n * law + 1)).max() > 20


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("n_bits", [32_766, 32_767])
def test_very_long_patterns_are_counted_to_the_end(n_bits):
    x = np.zeros((3, n_bits), bool)
    x[1] = True
    x[2, -1] = True
    expected = [[0, n_bits, 1], [n_bits, 0, n_bits - 1], [1, n_bits - 1, 0]]
    np.testing.assert_array_equal(hamming.matrix(x), expected)
    np.testing.assert_array_equal(hamming.nearest(x, 2).distances, [[1, n_bits], [n_bits - 1, n_bits], [1, n_bits - 1]])
    counts = hamming.histogram(x)
    assert counts[[1, n_bits - 1, n_bits]].tolist() == [1, 1, 1]
    assert counts.sum() == 3


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.float32, "tensor", "half", "packed", "packed tensor"])
def test_all_forms_of_the_same_patterns_give_the_same(kind):
    x = coins(9, 70).reshape(9, 7, 10)
    forms = {
        "tensor": lambda: torch.from_numpy(x),
        "half": lambda: torch.from_numpy(x).half(),
        "packed": lambda: bits.pack(x.reshape(9, 70)),
        "packed tensor": lambda: bits.pack(torch.from_numpy(x).flatten(1)),
    }
    form = forms[kind]() if isinstance(kind, str) else x.astype(kind)
    np.testing.assert_array_equal(hamming.matrix(form), slow(x.reshape(9, 70), x.reshape(9, 70)))


def test_what_is_given_stays_as_it_is_and_may_be_read_only():
    packed = bits.pack(coins(9, 70))
    before = packed.words.copy()
    packed.words.flags.writeable = False
    hamming.nearest(packed, 3)
    hamming.matrix(packed)
    np.testing.assert_array_equal(packed.words, before)


def test_disjoint_pairs_use_nobody_twice_and_depend_on_the_generator_only():
    pairs = hamming.disjoint_pairs(21, 10, generator=torch.Generator().manual_seed(0))
    assert pairs.shape == (10, 2)
    assert len(pairs.unique()) == 20
    torch.testing.assert_close(pairs, hamming.disjoint_pairs(21, 10, generator=torch.Generator().manual_seed(0)))
    other = hamming.disjoint_pairs(21, 10, generator=torch.Generator().manual_seed(1))
    assert (pairs != other).any()


X, G = coins(10, 70), torch.Generator()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hamming.matrix(X * 2), r"patterns\[0\] holds 2 at bit \d+; give numbers 0 and 1"),
        (lambda: hamming.matrix(torch.full((2, 3), 0.5)), r"patterns\[0\] holds 0.5 at bit 0"),
        (lambda: hamming.matrix(np.array([[0, np.nan]])), r"patterns\[0\] holds nan at bit 1"),
        (lambda: hamming.matrix(X, -X.astype(int)), r"others\[0\] holds -1"),
        (lambda: hamming.matrix(np.array([["a"]])), "patterns are of type <U1"),
        (lambda: hamming.matrix(X[0]), r"patterns have shape \(70,\); give \(n, n_bits\)"),
        (lambda: hamming.matrix(X[:0]), r"patterns have shape \(0, 70\)"),
        (lambda: hamming.matrix(X[:, :0]), r"patterns have shape \(10, 0\)"),
        (lambda: hamming.matrix(bits.pack(X[:0])), r"words of shape \(0, 2\) for 70 bits; give at least one pattern"),
        (lambda: hamming.matrix(bits.pack(X[:, :0])), r"words of shape \(10, 0\) for 0 bits"),
        (lambda: hamming.matrix(bits.pack(X[0])), r"words of shape \(2,\) for 70 bits"),
        (lambda: hamming.matrix(Packed(bits.pack(X).words, 64)), "patterns have 2 words each, but 64 bits need 1"),
        (
            lambda: hamming.matrix(Packed(bits.pack(X | True).words, 68)),
            "a bit set behind bit 67: n_bits is wrong",
        ),
        (lambda: hamming.matrix(X, X[:, :69]), "patterns have 70 bits and others 69; give patterns of one layer"),
        (lambda: hamming.histogram(X[:1]), "one pattern has no pair; give two at least, or others"),
        (lambda: hamming.nearest(X[:1], 1), "one pattern has no neighbour; give two at least, or others"),
        (lambda: hamming.nearest(X, 10), "k = 10 for 10 patterns to look among; choose 1 to 9"),
        (lambda: hamming.nearest(X, 0, X), "k = 0 for 10 patterns to look among; choose 1 to 10"),
        (lambda: hamming.pair_distances(X, [[0, 10]]), "pairs reach from 0 to 10; choose 0 to 9"),
        (lambda: hamming.pair_distances(X, [[-1, 0]]), "pairs reach from -1 to 0; choose"),
        (lambda: hamming.pair_distances(X, [[0, 1, 2]]), r"int64 of shape \(1, 3\); give whole numbers \(p, 2\)"),
        (lambda: hamming.pair_distances(X, [[0.0, 1.0]]), "pairs are torch.float64 of shape"),
        (lambda: hamming.pair_distances(X, np.zeros((0, 2), int)), r"of shape \(0, 2\); give whole"),
        (
            lambda: hamming.disjoint_pairs(10, 6, generator=G),
            "n_pairs = 6 for 10 patterns, each in one pair only",
        ),
        (lambda: hamming.disjoint_pairs(10, 0, generator=G), "n_pairs = 0 for 10 patterns.*choose 1 to 5"),
        (lambda: hamming.disjoint_pairs(1, 1, generator=G), "n = 1 patterns have no pair"),
    ],
)
def test_what_has_no_answer_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_one_pattern_and_one_bit_have_answers():
    np.testing.assert_array_equal(hamming.matrix([[1]]), [[0]])
    np.testing.assert_array_equal(hamming.histogram([[1]], [[0], [1], [0]]), [1, 2])
    np.testing.assert_array_equal(hamming.nearest([[1]], 2, [[0], [1], [0]]).indices, [[1, 0]])


def test_a_matrix_too_large_is_refused_before_it_is_made():
    # The same word for all: 8 bytes stand for 100,000 patterns.
    words = np.broadcast_to(np.array([[5]], np.uint64), (100_000, 1))
    message = r"100,000 x 100,000 distances: 18.6 GiB, more than 2.0; use hamming.histogram or hamming.nearest"
    with pytest.raises(ValueError, match=message):
        hamming.matrix(Packed(words, 3))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_finds_the_same_and_others_come_to_it():
    x, y = torch.from_numpy(coins(5000, 3000)), torch.from_numpy(coins(300, 3000, seed=1))
    for call in (hamming.matrix, hamming.histogram, lambda a, b=None: hamming.nearest(a, 10, b).indices):
        for given in ((x,), (x, y)):
            found = call(bits.pack(given[0].cuda()), *given[1:])
            assert found.is_cuda
            torch.testing.assert_close(found.cpu(), call(*given))
