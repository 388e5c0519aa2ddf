"""The image sets that come as one official archive: read, and checked before anything is unpacked.

Each function returns images, uint8 of shape (n, c, h, w), labels, int64 of shape (n,), and the names of the classes.
"""

import math
from pathlib import Path

import torch
import torchvision
from sklearn.datasets import load_digits
from torch import Tensor

from actlib import sources, store

DIGITS = tuple("0123456789")
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

# CIFAR-10's folder inside the root, as torchvision names it.
BATCHES = torchvision.datasets.CIFAR10.base_folder

Part = tuple[Tensor, Tensor, tuple[str, ...]]


def digits(split: str, size: int) -> Part:
    """Return scikit-learn's 8 x 8 digits in ``size`` pixels; :func:`actlib.data.load` states the rules."""
    found = load_digits()
    labels = torch.from_numpy(found.target).long()
    values = torch.from_numpy(found.images).float()[:, None] * (255 / 16)
    resized = torch.nn.functional.interpolate(values, size=(size - 8, size - 8), mode="bilinear", align_corners=False)
    pixels = torch.nn.functional.pad((resized + 0.5).to(torch.uint8), (4, 4, 4, 4))
    test = torch.zeros(len(labels), dtype=torch.bool)
    test[labels.argsort(stable=True)[::5]] = True
    chosen = test if split == "test" else ~test
    return pixels[chosen], labels[chosen], DIGITS


def mnist(root: Path, split: str, size: int, download: bool) -> Part:
    """Return MNIST through torchvision, with ``(size - 28) / 2`` zeros all round.

    Raises
    ------
    FileNotFoundError
        If one of the four files is not there.
    ValueError
        If a file's length is not what its header says, images and labels differ in number, or ``MNIST/processed`` holds
        files of an old torchvision, which it opens in place of these four, that are no plain tensors.
    """
    raw = root / "MNIST" / "raw"
    pairs = {
        split: [raw / f"{prefix}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")]
        for split, prefix in (("train", "train"), ("test", "t10k"))
    }
    files = pairs["train"] + pairs["test"]
    if download and not all(path.is_file() for path in files):
        _torchvision_mnist(root, download=True)
    absent = [path for path in files if not path.is_file()]
    if absent:
        raise sources.missing("mnist", absent)
    images, labels = pairs[split]
    n_images, n_labels = _check_idx(images, (28, 28)), _check_idx(labels, ())
    if n_images != n_labels:
        raise ValueError(f"{images} holds {n_images} images, {labels} {n_labels} labels; get both again")
    found = _torchvision_mnist(root, train=split == "train")
    return torch.nn.functional.pad(found.data[:, None], ((size - 28) // 2,) * 4), found.targets, DIGITS


def _torchvision_mnist(root: Path, **options: bool) -> torchvision.datasets.MNIST:
    """Return torchvision's MNIST; its error over old files, which it opens first, names neither them nor a remedy."""
    old = root / "MNIST" / "processed"
    opens_old = all((old / name).is_file() for name in ("training.pt", "test.pt"))
    try:
        return torchvision.datasets.MNIST(root, **options)
    except Exception as error:
        if not opens_old:
            raise
        raise ValueError(
            f"{old} holds files of an old torchvision that cannot be opened ({type(error).__name__}); remove the "
            "folder MNIST/processed: the official files in MNIST/raw beside it are enough"
        ) from error


def _check_idx(path: Path, shape: tuple[int, ...]) -> int:
    """Return how many entries of ``shape`` an idx file holds; torchvision's own error does not name a damaged file."""
    with open(path, "rb") as file:
        # Magic number (0x08: bytes, then the number of axes), number of entries, shape of an entry.
        magic, n, *sides = [int.from_bytes(file.read(4), "big") for _ in range(2 + len(shape))]
    found, expected = path.stat().st_size, 4 * (2 + len(shape)) + n * math.prod(shape)
    if magic != 0x801 + len(shape) or tuple(sides) != shape or found != expected:
        raise ValueError(
            f"{path} is damaged: {found:,} bytes, header {[magic, n, *sides]}; expected {expected:,} bytes, header "
            f"{[0x801 + len(shape), n, *shape]}; delete it and get it again"
        )
    return n


def cifar10(root: Path, split: str, download: bool) -> Part:
    """Return CIFAR-10 from its official batches through torchvision.

    The batches are pickles, which may run code when they are unpacked: each file's MD5 is compared with the official
    one first.

    Raises
    ------
    ValueError
        If a file is missing or differs.
    """
    kind = torchvision.datasets.CIFAR10
    if download and not (root / BATCHES).is_dir():
        kind(root, download=True)
    for name, md5 in [*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])]:
        path = root / BATCHES / name
        if not torchvision.datasets.utils.check_integrity(path, md5):
            raise ValueError(f"{path} is missing or damaged (expected MD5 {md5}); delete {BATCHES} and get it again")
    found = kind(root, train=split == "train")
    return torch.from_numpy(found.data.transpose(0, 3, 1, 2).copy()), torch.tensor(found.targets), CIFAR10


def state(name: str, root: str | Path | None = None) -> str:
    """Return a word that changes when the files of an image set change: a hash of their names, sizes and times.

    Cheap enough to ask for at every build; a set that is not there is ``"absent"``, one that needs no files
    ``"embedded"``.
    """
    if not sources.manifest(name).folders:
        return "embedded"
    base = store.data_root(root)
    files = sorted(p for pattern in sources.manifest(name).folders for p in base.glob(f"{pattern}/**/*") if p.is_file())
    marks = ((p.relative_to(base).as_posix(), p.stat()) for p in files)
    return store.hash_json([(mark, stat.st_size, stat.st_mtime_ns) for mark, stat in marks]) if files else "absent"
