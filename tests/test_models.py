import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from actlib import models


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def shapes(model):
    """Return each layer's output shape for one image, from hooks of the test's own."""
    found = {}
    hooks = [
        module.register_forward_hook(lambda _m, _i, out, name=name: found.update({name: tuple(out.shape[1:])}))
        for name, module in model.named_children()
    ]
    model.eval()(torch.zeros(1, *model.input_shape))
    for hook in hooks:
        hook.remove()
    return found


def n_parameters(model):
    return sum(p.numel() for p in model.parameters())


BUILDERS = [
    lambda **options: models.course_lenet(**options),
    lambda **options: models.lenet5(**options),
    lambda **options: models.convnet(**options),
    lambda **options: models.cifar_alexnet(**options),
    *[
        lambda n=n, **options: models.mlp([7, 5], 10, input_shape=(3, 4, 5), normalization=n, **options)
        for n in (None, "batch", "layer", "weight")
    ],
]


def test_the_course_lenet_has_the_shapes_counted_by_hand():
    model = models.course_lenet()
    assert shapes(model) == {
        "normalize": (1, 28, 28),
        "conv1": (32, 24, 24),
        "relu1": (32, 24, 24),
        "pool1": (32, 8, 8),
        "conv2": (64, 4, 4),
        "relu2": (64, 4, 4),
        "pool2": (64, 2, 2),
        "flatten": (256,),
        "fc1": (200,),
        "relu3": (200,),
        "fc2": (10,),
    }
    assert math.prod(shapes(model)["conv1"]) == 18_432
    assert n_parameters(model) == (25 + 1) * 32 + (32 * 25 + 1) * 64 + (256 + 1) * 200 + (200 + 1) * 10 == 105_506


def test_lenet5_has_the_shapes_counted_by_hand():
    model = models.lenet5()
    found = shapes(model)
    assert [found[k] for k in ("conv1", "pool1", "conv2", "pool2", "flatten", "fc1", "fc2", "fc3")] == [
        (6, 24, 24), (6, 12, 12), (16, 8, 8), (16, 4, 4), (256,), (120,), (84,), (10,),
    ]  # fmt: skip
    assert n_parameters(model) == 156 + 2_416 + 30_840 + 10_164 + 850 == 44_426


def test_the_convnet_has_the_pattern_sizes_of_the_study():
    model = models.convnet()
    found = shapes(model)
    assert [math.prod(found[f"relu{k}"]) for k in (1, 2, 3)] == [65_536, 32_768, 16_384]
    assert found["flatten"] == (4_096,)
    n_conv = (3 * 25 + 1) * 64 + (64 * 25 + 1) * 128 + (128 * 9 + 1) * 256
    assert n_parameters(model) == n_conv + (4_096 + 1) * 10


def test_the_alexnet_port_has_the_bits_that_fit_the_study():
    model = models.cifar_alexnet()
    found = shapes(model)
    assert [found[f"relu{k}"] for k in (1, 2, 3)] == [(64, 8, 8), (192, 4, 4), (384, 2, 2)]
    assert sum(math.prod(found[f"relu{k}"]) for k in (1, 2, 3)) == 8_704
    assert found["flatten"] == (384,)
    n_conv = (3 * 121 + 1) * 64 + (64 * 25 + 1) * 192 + (192 * 9 + 1) * 384
    assert n_parameters(model) == n_conv + (384 + 1) * 10


def test_a_narrow_convnet_on_larger_images_fits_together():
    found = shapes(models.convnet(3, widths=(2, 3, 4), size=45, channels=1))
    assert (found["relu1"], found["pool3"], found["fc"]) == ((2, 45, 45), (4, 5, 5), (3,))


@pytest.mark.parametrize(("normalization", "extra"), [(None, 0), ("batch", 2 * 12), ("layer", 2 * 12), ("weight", 12)])
def test_the_mlp_counts_one_scale_and_one_shift_a_normalised_unit(normalization, extra):
    model = models.mlp([7, 5], 4, input_shape=(3, 2, 2), normalization=normalization)
    assert n_parameters(model) == 13 * 7 + 8 * 5 + 6 * 4 + extra
    assert ("norm1" in dict(model.named_children())) == (normalization in ("batch", "layer"))


def test_the_mlp_names_its_layers_in_order():
    names = list(shapes(models.mlp([7, 5], 4, input_shape=(1, 2, 3), normalization="batch", activation="selu")))
    assert names == [
        "normalize", "flatten", "fc1", "norm1", "selu1", "fc2", "norm2", "selu2", "fc3",
    ]  # fmt: skip


def test_an_mlp_without_hidden_layers_is_affine():
    model = models.mlp([], 4, input_shape=(1, 2, 3)).double()
    x, y = torch.rand(2, 5, 1, 2, 3, dtype=torch.float64)
    assert_close(model((x + y) / 2), (model(x) + model(y)) / 2)


def test_an_mlp_agrees_with_matrices_in_numpy():
    model = models.mlp([7, 5], 4, input_shape=(1, 2, 3), generator=seeded()).double()
    images = torch.rand(3, 1, 2, 3, dtype=torch.float64)
    value = images.numpy().reshape(3, 6) * 2 - 1
    for k in (1, 2, 3):
        layer = getattr(model, f"fc{k}")
        value = value @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        value = np.maximum(value, 0) if k < 3 else value
    np.testing.assert_allclose(model(images).detach().numpy(), value, atol=1e-12)


