"""Cosine histograms of 200 references against 74,246 vectors of 4,096 values, against what the machine can do at all.

The size is that of the document on activations of Tiny ImageNet; the vectors are drawn. Ours is all of
``similarity.histograms``: lengths, products, bins of both kinds. It is to take no longer than one product of this size
at 60 % of the bound. The bound is measured in the same rounds: the operations of the product at the rate of the
fastest of some plain ones, or one sum over all values, whichever takes longer. For the share of the bound the fastest
round counts, of ours as of these: what else runs on the machine belongs to neither.

The first peer is the product alone, in blocks: no lengths, no bins, nothing kept. The second, on the CPU only, holds
the whole matrix: scikit-learn's cosines, and NumPy's histograms of their rows.
"""

from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from sklearn.metrics.pairwise import cosine_similarity
from torch import Tensor

from actlib import cosines, similarity
from benchmarks import Row, interleaved, ratio

N_REFERENCES, N_OTHERS, N_VALUES, N_CLASSES = 200, 74_246, 4_096, 200
SHARE = 0.6
ASKED = f"{SHARE:.0%} of what the machine can do at all"
KINDS = {"blocked product": "bound"}
# A call takes a second or two.
N_ROUNDS = 9
# Vectors a block of the plain product, and the sides of square ones.
BLOCK = {"cpu": 1_024, "cuda": 16_384}
SIDES = {"cpu": (1_024, 2_048), "cuda": (4_096, 8_192)}


def rows(device: str) -> list[Row]:
    """Return one row."""
    generator = torch.Generator().manual_seed(0)
    others = torch.randn(N_OTHERS, N_VALUES, generator=generator).relu_().to(device)
    labels = torch.arange(N_OTHERS, device=device) % N_CLASSES
    _check(others, labels)
    calls, limits = _calls(others, labels), _limits(others)
    seconds = interleaved(calls | limits, device, n_rounds=N_ROUNDS, n_warm=1)
    bound, words = _bound({name: min(seconds[name]) for name in ("blocked product", *limits)})
    times = {name: median(seconds[name]) for name in calls}
    share = bound / min(seconds["ours"])
    return [
        Row(
            f"cosine histograms of {N_REFERENCES} x {N_OTHERS:,} x {N_VALUES:,}", times.pop("ours"), times,
            ratio(seconds["ours"], seconds["blocked product"]),
            f"{SHARE:.0%} of the bound (found {share:.0%} of {bound:.3g} s: {words})", share >= SHARE, N_ROUNDS,
        )
    ]  # fmt: skip


def _calls(others: Tensor, labels: Tensor) -> dict[str, Callable]:
    """Return what is compared; the references are the first of the others."""
    references, device = others[:N_REFERENCES], others.device.type

    def blocked() -> None:
        for part in others.split(BLOCK[device]):
            references @ part.T

    def scikit_learn() -> None:
        matrix, arrays = cosine_similarity(references, others), labels.numpy()
        for row, label in zip(matrix, arrays, strict=False):
            for kind in (row[arrays == label], row[arrays != label]):
                np.histogram(kind, 200, (-1, 1))

    calls = {"ours": lambda: _histograms(others, labels, N_REFERENCES), "blocked product": blocked}
    return calls | ({"scikit-learn": scikit_learn} if device == "cpu" else {})


def _limits(others: Tensor) -> dict[str, Callable]:
    """Return what tells how fast the machine multiplies and reads."""
    limits = {"sum": others.sum}
    for side in SIDES[others.device.type]:
        square = torch.ones(side, side, device=others.device)
        limits[f"{side} x {side}"] = lambda square=square: square @ square
    return limits


def _bound(fastest: dict[str, float]) -> tuple[float, str]:
    """Return the least seconds that the machine needs, and how they were found."""
    product = 2 * N_REFERENCES * N_OTHERS * N_VALUES
    reading = fastest.pop("sum")
    rates = {name: (product if name == "blocked product" else 2 * int(name.split()[0]) ** 3) / seconds
             for name, seconds in fastest.items()}  # fmt: skip
    best = max(rates, key=rates.get)
    words = f"{rates[best] / 1e9:.3g} GFLOP/s in {best}, reading at {4e-9 * N_OTHERS * N_VALUES / reading:.3g} GB/s"
    return max(product / rates[best], reading), words


def _histograms(others: Tensor, labels: Tensor, n: int) -> similarity.Histograms:
    """Return the histograms of the first ``n``, none compared with itself."""
    own = torch.arange(n, device=others.device)
    return similarity.histograms(others[:n], labels[:n], others, labels, reference_indices=own)


def _check(others: Tensor, labels: Tensor) -> None:
    """Raise AssertionError if a histogram is not that of scikit-learn's cosines, but for those at an edge."""
    found = _histograms(others, labels, 1)
    row = cosine_similarity(others[:1].cpu(), others.cpu())[0, 1:]
    expected = np.histogram(row, found.edges.cpu())[0]
    near = np.abs(row[:, None] * 100 - np.round(row[:, None] * 100)).min(1) < 100 * cosines.TOLERANCE
    difference = (found.same + found.different)[0].cpu().numpy() - expected
    assert np.abs(difference).sum() <= 2 * near.sum(), difference
