"""Aliasing: categories of a batch of maps against the transforms alone, and a whole ResNet-34 against its forward pass.

The bound is set by the transforms that the categories need, real ones in blocks as they are fastest: of the zero-padded
maps, and of what is kept of them for the threshold. Beside it stands the published algorithm, written again from its
definition for all maps at once: a complex transform, folds, decibels, masks. Counts may differ by what lies on the
threshold. The ResNet has random weights, which cost what others do.
"""

from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision import models

from actlib import aliasing
from benchmarks import Row, interleaved, ratio

N_ROUNDS = 7
# The most, in times of the bound and of the forward pass.
OF_FFT, OF_FORWARD = 2.0, {"literal": 6.0, "corrected": 3.0}
ASKED = (
    f"categories within {OF_FFT:g} times the transforms that they need; a ResNet-34 within {OF_FORWARD['literal']:g} "
    f"forward passes by the literal rule, {OF_FORWARD['corrected']:g} by the corrected one"
)
KINDS = {"transforms": "bound", "forward": "bound"}
_BLOCK = 40


def rows(device: str, n: int = 64, n_images: int = 16) -> list[Row]:
    """Return three rows; the numbers of maps and images can be less for a trial."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(n, 64, 56, 56, generator=generator).relu_().to(device)
    images = torch.rand(n_images, 3, 224, 224, generator=generator).to(device)
    model = models.resnet34(weights=None).eval().to(device)
    return [_against_transforms(maps, device), *(_whole(model, images, rule, device) for rule in OF_FORWARD)]


def _against_transforms(maps: Tensor, device: str) -> Row:
    """Return the literal categories beside the transforms alone, and the published algorithm."""
    flat = maps.flatten(0, 1)
    block = _BLOCK if device == "cpu" else len(flat)

    def padded() -> None:
        for part in flat.split(block):
            torch.fft.rfft2(part, s=(112, 112))

    def transforms() -> None:
        padded()
        for part in flat.split(block):
            torch.fft.rfft2(part[:, ::2, ::2], s=(56, 56))

    def ours() -> Tensor:
        return aliasing.tally(maps, 2, aliasing.LITERAL).counts.sum(1)

    calls = {"ours": ours, "transforms": transforms, "published": lambda: published(maps), "padded": padded}
    same = (ours() - published(maps)).abs().max().item()
    seconds = interleaved(calls, device, n_rounds=N_ROUNDS, n_warm=1)
    share, times = ratio(seconds["ours"], seconds["transforms"]), ratio(seconds["published"], seconds["ours"])
    target = f"{OF_FFT} transforms (found {share:.2f}); published: {times:.1f} of ours"
    peers = {name: median(seconds[name]) for name in ("transforms", "published")}
    job = f"categories, {len(maps)} x {maps.shape[1]} x 56 x 56"
    return Row(job, median(seconds["ours"]), peers, share, target, share <= OF_FFT, N_ROUNDS, quality={
        "times the padded transforms alone": ratio(seconds["ours"], seconds["padded"]), "counts that differ": same,
    })  # fmt: skip


def published(maps: Tensor, decibels: float = 20) -> Tensor:
    """Return the counts of each image (n, 4), by the published definition for stride 2 and an even size."""
    n = maps.shape[-1]
    spectrum = torch.fft.fft2(F.pad(maps, (0, n, 0, n)))
    folded = spectrum.unflatten(-1, (2, n)).unflatten(-3, (2, n)).transpose(-2, -3)  # (..., 2, 2, n, n)
    top = (10 * folded.mean((-4, -3)).abs().square().log10()).amax((-2, -1))
    passing = 10 * folded.abs().square().log10() > top[..., None, None, None, None] - decibels
    total = passing.sum((-4, -3))
    tangled = total > 1
    kept = ~tangled
    half = torch.arange(n, device=maps.device) >= n // 2
    for i in range(2):
        for j in range(2):
            block = (half == bool(i))[:, None] & (half == bool(j))
            kept &= passing[..., i, j, :, :] | ~block
    aliased = (total == 1) & ~kept
    return torch.stack([mask.sum((1, 2, 3)) for mask in (~kept & ~tangled, kept, aliased, tangled)], 1)


def _whole(model: torch.nn.Module, images: Tensor, rule: str, device: str) -> Row:
    """Return one measure of all layers beside the forward pass."""
    rules = {rule: {"literal": aliasing.LITERAL, "corrected": aliasing.CORRECTED}[rule]}

    def forward() -> None:
        with torch.no_grad():
            for batch in images.split(16):
                model(batch)

    calls: dict[str, Callable] = {
        "ours": lambda: aliasing.measure(model, images, rules=rules, progress=False),
        "forward": forward,
    }
    seconds = interleaved(calls, device, n_rounds=N_ROUNDS, n_warm=1)
    share = ratio(seconds["ours"], seconds["forward"])
    target = f"{OF_FORWARD[rule]} forward passes (found {share:.2f})"
    job = f"ResNet-34, {rule}, {len(images)} images of 224 px"
    peers = {"forward": median(seconds["forward"])}
    return Row(job, median(seconds["ours"]), peers, share, target, share <= OF_FORWARD[rule], N_ROUNDS)
