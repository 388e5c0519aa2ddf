"""Geodesics of 32 pairs of images at once, against one pair after the other, for MLPs of three sizes.

Small networks gain from the batch. In the largest, whose weights are read from memory at each step, the time is that of
the products themselves, and the target is missed.
"""

from statistics import median

import torch
from torch import Tensor, nn

from actlib import models, paths
from benchmarks import Row, interleaved, ratio

N_ROUNDS = 3
N_PAIRS = 32
TARGET = 8
ASKED = f"all pairs at once at least {TARGET} times as fast as one by one"
MISSED = {
    f"geodesics, {N_PAIRS} pairs, MLP 3x256": "The batch is bound by memory: each step moves the points of all paths "
    "through Adam, and a single path fills the processor's vector units already."
}
SIZES = {
    "MLP 2x32, 8x8": (2, 32, (1, 8, 8)),
    "MLP 3x64, 8x8": (3, 64, (1, 8, 8)),
    "MLP 3x256, 3x32x32": (3, 256, (3, 32, 32)),
}
DESCENT = {"n_rounds": 2, "n_steps": 30}


def rows(device: str, n: int = N_PAIRS) -> list[Row]:
    """Return a row for each network; the number of pairs can be less for a trial."""
    return [_together(name, *size, n, device) for name, size in SIZES.items()]


def _together(name: str, depth: int, width: int, shape: tuple[int, int, int], n: int, device: str) -> Row:
    """Return the times of all pairs at once and of one after the other, and by how much their paths differ."""
    generator = torch.Generator().manual_seed(0)
    model = models.mlp([width] * depth, input_shape=shape, generator=generator).to(device)
    start, end = torch.rand(2, n, *shape, generator=generator).to(device)
    layers = [f"relu{depth}"]
    calls = {
        "at once": lambda: _geodesics(model, start, end, layers),
        "one by one": lambda: torch.cat([_geodesics(model, *pair, layers) for pair in _pairs(start, end)]),
    }
    difference = (calls["at once"]() - calls["one by one"]()).abs().max().item()
    seconds = interleaved(calls, device, n_rounds=N_ROUNDS, n_warm=0)
    share = ratio(seconds["at once"], seconds["one by one"])
    target = f"at least {TARGET} times as fast (found {1 / share:.1f}); paths differ by {difference:.0e}"
    peers = {"one by one": median(seconds["one by one"])}
    met = share * TARGET <= 1
    return Row(f"geodesics, {n} pairs, {name}", median(seconds["at once"]), peers, share, target, met, N_ROUNDS)


def _geodesics(model: nn.Module, start: Tensor, end: Tensor, layers: list[str]) -> Tensor:
    """Return the points of the paths."""
    return paths.geodesic(model, start, end, layers, **DESCENT).points


def _pairs(start: Tensor, end: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return batches of one."""
    return list(zip(start.split(1), end.split(1), strict=True))
