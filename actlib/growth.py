"""The cells of segments or planes, gate after gate of a network, while they are cut: see ``segments`` and ``slices``.

Within a cell, the values that enter the next gate are affine functions. The cells of a block are pushed through the
network together and cut; a block of the parts goes on at once, before the rest, so that few cells are held with their
values.
"""

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64, Shaped
from numpy import ndarray
from torch import Tensor

from actlib.bits import Packed, pack, unpack
from actlib.families import State
from actlib.gates import Gate, Pattern
from actlib.piecewise import Piecewise
from actlib.subdivision import Cells

# Bytes that the values of a block of cells may take, and cells in it at most.
_BLOCK_BYTES, _BLOCK = 2**25, 2**14
# The least that is made room for, in rows.
_ROWS = 2**12


class Level(NamedTuple):
    """The cells of all gates up to one: those of the gate before, each cut by the units of this one.

    Attributes
    ----------
    gate
        Of the network.
    parents
        (c), the cell of the level before that each is part of, or 0 at the first.
    choices
        Of this gate in each cell: packed bits for a ReLU, for max-pooling places in the input plane (c, units).
    """

    gate: Gate
    parents: Int64[ndarray, " c"]
    choices: Packed | Shaped[ndarray, "c u"]

    def at(self, index: Int64[ndarray, " n"]) -> Shaped[Tensor, "n ..."]:
        """Return the choices in some cells, in the form of ``piecewise.Pattern``."""
        if isinstance(self.choices, Packed):
            found = unpack(self.choices.words[index], self.choices.n_bits)
        else:
            found = self.choices[index].astype(np.int64)
        return torch.from_numpy(found).view(len(index), *self.gate.shape)

    def of(self, unit: int) -> Shaped[ndarray, " c"]:
        """Return the choices of one unit, counted in the flat layer, in all cells."""
        if isinstance(self.choices, Packed):
            return (self.choices.words[:, unit // 64] >> np.uint64(unit % 64) & np.uint64(1)).astype(bool)
        return self.choices[:, unit]


class Rows:
    """Arrays joined along their first axis as they come.

    They are copied into one that grows: kept one by one, between the large arrays of the work, they would leave holes
    that cannot be used again, and a million cells would take 5 GB.
    """

    def __init__(self):
        self.n, self.kept = 0, None

    def add(self, part: Shaped[ndarray, "n ..."]) -> None:
        """Take in another array, of the same shape behind the first axis."""
        n_room = 0 if self.kept is None else len(self.kept)
        if self.kept is None or self.n + len(part) > n_room:
            grown = np.empty((max(2 * n_room, self.n + len(part), _ROWS), *part.shape[1:]), part.dtype)
            grown[: self.n] = self.joined() if self.n else 0
            self.kept = grown
        self.kept[self.n : self.n + len(part)] = part
        self.n += len(part)

    def joined(self) -> Shaped[ndarray, "n ..."]:
        """Return all of them, without a copy."""
        return np.zeros(0) if self.kept is None else self.kept[: self.n]


class Growth:
    """Cells cut by the gates of a network up to the ``last``, ``most`` of them.

    Parameters
    ----------
    network
        In float64.
    state
        Of the families that the first cells lie in, one each.
    cut
        Called with a gate, its number, the values that enter it as flat functions, cells and the size of a block,
        yields ``Cells``: the parts, whose parts they are, and what is chosen in each: bits, or candidates of windows.
    last
        The gate to end at, or None.
    most
        Allowed cells.
    """

    def __init__(self, network: Piecewise, state: State, cut: Callable[..., Iterator], last: str | None, most: int):
        self.network, self.state, self.cut, self.last, self.most = network, state, cut, last, most
        names = list(network.gates)
        self.gates = names[: names.index(last) + 1] if last else names
        widest = max([1, *(math.prod(gate.before) + gate.n_units for gate in network.gates.values())])
        n_functions = 1 + state.directions.shape[1]
        self.n_block = min(max(_BLOCK_BYTES // (8 * 4 * n_functions * widest), 1), _BLOCK)
        self.parents = {name: Rows() for name in self.gates}
        self.choices = {name: Rows() for name in self.gates}

    def run(self, cells: Any) -> Iterator[tuple[Any, tuple[ndarray, ndarray] | None]]:
        """Yield the final cells in blocks, with the constants and directions of the outputs, None at a gate."""
        depth = [iter([(self.state, cells, np.arange(len(self.state.constant)))])]
        while depth:
            if (block := next(depth[-1], None)) is None:
                depth.pop()
                continue
            state, cells, places = block
            if len(depth) <= len(self.gates):
                depth.append(self._cut(state, self.network.advance(state), cells, places))
            elif state is None:
                yield cells, None
            else:
                assert self.network.advance(state) is None, "a gate is left"
                shape, (constant, directions) = self.network.output_shape, functions(state)
                yield cells, (constant.reshape(-1, *shape), directions.reshape(*directions.shape[:2], *shape))

    def levels(self) -> dict[str, Level]:
        """Return what was found at each gate."""
        levels = {}
        for name in self.gates:
            gate, choices = self.network.gates[name], self.choices[name].joined()
            choices = Packed(choices, gate.n_units) if gate.kind == "relu" else choices
            levels[name] = Level(gate, self.parents[name].joined(), choices)
        return levels

    def _cut(self, state: State, gate: Gate, cells: Any, places: ndarray) -> Iterator[tuple]:
        """Yield the parts of cells at a gate in blocks, each with a state of its own."""
        for part in self.cut(gate, self.gates.index(gate.name), functions(state), cells, self.n_block):
            start = self.parents[gate.name].n
            if start + len(part.parents) > self.most:
                raise ValueError(f"more than most = {self.most:,} regions; give a smaller window or a larger most")
            choices = part.choices if gate.kind == "relu" else _in_plane(gate, part)
            self.parents[gate.name].add(places[part.parents])
            self.choices[gate.name].add(pack(choices).words if gate.kind == "relu" else choices)
            behind = None if gate.name == self.last else _behind(state, gate, part, choices)
            yield behind, part.cells, np.arange(start, start + len(part.parents))


def check(network: Piecewise, last: str | None) -> None:
    """Raise ValueError if a network is not exact or has no such gate."""
    if network.dtype != torch.float64:
        raise ValueError(f"the network is in {network.dtype}; trace it in float64, which regions need")
    if last is not None and last not in network.gates:
        raise ValueError(f"unknown gate {last!r}; the network has {list(network.gates)}")


def ancestors(levels: dict[str, Level], n: int) -> Int64[ndarray, "n g"]:
    """Return the cell of each level that each of the n final cells is part of."""
    found = [np.arange(n)]
    for level in list(levels.values())[:0:-1]:
        found.append(level.parents[found[-1]])
    return np.stack(found[::-1], axis=1)[:, : len(levels)]


def pattern(levels: dict[str, Level], rows: Int64[ndarray, "n g"]) -> Pattern:
    """Return the pattern of some final cells, given by their ancestors."""
    return Pattern({name: level.at(rows[:, at]) for at, (name, level) in enumerate(levels.items())})


def functions(state: State) -> tuple[Float64[ndarray, "b v"], Float64[ndarray, "b m v"]]:
    """Return the values that a state shows, flat, as arrays."""
    constant, directions = state.constant.flatten(1).cpu().numpy(), state.directions.flatten(2).cpu().numpy()
    return constant, np.broadcast_to(directions, (len(constant), *directions.shape[1:]))


def table(gate: Gate) -> Int64[ndarray, "n k"]:
    """Return the flat places of the candidates of each window of max-pooling, -1 where there is none."""
    windows, n_planes = gate.windows.cpu().numpy(), gate.before[0]
    places = np.arange(n_planes)[:, None, None] * math.prod(gate.before[1:]) + windows
    return np.where(windows < 0, -1, places).reshape(-1, windows.shape[1])


def _in_plane(gate: Gate, part: Cells) -> Shaped[ndarray, "p n"]:
    """Return choices among the candidates of a window as places in the input plane, in few bytes."""
    windows = gate.windows.cpu().numpy()
    places = windows[np.arange(gate.n_units) % len(windows), part.choices]
    return places.astype(np.min_scalar_type(math.prod(gate.before[1:])))


def _behind(state: State, gate: Gate, part: Cells, choices: ndarray) -> State:
    """Return the state of the parts behind the gate; that of the cells stays as it is."""
    state = copy.copy(state)
    state.take(torch.from_numpy(part.parents).to(state.constant.device))
    wanted = torch.from_numpy(choices if gate.kind == "relu" else choices.astype(np.int64))
    state.resolve(wanted.view(-1, *gate.shape).to(state.constant.device))
    return state
