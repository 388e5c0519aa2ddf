"""Image files in class folders, decoded once to a checked cache of two ``.npy`` files.

Two layouts are read: ``<folder>/<class>/<file>`` (ImageNet's, also with the ``images`` folder that Tiny ImageNet puts
into each class), and Tiny ImageNet's validation set, ``<folder>/images/<file>`` beside ``val_annotations.txt``.
"""

import os
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from actlib import store

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
ANNOTATIONS = "val_annotations.txt"

# A part of every cache's key: raised when the same files would decode to other pixels.
_VERSION = 1
# Files decoded at a time; their pixels are held in memory until they are written.
_BATCH = 512


class Listing(NamedTuple):
    """The image files of a folder in a fixed order.

    Attributes
    ----------
    paths
        The files, by class, then by name.
    labels
        For each file the index of its class.
    classes
        The names of the classes, sorted.
    """

    paths: list[Path]
    labels: list[int]
    classes: tuple[str, ...]


def read(
    folder: str | Path,
    *,
    size: int | None = None,
    per_class: int | None = None,
    cache: str | Path | None = None,
    progress: bool = True,
) -> tuple[UInt8[Tensor, "n 3 h w"], Int64[Tensor, " n"], tuple[str, ...]]:
    """Return the images of a folder of class folders, their labels and the names of the classes.

    The files are decoded at the first call; the result is kept under ``images`` in the cache and found again by the
    files' names, sizes and times and the options. At later calls every byte is compared with its hash.

    The images are mapped from the cache's file, copy-on-write: they take memory only where they are used, and writing
    to the tensor never changes the file. Colours become RGB (transparency is dropped); a rotation noted in EXIF is not
    applied, as in torchvision.

    Parameters
    ----------
    folder
        The folder, in one of the layouts above. Hidden files and those with a suffix not in ``SUFFIXES`` are
        passed over.
    size
        Height and width in pixels: the shorter side is resized to it (bicubic, with antialiasing), then the middle
        is cropped. Without it the images keep their size, which must be the same for all.
    per_class
        Take only the first so many files of each class, in the order of their names; at least 1.
    cache
        Root of the cache, else ``$ACTLIB_CACHE``, else the user's.
    progress
        Show a progress bar while decoding, on a terminal.

    Returns
    -------
    tuple
        Images, values 0 to 255, shape (n, 3, h, w); labels 0 to the number of classes - 1, shape (n,); classes, sorted.

    Raises
    ------
    FileNotFoundError
        If the folder, or a file that the annotations name, is not there.
    ValueError
        If the folder or a class holds no images, an option is out of range, a file cannot be decoded, or the images
        differ in size and ``size`` is not given. No cache is left behind, nor on a full disk (OSError).

    Examples
    --------
    >>> images, labels, classes = read("photos", size=224)
    """
    for name, value in (("size", size), ("per_class", per_class)):
        if value is not None and value < 1:
            raise ValueError(f"{name} = {value}; it must be at least 1, or None")
    folder = Path(folder)
    found = files(folder, per_class=per_class)
    target = store.cache_root(cache) / "images" / _key(folder, found, size)
    with store.lock(target):
        try:
            return _open(target)
        except FileNotFoundError:
            pass  # the first time, or a run was killed before it wrote the manifest
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            warnings.warn(f"the cache {target} is damaged ({error}); {folder} is decoded again", stacklevel=2)
        _build(target, found, size, progress)
        return _open(target)


def files(folder: str | Path, *, per_class: int | None = None) -> Listing:
    """Return the image files of a folder in a fixed order: by class, then by name.

    Parameters
    ----------
    folder, per_class
        As in :func:`read`.

    Raises
    ------
    FileNotFoundError, ValueError
        As in :func:`read`, without opening any image.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; give one that holds a folder of images for each class")
    groups = _annotated(folder) if (folder / ANNOTATIONS).is_file() else _nested(folder)
    classes = tuple(sorted(groups))
    chosen = [sorted(groups[name], key=lambda path: path.name)[:per_class] for name in classes]
    labels = [label for label, group in enumerate(chosen) for _ in group]
    return Listing([path for group in chosen for path in group], labels, classes)


def _nested(folder: Path) -> dict[str, list[Path]]:
    """Return the image files in each class folder."""
    groups = {}
    for inner in folder.iterdir():
        if inner.is_dir() and not inner.name.startswith("."):
            groups[inner.name] = _images(inner) or _images(inner / "images")
            if not groups[inner.name]:
                raise ValueError(f"the class folder {inner} holds no image ({', '.join(SUFFIXES)}); fill or remove it")
    if not groups:
        raise ValueError(f"{folder} holds no class folders; expected {folder / '<class>' / '<image>'}")
    return groups


def _images(folder: Path) -> list[Path]:
    """Return the image files that lie in a folder, none if there is no such folder."""
    if not folder.is_dir():
        return []
    visible = (path for path in folder.iterdir() if not path.name.startswith("."))
    return [path for path in visible if path.suffix.lower() in SUFFIXES]


def _annotated(folder: Path) -> dict[str, list[Path]]:
    """Return the image files of each class named in Tiny ImageNet's ``val_annotations.txt``."""
    groups: dict[str, list[Path]] = {}
    present = {path.name: path for path in _images(folder / "images")}
    for number, line in enumerate((folder / ANNOTATIONS).read_text(encoding="utf-8").splitlines(), start=1):
        name, label, *_ = [*line.split("\t"), "", ""]
        if not name or not label:
            raise ValueError(
                f"{folder / ANNOTATIONS}, line {number}: {line!r} is not a file and a class, tab between; mend it"
            )
        if name not in present:
            raise FileNotFoundError(f"{folder / 'images' / name} is missing though {folder / ANNOTATIONS} names it")
        groups.setdefault(label, []).append(present[name])
    if not groups:
        raise ValueError(f"{folder / ANNOTATIONS} is empty; expected a line with file and class for each image")
    return groups


