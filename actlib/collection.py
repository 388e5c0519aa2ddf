"""Activations of a whole data set, batch by batch, in memory or in ``.npy`` files that anyone can read."""

import math
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import quote

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from actlib import __version__, models, store
from actlib.bits import Packed, pack
from actlib.hooks import evaluating, record

__all__ = ["collect"]

# Largest value that each storage format can hold. Bits only ask for the sign, which an infinity has too.
_LIMITS = {"float32": float(np.finfo(np.float32).max), "float16": float(np.finfo(np.float16).max), "bits": math.inf}


class _Sweep(NamedTuple):
    """What to collect, as ``collect`` takes it."""

    model: nn.Module
    images: Tensor | np.ndarray
    layers: list[str]
    batch_size: int
    dtype: str
    inputs: bool
    progress: bool


def collect(
    model: nn.Module,
    images: Tensor | np.ndarray,
    layers: Iterable[str],
    out: str | Path | None = None,
    *,
    batch_size: int = 256,
    dtype: Literal["float32", "float16", "bits"] = "float32",
    inputs: bool = False,
    progress: bool = True,
) -> dict[str, np.ndarray | Packed]:
    """Return what some layers give for every image of a data set.

    The network runs in eval mode without gradients; its modes are put back. Each batch is written the moment a layer
    has run, so that no more than one batch is in memory beside the result.

    Parameters
    ----------
    model
        Any network; images go to its device, as ``models.prepare`` says.
    images
        (n, c, h, w), uint8, or floating point in [0, 1]: a tensor, an array or a memory map.
    layers
        Names of modules; the keys of the result are those of ``capture.capture``.
    out
        None keeps the result in memory. A folder gets one ``<key>.npy`` a layer and ``manifest.json``, which comes
        last: with it the folder is whole. The arrays returned are read-only memory maps of the files. What an earlier
        call left there is replaced when the new files are complete, and no sooner.
    batch_size
        Images a forward pass.
    dtype
        ``"float32"``; ``"float16"`` at half the size; ``"bits"``, the pattern ``output > 0``, a 32nd of the size.
    inputs
        Take what goes into each layer instead.
    progress
        Show a bar when the error stream is a terminal.

    Returns
    -------
    dict
        One (n, ...) array a key; for bits ``Packed`` words (n, w) of the flattened pattern and its number of bits.

    Raises
    ------
    ValueError
        If images or layers are an empty selection or do not fit the model, a layer gives NaN or a value that the dtype
        cannot hold (the message names the layer and the sample), or its output is not floating point with one row an
        image.
    OSError
        If the disk has too little room; nothing is written then.
    """
    layers = layers if isinstance(layers, str) else list(layers)
    sweep = _Sweep(model, images, layers, batch_size, dtype, inputs, progress)
    _check(sweep)
    with evaluating(model), torch.no_grad():
        shapes = _probe(sweep)
        arrays = _to_memory(sweep, shapes) if out is None else _to_disk(sweep, shapes, Path(out))
    if dtype == "bits":
        return {key: Packed(words, math.prod(shapes[key])) for key, words in arrays.items()}
    return arrays


def _check(sweep: _Sweep) -> None:
    """Raise ValueError for options and images that cannot be meant."""
    if not isinstance(sweep.images, Tensor | np.ndarray):
        raise ValueError(f"images are a {type(sweep.images).__name__}; give the tensor or array (n, c, h, w) itself")
    if not len(sweep.images):
        raise ValueError("images are empty: there is nothing to collect; select at least one")
    if sweep.dtype not in _LIMITS:
        raise ValueError(f"dtype = {sweep.dtype!r}; choose one of {list(_LIMITS)}")
    if sweep.batch_size < 1:
        raise ValueError(f"batch_size = {sweep.batch_size}; give 1 or more")


def _probe(sweep: _Sweep) -> dict[str, tuple[int, ...]]:
    """Return the shape of each layer's output for one image, without the sample axis, by running the first one."""

    def measure(module: nn.Module, key: str, tensor: Tensor) -> tuple[int, ...]:
        if not tensor.is_floating_point() or tensor.ndim == 0 or len(tensor) != 1:
            raise ValueError(
                f"layer {key!r} gives {tensor.dtype} of shape {tuple(tensor.shape)} for 1 image; collect needs "
                "floating point with one row an image: use capture"
            )
        return tuple(tensor.shape[1:])

    with record(sweep.model, sweep.layers, measure, inputs=sweep.inputs) as shapes:
        sweep.model(_batch(sweep, 0, 1))
    return dict(shapes)


def _batch(sweep: _Sweep, start: int, n: int) -> Tensor:
    """Return up to ``n`` images from ``start`` on as the model takes them."""
    images = sweep.images[start : start + n]
    if isinstance(images, np.ndarray):
        images = torch.from_numpy(np.array(images))  # a copy, since PyTorch knows no read-only memory
    try:
        return models.prepare(sweep.model, images)
    except ValueError as error:
        error.add_note(f"in the batch of {len(images)} images that begins with sample {start}")
        raise


