"""Patterns as packed bits: the one format in which the package keeps who is active.

Bit ``i`` of a pattern is bit ``i % 64``, counted from the lowest, of word ``i // 64``. Bits behind the last one are
zero, so that distances between patterns may be counted on whole words.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Shaped, UInt64
from torch import Tensor

__all__ = ["Packed", "pack", "unpack"]

_WORD = 64


class Packed(NamedTuple):
    """Patterns as words, and how many bits each of them has.

    Attributes
    ----------
    words
        (..., ceil(n_bits / 64)), uint64.
    n_bits
        Bits of one pattern; the rest of its last word is zero.
    """

    words: UInt64[np.ndarray, "*batch w"] | UInt64[Tensor, "*batch w"]
    n_bits: int


def pack(bits: Shaped[np.ndarray, "*batch n"] | Shaped[Tensor, "*batch n"]) -> Packed:
    """Return the patterns along the last axis of ``bits`` as 64-bit words.

    Parameters
    ----------
    bits
        (..., n), boolean: an array, or a tensor on any device; the words are of the same sort, in the same place.

    Raises
    ------
    ValueError
        If ``bits`` are not boolean or have no axis.

    Examples
    --------
    >>> pack(np.array([True, False, True]))
    Packed(words=array([5], dtype=uint64), n_bits=3)
    """
    if bits.dtype not in (np.bool_, torch.bool) or bits.ndim == 0:
        raise ValueError(
            f"bits have dtype {bits.dtype} and shape {tuple(bits.shape)}; give booleans, patterns along the last axis: "
            "pack(values > 0)"
        )
    n_bits = bits.shape[-1]
    if isinstance(bits, np.ndarray):
        return Packed(_pack_array(bits), n_bits)
    if bits.device.type == "cpu":  # NumPy packs 8 bits an instruction
        return Packed(torch.from_numpy(_pack_array(bits.detach().numpy())), n_bits)
    return Packed(_pack_tensor(bits), n_bits)


def unpack(
    words: UInt64[np.ndarray, "*batch w"] | UInt64[Tensor, "*batch w"], n_bits: int
) -> Bool[np.ndarray, "*batch n"] | Bool[Tensor, "*batch n"]:
    """Return the patterns that ``pack`` made into words: (..., n_bits), boolean.

    Raises
    ------
    ValueError
        If the number of words does not fit ``n_bits``, or a bit behind the last one is set.
    """
    if words.shape[-1] != _n_words(n_bits):
        raise ValueError(
            f"{words.shape[-1]} words a pattern, but n_bits = {n_bits} needs {_n_words(n_bits)}; give both of pack"
        )
    if isinstance(words, np.ndarray):
        bits = _unpack_array(words)
    elif words.device.type == "cpu":
        bits = torch.from_numpy(_unpack_array(words.numpy()))
    else:
        bits = _unpack_tensor(words)
    if bits[..., n_bits:].any():
        raise ValueError(
            f"a bit behind bit {n_bits - 1} is set: n_bits is wrong, or the words are not; give both of pack"
        )
    return bits[..., :n_bits]


def _n_words(n_bits: int) -> int:
    """Return how many words hold ``n_bits``."""
    return -(-n_bits // _WORD)


def _pack_array(bits: Bool[np.ndarray, "*batch n"]) -> UInt64[np.ndarray, "*batch w"]:
    octets = np.packbits(bits, axis=-1, bitorder="little")
    whole = np.zeros((*bits.shape[:-1], 8 * _n_words(bits.shape[-1])), np.uint8)
    whole[..., : octets.shape[-1]] = octets
    # "<u8" fixes the order of the eight bytes on every machine.
    return whole.view("<u8").astype(np.uint64, copy=False)


def _unpack_array(words: UInt64[np.ndarray, "*batch w"]) -> Bool[np.ndarray, "*batch n"]:
    octets = np.ascontiguousarray(words, "<u8").view(np.uint8)
    return np.unpackbits(octets, axis=-1, bitorder="little").view(np.bool_)


def _pack_tensor(bits: Bool[Tensor, "*batch n"]) -> UInt64[Tensor, "*batch w"]:
    n_words = _n_words(bits.shape[-1])
    bits = torch.nn.functional.pad(bits, (0, n_words * _WORD - bits.shape[-1]))
    place = torch.arange(8, dtype=torch.uint8, device=bits.device)
    octets = (bits.unflatten(-1, (n_words, 8, 8)).to(torch.uint8) << place).sum(-1, dtype=torch.int64)  # (..., w, 8)
    # int64 stands in: PyTorch shifts no uint64. The highest octet reaches the sign, which the view takes back.
    return (octets << 8 * place.long()).sum(-1).view(torch.uint64)


def _unpack_tensor(words: UInt64[Tensor, "*batch w"]) -> Bool[Tensor, "*batch n"]:
    place = torch.arange(8, dtype=torch.uint8, device=words.device)
    octets = (words.view(torch.int64)[..., None] >> 8 * place.long() & 255).to(torch.uint8)  # (..., w, 8)
    return (octets[..., None] >> place & 1).bool().flatten(-3)
