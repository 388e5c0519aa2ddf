"""The parts that segments and slices share: rows that grow, tables of windows, and patterns put together again."""

import numpy as np
import pytest
import torch
from test_slices import SQUARE, convnet, mlp, seeded
from torch import nn
from torch.nn import functional as F

from actlib import growth, piecewise, planes, slices
from actlib.bits import pack


@pytest.mark.parametrize("shape", [(), (3,), (2, 4)])
def test_rows_are_the_parts_one_after_the_other(shape, monkeypatch):
    monkeypatch.setattr(growth, "_ROWS", 2)
    parts = [np.random.default_rng(n).normal(size=(n, *shape)) for n in (0, 1, 3, 0, 5, 40, 2)]
    rows = growth.Rows()
    for part in parts:
        rows.add(part)
    np.testing.assert_array_equal(rows.joined(), np.concatenate(parts))
    rows.add(parts[2])
    np.testing.assert_array_equal(rows.joined(), np.concatenate([*parts, parts[2]]))
    assert len(growth.Rows().joined()) == 0
    words = growth.Rows()
    words.add(np.array([2**63], np.uint64))
    assert words.joined().dtype == np.uint64


def test_tables_of_windows_are_those_of_unfold():
    network = piecewise.trace(nn.Sequential(nn.MaxPool2d(3, 2, padding=1)).eval(), (2, 5, 6))
    (gate,) = network.gates.values()
    places = F.pad(torch.arange(1.0, 61).view(1, 2, 5, 6), (1, 1, 1, 1))  # 0 outside
    expected = F.unfold(places, 3, stride=2).view(2, 9, -1).transpose(1, 2).reshape(-1, 9).long() - 1
    np.testing.assert_array_equal(growth.table(gate), expected)


def test_levels_put_together_are_the_patterns_of_the_network():
    network = piecewise.trace(convnet("before"), (1, 8, 8))
    plane = planes.through(*torch.randn(3, 1, 8, 8, generator=seeded(1)))
    part = slices.partition(network, plane, plane.corners.mean(0) + SQUARE / 8)
    rows = growth.ancestors(part.levels, len(part))
    for at, level in enumerate(part.levels.values()):
        assert set(rows[:, at].tolist()) == set(range(len(level.parents)))
        if at:
            np.testing.assert_array_equal(level.parents[rows[:, at]], rows[:, at - 1])
        everywhere = level.at(np.arange(len(level.parents))).flatten(1)
        for unit in (0, level.gate.n_units - 1):
            np.testing.assert_array_equal(level.of(unit), everywhere[:, unit])
    some = growth.pattern(part.levels, rows[[5, 2, 5]])
    assert some.same(part.pattern()[[5, 2, 5]]).all()
    assert not some.same(part.pattern()[[4, 2, 5]]).all()


def test_the_choices_of_one_unit_are_a_column_of_all():
    bits = np.random.default_rng(0).random((9, 130)) < 0.5
    gate = piecewise.trace(nn.Sequential(nn.Linear(2, 130), nn.ReLU()).eval(), (2,)).gates["1"]
    level = growth.Level(gate, np.zeros(9, int), pack(bits))
    np.testing.assert_array_equal(level.at(np.arange(9)), bits)
    for unit in (0, 62, 63, 64, 127, 128, 129):
        np.testing.assert_array_equal(level.of(unit), bits[:, unit])


def test_cells_are_pushed_in_blocks(monkeypatch):
    network = piecewise.trace(mlp(2, 30, 30, 1), (2,))
    plane = planes.through(torch.zeros(2), torch.tensor([1.0, 0]), torch.tensor([0.0, 1]))
    monkeypatch.setattr(growth, "_BLOCK", 16)
    seen, functions = [], growth.functions
    monkeypatch.setattr(growth, "functions", lambda state: seen.append(len(state.constant)) or functions(state))
    part = slices.partition(network, plane, SQUARE)
    assert max(seen) <= 16
    assert sum(seen) == 1 + slices.counts(part)["1"] + len(part)


def test_what_is_not_exact_or_has_no_such_gate_is_refused():
    with pytest.raises(ValueError, match=r"the network is in torch\.float32; trace it in float64"):
        growth.check(piecewise.trace(mlp(2, 3, 1), (2,), dtype=torch.float32), None)
    with pytest.raises(ValueError, match=r"unknown gate '9'; the network has \['1'\]"):
        growth.check(piecewise.trace(mlp(2, 3, 1), (2,)), "9")
