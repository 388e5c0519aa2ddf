import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from scipy.ndimage import map_coordinates
from sklearn.datasets import load_digits

from actlib import archives, data, shapes


@pytest.fixture(autouse=True)
def folders_of_our_own(tmp_path, monkeypatch):
    monkeypatch.setenv("ACTLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ACTLIB_DATA", str(tmp_path / "data"))


# The root that the user set, read before the fixture above hides it.
ROOT = Path(os.environ.get("ACTLIB_DATA", "/nowhere"))


def real(folder):
    """Return a mark that skips a test when real data are absent."""
    return pytest.mark.skipif(not (ROOT / folder).is_dir(), reason=f"ACTLIB_DATA holds no {folder}")


def small(n=12, k=3):
    """Return n images of one value each, their number, with labels 0, 1, .. k - 1, 0, .."""
    pixels = torch.arange(n, dtype=torch.uint8)[:, None, None, None].expand(n, 1, 2, 3).contiguous()
    return data.Images(pixels, torch.arange(n) % k, tuple("abcdefgh"[:k]))


def numbers(images):
    return images.images[:, 0, 0, 0].tolist()


# Images


@pytest.mark.parametrize("index", [[7, 2], torch.tensor([7, 2]), np.array([7, 2])])
def test_a_subset_takes_positions_in_the_order_given(index):
    chosen = small().subset(torch.as_tensor(index) if isinstance(index, np.ndarray) else index)
    assert numbers(chosen) == [7, 2]
    assert chosen.labels.tolist() == [1, 2]
    assert chosen.classes == ("a", "b", "c")


def test_a_subset_takes_a_truth_value_for_each_image():
    assert numbers(small().subset(small().labels == 1)) == [1, 4, 7, 10]


@pytest.mark.parametrize("index", [[], torch.zeros(12, dtype=torch.bool)])
def test_an_empty_subset_is_refused(index):
    with pytest.raises(ValueError, match="the selection from 12 images is empty"):
        small().subset(index)


def test_only_relabels_in_the_order_given():
    chosen = small().only("c", "a")
    assert numbers(chosen) == [0, 2, 3, 5, 6, 8, 9, 11]
    assert chosen.labels.tolist() == [1, 0] * 4
    assert chosen.classes == ("c", "a")


def test_only_refuses_nothing_an_unknown_class_a_class_twice_and_one_without_images():
    animals = small()._replace(classes=("cat", "dog", "horse"))
    with pytest.raises(ValueError, match=r"unknown class 'house'; did you mean 'horse'\?"):
        animals.only("house")
    with pytest.raises(ValueError, match=r"unknown class 'xyz'; known: cat, dog, horse"):
        animals.only("xyz")
    with pytest.raises(ValueError, match="name one twice"):
        animals.only("cat", "cat")
    with pytest.raises(ValueError, match="empty"):
        animals.only()
    with pytest.raises(ValueError, match="empty"):
        animals.subset([0, 1]).only("horse")


@pytest.mark.parametrize("n", [1, 5, 29, 40])
def test_a_sample_keeps_each_class_s_share_and_takes_no_image_twice(n):
    counts = np.array([20, 12, 8])
    images = small(40)._replace(labels=torch.from_numpy(np.repeat([0, 1, 2], counts)))
    for seed in range(20):
        chosen = images.sample(n, torch.Generator().manual_seed(seed))
        assert numbers(chosen) == sorted(set(numbers(chosen)))
        assert len(numbers(chosen)) == n
        np.testing.assert_array_less(np.abs(np.bincount(chosen.labels, minlength=3) - counts * n / 40), 1)


def test_every_image_is_sampled_equally_often_and_seeds_differ():
    draws = [numbers(small().sample(4, seed)) for seed in range(600)]
    times = np.bincount(np.concatenate(draws), minlength=12)
    np.testing.assert_allclose(times, 200, atol=60)
    assert draws[0] == numbers(small().sample(4, torch.Generator().manual_seed(0)))
    assert len({tuple(draw) for draw in draws}) > 50


