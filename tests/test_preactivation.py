import math
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn
from torch.nn.functional import batch_norm, conv2d, max_pool2d, pad
from torch.testing import assert_close

from actlib import capture, models, preactivation

PUBLISHED = yaml.safe_load((Path(__file__).parents[1] / "book" / "published.yml").read_text(encoding="utf-8"))
TABLES = [
    ("A1-table-baseline", preactivation.baseline, preactivation.BASELINE_LAYERS),
    ("A2-table-alp", preactivation.alp, preactivation.ALP_LAYERS),
]
NARROW = {"widths": (3, 4, 5, 6), "blocks": (1, 2, 1, 1)}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def on_meta(build, *args, **options):
    """Return a network that has shapes and no values."""
    with torch.device("meta"):
        return build(*args, **options)


def n_parameters(model):
    return sum(p.numel() for p in model.parameters())


def n_statistics(model):
    return sum(b.numel() for name, b in model.named_buffers() if name.endswith(("running_mean", "running_var")))


def shapes(model, names):
    """Return the shapes of some layers' outputs for one image."""
    device = next(model.parameters()).device
    with torch.no_grad(), capture.capture(model.eval(), names) as found:
        model(torch.zeros(1, *model.input_shape, device=device))
    return {name: tuple(found[name].shape[1:]) for name in names}


