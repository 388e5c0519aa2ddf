"""Chords against a walk of the pattern, and sampling against planted polygons."""

import math

import pytest
import torch
from scipy import stats
from torch import nn

from actlib import models, piecewise, polytopes
from actlib.inradius import inradius


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def rand(*shape, seed=1):
    return torch.rand(*shape, dtype=torch.float64, generator=seeded(seed))


def planted(rows, offsets):
    """A network of one layer whose units are the given lines."""
    model = nn.Sequential(nn.Linear(len(rows[0]), len(rows)), nn.ReLU()).double()
    model[0].weight.data, model[0].bias.data = torch.tensor(rows).double(), torch.tensor(offsets).double()
    return model


TRIANGLE = planted([[1, 0], [0, 1], [-1, -1]], [0, 0, 1])  # x > 0, y > 0, x + y < 1


@pytest.mark.parametrize("kind", ["mlp", "lenet5"])
def test_a_chord_ends_where_the_pattern_changes(kind):
    if kind == "mlp":
        model, shape = models.mlp((9, 8), input_shape=(1, 4, 4), generator=seeded()), (1, 4, 4)
    else:
        model, shape = models.lenet5(size=16, generator=seeded()), (1, 16, 16)
    network, x = piecewise.trace(model.eval(), shape), rand(6, *shape)
    d = torch.randn(x.shape, dtype=torch.float64, generator=seeded(2))
    low, high = polytopes.chords(network, x, d)
    assert (low < 0).all()
    assert (high > 0).all()
    pattern, ones = network.pattern(x), [1] * len(shape)
    for end in (low, high):
        known = end.isfinite()
        inside = network.pattern(x + (0.9999 * end.nan_to_num(posinf=5, neginf=-5)).reshape(-1, *ones) * d)
        assert inside.same(pattern).all()
        beyond = network.pattern(x + (1.0001 * end.nan_to_num(posinf=5, neginf=-5)).reshape(-1, *ones) * d)
        assert not beyond.same(pattern)[known].any()
    radius = inradius(network, x).radius
    assert (torch.minimum(-low, high) * d.flatten(1).norm(dim=1) >= radius * (1 - 1e-9)).all()


def test_chords_of_a_triangle_and_of_a_box():
    x = torch.tensor([[0.25, 0.25], [0.25, 0.25], [2.0, 3.0]])
    d = torch.tensor([[1.0, 0.0], [1, 1], [-1, 0]])
    low, high = polytopes.chords(TRIANGLE, x, d)
    assert low.tolist() == pytest.approx([-0.25, -0.25, -math.inf])
    assert high.tolist() == pytest.approx([0.5, 0.25, 2])
    low, high = polytopes.chords(TRIANGLE, x, d, box=(0, 3))
    assert low.tolist() == pytest.approx([-0.25, -0.25, -1])
    assert polytopes.chords(TRIANGLE, x, d, gates=[]).high.isinf().all()


def test_samples_of_a_triangle_are_uniform_and_start_does_not_matter():
    starts = torch.tensor([[0.01, 0.01], [0.3, 0.6]]).repeat_interleave(1500, 0)
    found = polytopes.hit_and_run(TRIANGLE, starts, 2, thin=25, generator=seeded(), box=None)
    assert found.samples.shape == (2, 3000, 2)
    for chains in found.samples[1].split(1500):
        a, b = chains.T
        assert (a > 0).all()
        assert (b > 0).all()
        assert (a + b < 1).all()
        # Uniform on the triangle: u = (1 - a)^2 is uniform, and v = b / (1 - a) too, whatever a is.
        u, v = (1 - a) ** 2, b / (1 - a)
        for value in (u, v):
            assert stats.kstest(value.numpy(), "uniform").pvalue > 1e-3
        assert abs(stats.spearmanr(u, v).statistic) < 0.1
        assert stats.kstest((1 - a).numpy(), "uniform").pvalue < 1e-6
    # After one step the start does matter.
    once = polytopes.hit_and_run(TRIANGLE, starts, 1, generator=seeded(), box=None).samples[0, :1500, 0]
    assert stats.kstest(((1 - once) ** 2).numpy(), "uniform").pvalue < 1e-6
    assert (found.lengths > 0).all()
    assert (found.lengths <= math.sqrt(2) + 1e-12).all()


def test_the_region_is_that_of_the_sample_throughout_also_with_max_pooling():
    model = models.lenet5(size=16, generator=seeded()).eval()
    network, x = piecewise.trace(model, (1, 16, 16)), rand(3, 1, 16, 16)
    found = polytopes.hit_and_run(network, x, 10, generator=seeded())
    for points in found.samples:
        assert network.pattern(points).same(network.pattern(x)).all()
    assert (found.samples[-1] != found.samples[0]).any()
    first = polytopes.hit_and_run(network, x, 10, thin=3, gates=["relu1", "pool1"], generator=seeded()).samples[-1]
    assert network.pattern(first).same(network.pattern(x), ["relu1", "pool1"]).all()
    assert not network.pattern(first).same(network.pattern(x)).all()


def test_the_same_generator_gives_the_same_samples():
    x = torch.tensor([[0.2, 0.2]])
    runs = [polytopes.hit_and_run(TRIANGLE, x, 5, generator=seeded(k)).samples for k in (0, 0, 1)]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_mean_inverse_volume_counts_regions_on_a_line_and_mean_volume_does_not():
    # 12 points on (0, 1): 13 regions, whose lengths are the chords (TH13).
    places = rand(12, seed=7)
    model = planted([[1.0]] * 12, (-places).tolist())
    x = rand(20_000, 1, seed=8)
    low, high = polytopes.chords(model, x, torch.ones_like(x), box=(0, 1))
    lengths = high - low
    assert (1 / lengths).mean().item() == pytest.approx(13, rel=0.1)
    assert 1 / lengths.mean().item() < 10


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: polytopes.hit_and_run(TRIANGLE, x, 0, generator=seeded()), "n_samples = 0, thin = 1; give 1"),
        (lambda x: polytopes.hit_and_run(TRIANGLE, x + 5, 3, generator=seeded(), box=None), "no end .*; give a box"),
        (lambda x: polytopes.hit_and_run(TRIANGLE, x + 5, 3, generator=seeded()), r"x lies in \[5.*not in the box"),
        (lambda x: polytopes.chords(TRIANGLE, x, 0 * x), "a direction is zero"),
    ],
)
def test_what_has_no_answer_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.full((1, 2), 0.2))


def test_gates_in_between_cannot_be_left_out():
    model = models.mlp((5, 4, 3), input_shape=(1, 2, 2), generator=seeded())
    with pytest.raises(ValueError, match=r"\['relu2'\] are not the first ones of \['relu1', 'relu2', 'relu3'\]"):
        polytopes.hit_and_run(model, rand(1, 1, 2, 2), 3, generator=seeded(), gates=["relu2"])
