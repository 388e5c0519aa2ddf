"""The exact affine map of the region in which a sample lies: f(x) = W x + b for all x of that region.

Any layer has one, from the images to its values. Two ways lead to the same W: gradients of the wanted units are pulled
back through the gates as they stand, all rows of all samples at once, or the directions of the input are pushed forward
in blocks. The first costs as many rows as there are units, the second as many as there are pixels.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from actlib.gates import Pattern, n_near, pull_back
from actlib.piecewise import Piecewise, trace

# Numbers of the widest value held at a time: pulled back they stay near the processor, pushed forward they are many.
_VALUES = 2**18
_FORWARD = 2**22
_HALVINGS = 60


class Maps(NamedTuple):
    """The affine maps of b samples, for k units of one layer.

    Attributes
    ----------
    weight
        W, ``(b, k, *shape)``.
    bias
        b, (b, k): what the frozen network makes of zero, and so no difference to f(x).
    pattern
        Of the samples, up to the layer: the region in which the map holds.
    n_boundary
        (b,): units whose value, and windows whose lead, is at most the tolerance. They may belong to another region
        by a rounding error.
    """

    weight: Float[Tensor, "b k ..."]
    bias: Float[Tensor, "b k"]
    pattern: Pattern
    n_boundary: Int64[Tensor, " b"]

    def __call__(self, x: Float[Tensor, "b ..."]) -> Float[Tensor, "b k"]:
        """Return W x + b of a point for each map."""
        return torch.einsum("bkd,bd->bk", self.weight.flatten(2), x.to(self.weight).flatten(1)) + self.bias


class Check(NamedTuple):
    """How well maps agree with the network at displaced points of the same regions.

    Attributes
    ----------
    residuals
        (b,): the largest difference of W x + b and the network's own value, divided by the largest value; NaN where no
        displaced point was found.
    distances
        (b,): how far off in L2 the points were.
    """

    residuals: Float[Tensor, " b"]
    distances: Float[Tensor, " b"]


def as_piecewise(model: nn.Module | Piecewise, x: Tensor, dtype: torch.dtype = torch.float64) -> Piecewise:
    """Return a network as steps, for samples like x, unless it is already."""
    return model if isinstance(model, Piecewise) else trace(model, tuple(x.shape[1:]), dtype=dtype)


@torch.no_grad()
def maps(
    model: nn.Module | Piecewise,
    x: Float[Tensor, "b ..."],
    layer: str | None = None,
    *,
    units: Sequence[int] | Int64[Tensor, " k"] | None = None,
    mode: Literal["auto", "reverse", "forward"] = "auto",
    dtype: torch.dtype = torch.float64,
    tolerance: float = 1e-6,
) -> Maps:
    """Return the exact affine map of each sample's region.

    Parameters
    ----------
    model
        A network in eval mode, or what ``piecewise.trace`` made of it, which saves time in a loop.
    x
        ``(b, *shape)``.
    layer
        A gate (then its values before), an affine layer, or None: the output.
    units
        Places in the layer's flattened values; None: all.
    mode
        "reverse" pulls units back, "forward" pushes pixels forward, "auto" takes whichever has fewer rows.
    dtype
        float64, or float32 for half the time at some 1e-6; of no use with a traced network, which has its own.
    tolerance
        Below which a value counts as on a boundary.

    Raises
    ------
    ValueError
        As ``piecewise.trace``; if there is no such layer or unit, x is not finite, or the maps are larger than 8 GiB.

    Examples
    --------
    >>> found = maps(model, images)
    >>> found.weight.shape
    torch.Size([32, 10, 1, 28, 28])
    """
    network = as_piecewise(model, x, dtype)
    x, target = network.points(x), network.place(layer)
    width = math.prod(network.shape_of(target))
    units = _units(units, width).to(network.device)
    n_inputs = math.prod(network.shape)
    _check_size(len(x) * len(units) * n_inputs * network.dtype.itemsize)
    if mode == "auto":
        mode = "reverse" if len(units) <= n_inputs else "forward"
    near = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    _, made = network.run(x, until=target, watch=lambda gate, z: near.add_(n_near(gate, z, tolerance)))
    bias = network.run(torch.zeros_like(x[:1]), until=target, choices=made)[0].flatten(1)[:, units]
    rows = {"reverse": _reverse, "forward": _forward}[mode](network, x, made, target, units)
    return Maps(rows.unflatten(2, network.shape), bias.expand(len(x), -1), Pattern(made), near)


def _units(units: Sequence[int] | Tensor | None, width: int) -> Tensor:
    """Return the wanted units, checked."""
    if units is None:
        return torch.arange(width)
    units = torch.as_tensor(units).reshape(-1)
    if len(units) == 0 or units.dtype != torch.int64 or units.min() < 0 or units.max() >= width:
        raise ValueError(f"units = {units.tolist()}; give whole numbers from 0 to {width - 1}")
    return units


def _check_size(n_bytes: int) -> None:
    """Raise ValueError if maps would not fit."""
    if n_bytes > 2**33:
        raise ValueError(
            f"these maps take {n_bytes / 2**30:.1f} GiB, more than 8; give fewer samples or units at a time"
        )


def _reverse(network: Piecewise, x: Tensor, choices: dict[str, Tensor], target: int, units: Tensor) -> Tensor:
    """Return the rows (b, k, d), pulled back from the units."""
    found = x.new_empty(len(x), len(units), math.prod(network.shape))
    widest = max([found.shape[2], *(math.prod(step.shape) for step in network.steps[:target])])
    n_rows = max(1, _VALUES // widest)
    b = min(len(x), max(1, n_rows // len(units)))
    for first in range(0, len(x), b):
        part = {name: choice[first : first + b] for name, choice in choices.items()}
        for k in range(0, len(units), n_rows):
            rows = _pull(network, part, target, units[k : k + n_rows])
            found[first : first + b, k : k + n_rows] = rows.flatten(2)
    return found


def _pull(network: Piecewise, choices: dict[str, Tensor], target: int, units: Tensor) -> Tensor:
    """Return the gradients of units with respect to the input: ``(b, k, *shape)``, or ``(1, k, *shape)``."""
    shape = network.shape_of(target)
    start = torch.zeros(1, len(units), math.prod(shape), dtype=network.dtype, device=network.device)
    start[0, torch.arange(len(units)), units] = 1
    gradients = {target: start.unflatten(2, shape)}
    for k in reversed(range(target)):
        step = network.steps[k]
        g = gradients.pop(k + 1, None)
        if g is None:
            continue
        if step.kind == "affine":
            parts = [part.unflatten(0, g.shape[:2]) for part in step.pull(g.flatten(0, 1))]
        else:
            parts = [pull_back(step, choices[step.path][:, None], g, network.shape_of(step.inputs[0]))]
        for place, part in zip(step.inputs, parts, strict=True):
            gradients[place] = part if place not in gradients else gradients[place] + part
    return gradients.get(0, start.new_zeros(1, len(units), *network.shape))


def _forward(network: Piecewise, x: Tensor, choices: dict[str, Tensor], target: int, units: Tensor) -> Tensor:
    """Return the rows (b, k, d), from directions that are pushed forward."""
    n, width = math.prod(network.shape), math.prod(network.shape_of(target))
    every = torch.equal(units, torch.arange(width, device=units.device))
    # A column after the other, as they come; the rows are a view, which spares a copy as long as the pushing itself.
    found = x.new_empty(len(x), n, len(units))
    widest = max([n, *(math.prod(step.shape) for step in network.steps[:target])])
    m = min(n, max(1, _FORWARD // widest))
    b, first_gate = max(1, _FORWARD // widest // m), min(network.n_shared, target)
    basis = torch.eye(n, dtype=network.dtype, device=network.device)
    for start in range(0, n, m):
        directions = basis[None, start : start + m].unflatten(2, network.shape)
        shared = network.push({0: directions}, {}, 0, until=first_gate)
        for first in range(0, len(x), b):
            part = {name: choice[first : first + b] for name, choice in choices.items()}
            columns = network.push(dict(shared), part, first_gate, until=target)[target].flatten(2)
            columns = columns if every else columns[..., units]
            found[first : first + b, start : start + m] = columns
    return found.mT


@torch.no_grad()
def verify(
    model: nn.Module | Piecewise,
    found: Maps,
    x: Float[Tensor, "b ..."],
    layer: str | None = None,
    *,
    units: Sequence[int] | Int64[Tensor, " k"] | None = None,
    step: float = 1.0,
    generator: torch.Generator | None = None,
) -> Check:
    """Check maps at points some way off in the same regions; at x itself the check would say little.

    From each sample a random step of length ``step`` is halved until the pattern stays. After 60 halvings, as for a
    sample on a boundary, the residual is NaN.

    Parameters
    ----------
    model, x, layer, units
        As for ``maps``, which gave ``found``.
    step, generator
        Length of the first step, in L2, and the source of the directions, on the CPU.

    Raises
    ------
    ValueError
        As ``maps``, and if ``found`` is of other samples or units.
    """
    network = as_piecewise(model, x, found.weight.dtype)
    x, target = network.points(x), network.place(layer)
    units, ones = _units(units, math.prod(network.shape_of(target))).to(network.device), [1] * (x.ndim - 1)
    if (len(found.weight), found.weight.shape[1]) != (len(x), len(units)):
        raise ValueError(
            f"{tuple(found.weight.shape[:2])} maps for {len(x)} samples and {len(units)} units; give those of maps"
        )
    direction = torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x)
    direction /= direction.flatten(1).norm(dim=1).reshape(-1, *ones)
    length, waiting = x.new_full((len(x),), step), x.new_ones(len(x), dtype=torch.bool)
    for _ in range(_HALVINGS):
        moved = x + direction * length.reshape(-1, *ones)
        values, made = network.run(moved, until=target)
        waiting = ~Pattern(made).same(found.pattern) if made else torch.zeros_like(waiting)
        if not waiting.any():
            break
        length = torch.where(waiting, length / 2, length)
    values = values.flatten(1)[:, units]
    residuals = (found(moved) - values).abs().amax(1) / values.abs().amax(1).clamp(min=1e-300)
    return Check(residuals.masked_fill(waiting, math.nan), length.masked_fill(waiting, math.nan))
