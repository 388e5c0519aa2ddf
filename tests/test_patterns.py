"""Unique patterns against a dictionary; the face hands on what the modules below do."""

import numpy as np
import pytest
import torch

from actlib import bits, patterns


@pytest.mark.parametrize(("n", "n_bits"), [(1, 1), (40, 3), (200, 5), (50, 130)])
@pytest.mark.parametrize("kind", ["array", "packed", "tensor"])
def test_unique_patterns_are_those_of_a_dictionary(n, n_bits, kind):
    x = np.random.default_rng(0).random((n, n_bits)) < 0.5
    x[n // 2 :] = x[: n - n // 2]
    seen = {}
    inverse = [seen.setdefault(tuple(row), len(seen)) for row in x.tolist()]
    given = {"array": x, "packed": bits.pack(x), "tensor": bits.pack(torch.from_numpy(x))}[kind]
    found = patterns.unique(given)
    np.testing.assert_array_equal(bits.unpack(*found.patterns), list(seen))
    np.testing.assert_array_equal(found.inverse, inverse)
    np.testing.assert_array_equal(found.counts, np.bincount(inverse))
    np.testing.assert_array_equal(found.first, [inverse.index(i) for i in range(len(seen))])


def test_patterns_that_differ_in_one_bit_are_two():
    x = np.zeros((3, 200), int)
    x[1, 199] = 1
    found = patterns.unique(x)
    assert found.counts.tolist() == [2, 1]
    assert found.inverse.tolist() == [0, 1, 0]


def test_an_empty_set_is_refused():
    with pytest.raises(ValueError, match=r"shape \(0, 5\)"):
        patterns.unique(np.zeros((0, 5), bool))


def test_everything_the_face_names_is_there():
    assert all(hasattr(patterns, name) for name in patterns.__all__)


def test_fair_coins_pass_all_tests_and_a_layer_of_copies_fails_those_of_dependence():
    rng, generator = np.random.default_rng(1), torch.Generator().manual_seed(0)
    pairs = patterns.disjoint_pairs(4000, 2000, generator=generator)
    for x, dependent in ((rng.random((4000, 128)) < 0.5, False), (np.repeat(rng.random((4000, 64)) < 0.5, 2, 1), True)):
        distances = patterns.pair_distances(x, pairs)
        assert patterns.bernoulli_test(distances, 128).p_value > 0.001
        assert (patterns.variance_test(distances, 128).p_value < 1e-6) == dependent
        assert (patterns.spectrum(x).n_above > 0) == dependent