@pytest.mark.parametrize("n", [0, 13])
def test_a_sample_of_none_or_more_than_all_is_refused(n):
    with pytest.raises(ValueError, match=f"n = {n}; there are 12 images: ask for 1 to 12"):
        small().sample(n, 0)


# check


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": torch.arange(12)}, "9 labels out of range, first 3 of image 3; with 3 classes they go from 0 to 2"),
        ({"labels": torch.arange(12) % 3 - 1}, "4 labels out of range, first -1 of image 0"),
        (
            {"labels": torch.zeros(5, dtype=torch.long)},
            r"12 images, labels of shape \(5,\); expected one label an image",
        ),
        ({"images": torch.zeros(12, 1, 2, 2)}, r"images are torch.float32 of shape .*; expected uint8, \(n, c, h, w\)"),
        ({"images": torch.zeros(12, 2, 2, dtype=torch.uint8)}, r"shape \(12, 2, 2\)"),
        ({"images": torch.zeros(0, 1, 2, 2, dtype=torch.uint8)}, "0 images"),
    ],
)
def test_images_unfit_for_use_are_refused(change, message):
    assert data.check(small()) is not None
    with pytest.raises(ValueError, match=message):
        data.check(small()._replace(**change))


# digits


@pytest.mark.parametrize("size", [28, 32])
def test_digits_are_resized_bilinearly_inside_a_border_of_zeros(size):
    found = load_digits()
    test = np.sort(np.argsort(found.target, kind="stable")[::5])
    images, labels, classes = data.load("digits", "test", size=size)
    np.testing.assert_array_equal(labels, found.target[test])
    assert classes == tuple("0123456789")
    inner = size - 8
    places = (np.arange(inner) + 0.5) * 8 / inner - 0.5  # a pixel's centre, on the old grid
    grid = np.meshgrid(places, places, indexing="ij")
    for k in (0, 17, 359):
        expected = map_coordinates(found.images[test[k]] * 255 / 16, grid, order=1, mode="nearest")
        padded = np.pad(expected, 4)
        np.testing.assert_allclose(images[k, 0], padded, atol=0.5001)
        assert np.abs(images[k, 0].numpy() - padded.T).max() > 20


def test_digits_are_split_once_and_for_all_with_every_class_in_both_parts():
    train, test = data.load("digits"), data.load("digits", "test")
    assert (train.images.shape, test.images.shape) == ((1437, 1, 28, 28), (360, 1, 28, 28))
    counts = np.bincount(load_digits().target)
    np.testing.assert_allclose(np.bincount(test.labels), counts / 5, atol=1)
    np.testing.assert_array_equal(np.bincount(train.labels) + np.bincount(test.labels), counts)
    rows = torch.cat([train.images, test.images]).flatten(1)
    assert len(rows.unique(dim=0)) == 1797, "no image is in both parts"


# shapes


def test_shapes_are_those_of_the_module_with_a_fixed_seed():
    drawn, labels = shapes.draw(50, size=64, n_classes=20, generator=1)
    images = data.load("shapes", "test", n=50, size=64, n_classes=20)
    torch.testing.assert_close((images.images, images.labels), (drawn, labels))
    assert images.classes == shapes.CLASSES
    train = data.load("shapes", n=50)
    assert train.classes == shapes.CLASSES[:10]
    assert (train.images.float() - data.load("shapes", "test", n=50).images.float()).abs().mean() > 20


# mnist


