"""Blocks that watch or change a network for a while and leave it as it was.

The only module that sets hooks. Whatever a block did is undone at its end, after an exception too.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from actlib.names import find, first_name

__all__ = ["edit", "evaluating", "record"]

# None outside of vmap, grad and the like, else how many of them there are around. PyTorch has no public word for it.
_transform_level = torch._C._functorch.maybe_current_level


@contextmanager
def record(
    model: nn.Module,
    layers: Iterable[str],
    keep: Callable[[nn.Module, str, Tensor], Any],
    *,
    inputs: bool = False,
    strict: bool = True,
) -> Iterator[dict[str, Any]]:
    """Yield a dictionary that each forward pass fills with ``keep(module, key, tensor)``, in the order of execution.

    ``keep`` is called the moment a layer has run, before anything can change its output in place. For the keys, the
    second forward pass in the block, and what is refused, see ``capture.capture``.

    Parameters
    ----------
    model, layers, inputs
        As for ``capture.capture``.
    keep
        What to store; what it returns must not share memory with the tensor.
    strict
        Whether a layer that the last forward pass did not call is an error at the end of the block.
    """
    modules = find(model, layers)
    recording = _Recording(model, keep)
    handles = [_register(model._forward_pre_hooks, recording.restart)]
    try:
        for name, module in modules.items():
            if inputs:
                hook = recording.input_hook(name)
                handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))
            else:
                handles.append(_register(module._forward_hooks, recording.output_hook(name)))
        yield recording.kept
        if strict:
            _require_called(modules, recording.calls)
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def edit(model: nn.Module, edits: Mapping[str, Callable[[Any], Any]]) -> Iterator[None]:
    """Send the outputs of some layers through functions of your own during the block.

    The function sees what the layer gives and returns what the network goes on with: of the same shape, dtype and
    device, and for a tuple or dictionary of the same form. It acts at every call of the layer. ``capture`` on an edited
    layer keeps the edited value, whichever block was entered first; of two edits of one layer, the inner acts first.
    All is undone at the end of the block, after an exception too.

    Parameters
    ----------
    model
        Any network.
    edits
        Functions by the names of their layers.

    Raises
    ------
    ValueError
        If a name is unknown, a function returns something of another form, or a layer was never called.

    Examples
    --------
    >>> with edit(model, {"relu1": torch.zeros_like}):
    ...     scores = model(images)
    """
    modules = find(model, edits)
    calls: dict[str, int] = {}
    handles = []
    try:
        for name, module in modules.items():
            # In front of other hooks, so that they see what the network goes on with.
            handles.append(module.register_forward_hook(_editor(name, edits[name], calls), prepend=True))
        yield
        _require_called(modules, calls)
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put every module into eval mode, and each back into its own mode at the end of the block."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _register(hooks: dict[int, Callable], hook: Callable) -> RemovableHandle:
    """Do what ``register_forward_hook`` does, without its options, in a third of its time.

    A block sets and removes hooks for each batch, and on a network of 0.2 ms that time is seen.
    """
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


class _Recording:
    """What the present forward pass has given so far, and the hooks that add to it."""

    def __init__(self, model: nn.Module, keep: Callable[[nn.Module, str, Tensor], Any]):
        self.model = model
        self.keep = keep
        self.kept: dict[str, Any] = {}
        self.calls: dict[str, int] = {}
        self.level = _transform_level()

    def restart(self, *_) -> None:
        """Forget the last forward pass: the hook at the beginning of the next."""
        self.kept.clear()
        self.calls.clear()

    def output_hook(self, name: str) -> Callable:
        """Return the hook that notes what a layer gives."""
        note = self.note
        return lambda module, arguments, output: note(name, module, output)

    def input_hook(self, name: str) -> Callable:
        """Return the hook that notes the arguments of a layer, one that stands alone without its tuple."""

        def hook(module: nn.Module, arguments: tuple, keywords: dict) -> None:
            values = dict(enumerate(arguments)) | keywords
            self.note(name, module, next(iter(values.values())) if len(values) == 1 else values)

        return hook

    def note(self, name: str, module: nn.Module, value: Any) -> None:
        """File the tensors of one call."""
        if _transform_level() != self.level:
            raise RuntimeError(
                f"layer {name!r} was called inside torch.func (vmap, grad, ...), but its capture began outside and "
                "would keep a dead tensor; enter the block inside the mapped function and return the dictionary"
            )
        n_before = self.calls.get(name, 0)
        self.calls[name] = n_before + 1
        stem = self.number(name, n_before) if n_before else name
        if isinstance(value, Tensor):
            self.kept[stem] = self.keep(module, stem, value)
            return
        parts = list(_parts(value))
        if not parts:
            raise ValueError(f"layer {name!r} handles a {type(value).__name__} without any tensor; leave it out")
        for path, tensor in parts:
            key = self.free(stem, ".", path)
            self.kept[key] = self.keep(module, key, tensor)

    def number(self, name: str, n_before: int) -> str:
        """Return the name of a further call."""
        if n_before == 1 and (first := first_name(self.model, name)) != name:
            raise ValueError(f"layer {name!r} is the same module as {first!r}; use that name, its calls are numbered")
        return self.free(name, "_", str(n_before))

    def free(self, stem: str, separator: str, tail: str) -> str:
        """Join stem and tail; the separator is repeated until the name is nobody else's."""
        joint = separator
        while (key := stem + joint + tail) in self.names or key in self.kept:
            joint += separator
        return key

    @cached_property
    def names(self) -> set[str]:
        """All names of the model's modules; a module may have several."""
        return {name for name, _ in self.model.named_modules(remove_duplicate=False)}


def _editor(name: str, function: Callable, calls: dict) -> Callable:
    """Return a hook that replaces a layer's output by ``function`` of it, once its form is checked."""

    def hook(module: nn.Module, arguments: tuple, output: Any) -> Any:
        calls[name] = calls.get(name, 0) + 1
        expected = _form(output)
        try:
            edited = function(output)
        except Exception as error:
            error.add_note(f"in the edit of layer {name!r}, whose output is {expected}")
            raise
        if (found := _form(edited)) != expected:
            raise ValueError(f"the edit of layer {name!r} returned {found}; it must return {expected}")
        return edited

    return hook


def _parts(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors within tuples, lists and dictionaries, with their dotted paths."""
    if isinstance(value, Tensor):
        yield ".".join(path), value
    elif isinstance(value, Mapping | tuple | list):
        for key, part in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _parts(part, (*path, str(key)))


def _form(value: Any) -> str:
    """Describe a value by all that the network relies on: containers, shapes, dtypes, devices."""
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)} on {value.device}"
    if isinstance(value, Mapping | tuple | list):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        return f"{type(value).__name__}({', '.join(f'{key}: {_form(part)}' for key, part in items)})"
    return "None" if value is None else f"a {type(value).__name__}"


def _require_called(modules: Iterable[str], calls: dict[str, int]) -> None:
    """Raise ValueError if a layer was not called."""
    missing = [name for name in modules if name not in calls]
    if missing:
        raise ValueError(
            f"layers {missing} were not called; run the model in the block, and leave out layers that its forward pass "
            "leaves out (some modules use the weights of a part without calling it)"
        )
