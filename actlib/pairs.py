"""Pairs of a network and an image on disk: the last four layers' outputs and the labels, for the meta-network (M3)."""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor
from tqdm import tqdm

from actlib import __version__, robustness, store
from actlib.capture import capture
from actlib.members import Population, members, n_members, prepared
from actlib.robustness import Selection

__all__ = ["Pairs", "Plan", "plan", "read", "write"]

# The document's names of the layers, and where ``models.lenet5`` has them: fc1 and fc2 count after their ReLU.
LAYERS = {"pool2": "pool2", "fc1": "relu3", "fc2": "relu4", "fc3": "fc3"}
_CONTENT = "pairs"
# Images of one network in one forward pass.
_BATCH = 1024
# So many pairs may contradict their selection: rounding can turn a tie.
_TIES = 0.01


class Plan(NamedTuple):
    """What ``write`` will put on the disk.

    Attributes
    ----------
    n_models, n_pairs
        How many networks and pairs.
    arrays
        Shape and dtype of each array.
    """

    n_models: int
    n_pairs: int
    arrays: dict[str, tuple[tuple[int, ...], str]]

    def n_bytes(self) -> int:
        """Return the size of all arrays."""
        return sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in self.arrays.values())

    def __str__(self) -> str:
        return f"{self.n_pairs:,} pairs of {self.n_models:,} networks, {self.n_bytes() / 2**20:,.1f} MiB"


class Pairs(NamedTuple):
    """The arrays of p pairs, read-only memory maps.

    Attributes
    ----------
    pool2, fc1, fc2, fc3
        (p, 256), (p, 120) and (p, 84) after the ReLU, (p, 10) logits; float32.
    ratio
        (p,): the share of noisy copies with the prediction of the clean image; float32.
    type
        (p,): 1 for a right prediction, 0 for a wrong one.
    ground, predicted
        (p,): the class of the image and the class that the network gives.
    model, image
        (p,): the numbers of the network and of the image.
    about
        How they were made.
    """

    pool2: np.ndarray
    fc1: np.ndarray
    fc2: np.ndarray
    fc3: np.ndarray
    ratio: np.ndarray
    type: np.ndarray
    ground: np.ndarray
    predicted: np.ndarray
    model: np.ndarray
    image: np.ndarray
    about: dict[str, Any]


def plan(population: Population, images: Tensor, selection: Selection) -> Plan:
    """Return what the pairs of a selection will take, before any of the work; ``print`` it.

    Raises
    ------
    ValueError
        If the selection is empty, or images or networks do not fit.
    """
    m, p = n_members(population), len(selection.image)
    selection.rows(m, len(images))
    (first,) = _layers(population, images[:1], [torch.tensor([0])])
    arrays = {key: ((p, rows.shape[1]), "float32") for key, rows in first.items()}
    arrays["ratio"], arrays["type"] = ((p,), "float32"), ((p,), "uint8")
    return Plan(m, p, arrays | dict.fromkeys(Pairs._fields[6:10], ((p,), "int64")))