def idx(path, array, magic=None):
    """Write an idx file: magic number, shape, values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = [0x800 + array.ndim if magic is None else magic, *array.shape]
    path.write_bytes(b"".join(number.to_bytes(4, "big") for number in numbers) + array.tobytes())


@pytest.fixture
def mnist(tmp_path):
    """A small MNIST with 7 and 4 random images under the root; returns its folder."""
    raw = tmp_path / "data" / "MNIST" / "raw"
    random = np.random.default_rng(0)
    for prefix, n in (("train", 7), ("t10k", 4)):
        idx(raw / f"{prefix}-images-idx3-ubyte", random.integers(0, 256, (n, 28, 28), dtype=np.uint8))
        idx(raw / f"{prefix}-labels-idx1-ubyte", np.arange(n, dtype=np.uint8))
    return raw


def test_mnist_is_read_and_padded_with_zeros_to_32_pixels(mnist):
    expected = np.frombuffer((mnist / "t10k-images-idx3-ubyte").read_bytes()[16:], dtype=np.uint8).reshape(4, 1, 28, 28)
    images, labels, classes = data.load("mnist", "test")
    np.testing.assert_array_equal(images, expected)
    np.testing.assert_array_equal(labels, np.arange(4))
    assert classes == tuple("0123456789")
    padded = data.load("mnist", "test", size=32).images
    np.testing.assert_array_equal(padded, np.pad(expected, [(0, 0), (0, 0), (2, 2), (2, 2)]))
    assert data.load("mnist").images.shape == (7, 1, 28, 28)


@pytest.mark.parametrize("kind", ["images-idx3", "labels-idx1"])
@pytest.mark.parametrize("keep", [0, 3, 11, -1])
def test_a_truncated_idx_file_is_named_and_left_as_it_is(mnist, kind, keep):
    path = mnist / f"train-{kind}-ubyte"
    path.write_bytes(path.read_bytes()[:keep])
    before = path.read_bytes()
    with pytest.raises(
        ValueError, match=rf"train-{kind}-ubyte is damaged: {len(before):,} bytes.*delete it and get it"
    ):
        data.load("mnist")
    assert path.read_bytes() == before
    assert data.load("mnist", "test").images.shape == (4, 1, 28, 28)


def test_idx_files_of_other_content_are_refused(mnist):
    idx(mnist / "train-labels-idx1-ubyte", np.arange(5, dtype=np.uint8))
    with pytest.raises(ValueError, match=r"holds 7 images, .*train-labels-idx1-ubyte 5 labels"):
        data.load("mnist")
    idx(mnist / "train-labels-idx1-ubyte", np.array([0, 1, 2, 12, 4, 5, 6], dtype=np.uint8))
    with pytest.raises(ValueError, match="1 labels out of range, first 12 of image 3; with 10 classes"):
        data.load("mnist")
    idx(mnist / "train-images-idx3-ubyte", np.zeros((7, 14, 56), dtype=np.uint8))
    with pytest.raises(
        ValueError, match=r"train-images-idx3-ubyte is damaged: .*\[2051, 7, 14, 56\].*\[2051, 7, 28, 28\]"
    ):
        data.load("mnist")
    idx(mnist / "train-images-idx3-ubyte", np.zeros((7, 28, 28), dtype=np.uint8), magic=0x0D03)
    with pytest.raises(ValueError, match="train-images-idx3-ubyte is damaged"):
        data.load("mnist")


def test_torchvision_downloads_only_when_asked(tmp_path, monkeypatch, mnist):
    asked = []
    monkeypatch.setattr(torchvision.datasets.MNIST, "download", lambda self: asked.append(self.root))
    data.load("mnist", download=True)
    assert asked == [], "the files are there"
    (mnist / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="train-labels-idx1-ubyte"):
        data.load("mnist")
    assert asked == []
    with pytest.raises(RuntimeError):
        data.load("mnist", download=True)
    assert asked == [tmp_path / "data"]


# cifar10


def planted_batches(root, monkeypatch):
    """Write small official batches, tell torchvision their MD5, and return pixels and labels of all in order."""
    random = np.random.default_rng(0)
    folder, sums, parts = root / archives.BATCHES, {}, []
    folder.mkdir(parents=True)
    names = [f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]
    for k, name in enumerate(names):
        parts.append((random.integers(0, 256, (3, 3072), dtype=np.uint8), [k, 9, 0]))
        (folder / name).write_bytes(pickle.dumps({"data": parts[-1][0], "labels": parts[-1][1]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list(archives.CIFAR10)}))
    for path in folder.iterdir():
        sums[path.name] = hashlib.md5(path.read_bytes()).hexdigest()
    kind = torchvision.datasets.CIFAR10
    monkeypatch.setattr(kind, "train_list", [[name, sums[name]] for name in names[:5]])
    monkeypatch.setattr(kind, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": sums["batches.meta"]})
    return parts


def test_cifar10_batches_are_read_in_their_official_order(tmp_path, monkeypatch):
    parts = planted_batches(tmp_path / "data", monkeypatch)
    train, test = data.load("cifar10"), data.load("cifar10", "test")
    np.testing.assert_array_equal(train.images, np.concatenate([p[0] for p in parts[:5]]).reshape(15, 3, 32, 32))
    np.testing.assert_array_equal(train.labels, np.concatenate([p[1] for p in parts[:5]]))
    np.testing.assert_array_equal(test.images, parts[5][0].reshape(3, 3, 32, 32))
    assert train.classes == archives.CIFAR10


def test_cifar10_is_fetched_where_it_is_missing_and_only_there(tmp_path, monkeypatch):
    fetched, kind = [], torchvision.datasets.CIFAR10
    begin = kind.__init__

    def pretended(self, root, download=False, **options):
        if download:
            fetched.append(root)
            planted_batches(root, monkeypatch)
        begin(self, root, **options)

    monkeypatch.setattr(kind, "__init__", pretended)
    assert len(data.load("cifar10", root=tmp_path / "new", download=True).labels) == 15
    assert len(data.load("cifar10", "test", root=tmp_path / "new", download=True).labels) == 3
    assert fetched == [tmp_path / "new"]


class Trap:
    """A pickle that, when it is read, makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_foreign_batch_is_named_and_never_unpickled(tmp_path, monkeypatch, name):
    planted_batches(tmp_path / "data", monkeypatch)
    path = tmp_path / "data" / archives.BATCHES / name
    path.write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(ValueError, match=rf"{name} is missing or damaged \(expected MD5"):
        data.load("cifar10")
    assert not (tmp_path / "sprung").exists()
    path.unlink()
    with pytest.raises(ValueError, match=f"{name} is missing"):
        data.load("cifar10")


