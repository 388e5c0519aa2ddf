"""The work on one shard of a zoo: what it is trained on comes from a file, what comes of it goes to one.

Whoever trains a shard is told the folder and the shard's number only. So it makes no difference where it works.
"""

import errno
import functools
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from typing import Any, NamedTuple

import torch
from torch import Tensor

from actlib import checkpoints, grids, inputs, lenets, models, population_steps, populations, shards, store, weights
from actlib.data import Images
from actlib.workers import one_thread

# The modules whose code decides what a setting becomes.
_CODE = (grids, inputs, lenets, models, population_steps, populations)

# Networks a shard: a killed run loses at most this many a process; a GPU trains them at once.
_SHARD_SIZE = {"loop": 8, "vmap": 512}


class _Data(NamedTuple):
    """What the networks are trained and judged on."""

    images: Tensor
    labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def configuration(
    images: Tensor, labels: Tensor, test: Images | None, *, backend: str, n_classes: int
) -> dict[str, Any]:
    """Return all that decides a zoo besides its settings, as JSON has it, data and code as hashes.

    Comments, docstrings and layout of the code do not count.
    """
    judged = "the training images" if test is None else f"{_digest(test.images)}, labels {_digest(test.labels)}"
    return {
        "images": _digest(images),
        "labels": _digest(labels),
        "test": judged,
        "shape": list(images.shape[1:]),
        "classes": n_classes,
        "backend": backend,
        "device": images.device.type,
        "torch": torch.__version__,
        "code": store.hash_json([checkpoints.code(inspect.getsource(module)) for module in _CODE])[:16],
    }


def check(images: Tensor, labels: Tensor, test: Images | None, n_classes: int) -> None:
    """Raise ValueError if these are no images and labels for such networks; before anything is written."""
    for name, x, y in [("images", images, labels)] + ([("test images", *test[:2])] if test is not None else []):
        if x.ndim != 4 or x.shape[1:] != images.shape[1:] or x.shape[2] != x.shape[3] or x.shape[:1] != y.shape:
            raise ValueError(
                f"{name} have shape {tuple(x.shape)}, labels {tuple(y.shape)}; give (n, c, h, h) and (n,), the same "
                "c and h in training and test"
            )
        if y.dtype != torch.int64 or len(y) == 0 or not 0 <= y.min() <= y.max() < n_classes:
            found = f"{y.min()} to {y.max()}" if len(y) else "none"
            raise ValueError(
                f"the labels of the {name} are {y.dtype}, {found}; give int64, 0 to {n_classes - 1}, or n_classes"
            )


def _digest(values: Tensor) -> str:
    """Return dtype, shape and the first digits of a hash of the content."""
    parts = [part.cpu().numpy().tobytes() for part in values.split(4096)]
    return f"{str(values.dtype).removeprefix('torch.')} {tuple(values.shape)} {store.hash_bytes(*parts)[:16]}"


def plan(
    folder: Path, settings: Sequence[grids.Setting], configuration: dict[str, Any], size: int | None
) -> shards.Plan:
    """Return the plan of a run, with as many networks a shard as in the folder if ``size`` is None.

    Networks of one batch size come together, since they share their steps, and the longest runs first, so that no
    worker has a long one left at the end.
    """
    if size is None:
        size = _SHARD_SIZE[configuration["backend"]]
        with suppress(FileNotFoundError, ValueError):
            size = len(shards.read(folder).members[0])
    order = sorted(range(len(settings)), key=lambda n: (settings[n].batch_size, -settings[n].epochs))
    return shards.plan(configuration, settings, order=order, size=size)


def cached(settings: Sequence[grids.Setting], configuration: dict[str, Any]) -> Path:
    """Return the folder of the cache for just these networks; see ``store.cache_root``."""
    return store.cache_root() / "zoos" / store.hash_json([configuration, [list(one) for one in settings]])[:20]


