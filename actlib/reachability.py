"""Whether a pattern occurs at all: with every choice fixed all values are affine, and a linear programme decides."""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import linprog
from torch import Tensor

from actlib.gates import Gate, Pattern, leads
from actlib.piecewise import Piecewise

# Margins below this share of the values count as none: the tolerance of the solver.
_LEAST = 1e-9


class Reach(NamedTuple):
    """What the linear programme found.

    Attributes
    ----------
    reachable
        Whether some point of the box, with room around it, has the pattern.
    margin
        The largest t with which all units can keep their side at once, z >= t or z <= -t; at most 1. Not above 0 for
        a pattern that nobody can reach; NaN if a choice contradicts the others whatever the input, as a unit that is on
        with no input, or if the box holds no point on the right sides at all.
    point
        Where it is taken, ``(*shape)``, or None.
    verified
        Whether the network itself gives the point this pattern.
    """

    reachable: bool
    margin: float
    point: Float[Tensor, "..."] | None
    verified: bool


@torch.no_grad()
def reach(network: Piecewise, pattern: Pattern, *, box: tuple[float | int, float | int] | None = (0.0, 1.0)) -> Reach:
    """Return whether a pattern can be reached: max t with s_j z_j(x) >= t for all units j and x in the box.

    Parameters
    ----------
    network
        From ``piecewise.trace``.
    pattern
        Of one sample, with every gate: ``network.pattern(x)[:1]``, changed or not. Leave out the last gates to ask for
        a pattern of the first ones alone.
    box
        Lowest and highest value of a pixel; None: the whole space.

    Raises
    ------
    ValueError
        If the pattern is not that of one sample, or its gates are not the first of the network.
    RuntimeError
        If the solver fails.
    """
    names = list(network.gates)[: len(pattern.choices)]
    if set(names) != set(pattern.choices) or len(pattern) != 1:
        raise ValueError(
            f"a pattern of {len(pattern)} samples at {list(pattern.choices)}; give one sample's, pattern[:1], at the "
            f"first gates of {list(network.gates)}"
        )
    for name in names:
        _check(network.gates[name], pattern.choices[name])
    slopes, offsets, closed = _faces(network, pattern, names)
    fixed = np.abs(slopes).max(1, initial=0) <= 64 * np.finfo(float).eps * max(1, np.abs(slopes).max(initial=0))
    if (fixed & ~((offsets > 0) | (closed & (offsets == 0)))).any():
        return Reach(False, math.nan, None, False)
    return _solve(network, pattern, slopes[~fixed], offsets[~fixed], box)


def _check(gate: Gate, choices: Tensor) -> None:
    """Raise ValueError if choices do not fit a gate."""
    kind = torch.bool if gate.kind == "relu" else torch.int64
    if tuple(choices.shape[1:]) != gate.shape or choices.dtype != kind:
        raise ValueError(f"gate {gate.name!r}: {choices.dtype} {tuple(choices.shape)}; give {kind} (1, *{gate.shape})")
    if gate.kind == "max" and not (choices.flatten(2)[..., None] == gate.windows).any(-1).all():
        raise ValueError(f"gate {gate.name!r}: a choice lies outside of its window; take choices of network.pattern")


def _faces(network: Piecewise, pattern: Pattern, names: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return all conditions slope x + offset >= 0 of a pattern, (q, d) and (q,), and which hold at 0 too."""
    n = math.prod(network.shape)
    origin = torch.zeros(1, *network.shape, dtype=network.dtype)
    basis = torch.eye(n, dtype=network.dtype).reshape(1, n, *network.shape)
    state, slopes, offsets, closed = network.start(origin, basis), [], [], []
    for name in names:
        gate, choices = network.advance(state), pattern.choices[name]
        offsets.append(leads(gate, choices, state.constant).flatten())
        slopes.append(leads(gate, choices, state.directions[0]).flatten(1).T)
        closed.append(_closed(gate, choices))
        state.resolve(choices)
    return tuple(torch.cat(part).cpu().numpy() for part in (slopes, offsets, closed))


def _closed(gate: Gate, choices: Tensor) -> Tensor:
    """Return which conditions of a gate hold on their boundary: of a unit that is off, of the first of equal values."""
    if gate.kind == "relu":
        return ~choices.flatten()
    k = gate.windows.shape[1]
    slot = (choices.flatten(2)[..., None] == gate.windows).double().argmax(-1, keepdim=True)
    first = (torch.arange(k, device=slot.device) >= slot) | (gate.windows < 0)
    return first.flatten()


def _solve(
    network: Piecewise,
    pattern: Pattern,
    slopes: np.ndarray,
    offsets: np.ndarray,
    box: tuple[float | int, float | int] | None,
) -> Reach:
    """Return the solution of the linear programme."""
    n = math.prod(network.shape)
    # Unknowns: x and t. As -slope x + t <= offset.
    conditions = np.concatenate([-slopes, np.ones((len(slopes), 1))], 1)
    bounds = [box or (None, None)] * n + [(None, 1)]
    found = linprog(np.r_[np.zeros(n), -1], conditions if len(slopes) else None, offsets if len(slopes) else None,
                    bounds=bounds, method="highs")  # fmt: skip
    if found.status == 2:
        return Reach(False, math.nan, None, False)
    if found.x is None:
        raise RuntimeError(f"the linear programme was not solved: {found.message}")
    margin, scale = found.x[-1], max(1.0, np.abs(offsets).max(initial=0))
    point = torch.from_numpy(found.x[:-1]).reshape(network.shape)
    if margin <= _LEAST * scale:
        return Reach(False, float(margin), None, False)
    verified = bool(network.pattern(point[None]).same(pattern, list(pattern.choices))[0])
    return Reach(True, float(margin), point, verified)