def class_folders(folder, names, side=32):
    for label, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        Image.new("RGB", (side, side), (label, 0, 255)).save(folder / name / "0.webp", lossless=True)


def test_cifar10_is_read_from_class_folders_where_there_are_no_batches(tmp_path):
    class_folders(tmp_path / "data" / "cifar10" / "test", archives.CIFAR10)
    images, labels, classes = data.load("cifar10", "test")
    torch.testing.assert_close(images[:, 0, 5, 5].long(), labels)
    assert (labels.tolist(), classes) == (list(range(10)), archives.CIFAR10)


def test_class_folders_with_other_classes_or_sizes_are_not_cifar10(tmp_path):
    class_folders(tmp_path / "data" / "cifar10" / "test", archives.CIFAR10[:9])
    class_folders(tmp_path / "data" / "cifar10" / "train", archives.CIFAR10, side=16)
    for split in ("train", "test"):
        with pytest.raises(ValueError, match=f"cifar10/{split} holds .*; expected 32 x 32 pixels, .*'truck'"):
            data.load("cifar10", split)


# tiny-imagenet, imagenet, folder


@pytest.fixture
def tiny(tmp_path):
    """Tiny ImageNet with three classes, of which the second has no training images."""
    folder = tmp_path / "data" / "tiny-imagenet-200"
    for wnid, value in (("n1", 10), ("n3", 30)):
        (folder / "train" / wnid / "images").mkdir(parents=True)
        Image.new("RGB", (64, 64), (value,) * 3).save(folder / "train" / wnid / "images" / f"{wnid}_0.JPEG")
    (folder / "val" / "images").mkdir(parents=True)
    for k in range(2):
        Image.new("RGB", (64, 64), (k,) * 3).save(folder / "val" / "images" / f"val_{k}.JPEG")
    (folder / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn3\t0\t0\t9\t9\nval_1.JPEG\tn2\t0\t0\t9\t9\n")
    (folder / "wnids.txt").write_text("n3\nn1\nn2\n")
    (folder / "words.txt").write_text(
        "n0\tentity\nn1\tgoldfish, Carassius auratus\nn2\tbullfrog\nn3\ttailed frog, toad\n"
    )
    return folder


def test_tiny_imagenet_labels_mean_the_same_in_both_splits(tiny):
    train, val = data.load("tiny-imagenet"), data.load("tiny-imagenet", "val")
    assert train.classes == val.classes == ("goldfish", "bullfrog", "tailed frog")
    assert train.labels.tolist() == [0, 2]
    assert dict(zip(numbers(val), val.labels.tolist(), strict=True)) == {0: 2, 1: 1}
    assert data.load("tiny-imagenet", size=32).images.shape == (2, 3, 32, 32)


def test_a_class_that_the_list_does_not_know_is_refused(tiny):
    (tiny / "wnids.txt").write_text("n1\nn2\n")
    with pytest.raises(ValueError, match=r"train holds the classes \['n3'\], which are not in .*wnids.txt"):
        data.load("tiny-imagenet")
    (tiny / "words.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"words.txt"):
        data.load("tiny-imagenet")


def test_any_folder_in_imagenet_s_layout_is_found_and_the_first_by_name_is_taken(tmp_path):
    class_folders(tmp_path / "data" / "imagenet-samples" / "val", ["n1", "n2"], side=300)
    assert data.load("imagenet", "val").images.shape == (2, 3, 224, 224)
    assert data.load("imagenet", "val", size=64).classes == ("n1", "n2")
    class_folders(tmp_path / "data" / "imagenet" / "val", ["n7"], side=300)
    assert data.load("imagenet", "val", size=64).classes == ("n7",)


def test_a_folder_of_one_s_own_is_read_with_and_without_splits(tmp_path):
    class_folders(tmp_path / "mine", ["x", "y"])
    assert data.load("folder", root=tmp_path / "mine").classes == ("x", "y")
    class_folders(tmp_path / "parts" / "train", ["p"])
    class_folders(tmp_path / "parts" / "test", ["q"])
    assert data.load("folder", root=tmp_path / "parts").classes == ("p",)
    assert data.load("folder", "test", root=tmp_path / "parts", size=8).images.shape == (1, 3, 8, 8)
    with pytest.raises(FileNotFoundError, match=r"mine/test is not a folder"):
        data.load("folder", "test", root=tmp_path / "mine")
    with pytest.raises(ValueError, match="root = None; load"):
        data.load("folder")


# load and manifest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "minst"}, r"unknown data set 'minst'; did you mean 'mnist'\?"),
        ({"name": "wxyz"}, "unknown data set 'wxyz'; known: digits, shapes, mnist, cifar10, tiny-imagenet, .*, folder"),
        ({"name": "digits", "split": "tests"}, r"unknown split of digits 'tests'; did you mean 'test'\?"),
        ({"name": "imagenet", "split": "test"}, "unknown split of imagenet 'test'; known: train, val"),
        ({"name": "digits", "size": 64}, "size = 64; digits comes with size 28 or 32"),
        ({"name": "cifar10", "size": 64}, "size = 64; cifar10 comes with size 32"),
        ({"name": "digits", "n_classes": 10}, r"n_classes = 10 is for shapes; .* use load\('digits'\).only"),
        ({"name": "digits", "n": 1438}, "n = 1438; there are 1437 images"),
        ({"name": "shapes", "n": 0}, "n = 0; ask for at least 1"),
        ({"name": "shapes", "n_classes": 0}, "n_classes = 0; shapes are drawn with"),
    ],
)  # fmt: skip
def test_an_unknown_name_or_option_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.load(**arguments)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnist", "MNIST/raw/train-images-idx3-ubyte.*yann.lecun.com.*call load once with download=True.*ACTLIB_DATA"),
        ("cifar10", "cifar-10-batches-py or .*cifar10/train.*toronto.*download=True.*ACTLIB_DATA"),
        ("tiny-imagenet", "tiny-imagenet-200/train.*cs231n.stanford.edu.*get it there and unpack it.*ACTLIB_DATA"),
        ("imagenet", r"imagenet\*/train.*image-net.org.*ACTLIB_DATA"),
    ],
)
def test_missing_data_are_looked_for_and_the_error_says_where_and_how_to_get_them(tmp_path, name, message):
    with pytest.raises(FileNotFoundError, match=f"{name} is not there: no {tmp_path / 'data'}.*{message}"):
        data.load(name)
    with pytest.raises(FileNotFoundError, match=f"no {tmp_path / 'other'}"):
        data.load(name, root=tmp_path / "other")
    assert not (tmp_path / "data").exists()


