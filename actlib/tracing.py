"""One forward pass of a network, followed with torch.fx.

Each operation is computed while it is followed, so that shapes are known and a network may ask for them; a network
that asks for values is refused.
"""

import traceback
from operator import attrgetter
from typing import Any

import jaxtyping
import torch
from torch import Tensor, fx, nn

from actlib import steps


class Proxy(fx.Proxy):
    """Stands for a value whose shape is known."""

    @property
    def value(self) -> Any:
        """What it stands for."""
        return self.tracer.values[self.node]

    shape = property(lambda self: self.value.shape)
    ndim = property(lambda self: self.value.ndim)
    dtype = property(lambda self: self.value.dtype)
    device = property(lambda self: self.value.device)
    mT = property(lambda self: self.transpose(-2, -1))

    def size(self, dim: int | None = None) -> Any:
        """Return the shape, or the size of one axis."""
        return self.value.size() if dim is None else self.value.size(dim)

    def dim(self) -> int:
        """Return the number of axes."""
        return self.value.dim()

    def numel(self) -> int:
        """Return how many numbers it has."""
        return self.value.numel()

    def __len__(self) -> int:
        return len(self.value)


class _Root(nn.Module):
    """The network as a part, so that it may take further arguments that have defaults."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class Tracer(fx.Tracer):
    """Follows a forward pass, computes it on the way, and notes its calls."""

    def __init__(self, example: Tensor):
        super().__init__()
        self.example = example
        self.values: dict[fx.Node, Any] = {}
        self.calls: list[tuple[str, Any, fx.Node]] = []

    def proxy(self, node: fx.Node) -> Proxy:
        """Return what stands for the value of a node."""
        return Proxy(node, self)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict) -> Any:
        """Return an attribute of a module: a parameter is a number like any other."""
        return attr_val

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        """Say whether a module is one operation."""
        return module.__module__.startswith("torch.nn") and not isinstance(module, nn.Sequential)

    def create_proxy(self, kind: str, target: Any, args: tuple, kwargs: dict, *rest, **options) -> Proxy:
        """Note one call and compute it."""
        proxy = super().create_proxy(kind, target, args, kwargs, *rest, **options)
        node, path = proxy.node, self.scope.module_path.removeprefix("model").removeprefix(".")
        if kind == "placeholder":
            self.values[node] = self.example
        elif kind != "output":
            operation = self.root.get_submodule(target) if kind == "call_module" else target
            if kind == "call_module":
                path = target.removeprefix("model").removeprefix(".")
                steps.check_module(path, operation)
            self.values[node] = self.compute(kind, operation, node)
            self.calls.append((path, operation, node))
        return proxy

    def compute(self, kind: str, operation: Any, node: fx.Node) -> Any:
        """Return the result of one call."""
        args, kwargs = (fx.node.map_arg(part, self.look_up) for part in (node.args, node.kwargs))
        if kind == "call_method":
            return getattr(args[0], operation)(*args[1:], **kwargs)
        return (operation.forward if kind == "call_module" else operation)(*args, **kwargs)

    def look_up(self, node: fx.Node) -> Any:
        """Return the value of a node; a constant of the network is found by its name."""
        if node not in self.values:
            self.values[node] = attrgetter(node.target)(self.root)
        return self.values[node]


@torch.no_grad()
def follow(model: nn.Module, example: Tensor) -> tuple[Tracer, fx.Node]:
    """Return what was noted of one forward pass of a few samples, and the node of the output.

    Raises
    ------
    ValueError
        If a module cannot be followed, values decide what is computed, or they leave PyTorch: the line is quoted.
    """
    tracer, checked = Tracer(example), jaxtyping.config.jaxtyping_disable
    # A model whose shapes are checked would not take a proxy for a tensor.
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        graph = tracer.trace(_Root(model))
    except fx.proxy.TraceError as error:
        raise ValueError(
            f"{type(model).__name__} decides by values what it computes{_place(error)}; "
            "exact regions need the same operations for every image"
        ) from error
    except TypeError as error:
        raise ValueError(
            f"{type(model).__name__} cannot be followed{_place(error)} ({error}); "
            "compute with PyTorch's functions on tensors alone, without float(), .item() or NumPy"
        ) from error
    finally:
        jaxtyping.config.update("jaxtyping_disable", checked)
    return tracer, next(node for node in reversed(graph.nodes) if node.op == "output").args[0]


def _place(error: Exception) -> str:
    """Return the line of the network that led to an error: the last call outside of PyTorch and this package."""
    ours = ("torch.", "actlib.")
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    lines = [
        summary.line
        for frame, summary in zip(frames, traceback.extract_tb(error.__traceback__), strict=True)
        if not f"{frame.f_globals.get('__name__')}.".startswith(ours)
    ]
    return f", in {lines[-1]!r}" if lines and lines[-1] else ""
