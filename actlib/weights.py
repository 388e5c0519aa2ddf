"""Files of network weights: our own, safe to read and checked whole, and published ones, found but never fetched."""

import difflib
import json
import re
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import safetensors.torch
import torch
from torch import Tensor, nn

from actlib import store
from actlib.inputs import Normalize

# Networks whose published weights expect other options than their builder's defaults.
_OPTIONS = {name: {"transform_input": True, "init_weights": False} for name in ("googlenet", "inception_v3")}


def save(path: str | Path, state: dict[str, Tensor], about: dict[str, Any]) -> Path:
    """Write tensors and what to know of them to a safetensors file, atomically, and return its path.

    Parameters
    ----------
    path
        The file; its folder is made.
    state
        Named tensors, of any device; they are stored as they lie on the CPU.
    about
        What JSON can say; it goes into the file's header, with a hash of the tensors.

    Raises
    ------
    OSError
        If the disk has no room for it; an older file is then as it was.
    """
    state = _apart({name: value.detach().cpu().contiguous() for name, value in state.items()})
    header = {"about": json.dumps(about, allow_nan=False), "sha256": _digest(state)}
    return store.write_bytes(path, safetensors.torch.save(state, header))


def _apart(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors of which no two lie in the same memory: safetensors refuses those."""
    seen: set[int] = set()
    apart = {}
    for name, value in state.items():
        place = value.untyped_storage().data_ptr()
        apart[name] = value.clone() if place in seen else value
        seen.add(place)
    return apart


def load(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors, on the CPU, and the ``about`` of a file that ``save`` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is truncated, changed or not one of ours; the message names it.
    """
    state, about, digest = _read(path, tensors=True)
    if digest != _digest(state):
        raise ValueError(f"{path} is damaged: its content is not what was written")
    return state, about


def load_about(path: str | Path) -> dict[str, Any]:
    """Return the ``about`` of a file that ``save`` wrote, from its header alone: the tensors are not looked at.

    Errors as ``load``; a file that was cut short is seen, a changed tensor is not.
    """
    return _read(path, tensors=False)[1]


def _read(path: str | Path, *, tensors: bool) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    """Return the tensors of a file, if they are asked for, its ``about``, and the hash that its tensors should have."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} does not exist")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header, names = file.metadata(), file.keys() if tensors else ()
            state = {name: file.get_tensor(name) for name in names}
        return state, json.loads(header["about"]), header["sha256"]
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged or foreign ({error})") from error


def _digest(state: dict[str, Tensor]) -> str:
    """Return one hash of the names, dtypes, shapes and bytes of contiguous tensors on the CPU."""
    parts = []
    for name in sorted(state):
        value = state[name]
        parts += [f"{name} {value.dtype} {tuple(value.shape)}", value.reshape(-1).view(torch.uint8).numpy().tobytes()]
    return store.hash_bytes(*parts)


def find(names: Sequence[str], *, root: str | Path | None = None, remedy: str) -> Path:
    """Return the first file of these names in ``weights`` under the data root or in torch hub's cache.

    Raises
    ------
    FileNotFoundError
        If there is none; the message gives the names, both folders and ``remedy``, the way to get one.
    """
    folders = [store.data_root(root) / "weights", Path(torch.hub.get_dir()) / "checkpoints"]
    for path in (folder / name for folder in folders for name in names):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"no file {' or '.join(names)} in {' or '.join(map(str, folders))}; nothing is downloaded here: {remedy}"
    )


def read(path: str | Path) -> Any:
    """Return the content of a published PyTorch file, loaded without running code from it.

    The file's name must end in the first digits of its SHA-256, as in ``alexnet-owt-7be5be79.pth``.

    Raises
    ------
    ValueError
        If the content is not the one that the name promises, or not plain weights; the message names the file.
    """
    promised = re.search(r"-([0-9a-f]{8,})\.\w+$", Path(path).name)
    if promised is None:
        raise ValueError(f"{path} carries no hash in its name; keep the name it was published under")
    found = store.hash_file(path)
    if not found.startswith(promised[1]):
        raise ValueError(
            f"{path} is truncated or another file: its SHA-256 begins with {found[:8]}, not {promised[1]}; "
            "fetch it again"
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load has no one error for a file that is not plain weights
        raise ValueError(
            f"{path} is no file of plain weights ({type(error).__name__}); get the published one"
        ) from error


@torch.no_grad()
def fill(model: nn.Module, state: Any, path: str | Path) -> nn.Module:
    """Copy a state dictionary from ``path`` into ``model``, all of it, and return the model.

    Counters of batches may be missing, as in files from before PyTorch 0.4.1.

    Raises
    ------
    ValueError
        If a name or a shape differs; the message names the file and the first three differences.
    """
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} holds no dictionary of tensors; give that of a network's state_dict()")
    own = model.state_dict()
    faults = [f"{k} is missing" for k in own if k not in state and not k.endswith("num_batches_tracked")]
    faults += [f"{k} is not in the network" for k in state if k not in own]
    faults += [
        f"{k} is {tuple(state[k].shape)} and not {tuple(own[k].shape)}"
        for k in own
        if k in state and state[k].shape != own[k].shape
    ]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise ValueError(f"{path} does not fit {type(model).__name__}: {'; '.join(faults[:3])}{more}")
    model.load_state_dict(own | state)
    return model


def imagenet(name: str, *, root: str | Path | None = None) -> nn.Sequential:
    """Return a classification network of torchvision with ImageNet weights from a file that is already there.

    Parameters
    ----------
    name
        As in ``torchvision.models``: ``"alexnet"``, ``"resnet152"`` and so on.
    root
        The data root; its folder ``weights`` is searched first, torch hub's cache next.

    Returns
    -------
    nn.Sequential
        ``normalize`` and ``network``, in eval mode, for float images in [0, 1]. No module works in place.

    Raises
    ------
    ValueError
        If torchvision has no such network, or the file is truncated, foreign or does not fit.
    FileNotFoundError
        If there is no file; the message says which names were looked for, where, and how to get one.
    """
    import torchvision  # here: it takes longer to import than all the rest

    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        raise ValueError(f"unknown network {name!r}; torchvision's nearest names are {near}")
    entries = {Path(urlsplit(entry.url).path).name: entry for entry in torchvision.models.get_model_weights(name)}
    path = find(
        list(entries), root=root, remedy=f"torchvision.models.get_model({name!r}, weights='DEFAULT') fetches one"
    )
    with torch.random.fork_rng(devices=[]):  # the first weights are thrown away
        network = torchvision.models.get_model(name, weights=None, **_OPTIONS.get(name, {}))
    # DenseNet's files are from before module names could have no dots.
    state = {re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", k): v for k, v in read(path).items()}
    fill(network, state, path)
    for module in network.modules():
        if getattr(module, "inplace", False):
            module.inplace = False
    preset = entries[path.name].transforms()
    return nn.Sequential(OrderedDict(normalize=Normalize(preset.mean, preset.std), network=network)).eval()
