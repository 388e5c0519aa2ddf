"""The gates of a piecewise linear network, and what samples choose at them: their patterns.

A gate is a ReLU, where a unit is on above 0, or a max-pooling, where each window passes on its largest value. With
max-pooling equal bits of the ReLUs alone do not make the same region: which value was the largest belongs to it.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int64, Shaped
from torch import Tensor

from actlib.bits import Packed, pack
from actlib.steps import Step


class Gate(NamedTuple):
    """One ReLU or max-pooling of a network.

    Attributes
    ----------
    name
        The path of its module, or of the module that calls it and the function; called again it is numbered.
    kind
        "relu" (also LeakyReLU) or "max".
    shape
        Of its choices for one sample: bits of a ReLU, places in the input plane of max-pooling.
    before
        The shape of what enters it.
    n_units
        How many choices.
    slope
        What a unit that is off is multiplied by.
    windows
        Of max-pooling: the places in the flattened input plane that each place of the flattened output plane chooses
        from, (p, k), -1 where a window leaves the plane. None for a ReLU.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    before: tuple[int, ...]
    n_units: int
    slope: float
    windows: Int64[Tensor, "p k"] | None


class Pattern(NamedTuple):
    """What each of n samples chooses at each gate, by the name of the gate: together they name its region.

    Attributes
    ----------
    choices
        bool (n, ...) for a ReLU, True where the value is above 0; int64 (n, c, ...) for max-pooling, the place in the
        flattened input plane that is the largest; of equal ones the first.
    """

    choices: dict[str, Shaped[Tensor, "n ..."]]

    def __len__(self) -> int:
        return len(next(iter(self.choices.values()), ()))

    def __getitem__(self, index) -> "Pattern":
        """Return the patterns of some samples; ``index`` is a slice, a mask or a tensor of places."""
        return Pattern({name: choice[index] for name, choice in self.choices.items()})

    def same(self, other: "Pattern", gates: Iterable[str] | None = None) -> Bool[Tensor, " n"]:
        """Say which samples have the pattern of their partner in ``other`` (n samples, or one for all).

        ``gates`` restricts the comparison to some of them.
        """
        names = list(self.choices if gates is None else gates)
        rows = [(self.choices[name] == other.choices[name]).flatten(1).all(1) for name in names]
        return torch.stack(rows).all(0)

    def ids(self) -> Int64[Tensor, " n"]:
        """Return a number for each sample, equal where the whole pattern is equal: 0, 1, ... in the order of words."""
        rows = [choice.flatten(1).long() for choice in self.choices.values()]
        return torch.unique(torch.cat(rows, 1), dim=0, return_inverse=True)[1]

    def packed(self, gates: Iterable[str] | None = None) -> Packed:
        """Return the bits of the ReLUs as words, without the choices of max-pooling."""
        names = list(self.choices if gates is None else gates)
        rows = [self.choices[name].flatten(1) for name in names if self.choices[name].dtype == torch.bool]
        return pack(torch.cat(rows, 1))


def pass_through(step: Step, choices: Tensor, values: Tensor) -> Tensor:
    """Return what the chosen pieces of a gate make of values, which have its shape behind some leading axes."""
    if step.kind == "relu":
        if step.slope == 0:
            return values * choices.to(values.dtype)  # converted before it is repeated: four times as fast
        return torch.where(choices, values, values * step.slope)
    n_axes = len(step.shape) - 1
    flat, places = values.flatten(-n_axes), choices.flatten(-n_axes)
    shape = torch.broadcast_shapes(flat.shape[:-1], places.shape[:-1])
    found = flat.expand(*shape, -1).gather(-1, places.expand(*shape, -1))
    return found.unflatten(-1, step.shape[1:])


def decide(gate: Gate, values: Shaped[Tensor, "n ..."]) -> Shaped[Tensor, "n ..."]:
    """Return what a gate chooses for values ``(n, *gate.before)``: bits of a ReLU, places of max-pooling."""
    if gate.kind == "relu":
        return values > 0
    windows = gate.windows
    first = in_windows(gate, values).masked_fill(windows < 0, -math.inf).argmax(-1)
    places = windows[torch.arange(len(windows), device=windows.device), first]
    return places.unflatten(-1, gate.shape[1:])


def choose(step: Step, values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the choices of a gate for samples, and what comes out of it."""
    if step.kind == "relu":
        return values > 0, step.apply(values)
    found, places = step.apply(values, return_indices=True)
    return places, found


def pull_back(step: Step, choices: Tensor, gradient: Tensor, before: tuple[int, ...]) -> Tensor:
    """Return the gradient before a gate, ``(..., *before)``, from that behind it: pass_through transposed."""
    if step.kind == "relu":
        return pass_through(step, choices, gradient)
    n_axes = len(step.shape) - 1
    flat, places = gradient.flatten(-n_axes), choices.flatten(-n_axes)
    shape = torch.broadcast_shapes(flat.shape[:-1], places.shape[:-1])
    found = flat.new_zeros(*shape, math.prod(before[1:]))
    # Where windows do not overlap, no place is written twice, but one code is enough.
    found.scatter_add_(-1, places.expand(*shape, -1), flat.expand(*shape, -1))
    return found.unflatten(-1, before[1:])


def in_windows(gate: Gate, values: Tensor) -> Tensor:
    """Return what each window of max-pooling looks at, (..., p, k); outside of the plane stands any value."""
    flat, windows = values.flatten(-len(gate.before) + 1), gate.windows
    return flat.index_select(-1, windows.clamp(min=0).flatten()).unflatten(-1, windows.shape)


def leads(gate: Gate, choices: Tensor, values: Tensor) -> Tensor:
    """Return by how much each choice of a gate leads: linear in the values, and not negative in the region.

    Parameters
    ----------
    gate, choices, values
        Choices ``(..., *gate.shape)`` and values ``(..., *gate.before)``, whose leading axes go together.

    Returns
    -------
    Tensor
        (..., units, rivals): for a ReLU z or -z, with one rival; for max-pooling the largest value of a window minus
        each of the k values of the window. That is 0 for itself and for what lies outside of the plane.
    """
    if gate.kind == "relu":
        return torch.where(choices, values, -values).flatten(-len(gate.before))[..., None]
    n_axes = len(gate.shape) - 1
    flat, places = values.flatten(-n_axes), choices.flatten(-n_axes)
    shape = torch.broadcast_shapes(flat.shape[:-1], places.shape[:-1])
    leader = flat.expand(*shape, -1).gather(-1, places.expand(*shape, -1))
    found = leader[..., None] - in_windows(gate, values)
    return found.masked_fill(gate.windows < 0, 0).flatten(-3, -2)


def n_near(gate: Gate, values: Shaped[Tensor, "n ..."], tolerance: float) -> Int64[Tensor, " n"]:
    """Return how many choices of each sample hang on a difference of at most ``tolerance``."""
    if gate.kind == "relu":
        return (values.abs() <= tolerance).flatten(1).sum(1)
    seen = in_windows(gate, values).masked_fill(gate.windows < 0, -math.inf)
    first = seen.amax(-1, keepdim=True)
    # Of windows where all are off there is nothing to choose: equal zeros all around.
    tied = ((seen >= first - tolerance).sum(-1) > 1) & (first[..., 0] != 0)
    return tied.flatten(1).sum(1)
