import json
import shutil
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from actlib import folders, store


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ACTLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def random_pixels(seed, width=12, height=10):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture
def animals(tmp_path):
    """Two classes with three images each; the pixels of ``<class>/<k>`` come from a known seed."""
    for label, name in enumerate(("ant", "bee")):
        for k in range(3):
            save(tmp_path / "animals" / name / f"{k}.png", random_pixels(10 * label + k))
    return tmp_path / "animals"


def planted():
    return np.stack([random_pixels(seed).transpose(2, 0, 1) for seed in (0, 1, 2, 10, 11, 12)])


def caches(cache):
    """Return the folders and files of the cache but for lock files."""
    return [path for path in cache.glob("images/*") if path.suffix != ".lock"]


def no_decoding(*_):
    raise AssertionError("a file was decoded again")


def test_class_folders_give_their_pixels_labels_and_classes_in_order(animals):
    images, labels, classes = folders.read(animals, progress=False)
    torch.testing.assert_close(images, torch.from_numpy(planted()))
    torch.testing.assert_close(labels, torch.tensor([0, 0, 0, 1, 1, 1]))
    assert classes == ("ant", "bee")


def test_classes_are_sorted_whatever_the_order_of_the_folders(tmp_path):
    names = [f"class {k * 7 % 11:02d}" for k in range(11)]
    for name in names:
        save(tmp_path / "set" / name / "0.png", np.full((2, 2, 3), int(name[-2:]), dtype=np.uint8))
    images, labels, classes = folders.read(tmp_path / "set")
    assert classes == tuple(sorted(names))
    torch.testing.assert_close(images[:, 0, 0, 0].long(), labels)


def test_only_so_many_files_of_each_class_are_taken(animals):
    images, labels, _ = folders.read(animals, per_class=2)
    torch.testing.assert_close(images, torch.from_numpy(planted()[[0, 1, 3, 4]]))
    torch.testing.assert_close(labels, torch.tensor([0, 0, 1, 1]))


def test_hidden_files_and_files_that_are_no_images_are_passed_over(animals):
    (animals / "ant" / ".hidden.png").write_bytes(b"no image")
    (animals / "ant" / "notes.txt").write_text("no image")
    (animals / ".git").mkdir()
    (animals / "readme.md").write_text("no class")
    assert len(folders.read(animals)[0]) == 6


def test_an_images_folder_inside_each_class_is_read_as_tiny_imagenet_has_it(tmp_path):
    for label, name in enumerate(("n2", "n1")):
        save(tmp_path / "train" / name / "images" / f"{name}_0.PNG", random_pixels(label))
        (tmp_path / "train" / name / f"{name}_boxes.txt").write_text(f"{name}_0.PNG\t0\t0\t1\t1\n")
    images, labels, classes = folders.read(tmp_path / "train")
    assert classes == ("n1", "n2")
    torch.testing.assert_close(labels, torch.tensor([0, 1]))
    torch.testing.assert_close(images[0], torch.from_numpy(random_pixels(1).transpose(2, 0, 1)))


@pytest.fixture
def annotated(tmp_path):
    for k in range(3):
        save(tmp_path / "val" / "images" / f"val_{k}.png", random_pixels(k))
    (tmp_path / "val" / "val_annotations.txt").write_text(
        "".join(f"val_{k}.png\t{wnid}\t0\t0\t5\t5\n" for k, wnid in enumerate(("n9", "n1", "n9")))
    )
    return tmp_path / "val"


def test_annotations_give_the_labels_of_a_folder_of_images(annotated):
    images, labels, classes = folders.read(annotated)
    assert classes == ("n1", "n9")
    torch.testing.assert_close(labels, torch.tensor([0, 1, 1]))
    expected = np.stack([random_pixels(k).transpose(2, 0, 1) for k in (1, 0, 2)])
    torch.testing.assert_close(images, torch.from_numpy(expected))


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", ValueError, "val_annotations.txt is empty"),
        ("val_0.png n1\n", ValueError, "val_annotations.txt, line 1: 'val_0.png n1' is not a file and a class"),
        (
            "val_0.png\tn1\nval_7.png\tn1\n",
            FileNotFoundError,
            r"val_7.png is missing though .*val_annotations.txt names",
        ),
    ],
)
def test_damaged_annotations_are_named(annotated, text, error, message):
    (annotated / "val_annotations.txt").write_text(text)
    with pytest.raises(error, match=message):
        folders.read(annotated)