def hand_over(
    folder: Path, planned: shards.Plan, n_shards: int, images: Tensor, labels: Tensor, test: Images | None
) -> None:
    """Write what the workers need into the folder, if there is room for it and for ``n_shards`` more shards.

    Raises
    ------
    OSError
        If there is not, or the folder cannot be written to.
    """
    data = {"images": images, "labels": labels}
    if test is not None:
        data |= {"test_images": test.images, "test_labels": test.labels}
    needed = n_shards * _shard_bytes(planned) + sum(value.nbytes for value in data.values())
    store.require_space(folder / "plan.json", needed)
    store.remove_leftovers(folder, _data_path(folder).name)
    weights.save(_data_path(folder), data, {"plan": planned.key})


def _shard_bytes(planned: shards.Plan) -> int:
    """Return the size of the weights in the largest shard."""
    channels, size, _ = planned.configuration["shape"]
    model = models.lenet5(planned.configuration["classes"], size=size, channels=channels)
    return len(planned.members[0]) * sum(value.nbytes for value in model.parameters())


def _data_path(folder: Path) -> Path:
    """Return where the images lie while there is work."""
    return folder / "data.safetensors"


@functools.lru_cache(maxsize=1)
def _data(folder: Path, key: str, device: str) -> _Data:
    """Return what ``hand_over`` wrote; a process reads it once."""
    data, about = weights.load(_data_path(folder))
    if about["plan"] != key:
        raise ValueError(f"{_data_path(folder)} belongs to another run; another process works in {folder}")
    data = {name: value.to(device) for name, value in data.items()}
    test = data.get("test_images", data["images"]), data.get("test_labels", data["labels"])
    return _Data(data["images"], data["labels"], *test)


def make(folder: Path, number: int) -> dict[str, list]:
    """Return a shard's findings: ``accuracy`` and ``diverged`` of each network; train and write it if it is not there.

    Raises
    ------
    OSError
        If the disk has no room, before training where possible.
    ValueError, FileNotFoundError
        If the folder holds no plan or no data for it, or as ``populations.fit``.
    """
    planned = shards.read(folder)
    with shards.claim(folder, number):
        with suppress(FileNotFoundError, ValueError):  # whoever calls has warned of a damaged one
            return shards.load(folder, planned, number)[1]
        store.require_space(shards.path(folder, number), _shard_bytes(planned))
        data = _data(folder, planned.key, planned.configuration["device"])
        settings = [grids.Setting(*planned.settings[n]) for n in planned.members[number]]
        with one_thread():
            options = {"n_classes": planned.configuration["classes"], "backend": planned.configuration["backend"]}
            state = populations.fit(settings, data.images, data.labels, **options)
            accuracies = populations.accuracies(state, data.test_images, data.test_labels)
        findings = {"accuracy": accuracies.tolist(), "diverged": populations.diverged(state).tolist()}
        shards.write(folder, planned, number, state, findings)
    return findings


@contextmanager
def explained(folder: Path, planned: shards.Plan, done: dict[int, Any]) -> Iterator[None]:
    """Add to an exception how many shards are ``done``, and to one about a read-only folder what to do."""
    try:
        yield
    except Exception as error:
        if getattr(error, "errno", None) in (errno.EACCES, errno.EPERM, errno.EROFS):
            error.add_note(f"{folder} cannot be written to: give a folder that can, or a finished one")
        error.add_note(f"{len(done)} of {len(planned.members)} shards are finished in {folder}; they stay")
        raise


@contextmanager
def working(folder: Path, planned: shards.Plan) -> Iterator[None]:
    """Remove data and locks when all is done, and the plan if nothing came of it: it would bind the folder."""
    try:
        yield
    except BaseException:
        if not any(shards.path(folder, n).exists() for n in range(len(planned.members))):
            _data_path(folder).unlink(missing_ok=True)
            (folder / "plan.json").unlink(missing_ok=True)
        raise
    finally:
        _data.cache_clear()
    _data_path(folder).unlink(missing_ok=True)
    rmtree(folder / "locks", ignore_errors=True)
