"""Hooks: an edit does what a network rewritten by hand does, and no block leaves a trace."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from actlib import hooks


@pytest.fixture
def model():
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 3))
    for parameter in model.parameters():
        nn.init.normal_(parameter, generator=generator)
    return model


@pytest.fixture
def x():
    return torch.randn(6, 4, generator=torch.Generator().manual_seed(1))


def traces(model):
    """Return all that a block must leave alone, as comparable values."""
    tables = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs")
    tables += ("_backward_hooks", "_backward_pre_hooks", "_forward_hooks_always_called")
    return (
        [[list(getattr(module, table)) for table in tables] for module in model.modules()],
        [module.training for module in model.modules()],
        [(p.requires_grad, None if p.grad is None else p.grad.tolist()) for p in model.parameters()],
        torch.get_rng_state().tolist(),
    )


def copy(module, key, tensor):
    return tensor.clone()


def blocks(model):
    """Yield every kind of block over all layers."""
    names = ["0", "1", "2", "3"]
    yield hooks.record(model, names, copy)
    yield hooks.record(model, names, copy, inputs=True)
    yield hooks.edit(model, dict.fromkeys(names, torch.zeros_like))
    yield hooks.evaluating(model)


@pytest.mark.parametrize("kind", range(4))
def test_a_block_leaves_no_trace(model, x, kind):
    model[2].eval()  # modes differ from module to module
    model[0].weight.requires_grad_(False)
    model(x).sum().backward()
    model[0].register_forward_hook(lambda *_: None)  # somebody else's, which stays
    before = traces(model)
    with list(blocks(model))[kind]:
        assert traces(model) != before
        model(x)
    assert traces(model) == before


@pytest.mark.parametrize("kind", range(4))
def test_a_block_leaves_no_trace_after_an_exception(model, kind):
    model[1].eval()
    before = traces(model)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), list(blocks(model))[kind]:
        model(torch.zeros(6, 7))
    assert traces(model) == before


def test_a_refused_block_leaves_no_trace(model):
    before = traces(model)
    with pytest.raises(ValueError, match="unknown layer"), hooks.record(model, ["0", "9"], copy):
        pass
    assert traces(model) == before


def test_an_edit_changes_what_the_network_goes_on_with(model, x):
    model.eval()
    with hooks.edit(model, {"1": lambda h: h * torch.tensor([0.0, 1, 1, 1, 2])}):
        edited = model(x)
    by_hand = model[3](torch.relu(model[0](x)) * torch.tensor([0.0, 1, 1, 1, 2]))
    assert_close(edited, by_hand)
    assert not torch.isclose(edited, model(x)).all()  # undone


def test_of_two_edits_the_inner_acts_first(model, x):
    model.eval()
    with hooks.edit(model, {"0": lambda h: h + 1}), hooks.edit(model, {"0": lambda h: h * 3}):
        out = model(x)
    assert_close(out, model[3](torch.relu(model[0](x) * 3 + 1)))


def test_an_edit_of_a_tuple_sees_the_tuple():
    lstm = nn.Sequential(nn.LSTM(2, 3))
    with hooks.edit(lstm, {"0": lambda out: (torch.ones_like(out[0]), out[1])}):
        values, _ = lstm(torch.zeros(4, 1, 2))
    assert_close(values, torch.ones(4, 1, 3))


def test_an_edit_acts_at_every_call():
    relu = nn.ReLU()
    with hooks.edit(nn.Sequential(relu, nn.Identity(), relu), {"0": lambda h: h + 1}):
        assert_close(relu(relu(torch.zeros(2))), torch.full((2,), 2.0))


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        (lambda h: None, "None"),
        (lambda h: h[:, :2], r"float32 \(6, 2\) on cpu"),
        (lambda h: h.double(), r"float64 \(6, 5\) on cpu"),
        (lambda h: (h,), r"tuple\(0: float32"),
        (lambda h: h.detach().numpy(), "a ndarray"),
    ],
)
def test_an_edit_of_another_form_names_the_layer(model, x, wrong, found):
    with (
        pytest.raises(
            ValueError, match=f"the edit of layer '0' returned {found}.*must return float32 \\(6, 5\\) on cpu"
        ),
        hooks.edit(model, {"0": wrong}),
    ):
        model(x)


def test_an_edit_that_never_acts_is_an_error(model, x):
    with pytest.raises(ValueError, match=r"layers \['3'\] were not called"), hooks.edit(model, {"3": torch.relu}):
        model[0](x)


def test_the_gradient_of_a_score_in_a_layer_is_had_through_an_edit(model, x):
    model.eval()
    seen = {}

    def take(h):
        seen["h"] = h
        return h

    with hooks.edit(model, {"0": take}):
        score = model(x)[:, 1].sum()
    (gradient,) = torch.autograd.grad(score, seen["h"])
    # By hand: the row of the last weights where the ReLU is open.
    assert_close(gradient, model[3].weight[1] * (model[0](x) > 0))


def test_evaluating_puts_each_module_back(model):
    model[2].eval()
    with hooks.evaluating(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == [True, True, True, False, True]