@pytest.mark.parametrize(("width", "height"), [(40, 30), (30, 41), (20, 20), (9, 17)])
def test_resizing_equals_that_of_torchvision(tmp_path, width, height):
    pixels = random_pixels(0, width, height)
    save(tmp_path / "set" / "a" / "0.png", pixels)
    expected = torchvision.transforms.Compose(
        [
            torchvision.transforms.Resize(20, torchvision.transforms.InterpolationMode.BICUBIC),
            torchvision.transforms.CenterCrop(20),
            torchvision.transforms.PILToTensor(),
        ]
    )(Image.fromarray(pixels))
    torch.testing.assert_close(folders.read(tmp_path / "set", size=20)[0][0], expected)


def test_another_size_is_another_cache_and_images_of_that_size_keep_their_pixels(tmp_path):
    save(tmp_path / "set" / "a" / "0.png", random_pixels(0, 12, 12))
    exact = torch.from_numpy(random_pixels(0, 12, 12).transpose(2, 0, 1))
    assert folders.read(tmp_path / "set", size=6)[0].shape == (1, 3, 6, 6)
    torch.testing.assert_close(folders.read(tmp_path / "set", size=12)[0][0], exact)


def test_grey_palette_and_transparent_images_become_rgb(tmp_path):
    colour = Image.fromarray(np.full((4, 4, 3), (200, 100, 50), dtype=np.uint8))
    palette = colour.copy()
    palette.putpixel((3, 3), (0, 0, 0))
    palette = palette.convert("P", palette=Image.Palette.ADAPTIVE)
    palette.info["transparency"] = b"\x40\x80"
    for name, image in {"0": colour.convert("L"), "1": palette, "2": colour.convert("RGBA")}.items():
        (tmp_path / "set" / "a").mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / "set" / "a" / f"{name}.png")
    images, _, _ = folders.read(tmp_path / "set")
    grey = round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    assert images[:, :, 0, 0].tolist() == [[grey] * 3, [200, 100, 50], [200, 100, 50]]


def test_sixteen_bit_images_are_refused_because_their_values_would_be_cut_off(tmp_path):
    save(tmp_path / "set" / "a" / "0.png", np.full((4, 4), 40_000, dtype=np.uint16))
    with pytest.raises(ValueError, match=r"0.png cannot be decoded \(its pixels are I;16, not 8 bit\)"):
        folders.read(tmp_path / "set")


def test_images_of_unequal_size_are_refused_by_name_and_leave_no_cache(animals, cache):
    save(animals / "bee" / "1.png", random_pixels(0, width=7))
    with pytest.raises(ValueError, match=r"ant/0.png is 12 x 10 pixels, .*bee/1.png is 7 x 10: give size"):
        folders.read(animals)
    assert caches(cache) == []
    assert folders.read(animals, size=8)[0].shape == (6, 3, 8, 8)


@pytest.mark.parametrize("suffix", ["webp", "jpeg", "png"])
@pytest.mark.parametrize("share", [0, 0.3, 0.8])
def test_a_truncated_image_is_named_and_leaves_no_cache(animals, cache, suffix, share):
    path = animals / "bee" / f"broken.{suffix}"
    save(path, random_pixels(0, 12, 10))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    before = path.read_bytes()
    with pytest.raises(ValueError, match=rf"bee/broken.{suffix} cannot be decoded .*; replace or remove the file"):
        folders.read(animals)
    assert caches(cache) == []
    assert path.read_bytes() == before
    path.unlink()
    assert len(folders.read(animals)[0]) == 6


def test_text_with_the_suffix_of_an_image_is_named(animals):
    (animals / "ant" / "text.webp").write_text("this is no image")
    with pytest.raises(ValueError, match=r"ant/text.webp cannot be decoded"):
        folders.read(animals)