@torch.no_grad()
def unsettled(model):
    """Return the network in float64 and eval mode with norm layers that are far from the identity."""
    for k, bn in enumerate(m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        bn.running_mean.normal_(0, 0.3, generator=seeded(k))
        bn.running_var.uniform_(0.05, 0.5, generator=seeded(k + 100))
        bn.weight.uniform_(0.5, 1.5, generator=seeded(k + 200))
        bn.bias.normal_(0, 0.3, generator=seeded(k + 300))
    return model.double().eval()


def rectified(x, bn):
    """Return max(0, normalised x), with the epsilon of the paper's networks."""
    return batch_norm(x, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=1e-5).clamp(min=0)


def basic(x, block, stride, projected):
    """Return a basic block's output in the words of its formula."""
    y = rectified(x, block.bn1)
    shortcut = conv2d(y, block.shortcut.weight, stride=stride) if projected else x
    y = conv2d(y, block.conv1.weight, stride=stride, padding=1)
    return shortcut + conv2d(rectified(y, block.bn2), block.conv2.weight, padding=1)


def bottleneck(x, block, stride, projected):
    """Return a bottleneck's output in the words of its formula."""
    y = rectified(x, block.bn1)
    if projected:
        shortcut = conv2d(y, block.shortcut.weight, block.shortcut.bias, stride=stride)
    else:
        shortcut = x[:, :, ::stride, ::stride]
    y = rectified(conv2d(y, block.conv1.weight), block.bn2)
    y = rectified(conv2d(y, block.conv2.weight, stride=stride, padding=1), block.bn3)
    return shortcut + conv2d(y, block.conv3.weight, block.conv3.bias)


def slow_baseline(model, images):
    """Return the logits of a baseline from its parameters, for images of 0 to 255."""
    x = images - images.new_tensor([123.68, 116.78, 103.94])[:, None, None]
    x = conv2d(x, model.conv1.weight, stride=model.conv1.stride, padding=1)
    for k, stage in enumerate([model.layer1, model.layer2, model.layer3, model.layer4]):
        for j, block in enumerate(stage):
            x = basic(x, block, 2 if k > 0 and j == 0 else 1, projected=j == 0)
    return rectified(x, model.bn).mean((2, 3)) @ model.fc.weight.T + model.fc.bias


def slow_alp(model, images):
    """Return the logits of the ALP network from its parameters, for images in [-1, 1]."""
    x = conv2d(pad(images, (3, 3, 3, 3)), model.conv1.weight, model.conv1.bias, stride=2)
    x = max_pool2d(pad(x, (0, 1, 0, 1), value=-math.inf), 3, 2)
    for stage in (model.layer1, model.layer2, model.layer3, model.layer4):
        for j, block in enumerate(stage):
            last = j == len(stage) - 1 and stage is not model.layer4
            x = bottleneck(x, block, 2 if last else 1, projected=j == 0)
    return rectified(x, model.bn).mean((2, 3)) @ model.fc.weight[:, :, 0, 0].T + model.fc.bias


def counted_baseline(widths, blocks, n_classes):
    """Return the number of parameters by adding up the convolutions and norm layers."""
    total, last = 27 * widths[0], widths[0]
    for width, n in zip(widths, blocks, strict=True):
        total += last * width  # the projection
        for _ in range(n):
            total += 2 * last + 9 * last * width + 2 * width + 9 * width * width
            last = width
    return total + 2 * last + (last + 1) * n_classes


def counted_alp(n_classes):
    """Return the number of parameters by adding up the convolutions and norm layers."""
    total, last = (49 * 3 + 1) * 64, 64
    for width, n in [(64, 3), (128, 4), (256, 6), (512, 3)]:
        total += (last + 1) * 4 * width  # the projection
        for _ in range(n):
            total += 2 * last + last * width + 2 * width + 9 * width * width + 2 * width + (width + 1) * 4 * width
            last = 4 * width
    return total + 2 * last + (last + 1) * n_classes


@pytest.mark.parametrize(("experiment", "build", "layers"), TABLES)
def test_every_layer_of_the_published_tables_has_its_shape_and_size(experiment, build, layers):
    published = PUBLISHED[experiment]["values"]
    assert list(layers) == list(published)  # each row, in the order of the table
    found = shapes(on_meta(build), layers.values())
    for row, name in layers.items():
        *space, channels = published[row]["shape"]  # TensorFlow's order: channels last
        assert found[name] == (channels, *space), row
        assert math.prod(found[name]) == published[row]["value"], row


@pytest.mark.parametrize(("experiment", "build", "layers"), TABLES)
def test_the_layers_of_a_table_run_in_its_order(experiment, build, layers):
    network = on_meta(build).eval()
    with torch.no_grad(), capture.capture(network, layers.values()) as found:
        network(torch.zeros(2, 3, 64, 64, device="meta"))
    assert list(found) == list(layers.values())


@pytest.mark.parametrize(
    ("build", "layers", "last"),
    [
        (lambda: preactivation.baseline(3, size=16, **NARROW), preactivation.BASELINE_LAYERS, "act9-logits"),
        (lambda: preactivation.alp(3, size=32), preactivation.ALP_LAYERS, "act8-pool"),
    ],
)
def test_the_last_rows_are_what_their_names_say(build, layers, last):
    network = build().eval()
    with torch.no_grad(), capture.capture(network, layers.values()) as found:
        logits = network(torch.rand(2, *network.input_shape, generator=seeded()))
    assert_close(found[layers[last]], logits)
    rows = {row.split("-")[0]: found[name] for row, name in layers.items()}
    assert_close(rows["act7"], rectified(rows["act6"], network.bn))
    if "act9" in rows:
        assert_close(rows["act8"], rows["act7"].mean((2, 3)))


def test_the_networks_have_as_many_classes_as_published():
    expected = PUBLISHED["A0-models"]["values"]["classes"]["value"]
    for build in (preactivation.baseline, preactivation.alp):
        network = on_meta(build)
        assert (*network.eval()(torch.zeros(3, 3, 64, 64, device="meta")).shape,) == (3, expected)


@pytest.mark.parametrize(
    "options",
    [{}, {"widths": (16, 32, 64, 128)}, {"widths": (5, 3), "blocks": (3, 1), "n_classes": 7, "stem_stride": 2}],
)
def test_the_baseline_has_the_parameters_of_its_formula(options):
    full = {"widths": (64, 128, 256, 512), "blocks": (2, 2, 2, 2), "n_classes": 200} | options
    full.pop("stem_stride", None)
    assert n_parameters(on_meta(preactivation.baseline, **options)) == counted_baseline(**full)


def test_the_docstrings_say_the_number_of_parameters():
    for build, counted in [
        (preactivation.baseline, counted_baseline((64, 128, 256, 512), (2, 2, 2, 2), 200)),
        (preactivation.alp, counted_alp(200)),
    ]:
        assert n_parameters(on_meta(build)) == counted
        assert f"{counted:,} parameters" in build.__doc__


def test_with_1000_classes_the_alp_network_has_the_parameters_of_keras_resnet50v2():
    # Keras prints 25,568,360 trainable and 45,440 others, the running statistics, for ResNet50V2 on ImageNet.
    network = on_meta(preactivation.alp, 1000)
    assert n_parameters(network) == counted_alp(1000) == 25_568_360
    assert n_statistics(network) == 45_440


def test_convolutions_have_a_bias_only_where_no_norm_layer_follows():
    def biased(model):
        return {name for name, m in model.named_modules() if isinstance(m, nn.Conv2d) and m.bias is not None}

    assert biased(on_meta(preactivation.baseline)) == set()
    stages = {1: 3, 2: 4, 3: 6, 4: 3}
    expected = {"conv1", "fc"} | {f"layer{k}.{j}.conv3" for k, n in stages.items() for j in range(n)}
    assert biased(on_meta(preactivation.alp)) == expected | {f"layer{k}.0.shortcut" for k in stages}


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({"size": 64}, [64, 64, 32, 16, 8]),
        ({"size": 32}, [32, 32, 16, 8, 4]),
        ({"size": 32, "stem_stride": 2}, [16, 16, 8, 4, 2]),
        ({"size": 8}, [8, 8, 4, 2, 1]),
        ({"size": 13}, [13, 13, 7, 4, 2]),
    ],
)
def test_the_baseline_halves_the_maps_from_the_second_stage_on(options, sizes):
    names = ["conv1", "layer1", "layer2", "layer3", "layer4"]
    found = shapes(on_meta(preactivation.baseline, **NARROW, **options), names)
    assert list(found.values()) == [(c, n, n) for c, n in zip((3, 3, 4, 5, 6), sizes, strict=True)]