def test_load_takes_a_stratified_part():
    images = data.load("digits", n=100)
    np.testing.assert_allclose(np.bincount(images.labels), 10, atol=1)
    expected = data.load("digits").sample(100, 0)
    torch.testing.assert_close(images[:2], expected[:2], rtol=0, atol=0)


@pytest.mark.parametrize("name", ["digits", "shapes", "mnist", "cifar10", "tiny-imagenet", "imagenet"])
def test_the_manifest_says_licence_citation_size_and_source(name):
    source = data.manifest(name)
    assert all((source.title, source.licence, source.citation, source.key, source.site))
    assert source.n_images > 0
    assert (source.n_bytes > 0) == (name != "shapes")
    assert source.splits[0] == "train"
    assert source is data.MANIFEST[name]


def test_the_manifest_s_numbers_are_those_of_the_embedded_sets():
    for name in ("digits", "shapes"):
        loaded = [len(data.load(name, split).labels) for split in data.manifest(name).splits]
        assert data.manifest(name).n_images == sum(loaded)
    assert "none stated" in data.manifest("cifar10").licence


# real data


@real("MNIST/raw")
def test_real_mnist_has_its_known_numbers():
    train, test = data.load("mnist", root=ROOT), data.load("mnist", "test", root=ROOT)
    assert (train.images.shape, test.images.shape) == ((60_000, 1, 28, 28), (10_000, 1, 28, 28))
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    np.testing.assert_allclose(train.images.float().mean() / 255, 0.1307, atol=5e-5)  # as widely quoted