def write(
    folder: str | Path,
    population: Population,
    images: Tensor,
    labels: Int64[Tensor, " n"],
    selection: Selection,
    *,
    generator: torch.Generator,
    sigma: float | int = 0.9,
    n_copies: int = 1000,
    noise: Literal["common", "independent"] = "common",
    about: dict[str, Any] | None = None,
    progress: bool = True,
) -> Pairs:
    """Return the pairs of a selection, once they are written to a folder whole.

    What an earlier call left in the folder is replaced when all new files are complete, and no sooner.

    Parameters
    ----------
    folder
        Gets one ``.npy`` an array and ``manifest.json``.
    population
        Stacked parameters (m, ...) of ``models.lenet5``, or one such network.
    images, labels
        (n, c, h, w), as for ``models.prepare``, and their classes.
    selection
        Of these images, by the predictions of these networks: see ``robustness.select``.
    generator, sigma, n_copies, noise
        Of the labels: see ``robustness.ratios``.
    about
        What else JSON should say in the manifest, for one the settings and accuracies of the networks.
    progress
        Print the size before the work, and show a bar where the output is a terminal.

    Raises
    ------
    ValueError
        If selection, images, labels and networks do not belong together, or the folder holds something else.
    OSError
        If the disk has no room, before any of the work, or the folder cannot be written to.
    """
    folder, size = Path(folder), plan(population, images, selection)
    if len(labels) != len(images):
        raise ValueError(f"{len(labels)} labels for {len(images)} images; give one for each")
    if progress:
        tqdm.write(f"{folder}: {size}")
    store.require_space(folder, size.n_bytes())
    made = {"sigma": sigma, "n_copies": n_copies, "noise": noise}
    with store.lock(folder):
        earlier = _earlier(folder)
        with ExitStack() as stack:
            files = {}
            for key, layout in size.arrays.items():
                files[key] = stack.enter_context(open(stack.enter_context(store.atomic(folder / f"{key}.npy")), "wb"))
                store.begin_array(files[key], *layout)
            rest = _labels(_fill(files, population, images, selection), labels, selection)
            options = {"generator": generator, "progress": progress, **made}
            rest["ratio"] = robustness.selected_ratios(population, images, selection, **options)
            for key, values in rest.items():
                _append(files[key], values, size.arrays[key][1])
            for path in earlier:
                path.unlink(missing_ok=True)
        made |= {"seed": generator.initial_seed(), "n_per_class": selection.n_per_class, "more": about or {}}
        made |= {"content": _CONTENT, "n_models": size.n_models, "n_pairs": size.n_pairs, "actlib": __version__}
        store.write_manifest(folder, made)
    return read(folder)


def read(folder: str | Path, *, deep: bool = False) -> Pairs:
    """Return the pairs that ``write`` put into a folder.

    Parameters
    ----------
    folder
        It.
    deep
        Compare each file's hash as well as its size.

    Raises
    ------
    FileNotFoundError
        If there is no manifest: nothing was written, or not to its end.
    ValueError
        If a file is missing or damaged, or the folder holds something else.
    """
    folder = Path(folder)
    about = store.read_manifest(folder, deep=deep)
    if about.get("content") != _CONTENT:
        raise ValueError(f"{folder} holds {about.get('content')!r} and no pairs; give the folder of pairs.write")
    return Pairs(*(np.lib.format.open_memmap(folder / f"{key}.npy", mode="r") for key in Pairs._fields[:-1]), about)


def _layers(population: Population, images: Tensor, rows: list[Tensor]) -> Iterator[dict[str, Tensor]]:
    """Yield the outputs of the last four layers for each network's images, in batches."""
    images = prepared(population, images)
    for network, own in zip(members(population, images), rows, strict=False):
        for part in own.split(_BATCH):
            with torch.no_grad(), capture(network, LAYERS.values()) as found:
                network(images[part.to(images.device)])
            yield {key: found[name].flatten(1) for key, name in LAYERS.items()}


def _fill(files: dict[str, IO], population: Population, images: Tensor, selection: Selection) -> Tensor:
    """Write the layers' outputs of all pairs and return the classes that the networks give."""
    found = []
    rows = selection.rows(n_members(population), len(images))
    for outputs in _layers(population, images, rows):
        for key, values in outputs.items():
            _append(files[key], values, "float32")
        found.append(outputs["fc3"].argmax(1).cpu())
    return torch.cat(found)


def _labels(found: Tensor, labels: Tensor, selection: Selection) -> dict[str, Tensor]:
    """Return all that is known of the pairs from the classes that their networks give."""
    ground = labels.cpu()[selection.image.cpu()]
    right = found == ground
    if (turned := (right != selection.right.cpu()).double().mean().item()) > _TIES:
        raise ValueError(
            f"{turned:.1%} of the pairs are right or wrong otherwise than the selection says; select by the "
            "predictions of these networks on these images"
        )
    return {"type": right, "ground": ground, "predicted": found, "model": selection.model, "image": selection.image}


def _append(file: IO, values: Tensor, dtype: str) -> None:
    """Write values to the end of an array's file."""
    file.write(values.to("cpu", getattr(torch, dtype)).contiguous().numpy())


def _earlier(folder: Path) -> list[Path]:
    """Return the manifest of an earlier call, which must be one of pairs; remove what a killed one left."""
    store.remove_leftovers(folder, "*.npy")
    manifest = folder / "manifest.json"
    if not manifest.exists():
        return []
    if store.read_json(manifest).get("about", {}).get("content") != _CONTENT:
        raise ValueError(f"{manifest} describes something else; choose another folder for the pairs")
    return [manifest]
