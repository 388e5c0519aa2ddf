"""A network taken apart into steps: the calls of one forward pass, each as one operation that is affine or a gate."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrize

from actlib import steps, tracing
from actlib.steps import Step

# Samples of the forward pass that is followed.
_PROBE = 2


@torch.no_grad()
def take_apart(model: nn.Module, shape: tuple[int, ...], like: Tensor) -> tuple[list[Step], int]:
    """Return the steps of a network for samples of ``shape``, and which value is the output.

    Parameters
    ----------
    model
        In eval mode, its parameters finite and of the dtype to compute in; re-parametrised weights are made plain, in
        place: give a copy.
    shape
        Of one sample.
    like
        A tensor of the dtype to compute in, on the device of the model.

    Raises
    ------
    ValueError
        If an operation cannot be followed, the message names its path; or if the model takes no such samples.
    """
    for module in [module for module in model.modules() if parametrize.is_parametrized(module)]:
        _make_plain(module)
    generator = torch.Generator().manual_seed(0)
    example = torch.rand(_PROBE, *shape, generator=generator, dtype=torch.float64).to(like)
    try:
        expected = model(example.clone())
    except (RuntimeError, TypeError, IndexError) as error:
        raise ValueError(f"the model takes no samples of shape {shape}: {error}") from error
    if not isinstance(expected, Tensor):
        raise ValueError(f"the model gives a {type(expected).__name__}; wrap it so that it gives one tensor")
    tracer, last = tracing.follow(model, example.clone())
    found = _Assembly(tracer, {name for name, _ in model.named_modules(remove_duplicate=False)})
    output = found.places[found.now(last)]
    for part in (example, example[:1]):
        _compare(run(found.steps, output, part.clone()), expected[: len(part)])
    return found.steps, output


def _make_plain(module: nn.Module) -> None:
    """Replace re-parametrised weights by their values, in place.

    PyTorch's ``remove_parametrizations`` would change the class, which a copy shares with the original.
    """
    values = {name: getattr(module, name).detach() for name in module.parametrizations}
    del module._modules["parametrizations"]
    module.__class__ = type(module).__bases__[0]
    for name, value in values.items():
        setattr(module, name, nn.Parameter(value, requires_grad=False))


def run(listed: list[Step], output: int, x: Tensor) -> Tensor:
    """Return the output of steps one after the other."""
    values = [x]
    for step in listed:
        values.append(step.apply(*(values[place] for place in step.inputs)))
    return values[output]


def _compare(found: Tensor, expected: Tensor) -> None:
    """Raise ValueError if the steps do not do what the model does."""
    slack = 1e-9 if expected.dtype == torch.float64 else 1e-3
    if found.shape != expected.shape or not (found - expected).abs().max() <= slack * (1 + expected.abs().max()):
        raise ValueError(
            "the steps that were followed do not give the model's output: an operation mixes samples, works in place "
            "on a view, or a hook changes a layer; rewrite it with operations that return new tensors"
        )


class _Assembly:
    """Turns the calls that were noted into steps."""

    def __init__(self, tracer: tracing.Tracer, names: set[str]):
        self.values, self.look_up, self.names = tracer.values, tracer.look_up, names
        self.steps: list[Step] = []
        self.places = {node: 0 for node, value in self.values.items() if node.op == "placeholder"}
        self.renamed: dict[fx.Node, fx.Node] = {}
        self.counts: dict[str, int] = {}
        for path, operation, node in tracer.calls:
            self.add(path, operation, node)

    def now(self, node: fx.Node) -> fx.Node:
        """Return what holds the value of a node now that operations in place have run."""
        while node in self.renamed:
            node = self.renamed[node]
        return node

    def add(self, path: str, operation: Any, node: fx.Node) -> None:
        """Turn one call into a step."""
        sources = [self.now(source) for source in node.all_input_nodes]
        live = list(dict.fromkeys(source for source in sources if source in self.places))
        if not live:
            return  # a constant
        name, value = steps.label(operation), self.values[node]
        if not isinstance(operation, nn.Module):
            if operation is getattr:
                raise steps.refuse(path, f"the attribute .{node.args[1]} of a value")
            path = f"{path}.{name.strip('_')}".removeprefix(".")
            uses: list[fx.Node] = []
            fx.node.map_arg((node.args, node.kwargs), uses.append)
            steps.check_function(path, name, sum(self.now(source) in live for source in uses))
        if not isinstance(value, Tensor) or value.ndim == 0 or len(value) != _PROBE:
            raise steps.refuse(path, f"{name} that loses the axis of samples or gives no tensor")
        before, after = [tuple(self.values[source].shape[1:]) for source in live], tuple(value.shape[1:])
        inputs = [self.places[source] for source in live]
        step = steps.gate(path, operation, _options(name, node), inputs[0], before[0], after)
        if step is not None:
            self.put(node, replace(step, path=self.number(path)))
        elif steps.does_nothing(operation):
            if self.now(node.args[0]) not in live:
                return  # a constant that takes the type of a value
            if name == "dropout" and _options(name, node).get("training", True):
                raise steps.refuse(path, "dropout() that is not switched off in eval mode")
            self.places[node] = inputs[0]
        else:
            call, linear = self.closures(operation, path, node, live)
            self.put(node, steps.affine(path, operation, call, linear, inputs, before, after, value))
        for source in live:
            if value is self.values[source]:  # in place, or the identity: from now on the one is the other
                self.renamed[source] = node

    def put(self, node: fx.Node, step: Step) -> None:
        """Add a step that gives the value of a node."""
        self.steps.append(step)
        self.places[node] = len(self.steps)

    def number(self, path: str) -> str:
        """Return the name of a gate; what is called again is numbered, by the rule of ``capture``."""
        n_before = self.counts.get(path, 0)
        self.counts[path] = n_before + 1
        joint, name = "_", path
        while n_before and (name := f"{path}{joint}{n_before}") in self.names:
            joint += "_"
        return name

    def closures(
        self, operation: Any, path: str, node: fx.Node, live: list[fx.Node]
    ) -> tuple[Callable[..., Tensor], Callable[..., Tensor] | None]:
        """Return one call as a function of its live values, and its linear part where it is known."""
        name = steps.label(operation)
        if isinstance(operation, nn.Module):
            return operation.forward, None
        if "div" in name and not (isinstance(node.args[0], fx.Node) and self.now(node.args[0]) in live):
            raise steps.refuse(path, "division by a value")
        slots = {source: live.index(now) for source in node.all_input_nodes if (now := self.now(source)) in live}
        if node.op != "call_method" and not node.kwargs and node.args == tuple(slots):
            return operation, operation if steps.is_sum(name) else None
        constants = {n: _one_sample(self.look_up(n), self.values[node]) for n in node.all_input_nodes if n not in slots}
        spread = name.startswith(("cat", "concat", "stack"))
        call = _closure(operation, node, slots, constants, spread=spread)
        if not steps.is_sum(name):
            return call, None
        zeros = {n: torch.zeros_like(c) if isinstance(c, Tensor) else 0 for n, c in constants.items()}
        return call, _closure(operation, node, slots, zeros, zero=True)


def _options(name: str, node: fx.Node) -> dict[str, Any]:
    """Return the options of a function by their names."""
    if node.op == "call_module":
        return {}
    if "leaky" in name:
        order = ["input", "negative_slope", "inplace"]
    elif "dropout" in name:
        order = ["input", "p", "training", "inplace"]
    else:
        order = ["input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"]
    options = dict(zip(order, node.args, strict=False)) | node.kwargs
    return {key: value for key, value in options.items() if key != "input"}


def _one_sample(constant: Any, result: Tensor) -> Any:
    """Return a constant without copies of itself for each sample of the probe."""
    if isinstance(constant, Tensor) and constant.ndim == result.ndim > 1 and len(constant) == _PROBE:
        return constant[:1]
    return constant


def _closure(
    operation: Any, node: fx.Node, slots: dict[fx.Node, int], constants: dict[fx.Node, Any],
    *, spread: bool = False, zero: bool = False,
) -> Callable[..., Tensor]:  # fmt: skip
    """Return one call as a function of its live values."""

    def call(*values: Tensor) -> Tensor:
        def fill(source: fx.Node) -> Any:
            if source in slots:
                return values[slots[source]]
            constant = constants[source]
            return constant.expand(len(values[0]), *constant.shape[1:]) if spread else constant

        args, kwargs = (fx.node.map_arg(part, fill) for part in (node.args, node.kwargs))
        if zero:
            args = tuple(0 if isinstance(a, int | float) else a for a in args)
        return (
            getattr(args[0], operation)(*args[1:], **kwargs) if node.op == "call_method" else operation(*args, **kwargs)
        )

    return call
