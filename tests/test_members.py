"""Networks out of stacked parameters: each is the one that was stacked, and what does not fit is refused."""

import pytest
import torch
from torch import nn

from actlib import members, models


def networks(m=3, **options):
    return [models.lenet5(**options, generator=torch.Generator().manual_seed(k)) for k in range(m)]


def stacked(nets):
    return torch.func.stack_module_state(nets)[0]


@pytest.mark.parametrize(("size", "channels", "n_classes"), [(28, 1, 10), (17, 3, 4)])
def test_each_member_is_the_network_that_was_stacked(size, channels, n_classes):
    nets = networks(n_classes=n_classes, size=size, channels=channels)
    images = torch.rand(5, channels, size, size)
    state = stacked(nets)
    assert members.n_members(state) == 3
    n_seen = 0
    for net, member in zip(nets, members.members(state, images), strict=True):
        torch.testing.assert_close(member(images), net(images))
        assert not any(parameter.requires_grad for parameter in member.parameters())
        n_seen += 1
    assert n_seen == 3
    assert members.prepared(state, (images * 255).byte()).dtype == torch.float32


def test_normalisation_in_the_state_is_the_members_own():
    nets = [models.lenet5(mean=k / 9, std=0.5, generator=torch.Generator().manual_seed(k)) for k in range(3)]
    images = torch.rand(5, 1, 28, 28)
    parameters, buffers = torch.func.stack_module_state(nets)
    for net, member in zip(nets, members.members(parameters | buffers, images), strict=True):
        torch.testing.assert_close(member(images), net(images))
    plain = next(iter(members.members(parameters, images)))
    assert (plain(images) - nets[0](images)).abs().max() > 1e-3


def test_dtype_is_that_of_the_parameters_and_a_network_is_its_only_member():
    state = {name: value.double() for name, value in stacked(networks()).items()}
    assert members.prepared(state, torch.rand(2, 1, 28, 28)).dtype == torch.float64
    net = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(4, 2))
    for member in members.members(net, torch.rand(1, 1, 2, 2)):
        assert member is net
        assert not net[1].training
    assert net[1].training
    assert members.n_members(net) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("conv1.weight"), "no stacked"),
        (lambda state: state.pop("fc2.bias"), "fc2.bias of the population is missing"),
        (
            lambda state: state.update({"fc2.bias": state["fc2.bias"][:2]}),
            r"fc2.bias .* is \(2, 84\) and not \(3, 84\)",
        ),
        (lambda state: state.update(more=torch.zeros(3)), r"holds \['more'\]"),
        (lambda state: state.update({k: v[0] for k, v in state.items()}), "no stacked"),
        (lambda state: state.update({k: v[:0] for k, v in state.items()}), "is empty"),
    ],
)
def test_what_is_no_population_is_refused(change, message):
    state = dict(stacked(networks()))
    change(state)
    with pytest.raises(ValueError, match=message):
        next(members.members(state, torch.rand(1, 1, 28, 28)))


def test_images_of_another_size_or_form_are_refused():
    state = stacked(networks())
    with pytest.raises(ValueError, match="of 20 px need"):
        members.prepared(state, torch.rand(1, 1, 20, 20))
    with pytest.raises(ValueError, match="add the missing axis"):
        members.prepared(state, torch.rand(1, 28, 28))
    with pytest.raises(ValueError, match="channels"):
        members.prepared(state, torch.rand(1, 3, 28, 28))
    with pytest.raises(ValueError, match="NaN"):
        members.prepared(state, torch.full((1, 1, 28, 28), torch.nan))
