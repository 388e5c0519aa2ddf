"""Where the image sets come from: licence, reference, size and site of each."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Source(NamedTuple):
    """Where an image set comes from.

    Attributes
    ----------
    title, licence, citation, key, site
        Name; terms of use; reference, and its key in the bibliography; place to get it.
    n_bytes, n_images
        Size of the download in bytes and number of images, over all splits; 0 where there is nothing to download.
    splits, sizes
        The names of the splits, the one for testing last; heights and widths that can be asked for, the default first.
        No sizes: any will do.
    folders
        Where its files lie below the data root, as patterns; none for a set that comes with a package.
    """

    title: str
    licence: str
    citation: str
    key: str
    site: str
    n_bytes: int
    n_images: int
    splits: tuple[str, ...]
    sizes: tuple[int, ...]
    folders: tuple[str, ...]


MANIFEST = {
    "digits": Source(
        "Optical Recognition of Handwritten Digits (UCI), test part, as shipped with scikit-learn",
        "CC BY 4.0",
        "E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits. UCI Machine Learning Repository, 1998. "
        "doi:10.24432/C50P49",
        "alpaydin-1998", "archive.ics.uci.edu/dataset/80", 57_523, 1_797, ("train", "test"), (28, 32), (),
    ),
    "shapes": Source(
        "Shapes, drawn by this package", "BSD-3-Clause, as the package", "This package: actlib.shapes",
        "actlib", "actlib.shapes", 0, 8_000, ("train", "test"), (32, 64), (),
    ),
    "mnist": Source(
        "MNIST handwritten digits",
        "CC BY-SA 3.0",
        "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-based learning applied to document recognition. "
        "Proceedings of the IEEE 86(11), 1998",
        "lecun-mnist", "yann.lecun.com/exdb/mnist", 11_594_722, 70_000, ("train", "test"), (28, 32),
        ("MNIST/raw",),
    ),
    "cifar10": Source(
        "CIFAR-10",
        "none stated by its authors",
        "A. Krizhevsky: Learning multiple layers of features from tiny images. University of Toronto, 2009",
        "krizhevsky-2009", "www.cs.toronto.edu/~kriz/cifar.html", 170_498_071, 60_000, ("train", "test"), (32,),
        ("cifar10", "cifar-10-batches-py"),
    ),
    "tiny-imagenet": Source(
        "Tiny ImageNet",
        "none stated; for research, as ImageNet, from which its images come",
        "Y. Le, X. Yang: Tiny ImageNet visual recognition challenge. CS 231N, Stanford University, 2015",
        "le-2015", "cs231n.stanford.edu/tiny-imagenet-200.zip", 248_100_043, 110_000, ("train", "val"), (),
        ("tiny-imagenet-200",),
    ),
    "imagenet": Source(
        "ImageNet (ILSVRC 2012)",
        "non-commercial research and education, under ImageNet's terms of access",
        "O. Russakovsky et al.: ImageNet large scale visual recognition challenge. "
        "International Journal of Computer Vision 115, 2015",
        "russakovsky-2015", "image-net.org", 154_642_401_280, 1_331_167, ("train", "val"), (), ("imagenet*",),
    ),
}  # fmt: skip


def manifest(name: str) -> Source:
    """Return where the image set ``name`` comes from; ValueError with the nearest names if there is none."""
    if name not in MANIFEST:
        raise unknown("data set", name, (*MANIFEST, "folder"))
    return MANIFEST[name]


def unknown(kind: str, value: str, known: Sequence[str]) -> ValueError:
    """Return the error for a name that is not known, with the nearest ones that are."""
    near = difflib.get_close_matches(value, known, n=3, cutoff=0.5)
    advice = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(known[:30])}"
    return ValueError(f"unknown {kind} {value!r}; {advice}")


def missing(name: str, places: Sequence[Path]) -> FileNotFoundError:
    """Return the error for data that are not there."""
    get = "call load once with download=True" if name in ("mnist", "cifar10") else "get it there and unpack it"
    return FileNotFoundError(
        f"{name} is not there: no {' or '.join(map(str, places))}. It comes from {MANIFEST[name].site}: {get}; "
        "if you have it, set ACTLIB_DATA, or root, to the folder that holds it"
    )
