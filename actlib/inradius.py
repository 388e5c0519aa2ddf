"""How far a sample is from the boundary of its region: exactly, for three norms.

Within a region every value of the network is affine, so that the region is where finitely many affine functions keep
their sign: the value of each unit before its ReLU, and in each window of max-pooling the lead of the largest over each
other value. The distance to the nearest face is the smallest of value over dual norm of the gradient
(document S6.5; L2 for a ball in L2, L1 for one in L-inf, L-inf for one in L1).
"""

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from actlib.affine import as_piecewise
from actlib.gates import Gate, leads
from actlib.piecewise import Piecewise

# Numbers of directions held at a time.
_VALUES = 2**24
NORMS = ("l2", "l1", "linf")


class Inradius(NamedTuple):
    """The nearest face of each of b samples.

    Attributes
    ----------
    radius
        (b,): the distance, 0 for a sample on a boundary, infinite where there is no face at all.
    gate
        (b,): the place of the gate of the nearest face in ``gates``; -1 where there is none.
    unit
        (b,): the unit of a ReLU, or of max-pooling the window, in the flattened output of the gate.
    rival
        (b,): of max-pooling the place in the input plane that would be largest behind the face; -1 for a ReLU.
    by_gate
        (b, g): the distance to the nearest face of each gate.
    gates
        Their names.
    """

    radius: Float[Tensor, " b"]
    gate: Int64[Tensor, " b"]
    unit: Int64[Tensor, " b"]
    rival: Int64[Tensor, " b"]
    by_gate: Float[Tensor, "b g"]
    gates: tuple[str, ...]


