"""A cache of trained networks: what was fitted once is loaded, and a killed or doubled run loses nothing."""

import ast
import functools
import inspect
import re
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import torch
from torch import Tensor, nn

from actlib import inputs, models, preactivation, resnets, store, train, weights


class Fitted(NamedTuple):
    """A trained network in eval mode, its history, whether this call trained it, and its file."""

    model: nn.Module
    history: Any
    fresh: bool
    path: Path


def load_or_fit(
    name: str,
    build: Callable[..., nn.Module],
    images: Tensor,
    labels: Tensor,
    *,
    seed: int,
    fit: Callable[..., Any] = train.fit,
    root: str | Path | None = None,
    **options: Any,
) -> Fitted:
    """Return the network that ``fit`` makes of ``build``, from the cache if the very same was fitted before.

    The file's name holds a hash of all that decides the result: name, options, seed, the images' and labels' content,
    the network, the kind of device, the version of torch, and the code (not comments or docstrings) of this package's
    part in it and of the modules that define ``build`` and ``fit``; in a notebook, of the function alone.

    Parameters
    ----------
    name
        What the file's name begins with: letters, digits, ``_``, ``-`` and dots.
    build
        Called as ``build(generator=generator)``; a function, a class or a ``functools.partial`` of one.
    images, labels
        As ``fit`` takes them. The network is trained where the images are.
    seed
        Of the initial weights, the order and the augmentation.
    fit
        What trains: ``train.fit`` or ``forecasters.fit``, or a function called like them whose annotation says which
        NamedTuple of numbers and lists of numbers it returns; or a ``functools.partial`` of one. What is bound counts
        by its ``repr``; what ``fit`` reads from elsewhere does not count.
    root
        The cache; see ``store.cache_root``. Files lie in its folder ``checkpoints``.
    **options
        Passed to ``fit``.

    Raises
    ------
    ValueError, FloatingPointError
        As ``fit``, or, before training, if ``fit`` does not say what it returns, or the source of ``build`` or ``fit``
        cannot be read.
    OSError
        If the disk has no room; before training where possible.

    Warns
    -----
    UserWarning
        If a file was damaged or foreign: it is made again. A second process waits until the first one has its file.
    """
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(f"name = {name!r} is to begin a file's name; use letters, digits, '_', '-' and dots")
    history_type = _history_type(fit)
    generator = torch.Generator().manual_seed(seed)
    model = build(generator=generator).to(images.device)
    key = _key(name, build, fit, model, images, labels, seed=seed, options=options)
    path = store.cache_root(root) / "checkpoints" / f"{name}-{key[:16]}.safetensors"
    with store.lock(path):
        about = _restored(model, path, key)
        if fresh := about is None:
            store.require_space(path, sum(value.nbytes for value in model.state_dict().values()))
            history = fit(model, images, labels, generator=generator, **options)
            about = {"key": key, "name": name, "seed": seed, "options": options, "history": history._asdict()}
            weights.save(path, model.state_dict(), about)
    return Fitted(model.eval(), history_type(**about["history"]), fresh, path)


def _history_type(fit: Callable[..., Any]) -> type[tuple]:
    """Return the NamedTuple that ``fit`` returns by its annotation, or raise ValueError."""
    function = fit
    while isinstance(function, functools.partial):
        function = function.func
    try:  # an object with a method of its own could hide numbers from the key
        found = get_type_hints(function).get("return") if inspect.isfunction(function) else None
    except (NameError, TypeError) as error:
        raise ValueError(f"cannot read the annotations of fit = {fit!r}: {error}; mend them") from error
    if not (isinstance(found, type) and issubclass(found, tuple) and hasattr(found, "_fields")):
        raise ValueError(
            f"fit = {fit!r} does not say which NamedTuple it returns; give a function annotated as '-> History', with "
            "History a typing.NamedTuple, or a functools.partial of one"
        )
    return found


def _restored(model: nn.Module, path: Path, key: str) -> dict[str, Any] | None:
    """Fill ``model`` from a file and return what it tells, or None, with a warning if the file is of no use."""
    store.remove_leftovers(path.parent, path.name)
    if not path.is_file():
        return None
    try:
        state, about = weights.load(path)
        if not isinstance(about, dict) or about.get("key") != key:
            raise ValueError(f"{path} belongs to another run")
        weights.fill(model, state, path)
    except ValueError as error:
        warnings.warn(f"{error}: fitting again", stacklevel=3)
        return None
    return about


def _key(name, build, fit, model, images, labels, **settings: Any) -> str:
    """Return the hash of all that decides the result of a run."""
    options = {k: v for k, v in settings["options"].items() if k != "progress"}
    shapes = {k: f"{v.dtype} {tuple(v.shape)}" for k, v in model.state_dict().items()}
    content = [store.hash_bytes(part.cpu().numpy().tobytes()) for part in (*images.split(4096), labels)]
    about = [name, options, settings["seed"], str(model), shapes, images.device.type, torch.__version__]
    data = [str(images.dtype), tuple(images.shape), *content]
    package = [code(inspect.getsource(module)) for module in (inputs, models, preactivation, resnets, train)]
    trainer = [] if fit is train.fit else _source("fit", fit)
    return store.hash_json([about, data, *_source("build", build), *package, *trainer])


def _source(role: str, function: Callable[..., Any]) -> list[str]:
    """Return the code behind a function, without comments and docstrings, its name and the arguments bound to it."""
    bound = []
    while isinstance(function, functools.partial):
        bound.append(f"{function.args} {sorted(function.keywords.items())}")
        function = function.func
    module = inspect.getmodule(function)
    # The source of __main__ is a whole script, or in a notebook nothing.
    behind = function if module is None or module.__name__ == "__main__" else module
    try:
        own = inspect.getsource(behind)
    except (OSError, TypeError) as error:
        raise ValueError(
            f"cannot read the source of {role} = {function!r}; define it in a file or a notebook"
        ) from error
    return [*bound, getattr(function, "__qualname__", ""), code(own)]


def code(source: str) -> str:
    """Return a text that changes with the code in ``source`` and not with its comments, docstrings and layout."""
    try:
        tree = ast.parse(textwrap.dedent(source))
    except SyntaxError:  # a lambda inside a call: the lines it stands in are no statement
        return source
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)
