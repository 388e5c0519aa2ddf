"""Exact regions in slices and on segments, against grids.

The net 2-16-16-1 is cut up in the window where a search in Python (relucent 1.0.0) needed 6.9 s for 567 regions, 85 a
second; that tool is not run here. A net with a million regions says how much memory it takes, in a process of its own.
Segments between inputs of 784 and of 3,072 numbers go through three layers of 256, against the changes between 20,001
points in float32, which is the faster way for a grid. The convolutional network with 8,704 units is reported.

Times are those of the processor, so that other work on the machine does not count.
"""

import resource
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from time import process_time

import numpy as np
import torch
from torch import nn

from actlib import piecewise, planes, segments, slices
from benchmarks import Row

RATE, SPEED_UP, MOST_MEMORY = 10_000, 50, 4e9
N_POINTS, N_ROUNDS, N_SEGMENTS = 20_001, 5, 64
# Points of the grid that go through the network at a time.
N_BLOCK = 2_000
RELUCENT = 85
ASKED = {
    "cpu": f"{RATE:,} regions/s in a small network; a million regions below {MOST_MEMORY / 1e9:g} GB; segments "
    f"{SPEED_UP} times as fast as a grid of {N_POINTS:,} points"
}
KINDS = {"relucent, quoted": "quoted"}

MEMORY = """
import resource
from time import process_time
from benchmarks import slices
network, plane, window = slices.million({width})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = process_time()
part = slices.slices.partition(network, plane, window, most=10**7)
seconds = process_time() - start
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(len(part), seconds, (after - before) * 1024, part.mesh.euler)
"""


def rows(device: str, width: int = 500, n_segments: int = N_SEGMENTS) -> list[Row]:
    """Return six rows, on a GPU none: exact geometry is computed on the CPU."""
    if device != "cpu":
        return []
    compared = [_segments(n_inputs, n_segments) for n_inputs in (784, 3_072)]
    return [_small(), _many(width), *compared, _convnet_slice(), _convnet_segments()]


def mlp(*widths: int) -> nn.Sequential:
    """Return a network with the weights that PyTorch gives it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1]).eval()


def convnet() -> nn.Sequential:
    """Return the port of AlexNet with three convolutions: 4,096, 3,072 and 1,536 units on 32 x 32 pixels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 64, 11, 4, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(),
            nn.MaxPool2d(2), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(1_536, 10),
        ).eval()  # fmt: skip


def square(half: float) -> np.ndarray:
    """Return the corners of a square around 0."""
    return np.array([[-half, -half], [half, -half], [half, half], [-half, half]])


def million(width: int) -> tuple:
    """Return a network with some million regions in a window, at a width of 500."""
    network = piecewise.trace(mlp(2, width, width, width, 1), (2,))
    return network, planes.through(*torch.tensor([[0.0, 0], [1, 0], [0, 1]])), square(8)


def _spent(call: Callable) -> float:
    """Return the seconds of the processor."""
    start = process_time()
    call()
    return process_time() - start


def _small() -> Row:
    """Return the regions per second of 2-16-16-1."""
    network = piecewise.trace(mlp(2, 16, 16, 1), (2,))
    plane, found = planes.through(*torch.tensor([[0.0, 0], [1, 0], [0, 1]])), []
    seconds = [_spent(lambda: found.append(slices.partition(network, plane, square(60)))) for _ in range(4 * N_ROUNDS)]
    ours, n = median(seconds[1:]), len(found[0])
    target = f"{RATE:,} regions/s (found {n / ours:,.0f}; {n} regions, Euler {found[0].mesh.euler})"
    peers = {"relucent, quoted": n / RELUCENT}
    return Row("slice of 2-16-16-1", ours, peers, ours * RELUCENT / n, target, n / ours >= RATE, len(seconds) - 1)


def _many(width: int) -> Row:
    """Return a million regions, in a process that tells its memory."""
    command = [sys.executable, "-c", MEMORY.format(width=width)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    n, seconds, memory, euler = map(float, printed.split())
    target = f"{n:,.0f} regions at {n / seconds:,.0f}/s in {memory / 1e9:.2f} GB (Euler {euler:.0f}), below 4 GB"
    quality = {"regions": n, "bytes, ours": memory}
    return Row(f"slice of 2-{width}-{width}-{width}-1", seconds, {}, 1.0, target, memory < MOST_MEMORY, 1, quality)


def _grid(model: nn.Sequential, first: torch.Tensor, second: torch.Tensor) -> int:
    """Return the changes of units between the points of a grid on a segment."""
    changes, before = 0, None
    with torch.no_grad():
        for times in torch.linspace(0, 1, N_POINTS)[:, None].split(N_BLOCK):
            x, bits = first + times * (second - first), []
            for layer in model[:-1]:
                x = layer(x)
                if isinstance(layer, nn.ReLU):
                    bits.append(x > 0)
            both = torch.cat(bits, 1) if before is None else torch.cat([before, torch.cat(bits, 1)])
            changes, before = changes + int((both[1:] != both[:-1]).sum()), both[-1:]
    return changes


def _segments(n_inputs: int, n_segments: int) -> Row:
    """Return segments of a 3 x 256 network against the grid."""
    model = mlp(n_inputs, 256, 256, 256, 10)
    network = piecewise.trace(model, (n_inputs,))
    last = list(network.gates)[-1]  # the grid asks for no outputs either
    first, second = torch.rand(2, n_segments, n_inputs, generator=torch.Generator().manual_seed(0))
    found, grids, ours, theirs = [], [], [], []
    for turn in range(N_ROUNDS + 1):
        ours.append(_spent(lambda: found.append(segments.between(network, first, second, last=last))) / n_segments)
        at = turn % n_segments
        theirs.append(_spent(lambda at=at: grids.append(_grid(model, first[at], second[at]))))
    exact = found[0].counts().sum(1)
    seen = [(grids[turn], int(exact[turn % n_segments])) for turn in range(N_ROUNDS + 1)]
    spent, grid = median(ours[1:]), median(theirs[1:])
    more = all(a <= b for a, b in seen)
    target = (
        f"{SPEED_UP} times as fast as {N_POINTS:,} points (found {grid / spent:.0f}) at as many changes or more "
        f"(exact {sum(b for _, b in seen)}, grid {sum(a for a, _ in seen)})"
    )
    met, job = more and grid / spent >= SPEED_UP, f"one of {n_segments} segments of {n_inputs:,}-256-256-256-10"
    return Row(job, spent, {"grid": grid}, spent / grid, target, met, N_ROUNDS)


def _convnet_slice() -> Row:
    """Return regions per second of the convolutional network, which has no target."""
    network, half = piecewise.trace(convnet(), (3, 32, 32)), 0.25
    inputs = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    plane, found = planes.through(*inputs), []
    window = plane.corners.mean(0) + square(half)
    spent = _spent(lambda: found.append(slices.partition(network, plane, window)))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    n = len(found[0])
    target = f"reported: {n:,} regions, {n / spent:,.0f}/s"
    return Row("slice of the convnet", spent, {}, 1.0, target, True, 1, {"regions": n, "bytes, process": memory})


def _convnet_segments(n_segments: int = 4) -> Row:
    """Return segments between inputs of the convolutional network, which have no target."""
    network = piecewise.trace(convnet(), (3, 32, 32))
    first, second = torch.rand(2, n_segments, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = []
    spent = _spent(lambda: found.append(segments.between(network, first, second))) / n_segments
    n = int(np.median(found[0].counts().sum(1)))
    return Row(f"one of {n_segments} segments of the convnet", spent, {}, 1.0, f"reported: {n:,} changes", True, 1)
