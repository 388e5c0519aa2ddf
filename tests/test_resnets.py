import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import batch_norm, conv2d
from torch.testing import assert_close

from actlib import models, resnets

DATA = Path(os.environ.get("ACTLIB_DATA", ""))
FILES = [DATA / "weights" / name for name in ("resnet20-12fca82f.th", "resnet56-4bfd9763.th")]
needs_weights = pytest.mark.skipif(not all(f.is_file() for f in FILES), reason="ACTLIB_DATA has no ResNet weights")
needs_cifar = pytest.mark.skipif(not (DATA / "cifar10" / "test").is_dir(), reason="ACTLIB_DATA has no cifar10 folders")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def n_parameters(model):
    return sum(p.numel() for p in model.parameters())


def counted(depth, widths, n_classes=10, channels=3):
    """Return the number of parameters by adding up the layers of the paper's table."""
    n = (depth - 2) // (2 * len(widths))
    total, last = 9 * channels * widths[0] + 2 * widths[0], widths[0]
    for width in widths:
        for _ in range(n):
            total += 9 * last * width + 9 * width * width + 4 * width
            last = width
    return total + (widths[-1] + 1) * n_classes


def shapes(model):
    """Return each layer's output shape for one image, from hooks of the test's own."""
    found = {}
    hooks = [
        module.register_forward_hook(lambda _m, _i, out, name=name: found.update({name: tuple(out.shape[1:])}))
        for name, module in model.named_modules()
    ]
    model.eval()(torch.zeros(1, *model.input_shape))
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize(("depth", "expected"), [(20, 269_722), (56, 853_018), (110, 1_727_962)])
def test_the_networks_of_the_paper_have_its_numbers_of_parameters(depth, expected):
    assert n_parameters(resnets.cifar(depth)) == counted(depth, (16, 32, 64)) == expected


def test_stages_halve_the_maps_and_double_the_channels():
    found = shapes(resnets.cifar(8))
    names = ["normalize", "conv1", "relu1", "layer1", "layer2", "layer3", "pool", "flatten", "fc"]
    assert [found[name] for name in names] == [
        (3, 32, 32), (16, 32, 32), (16, 32, 32), (16, 32, 32), (32, 16, 16), (64, 8, 8), (64, 1, 1), (64,), (10,),
    ]  # fmt: skip
    assert found["layer2.0.conv1"] == found["layer2.0.shortcut"] == (32, 16, 16)