def _run(sweep: _Sweep, shapes: dict[str, tuple[int, ...]], write: Callable[[str, int, np.ndarray], None]) -> None:
    """Run the model over all images and hand each layer's rows to ``write(key, start, rows)`` in order."""
    start = n = 0

    def keep(module: nn.Module, key: str, tensor: Tensor) -> None:
        if key not in shapes or tensor.shape != (n, *shapes[key]):
            raise ValueError(
                f"layer {key!r} gives shape {tuple(tensor.shape)} for {n} images and {shapes.get(key, 'nothing')} for "
                "one; collect needs one row an image, always of one size: use capture"
            )
        _check_values(tensor, key, start, sweep.dtype)
        write(key, start, _encode(tensor, sweep.dtype))

    with (
        record(sweep.model, sweep.layers, keep, inputs=sweep.inputs) as done,
        tqdm(total=len(sweep.images), unit="image", disable=None if sweep.progress else True) as bar,
    ):
        for start in range(0, len(sweep.images), sweep.batch_size):
            batch = _batch(sweep, start, sweep.batch_size)
            n = len(batch)
            sweep.model(batch)
            if missing := shapes.keys() - done:
                raise ValueError(
                    f"layers {sorted(missing)} were not called for the batch from sample {start} on; leave them out"
                )
            bar.update(n)


def _check_values(tensor: Tensor, key: str, start: int, dtype: str) -> None:
    """Raise ValueError for a NaN, or for a value that ``dtype`` cannot hold; costs one pass."""
    limit = _LIMITS[dtype]
    if not tensor.numel():
        return
    low, high = (end.item() for end in torch.aminmax(tensor))
    if -limit <= low and high <= limit:  # false for a NaN too, which aminmax hands on
        return
    wrong = ~(tensor.abs() <= limit)
    sample = start + wrong.nonzero()[0, 0].item()
    value = tensor[wrong][0].item()
    remedy = "take a wider dtype" if math.isfinite(value) else "look for a division by zero or weights that diverged"
    raise ValueError(f"layer {key!r} gives {value:.6g} for sample {sample}, which {dtype} cannot keep; {remedy}")


def _encode(tensor: Tensor, dtype: str) -> np.ndarray:
    """Return the rows as they are stored, in C order; they may share memory with ``tensor``."""
    if dtype == "bits":
        return pack(tensor.reshape(len(tensor), -1) > 0).words.cpu().numpy()
    return tensor.to("cpu", getattr(torch, dtype)).contiguous().numpy()


def _layout(sweep: _Sweep, shape: tuple[int, ...]) -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and dtype of one layer's array for all images."""
    if sweep.dtype == "bits":
        return (len(sweep.images), -(-math.prod(shape) // 64)), np.dtype(np.uint64)
    return (len(sweep.images), *shape), np.dtype(sweep.dtype)


def _to_memory(sweep: _Sweep, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Return the arrays of all layers."""
    arrays = {key: np.empty(*_layout(sweep, shape)) for key, shape in shapes.items()}

    def write(key: str, start: int, rows: np.ndarray) -> None:
        arrays[key][start : start + len(rows)] = rows

    _run(sweep, shapes, write)
    return arrays


def _to_disk(sweep: _Sweep, shapes: dict[str, tuple[int, ...]], out: Path) -> dict[str, np.ndarray]:
    """Return memory maps of the files written into the folder ``out``."""
    layouts = {key: _layout(sweep, shape) for key, shape in shapes.items()}
    store.require_space(out, sum(math.prod(shape) * dtype.itemsize for shape, dtype in layouts.values()))
    paths = {key: out / f"{quote(key, safe='')}.npy" for key in shapes}
    with store.lock(out):
        earlier = _earlier(out)
        with ExitStack() as stack:
            files = {}
            for key, (shape, dtype) in layouts.items():
                files[key] = stack.enter_context(open(stack.enter_context(store.atomic(paths[key])), "wb"))
                store.begin_array(files[key], shape, dtype)
            _run(sweep, shapes, lambda key, start, rows: files[key].write(rows))
            for path in earlier:
                path.unlink(missing_ok=True)
        store.write_manifest(out, _about(sweep, shapes, paths))
    return {key: np.load(path, mmap_mode="r", allow_pickle=False) for key, path in paths.items()}


def _earlier(out: Path) -> list[Path]:
    """Return the manifest and files of an earlier call in ``out``; remove what a killed one left half-written."""
    found = []
    manifest = out / "manifest.json"
    if manifest.exists():
        about = store.read_json(manifest).get("about", {})
        if about.get("content") != "activations":
            raise ValueError(f"{manifest} describes something else; choose another folder for the activations")
        found = [manifest, *(out / entry["file"] for entry in about["layers"].values())]
    store.remove_leftovers(out, "*.npy")
    return found


def _about(sweep: _Sweep, shapes: dict[str, tuple[int, ...]], paths: dict[str, Path]) -> dict:
    """Return what the manifest says of the files."""
    entries = {}
    for key, shape in shapes.items():
        entries[key] = {"file": paths[key].name, "shape": list(shape), "dtype": sweep.dtype}
        if sweep.dtype == "bits":
            entries[key]["n_bits"] = math.prod(shape)
    return {
        "content": "activations", "model": type(sweep.model).__name__, "n_images": len(sweep.images),
        "inputs": sweep.inputs, "batch_size": sweep.batch_size, "actlib": __version__, "layers": entries,
    }  # fmt: skip
