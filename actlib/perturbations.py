"""What noise does to a network's logits: noisy copies of many images, for one network or a population of LeNets.

The first layers are affine up to the first ReLU, so what they make of noisy copies is what they make of the image plus
what they make of the noise, and noise that all images share goes through them once. The rest sees copies in blocks
that fit the cache. A ReLU and the max-pooling after it change places; neither changes a result but by rounding.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn
from tqdm import tqdm

from actlib.inputs import Normalize
from actlib.members import Population, members

__all__ = ["Noise", "totals"]

# Copies that are drawn and run together. A multiple of 16: then PyTorch's normal numbers are those of one large draw.
_BLOCK = 1024
# Copies in one forward pass, and of these in one step of the first pooling, which handles four times as many values:
# on a CPU what its caches hold, on a GPU what keeps it busy.
_ROWS = {"cpu": 1024, "cuda": 1 << 16}
_SLICE = {"cpu": 256, "cuda": 1 << 16}
_AFFINE = (Normalize, nn.Identity, nn.Flatten, nn.Conv2d, nn.Linear)


class Noise(NamedTuple):
    """Normal noise and how it is shared.

    Attributes
    ----------
    kind
        ``"common"``: one set of copies for all networks and images. ``"independent"``: new ones for each pair.
    sigma
        Standard deviation, in units of a pixel's value.
    generator
        On the CPU or where the images are. With ``"common"`` its next draws are those of one ``torch.randn`` of all
        copies of one image, however many images and networks there are.
    """

    kind: Literal["common", "independent"]
    sigma: float | int
    generator: torch.Generator


@torch.no_grad()
def totals(
    population: Population,
    images: Float[Tensor, "n c h w"],
    rows: Sequence[Tensor],
    statistic: Callable[[Tensor, Tensor], Tensor],
    noise: Noise,
    n_copies: int,
    *,
    progress: bool = False,
) -> Float64[Tensor, " p"]:
    """Return the sum of a statistic over the noisy copies of each pair of a network and an image.

    No more than one block of copies is in memory at a time, however many there are.

    Parameters
    ----------
    population
        One network or stacked parameters.
    images
        As ``models.prepare`` gives them.
    rows
        For each network the numbers (g,) of its images; the pairs are in this order.
    statistic
        From clean logits (g, k) and noisy ones (b, g, k) to a value (b, g) for each copy.
    noise
        What is added; nothing is clipped.
    n_copies
        Noisy copies of each image.
    progress
        Show a bar where the output is a terminal.
    """
    n_pairs = sum(map(len, rows))
    sums = torch.zeros(n_pairs, dtype=torch.float64, device=images.device)
    with tqdm(total=n_copies * n_pairs, unit="copy", unit_scale=True, disable=None if progress else True) as bar:
        for start in range(0, n_copies, _BLOCK):
            b, first = min(_BLOCK, n_copies - start), 0
            shared = _draw(noise, b, images[:1]) if noise.kind == "common" else None
            for member, own in zip(members(population, images), rows, strict=True):
                for clean, noisy in _logits(_split(member), images, own, shared, noise, b):
                    pairs = slice(first, first := first + len(clean))
                    sums[pairs] += statistic(clean, noisy).sum(0, dtype=torch.float64)
                    bar.update(b * len(clean))
    return sums


def _draw(noise: Noise, b: int, images: Tensor) -> Tensor:
    """Return standard normal noise for b copies of each of the images: (b g c h w)."""
    shape = (b, *images.shape)
    device = noise.generator.device
    return torch.randn(shape, generator=noise.generator, device=device, dtype=images.dtype).to(images.device)


class _Split(NamedTuple):
    """A network as an affine beginning, whether a ReLU and 2x2 max-pooling come next, and what is left."""

    head: Callable[[Tensor], Tensor]
    pools: bool
    tail: Callable[[Tensor], Tensor]


def _split(model: nn.Module) -> _Split:
    """Return the parts of a network; of one that is no plain sequence of layers, all is the rest."""
    layers = list(model) if type(model) is nn.Sequential else [model]
    n_affine = next((k for k, layer in enumerate(layers) if type(layer) not in _AFFINE), len(layers))
    head, tail = nn.Sequential(*layers[:n_affine]), layers[n_affine:]
    pools = n_affine > 0 and _pools(tail)
    steps, k = [], 2 * pools
    while k < len(tail):
        steps.append(_pool if _pools(tail[k:]) else tail[k])
        k += 2 if steps[-1] is _pool else 1
    return _Split(head, pools, lambda rows: reduce(lambda value, step: step(value), steps, rows))


def _pools(layers: Sequence[nn.Module]) -> bool:
    """Say whether a sequence begins with a ReLU and 2x2 max-pooling."""
    return len(layers) > 1 and type(layers[0]) is nn.ReLU and _halves(layers[1])


def _pool(rows: Tensor) -> Tensor:
    """Return what a ReLU and 2x2 max-pooling give, with whole rows of channels compared at a time."""
    if rows.ndim != 4:
        return torch.relu(nn.functional.max_pool2d(rows, 2))
    h, w = (n // 2 * 2 for n in rows.shape[2:])
    tall = torch.maximum(rows[:, :, 0:h:2], rows[:, :, 1:h:2])
    return torch.maximum(tall[..., 0:w:2], tall[..., 1:w:2]).relu_()


def _halves(layer: nn.Module) -> bool:
    """Say whether a layer is 2x2 max-pooling and nothing more."""
    options = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    expected = [(2, 2), (2, 2), (0, 0), (1, 1), (False, False), (False, False)]
    return type(layer) is nn.MaxPool2d and expected == [
        value if isinstance(value := getattr(layer, name), tuple) else (value, value) for name in options
    ]


def _logits(
    network: _Split, images: Tensor, own: Tensor, shared: Tensor | None, noise: Noise, b: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield, group by group of a network's images, clean logits (g k) and noisy ones (b g k)."""
    offset = network.head(torch.zeros_like(images[:1]))
    shape = offset.shape[1:]
    moved = None if shared is None else _moved(network, shared, offset)
    size = max(1, _ROWS.get(images.device.type, _ROWS["cpu"]) // b)
    for part in own.split(max(size, _BLOCK)):
        still = _phases(network, network.head(images[part]))
        clean = _finish(network, _pooled(network, still), shape)
        for at in torch.arange(len(part)).split(size):
            drift = _moved(network, _draw(noise, b, images[part[at]]), offset) if moved is None else moved
            yield clean[at], _copies(network, still[:, None, at], drift, shape, noise.sigma)


def _moved(network: _Split, noise: Tensor, offset: Tensor) -> Tensor:
    """Return what the affine beginning makes of noise (b g c h w), as phases (f b g d)."""
    made = network.head(noise.flatten(0, 1)) - offset
    return _phases(network, made).unflatten(1, noise.shape[:2])


def _phases(network: _Split, values: Tensor) -> Tensor:
    """Return values (r c h w) as those f that pooling takes the largest of: (f r d), the channels last; else f = 1."""
    if values.ndim != 4:
        return values.flatten(1)[None]
    if not network.pools:
        return values.permute(0, 2, 3, 1).flatten(1)[None]
    h, w = (n // 2 * 2 for n in values.shape[2:])
    corners = [values[:, :, i:h:2, j:w:2].permute(0, 2, 3, 1).flatten(1) for i in (0, 1) for j in (0, 1)]
    return torch.stack(corners)


def _copies(network: _Split, still: Tensor, drift: Tensor, shape: torch.Size, sigma: float | int) -> Tensor:
    """Return the logits (b g k) of noisy copies from both parts as phases (f 1 g d) and (f b 1 d) or (f b g d)."""
    b, g = drift.shape[1], still.shape[2]
    rows = still.new_empty(b, g, still.shape[3])
    n = max(1, _SLICE.get(rows.device.type, _SLICE["cpu"]) // g)
    scratch = still.new_empty(len(still), min(n, b), *rows.shape[1:])
    for k in range(0, b, n):
        part = scratch[:, : b - k]
        torch.add(still, drift[:, k : k + n], alpha=sigma, out=part)
        torch.amax(part, 0, out=rows[k : k + n])
    if network.pools:
        rows.relu_()
    return _finish(network, rows.flatten(0, 1), shape).unflatten(0, (b, g))


def _pooled(network: _Split, phases: Tensor) -> Tensor:
    """Return values (r d) after the first ReLU and pooling, or as they are, from phases (f r d)."""
    return phases.amax(0).relu_() if network.pools else phases[0]


def _finish(network: _Split, rows: Tensor, shape: torch.Size) -> Tensor:
    """Return the logits (r k) from values (r d) that the affine beginning gives in a ``shape``, pooled or not."""
    if len(shape) == 3:
        size = [n // 2 if network.pools else n for n in shape[1:]]
        rows = rows.unflatten(1, (*size, shape[0])).permute(0, 3, 1, 2)
    return network.tail(rows)
