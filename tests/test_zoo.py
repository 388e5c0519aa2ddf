"""A zoo: the same networks whoever trains them, each trained once, whatever is killed, damaged or in the way."""

import io
import shutil
from collections import Counter, namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from actlib import grids, populations, shards, zoo
from actlib.data import Images

PACKAGE = Path(zoo.__file__).parents[1]


def drawn(n=40, *, seed=0, size=16):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 10
    images = torch.randint(0, 30, (n, 1, size, size), dtype=torch.uint8, generator=generator)
    for k, label in enumerate(labels):
        images[k, 0, label] = 250  # the class is the bright row
    return Images(images, labels, tuple("0123456789"))


DATA, TEST = drawn(), drawn(30, seed=1)
SETTINGS = [
    grids.Setting(("adam", "sgd")[n % 2], 0.005, 0.0, 1 + 2 * (n % 3), n, "default", (16, 8)[n // 2 % 2])
    for n in range(7)
]


def fitted(folder, settings=SETTINGS, data=DATA, **options):
    options = {"n_workers": 1, "shard_size": 2, "progress": False} | options
    if "executor" in options:
        options.pop("n_workers")
    return zoo.fit(settings, data.images, data.labels, folder, **options)


@pytest.fixture
def trained(monkeypatch):
    """Return a counter of the seeds of the networks that are trained in this process."""
    counter, fit = Counter(), populations.fit

    def counting(settings, *arguments, **options):
        counter.update(setting.seed for setting in settings)
        return fit(settings, *arguments, **options)

    monkeypatch.setattr(populations, "fit", counting)
    return counter


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a finished folder, to be read only."""
    folder = tmp_path_factory.mktemp("zoo") / "whole"
    fitted(folder, test=TEST)
    return folder


@pytest.fixture
def copy(folder, tmp_path):
    """Return a finished folder that may be changed."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def stamps(folder):
    """Return inode and time of each shard: they change when it is written again."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("shard-*")}


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_the_zoo_is_the_population_in_the_order_of_the_settings(folder):
    expected = populations.fit(SETTINGS, DATA.images, DATA.labels)
    found = zoo.open(folder)
    assert len(found) == 7
    assert found.settings == SETTINGS
    assert_close(found.state(), expected, rtol=0, atol=0)
    assert_close(found.accuracies, populations.accuracies(expected, TEST.images, TEST.labels), rtol=0, atol=0)
    assert not found.diverged.any()
    assert names(folder) == ["plan.json", *(f"shard-{n:05}.safetensors" for n in range(4))]


def test_without_test_images_the_accuracy_is_that_of_the_training_images(tmp_path):
    found = fitted(tmp_path, SETTINGS[:2])
    state = populations.fit(SETTINGS[:2], DATA.images, DATA.labels)
    assert_close(found.accuracies, populations.accuracies(state, DATA.images, DATA.labels), rtol=0, atol=0)


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_the_size_of_the_shards_does_not_show(folder, tmp_path, size):
    assert_close(fitted(tmp_path, shard_size=size).state(), zoo.open(folder).state(), rtol=0, atol=0)
    assert len(stamps(tmp_path)) == -(-7 // size)


def test_shards_hold_one_batch_size_first_and_long_runs_first():
    order = [
        n for members in zoo.zoo_runs.plan(Path("none"), SETTINGS, {"backend": "loop"}, 1).members for n in members
    ]
    keys = [(SETTINGS[n].batch_size, -SETTINGS[n].epochs) for n in order]
    assert keys == sorted(keys)


def test_a_selection_brings_its_own_networks(folder):
    found, state = zoo.open(folder), zoo.open(folder).state()
    some = found.select([5, 0, 3])
    assert some.settings == [SETTINGS[5], SETTINGS[0], SETTINGS[3]]
    assert_close(some.state(), {name: value[[5, 0, 3]] for name, value in state.items()}, rtol=0, atol=0)
    again = some.select(torch.tensor([False, True, True]))
    assert again.numbers.tolist() == [0, 3]
    assert_close(again.accuracies, found.accuracies[[0, 3]], rtol=0, atol=0)
    assert_close(again.state()["fc3.bias"], state["fc3.bias"][[0, 3]], rtol=0, atol=0)
    with pytest.raises(IndexError):
        found.select([7])
    for nothing in ([], torch.zeros(7, dtype=torch.bool)):
        with pytest.raises(ValueError, match="the selection from 7 networks is empty"):
            found.select(nothing)


def test_the_parts_are_the_shards(folder):
    some = zoo.open(folder).select([6, 1, 2])
    found = {
        n: row for part, state in some.parts() for n, row in zip(part.numbers.tolist(), state["fc3.bias"], strict=True)
    }
    whole = zoo.open(folder).state()["fc3.bias"]
    assert sorted(found) == [1, 2, 6]
    for n, row in found.items():
        assert_close(row, whole[n], rtol=0, atol=0)
    assert all(len(part) == len(state["fc3.bias"]) <= 2 for part, state in some.parts())


def test_the_networks_as_modules_say_what_the_population_says(folder):
    some = zoo.open(folder).select([4, 2])
    logits = populations.logits(some.state(), TEST.images)
    for model, expected in zip(some.models(), logits, strict=True):
        assert not model.training
        with torch.no_grad():
            assert_close(model(TEST.images / 255), expected, rtol=1e-4, atol=1e-5)


def test_only_accurate_networks_are_kept(folder):
    found = zoo.open(folder)
    limit = found.accuracies.unique()[1].item()
    kept = found.keep(limit)
    assert kept.numbers.tolist() == [n for n in range(7) if found.accuracies[n] >= limit]
    assert 0 < len(kept) < 7
    with pytest.raises(
        ValueError, match=r"none of 7 networks reaches accuracy 1.1, the best has 0\.\d+; lower minimum"
    ):
        found.keep(1.1)


def test_networks_that_diverged_are_kept_and_told(tmp_path):
    wild = SETTINGS[0]._replace(learning_rate=1e30, weight_decay=1.0, epochs=3)
    found = fitted(tmp_path, [SETTINGS[1], wild])
    assert found.diverged.tolist() == [False, True]
    assert zoo.open(tmp_path).diverged.tolist() == [False, True]
    assert not found.state()["fc3.bias"][1].isfinite().all()


def test_a_finished_zoo_is_not_trained_again(copy, trained):
    before = stamps(copy)
    again = fitted(copy, test=TEST)
    assert fitted(copy, test=TEST, shard_size=None).settings == again.settings
    assert not trained
    assert stamps(copy) == before
    assert_close(again.accuracies, zoo.open(copy).accuracies, rtol=0, atol=0)


def test_only_what_is_missing_or_damaged_is_trained(copy, folder, trained):
    shards.path(copy, 1).unlink()
    content = bytearray(shards.path(copy, 2).read_bytes())
    content[-3] ^= 16
    shards.path(copy, 2).write_bytes(content)
    before, members = stamps(copy), shards.read(copy).members
    with pytest.warns(UserWarning, match=r"shard-00002.safetensors is damaged.*it will be made again") as caught:
        again = fitted(copy, test=TEST)
    assert len(caught) == 1
    assert trained == Counter(members[1] + members[2])
    after = stamps(copy)
    assert [name for name in before if after[name] == before[name]] == [
        "shard-00000.safetensors",
        "shard-00003.safetensors",
    ]
    assert_close(again.state(), zoo.open(folder).state(), rtol=0, atol=0)


def test_a_damaged_plan_is_written_again_and_nothing_is_trained(copy, trained):
    (copy / "plan.json").write_text('{"settings": [')
    with pytest.warns(UserWarning, match=r"plan.json is damaged: writing it again"):
        fitted(copy, test=TEST)
    assert not trained
    assert zoo.open(copy).settings == SETTINGS


def other_torch(monkeypatch):
    monkeypatch.setattr(torch, "__version__", "1.0")
    return {}


def other_code(monkeypatch):
    original = zoo.zoo_runs.inspect.getsource
    monkeypatch.setattr(
        zoo.zoo_runs.inspect, "getsource", lambda m: original(m) + ("\nx = 1" if m is populations else "")
    )
    return {}


def comments(monkeypatch):
    original = zoo.zoo_runs.inspect.getsource
    monkeypatch.setattr(zoo.zoo_runs.inspect, "getsource", lambda m: original(m) + "\n# more")
    return {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: {"settings": SETTINGS[:6]}, r"it has 7 settings, here are 6\."),
        (lambda _: {"settings": [*SETTINGS[:6], SETTINGS[0]]}, r"; the first other one is number 6\."),
        (lambda _: {"data": drawn(seed=2)}, r"images is uint8 \(40, 1, 16, 16\) \w+ there and uint8 .* here\."),
        (lambda _: {"data": DATA._replace(labels=DATA.labels.flip(0))}, r": labels is int64 \(40,\) \w+ there and"),
        (lambda _: {"test": DATA}, r": test is uint8 \(30, .* there and uint8 \(40, .* here\."),
        (lambda _: {"test": None}, r": test is uint8 .* there and the training images here\."),
        (lambda _: {"n_classes": 11}, r": classes is 10 there and 11 here\."),
        (lambda _: {"backend": "vmap"}, r": backend is loop there and vmap here\."),
        (lambda _: {"shard_size": 3}, r": it has 2 networks a shard, here are 3\."),
        (other_torch, r": torch is .* there and 1.0 here\."),
        (other_code, r": code is .* there and .* here\."),
    ],
)
def test_a_folder_of_another_run_is_refused_and_stays(copy, monkeypatch, trained, change, message):
    before = stamps(copy)
    options = {"test": TEST} | change(monkeypatch)
    with pytest.raises(ValueError, match=r"copy belongs to another run.*" + message):
        fitted(copy, **options)
    assert stamps(copy) == before
    assert not trained


def test_comments_in_the_code_do_not_count(copy, monkeypatch, trained):
    fitted(copy, test=TEST, **comments(monkeypatch))
    assert not trained


def test_any_executor_makes_the_same_zoo(folder, tmp_path):
    with ThreadPoolExecutor(2) as executor:
        found = fitted(tmp_path / "a", test=TEST, executor=executor)
    assert_close(found.state(), zoo.open(folder).state(), rtol=0, atol=0)


def test_all_networks_of_a_shard_at_once_are_the_same_but_for_rounding(folder, tmp_path):
    found = fitted(tmp_path, backend="vmap")
    assert_close(found.state(), zoo.open(folder).state(), rtol=1e-3, atol=1e-4)
    assert shards.read(tmp_path).configuration["backend"] == "vmap"


def test_the_bar_counts_passes_and_begins_where_the_run_does(copy, monkeypatch):
    class Bar(zoo.tqdm):
        def __init__(self, **options):
            super().__init__(**options | {"disable": False, "file": io.StringIO()})
            bars.append(self)

    bars = []
    monkeypatch.setattr(zoo, "tqdm", Bar)
    members = shards.read(copy).members
    for number in (1, 3):
        shards.path(copy, number).unlink()
    fitted(copy, test=TEST, progress=True)
    (bar,) = bars
    total = sum(setting.epochs for setting in SETTINGS)
    missing = sum(SETTINGS[n].epochs for number in (1, 3) for n in members[number])
    assert (bar.total, bar.initial, bar.n, bar.unit) == (total, total - missing, total, "epoch")


def test_an_unfinished_folder_is_not_opened(copy):
    shards.path(copy, 1).unlink()
    with pytest.raises(ValueError, match=r"has 3 of 4 shards; call zoo.fit with it, which goes on there"):
        zoo.open(copy)


def test_a_folder_without_a_zoo_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"plan.json does not exist"):
        zoo.open(tmp_path)


def test_a_shard_that_is_damaged_after_opening_is_seen_when_it_is_read(copy):
    found = zoo.open(copy)
    content = bytearray(shards.path(copy, 2).read_bytes())
    content[-3] ^= 16
    shards.path(copy, 2).write_bytes(content)
    with pytest.raises(ValueError, match=r"shard-00002.safetensors is damaged"):
        found.state()


# Nothing at all, or all but 64 MiB for the images and one shard of four.
@pytest.mark.parametrize("free", [0, (64 << 20) + 200_000])
def test_a_full_disk_is_told_before_training_and_leaves_nothing(tmp_path, monkeypatch, trained, free):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, free))
    with pytest.raises(OSError, match=r"MiB free; make room"):
        fitted(tmp_path / "zoo")
    assert not trained
    assert names(tmp_path / "zoo") == []


def test_what_was_finished_stays_when_the_disk_fills(tmp_path, monkeypatch, trained):
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, (1 << 40) * (not shards.path(tmp_path, 1).exists())))
        with pytest.raises(OSError, match=r"shard-00002.safetensors needs") as caught:
            fitted(tmp_path)
    assert any("2 of 4 shards are finished" in note for note in caught.value.__notes__)
    before = stamps(tmp_path)
    assert len(before) == 2
    assert len(trained) == 4
    fitted(tmp_path)
    assert stamps(tmp_path).items() >= before.items()
    assert set(trained.values()) == {1}


def refuse(*_args, **_options):
    raise PermissionError(13, "Permission denied")


def test_a_read_only_folder_is_opened_when_finished_and_else_told(copy, monkeypatch, trained):
    monkeypatch.setattr(zoo.store.filelock.FileLock, "acquire", refuse)
    monkeypatch.setattr(zoo.store, "atomic", refuse)
    assert len(fitted(copy, test=TEST)) == len(zoo.open(copy)) == 7
    shards.path(copy, 3).unlink()
    with pytest.raises(PermissionError) as caught:
        fitted(copy, test=TEST)
    notes = "\n".join(caught.value.__notes__)
    assert "cannot be written to: give a folder that can, or a finished one" in notes
    assert "3 of 4 shards are finished" in notes
    assert not trained


def test_a_failure_before_the_first_shard_does_not_bind_the_folder(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(populations, "fit", lambda *_a, **_k: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fitted(tmp_path)
    assert len(fitted(tmp_path, SETTINGS[:3])) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"settings": []}, "there are no settings"),
        ({"settings": [SETTINGS[0]._replace(learning_rate=0.0)]}, r"learning_rate = 0.0"),
        ({"backend": "gpu"}, r"backend = 'gpu'; give 'auto', 'loop' or 'vmap'"),
        ({"shard_size": 0}, r"7 settings, shard_size = 0; give at least 1"),
        ({"n_workers": 0}, r"n_workers = 0; give at least 1"),
        ({"data": DATA._replace(images=DATA.images[0])}, r"images have shape \(1, 16, 16\), labels \(40,\)"),
        ({"data": DATA._replace(images=DATA.images[..., 1:])}, r"images have shape \(40, 1, 16, 15\)"),
        ({"data": DATA._replace(labels=DATA.labels[1:])}, r"labels \(39,\); give \(n, c, h, h\) and \(n,\)"),
        (
            {"data": DATA._replace(labels=DATA.labels.int())},
            r"labels of the images are torch.int32, 0 to 9; give int64",
        ),
        ({"data": DATA._replace(labels=DATA.labels + 1)}, r"1 to 10; give int64, 0 to 9, or n_classes"),
        ({"data": Images(DATA.images[:0], DATA.labels[:0], ())}, r"torch.int64, none; give"),
        ({"test": drawn(size=17)}, r"test images have shape \(40, 1, 17, 17\).* the same c and h in training and test"),
        ({"test": TEST._replace(labels=TEST.labels - 1)}, r"labels of the test images are torch.int64, -1 to 8"),
    ],
)
def test_impossible_input_is_refused_before_anything_is_written(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        fitted(tmp_path / "zoo", **options)
    assert not (tmp_path / "zoo").exists() or names(tmp_path / "zoo") == []


def test_without_a_folder_the_cache_keeps_each_zoo_apart(tmp_path, monkeypatch, trained):
    monkeypatch.setenv("ACTLIB_CACHE", str(tmp_path))
    first, again = fitted(None), fitted(None)
    assert first.folder == again.folder
    assert first.folder.is_relative_to(tmp_path)
    assert set(trained.values()) == {1}, "the second call trained again"
    fewer, other = fitted(None, SETTINGS[:3]), fitted(None, data=drawn(seed=5))
    assert len({first.folder, fewer.folder, other.folder}) == 3
