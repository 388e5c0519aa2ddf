"""The layers of a network by name: which there are, and what to say of a name that is none.

A layer is a module. A ReLU that a network calls as a function (``torch.relu``, ``F.relu``) is none and cannot be seen.
"""

import warnings
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import torch
from torch import nn

__all__ = ["find", "first_name", "layer_names"]


def layer_names(model: nn.Module, kinds: type[nn.Module] | tuple[type[nn.Module], ...] | None = None) -> list[str]:
    """Return the dotted names of the modules inside ``model`` in the order of their definition.

    A module that is registered under several names has the first. ``overview`` lists them as they are executed.

    Parameters
    ----------
    model
        Any network.
    kinds
        Only modules of this type, or of one of these types; None is every module, containers too.

    Warns
    -----
    UserWarning
        If ``nn.ReLU`` is asked for and there is none: the network may call ReLU as a function.

    Examples
    --------
    >>> layer_names(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), nn.ReLU)
    ['1']
    """
    _require_hooks(model)
    found = {name: module for name, module in model.named_modules() if name}
    names = [name for name, module in found.items() if kinds is None or isinstance(module, kinds)]
    if not names and kinds is not None and nn.ReLU in (kinds if isinstance(kinds, tuple) else (kinds,)):
        warnings.warn(
            f"{type(model).__name__} has no nn.ReLU; one called as a function cannot be seen: make it a module",
            stacklevel=2,
        )
    return names


def find(model: nn.Module, layers: Iterable[str]) -> dict[str, nn.Module]:
    """Return the modules called ``layers`` by name, each once, in the order given.

    Raises
    ------
    ValueError
        If ``layers`` is a string or empty, a name is unknown, two are of the same module, or a layer lies in a part
        whose hooks would not run: compiled, a DataParallel, or TorchScript.
    """
    if isinstance(layers, str):
        raise ValueError(f"layers = {layers!r} is one name; give a list: [{layers!r}]")
    found = {name: _reach(model, name) for name in layers}
    if not found:
        raise ValueError("no layers are selected; layer_names(model) lists them (a ReLU called as a function is none)")
    if len(set(found.values())) < len(found):
        raise ValueError(
            f"of the layers {list(found)} some are the same module; give one of its names: {_shared(found)}"
        )
    return found


def first_name(model: nn.Module, name: str) -> str:
    """Return the first of the names of the module that is called ``name``."""
    wanted = model.get_submodule(name)
    return next(other for other, module in model.named_modules() if module is wanted)


def _reach(model: nn.Module, name: str) -> nn.Module:
    """Return one module by name. Walks down to it alone: to list all modules takes longer than a small forward pass."""
    module = model
    _require_hooks(module)
    for part in name.split(".") if isinstance(name, str) else [None]:
        module = module._modules.get(part)
        if module is None:
            raise ValueError(_unknown(model, name))
        _require_hooks(module)
    return module


def _require_hooks(module: nn.Module) -> None:
    """Raise ValueError if a module does not run hooks that are set on it or on its parts."""
    kind = type(module).__name__
    if module._compiled_call_impl is not None or "_orig_mod" in module._modules:
        remedy = "use the plain model (after torch.compile: model._orig_mod)"
        raise ValueError(f"{kind} is compiled, and compiled code ignores hooks that are set later; {remedy}")
    if isinstance(module, nn.DataParallel):
        raise ValueError(
            f"{kind} runs copies that would overwrite each other's values; use the model in it, model.module"
        )
    if isinstance(module, torch.jit.ScriptModule):
        raise ValueError(f"{kind} is TorchScript, which runs no hooks; use the model that it was made from")


def _shared(found: dict[str, nn.Module]) -> list[str]:
    """Return the names whose module has another name too."""
    modules = list(found.values())
    return [name for name, module in found.items() if modules.count(module) > 1]


def _unknown(model: nn.Module, name: Any) -> str:
    """Return what to say about a name that is none."""
    names = [other for other, _ in model.named_modules() if other]
    nearest = get_close_matches(str(name), names, n=3, cutoff=0)
    listed = f"the nearest names are {nearest}" if nearest else f"{type(model).__name__} has no modules inside"
    return f"unknown layer {name!r}; {listed}; layer_names(model) lists all {len(names)}"
