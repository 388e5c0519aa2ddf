"""Bits: the format is fixed by hand, undone by its inverse, and made again by a slow loop."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from actlib import bits

PATTERNS = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=140))


def slow_words(pattern: list[bool]) -> list[int]:
    """Pack one pattern with Python integers only."""
    words = [0] * ((len(pattern) + 63) // 64)
    for i, bit in enumerate(pattern):
        words[i // 64] += int(bit) << (i % 64)
    return words


def forms(pattern):
    """Return the pattern as array and tensor packed by the public function, and by the path for accelerators."""
    tensor = torch.from_numpy(pattern)
    yield bits.pack(pattern).words
    yield bits.pack(tensor).words.numpy()
    yield bits._pack_tensor(tensor).numpy()


def test_the_first_bit_is_the_lowest_of_the_first_word():
    pattern = np.zeros(70, bool)
    pattern[[0, 2, 8, 63, 64, 69]] = True
    # 1 + 4 + 256 + 2**63 in the first word, 1 + 2**5 in the second: computed by hand
    for words in forms(pattern):
        np.testing.assert_array_equal(words, np.array([9223372036854776069, 33], np.uint64))
    assert bits.pack(pattern).n_bits == 70


def test_the_bytes_on_disk_are_little_endian():
    pattern = np.zeros(64, bool)
    pattern[9] = True
    assert bits.pack(pattern).words.tobytes() == bytes([0, 2, 0, 0, 0, 0, 0, 0])


@settings(deadline=None)
@given(PATTERNS)
def test_unpack_inverts_pack(pattern):
    np.testing.assert_array_equal(bits.unpack(*bits.pack(pattern)), pattern)
    np.testing.assert_array_equal(bits.unpack(*bits.pack(torch.from_numpy(pattern))).numpy(), pattern)
    words = bits._pack_tensor(torch.from_numpy(pattern))
    np.testing.assert_array_equal(bits._unpack_tensor(words)[..., : pattern.shape[-1]].numpy(), pattern)


@settings(deadline=None)
@given(hnp.arrays(np.bool_, st.tuples(st.integers(0, 3), st.integers(0, 200))))
def test_words_equal_those_of_a_slow_loop(pattern):
    n_words = (pattern.shape[1] + 63) // 64
    slow = np.array([slow_words(row.tolist()) for row in pattern], np.uint64).reshape(len(pattern), n_words)
    for words in forms(pattern):
        np.testing.assert_array_equal(words, slow)
        assert words.dtype == np.uint64


@settings(deadline=None)
@given(st.integers(1, 200))
def test_the_tail_is_zero(n_bits):
    for words in forms(np.ones((2, n_bits), bool)):
        np.testing.assert_array_equal(np.bitwise_count(words).sum(-1), [n_bits, n_bits])


def test_words_of_a_view_are_unpacked_right():
    pattern = np.random.default_rng(0).random((4, 130)) < 0.5
    words = bits.pack(pattern).words
    np.testing.assert_array_equal(bits.unpack(words[::2], 130), pattern[::2])
    np.testing.assert_array_equal(bits.unpack(torch.from_numpy(words)[::2], 130).numpy(), pattern[::2])
    assert (bits.unpack(words[::2], 130) != pattern[1::2]).any()


@pytest.mark.parametrize("wrong", [np.array([0, 1], np.uint8), torch.ones(3), np.array(True)])
def test_only_booleans_with_an_axis_are_packed(wrong):
    with pytest.raises((ValueError, TypeError), match=r"give booleans|Type-check"):
        bits.pack(wrong)


@pytest.mark.parametrize("n_bits", [64, 129])
def test_a_wrong_number_of_words_is_refused(n_bits):
    with pytest.raises(ValueError, match=f"2 words a pattern, but n_bits = {n_bits} needs"):
        bits.unpack(np.zeros((1, 2), np.uint64), n_bits)


def test_a_set_bit_in_the_tail_is_refused():
    words = bits.pack(np.ones(70, bool)).words
    with pytest.raises(ValueError, match="a bit behind bit 67 is set"):
        bits.unpack(words, 68)
    with pytest.raises(ValueError, match="a bit behind bit 67 is set"):
        bits.unpack(torch.from_numpy(words), 68)
