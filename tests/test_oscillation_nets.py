import math

import pytest
import torch
from torch import nn

from actlib import oscillation_nets, resnets

# The read-me's tables, all 23 rows.
PUBLISHED = {
    "fc-1h": [83050, 285400, 1140400, 4275400],
    "fc-2h": [81855, 289480, 1216000, 4389400],
    "resnet-c": [75020, 280840, 1086080, 4270960],
    "resnet-w": [81512, 297536, 1134320, 4426832],
    "resnet-d": [103104, 297536, 491968, 686400, 880832, 1755776, 4380608],
}
ROWS = [
    (family, number, count)
    for family, counts in PUBLISHED.items()
    for number, count in zip(oscillation_nets.FAMILIES[family], counts, strict=True)
]


def dice(seed):
    return torch.Generator().manual_seed(seed)


def build(family="resnet-w", number=4, decimation="strided", seed=0, **options):
    options = {"mean": 0.5, "std": 0.25, "n_classes": 9, "size": 16, "depth": 8} | options
    return oscillation_nets.network(family, number, decimation=decimation, generator=dice(seed), **options)


@pytest.mark.parametrize(("family", "number", "count"), ROWS)
def test_parameters_are_as_many_as_published(family, number, count):
    assert len(ROWS) == 23
    with torch.device("meta"):
        net = oscillation_nets.network(family, number, mean=0.5, std=0.25)
    assert sum(p.numel() for p in net.parameters()) == count


def test_the_repeated_network_is_the_same_in_both_families():
    same, again = (build(*row, depth=20) for row in (("resnet-w", 16), ("resnet-d", 20)))
    torch.testing.assert_close(same.state_dict(), again.state_dict(), atol=0, rtol=0)
    assert str(same) == str(again)


def test_weights_follow_the_published_laws():
    net = build(number=32)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.weight.shape[0] * module.weight.shape[2] * module.weight.shape[3]
            torch.testing.assert_close(module.weight.std().item(), math.sqrt(2 / fan_out), rtol=0.15, atol=0)
            # normal, not uniform: some lie beyond the end of a uniform law of this spread
            assert module.weight.abs().max() > math.sqrt(3) * math.sqrt(2 / fan_out)
    assert net.fc.weight.abs().max() <= 1 / math.sqrt(128)
    fan_in = resnets.cifar(8, widths=(32, 64, 128), shortcut="B", channels=1, generator=dice(0))
    assert abs(fan_in.conv1.weight.std() / net.conv1.weight.std() - 1) > 0.2


@pytest.mark.parametrize("decimation", oscillation_nets.DECIMATIONS[1:])
def test_another_decimation_has_the_same_weights(decimation):
    net, usual = build(decimation=decimation), build()
    for one, other in zip(net.parameters(), usual.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)
    x = torch.rand(3, 1, 16, 16, generator=dice(1))
    assert net(x).shape == usual(x).shape == (3, 9)
    assert not torch.allclose(net(x), usual(x))
    torch.testing.assert_close(net[:5](x).shape[-1], usual[:5](x).shape[-1])
    assert net[:7](x).shape[-1] == (16 if decimation == "none" else 4)


def test_average_is_the_mean_of_four_outputs_without_stride():
    net, usual = build(decimation="average"), build()
    x = torch.randn(2, 4, 8, 8, generator=dice(2))
    dense = nn.functional.conv2d(x, usual.layer2[0].conv1.weight, padding=1)
    by_hand = (dense[..., ::2, ::2] + dense[..., 1::2, ::2] + dense[..., ::2, 1::2] + dense[..., 1::2, 1::2]) / 4
    torch.testing.assert_close(net.layer2[0].conv1(x), by_hand)
    torch.testing.assert_close(usual.layer2[0].conv1(x), dense[..., ::2, ::2])


def test_blur_is_the_binomial_mean_pixel_by_pixel():
    x, taps = torch.randn(2, 3, 6, 8, generator=dice(3)), [1, 4, 6, 4, 1]
    expected = torch.zeros(2, 3, 3, 4)
    for i in range(3):
        for j in range(4):
            for a, high in enumerate(taps):
                for b, wide in enumerate(taps):
                    # Reflection without the edge: -1 is 1, and n is n - 2.
                    y, z = abs(2 * i + a - 2), abs(2 * j + b - 2)
                    y, z = min(y, 10 - y), min(z, 14 - z)
                    expected[..., i, j] += high * wide * x[..., y, z] / 256
    torch.testing.assert_close(oscillation_nets.Blur()(x), expected)


def test_blur_removes_what_decimation_would_fold_to_zero_and_keeps_the_mean():
    checks = (-1.0) ** torch.arange(8) * torch.ones(1, 1, 8, 1)
    torch.testing.assert_close(oscillation_nets.Blur()(checks), torch.zeros(1, 1, 4, 4))
    assert (checks[..., ::2, ::2] == 1).all()  # plain decimation makes it a constant
    torch.testing.assert_close(oscillation_nets.Blur()(torch.ones(1, 1, 8, 8)), torch.ones(1, 1, 4, 4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"family": "fc-3h"}, "family = 'fc-3h'"),
        ({"number": 0}, "at least 1"),
        ({"decimation": "median"}, "decimation = 'median'"),
        ({"family": "fc-1h", "decimation": "blur"}, "has none"),
        ({"depth": 9}, "depth"),
        ({"family": "resnet-d", "number": 9}, "depth"),
    ],
)
def test_unknown_networks_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)
