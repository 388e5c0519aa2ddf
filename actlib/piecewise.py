"""A network with ReLU and max-pooling as what it is: affine within each region of its input space.

The steps of an exact copy are run one after the other with affine functions in place of numbers. At each gate, a ReLU
or a max-pooling, one says which of its pieces each function goes through.
"""

import copy
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from actlib import assembly
from actlib.families import State, push, repeated
from actlib.gates import Gate, Pattern, choose, pass_through
from actlib.names import layer_names
from actlib.steps import Step

# Numbers of the widest value that are held at a time.
_VALUES = 2**24


class Piecewise:
    """A copy of a network as steps; ``trace`` makes it.

    Attributes
    ----------
    gates
        In the order of execution.
    shape, output_shape
        Of one sample.
    dtype, device
        In which and where it computes.
    """

    def __init__(self, steps: list[Step], output: int, shape: tuple[int, ...], like: Tensor):
        self.steps, self.output, self.shape = steps, output, shape
        self.dtype, self.device = like.dtype, like.device
        shapes = [shape, *(step.shape for step in steps)]
        self.output_shape = shapes[output]
        self.gates: dict[str, Gate] = {}
        for step in steps:
            if step.kind != "affine":
                before, windows = shapes[step.inputs[0]], step.windows
                windows = None if windows is None else windows.to(self.device)
                gate = Gate(step.path, step.kind, step.shape, before, math.prod(step.shape), step.slope, windows)
                self.gates[step.path] = gate
        # How many steps come before the first gate: what they do to directions all samples share.
        self.n_shared = next((k for k, step in enumerate(steps) if step.kind != "affine"), len(steps))
        # The last step that needs each value.
        self._needed = {place: k for k, step in enumerate(steps) for place in step.inputs} | {output: len(steps)}

    def __call__(self, x: Tensor) -> Tensor:
        """Return the outputs of samples ``(b, *shape)``."""
        with torch.no_grad():
            return assembly.run(self.steps, self.output, self.points(x))

    def points(self, x: Tensor) -> Tensor:
        """Return samples in the dtype of the network and on its device.

        Raises
        ------
        ValueError
            If their shape is not ``(b, *shape)`` or they are not finite.
        """
        if x.ndim != len(self.shape) + 1 or tuple(x.shape[1:]) != self.shape or len(x) == 0:
            raise ValueError(f"x has shape {tuple(x.shape)}; give samples (b, {', '.join(map(str, self.shape))})")
        if not x.isfinite().all():
            raise ValueError("x holds NaN or infinity; repair or leave out these samples")
        return x.detach().to(self.device, self.dtype)

    @torch.no_grad()
    def pattern(self, x: Tensor) -> Pattern:
        """Return the pattern of samples ``(b, *shape)``."""
        x = self.points(x)
        widest = max(math.prod(step.shape) for step in self.steps) if self.steps else 1
        parts = [self.run(block)[1] for block in x.split(max(1, _VALUES // widest))]
        return Pattern({name: torch.cat([part[name] for part in parts]) for name in self.gates})

    def run(
        self,
        x: Tensor,
        *,
        until: int | None = None,
        choices: Mapping[str, Tensor] | None = None,
        watch: Callable[[Gate, Tensor], None] | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return one value of samples ``(b, *shape)`` and the choices on the way to it.

        Parameters
        ----------
        x
            As ``points`` gives it.
        until
            The place of the value, see ``place``; None: the output.
        choices
            To be taken in place of the samples' own: the affine map of another region.
        watch
            Is called with each gate and what enters it.
        """
        until = self.output if until is None else until
        values, made = {0: x}, {}
        for k, step in enumerate(self.steps[:until]):
            inputs = repeated([values[place] for place in step.inputs])
            if step.kind == "affine":
                values[k + 1] = step.apply(*inputs)
            else:
                if watch is not None:
                    watch(self.gates[step.path], inputs[0])
                if choices is None:
                    made[step.path], values[k + 1] = choose(step, inputs[0])
                else:
                    made[step.path] = choices[step.path]
                    values[k + 1] = pass_through(step, made[step.path], inputs[0])
            for place in {place for place in step.inputs if self._needed[place] == k and place != until}:
                del values[place]
        return values[until], made

    def push(
        self, values: dict[int, Tensor], choices: Mapping[str, Tensor], first: int, *, until: int
    ) -> dict[int, Tensor]:
        """Push directions (b or 1, m, ...), by their places, through the steps from ``first`` up to a value.

        The choices are known, and no constant is carried along. The wanted value is among those returned.
        """
        for k, step in enumerate(self.steps[first:until], first):
            inputs = [values[place] for place in step.inputs]
            if step.kind == "affine":
                values[k + 1] = push(step, inputs)
            else:
                values[k + 1] = pass_through(step, choices[step.path][:, None], inputs[0])
            for place in {place for place in step.inputs if self._needed[place] == k and place != until}:
                del values[place]
        return values

    def select(self, gates: Iterable[str] | None = None) -> list[str]:
        """Return the names of some gates in the order of execution, None: all; ValueError if there is no such one."""
        wanted = set(self.gates) if gates is None else {gates} if isinstance(gates, str) else set(gates)
        if unknown := wanted - set(self.gates):
            raise ValueError(f"there is no gate {sorted(unknown)}; choose of {list(self.gates)}")
        return [name for name in self.gates if name in wanted]

    def shape_of(self, place: int) -> tuple[int, ...]:
        """Return the shape of one value, of one sample."""
        return self.steps[place - 1].shape if place > 0 else self.shape

    def place(self, layer: str | None) -> int:
        """Return which value a layer stands for: what enters a gate, what leaves an affine layer, or the output.

        Raises
        ------
        ValueError
            If there is none, or it is an affine one that is called twice.
        """
        if layer is None:
            return self.output
        if layer in self.gates:
            return next(step.inputs[0] for step in self.steps if step.path == layer)
        found = [k for k, step in enumerate(self.steps, 1) if step.path == layer]
        if len(found) != 1:
            names = [step.path for step in self.steps]
            raise ValueError(
                f"layer {layer!r} stands for {len(found)} values; choose one of {names}, or None: the output"
            )
        return found[0]

    def start(self, constant: Tensor, directions: Tensor) -> State:
        """Return the state of families x0 + sum of t_i d_i before the first step.

        Parameters
        ----------
        constant
            x0, ``(b, *shape)``.
        directions
            d, ``(b, m, *shape)``, or ``(1, m, *shape)`` if all have the same: then what comes before the first gate is
            computed once.
        """
        constant = self.points(constant)
        if tuple(directions.shape[2:]) != self.shape or len(directions) not in (1, len(constant)):
            raise ValueError(f"directions have shape {tuple(directions.shape)}; give (b, m, *{self.shape})")
        return State(constant, directions.detach().to(self.device, self.dtype))

    @torch.no_grad()
    def advance(self, state: State) -> Gate | None:
        """Run up to the next gate, which the state then shows, and return it; None at the end."""
        while state.place < len(self.steps):
            step = self.steps[state.place]
            if step.kind != "affine":
                state.step, state.gate, state.shown = step, self.gates[step.path], step.inputs[0]
                return state.gate
            parts = [state.values[place] for place in step.inputs]
            given = [part[0] for part in parts]
            constant = step.apply(*given) if step.constant is None else step.push(*given) + step.constant
            state.values[state.place + 1] = constant, push(step, [part[1] for part in parts])
            state.place += 1
            self._forget(state)
        state.shown = self.output
        return None

    def _forget(self, state: State) -> None:
        """Drop the values that no further step needs."""
        for place in [p for p in state.values if self._needed.get(p, -1) < state.place]:
            del state.values[place]


def trace(
    model: nn.Module, shape: Sequence[int], *, dtype: torch.dtype = torch.float64, device: torch.device | None = None
) -> Piecewise:
    """Return a copy of a network as steps that can be followed exactly.

    Parameters
    ----------
    model
        In eval mode, of ReLU, LeakyReLU, max-pooling and affine operations; reused modules, functions and sums too. It
        is left as it is.
    shape
        Of one sample: (c, h, w) or (d,).
    dtype
        Of the copy; in float32 units near a boundary may be taken for others.
    device
        Of the copy; None: where the model is, or the CPU where that has no float64.

    Raises
    ------
    ValueError
        If an operation cannot be followed (the message names its path and what is allowed), a weight is not finite, or
        the model takes no such samples.

    Warns
    -----
    UserWarning
        If the device of the model has no float64 and the copy is made on the CPU.
    """
    layer_names(model)  # refuses what is compiled or TorchScript
    tensors = [*model.named_parameters(), *model.named_buffers()]
    if bad := [name for name, value in tensors if value.is_floating_point() and not value.isfinite().all()]:
        raise ValueError(f"weights hold NaN or infinity: {bad}; such a network has no regions")
    device = torch.device(device) if device is not None else next((value.device for _, value in tensors), "cpu")
    if torch.device(device).type == "mps" and dtype == torch.float64:
        warnings.warn("this device has no float64; the exact copy is on the CPU", stacklevel=2)
        device = torch.device("cpu")
    shape, exact = tuple(shape), copy.deepcopy(model).to(device, dtype).requires_grad_(False)
    like = torch.empty(0, dtype=dtype, device=device)
    steps, output = assembly.take_apart(exact, shape, like)
    return Piecewise(steps, output, shape, like)
