"""Pairs on disk: arrays as a plain forward pass gives them, nothing half-written, nothing foreign replaced."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from actlib import models, pairs, robustness, store

OPTIONS = {"n_copies": 20, "progress": False}


def seeded(seed=42):
    return torch.Generator().manual_seed(seed)


def study(m=3, n=40):
    """Networks, their stacked parameters, images, labels and a selection with unequal shares."""
    nets = [models.lenet5(generator=seeded(k)).eval() for k in range(m)]
    images = torch.rand(n, 1, 28, 28, generator=seeded(9))
    predictions = torch.stack([net(images).argmax(1) for net in nets])
    labels = torch.randint(10, (n,), generator=seeded(3))
    labels[: n // 2] = predictions[0, : n // 2]
    selection = robustness.select(predictions, labels, 2)
    return nets, torch.func.stack_module_state(nets)[0], images, labels, selection


def by_hand(net, image):
    """The last four layers from the weights alone."""
    maps = F.max_pool2d(F.relu(F.conv2d(image[None], net.conv1.weight, net.conv1.bias)), 2)
    maps = F.max_pool2d(F.relu(F.conv2d(maps, net.conv2.weight, net.conv2.bias)), 2).flatten()
    fc1 = F.relu(net.fc1.weight @ maps + net.fc1.bias)
    fc2 = F.relu(net.fc2.weight @ fc1 + net.fc2.bias)
    return {"pool2": maps, "fc1": fc1, "fc2": fc2, "fc3": net.fc3.weight @ fc2 + net.fc3.bias}


@torch.no_grad()
def test_arrays_are_those_of_a_forward_pass_for_each_pair(tmp_path):
    nets, state, images, labels, selection = study()
    written = pairs.write(tmp_path / "p", state, images, labels, selection, generator=seeded(), **OPTIONS)
    assert [written[k].shape[1] for k in range(4)] == [256, 120, 84, 10]
    assert {array.dtype for array in written[:5]} == {np.dtype("float32")}
    expected = robustness.selected_ratios(state, images, selection, generator=seeded(), n_copies=20)
    np.testing.assert_allclose(written.ratio, expected, rtol=0, atol=1e-7)
    for k, (model, image) in enumerate(zip(selection.model.tolist(), selection.image.tolist(), strict=True)):
        assert (written.model[k], written.image[k], written.ground[k]) == (model, image, labels[image])
        outputs = by_hand(nets[model], images[image])
        for key, values in outputs.items():
            np.testing.assert_allclose(getattr(written, key)[k], values, rtol=0, atol=1e-5)
        assert written.predicted[k] == outputs["fc3"].argmax()
        assert written.type[k] == (outputs["fc3"].argmax() == labels[image])
    assert 0 < written.type.mean() < 1
    assert written.fc1.min() == written.fc2.min() == 0
    assert written.fc3.min() < 0


def test_what_was_read_is_what_was_written_and_anyone_can_read_it(tmp_path):
    _, state, images, labels, selection = study()
    more = {"accuracies": [0.5, 0.6, 0.7]}
    made = pairs.write(
        tmp_path / "p", state, images, labels, selection, generator=seeded(5), sigma=0.3, about=more, **OPTIONS
    )
    read = pairs.read(tmp_path / "p", deep=True)
    for key, array in zip(pairs.Pairs._fields[:-1], read[:-1], strict=True):
        np.testing.assert_array_equal(array, np.load(tmp_path / "p" / f"{key}.npy"))
        np.testing.assert_array_equal(array, getattr(made, key))
        assert not array.flags.writeable
    assert read.about["more"] == more
    assert (read.about["sigma"], read.about["seed"], read.about["noise"]) == (0.3, 5, "common")
    again = pairs.write(tmp_path / "q", state, images, labels, selection, generator=seeded(5), sigma=0.3, **OPTIONS)
    assert store.hash_file(tmp_path / "p" / "ratio.npy") == store.hash_file(tmp_path / "q" / "ratio.npy")
    assert again.about["more"] == {}


def test_a_network_alone_and_uint8_images_do_as_well(tmp_path):
    nets, _, images, labels, _ = study(1)
    images = (images * 255).byte()
    selection = robustness.select(nets[0](images.float() / 255).argmax(1), labels, 1)
    nets[0].train()
    found = pairs.write(tmp_path / "p", nets[0], images, labels, selection, generator=seeded(), **OPTIONS)
    assert len(found.ratio) == len(selection.image)
    assert nets[0].training
    outputs = by_hand(nets[0], images[found.image[0]].float() / 255)
    np.testing.assert_allclose(found.fc3[0], outputs["fc3"].detach(), rtol=0, atol=1e-5)


def test_the_plan_says_the_size_before_the_work(tmp_path, capsys):
    _, state, images, labels, selection = study()
    size = pairs.plan(state, images, selection)
    p = len(selection.image)
    assert size.n_bytes() == p * (4 * (256 + 120 + 84 + 10 + 1) + 1 + 8 * 4)
    pairs.write(tmp_path / "p", state, images, labels, selection, generator=seeded(), n_copies=5)
    assert f"{p} pairs of 3 networks, 0.1 MiB" in capsys.readouterr().out
    on_disk = sum(path.stat().st_size for path in (tmp_path / "p").glob("*.npy"))
    assert on_disk == size.n_bytes() + 10 * 128  # a head an array
    whole = pairs.Plan(3_973, 788_000, {key: ((788_000, *s[1:]), kind) for key, (s, kind) in size.arrays.items()})
    assert str(whole) == "788,000 pairs of 3,973 networks, 1,440.6 MiB"


def test_a_disk_without_room_is_noticed_before_the_work(tmp_path, monkeypatch):
    _, state, images, labels, selection = study()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1 << 30, 1 << 30, 1 << 20))
    monkeypatch.setattr(robustness, "selected_ratios", lambda *args, **options: pytest.fail("work was done"))
    with pytest.raises(OSError, match="MiB free"):
        pairs.write(tmp_path / "p", state, images, labels, selection, generator=seeded(), **OPTIONS)
    assert not (tmp_path / "p").exists()


def test_a_failure_leaves_the_earlier_pairs_as_they_were(tmp_path, monkeypatch):
    _, state, images, labels, selection = study()
    folder = tmp_path / "p"
    pairs.write(folder, state, images, labels, selection, generator=seeded(), **OPTIONS)
    before = {path.name: store.hash_file(path) for path in folder.iterdir()}

    def fail(*args, **options):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(robustness, "selected_ratios", fail)
        with pytest.raises(OSError, match="no space left"):
            pairs.write(folder, state, images, labels, selection, generator=seeded(1), **OPTIONS)
    assert {path.name: store.hash_file(path) for path in folder.iterdir()} == before
    pairs.read(folder, deep=True)
    with monkeypatch.context() as patch:  # between new files and their manifest: no old one vouches for them
        patch.setattr(store, "write_manifest", fail)
        with pytest.raises(OSError, match="no space left"):
            pairs.write(folder, state, images, labels, selection, generator=seeded(1), **OPTIONS)
    with pytest.raises(FileNotFoundError):
        pairs.read(folder)
    pairs.write(folder, state, images, labels, selection, generator=seeded(1), sigma=0.2, **OPTIONS)
    assert pairs.read(folder, deep=True).about["sigma"] == 0.2


KILLED = """
import sys, time
sys.path.insert(0, sys.argv[2])
import torch
from test_pairs import study
from actlib import pairs, robustness
def wait(*args, **options):
    print("ready", flush=True)
    time.sleep(60)
