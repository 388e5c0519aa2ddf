"""Collection: equal to a loop over batches, whole or not there at all, and of flat memory."""

import json
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from actlib import bits, collection, models, store
from actlib.collection import collect

LAYERS = ["conv1", "relu1", "fc3"]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def model():
    return models.lenet5(size=16, generator=seeded())


@pytest.fixture
def images():
    return torch.randint(0, 256, (23, 1, 16, 16), generator=seeded(1), dtype=torch.uint8)


def loop(model, images, batch_size):
    """Collect by stepping through the children, one batch after the other."""
    rows = {name: [] for name in LAYERS}
    for batch in (images.float() / 255).split(batch_size):
        h = batch
        for name, child in model.named_children():
            h = child(h)
            if name in rows:
                rows[name].append(h.detach().numpy())
    return {name: np.concatenate(parts) for name, parts in rows.items()}


class Net(nn.Module):
    """A network whose one layer does what the function says."""

    def __init__(self, function):
        super().__init__()
        self.layer = nn.Identity()
        self.layer.forward = function

    def forward(self, x):
        return self.layer(x)


@pytest.mark.parametrize("batch_size", [1, 7, 23, 256])
@pytest.mark.parametrize("where", ["memory", "disk"])
def test_the_result_is_that_of_a_loop_over_batches(model, images, tmp_path, batch_size, where):
    out = None if where == "memory" else tmp_path / "out"
    ours = collect(model, images, LAYERS, out, batch_size=batch_size)
    assert list(ours) == LAYERS
    for name, expected in loop(model, images, batch_size).items():
        np.testing.assert_array_equal(ours[name], expected)
        assert ours[name].dtype == np.float32


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_half_precision_and_bits_are_those_of_the_loop(model, images, tmp_path, where):
    expected = loop(model, images, 8)
    for dtype in ("float16", "bits"):
        out = None if where == "memory" else tmp_path / dtype
        ours = collect(model, images, LAYERS, out, batch_size=8, dtype=dtype)
        for name, values in expected.items():
            if dtype == "float16":
                np.testing.assert_array_equal(ours[name], values.astype(np.float16))
            else:
                pattern = bits.unpack(np.asarray(ours[name].words), ours[name].n_bits)
                np.testing.assert_array_equal(pattern, values.reshape(len(values), -1) > 0)


def test_zero_and_minus_zero_are_not_active_and_the_smallest_number_is():
    values = torch.tensor([0.0, -0.0, 1e-45, -1e-45, float("inf"), -float("inf")])
    ours = collect(Net(lambda x: values.expand(len(x), 6)), torch.zeros(2, 1, 1, 1), ["layer"], dtype="bits")["layer"]
    np.testing.assert_array_equal(bits.unpack(*ours), [[False, False, True, False, True, False]] * 2)


def test_inputs_are_collected_on_request(model, images):
    ours = collect(model, images, ["relu1"], inputs=True)["relu1"]
    np.testing.assert_array_equal(ours, loop(model, images, 256)["conv1"])
    assert (ours < 0).any()


def test_values_before_an_in_place_relu_are_right(images):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True))
    for ours in (collect(model, images, ["0", "1"]), collect(model, images, ["0", "1"], batch_size=5)):
        np.testing.assert_allclose(ours["0"], model[0](images.float() / 255).detach(), atol=1e-6)
        np.testing.assert_array_equal(ours["1"], np.maximum(ours["0"], 0))
        assert (ours["0"] < 0).any()


def test_a_reused_module_and_tuples_get_their_keys(images, tmp_path):
    relu = nn.ReLU()
    model = nn.Sequential(nn.Flatten(), relu, nn.Linear(256, 3), relu, nn.LSTM(3, 2))
    with pytest.raises(ValueError, match=r"layer '4.1.0' gives .* for 1 image|'4.1.0' gives shape"):
        collect(model, images, ["4"])  # the last state of an LSTM is one for all
    ours = collect(model[:4], images, ["1"], tmp_path / "a b")
    assert {key: array.shape for key, array in ours.items()} == {"1": (23, 256), "1_1": (23, 3)}


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_arrays_and_read_only_memory_maps_are_images_too(model, images, tmp_path, dtype):
    array = images.numpy() if dtype is np.uint8 else (images.numpy() / 255).astype(dtype)
    np.save(tmp_path / "images.npy", array)
    expected = loop(model, images, 256)["fc3"]
    for given in (array, np.load(tmp_path / "images.npy", mmap_mode="r"), torch.from_numpy(array)):
        np.testing.assert_allclose(collect(model, given, ["fc3"])["fc3"], expected, rtol=1e-5, atol=1e-6)