def test_without_downsampling_66_layers_keep_every_map_at_full_size():
    model = resnets.cifar(66, downsample=False)
    found = shapes(model)
    convolutions = [name for name, m in model.named_modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 65  # and fc
    assert {found[name] for name in convolutions} == {(16, 32, 32)}
    assert len(model.layer1) == 32
    assert n_parameters(model) == counted(66, (16,))


def test_a_strided_stem_and_four_stages_serve_64_px():
    model = resnets.cifar(10, widths=(4, 6, 8, 10), size=64, stem_stride=2, n_classes=200)
    found = shapes(model)
    assert [found[f"layer{k}"] for k in (1, 2, 3, 4)] == [(4, 32, 32), (6, 16, 16), (8, 8, 8), (10, 4, 4)]
    assert n_parameters(model) == counted(10, (4, 6, 8, 10), 200)


def test_odd_images_pass():
    found = shapes(resnets.cifar(6, widths=(2, 5), size=9, channels=1, mean=0.5, std=0.5, n_classes=3))
    assert (found["layer1"], found["layer2"], found["fc"]) == ((2, 9, 9), (5, 5, 5), (3,))


@pytest.mark.parametrize(("n_in", "n_out", "stride"), [(2, 4, 2), (3, 6, 2), (2, 5, 1), (4, 4, 2), (1, 2, 3)])
def test_option_a_agrees_with_a_slow_loop(n_in, n_out, stride):
    x = torch.randn(2, n_in, 5, 7, generator=seeded())
    height, width = -(-5 // stride), -(-7 // stride)
    expected = np.zeros((2, n_out, height, width), dtype=np.float32)
    for c in range(n_in):
        for i in range(height):
            for j in range(width):
                expected[:, (n_out - n_in) // 2 + c, i, j] = x[:, c, i * stride, j * stride].numpy()
    np.testing.assert_array_equal(resnets.Subsample(n_in, n_out, stride)(x).numpy(), expected)


def test_option_a_has_no_parameters_and_option_b_one_projection_a_stage():
    plain, projected = resnets.cifar(8), resnets.cifar(8, shortcut="B")
    assert n_parameters(plain.layer2[0].shortcut) == 0
    assert n_parameters(projected) - n_parameters(plain) == 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    assert shapes(projected)["layer3"] == (64, 8, 8)


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_a_block_agrees_with_its_formula(shortcut):
    block = resnets.cifar(6, widths=(2, 4), shortcut=shortcut, generator=seeded()).double().eval().layer2[0]
    with torch.no_grad():
        for bn in (m for m in block.modules() if isinstance(m, nn.BatchNorm2d)):
            bn.running_mean.normal_(generator=seeded(1))
            bn.running_var.uniform_(0.5, 2, generator=seeded(2))
            bn.bias.normal_(generator=seeded(3))
    x = torch.randn(3, 2, 6, 6, dtype=torch.float64, generator=seeded(4))

    def normalised(y, bn):
        return batch_norm(y, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=1e-5)

    y = normalised(conv2d(x, block.conv1.weight, stride=2, padding=1), block.bn1).clamp(min=0)
    y = normalised(conv2d(y, block.conv2.weight, padding=1), block.bn2)
    if shortcut == "A":
        y[:, 1:3] += x[:, :, ::2, ::2]
    else:
        y = y + normalised(conv2d(x, block.shortcut.conv.weight, stride=2), block.shortcut.bn)
    assert_close(block(x), y.clamp(min=0))


def test_every_relu_is_its_own_module_and_keeps_its_input():
    model = resnets.cifar(8)
    relus = [name for name, m in model.named_modules() if isinstance(m, nn.ReLU)]
    assert relus == ["relu1", *[f"layer{k}.0.relu{j}" for k in (1, 2, 3) for j in (1, 2)]]
    seen = []
    for name in relus:
        model.get_submodule(name).register_forward_hook(lambda m, _i, _o: seen.append(id(m)))
    assert not any(model.get_submodule(name).inplace for name in relus)
    model.eval()(torch.zeros(1, 3, 32, 32))
    assert len(seen) == len(set(seen)) == 7


def test_the_generator_alone_decides_the_weights():
    before = torch.get_rng_state()
    first, again, other = (resnets.cifar(8, generator=seeded(s)) for s in (0, 0, 1))
    assert_close(torch.get_rng_state(), before)
    assert_close(first.state_dict(), again.state_dict(), rtol=0, atol=0)
    assert not torch.allclose(first.conv1.weight, other.conv1.weight)


@pytest.mark.parametrize(
    ("depth", "options", "message"),
    [
        (21, {}, r"depth = 21, .*give a depth of 6 n \+ 2 for 3 stages"),
        (2, {}, "depth = 2"),
        (9, {"downsample": False}, r"give a depth of 2 n \+ 2 for 1 stages"),
        (8, {"widths": ()}, r"widths = \(\)"),
        (8, {"widths": (0, 1, 2)}, "positive widths"),
        (8, {"stem_stride": 0}, "positive widths and stride"),
    ],
)
def test_an_impossible_network_is_refused(depth, options, message):
    with pytest.raises(ValueError, match=message):
        resnets.cifar(depth, **options)


def test_a_depth_without_published_weights_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"depth = 32; there are published weights for \[20, 56\]"):
        resnets.pretrained(32, root=tmp_path)


def test_missing_weights_are_named_with_the_places_searched(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    with pytest.raises(FileNotFoundError, match=r"resnet20-12fca82f.th in .*weights or .*hub.checkpoints; .*github"):
        resnets.pretrained(20, root=tmp_path)


@needs_weights
def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "weights" / FILES[0].name
    path.parent.mkdir()
    path.write_bytes(FILES[0].read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"resnet20-12fca82f.th is truncated or another file"):
        resnets.pretrained(20, root=tmp_path)


@needs_weights
def test_the_other_network_s_file_is_refused(tmp_path, monkeypatch):
    shutil.copytree(FILES[0].parent, tmp_path / "weights")
    monkeypatch.setitem(resnets._FILES, 20, FILES[1].name)
    with pytest.raises(
        ValueError, match=r"resnet56-4bfd9763.th does not fit Sequential: layer1.3.conv1.weight is not in"
    ):
        resnets.pretrained(20, root=tmp_path)


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": 3}, {"weight": 4}])
def test_a_file_without_a_state_dict_is_refused(tmp_path, monkeypatch, content):
    path = tmp_path / "weights" / "x-00000000.th"
    path.parent.mkdir()
    torch.save(content, path)
    monkeypatch.setitem(resnets._FILES, 20, path.name)
    monkeypatch.setattr(resnets.weights, "read", lambda p: torch.load(p, weights_only=True))
    with pytest.raises(ValueError, match=r"x-00000000.th holds no 'state_dict'"):
        resnets.pretrained(20, root=tmp_path)


@pytest.fixture(scope="module")
def cifar_test():
    """Return 1,000 test images of CIFAR-10, the first hundred of each class by file name, and their labels."""
    folders = sorted((DATA / "cifar10" / "test").iterdir())
    files = [file for folder in folders for file in sorted(folder.iterdir())[:100]]
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.arange(10).repeat_interleave(100)


@needs_weights
@needs_cifar
@pytest.mark.parametrize(("depth", "expected"), [(20, 912), (56, 919)])
def test_published_weights_are_as_right_as_published(depth, expected, cifar_test):
    # Counted once together with all 10,000 images: 9,173 and 9,339 were right, as published.
    images, labels = cifar_test
    model = resnets.pretrained(depth, root=DATA)
    assert not any(m.training for m in model.modules())
    with torch.no_grad():
        right = sum(
            (model(models.prepare(model, x)).argmax(1) == y).sum()
            for x, y in zip(images.split(250), labels.split(250), strict=True)
        )
    np.testing.assert_allclose(right.item(), expected, atol=1)  # one image may lie on a border of two classes
