"""Affine families of inputs on their way through a piecewise linear network."""

from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from actlib.gates import Gate, decide, pass_through
from actlib.steps import Step


class State:
    """How far some families of inputs have got: x0 + sum of t_i d_i, each through pieces of its own.

    Attributes
    ----------
    gate
        At which it waits, or None before the first and at the end.
    constant, directions
        There, or at the end: ``(b, *shape)`` and ``(b, m, *shape)``, or ``(1, m, *shape)`` as long as all share them.
    """

    def __init__(self, constant: Tensor, directions: Tensor):
        self.values: dict[int, tuple[Tensor, Tensor]] = {0: (constant, directions)}
        self.place = 0  # how many steps are done
        self.step: Step | None = None
        self.gate: Gate | None = None
        self.shown = 0  # the value shown

    @property
    def constant(self) -> Float[Tensor, "b ..."]:
        """The values at t = 0."""
        return self.values[self.shown][0]

    @property
    def directions(self) -> Float[Tensor, "b m ..."]:
        """How they grow with each t."""
        return self.values[self.shown][1]

    def take(self, index: Int64[Tensor, " c"]) -> None:
        """Repeat or choose families: all that is still needed of them is gathered."""
        self.values = {
            place: (constant[index], directions if len(directions) == 1 else directions[index])
            for place, (constant, directions) in self.values.items()
        }

    def decide(self) -> Shaped[Tensor, "b ..."]:
        """Return what the gate chooses at t = 0."""
        return decide(self.gate, self.constant)

    def resolve(self, choices: Shaped[Tensor, "b ..."]) -> None:
        """Send each family through the piece that ``choices`` name, as ``Pattern`` holds them, and go on."""
        if self.gate is None:
            raise ValueError("no gate waits here; call network.advance(state) first")
        constant, directions = self.values[self.shown]
        done = pass_through(self.step, choices, constant), pass_through(self.step, choices[:, None], directions)
        self.place += 1
        self.values[self.place] = done
        self.step = self.gate = None


def push(step: Step, directions: list[Tensor]) -> Tensor:
    """Return the linear part of an affine step applied to directions (b or 1, m, ...)."""
    parts = repeated(directions)
    return step.push(*(part.flatten(0, 1) for part in parts)).unflatten(0, (len(parts[0]), -1))


def repeated(values: list[Tensor]) -> list[Tensor]:
    """Return values of b samples each, of which some stand for all samples and have one."""
    b = max(map(len, values))
    return [value if len(value) == b else value.expand(b, *value.shape[1:]) for value in values]
