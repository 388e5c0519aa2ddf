"""Hamming distances and constellations of packed patterns, against SciPy.

Of 16,384 patterns of 256 bits the whole matrix is made, against SciPy's ``pdist``, which makes half of it, in float64;
faiss, the fastest there is, is run where it is installed. Of 50,000 patterns of 4,096 bits the histogram of all pairs
and the 10 nearest are found without a matrix; SciPy's time is that of 1,024 patterns, multiplied. Of 16,000 patterns
both clusterings and the curve of constellations are made, against SciPy's complete linkage alone.

On a GPU the histogram is timed against the products of bits that it cannot do without.
"""

import math
from collections.abc import Callable
from importlib.util import find_spec
from statistics import median

import numpy as np
import torch
from scipy.cluster import hierarchy
from scipy.spatial.distance import pdist

from actlib import bits, constellations, hamming, tiles
from benchmarks import Row, interleaved, ratio
from benchmarks._memory import watched

N_ROUNDS = 5
SPEED_UP, RATE, FAISS = 10, 0.35e9, 6
MOST_MEMORY, MOST_SECONDS, SHARE = 1e9, 30, 0.5
ASKED = {
    "cpu": f"all distances {SPEED_UP} times as fast as pdist, {RATE / 1e9:g} G ordered pairs/s and within {FAISS} "
    f"times faiss; without the matrix below {MOST_MEMORY / 1e9:g} GB; constellations below {MOST_SECONDS} s",
    "cuda": f"{SHARE:.0%} of the bound, the products of bits",
}
KINDS = {"products": "bound"}
MISSED = {
    "all distances": "Writing half a gigabyte of distances and mirroring them takes the rest: the tiles alone, without "
    "the matrix, reached 0.41 G pairs/s of processor time."
}
K = 10
# So many patterns SciPy is given where it would need an hour.
N_PART = 1_024

# The words are drawn, not the bits: those would need 200 MB of their own.
ALL_PAIRS = """
from actlib.bits import Packed
n, n_bits, k = map(int, sys.argv[1:])
words = np.random.default_rng(0).integers(2**64, size=(n, n_bits // 64), dtype=np.uint64)
start = time.perf_counter()
module.histogram(Packed(words, n_bits))
middle = time.perf_counter()
module.nearest(Packed(words, n_bits), k)
print(middle - start, time.perf_counter() - middle)
"""


def rows(device: str, n: int = 16_384, n_many: int = 50_000, n_elements: int = 16_000) -> list[Row]:
    """Return three rows, on a GPU one; the numbers of patterns can be less for a trial."""
    if device != "cpu":
        return [_products(n_many, 4_096, device)]
    return [_matrix(n, 256), _many(n_many, 4_096), _curve(n_elements, 256)]


def _coins(n: int, n_bits: int) -> np.ndarray:
    """Return patterns of fair coins."""
    return np.random.default_rng(0).random((n, n_bits), dtype=np.float32) < 0.5


def _faiss(packed: bits.Packed) -> Callable:
    """Return a call of faiss for all distances."""
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    n, codes = len(packed.words), packed.words.view(np.uint8)
    out = np.empty((n, n), np.int32)
    pointers = faiss.swig_ptr(codes), faiss.swig_ptr(codes)
    return lambda: faiss.hammings(*pointers, n, n, codes.shape[1], faiss.swig_ptr(out))