def test_a_folder_without_classes_or_a_class_without_images_is_named(animals, tmp_path):
    (animals / "cat").mkdir()
    with pytest.raises(ValueError, match=r"the class folder .*cat holds no image"):
        folders.read(animals)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty holds no class folders; expected"):
        folders.read(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder; give one that holds"):
        folders.read(tmp_path / "nowhere")


@pytest.mark.parametrize("option", ["size", "per_class"])
def test_an_option_below_one_is_refused(animals, option):
    with pytest.raises(ValueError, match=f"{option} = 0; it must be at least 1, or None"):
        folders.read(animals, **{option: 0})


def test_files_are_decoded_once(animals, monkeypatch):
    first = folders.read(animals)
    monkeypatch.setattr(folders, "_decode", no_decoding)
    torch.testing.assert_close(folders.read(animals)[:2], first[:2])


def test_a_file_that_changed_is_decoded_again(animals):
    folders.read(animals)
    save(animals / "ant" / "0.png", random_pixels(99))
    torch.testing.assert_close(folders.read(animals)[0][0], torch.from_numpy(random_pixels(99).transpose(2, 0, 1)))


def test_another_folder_with_the_same_names_sizes_and_times_has_its_own_cache(tmp_path):
    for name, value in (("one", 10), ("two", 20)):
        save(tmp_path / name / "a" / "0.bmp", np.full((4, 4, 3), value, dtype=np.uint8))
    shutil.copystat(tmp_path / "one" / "a" / "0.bmp", tmp_path / "two" / "a" / "0.bmp")
    assert [int(folders.read(tmp_path / name)[0].max()) for name in ("one", "two")] == [10, 20]


def test_writing_to_the_images_leaves_the_cache_as_it_was(animals):
    images = folders.read(animals)[0]
    images.zero_()
    torch.testing.assert_close(folders.read(animals)[0], torch.from_numpy(planted()))


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-5])


def other_json(path):
    path.write_text("[]")


def forget_classes(path):
    path.write_text(json.dumps({**json.loads(path.read_text()), "about": {}}))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("images.npy", flip), ("images.npy", cut), ("labels.npy", flip), ("labels.npy", lambda path: path.unlink()),
        ("manifest.json", cut), ("manifest.json", other_json), ("manifest.json", forget_classes),
    ],
)  # fmt: skip
def test_a_damaged_cache_is_made_again_with_a_warning(animals, cache, name, damage):
    folders.read(animals)
    damage(next(cache.rglob(name)))
    with pytest.warns(UserWarning, match=r"the cache .* is damaged .*animals is decoded again"):
        images, labels, classes = folders.read(animals)
    torch.testing.assert_close(images, torch.from_numpy(planted()))
    assert (labels.tolist(), classes) == ([0, 0, 0, 1, 1, 1], ("ant", "bee"))
    folders.read(animals)  # and now without a warning


def test_what_a_killed_run_left_is_removed_and_made_again(animals, cache):
    folders.read(animals)
    target = next(cache.rglob("manifest.json")).parent
    (target / "manifest.json").unlink()
    (target / "images.npy").rename(target / ".images.0123456789ab.npy")
    torch.testing.assert_close(folders.read(animals)[0], torch.from_numpy(planted()))
    assert sorted(path.name for path in target.iterdir()) == ["images.npy", "labels.npy", "manifest.json"]


def test_a_full_disk_is_told_before_anything_is_written(animals, cache, monkeypatch):
    monkeypatch.setattr(store.shutil, "disk_usage", lambda folder: SimpleNamespace(free=0))
    with pytest.raises(OSError, match=r"images.npy needs .* MiB .* make room, or set ACTLIB_CACHE"):
        folders.read(animals)
    assert caches(cache) == []


def test_two_readers_at_once_decode_the_files_once(animals, monkeypatch):
    decoded, results = [], []
    original = folders._decode

    def counting(path, size):
        decoded.append(path)
        return original(path, size)

    monkeypatch.setattr(folders, "_decode", counting)
    readers = [threading.Thread(target=lambda: results.append(folders.read(animals)[0])) for _ in range(3)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert len(results) == 3
    assert len(decoded) == 7, "the first file gives the shape and is decoded twice"


def test_batches_are_joined_in_order(animals, monkeypatch):
    monkeypatch.setattr(folders, "_BATCH", 4)
    torch.testing.assert_close(folders.read(animals)[0], torch.from_numpy(planted()))
