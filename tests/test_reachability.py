"""Linear programmes against all patterns of a grid, closed forms, and contradictions."""

import itertools
import math

import pytest
import torch
from torch import nn

from actlib import arrangements, models, piecewise
from actlib.gates import Pattern
from actlib.reachability import reach


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def bits(network, values):
    """A pattern from a flat list of bits."""
    parts = torch.tensor(values).split([gate.n_units for gate in network.gates.values()])
    shaped = zip(network.gates.items(), parts, strict=True)
    return Pattern({name: part.bool().reshape(1, *gate.shape) for (name, gate), part in shaped})


@pytest.mark.parametrize("seed", range(2))
def test_the_reachable_patterns_are_those_that_a_fine_grid_meets(seed):
    model = models.mlp((4, 3), input_shape=(1, 1, 2), mean=0.5, std=0.25, generator=seeded(seed)).eval()
    network = piecewise.trace(model, (1, 1, 2))
    line = torch.linspace(0, 1, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line).reshape(-1, 1, 1, 2)
    pattern = network.pattern(grid)
    seen, counts = (
        torch.cat([c.flatten(1) for c in pattern.choices.values()], 1).int().unique(dim=0, return_counts=True)
    )
    met = {tuple(row): count for row, count in zip(seen.tolist(), counts.tolist(), strict=True)}
    found = {row: reach(network, bits(network, row)) for row in itertools.product((0, 1), repeat=7)}
    reachable = {row for row, result in found.items() if result.reachable}
    assert set(met) <= reachable
    assert len(reachable - set(met)) <= 2  # slivers between the points of the grid
    for row, result in found.items():
        if result.reachable:
            assert result.verified
            assert result.margin > 0
            assert result.point.shape == (1, 1, 2)
            assert (result.point >= 0).all()
            assert (result.point <= 1).all()
        else:
            assert result.point is None
            assert not result.verified
            assert not result.margin > 1e-9, row


def test_one_layer_in_the_plane_has_as_many_patterns_as_regions():
    model = nn.Sequential(nn.Linear(2, 6), nn.ReLU())
    models.initialize(model, seeded())
    network = piecewise.trace(model, (2,))
    rows = itertools.product((0, 1), repeat=6)
    reached = sum(reach(network, bits(network, row), box=None).reachable for row in rows)
    assert reached == arrangements.affine(6, 2)


def test_every_pattern_of_fewer_units_than_pixels_is_reached_and_the_margin_is_the_largest():
    network = piecewise.trace(models.initialize(nn.Sequential(nn.Linear(8, 6), nn.ReLU()), seeded()), (8,))
    for row in [(0, 1, 0, 1, 1, 1), (1, 1, 1, 1, 1, 1), (0, 0, 0, 0, 0, 0)]:
        result = reach(network, bits(network, row), box=None)
        assert result.verified
        assert result.margin == pytest.approx(1)  # as far as one likes: capped
    single = nn.Sequential(nn.Linear(2, 1), nn.ReLU())
    single[0].weight.data, single[0].bias.data = torch.tensor([[2.0, 1.0]]), torch.tensor([-2.5])
    network = piecewise.trace(single, (2,))
    on, off = (reach(network, bits(network, [bit])) for bit in (1, 0))
    assert on.margin == pytest.approx(0.5)
    torch.testing.assert_close(on.point, torch.ones(2, dtype=torch.float64))
    assert off.margin == pytest.approx(1)


def test_a_sample_s_own_pattern_is_reached_with_max_pooling_and_a_changed_one_may_not_be():
    model = models.lenet5(size=16, generator=seeded()).eval()
    network = piecewise.trace(model[:4], (1, 16, 16))  # up to the first pooling
    x = torch.rand(2, 1, 16, 16, dtype=torch.float64, generator=seeded())
    pattern = network.pattern(x)
    result = reach(network, pattern[:1])
    assert result.verified
    # A window whose largest value is one that is off, beside one that is on.
    gate, changed = network.gates["pool1"], {name: choice[:1].clone() for name, choice in pattern.choices.items()}
    on = changed["relu1"].flatten(2)[0][:, gate.windows]
    mixed = (on.any(-1) & ~on.all(-1)).nonzero()[0]
    slot = (~on[mixed[0], mixed[1]]).nonzero()[0]
    changed["pool1"].flatten(2)[0, mixed[0], mixed[1]] = gate.windows[mixed[1], slot].squeeze()
    assert not reach(network, Pattern(changed)).reachable


def test_the_first_gates_alone_can_be_asked_for():
    network = piecewise.trace(models.mlp((5, 4), input_shape=(1, 2, 2), generator=seeded()), (1, 2, 2))
    pattern = network.pattern(torch.rand(1, 1, 2, 2, generator=seeded()))
    assert reach(network, Pattern({"relu1": pattern.choices["relu1"]})).verified
    with pytest.raises(ValueError, match=r"a pattern of 1 samples at \['relu2'\]; give one sample's"):
        reach(network, Pattern({"relu2": pattern.choices["relu2"]}))


def test_a_dead_unit_that_is_on_contradicts_itself():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1), nn.ReLU())
    model[2].bias.data.fill_(-1)
    network = piecewise.trace(model, (2,))
    result = reach(network, bits(network, [0, 0, 1]))  # the last sees nothing but -1
    assert not result.reachable
    assert math.isnan(result.margin)
    # Of windows where all are off the first value is the largest.
    pool = piecewise.trace(nn.Sequential(nn.ReLU(), nn.MaxPool1d(2)), (1, 2))
    off = {"0": torch.zeros(1, 1, 2, dtype=torch.bool)}
    first, second = (reach(pool, Pattern(off | {"1": torch.full((1, 1, 1), k)}), box=(-1, 1)) for k in (0, 1))
    assert first.verified
    assert not second.reachable


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"0": torch.zeros(2, 1, 2, dtype=torch.bool), "1": torch.zeros(2, 1, 1, dtype=torch.int64)}, "of 2 samples"),
        ({"0": torch.zeros(1, 1, 3, dtype=torch.bool), "1": torch.zeros(1, 1, 1, dtype=torch.int64)}, "gate '0'"),
        ({"0": torch.zeros(1, 1, 2), "1": torch.zeros(1, 1, 1, dtype=torch.int64)}, "gate '0': torch.float32"),
        ({"0": torch.zeros(1, 1, 2, dtype=torch.bool), "1": torch.full((1, 1, 1), 2)}, "outside of its window"),
    ],
)
def test_patterns_of_another_network_are_refused(choices, message):
    network = piecewise.trace(nn.Sequential(nn.ReLU(), nn.MaxPool1d(2)), (1, 2))
    with pytest.raises(ValueError, match=message):
        reach(network, Pattern(choices))