def _matrix(n: int, n_bits: int) -> Row:
    """Return the whole matrix against pdist."""
    coins = _coins(n, n_bits)
    packed = bits.pack(coins)
    np.testing.assert_array_equal(hamming.matrix(coins[:300])[0, 1:], pdist(coins[:300], "hamming")[:299] * n_bits)
    calls = {"ours": lambda: hamming.matrix(packed)}
    if with_faiss := find_spec("faiss") is not None:
        calls["faiss"] = _faiss(packed)
    seconds = interleaved(calls, "cpu", n_rounds=N_ROUNDS, n_warm=1)
    seconds |= interleaved({"scipy": lambda: pdist(coins, "hamming")}, "cpu", n_rounds=1, n_warm=0)
    ours = median(seconds["ours"])
    peers = {"scipy": seconds["scipy"][0], "faiss": median(seconds["faiss"]) if with_faiss else None}
    speed_up, rate = peers["scipy"] / ours, n * n / ours
    behind = ours / peers["faiss"] if with_faiss else math.nan
    told = f"{behind:.1f}" if with_faiss else "not run"
    met = speed_up >= SPEED_UP and rate >= RATE and not behind > FAISS
    target = (
        f"{SPEED_UP} times as fast as pdist (found {speed_up:.1f}), {RATE / 1e9:g} G ordered pairs/s "
        f"({rate / 1e9:.2f}), within {FAISS} times faiss ({told})"
    )
    return Row(f"all distances of {n:,} x {n_bits}", ours, peers, 1 / speed_up, target, met, N_ROUNDS)


def _many(n: int, n_bits: int) -> Row:
    """Return the histogram and the nearest, in a process of their own, which tells what it holds."""
    histogram, nearest, memory = watched("hamming", ALL_PAIRS, n, n_bits, K)
    part = _coins(min(n, N_PART), n_bits)
    once = interleaved({"part": lambda: pdist(part, "hamming")}, "cpu", n_rounds=1, n_warm=0)["part"][0]
    scipy = once * (n / len(part)) ** 2
    target = f"without the matrix, below 1 GB (found {memory / 1e6:.0f} MB; histogram {histogram:.0f} s)"
    quality = {"bytes, ours": memory, "seconds, histogram": histogram, "seconds, nearest": nearest}
    ours, job = histogram + nearest, f"histogram and {K} nearest of {n:,} x {n_bits:,}"
    return Row(job, ours, {"scipy": scipy}, ours / scipy, target, memory < MOST_MEMORY, 1, quality)


def _curve(n: int, n_bits: int) -> Row:
    """Return both clusterings and the curve against SciPy's complete linkage."""
    coins = _coins(n, n_bits)
    packed, found = bits.pack(coins), {}

    def ours() -> None:
        found["trees"] = constellations.trees(packed)
        constellations.curves(found["trees"])

    def scipy() -> None:
        found["scipy"] = hierarchy.linkage(np.rint(pdist(coins, "hamming") * n_bits), "complete")

    seconds = interleaved({"ours": ours, "scipy": scipy}, "cpu", n_rounds=1, n_warm=0)
    np.testing.assert_array_equal(found["trees"].complete, found["scipy"])
    spent, theirs = seconds["ours"][0], seconds["scipy"][0]
    target = f"complete and single linkage and the curve below {MOST_SECONDS} s; SciPy's tree is the same"
    job = f"constellations of {n:,} x {n_bits}"
    return Row(job, spent, {"scipy": theirs}, spent / theirs, target, spent < MOST_SECONDS, 1)


def _products(n: int, n_bits: int, device: str) -> Row:
    """Return the histogram on a GPU against the products alone, of bits already unpacked."""
    packed = bits.pack(torch.from_numpy(_coins(n, n_bits)).to(device))
    numbers = bits.unpack(*packed).half()

    def products() -> None:
        for first in range(0, n, tiles._GPU_ROWS):
            for other in range(first, n, tiles._GPU_COLUMNS):
                numbers[first : first + tiles._GPU_ROWS] @ numbers[other : other + tiles._GPU_COLUMNS].T

    calls = {"ours": lambda: hamming.histogram(packed), "products": products}
    seconds = interleaved(calls, device, n_rounds=N_ROUNDS, n_warm=1)
    share = min(seconds["products"]) / min(seconds["ours"])
    target = f"{SHARE:.0%} of the bound, the products (found {share:.0%})"
    job, times = f"histogram of {n:,} x {n_bits:,}", ratio(seconds["ours"], seconds["products"])
    peers = {"products": median(seconds["products"])}
    return Row(job, median(seconds["ours"]), peers, times, target, share >= SHARE, N_ROUNDS)
