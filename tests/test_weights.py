import json
import shutil
from collections import namedtuple

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn
from torch.testing import assert_close

from actlib import inputs, store, weights

STATE = {
    "a.weight": torch.arange(12.0).reshape(3, 4).T,  # not contiguous
    "a.half": torch.tensor([1.0, -2.0], dtype=torch.bfloat16),
    "n": torch.tensor(7),
}


@pytest.fixture
def path(tmp_path):
    return weights.save(tmp_path / "folder" / "net.safetensors", STATE, {"loss": [0.5], "key": "k"})


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """Return an empty data root, with torch hub's cache empty too."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path


def publish(folder, name, content):
    """Save content as a published file: named after its own hash. The first eight digits make the name."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(content, folder / "temporary")
    path = folder / f"{name}-{store.hash_file(folder / 'temporary')[:8]}.pth"
    return (folder / "temporary").rename(path)


def test_load_inverts_save(path):
    state, about = weights.load(path)
    assert_close(state, dict(STATE), rtol=0, atol=0)
    assert about == {"loss": [0.5], "key": "k"}
    assert [file.name for file in path.parent.iterdir()] == ["net.safetensors"]


def test_tensors_in_the_same_memory_are_saved_each_for_itself(tmp_path):
    whole = torch.arange(24.0).view(6, 4)
    shared = {"first": whole[:3], "whole": whole, "again": whole, "last": whole[2:]}
    weights.save(tmp_path / "shared.safetensors", shared, {})
    state, _ = weights.load(tmp_path / "shared.safetensors")
    assert_close(state, shared, rtol=0, atol=0)


def test_safetensors_itself_reads_what_save_wrote(path):
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        assert json.loads(file.metadata()["about"])["key"] == "k"
        assert file.get_tensor("n") == 7


@pytest.mark.parametrize("read", [weights.load, weights.load_about])
@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_a_truncated_file_is_refused(path, length, read):
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"net.safetensors is damaged or foreign"):
        read(path)


def test_one_changed_bit_is_seen(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"net.safetensors is damaged: its content is not what was written"):
        weights.load(path)
    assert weights.load_about(path) == {"loss": [0.5], "key": "k"}  # the header alone


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"about": "{", "sha256": ""}])
def test_a_safetensors_file_of_another_program_is_refused(tmp_path, metadata):
    save_file({"x": torch.zeros(2)}, tmp_path / "x.safetensors", metadata)
    with pytest.raises(ValueError, match=r"x.safetensors is damaged or foreign"):
        weights.load(tmp_path / "x.safetensors")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone.safetensors does not exist"):
        weights.load(tmp_path / "gone.safetensors")


def test_a_full_disk_keeps_the_old_file(path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, 0))
    with pytest.raises(OSError, match=r"net.safetensors needs .* make room"):
        weights.save(path, {"x": torch.zeros(1)}, {})
    assert weights.load(path)[1]["key"] == "k"


def test_find_prefers_the_data_root_and_the_first_name(nowhere):
    for folder, name in [("hub/checkpoints", "a"), ("hub/checkpoints", "b"), ("weights", "b")]:
        (nowhere / folder).mkdir(parents=True, exist_ok=True)
        (nowhere / folder / name).touch()
    assert weights.find(["a", "b"], root=nowhere, remedy="") == nowhere / "weights" / "b"
    (nowhere / "weights" / "b").unlink()
    assert weights.find(["a", "b"], root=nowhere, remedy="") == nowhere / "hub" / "checkpoints" / "a"


def test_read_returns_what_a_published_file_holds(tmp_path):
    path = publish(tmp_path, "net", {"x": torch.arange(3)})
    assert_close(weights.read(path), {"x": torch.arange(3)})


def test_read_refuses_a_file_that_is_not_what_its_name_promises(tmp_path):
    path = publish(tmp_path, "net", {"x": torch.arange(3)})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=rf"{path.name} is truncated or another file: its SHA-256 begins with"):
        weights.read(path)


def test_read_refuses_a_file_without_a_hash_in_its_name(tmp_path):
    with pytest.raises(ValueError, match=r"alexnet.pth carries no hash in its name; keep the name"):
        weights.read(tmp_path / "alexnet.pth")


class Trap:
    """An object that runs code when it is unpickled."""

    def __reduce__(self):
        return exec, ("raise SystemExit('the code ran')",)


def test_read_runs_no_code_from_a_file(tmp_path):
    path = publish(tmp_path, "trap", {"x": Trap()})
    with pytest.raises(ValueError, match=rf"{path.name} is no file of plain weights \(UnpicklingError\)"):
        weights.read(path)