@torch.no_grad()
def inradius(
    model: nn.Module | Piecewise,
    x: Float[Tensor, "b ..."],
    norm: Literal["l2", "l1", "linf"] = "l2",
    *,
    gates: Iterable[str] | None = None,
) -> Inradius:
    """Return the radius of the largest ball around each sample that stays in its region.

    Parameters
    ----------
    model
        A network in eval mode, or what ``piecewise.trace`` made of it.
    x
        ``(b, *shape)``.
    norm
        Of the ball.
    gates
        Whose faces count; None: all. If all gates up to some one count, this is the exact radius in which these keep
        their choices. If earlier ones are left out, their faces are passed through as if the map went on behind them:
        exact only as far as ``by_gate`` of all gates is no smaller.

    Raises
    ------
    ValueError
        As ``piecewise.trace``; if the norm or a gate is unknown, or x is not finite.

    Notes
    -----
    Where a value has fewer numbers than there are directions left, only the triangle of a QR decomposition is pushed on
    for L2: norms of gradients need no more. That saves the factor 3072 / 256 for a network of 256 units a layer.
    """
    if norm not in NORMS:
        raise ValueError(f"norm = {norm!r}; choose one of {NORMS}")
    network = as_piecewise(model, x)
    x, names = network.points(x), network.select(gates)
    plan = _Plan(network, norm, names)
    n_block = max(1, min(len(x), _VALUES // (plan.m * plan.widest)))
    parts = [plan.measure(block) for block in x.split(n_block)]
    by_gate, units, rivals = (torch.cat(part) for part in zip(*parts, strict=True))
    if not names:
        none = torch.full((len(x),), -1, device=x.device)
        return Inradius(torch.full((len(x),), math.inf, dtype=x.dtype), none, none, none, by_gate, ())
    radius, gate = by_gate.min(1)
    unit, rival = (found.gather(1, gate[:, None])[:, 0] for found in (units, rivals))
    lost = radius.isinf()
    return Inradius(radius, *(found.masked_fill(lost, -1) for found in (gate, unit, rival)), by_gate, tuple(names))


class _Plan:
    """What all samples share: what the directions of the input become before the first gate."""

    def __init__(self, network: Piecewise, norm: str, names: list[str]):
        self.network, self.norm, self.names = network, norm, names
        last = max((k for k, step in enumerate(network.steps) if step.path in names), default=0)
        self.until = last + 1
        n = math.prod(network.shape)
        self.n_shared = min(network.n_shared, last)
        rivals = [gate.n_units * gate.windows.shape[1] for gate in network.gates.values() if gate.kind == "max"]
        self.widest = max([n, *rivals, *(math.prod(step.shape) for step in network.steps[:last])])
        # Blocks of directions where one sample has too many; then their norms are added up.
        self.m = max(1, min(n, _VALUES // self.widest))
        basis = torch.eye(n, dtype=network.dtype, device=network.device).unflatten(1, network.shape)
        blocks = basis.split(self.m)
        self.shared = [network.push({0: block[None]}, {}, 0, until=self.n_shared) for block in blocks]
        self.compress = norm == "l2" and len(blocks) == 1
        if self.compress:
            self.shared = [_triangle(self.shared[0])]
            self.m = max(part.shape[1] for part in self.shared[0].values())

    def measure(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return for each sample and gate the distance to the nearest face, its unit and its rival, each (b, g)."""
        values: dict[str, Tensor] = {}
        _, choices = self.network.run(x, watch=lambda gate, z: values.__setitem__(gate.name, z))
        sums: dict[str, Tensor] = {}
        for shared in self.shared:
            self.sweep(dict(shared), choices, sums)
        faces = [
            _nearest(self.network.gates[name], values[name], choices[name], self.finish(sums[name]))
            for name in self.names
        ]
        empty = x.new_zeros(len(x), 0)
        return tuple(torch.stack(part, 1) for part in zip(*faces, strict=True)) if faces else (empty,) * 3

    def sweep(self, directions: dict[int, Tensor], choices: dict[str, Tensor], sums: dict[str, Tensor]) -> None:
        """Push one block of directions through, and add to the norms of the gradients at each gate."""
        first = self.n_shared
        for k in range(first, self.until):
            step = self.network.steps[k]
            if step.path in self.names and step.kind != "affine":
                self.add(step.path, directions[step.inputs[0]], choices[step.path], sums)
            if k + 1 < self.until:
                self.network.push(directions, choices, k, until=k + 1)
                if self.compress:
                    directions.update(_triangle(directions))

    def add(self, name: str, directions: Tensor, choices: Tensor, sums: dict[str, Tensor]) -> None:
        """Add a block of gradients, (b or 1, m, ...), to what is known of one gate."""
        gate = self.network.gates[name]
        relu = gate.kind == "relu"  # where the sign of a gradient does not matter
        parts = directions.flatten(2)[..., None] if relu else leads(gate, choices[:, None], directions)
        if self.norm == "l2":
            norms = parts.square().sum(1)
        else:
            norms = parts.abs().sum(1) if self.norm == "linf" else parts.abs().amax(1)
        if name not in sums:
            sums[name] = norms
        elif self.norm == "l1":
            sums[name] = torch.maximum(sums[name], norms)
        else:
            sums[name] = sums[name] + norms

    def finish(self, sums: Tensor) -> Tensor:
        """Return the norms (b or 1, units, rivals)."""
        return sums.sqrt() if self.norm == "l2" else sums


def _nearest(gate: Gate, values: Tensor, choices: Tensor, norms: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the distance to the nearest face of one gate, its unit and its rival, each (b,)."""
    # A function that no direction changes has no face, even if it is zero: a dead layer, two values that are off, the
    # largest of a window and itself.
    scale = norms.amax(dim=(1, 2), keepdim=True) * 64 * torch.finfo(norms.dtype).eps
    distances = torch.where(norms > scale, leads(gate, choices, values).abs() / norms, math.inf)
    nearest, place = distances.flatten(1).min(1)
    unit, slot = place // distances.shape[2], place % distances.shape[2]
    if gate.kind == "relu":
        return nearest, unit, torch.full_like(unit, -1)
    return nearest, unit, gate.windows[unit % len(gate.windows), slot]


def _triangle(directions: dict[int, Tensor]) -> dict[int, Tensor]:
    """Return directions with the same inner products, but no more of them than there are numbers in the value."""
    if len(directions) != 1:
        return directions
    (place, value), *_ = directions.items()
    n = math.prod(value.shape[2:])
    if 3 * n >= 2 * value.shape[1]:
        return directions
    return {place: torch.linalg.qr(value.flatten(2), mode="r").R.unflatten(2, value.shape[2:])}