robustness.selected_ratios = wait
_, state, images, labels, selection = study()
pairs.write(sys.argv[1], state, images, labels, selection, generator=torch.Generator(), progress=False)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_run_leaves_nothing_that_reads_as_pairs_and_the_next_cleans_up(tmp_path):
    folder = tmp_path / "p"
    command = [sys.executable, "-c", KILLED, str(folder), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout.readline() == "ready\n"
        run.kill()
    with pytest.raises(FileNotFoundError):
        pairs.read(folder)
    assert list(folder.glob(".*.npy"))
    _, state, images, labels, selection = study()
    start = time.monotonic()
    pairs.write(folder, state, images, labels, selection, generator=seeded(), **OPTIONS)
    assert time.monotonic() - start < 30  # the lock died with its holder
    assert not list(folder.glob(".*.npy"))
    pairs.read(folder, deep=True)


def test_damage_is_noticed(tmp_path):
    _, state, images, labels, selection = study()
    folder = tmp_path / "p"
    pairs.write(folder, state, images, labels, selection, generator=seeded(), **OPTIONS)
    content = bytearray((folder / "fc2.npy").read_bytes())
    content[-1] ^= 1
    (folder / "fc2.npy").write_bytes(content)
    pairs.read(folder)  # the size is the same
    with pytest.raises(ValueError, match=r"fc2\.npy is damaged"):
        pairs.read(folder, deep=True)
    (folder / "fc2.npy").write_bytes(content[:-1])
    with pytest.raises(ValueError, match=r"fc2\.npy is damaged"):
        pairs.read(folder)
    (folder / "fc2.npy").unlink()
    with pytest.raises(ValueError, match=r"fc2\.npy is missing"):
        pairs.read(folder)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    _, state, images, labels, selection = study()
    (tmp_path / "manifest.json").write_text(json.dumps({"about": {"content": "activations"}, "files": {}}))
    with pytest.raises(ValueError, match="choose another folder"):
        pairs.write(tmp_path, state, images, labels, selection, generator=seeded(), **OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]
    with pytest.raises(ValueError, match="no pairs"):
        pairs.read(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_refused(tmp_path):
    _, state, images, labels, selection = study()
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        pairs.write(tmp_path / "p", state, images, labels, selection, generator=seeded(), **OPTIONS)


def test_what_does_not_belong_together_is_refused(tmp_path):
    nets, state, images, labels, selection = study()
    write = {"folder": tmp_path / "p", "population": state, "images": images, "labels": labels, "selection": selection}
    other = torch.func.stack_module_state([models.lenet5(generator=seeded(k + 77)) for k in range(3)])[0]
    for change, message in (
        ({"population": other}, "otherwise than the selection says"),
        ({"population": nets[0]}, "there are 1 networks"),
        ({"images": images[:5]}, "and 5 images"),
        ({"labels": labels[:5]}, "5 labels for 40 images"),
        ({"selection": selection._replace(image=selection.image[:0])}, "holds no pair"),
        ({"population": models.mlp((5,), input_shape=(1, 28, 28))}, "there are 1 networks"),
        ({"population": models.mlp((5,), input_shape=(1, 28, 28)), "selection": study(1)[-1]}, "unknown layer"),
    ):
        with pytest.raises(ValueError, match=message):
            pairs.write(**write | change, generator=seeded(), **OPTIONS)
        assert not list((tmp_path / "p").glob("*"))