def test_fill_copies_every_value():
    source, target = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    nn.init.normal_(source.weight, generator=torch.Generator().manual_seed(0))
    source.running_mean += 2
    state = source.state_dict()
    del state["num_batches_tracked"]
    weights.fill(target, state, "file")
    assert_close(target.state_dict(), source.state_dict())


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"weight": torch.zeros(2, 3)}, r"file does not fit Linear: bias is missing$"),
        ({"weight": torch.zeros(3, 2), "bias": torch.zeros(2)}, r"weight is \(3, 2\) and not \(2, 3\)"),
        ({"a": torch.zeros(1), "b": torch.zeros(1)}, r"weight is missing; bias is missing; a is not .* and 1 more"),
        ({"weight": 3}, "file holds no dictionary of tensors"),
        ([], "file holds no dictionary of tensors"),
    ],
)
def test_fill_names_what_differs_and_changes_nothing(state, message):
    model = nn.Linear(3, 2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        weights.fill(model, state, "file")
    assert_close(dict(model.state_dict()), before)


@pytest.fixture
def alexnet(nowhere, monkeypatch):
    """Return a root with random AlexNet weights under a name that torchvision is made to expect, and the network."""
    with torch.random.fork_rng(devices=[]):
        network = torchvision.models.squeezenet1_1(weights=None).eval()
    path = publish(nowhere / "weights", "squeezenet1_1", network.state_dict())
    entry = torchvision.models.SqueezeNet1_1_Weights.IMAGENET1K_V1
    monkeypatch.setattr(
        torchvision.models,
        "get_model_weights",
        lambda _: [namedtuple("Entry", "url transforms")(f"https://example.org/models/{path.name}", entry.transforms)],
    )
    return nowhere, network


def test_an_imagenet_network_is_torchvision_s_after_normalisation(alexnet):
    root, network = alexnet
    before = torch.get_rng_state()
    model = weights.imagenet("squeezenet1_1", root=root)
    assert_close(torch.get_rng_state(), before)
    images = torch.rand(2, 3, 64, 64)
    mean, std = (torch.tensor(v)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    assert_close(model(images), network((images - mean) / std))
    assert list(dict(model.named_children())) == ["normalize", "network"]
    assert isinstance(model.normalize, inputs.Normalize)
    assert not any(m.training or getattr(m, "inplace", False) for m in model.modules())
    assert any(getattr(m, "inplace", False) for m in network.modules())


def test_a_truncated_imagenet_file_is_refused(alexnet):
    root, _ = alexnet
    path = next((root / "weights").iterdir())
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=rf"{path.name} is truncated"):
        weights.imagenet("squeezenet1_1", root=root)


def test_another_network_s_file_is_refused(alexnet):
    root, _ = alexnet
    with pytest.raises(ValueError, match=r"squeezenet1_1-.* does not fit SqueezeNet"):
        weights.imagenet("squeezenet1_0", root=root)


def test_missing_weights_are_named_with_places_and_the_way_to_get_them(nowhere):
    message = (
        r"no file resnet152-394f9c45.pth or resnet152-f82ba261.pth in .*weights or .*hub.checkpoints; nothing is "
        r"downloaded here: torchvision.models.get_model\('resnet152', weights='DEFAULT'\) fetches one"
    )
    with pytest.raises(FileNotFoundError, match=message):
        weights.imagenet("resnet152", root=nowhere)


def test_an_unknown_network_names_the_nearest():
    with pytest.raises(ValueError, match=r"unknown network 'resnet125'; .*'resnet152'"):
        weights.imagenet("resnet125")


def test_every_published_file_of_torchvision_carries_its_hash():
    # What `read` relies on: if torchvision changes its names, this test tells.
    for name in torchvision.models.list_models(module=torchvision.models):
        for entry in torchvision.models.get_model_weights(name):
            digits = entry.url.removesuffix(".pth").rsplit("-", 1)[1]
            assert len(digits) >= 8 and set(digits) <= set("0123456789abcdef"), entry.url  # noqa: PT018
            assert len(entry.transforms().mean) == 3


def test_old_names_of_densenet_layers_are_understood(nowhere, monkeypatch):
    with torch.random.fork_rng(devices=[]):
        network = torchvision.models.DenseNet(block_config=(1, 1, 1, 1))
    old = {
        k.replace("norm1", "norm.1").replace("conv2", "conv.2") if "denselayer" in k else k: v
        for k, v in network.state_dict().items()
    }
    path = publish(nowhere / "weights", "densenet121", old)
    entry = namedtuple("Entry", "url transforms")(path.name, torchvision.models.AlexNet_Weights.DEFAULT.transforms)
    monkeypatch.setattr(torchvision.models, "get_model_weights", lambda _: [entry])
    monkeypatch.setattr(
        torchvision.models, "get_model", lambda _n, weights: torchvision.models.DenseNet(block_config=(1, 1, 1, 1))
    )
    loaded = weights.imagenet("densenet121", root=nowhere).network
    assert_close(loaded.state_dict(), network.state_dict())