def test_files_are_plain_npy_with_a_manifest(model, images, tmp_path):
    ours = collect(model, images, LAYERS, tmp_path / "out", dtype="bits")
    about = store.read_manifest(tmp_path / "out", deep=True)
    assert (about["content"], about["n_images"], list(about["layers"])) == ("activations", 23, LAYERS)
    entry = about["layers"]["conv1"]
    assert (entry["file"], entry["dtype"], entry["shape"]) == ("conv1.npy", "bits", [6, 12, 12])
    assert entry["n_bits"] == ours["conv1"].n_bits == 6 * 12 * 12
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "conv1.npy"), ours["conv1"].words)
    assert not ours["conv1"].words.flags.writeable


def test_a_hostile_name_stays_inside_the_folder(images, tmp_path):
    model = Net(lambda x: {"../../evil": x})
    collect(model, images, ["layer"], tmp_path / "a" / "out")
    assert [path.name for path in tmp_path.rglob("*.npy")] == ["layer...%2F..%2Fevil.npy"]


# Bad input


def sample_model(value, sample):
    """Return a network and images of which one sample gets ``value`` at one place."""
    images = torch.arange(40.0)[:, None, None, None].expand(40, 1, 3, 2) / 40

    def forward(x):
        x = x.clone()
        x[(x[:, 0, 0, 0] * 40).round() == sample, 0, 1, 1] = value
        return x

    return Net(forward), images


@pytest.mark.parametrize("sample", [0, 7, 8, 39])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bits"])
def test_nan_names_the_layer_and_the_sample(sample, dtype):
    with pytest.raises(ValueError, match=rf"layer 'layer' gives nan for sample {sample}, which {dtype} cannot keep"):
        collect(*sample_model(float("nan"), sample), ["layer"], batch_size=8, dtype=dtype)


def test_a_value_too_large_for_half_precision_is_an_error():
    with pytest.raises(ValueError, match=r"gives -65520 for sample 12, which float16 cannot keep; take a wider dtype"):
        collect(*sample_model(-65520.0, 12), ["layer"], batch_size=5, dtype="float16")
    kept = collect(*sample_model(-65504.0, 12), ["layer"], batch_size=5, dtype="float16")["layer"]
    assert kept.min() == -65504
    assert collect(*sample_model(65520.0, 12), ["layer"])["layer"].max() == 65520
    with pytest.raises(ValueError, match=r"gives inf for sample 3, which float32 cannot keep; look for"):
        collect(*sample_model(float("inf"), 3), ["layer"])


def test_bad_images_are_refused_with_the_batch_they_are_in(model, images):
    spoiled = images.float() / 255
    spoiled[17, 0, 3, 3] = float("nan")
    with pytest.raises(ValueError, match="NaN") as caught:
        collect(model, spoiled, ["fc3"], batch_size=10)
    assert "begins with sample 10" in caught.value.__notes__[0]
    with pytest.raises(ValueError, match="images have shape"):
        collect(model, images[:, :, :15], ["fc3"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": torch.zeros(0, 1, 16, 16)}, "images are empty"),
        ({"layers": []}, "no layers are selected"),
        ({"layers": ["conv"]}, r"unknown layer 'conv'; the nearest names are \['conv2', 'conv1'"),
        ({"layers": "conv1"}, "is one name; give a list"),
        ({"batch_size": 0}, "batch_size = 0; give 1 or more"),
        ({"dtype": "float64"}, r"dtype = 'float64'; choose one of|Type-check"),
        ({"images": [1, 2]}, "images are a list|Type-check"),
    ],
)
def test_wrong_arguments_are_refused_and_nothing_is_written(model, images, tmp_path, change, message):
    arguments = {"images": images, "layers": LAYERS, "out": tmp_path / "out"} | change
    with pytest.raises((ValueError, TypeError), match=message):
        collect(model, **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x.mean(), r"gives torch.float32 of shape \(\) for 1 image"),
        (lambda x: x.repeat(4, 1, 1, 1), r"of shape \(4, 1, 16, 16\) for 1 image"),
        (lambda x: x > 0, r"gives torch.bool of shape"),
        (lambda x: x[:1], r"gives shape \(1, 1, 16, 16\) for 10 images"),
        (lambda x: x[..., : len(x)], r"gives shape \(10, 1, 16, 10\) for 10 images and \(1, 16, 1\) for one"),
        (lambda x: x if len(x) == 1 else (x, x), r"layer 'layer.0' gives shape .* and nothing for one"),
    ],
)
def test_outputs_without_one_row_an_image_are_refused(images, function, message):
    model = Net(function)
    model.forward = lambda x: (model.layer(x), x)[1]
    with pytest.raises(ValueError, match=message):
        collect(model, images, ["layer"], batch_size=10)


def test_a_layer_left_out_for_a_batch_is_an_error(images):
    class Sometimes(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x):
            return self.relu(x) if len(x) != 3 else x

    with pytest.raises(ValueError, match=r"layers \['relu'\] were not called for the batch from sample 20 on"):
        collect(Sometimes(), images, ["relu"], batch_size=10)


# State