@real("cifar10/test")
def test_real_cifar10_has_a_thousand_test_images_a_class_and_their_pixels():
    images, labels, _ = data.load("cifar10", "test", root=ROOT)
    assert labels.bincount().tolist() == [1000] * 10
    frogs = sorted((ROOT / "cifar10" / "test" / "frog").iterdir(), key=lambda path: path.name)
    with Image.open(frogs[41]) as frog:
        pixels = torch.tensor([[frog.getpixel((x, y)) for x in range(32)] for y in range(32)]).permute(2, 0, 1)
    chosen = images[labels == 6].long()
    torch.testing.assert_close(chosen[41], pixels)
    assert (chosen[40] - pixels).abs().float().mean() > 5


@real("tiny-imagenet-200/val")
def test_real_tiny_imagenet_labels_agree_with_the_annotations():
    folder = ROOT / "tiny-imagenet-200"
    images, labels, classes = data.load("tiny-imagenet", "val", root=ROOT)
    assert images.shape == (10_000, 3, 64, 64)
    assert len(set(classes)) == 200
    words = dict(line.split("\t") for line in (folder / "words.txt").read_text().splitlines())
    lines = [line.split("\t")[:2] for line in (folder / "val" / "val_annotations.txt").read_text().splitlines()]
    for k, (wnid, file) in enumerate(sorted((wnid, file) for file, wnid in lines)):
        assert words[wnid].startswith(classes[labels[k]]), f"image {k}, {file}"
        if k % 1999 == 0:
            with Image.open(folder / "val" / "images" / file) as image:
                np.testing.assert_array_equal(images[k].permute(1, 2, 0), np.array(image.convert("RGB")))


def test_the_state_of_a_set_changes_with_its_files_only(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    assert data.state("mnist", tmp_path) == "absent"
    raw.mkdir(parents=True)
    (raw / "a").write_bytes(b"1")
    before = data.state("mnist", tmp_path)
    (tmp_path / "other").write_bytes(b"2")
    assert data.state("mnist", tmp_path) == before
    (raw / "a").write_bytes(b"12")
    assert data.state("mnist", tmp_path) != before
    assert data.state("digits", tmp_path) == "embedded"
