"""What a run was made with: device, versions, the package's own hash."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from actlib import store

_PACKAGES = ["actlib", "torch", "torchvision", "numpy", "scikit-learn", "openTSNE", "matplotlib"]


def device_name(device: torch.device | str) -> str:
    """Return the name of a device: that of the GPU, or ``CPU`` with the number of threads."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{device.type.upper()}, {threads} thread{'s' * (threads > 1)}"


def versions() -> dict[str, str]:
    """Return the versions of Python, of this package and of those that decide its numbers."""
    return {"Python": platform.python_version()} | {name: _version(name) for name in _PACKAGES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def package_hash() -> str:
    """Return the hash of the package's source: file names and contents."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return store.hash_bytes(*(part for path in files for part in (path.name, path.read_bytes())))


def facts(**more: Any) -> dict[str, Any]:
    """Return versions and package hash with ``more`` of the caller's own."""
    return {**more, "versions": versions(), "package_hash": package_hash()}