def test_the_model_is_left_as_it_was(model, images):
    model.dropout = nn.Dropout(0.5)
    model.norm = nn.BatchNorm1d(10)
    model.conv1.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes, random_state = [module.training for module in model.modules()], torch.get_rng_state()
    first, second = (collect(model, images, ["norm"], batch_size=5)["norm"] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert [module.training for module in model.modules()] == modes
    np.testing.assert_array_equal(torch.get_rng_state(), random_state)
    torch.testing.assert_close(dict(model.state_dict()), before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


def fail_at(model, n_passes, error):
    """Make the model raise in a later forward pass."""
    passes = iter(range(n_passes))

    def forward(module, arguments):
        if next(passes, None) is None:
            raise error

    return model.register_forward_pre_hook(forward)


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), KeyboardInterrupt()])
def test_a_failed_run_leaves_no_file_and_keeps_the_earlier_result(model, images, tmp_path, error):
    out = tmp_path / "out"
    with fail_at(model, 3, error), pytest.raises(type(error)):
        collect(model, images, LAYERS, out, batch_size=5)
    assert [path.name for path in tmp_path.rglob("*") if path.suffix != ".lock"] == ["out"]
    collect(model, images, LAYERS, out)
    earlier = {path.name: path.read_bytes() for path in out.iterdir()}
    with fail_at(model, 3, error), pytest.raises(type(error)):
        collect(model, images, ["fc3"], out, batch_size=5)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == earlier


def test_a_full_disk_is_seen_before_anything_is_written(model, images, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    need = 23 * 4 * (2 * 6 * 12 * 12 + 10)
    monkeypatch.setattr(store.shutil, "disk_usage", lambda folder: usage(0, 0, (64 << 20) + need - 1))
    with pytest.raises(OSError, match="MiB free; make room"):
        collect(model, images, LAYERS, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(store.shutil, "disk_usage", lambda folder: usage(0, 0, (64 << 20) + need))
    collect(model, images, ["conv1", "relu1"], tmp_path / "out")


def test_a_disk_that_fills_up_meanwhile_leaves_no_file(model, images, tmp_path, monkeypatch):
    class Full:
        def __init__(self, file):
            self.file, self.left = file, 20_000

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, content):
            self.left -= memoryview(content).nbytes
            if self.left < 0:
                raise OSError(28, "No space left on device")
            return self.file.write(content)

    monkeypatch.setattr(collection, "open", lambda *given: Full(open(*given)), raising=False)  # noqa: SIM115
    with pytest.raises(OSError, match="No space left"):
        collect(model, images, LAYERS, tmp_path / "out", batch_size=4)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_new_result_replaces_the_earlier_one_and_what_a_killed_run_left(model, images, tmp_path):
    out = tmp_path / "out"
    collect(model, images, LAYERS, out)
    (out / "notes.txt").write_text("mine")
    (out / ".relu1.0123456789ab.npy").write_bytes(b"half")
    ours = collect(model, images[:4], ["fc3"], out)
    assert sorted(path.name for path in out.iterdir()) == ["fc3.npy", "manifest.json", "notes.txt"]
    assert ours["fc3"].shape == (4, 10)
    assert list(store.read_manifest(out, deep=True)["layers"]) == ["fc3"]


def test_the_folder_of_something_else_is_left_alone(model, images, tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"dear")
    store.write_manifest(tmp_path, {"content": "weights"})
    with pytest.raises(ValueError, match=r"manifest.json describes something else; choose another folder"):
        collect(model, images, LAYERS, tmp_path)
    assert (tmp_path / "weights.bin").read_bytes() == b"dear"
    assert json.loads((tmp_path / "manifest.json").read_text())["about"] == {"content": "weights"}


# Memory

# In a process of its own: what earlier tests have freed would hide what this one keeps.
GROWTH = """
import os
import sys
from pathlib import Path

import torch
from torch import nn
from actlib.collection import collect

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

torch.set_num_threads(1)
model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(inplace=True))
images = torch.randint(0, 256, (1, 1, 32, 32), dtype=torch.uint8).expand(1600, 1, 32, 32)
sizes = []
model[0].register_forward_hook(lambda *_: sizes.append(resident()))
out = Path(sys.argv[1]) if sys.argv[1:] else None
written = collect(model, images, ["0", "1"], out, batch_size=8, progress=False)
assert len(sizes) == 201
print(max(sizes[20:]) - sizes[20], sum(array.nbytes for array in written.values()))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not say how much memory is used")
@pytest.mark.parametrize("where", ["disk", "memory"])
def test_memory_stays_flat_over_200_batches(tmp_path, where):
    arguments = [str(tmp_path / "out")] if where == "disk" else []
    done = subprocess.run([sys.executable, "-c", GROWTH, *arguments], capture_output=True, text=True, check=True)
    growth, n_bytes = map(int, done.stdout.split())
    assert n_bytes >= 100 << 20
    if where == "disk":
        assert growth < n_bytes / 5, f"{growth / 2**20:.1f} MiB more for {n_bytes / 2**20:.0f} MiB of activations"
    else:  # the same measure sees a result that is kept
        assert growth > n_bytes / 2
