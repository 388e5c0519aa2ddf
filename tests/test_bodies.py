"""The bodies of the meta-networks: the document's numbers of parameters, and what each output depends on."""

import jaxtyping
import pytest
import torch
from torch import nn

from actlib import bodies
from actlib.bodies import BODIES, MetaNetwork

SIZES = {"pool2": 256, "fc1": 120, "fc2": 84, "fc3": 10}


@pytest.fixture
def unchecked(monkeypatch):
    """Let annotations go unchecked, as outside the tests."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def build(body="rnn", sizes=None, *, width=16, seed=0, **options):
    return MetaNetwork(sizes or {"a": 3, "b": 5}, body=body, width=width, generator=source(seed), **options)


# Table of M4; GRU from the document's code: three gates where the RNN has one.
@pytest.mark.parametrize(
    ("body", "n_outputs", "expected"),
    [
        ("rnn", 1, 844_801),
        ("rnn", 2, 845_058),
        ("gru", 1, 844_801 + 2 * 4 * 2 * 256**2),
        ("lstm", 1, 2_417_665),
        ("lstm", 2, 2_417_922),
        ("transformer", 1, 5_565_441),
        ("transformer", 2, 5_565_698),
    ],
)
def test_parameters_are_those_of_the_document(body, n_outputs, expected):
    network = MetaNetwork(SIZES, body=body, n_outputs=n_outputs, generator=source())
    assert sum(p.numel() for p in network.parameters()) == expected


def test_the_recurrent_body_is_the_recursion_written_out():
    network = build("rnn").double().eval()
    values = torch.randn(4, 8, dtype=torch.float64)
    tokens = [network.encoders["a"](values[:, :3]), network.encoders["b"](values[:, 3:])]
    weights = dict(network.body.named_parameters())
    for k in range(4):
        state, above = torch.zeros(4, 16, dtype=torch.float64), []
        for token in tokens:
            state = torch.tanh(token @ weights[f"weight_ih_l{k}"].T + state @ weights[f"weight_hh_l{k}"].T)
            above.append(state)
        tokens = above
    x = tokens[-1]
    for layer in network.decoder:
        x = layer(x)
    torch.testing.assert_close(network(values), x)


def test_the_transformer_leaves_out_only_what_nobody_reads():
    network = build("transformer").double().eval()
    tokens = torch.randn(6, 4, 16, dtype=torch.float64)
    whole = nn.TransformerEncoder.forward(network.body, tokens)
    torch.testing.assert_close(network.body(tokens), whole[:, -1])
    assert not torch.allclose(network.body(tokens), whole[:, 0])


@pytest.mark.parametrize("body", BODIES)
def test_every_layer_counts_and_so_does_their_order(body):
    network = build(body, {"a": 4, "b": 4}).double().eval()
    values = torch.randn(3, 8, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(values).sum(), values)
    assert (gradient.abs().amax(0) > 0).all()
    assert not torch.allclose(network(values), network(values.roll(4, 1)))


@pytest.mark.parametrize("body", BODIES)
def test_no_layer_of_the_body_has_a_bias(body):
    names = [name for name, _ in build(body).body.named_parameters()]
    assert names
    assert not [name for name in names if "bias" in name]


def test_all_weights_come_from_the_generator():
    state = torch.get_rng_state()
    first, again, other = build("transformer"), build("transformer"), build("transformer", seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    for one, two, three in zip(first.parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
        assert one.ndim < 2 or not torch.equal(one, three)


def test_the_generator_moves_on_and_the_global_one_does_not():
    generator, same = source(3), source(3)
    state = torch.get_rng_state()
    with bodies.drawing_from(generator):
        inside = torch.rand(5)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(inside, torch.rand(5, generator=same))
    assert torch.equal(torch.rand(5, generator=generator), torch.rand(5, generator=same))


def test_after_an_error_the_global_generator_is_as_before():
    state = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), bodies.drawing_from(source()):
        1 / int(torch.rand(()).item())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"body": "cnn"}, "unknown body 'cnn'"),
        ({"sizes": {"a": 0}}, "at least one layer"),
        ({"width": 0}, "width = 0"),
        ({"n_outputs": 0}, "n_outputs = 0"),
        ({"body": "transformer", "width": 12}, "multiple of 8"),
    ],
)
def test_impossible_networks_are_refused(unchecked, options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_no_layer_is_refused():
    with pytest.raises(ValueError, match="at least one layer"):
        MetaNetwork({}, generator=source())


def test_rows_of_another_length_are_refused():
    with pytest.raises(ValueError, match="rows of 7 values"):
        build()(torch.zeros(2, 7))
