"""LeNet-5 as matrix products against ``models.lenet5`` and autograd; ties and zeros included."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from actlib import lenets, models


def example(size=28, channels=1, n_classes=10, n=7, seed=0):
    """Return a network in float64 with images, most of whose pixels are black as in handwriting, and labels."""
    generator = torch.Generator().manual_seed(seed)
    model = models.lenet5(n_classes, size=size, channels=channels, generator=generator).double()
    images = torch.rand(n, channels, size, size, generator=generator, dtype=torch.float64)
    images = torch.where(images < 0.7, 0, images)
    return model, images, torch.randint(n_classes, (n,), generator=generator)


def last(images):
    """Return images with their number in the last axis."""
    return images.permute(1, 2, 3, 0).contiguous()


def parameters(model):
    return tuple(value.detach() for value in model.parameters())


def by_autograd(model, images, labels):
    model.zero_grad()
    cross_entropy(model(images), labels).backward()
    return tuple(value.grad for value in model.parameters())


def test_the_names_are_those_of_the_model():
    assert tuple(name for name, _ in models.lenet5().named_parameters()) == lenets.NAMES


@settings(max_examples=15, deadline=None)
@given(st.integers(16, 34), st.integers(1, 3), st.integers(2, 12), st.integers(1, 6), st.integers(0, 10**6))
def test_values_and_gradients_are_those_of_the_layers(size, channels, n_classes, n, seed):
    model, images, labels = example(size, channels, n_classes, n, seed)
    found = lenets.logits(parameters(model), last(images))
    torch.testing.assert_close(found.T, model(images), atol=1e-13, rtol=1e-12)
    grads = lenets.gradients(parameters(model), last(images), labels)
    torch.testing.assert_close(grads, by_autograd(model, images, labels), atol=1e-14, rtol=1e-11)


def test_single_precision_agrees_to_its_rounding():
    model, images, labels = example(n=64)
    exact = by_autograd(model, images, labels)
    grads = lenets.gradients(tuple(p.float() for p in parameters(model)), last(images.float()), labels)
    for single, double in zip(grads, exact, strict=True):
        assert (single - double).abs().max() < 1e-5 * double.abs().max()


def test_at_ties_the_first_of_the_equal_values_gets_the_gradient():
    model, images, labels = example()
    with torch.no_grad():  # a kernel with one pixel: equal pixels, equal values, at different windows
        model.conv1.weight.zero_()[:, :, 2, 2] = 1
        model.conv1.bias.fill_(0.1)
    images = (images * 3).round() / 3
    first = torch.nn.functional.conv2d(images, model.conv1.weight, model.conv1.bias)
    fours = torch.nn.functional.unfold(first[:, :1], 2, stride=2)
    assert ((fours == fours.amax(1, keepdim=True)).sum(1) > 1).double().mean() > 0.3
    exact = by_autograd(model, images, labels)
    grads = lenets.gradients(parameters(model), last(images), labels)
    torch.testing.assert_close(grads, exact, atol=1e-14, rtol=1e-11)
    # Were the gradient handed to the last of them, or to all, it would be another one.
    turned = by_autograd(model, images.flip(2, 3), labels)
    assert (turned[0].flip(2, 3) - exact[0]).abs().max() > 1e-6


def test_dead_units_get_no_gradient():
    model, images, labels = example()
    with torch.no_grad():
        model.conv2.bias.fill_(-100)
    grads = lenets.gradients(parameters(model), last(images), labels)
    assert all((grad == 0).all() for grad in grads[:5])
    assert (grads[5] != 0).any()  # the bias behind them still learns
    torch.testing.assert_close(grads, by_autograd(model, images, labels), atol=1e-14, rtol=1e-11)


def test_a_value_of_exactly_zero_hands_nothing_on():
    model, images, labels = example()
    with torch.no_grad():
        for name in ("conv1", "conv2", "fc1", "fc2"):
            getattr(model, name).bias.zero_()
    grads = lenets.gradients(parameters(model), torch.zeros_like(last(images)), labels)
    torch.testing.assert_close(grads, by_autograd(model, torch.zeros_like(images), labels))
    assert all((grad == 0).all() for grad in grads[:9])


def test_not_a_number_stays_one():
    model, images, labels = example()
    with torch.no_grad():
        model.conv1.weight[2] = torch.nan
    assert lenets.logits(parameters(model), last(images)).isnan().all()
    assert all(grad.isnan().any() for grad in lenets.gradients(parameters(model), last(images), labels))


@pytest.mark.parametrize("shared", [False, True])
def test_vmap_takes_a_population(shared):
    several = [example(seed=seed) for seed in range(3)]
    stacked = tuple(torch.stack(values) for values in zip(*(parameters(model) for model, *_ in several), strict=True))
    images = torch.stack([last(images) for _, images, _ in several])
    labels = torch.stack([labels for *_, labels in several])
    if shared:
        grads = torch.vmap(lenets.gradients, in_dims=(0, None, None))(stacked, images[0], labels[0])
    else:
        grads = torch.vmap(lenets.gradients)(stacked, images, labels)
    for k, (model, own, truth) in enumerate(several):
        exact = by_autograd(model, several[0][1], several[0][2]) if shared else by_autograd(model, own, truth)
        torch.testing.assert_close(tuple(grad[k] for grad in grads), exact, atol=1e-14, rtol=1e-11)
