"""Aliasing in a network: what each down-sampling layer does to the frequencies of its maps, over a data set.

``downsampling`` finds the layers and gives their maps before every r-th sample is kept, ``folds`` their spectra,
``categories`` sorts the frequencies. Source: Ribeiro and Schön, *Quantifying aliasing in convolutional neural
networks*.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn
from tqdm import tqdm

from actlib.categories import CATEGORIES, Tally, category_map, single_counted, tally
from actlib.downsampling import at_stride_1, capture, select, strides
from actlib.folds import CORRECTED, LITERAL, Rule, folds
from actlib.hooks import evaluating, record
from actlib.inputs import prepare

__all__ = [
    "CATEGORIES", "COLORS", "CORRECTED", "LITERAL", "Aliasing", "Rule", "Tally", "capture", "category_map", "folds",
    "measure", "single_counted", "strides", "tally",
]  # fmt: skip

# Of the categories, in their order, as published.
COLORS = ("#333333", "#2a2ad4", "#d4d42a", "#ff0000")
_RULES = {"literal": LITERAL, "corrected": CORRECTED}


class Aliasing(NamedTuple):
    """What one layer does to n images by one rule.

    Attributes
    ----------
    shares
        (n, 4): of ``CATEGORIES`` in the frequencies of all channels together; each row adds up to 1.
    outside
        (n,): the share of the energy of all channels that lies outside the own folds; NaN if there is no energy.
    channel_shares, channel_outside
        (n, c, 4) and (n, c): the same for each channel; None if they were not asked for.
    size
        (h, w) of the maps before every r-th sample is kept.
    stride
        (r1, r2).
    """

    shares: Float64[Tensor, "n 4"]
    outside: Float64[Tensor, " n"]
    channel_shares: Float64[Tensor, "n c 4"] | None
    channel_outside: Float64[Tensor, "n c"] | None
    size: tuple[int, int]
    stride: tuple[int, int]


def measure(
    model: nn.Module,
    images: Tensor | np.ndarray,
    layers: Iterable[str] | None = None,
    *,
    rules: Mapping[str, Rule] = _RULES,
    channels: bool = False,
    batch_size: int = 16,
    progress: bool = True,
) -> dict[str, dict[str, Aliasing]]:
    """Return the aliasing of each rule, layer and image: ``measure(model, images)["literal"]["conv1"].shares``.

    The network runs once over the images, in eval mode without gradients, whatever the number of rules, and gives what
    it gives without us; its modes are put back, after an exception too. The maps of one layer and batch are in memory
    at a time.

    Parameters
    ----------
    model
        Any network; images go to its device, as ``models.prepare`` says.
    images
        (n, c, h, w), uint8, or floating point in [0, 1]: a tensor, an array or a memory map.
    layers
        Names of layers that down-sample; None: all that are called. Keys of the result are those of
        ``capture.capture``.
    rules
        By names of your own.
    channels
        Keep the shares of each channel too.
    batch_size
        Images in one forward pass.
    progress
        Show a bar when the error stream is a terminal.

    Returns
    -------
    dict
        Rule, then layer; on the device of the model.

    Raises
    ------
    ValueError
        If images do not fit the model, no layer down-samples or one that is named does not, or a map is not finite or
        smaller than its stride (the message names the layer and the first image of the batch).
    """
    if batch_size < 1 or not rules or not len(images):
        raise ValueError(
            f"batch_size = {batch_size}, {len(rules)} rules, {len(images)} images; give at least one of each"
        )
    known = select(model, layers if layers is None or isinstance(layers, str) else (layers := list(layers)))
    of = {id(model.get_submodule(name)): stride for name, stride in known.items()}
    parts: dict[tuple[str, str], list[Aliasing]] = {}
    start = 0

    def keep(module: nn.Module, key: str, x: Tensor) -> None:
        try:
            maps = at_stride_1(module, x)
            for name, rule in rules.items():
                found = _summary(tally(maps, of[id(module)], rule), maps, of[id(module)], channels)
                parts.setdefault((name, key), []).append(found)
        except ValueError as error:
            error.add_note(f"in layer {key!r}, for the batch that begins with image {start}")
            raise

    with (
        evaluating(model),
        torch.no_grad(),
        record(model, known, keep, inputs=True, strict=layers is not None),
        tqdm(total=len(images), unit="image", disable=None if progress else True) as bar,
    ):
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            model(prepare(model, torch.from_numpy(np.array(batch)) if isinstance(batch, np.ndarray) else batch))
            bar.update(len(batch))
    return {name: _joined(name, parts, len(images)) for name in rules}


def _summary(found: Tally, maps: Tensor, stride: tuple[int, int], channels: bool) -> Aliasing:
    """Return the shares of one batch."""
    counts, energy, outside = found.counts.double(), found.energy, found.outside
    return Aliasing(
        _shares(counts.sum(1)),
        outside.sum(1) / energy.sum(1),
        _shares(counts) if channels else None,
        outside / energy if channels else None,
        tuple(maps.shape[-2:]),
        stride,
    )


def _shares(counts: Tensor) -> Tensor:
    return counts / counts.sum(-1, keepdim=True)


def _joined(rule: str, parts: dict[tuple[str, str], list[Aliasing]], n: int) -> dict[str, Aliasing]:
    """Return the layers of one rule, their batches put together."""
    joined = {}
    for (name, layer), batches in parts.items():
        if name != rule:
            continue
        if sum(len(batch.shares) for batch in batches) != n:
            raise ValueError(f"layer {layer!r} was not called once for each image; leave it out of layers")
        fields = (None if field[0] is None else torch.cat(field) for field in list(zip(*batches, strict=True))[:4])
        joined[layer] = Aliasing(*fields, batches[0].size, batches[0].stride)
    if not joined:
        raise ValueError("no layer that down-samples was called; use the model's own forward pass")
    return joined