@pytest.mark.parametrize(("normalization", "axis"), [("batch", 0), ("layer", 1)])
def test_normalisation_centres_over_samples_or_over_units(normalization, axis):
    model = models.mlp([7], 4, input_shape=(1, 2, 3), normalization=normalization, generator=seeded()).train()
    found = model[:4](torch.rand(9, 1, 2, 3, generator=seeded(1))).detach()  # up to norm1
    assert_close(found.mean(axis), torch.zeros(found.shape[1 - axis]), atol=1e-6, rtol=0)
    assert found.mean(1 - axis).abs().max() > 0.1


def test_selu_has_the_two_constants_of_its_paper():
    model = models.mlp([3], 2, input_shape=(1, 1, 1), activation="selu")
    assert_close(
        model.selu1(torch.tensor([[2.0, 0.0, -50.0]])),
        torch.tensor([[2 * 1.0507, 0, -1.0507 * 1.6733]]),
        atol=1e-4,
        rtol=0,
    )


def test_weight_normalisation_separates_length_and_direction():
    model = models.mlp([7], 4, input_shape=(1, 2, 3), normalization="weight", generator=seeded())
    plain = models.mlp([7], 4, input_shape=(1, 2, 3), generator=seeded())
    assert_close(model.fc1.weight, plain.fc1.weight)
    with torch.no_grad():
        model.fc1.parametrizations.weight.original1.mul_(3)  # the direction's length does not matter
    assert_close(model.fc1.weight, plain.fc1.weight)


@pytest.mark.parametrize("build", BUILDERS)
def test_every_relu_is_a_module_that_keeps_its_input(build):
    model = build()
    assert all(not m.inplace for m in model.modules() if isinstance(m, nn.ReLU))
    assert next(iter(model.named_children()))[0] == "normalize"


@pytest.mark.parametrize("build", BUILDERS)
def test_the_generator_alone_decides_the_weights(build):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, again, other = build(generator=seeded()), build(generator=seeded()), build(generator=seeded(1))
    assert_close(torch.get_rng_state(), before)
    assert_close(first.state_dict(), again.state_dict(), rtol=0, atol=0)
    assert not torch.allclose(next(first.parameters()), next(other.parameters()))


@pytest.mark.parametrize("layer", [nn.Linear(7, 3), nn.Conv2d(4, 6, (3, 5), groups=2), nn.ConvTranspose2d(4, 6, 3)])
def test_initialize_draws_what_pytorch_draws_by_default(layer):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        layer.reset_parameters()
    expected = {name: value.clone() for name, value in layer.state_dict().items()}
    models.initialize(nn.Sequential(layer), seeded(3))
    assert_close(dict(layer.state_dict()), expected)


def test_initialize_fills_the_interval_and_no_more():
    weight = models.initialize(nn.Linear(25, 4_000), seeded()).weight
    assert weight.abs().max() <= 0.2
    assert_close(weight.std().item(), 0.2 / math.sqrt(3), rtol=0.01, atol=0)


def test_initialize_forgets_what_a_norm_layer_has_seen():
    model = nn.Sequential(nn.Conv2d(1, 3, 1, bias=False), nn.BatchNorm2d(3))
    model(10 * torch.randn(5, 1, 4, 4))
    nn.init.constant_(model[1].weight, 7.0)
    models.initialize(model, seeded())
    assert_close(model[1].running_mean, torch.zeros(3))
    assert_close(model[1].running_var, torch.ones(3))
    assert_close(model[1].weight.detach(), torch.ones(3))
    assert model[1].num_batches_tracked == 0


def test_initialize_draws_weight_normalised_layers_anew():
    model = models.mlp([7], 4, input_shape=(1, 2, 3), normalization="weight", generator=seeded(5))
    models.initialize(model, seeded(0))
    assert_close(model.fc1.weight, models.mlp([7], 4, input_shape=(1, 2, 3), generator=seeded(0)).fc1.weight)


def test_initialize_refuses_a_layer_whose_law_it_does_not_know():
    with pytest.raises(ValueError, match=r"0 is a Embedding with parameters of its own.*draw it yourself"):
        models.initialize(nn.Sequential(nn.Embedding(3, 2)), seeded())


@pytest.mark.parametrize(("build", "smallest"), [(models.course_lenet, 22), (models.lenet5, 16), (models.convnet, 8)])
def test_images_too_small_for_the_pooling_are_refused(build, smallest):
    assert shapes(build(size=smallest))
    with pytest.raises(ValueError, match=f"size = {smallest - 1}; .* at least {smallest} px"):
        build(size=smallest - 1)


def test_an_unknown_normalisation_is_refused():
    # The annotation refuses it first in the test run: call the plain function.
    with pytest.raises(ValueError, match=r"normalization = 'group'; give one of .*'batch', 'layer'"):
        getattr(models.mlp, "__wrapped__", models.mlp)([3], 2, input_shape=(1, 2, 2), normalization="group")


def test_prepare_is_at_hand_and_knows_the_size_of_our_models():
    images = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"but Sequential takes \(1, 28, 28\)"):
        models.prepare(models.course_lenet(), images)
