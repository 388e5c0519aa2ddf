"""Image sets as tensors: one call loads any of them, checked."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor

from actlib import archives, folders, shapes, sources, store

# Licence, reference and size of each set, and the splits and sizes it comes in.
MANIFEST = sources.MANIFEST
manifest = sources.manifest
state = archives.state

# Number of images and seed of each split.
_SHAPES = {"train": (6000, 0), "test": (2000, 1)}


class Images(NamedTuple):
    """Images with their labels; the number of images is ``len(data.labels)``, a tuple's own length is 3.

    Attributes
    ----------
    images, labels, classes
        Values 0 to 255, shape (n, c, h, w); index into ``classes`` for each image, shape (n,); names of the classes.
    """

    images: UInt8[Tensor, "n c h w"]
    labels: Int64[Tensor, " n"]
    classes: tuple[str, ...]

    def subset(self, index: Int64[Tensor, " k"] | Bool[Tensor, " n"] | Sequence[int]) -> "Images":
        """Return the images at ``index`` (positions, or one truth value an image) with all the classes' names.

        Raises
        ------
        ValueError, IndexError
            If nothing is selected; if a position is out of range.
        """
        index = torch.as_tensor(index, device=self.labels.device)
        if index.numel() == 0 or (index.dtype == torch.bool and not index.any()):
            raise ValueError(f"the selection from {len(self.labels)} images is empty; select at least 1 image")
        return Images(self.images[index], self.labels[index], self.classes)

    def only(self, *names: str) -> "Images":
        """Return the images of the classes ``names``; their labels become 0, 1, ... in the order given.

        Raises
        ------
        ValueError
            If a name is unknown (the nearest ones are given) or there twice, or no image is left.
        """
        for name in names:
            if name not in self.classes:
                raise sources.unknown("class", name, self.classes)
        if len(set(names)) < len(names):
            raise ValueError(f"classes {names} name one twice; give each once")
        lookup = torch.full((len(self.classes),), -1, device=self.labels.device)
        for label, name in enumerate(names):
            lookup[self.classes.index(name)] = label
        chosen = self.subset(lookup[self.labels] >= 0)
        return Images(chosen.images, lookup[chosen.labels], names)

    def sample(self, n: int, generator: torch.Generator | int) -> "Images":
        """Return ``n`` images drawn without replacement, in their old order, with each class's share kept to one image.

        Raises
        ------
        ValueError
            If ``n`` is not from 1 to the number of images.
        """
        total = len(self.labels)
        if not 1 <= n <= total:
            raise ValueError(f"n = {n}; there are {total} images: ask for 1 to {total}")
        if isinstance(generator, int):
            generator = torch.Generator().manual_seed(generator)
        shuffled = torch.randperm(total, generator=generator, device=generator.device).to(self.labels.device)
        by_class = shuffled[self.labels[shuffled].argsort(stable=True)]
        # Every (total / n)-th of the images ordered by class, from a random start; whole numbers, so none comes twice.
        start = int(torch.randint(total, (), generator=generator, device=generator.device))
        places = (torch.arange(n, device=by_class.device) * total + start) // n
        return self.subset(by_class[places].sort().values)


def load(
    name: str,
    split: str = "train",
    *,
    root: str | Path | None = None,
    download: bool = False,
    size: int | None = None,
    n: int | None = None,
    n_classes: int | None = None,
    progress: bool = True,
) -> Images:
    """Return one split of an image set.

    ============== =================================================================================================
    digits         8 x 8 values 0 to 16, scaled to 0 to 255, resized bilinearly (pixel centres, no antialiasing) to
                   20 for size 28 and to 24 for size 32, with 4 zeros all round, as MNIST has them. Ordered by class,
                   every fifth image from the first on is for testing: 1,437 and 360. Both parts share their writers.
    shapes         :func:`actlib.shapes.draw`: ``n`` images (6,000 and 2,000) from seed 0 and 1
    mnist          torchvision's; for size 32 with 2 zeros all round
    cifar10        torchvision's batches ``cifar-10-batches-py``, whose MD5 is checked before they are unpickled, else
                   ``cifar10/<split>/<class>/<file>``, which keeps no official order
    tiny-imagenet  ``tiny-imagenet-200`` in its official layout; some of the training images will do
    imagenet       ``imagenet*/<split>/<wnid>/<file>``, the first by name; size 224 unless given
    folder         ``root`` itself, or its folder ``split`` where there is one: class folders of image files
    ============== =================================================================================================

    Parameters
    ----------
    name
        A name in the table.
    split
        ``"train"`` and ``"test"``, or ``"train"`` and ``"val"``: see ``MANIFEST``.
    root
        Folder that holds the data sets, else ``$ACTLIB_DATA``, else the user's; for ``folder`` that folder.
    download
        Let torchvision fetch MNIST or CIFAR-10 into ``root`` if it is not there.
    size
        Height and width in pixels, see ``MANIFEST``; image files as in :func:`actlib.folders.read`.
    n
        Take only so many images: :meth:`Images.sample` with seed 0. ``shapes`` draws so many.
    n_classes
        10 or 20, for ``shapes`` only.
    progress
        Show a bar while image files are decoded.

    Raises
    ------
    FileNotFoundError
        If the data are not there; the message says where they were looked for and how to get them.
    ValueError
        If a name or option is unknown, or a file is damaged; the message names it.
    """
    if n_classes is not None and name != "shapes":
        raise ValueError(f"n_classes = {n_classes} is for shapes; to choose classes use load({name!r}).only(*names)")
    if name == "folder":
        return _finish(_folder(root, split, size, progress), n)
    source, base = manifest(name), store.data_root(root)
    if split not in source.splits:
        raise sources.unknown(f"split of {name}", split, source.splits)
    if size is not None and source.sizes and size not in source.sizes:
        raise ValueError(f"size = {size}; {name} comes with size {' or '.join(map(str, source.sizes))}")
    if size is None and source.sizes:
        size = source.sizes[0]
    match name:
        case "digits":
            found = archives.digits(split, size)
        case "shapes":
            number, seed = _SHAPES[split]
            number, n_classes, n = number if n is None else n, 10 if n_classes is None else n_classes, None
            drawn = shapes.draw(number, size=size, n_classes=n_classes, generator=seed)
            found = (*drawn, shapes.CLASSES[:n_classes])
        case "mnist":
            found = archives.mnist(base, split, size, download)
        case "cifar10":
            found = _cifar10(base, split, download, progress)
        case "tiny-imagenet":
            found = _tiny_imagenet(base, split, size, progress)
        case _:
            found = _imagenet(base, split, 224 if size is None else size, progress)
    return _finish(found, n)


def check(images: Images) -> Images:
    """Return ``images`` unchanged if they are fit for use.

    Raises
    ------
    ValueError
        If the images are not uint8 of shape (n, c, h, w), there are none, labels and images differ in number, or a
        label is no index into the classes.
    """
    pixels, labels, classes = images
    if pixels.dtype != torch.uint8 or pixels.ndim != 4:
        raise ValueError(f"images are {pixels.dtype} of shape {tuple(pixels.shape)}; expected uint8, (n, c, h, w)")
    if len(pixels) == 0 or labels.shape != pixels.shape[:1]:
        raise ValueError(f"{len(pixels)} images, labels of shape {tuple(labels.shape)}; expected one label an image")
    outside = ((labels < 0) | (labels >= len(classes))).nonzero().flatten().tolist()
    if outside:
        raise ValueError(
            f"{len(outside)} labels out of range, first {int(labels[outside[0]])} of image {outside[0]}; with "
            f"{len(classes)} classes they go from 0 to {len(classes) - 1}"
        )
    return images


def _finish(found: archives.Part, n: int | None) -> Images:
    """Return what was read as checked images, ``n`` of them."""
    images = check(Images(*found))
    return images if n is None else images.sample(n, 0)


def _cifar10(root: Path, split: str, download: bool, progress: bool) -> archives.Part:
    """Return CIFAR-10 from its official batches, else from class folders."""
    batches, folder = root / archives.BATCHES, root / "cifar10" / split
    if batches.is_dir() or (download and not folder.is_dir()):
        return archives.cifar10(root, split, download)
    if not folder.is_dir():
        raise sources.missing("cifar10", [batches, folder])
    pixels, labels, classes = folders.read(folder, progress=progress)
    if classes != archives.CIFAR10 or pixels.shape[2:] != (32, 32):
        raise ValueError(f"{folder} holds {pixels.shape[2:]}, {classes}; expected 32 x 32 pixels, {archives.CIFAR10}")
    return pixels, labels, classes


def _tiny_imagenet(root: Path, split: str, size: int | None, progress: bool) -> archives.Part:
    """Return Tiny ImageNet with the first word of each class as its name."""
    folder = root / "tiny-imagenet-200"
    for path in (folder / split, folder / "wnids.txt", folder / "words.txt"):
        if not path.exists():
            raise sources.missing("tiny-imagenet", [path])
    # All 200 classes, so that a label means the same in both splits when some classes have no training images yet.
    wnids = sorted((folder / "wnids.txt").read_text(encoding="utf-8").split())
    lines = (folder / "words.txt").read_text(encoding="utf-8").splitlines()
    words = dict(line.split("\t", 1) for line in lines if "\t" in line)
    pixels, labels, present = folders.read(folder / split, size=size, progress=progress)
    strange = sorted(set(present) - set(wnids))
    if strange:
        raise ValueError(f"{folder / split} holds the classes {strange[:5]}, which are not in {folder / 'wnids.txt'}")
    lookup = torch.tensor([wnids.index(wnid) for wnid in present])
    return pixels, lookup[labels], tuple(words.get(wnid, wnid).split(",")[0] for wnid in wnids)


def _imagenet(root: Path, split: str, size: int, progress: bool) -> archives.Part:
    """Return a set in ImageNet's layout, its classes named by their WordNet ids."""
    candidates = [path / split for path in root.glob("imagenet*") if (path / split).is_dir()]
    if not candidates:
        raise sources.missing("imagenet", [root / "imagenet*" / split])
    return folders.read(min(candidates), size=size, progress=progress)


def _folder(root: str | Path | None, split: str, size: int | None, progress: bool) -> archives.Part:
    """Return a user's own class folders."""
    if root is None:
        raise ValueError("root = None; load('folder', root=...) needs the folder that holds your class folders")
    root = Path(root).expanduser()
    folder = root / split if split != "train" or (root / split).is_dir() else root
    return folders.read(folder, size=size, progress=progress)