def _key(folder: Path, found: Listing, size: int | None) -> str:
    """Return the name of the cache: a hash of the files' names, labels, sizes and times, and the options."""
    entries = []
    for path, label in zip(found.paths, found.labels, strict=True):
        status = path.stat()
        entries.append((path.relative_to(folder).as_posix(), label, status.st_size, status.st_mtime_ns))
    about = {"version": _VERSION, "folder": str(folder.resolve()), "size": size, "classes": found.classes}
    return store.hash_json({**about, "files": entries})[:32]


def _open(target: Path) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Return what a cache holds after comparing its files with their hashes."""
    about = store.read_manifest(target, deep=True)
    images = np.load(target / "images.npy", mmap_mode="c", allow_pickle=False)
    labels = np.load(target / "labels.npy", allow_pickle=False)
    return torch.from_numpy(images), torch.from_numpy(labels), tuple(about["classes"])


def _build(target: Path, found: Listing, size: int | None, progress: bool) -> None:
    """Decode the files into a new cache; the manifest comes last, so a cache with one is whole."""
    # What a killed run or a damaged cache left would otherwise stay for ever.
    shutil.rmtree(target, ignore_errors=True)
    try:
        _decode_all(target / "images.npy", found.paths, size, progress)
        with store.atomic(target / "labels.npy") as temporary:
            np.save(temporary, np.array(found.labels, dtype=np.int64))
        store.write_manifest(target, {"classes": found.classes, "n": len(found.paths), "size": size})
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _decode_all(target: Path, paths: list[Path], size: int | None, progress: bool) -> None:
    """Decode ``paths`` into the file ``target``, shape (n, 3, h, w), in order."""
    shape = _decode(paths[0], size).shape
    store.require_space(target, len(paths) * int(np.prod(shape)) + 16 * len(paths))
    # Pillow decodes outside Python's lock, so threads run side by side.
    workers = min(8, os.cpu_count() or 1)
    bar = tqdm(total=len(paths), unit="image", desc="decoding", disable=None if progress else True)
    with bar, store.atomic(target) as temporary, open(temporary, "wb") as file, ThreadPoolExecutor(workers) as pool:
        store.begin_array(file, (len(paths), *shape), np.uint8)
        for start in range(0, len(paths), _BATCH):
            batch = paths[start : start + _BATCH]
            for path, pixels in zip(batch, pool.map(lambda path: _decode(path, size), batch), strict=True):
                if pixels.shape != shape:
                    (h, w), (high, wide) = shape[1:], pixels.shape[1:]
                    raise ValueError(
                        f"{paths[0]} is {w} x {h} pixels, {path} is {wide} x {high}: give size to bring all to one"
                    )
                file.write(pixels.tobytes())
            bar.update(len(batch))


def _decode(path: Path, size: int | None) -> UInt8[np.ndarray, "3 h w"]:
    """Return the pixels of one image file as RGB, resized and cropped to ``size`` unless it is None."""
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"its pixels are {image.mode}, not 8 bit")
            # Pillow asks for this way round where a palette has transparency.
            rgb = (image.convert("RGBA") if image.mode == "P" else image).convert("RGB")
    except Exception as error:  # Pillow's decoders raise a dozen kinds on damaged bytes
        raise ValueError(f"{path} cannot be decoded ({error}); replace or remove the file") from error
    if size is not None:
        # Rounded and cropped as torchvision's Resize and CenterCrop do it.
        width, height = (int(size * side / min(rgb.size)) for side in rgb.size)
        rgb = rgb.resize((width, height), Image.Resampling.BICUBIC)
        left, top = round((width - size) / 2), round((height - size) / 2)
        rgb = rgb.crop((left, top, left + size, top + size))
    return np.asarray(rgb).transpose(2, 0, 1)
