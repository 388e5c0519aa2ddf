import copy
import math

import jaxtyping
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import batch_norm, conv2d, pad
from torch.testing import assert_close

from actlib import forecasters


@pytest.fixture
def unchecked(monkeypatch):
    """Let annotations go unchecked, as outside the tests."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def small(seed=0, **options):
    options = {"width": 6, "n_blocks": 1, "channels": 1, "size": 8, "generator": seeded(seed)} | options
    return forecasters.network(**options)


def blurred(n, size=8, seed=0):
    """Return smooth random pictures with mean 0 and about unit variance."""
    raw = torch.randn(n, 1, size, size, generator=seeded(seed))
    return 3 * torch.nn.functional.avg_pool2d(pad(raw, (1, 1, 1, 1), mode="circular"), 3, stride=1)


def moved(pictures, up=0, left=0):
    return pictures.roll((-up, -left), (-2, -1))


def error(model, inputs, targets):
    """Return the mean squared error of the model's predictions, in one go."""
    with torch.no_grad():
        return (model.eval()(inputs) - targets).square().mean().item()


def convolutions(model):
    return {name: m for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}


def n_parameters(modules):
    return sum(math.prod(p.shape) for module in modules for p in module.parameters())


def test_eight_blocks_between_two_convolutions_are_18_convolutions():
    model = forecasters.network()
    found = convolutions(model)
    assert [m.kernel_size for m in found.values()] == [(5, 5)] * 18
    own = 16 * (2 * 25 + 1) + 16 * 16 * (16 * 25 + 1) + (16 * 25 + 1)
    assert n_parameters(found.values()) == own == 103_873
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 17
    assert n_parameters([model]) == own + n_parameters(norms) == own + 17 * 32
    names = [name for name, _ in model.named_children()]
    assert names == ["conv1", "bn1", "relu1", *[f"block{k}" for k in range(1, 9)], "last"]
    assert model.input_shape == (2, 64, 64)


def test_nine_blocks_without_a_stem_are_18_convolutions_and_one_of_1_by_1():
    model = forecasters.network(n_blocks=9, stem=False, size=32)
    found = convolutions(model)
    assert [m.kernel_size for m in found.values()] == [(5, 5)] * 18 + [(1, 1)]
    assert n_parameters(found.values()) == 16 * (2 * 25 + 1) + 17 * 16 * (16 * 25 + 1) + 17 == 109_905
    assert [name for name, _ in model.named_children()] == [*[f"block{k}" for k in range(1, 10)], "last"]
    assert model.input_shape == (2, 32, 32)


def test_width_channels_and_kernel_are_as_asked_for():
    model = small(width=5, channels=3, kernel=7, n_blocks=2)
    found = [(m.in_channels, m.out_channels, m.kernel_size) for m in convolutions(model).values()]
    assert found == [(3, 5, (7, 7)), *[(5, 5, (7, 7))] * 4, (5, 1, (7, 7))]
    assert {type(block.shortcut) for block in (model.block1, model.block2)} == {nn.Identity}


def test_the_generator_alone_decides_the_weights():
    before = torch.get_rng_state()
    first, again, other = (small(s) for s in (0, 0, 1))
    assert_close(torch.get_rng_state(), before, rtol=0, atol=0)
    assert_close(first.state_dict(), again.state_dict(), rtol=0, atol=0)
    for name, module in convolutions(first).items():
        assert not torch.allclose(module.weight, other.get_submodule(name).weight)
        assert module.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", [(7, 10), (3, 1), (16, 9)])
@pytest.mark.parametrize("options", [{}, {"stem": False, "n_blocks": 2, "kernel": 3}])
def test_no_map_is_smaller_than_the_picture(shape, options):
    model, sizes = small(channels=2, **options).eval(), set()
    for module in model.modules():
        module.register_forward_hook(lambda _m, _i, out: sizes.add(tuple(out.shape[2:])))
    assert model(torch.zeros(2, 2, *shape)).shape == (2, 1, *shape)
    assert sizes == {shape}


def test_a_forecast_can_be_negative():
    model = small().eval()
    with torch.no_grad():
        before = model(blurred(4))
        model.last.bias -= 9
        assert_close(model(blurred(4)), before - 9)
    assert before.max() < 9


def filled(n_in, n_out, kernel):
    """Return a block in eval mode and double precision in which no number is left at 0 or 1."""
    block = forecasters.Block(n_in, n_out, kernel).double().eval()
    with torch.no_grad():
        for k, value in enumerate((*block.parameters(), block.bn1.running_mean, block.bn2.running_mean)):
            value.normal_(generator=seeded(k))
        for k, bn in enumerate((block.bn1, block.bn2)):
            bn.running_var.uniform_(0.5, 2, generator=seeded(50 + k))
    return block