@pytest.mark.parametrize(
    ("size", "sizes"),
    [(64, [32, 16, 8, 4, 2, 2]), (32, [16, 8, 4, 2, 1, 1]), (36, [18, 9, 5, 3, 2, 2])],
)
def test_the_alp_network_strides_at_the_end_of_its_first_three_stages(size, sizes):
    names = ["conv1", "pool1", "layer1", "layer2", "layer3", "layer4"]
    found = shapes(on_meta(preactivation.alp, size=size), [*names, "layer1.1", "layer2.2", "layer3.4"])
    assert [found[name][1:] for name in names] == [(n, n) for n in sizes]
    before = [found[name][1:] for name in ("layer1.1", "layer2.2", "layer3.4")]
    assert before == [(n, n) for n in sizes[1:4]]  # the blocks before the last keep the size


@pytest.mark.parametrize(("n_in", "n_out", "stride", "projected"), [(3, 5, 2, True), (4, 4, 1, True), (4, 4, 1, False)])
def test_a_basic_block_agrees_with_its_formula(n_in, n_out, stride, projected):
    block = preactivation.BasicBlock(n_in, n_out, stride, projected=projected)
    block = unsettled(models.initialize(block, seeded()))
    x = torch.randn(2, n_in, 7, 6, dtype=torch.float64, generator=seeded(1))
    assert_close(block(x), basic(x, block, stride, projected))


@pytest.mark.parametrize(("n_in", "width", "stride"), [(3, 2, 1), (3, 2, 2), (8, 2, 1), (8, 2, 2), (8, 2, 3)])
def test_a_bottleneck_agrees_with_its_formula(n_in, width, stride):
    block = unsettled(models.initialize(preactivation.Bottleneck(n_in, width, stride), seeded()))
    x = torch.randn(2, n_in, 7, 6, dtype=torch.float64, generator=seeded(1))
    assert_close(block(x), bottleneck(x, block, stride, projected=n_in != 4 * width))


def test_the_order_of_the_first_kind_gives_other_numbers():
    block = unsettled(models.initialize(preactivation.BasicBlock(4, 4, projected=False), seeded()))
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64, generator=seeded(1))
    y = rectified(conv2d(x, block.conv1.weight, padding=1), block.bn1)
    y = conv2d(y, block.conv2.weight, padding=1)
    bn = block.bn2
    y = (batch_norm(y, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=1e-5) + x).clamp(min=0)
    assert (block(x) - y).abs().max() > 0.1
    assert block(x).min() < 0  # no ReLU stands after the sum


