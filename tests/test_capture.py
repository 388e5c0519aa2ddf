"""Capture: right before an in-place ReLU and elsewhere, against captum, torchvision and a walk with copies."""

import numpy as np
import pytest
import torch
import torchvision
from captum.attr import LayerActivation
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close
from torchvision.models.feature_extraction import create_feature_extractor

from actlib import capture, models

MODES = {"no_grad": torch.no_grad, "grad": torch.enable_grad, "inference": torch.inference_mode}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def random_weights(model):
    generator = seeded()
    for parameter in model.parameters():
        nn.init.normal_(parameter, generator=generator)
    return model


def convs():
    """Return the network in which most tools show the ReLU's output as that of the convolution before it."""
    return random_weights(nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(inplace=True), nn.Conv2d(3, 2, 3)))


@pytest.fixture
def image():
    return torch.randn(2, 1, 9, 7, generator=seeded(1))


class Net(nn.Module):
    """A network whose forward pass is the function given, over the parts given."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *args, **kwargs):
        return self.function(self, *args, **kwargs)


def captured(model, layers, *args, **kwargs):
    with capture.capture(model, layers, **kwargs) as activations:
        model(*args)
    return activations


# In-place changes


@pytest.fixture(autouse=True, params=["lazy", "at once"])
def way(request, monkeypatch):
    """Run each test with lazy copies, of small tensors too, and as where PyTorch has none."""
    monkeypatch.setattr(capture, "_LARGE", 0)
    if request.param == "at once":
        monkeypatch.setattr(capture, "_lazy_clone", None)


def test_copies_are_lazy_only_of_new_memory(image, monkeypatch):
    lazy = []
    monkeypatch.setattr(capture, "_lazy_clone", lambda tensor: lazy.append(1) or tensor.clone())
    layers = [nn.Conv2d(1, 1, 1), nn.ReLU(), nn.ReLU(inplace=True), nn.Identity(), nn.Dropout(0.0), nn.Flatten()]
    model = nn.Sequential(*layers).eval()
    captured(model, ["0", "1"], image)
    assert len(lazy) == 2
    captured(model, ["2", "3", "4", "5"], image)
    captured(model, list("012345"), image, inputs=True)
    with capture.edit(model, {"0": lambda h: image}):
        captured(model, ["0"], image)
    torch.func.vmap(lambda x: captured(model, ["0"], x))(image)
    monkeypatch.setattr(capture, "_LARGE", 10**6)
    captured(model, ["0"], image)
    assert len(lazy) == 2


@pytest.mark.parametrize("layer", [nn.Identity(), nn.Flatten(0), nn.ReLU(inplace=True), nn.Linear(3, 3)])
@pytest.mark.parametrize("inputs", [False, True])
def test_numpy_arrays_that_share_memory_already_do_not_reach_a_captured_value(layer, inputs):
    x = torch.ones(3)
    array = x.numpy()
    with torch.no_grad():
        expected = torch.ones(3) if inputs else layer(torch.ones(3))
        activations = captured(nn.Sequential(layer), ["0"], x, inputs=inputs)
    array[:] = 9
    assert_close(activations["0"], expected)


def test_an_input_is_copied_at_once_where_somebody_else_has_a_hook():
    layer = nn.Linear(3, 3)
    layer.register_forward_hook(lambda *_: None)
    x = torch.ones(3)
    array = x.numpy()
    activations = captured(nn.Sequential(layer), ["0"], x, inputs=True)
    array[:] = 9
    assert_close(activations["0"], torch.ones(3))


def test_an_error_within_an_edit_names_the_layer():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    with pytest.raises(RuntimeError) as caught, capture.edit(model, {"0": lambda y: y @ torch.eye(5)}):
        model(torch.ones(2, 3))
    assert caught.value.__notes__ == ["in the edit of layer '0', whose output is float32 (2, 4) on cpu"]


def test_an_edit_may_return_memory_that_numpy_shares():
    model = nn.Sequential(nn.ReLU())
    buffer = torch.ones(3)
    array = buffer.numpy()
    for outer, inner in [(capture.edit, capture.capture), (capture.capture, capture.edit)]:
        arguments = {capture.edit: {"0": lambda h: buffer}, capture.capture: ["0"]}
        with outer(model, arguments[outer]) as a, inner(model, arguments[inner]) as b:
            model(torch.zeros(3))
        array += 1
        assert_close((a or b)["0"], buffer - 1)


@pytest.mark.parametrize("mode", MODES)
def test_a_layer_before_an_in_place_relu_is_right(image, mode):
    model = convs()
    with MODES[mode]():
        activations = captured(model, ["0", "1", "2"], image)
        first = model[0](image)
        assert_close(activations["0"], first)
        assert_close(activations["1"], first.clamp(min=0))
        assert_close(activations["2"], model(image))
        assert (activations["0"] < 0).any()


def test_captum_agrees_before_an_in_place_relu_and_torchvision_does_not(image):
    model = convs().eval()
    with torch.no_grad():
        ours = captured(model, ["0", "2"], image)
        theirs = LayerActivation(model, [model[0], model[2]]).attribute(image)
        assert_close(list(ours.values()), list(theirs))
        overwritten = create_feature_extractor(model, ["0", "2"])(image)
        assert_close(overwritten["2"], ours["2"])
        assert_close(overwritten["0"], ours["0"].clamp(min=0))  # the case that made this module necessary
        assert (overwritten["0"] - ours["0"]).abs().max() > 1


def test_torchvision_agrees_where_nothing_is_changed_in_place():
    model = models.lenet5(generator=seeded()).eval()[1:]  # its tracer does not pass our check of shapes in `normalize`
    x = torch.rand(3, 1, 28, 28, generator=seeded(1))
    layers = ["conv1", "relu1", "pool2", "flatten", "fc3"]
    with torch.no_grad():
        theirs = create_feature_extractor(model, layers)(x)
        ours = captured(model, layers, x)
    assert list(ours) == layers
    assert_close(ours, theirs)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "change",
    [
        lambda h: nn.functional.relu_(h),
        lambda h: h.add_(1),
        lambda h: torch.exp(h.detach().clone(), out=h.detach()) + h,
        lambda h: h.view(-1).mul_(2) + h.sum(),
        lambda h: h[:, 1:].zero_() + h.sum(),
        lambda h: h.detach().numpy().fill(3) or h * 2,
    ],
    ids=["functional", "add", "out", "view", "slice", "numpy"],
)
def test_no_later_change_reaches_a_captured_value(change, mode):
    model = random_weights(Net(lambda self, x: change(self.fc(x)), fc=nn.Linear(3, 4)))
    x = torch.randn(5, 3, generator=seeded(2))
    with MODES[mode]():
        assert_close(captured(model, ["fc"], x)["fc"], nn.functional.linear(x, model.fc.weight, model.fc.bias))


@pytest.mark.parametrize("mode", MODES)
def test_a_captured_view_survives_a_change_of_its_base(mode):
    def forward(self, x):
        h = self.conv(x)
        flat = self.flatten(h)
        h.mul_(0)
        return flat

    model = random_weights(Net(forward, conv=nn.Conv2d(1, 2, 3), flatten=nn.Flatten()))
    x = torch.randn(2, 1, 4, 5, generator=seeded(2))
    with MODES[mode]():
        activations = captured(model, ["conv", "flatten"], x)
        assert_close(activations["flatten"], model.conv(x).flatten(1))
        assert_close(activations["conv"], model.conv(x))


def test_the_input_of_an_in_place_relu_is_right(image):
    model = convs()
    with torch.no_grad():
        activations = captured(model, ["1", "2"], image, inputs=True)
        assert_close(activations, {"1": model[0](image), "2": model[0](image).clamp(min=0)})


def test_values_stay_when_the_caller_reuses_the_batch(image):
    model = nn.Sequential(nn.Identity())
    before = image.clone()
    activations = captured(model, ["0"], image)
    image.zero_()
    assert_close(activations["0"], before)


STEPS = {
    "linear": lambda: nn.Linear(4, 4),
    "relu": nn.ReLU,
    "relu_": lambda: nn.ReLU(inplace=True),
    "leaky_": lambda: nn.LeakyReLU(0.1, inplace=True),
    "dropout_": lambda: nn.Dropout(0.5, inplace=True),
    "identity": nn.Identity,
    "flatten": lambda: nn.Flatten(0),
    "unflatten": lambda: nn.Unflatten(-1, (-1, 4)),
}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(sorted(set(STEPS) - {"flatten", "unflatten"})), max_size=7), st.integers(0, 7))
def test_any_chain_of_layers_is_captured_as_a_walk_with_copies_sees_it(kinds, place):
    kinds = [*kinds[:place], "flatten", "unflatten", *kinds[place:]]
    model = random_weights(nn.Sequential(*(STEPS[kind]() for kind in kinds))).eval()
    x = torch.randn(3, 4, generator=seeded(3))
    expected, expected_inputs, h = {}, {}, x
    with torch.no_grad():
        for name, step in model.named_children():
            expected_inputs[name] = h.clone()
            h = step(h.clone()).clone()
            expected[name] = h.clone()
        assert_close(captured(model, list(expected), x.clone()), expected)
        assert_close(captured(model, list(expected), x.clone(), inputs=True), expected_inputs)


# Gradients


def test_a_captured_value_can_be_differentiated(image):
    model = convs()
    image.requires_grad_()
    activations = captured(model, ["0"], image)
    ours = torch.autograd.grad(activations["0"].square().sum(), [image, model[0].weight])
    alone = torch.autograd.grad(model[0](image).square().sum(), [image, model[0].weight])
    assert_close(ours, alone)
    assert activations["0"].grad_fn is not None
    assert model[0].weight.grad is None


def test_the_gradient_of_the_output_is_not_disturbed(image):
    model = convs()
    with capture.capture(model, ["0", "1", "2"]):
        with_capture = torch.autograd.grad(model(image).square().sum(), list(model.parameters()))
    plain = torch.autograd.grad(model(image).square().sum(), list(model.parameters()))
    assert_close(with_capture, plain)


def test_without_gradients_no_graph_is_kept(image):
    with torch.no_grad():
        activations = captured(convs(), ["0"], image)
    assert not activations["0"].requires_grad


# Names


def test_a_module_called_again_is_numbered_as_torchvision_does():
    class Thrice(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x):
            return self.relu(self.relu(self.relu(x) - 1) - 1)

    model = Thrice().eval()
    x = torch.tensor([[-1.0, 0.5, 1.5, 7.0]])
    activations = captured(model, ["relu"], x)
    by_hand = [[0.0, 0.5, 1.5, 7.0]], [[0.0, 0.0, 0.5, 6.0]], [[0.0, 0.0, 0.0, 5.0]]
    assert_close(activations, dict(zip(["relu", "relu_1", "relu_2"], map(torch.tensor, by_hand), strict=True)))
    assert_close(activations, create_feature_extractor(model, list(activations))(x))


@pytest.mark.parametrize("order", [["relu", "relu_1"], ["relu_1", "relu"], ["relu"]])
def test_a_number_never_takes_the_name_of_a_module(order):
    model = Net(lambda self, x: self.relu(self.relu_1(self.relu(x))), relu=nn.ReLU(), relu_1=nn.Tanh())
    activations = captured(model, order, torch.ones(1))
    assert list(activations) == [name for name in ("relu", "relu_1", "relu__1") if name in (*order, "relu__1")]
    assert_close(activations["relu"], torch.ones(1))
    assert_close(activations["relu__1"], torch.ones(1).tanh())


def test_a_number_never_takes_the_second_name_of_a_module():
    model = Net(lambda self, x: self.relu_1(self.relu(x)), relu=nn.ReLU(), relu_1=None)
    model.relu_1 = model.relu
    assert list(captured(model, ["relu"], torch.ones(1))) == ["relu", "relu__1"]


def test_a_module_called_twice_goes_by_its_first_name():
    model = Net(lambda self, x: self.second(self.first(x)), first=nn.ReLU())
    model.second = model.first
    assert list(captured(model, ["first"], torch.ones(1))) == ["first", "first_1"]
    with pytest.raises(ValueError, match="layer 'second' is the same module as 'first'; use that name"):
        captured(model, ["second"], torch.ones(1))


def test_tuples_are_taken_apart():
    lstm = nn.LSTM(2, 3)
    random_weights(lstm)
    x = torch.randn(4, 1, 2, generator=seeded(1))
    activations = captured(nn.Sequential(lstm), ["0"], x)
    values, (hidden, cell) = lstm(x)
    assert_close(activations, {"0.0": values, "0.1.0": hidden, "0.1.1": cell})


def test_dictionaries_are_taken_apart_and_what_is_no_tensor_is_left_out():
    part = Net(lambda self, x: {"low": x - 1, "note": "text", "none": None, 2: [x + 1]})
    model = Net(lambda self, x: self.part(x)["low"], part=part)
    x = torch.ones(1)
    assert_close(captured(model, ["part"], x), {"part.low": x - 1, "part.2.0": x + 1})


def test_parts_of_a_tuple_never_take_the_name_of_a_module():
    pair = nn.Sequential(nn.Identity(), Net(lambda self, x: (x + 1, x + 2)))
    activations = captured(nn.Sequential(pair), ["0", "0.0"], torch.zeros(1))
    assert_close(
        activations, {"0.0": torch.zeros(1), "0..0": torch.ones(1), "0..1": torch.full((1,), 2.0)} | activations
    )
    assert sorted(activations) == ["0..0", "0..1", "0.0"]
    assert_close(activations["0..0"], torch.ones(1))


def test_keys_that_look_alike_are_kept_apart():
    part = Net(lambda self, x: {"a": {"b": x}, "a.b": x + 1, 0: x + 2, "0": x + 3})
    activations = captured(Net(lambda self, x: self.part(x), part=part), ["part"], torch.zeros(1))
    assert_close(torch.cat(list(activations.values())), torch.arange(4.0))
    assert list(activations) == ["part.a.b", "part..a.b", "part.0", "part..0"]


def test_several_inputs_and_keywords_are_named():
    part = Net(lambda self, x, scale, shift=None: x * scale + shift)
    model = Net(lambda self, x: self.part(x, 2, shift=x + 1), part=part)
    x = torch.ones(1)
    assert_close(captured(model, ["part"], x, inputs=True), {"part.0": x, "part.shift": x + 1})
    single = Net(lambda self, x: self.part(scale=2 * x), part=Net(lambda self, scale: scale))
    assert_close(captured(single, ["part"], x, inputs=True), {"part": 2 * x})


def test_a_layer_without_tensors_is_an_error():
    model = Net(lambda self, x: self.part(x), part=Net(lambda self, x: (x.shape, "text")))
    with pytest.raises(ValueError, match=r"layer 'part' handles a tuple without any tensor; leave it out"):
        captured(model, ["part"], torch.ones(1))


# Passes


def test_each_forward_pass_starts_anew(image):
    model = Net(lambda self, x: self.relu(self.relu(x)) if x.sum() > 0 else self.relu(x), relu=nn.ReLU())
    with capture.capture(model, ["relu"]) as activations:
        model(torch.ones(2))
        assert list(activations) == ["relu", "relu_1"]
        first = activations["relu"]
        model(torch.full((3,), -1.0))
        assert_close(activations, {"relu": torch.zeros(3)})
    assert_close(first, torch.ones(2))  # what was taken out stays
    model(torch.ones(4))
    assert_close(activations, {"relu": torch.zeros(3)})  # and nothing is added after the block


def test_calls_of_a_part_alone_add_up():
    model = nn.Sequential(nn.ReLU())
    with capture.capture(model, ["0"]) as activations:
        model[0](torch.ones(1))
        model[0](torch.full((1,), 2.0))
    assert_close(activations, {"0": torch.ones(1), "0_1": torch.full((1,), 2.0)})


def test_blocks_may_be_nested(image):
    model = convs()
    with torch.no_grad(), capture.capture(model, ["0"]) as outer, capture.capture(model, ["0", "1"]) as inner:
        model(image)
    assert_close(outer["0"], inner["0"])


def test_a_layer_that_is_never_called_is_an_error():
    model = Net(lambda self, x: self.used(x), used=nn.ReLU(), unused=nn.ReLU())
    with pytest.raises(ValueError, match=r"layers \['unused'\] were not called"):
        captured(model, ["used", "unused"], torch.ones(1))
    with pytest.raises(ValueError, match="run the model in the block"), capture.capture(model, ["used"]):
        pass
    with pytest.raises(KeyError, match="own"), capture.capture(model, ["used"]):
        raise KeyError("own")  # an exception of the block is not hidden by ours


def test_an_empty_batch_gives_empty_values():
    activations = captured(convs(), ["0"], torch.zeros(0, 1, 9, 7))
    assert activations["0"].shape == (0, 3, 7, 5)


@pytest.mark.parametrize("capture_first", [True, False])
def test_an_edited_layer_is_captured_edited(image, capture_first):
    model = convs()
    blocks = [capture.capture(model, ["0", "2"]), capture.edit(model, {"0": lambda h: h + 1})]
    first, second = blocks if capture_first else blocks[::-1]
    with torch.no_grad(), first as a, second as b:
        model(image)
    activations = a if capture_first else b
    with torch.no_grad():
        assert_close(activations["0"], model[0](image) + 1)
        assert_close(activations["2"], model[2](torch.relu(model[0](image) + 1)))


# Populations


def population():
    return [models.lenet5(generator=seeded(seed)) for seed in range(3)]


def test_inside_vmap_the_dictionary_holds_the_population():
    nets = population()
    parameters, buffers = torch.func.stack_module_state(nets)
    x = torch.rand(2, 1, 28, 28, generator=seeded(9))

    def run(parameters, buffers):
        with capture.capture(nets[0], ["conv1", "relu4"]) as activations:
            torch.func.functional_call(nets[0], (parameters, buffers), (x,))
        return activations

    together = torch.func.vmap(run)(parameters, buffers)
    one_by_one = [captured(net, ["conv1", "relu4"], x) for net in nets]
    for name in ("conv1", "relu4"):
        assert_close(
            together[name], torch.stack([activations[name] for activations in one_by_one]), atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize("transform", ["vmap", "grad"])
def test_a_capture_begun_outside_a_transform_is_an_error(transform):
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    x = torch.zeros(4, 3)
    run = {"vmap": torch.func.vmap(model), "grad": torch.func.grad(lambda x: model(x).sum())}[transform]
    with (
        pytest.raises(RuntimeError, match=r"layer '0' was called inside torch.func .*enter the block inside"),
        capture.capture(model, ["0"]),
    ):
        run(x)
    assert not model[0]._forward_hooks


# Sizes


def test_the_rows_of_lenet_are_those_of_the_arithmetic():
    rows = capture.overview(models.lenet5(generator=seeded()), (1, 28, 28))
    sizes = {row.name: row.shape for row in rows}
    # Convolutions without padding take 4 off each side, pooling halves: computed by hand.
    assert sizes["conv1"] == sizes["relu1"] == (6, 24, 24)
    assert (sizes["pool1"], sizes["conv2"], sizes["pool2"]) == ((6, 12, 12), (16, 8, 8), (16, 4, 4))
    assert (sizes["flatten"], sizes["fc1"], sizes["fc2"], sizes["fc3"]) == ((256,), (120,), (84,), (10,))
    parameters = {row.name: row.n_parameters for row in rows if row.n_parameters}
    assert parameters == {
        "conv1": 6 * 26, "conv2": 16 * (6 * 25 + 1), "fc1": 120 * 257, "fc2": 84 * 121, "fc3": 10 * 85,
    }  # fmt: skip
    assert (rows[1].kind, rows[1].n_values) == ("Conv2d", 6 * 24 * 24)


@pytest.mark.parametrize(
    ("name", "n_parameters", "last_map"),
    [("alexnet", 61_100_840, (256, 6, 6)), ("resnet152", 60_192_808, (2048, 7, 7))],
)
def test_published_networks_cost_nothing_on_the_meta_device(name, n_parameters, last_map):
    with torch.device("meta"):
        model = getattr(torchvision.models, name)()
    rows = capture.overview(model, (3, 224, 224))
    # torchvision's documentation states these totals.
    assert sum(row.n_parameters for row in rows) == n_parameters
    assert [row.shape for row in rows if len(row.shape) == 3 and row.kind != "AdaptiveAvgPool2d"][-1] == last_map
    assert rows[-1].shape == (1000,)
    assert len({row.name for row in rows}) == len(rows)


def test_an_overview_follows_the_execution_and_lists_a_reused_module_twice():
    shared = nn.Linear(3, 3)
    model = Net(lambda self, x: self.a(self.b(self.a(x))), a=shared, b=nn.Linear(3, 3), unused=nn.Linear(3, 9))
    rows = capture.overview(model, (3,))
    assert [(row.name, row.n_parameters) for row in rows] == [("a", 12), ("b", 12), ("a_1", 0)]


def test_an_overview_counts_parameters_of_a_module_with_parts():
    encoder = nn.MultiheadAttention(4, 2, batch_first=True)
    model = Net(lambda self, x: self.attend(x, x, x), attend=encoder)
    rows = capture.overview(model, (5, 4))
    assert [(row.name, row.shape) for row in rows] == [("attend.0", (5, 4)), ("attend.1", (5, 5))]
    assert rows[0].n_parameters == encoder.in_proj_weight.numel() + encoder.in_proj_bias.numel()


def test_an_overview_leaves_statistics_modes_and_random_state_alone():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5)).double()
    model[1].eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    random_state = torch.get_rng_state()
    assert capture.overview(model, (1, 5, 4))[0].shape == (2, 3, 2)
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert_close(dict(model.state_dict()), state)
    np.testing.assert_array_equal(torch.get_rng_state(), random_state)
    assert not any(module._forward_hooks for module in model.modules())