def normalised(y, bn):
    return batch_norm(y, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=1e-5)


@pytest.mark.parametrize(("n_in", "n_out", "kernel"), [(3, 3, 5), (2, 5, 3)])
def test_a_block_agrees_with_its_formula(n_in, n_out, kernel):
    block = filled(n_in, n_out, kernel)
    x = torch.randn(2, n_in, 6, 7, dtype=torch.float64, generator=seeded(99))
    border = (kernel // 2,) * 4
    y = normalised(conv2d(pad(x, border), block.conv1.weight, block.conv1.bias), block.bn1).clamp(min=0)
    y = normalised(conv2d(pad(y, border), block.conv2.weight, block.conv2.bias), block.bn2)
    before = (n_out - n_in) // 2
    for c in range(n_in):
        y[:, before + c] += x[:, c]
    assert_close(block(x), y.clamp(min=0))


@pytest.mark.parametrize(("n_in", "n_out"), [(2, 16), (1, 4), (4, 4), (3, 5)])
def test_a_block_that_adds_nothing_keeps_what_is_positive_and_no_more(n_in, n_out):
    block = filled(n_in, n_out, 5)
    x = torch.randn(2, n_in, 4, 5, dtype=torch.float64, generator=seeded(99))
    expected = np.zeros((2, n_out, 4, 5))
    for n, c, i, j in np.ndindex(2, n_in, 4, 5):
        expected[n, (n_out - n_in) // 2 + c, i, j] = max(x[n, c, i, j].item(), 0)
    assert not np.allclose(block(x).detach().numpy(), expected)  # it does add something yet
    nn.init.zeros_(block.bn2.weight)
    nn.init.zeros_(block.bn2.bias)
    np.testing.assert_allclose(block(x).detach().numpy(), expected)
    if n_in == n_out:
        assert not torch.allclose(block(x), x)


def one_cycle(step, n_steps, highest):
    """Return the learning rate of a step by the formula: two half cosines."""
    start, end, turn = highest / 25, highest / 25e4, 0.3 * n_steps - 1
    if step <= turn:
        return highest + (start - highest) * (1 + math.cos(math.pi * step / turn)) / 2
    return end + (highest - end) * (1 + math.cos(math.pi * (step - turn) / (n_steps - 1 - turn))) / 2


def trained_by_hand(model, inputs, targets, *, epochs, batch_size, highest, generator, mirror):
    """Train by Adam's formula, example by example, and return the loss of each step."""
    n_steps, losses = epochs * -(-len(inputs) // batch_size), []
    means, squares = ([torch.zeros_like(p) for p in model.parameters()] for _ in range(2))
    model.train()
    for _ in range(epochs):
        order = torch.randperm(len(inputs), generator=generator).tolist()
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            draws = torch.randint(2, (len(chosen),), generator=generator).tolist() if mirror else [0] * len(chosen)
            x, y = (
                torch.stack([part[k].flip(2) if d else part[k] for k, d in zip(chosen, draws, strict=True)])
                for part in (inputs, targets)
            )
            loss = ((model(x) - y) ** 2).sum() / y.numel()
            gradients = torch.autograd.grad(loss, list(model.parameters()))
            rate, t = one_cycle(len(losses), n_steps, highest), len(losses) + 1
            losses.append(loss.item())
            with torch.no_grad():
                for p, g, m, s in zip(model.parameters(), gradients, means, squares, strict=True):
                    m.mul_(0.9).add_(0.1 * g)
                    s.mul_(0.999).add_(0.001 * g**2)
                    p -= rate * (m / (1 - 0.9**t)) / ((s / (1 - 0.999**t)).sqrt() + 1e-8)
    return losses


@pytest.mark.parametrize("mirror", [True, False])
def test_fit_agrees_with_a_loop_written_by_hand(mirror):
    inputs = blurred(11).double()
    targets = moved(inputs, up=1, left=1)
    ours = small(width=3, kernel=3).double()
    theirs = copy.deepcopy(ours)
    history = forecasters.fit(
        ours, inputs, targets, epochs=3, batch_size=4, learning_rate=0.02, generator=seeded(1), mirror=mirror,
        progress=False,
    )  # fmt: skip
    losses = trained_by_hand(
        theirs, inputs, targets, epochs=3, batch_size=4, highest=0.02, generator=seeded(1), mirror=mirror
    )
    np.testing.assert_allclose(history.loss, losses, rtol=1e-6)
    assert_close(ours.state_dict(), theirs.state_dict(), rtol=0, atol=1e-6)
    assert len(history.seconds) == 3
    assert min(history.seconds) > 0


def test_batches_of_32_and_mirroring_are_the_default():
    inputs = blurred(40)
    models = [small(), small()]
    histories = [
        forecasters.fit(m, inputs, moved(inputs, left=1), epochs=2, learning_rate=0.01, generator=seeded(), **more)
        for m, more in zip(models, ({}, {"batch_size": 32, "mirror": True}), strict=True)
    ]
    assert histories[0].loss == histories[1].loss
    assert [len(part) for part in histories[0]] == [4, 2]


LEARN = {"epochs": 25, "learning_rate": 0.02, "batch_size": 16, "progress": False}


def learned(up=0, left=0, *, mirror=True, shuffled=False):
    """Return a network trained to move pictures."""
    inputs, model = blurred(96), small()
    targets = moved(inputs, up, left)
    if shuffled:
        targets = targets[torch.randperm(96, generator=seeded(5))]
    forecasters.fit(model, inputs, targets, generator=seeded(), mirror=mirror, **LEARN)
    return model


def inner(pictures):
    """Return the pictures without the border, where what comes in cannot be known."""
    return pictures[..., 2:-2, 2:-2]


def inner_error(model, inputs, targets):
    with torch.no_grad():
        return (inner(model(inputs)) - inner(targets)).square().mean().item()


def asymmetry(model, inputs):
    """Return how far the forecast of a mirrored picture is from the mirrored forecast, by the forecasts' variance."""
    with torch.no_grad():
        straight, turned = (inner(y) for y in (model(inputs), model(inputs.flip(3)).flip(3)))
    return ((turned - straight).square().mean() / straight.var()).item()


@pytest.fixture(scope="module")
def upward():
    """Return a network trained on pictures shifted up by two pixels."""
    return learned(up=2)


def test_a_planted_rule_is_learned_and_shuffled_targets_are_not(upward):
    inputs = blurred(64, seed=9)
    targets = moved(inputs, up=2)
    trivial = (inner(inputs) - inner(targets)).square().mean().item()
    assert inner_error(upward, inputs, targets) < 0.1 * trivial
    assert inner_error(learned(up=2, shuffled=True), inputs, targets) > 0.6 * trivial


def test_mirroring_treats_both_sides_alike(upward):
    assert asymmetry(upward, blurred(64, seed=9)) < 0.15


def test_a_rule_that_prefers_a_side_is_learned_without_mirroring_only():
    inputs = blurred(64, seed=9)
    targets = moved(inputs, left=2)
    plain, mirrored = (learned(left=2, mirror=mirror) for mirror in (False, True))
    assert inner_error(plain, inputs, targets) < 0.1 * targets.var()
    assert inner_error(mirrored, inputs, targets) > 0.3 * targets.var()
    assert asymmetry(plain, inputs) > 1  # independent pictures would have 2
    assert asymmetry(mirrored, inputs) < 0.3


def test_the_seed_alone_decides_the_weights():
    inputs, before = blurred(20), torch.get_rng_state()
    fitted = []
    for seed in (0, 0, 1):
        fitted.append(small())
        forecasters.fit(fitted[-1], inputs, inputs, epochs=2, learning_rate=0.01, generator=seeded(seed))
    assert_close(torch.get_rng_state(), before, rtol=0, atol=0)
    assert_close(fitted[0].state_dict(), fitted[1].state_dict(), rtol=0, atol=0)
    assert not torch.allclose(fitted[0].conv1.weight, fitted[2].conv1.weight)


def test_inputs_and_targets_stay_as_they_are():
    pair = blurred(10), blurred(10, seed=1)
    copies = [part.clone() for part in pair]
    forecasters.fit(small(), *pair, epochs=2, learning_rate=0.01, generator=seeded())
    assert_close(list(pair), copies, rtol=0, atol=0)


def test_a_model_trains_in_train_mode_and_is_left_in_eval_mode():
    model, inputs = small().eval(), blurred(10)
    forecasters.fit(model, inputs, inputs, epochs=1, batch_size=4, learning_rate=0.01, generator=seeded())
    assert not any(m.training for m in model.modules())
    assert model.bn1.num_batches_tracked == 3  # and it was in train mode meanwhile


@pytest.mark.parametrize(("n", "epochs"), [(1, 1), (3, 1), (2, 2)])
def test_few_steps_are_enough(n, epochs):
    inputs = blurred(n)
    history = forecasters.fit(small(), inputs, inputs, epochs=epochs, learning_rate=0.01, generator=seeded())
    assert [len(part) for part in history] == [epochs, epochs]


def test_a_bar_is_no_noise_where_there_is_no_terminal(capsys):
    forecasters.fit(small(), blurred(2), blurred(2), epochs=1, learning_rate=0.01, generator=seeded())
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("pixels", "sizes"), [(3 * 64, [3, 3, 1]), (4 * 64 - 1, [3, 3, 1]), (7 * 64, [7]), (5, [1] * 7)]
)
def test_chunks_agree_with_one_pass_in_eval_mode(monkeypatch, pixels, sizes):
    model, inputs, seen = small(channels=2).train(), blurred(14).reshape(7, 2, 8, 8), []
    model.relu1.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    monkeypatch.setattr(forecasters, "_PIXELS", pixels)
    handle = model.register_forward_pre_hook(lambda _m, args: seen.append(len(args[0])))
    found = forecasters.predict(model, inputs)
    handle.remove()
    assert seen == sizes
    assert not found.requires_grad
    assert [m.training for m in (model, model.bn1, model.relu1)] == [True, True, False]
    assert_close(dict(model.state_dict()), before, rtol=0, atol=0)
    assert not torch.allclose(copy.deepcopy(model)(inputs), found, atol=0.01)
    assert_close(found, model.eval()(inputs).detach())


def test_modes_come_back_after_an_exception():
    model = small().train()
    with pytest.raises(RuntimeError, match=r"expected input.* to have 1 channels"):
        forecasters.predict(model, torch.zeros(2, 3, 8, 8))
    assert model.training


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 1, "channels": 2}, "width = 1, .*channels = 2.*at least as many channels inside as at the input"),
        ({"width": 0, "channels": 0}, "channels = 0, .*positive numbers"),
        ({"n_blocks": 0}, "n_blocks = 0"),
        ({"size": 0}, "size = 0"),
        ({"kernel": 4}, "kernel = 4, .*an odd kernel"),
        ({"kernel": -1}, "kernel = -1"),
    ],
)
def test_an_impossible_network_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        small(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs = 0, .*give at least 1 epoch"),
        ({"batch_size": 0}, "batch_size = 0, .*at least 1 example a batch"),
        ({"learning_rate": 0.0}, r"learning_rate = 0\.0; .*a positive, finite rate"),
        ({"learning_rate": math.nan}, "learning_rate = nan"),
        ({"learning_rate": math.inf}, "learning_rate = inf"),
        ({"targets": blurred(3)}, r"shape \(3, 1, 8, 8\) for inputs of \(4, 1, 8, 8\); give \(4, 1, 8, 8\)"),
        ({"targets": blurred(4).expand(4, 2, 8, 8)}, r"shape \(4, 2, 8, 8\)"),
        ({"targets": blurred(4, 9)}, r"shape \(4, 1, 9, 9\) .*one picture of the same size for each input"),
        ({"inputs": torch.zeros(0, 1, 8, 8), "targets": torch.zeros(0, 1, 8, 8)}, "and at least one"),
    ],
)
def test_what_cannot_be_trained_is_refused_and_the_model_kept(unchecked, change, message):
    model, before = small(), small()
    options = {"inputs": blurred(4), "targets": blurred(4), "epochs": 1, "learning_rate": 0.1, "generator": seeded()}
    with pytest.raises(ValueError, match=message):
        forecasters.fit(model, **options | change)
    assert_close(model.state_dict(), before.state_dict(), rtol=0, atol=0)
    assert model.training


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_the_step_of_divergence_is_counted_over_epochs(value):
    class Bomb(nn.Conv2d):
        """Count the training batches; the fifth is not finite."""

        calls = 0

        def forward(self, x):
            self.calls += self.training
            return super().forward(x) + (value if self.calls == 5 else 0)

    bomb, inputs = Bomb(1, 1, 1), blurred(8)
    message = rf"the loss is {value} at step 5: training diverged with learning_rate = 0\.1, .*; try a tenth of"
    with pytest.raises(FloatingPointError, match=message):
        forecasters.fit(bomb, inputs, inputs, epochs=9, batch_size=4, learning_rate=0.1, generator=seeded())
    assert not bomb.training


def test_a_picture_that_holds_no_number_is_told():
    inputs, model = blurred(4), small()
    with pytest.raises(FloatingPointError, match=r"the loss is nan at step 1: .*a picture holds a value that is no"):
        forecasters.fit(model, inputs.log(), inputs, epochs=1, learning_rate=0.1, generator=seeded())
    assert not any(m.training for m in model.modules())


def test_a_model_that_makes_no_single_picture_is_refused(unchecked):
    options = {"epochs": 1, "learning_rate": 0.1, "generator": seeded()}
    with pytest.raises(ValueError, match=r"the model makes \(2, 8, 8\) of an input, the targets are \(1, 8, 8\) each"):
        forecasters.fit(nn.Conv2d(1, 2, 1), blurred(4), blurred(4), **options)


def test_nothing_cannot_be_predicted():
    with pytest.raises(ValueError, match=r"inputs have the shape \(0, 1, 8, 8\); give at least one"):
        forecasters.predict(small(), torch.zeros(0, 1, 8, 8))