def test_the_projection_reads_the_preactivation_and_not_the_input():
    block = unsettled(models.initialize(preactivation.BasicBlock(3, 5, 2, projected=True), seeded()))
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64, generator=seeded(1))
    nn.init.zeros_(block.conv2.weight)
    assert_close(block(x), conv2d(rectified(x, block.bn1), block.shortcut.weight, stride=2))
    assert (block(x) - conv2d(x, block.shortcut.weight, stride=2)).abs().max() > 0.1


@pytest.mark.parametrize("training", [True, False])
def test_a_block_whose_residual_is_zero_is_its_shortcut(training):
    x = torch.randn(2, 8, 5, 5, generator=seeded())
    block = preactivation.BasicBlock(8, 8, projected=False).train(training)
    nn.init.zeros_(block.conv2.weight)
    assert_close(block(x), x, rtol=0, atol=0)
    for stride in (1, 2):
        block = preactivation.Bottleneck(8, 2, stride).train(training)
        nn.init.zeros_(block.conv3.weight)
        nn.init.zeros_(block.conv3.bias)
        assert_close(block(x), x[:, :, ::stride, ::stride], rtol=0, atol=0)


@torch.no_grad()
def test_the_whole_baseline_agrees_with_a_slow_forward_pass():
    network = preactivation.baseline(7, size=16, widths=(3, 4, 5, 6), blocks=(2, 1, 3, 2), generator=seeded())
    network = unsettled(network)
    images = torch.randint(256, (2, 3, 16, 16), dtype=torch.uint8, generator=seeded(1))
    expected = slow_baseline(network, images.double())
    # float32 of normalize's mean and std leaves its mark
    assert_close(network(models.prepare(network, images)), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_whole_alp_network_agrees_with_a_slow_forward_pass():
    network = unsettled(preactivation.alp(7, size=36, generator=seeded()))
    images = torch.rand(1, 3, 36, 36, dtype=torch.float64, generator=seeded(1))
    assert_close(network(images), slow_alp(network, 2 * images - 1))


@torch.no_grad()
@pytest.mark.parametrize("size", [4, 6, 18])
def test_the_pooling_begins_at_the_first_pixel_as_tensorflow_does(size):
    x = torch.randn(2, 64, size, size, generator=seeded())
    expected = torch.empty(2, 64, size // 2, size // 2)
    for i in range(size // 2):
        for j in range(size // 2):
            expected[:, :, i, j] = x[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].amax((2, 3))
    pool = on_meta(preactivation.alp).pool1
    assert_close(pool(x), expected, rtol=0, atol=0)
    assert not torch.allclose(max_pool2d(x, 3, 2, padding=1), expected)  # PyTorch's usual border


@torch.no_grad()
def test_images_enter_as_in_the_code_of_the_challenge():
    images = torch.arange(256, dtype=torch.uint8).repeat(3, 1).reshape(1, 3, 16, 16)
    symmetric = images / 127.5 - 1  # what the originals take
    baseline = preactivation.baseline(size=16, **NARROW)
    expected = (symmetric + 1) * 127.5 - torch.tensor([123.68, 116.78, 103.94])[:, None, None]
    assert_close(baseline.normalize(models.prepare(baseline, images)), expected, rtol=0, atol=1e-4)
    assert_close(baseline.input(images), images)
    alp = preactivation.alp(3, size=32)
    large = images.expand(4, 3, 16, 16).reshape(1, 3, 32, 32)
    assert_close(alp.normalize(models.prepare(alp, large)), large / 127.5 - 1, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("build", "n_relus"),
    [(lambda: preactivation.baseline(3, size=16, **NARROW), 11), (lambda: preactivation.alp(3, size=32), 49)],
)
def test_every_relu_is_its_own_module_and_keeps_its_input(build, n_relus):
    network = build().eval()
    relus = [name for name, m in network.named_modules() if isinstance(m, nn.ReLU)]
    assert len(relus) == n_relus
    assert not any(network.get_submodule(name).inplace for name in relus)
    with torch.no_grad(), capture.capture(network, relus) as found:
        network(torch.rand(1, *network.input_shape, generator=seeded()))
    assert set(found) == set(relus)  # each is called once: a second call would be numbered
    assert list(found)[-1] == "relu"


def gradients(network):
    """Return the largest gradient of each parameter for four random images."""
    x = torch.rand(4, *network.input_shape, dtype=network.fc.weight.dtype, generator=seeded())
    (network(x) * torch.randn(4, 1, dtype=x.dtype, generator=seeded(1))).logsumexp(1).sum().backward()
    return {name: p.grad.abs().max().item() for name, p in network.named_parameters()}


@pytest.mark.parametrize("training", [True, False])
def test_the_gradient_reaches_every_parameter_of_the_baseline(training):
    network = preactivation.baseline(5, size=16, **NARROW, generator=seeded()).double().train(training)
    assert min(gradients(network).values()) > 1e-9


def test_the_gradient_reaches_every_parameter_of_the_alp_network_in_eval_mode():
    assert min(gradients(preactivation.alp(5, size=32, generator=seeded()).eval()).values()) > 1e-9


def test_in_training_mode_the_norm_layers_of_the_alp_network_hide_the_biases_before_them():
    found = gradients(preactivation.alp(5, size=36, generator=seeded()).double())
    hidden = {name for name, largest in found.items() if largest < 1e-12}
    stages = {1: 3, 2: 4, 3: 6, 4: 3}
    expected = {"conv1.bias"} | {f"layer{k}.{j}.conv3.bias" for k, n in stages.items() for j in range(n)}
    assert hidden == expected | {f"layer{k}.0.shortcut.bias" for k in stages}


@pytest.mark.parametrize(("options", "share"), [({}, 0.003), ({"momentum": 0.1}, 0.1)])
def test_a_step_mixes_that_share_of_the_batch_into_the_statistics(options, share):
    network = preactivation.baseline(3, size=16, **NARROW, **options, generator=seeded()).train()
    norms = [name for name, m in network.named_modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad(), capture.capture(network, norms, inputs=True) as found:
        network(torch.rand(4, 3, 16, 16, generator=seeded(1)))
    assert len(norms) == 11
    for name in norms:
        bn = network.get_submodule(name)
        assert_close(bn.running_mean, share * found[name].mean((0, 2, 3)))
        assert_close(bn.running_var, 1 - share + share * found[name].transpose(0, 1).flatten(1).var(1))


def test_the_norm_layers_of_the_alp_network_have_the_published_momentum_and_epsilon():
    norms = [m for m in on_meta(preactivation.alp).modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(m.momentum, m.eps) for m in norms} == {(0.003, 1e-5)}
    assert len(norms) == 49


@pytest.mark.parametrize(
    "build",
    [lambda g: preactivation.baseline(size=16, **NARROW, generator=g), lambda g: preactivation.alp(3, generator=g)],
)
def test_the_generator_alone_decides_the_weights(build):
    before = torch.get_rng_state()
    first, again, other = (build(seeded(s)) for s in (0, 0, 1))
    assert_close(torch.get_rng_state(), before)
    assert_close(first.state_dict(), again.state_dict(), rtol=0, atol=0)
    assert not torch.allclose(first.layer4[0].conv1.weight, other.layer4[0].conv1.weight)
    bound = 1 / math.sqrt(first.conv1.weight[0].numel())
    assert 0.9 * bound < first.conv1.weight.abs().max().item() <= bound


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": ()}, r"widths = \(\), .*give one positive width"),
        ({"widths": (4, 8)}, r"widths = \(4, 8\), blocks = \(2, 2, 2, 2\)"),
        ({"widths": (4, 0), "blocks": (1, 1)}, r"widths = \(4, 0\)"),
        ({"blocks": (1, 1, 0, 1)}, r"blocks = \(1, 1, 0, 1\)"),
        ({"stem_stride": 0}, "stem_stride = 0, .*a positive stride"),
        ({"momentum": 0.0}, "momentum = 0.0; .*of more than 0 up to 1"),
        ({"momentum": 1.5}, "momentum = 1.5"),
        ({"size": 7}, "size = 7; .* images of at least 8 px"),
        ({"size": 15, "stem_stride": 2}, "size = 15; .* images of at least 16 px"),
    ],
)
def test_an_impossible_baseline_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        preactivation.baseline(**options)


@pytest.mark.parametrize("size", [0, 28, 34, 65])
def test_an_impossible_size_of_the_alp_network_is_refused(size):
    with pytest.raises(ValueError, match=rf"size = {size}; this network needs images of 32, 36, 40, \.\.\. px"):
        preactivation.alp(size=size)
