"""The law of noise against a planted arrangement, and the noise walk step by step."""

import math

import pytest
import torch
from torch import nn

from actlib import models, noise, piecewise
from actlib.inradius import inradius


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def arrangement(rate, d=200, span=60.0, seed=0):
    """Hyperplanes in random directions, ``rate`` per unit of distance from 0, up to ``span`` away."""
    n = int(rate * span)
    model = nn.Sequential(nn.Linear(d, n), nn.ReLU()).double()
    weight = torch.randn(n, d, dtype=torch.float64, generator=seeded(seed))
    model[0].weight.data = weight / weight.norm(dim=1, keepdim=True)
    model[0].bias.data = span * torch.rand(n, dtype=torch.float64, generator=seeded(seed + 1))
    return piecewise.trace(model, (d,))


def test_the_law_holds_in_planted_arrangements_and_a_wrong_rate_does_not():
    # Over many arrangements: distances to the nearest are exponential, and noise survives as predicted (TH12).
    origin, shares, radii = torch.zeros(60), {}, []
    for seed in range(0, 500, 2):
        network = arrangement(5.0, d=60, span=8.0, seed=seed)
        radii.append(inradius(network, origin[None]).radius.item())
        for s in (1, 3, 7, 12):
            found = noise.survival(network, origin, s / 5, n_copies=40, generator=seeded(9000 + seed))
            shares.setdefault(s, []).append(found)
    assert sum(radii) / len(radii) == pytest.approx(1 / 5, rel=0.2)
    for s, values in shares.items():
        mean = sum(values) / len(values)
        assert mean == pytest.approx(noise.predicted_survival(5.0, s / 5), abs=0.06)
        assert abs(mean - noise.predicted_survival(10.0, s / 5)) > 0.06 or s == 12
    assert noise.predicted_survival(1.0, 7.0) == pytest.approx(0.199, abs=1e-3)


def slab():
    """The region abs(x0) < 1, whatever the other nine pixels."""
    model = nn.Sequential(nn.Linear(10, 2), nn.ReLU()).double()
    model[0].weight.data.zero_()
    model[0].weight.data[:, 0] = torch.tensor([1.0, -1])
    model[0].bias.data.fill_(1)
    return piecewise.trace(model, (10,))


def test_survival_of_a_slab_is_its_share_of_the_cube():
    for sigma, expected in [(0.5, 1.0), (2.0, 0.5), (5.0, 0.2)]:
        found = noise.survival(slab(), torch.zeros(10), sigma, n_copies=4000, generator=seeded())
        assert found == pytest.approx(expected, abs=0.03)


def test_the_walk_shrinks_by_its_factor_where_too_few_survive_and_spreads_in_the_region():
    network, x = slab(), torch.zeros(10)
    for shrink in (0.8, 0.5):
        walk = noise.noise_walk(network, x, sigma=100, shrink=shrink, n_steps=60, generator=seeded())
        ratios = (walk.sigmas[1:] / walk.sigmas[:-1]).tolist()
        shrunk = (walk.shares[:-1] < 0.2).tolist()
        assert ratios == pytest.approx([shrink if few else 1 for few in shrunk])
        assert any(shrunk)
        assert walk.copies.shape == (100, 10)
        assert network.pattern(walk.copies).same(network.pattern(x[None])).all()
        assert walk.copies[:, 0].abs().max() < 1
        # Noise adds up: nothing holds the other pixels, which are much farther off than one step leads.
        assert walk.copies[:, 1:].abs().max() > walk.sigmas[-1] * 3
    assert (noise.noise_walk(network, x, sigma=0.001, n_steps=5, generator=seeded()).shares == 1).all()


def test_when_none_survives_all_start_anew():
    # In 40 pixels that must all keep their sign no copy lives at first.
    network = piecewise.trace(nn.Sequential(nn.ReLU()), (40,))
    x = torch.full((40,), 0.01)
    walk = noise.noise_walk(network, x, sigma=0.1, n_copies=20, n_steps=40, generator=seeded())
    assert walk.n_restarts == int((walk.shares == 0).sum()) > 0
    assert (walk.copies > 0).all()


def test_those_in_the_thick_of_it_are_dropped_first():
    points = torch.tensor([[0.0], [0.1], [-0.1], [5.0], [-5.0]]).double()
    kept = noise._refill(points, 5, 0.4, seeded())
    assert set(points[1:3].flatten().tolist()) & set(kept.flatten().tolist()) != {0.1, -0.1}
    assert 0.0 not in kept
    assert {5.0, -5.0} <= set(kept.flatten().tolist())
    assert len(noise._refill(points[:1], 4, 0.1, seeded())) == 4


def test_any_gates_may_be_left_out_and_fewer_gates_let_more_noise_through():
    model = models.mlp((30, 30, 30), input_shape=(1, 5, 5), generator=seeded()).eval()
    x = torch.rand(1, 5, 5, generator=seeded())
    network = piecewise.trace(model, (1, 5, 5))
    options = {"n_copies": 400, "generator": seeded()}
    every = noise.survival(network, x, 0.05, **options)
    second = noise.survival(network, x, 0.05, gates=["relu2"], **options)
    assert 0 < every < second < 1
    walk = noise.noise_walk(network, x, gates=["relu2"], n_steps=30, generator=seeded())
    pattern, own = network.pattern(walk.copies), network.pattern(x[None].double())
    assert pattern.same(own, ["relu2"]).all()
    assert not pattern.same(own, ["relu1"]).all()


def test_twenty_percent_survive_at_about_seven_inradii():
    model = models.mlp((64, 64), input_shape=(1, 16, 16), generator=seeded()).eval()
    network = piecewise.trace(model, (1, 16, 16))
    x = torch.rand(60, 1, 16, 16, dtype=torch.float64, generator=seeded())
    mean = inradius(network, x).radius.mean().item()
    shares = [noise.survival(network, image, 7 * mean, n_copies=50, generator=seeded()) for image in x]
    assert 0.1 < sum(shares) / len(shares) < 0.35
    assert math.isclose(noise.predicted_survival(1 / mean, 7 * mean), 0.2, abs_tol=0.01)


@pytest.mark.parametrize(
    "options",
    [{"n_copies": 1}, {"n_steps": 0}, {"sigma": 0.0}, {"shrink": 1.0}, {"shrink": 0.0}, {"least": 2.0}, {"drop": 1.0}],
)
def test_numbers_out_of_range_are_refused(options):
    (name,) = options
    with pytest.raises(ValueError, match=rf"{name} = {options[name]}.*give two copies or more"):
        noise.noise_walk(slab(), torch.zeros(10), generator=seeded(), **options)


def test_numbers_of_survival_are_checked():
    with pytest.raises(ValueError, match=r"n_copies = 0, sigma = 1\.0; give"):
        noise.survival(slab(), torch.zeros(10), 1.0, n_copies=0, generator=seeded())
    with pytest.raises(ValueError, match="no gate"):
        noise.survival(slab(), torch.zeros(10), 1.0, n_copies=5, generator=seeded(), gates=["nobody"])


@pytest.mark.parametrize(("rate", "sigma"), [(-1, 0.1), (1, -0.1), (math.nan, 1)])
def test_a_negative_rate_or_scale_predicts_no_survival(rate, sigma):
    with pytest.raises(ValueError, match="give a rate and a scale of 0 or more"):
        noise.predicted_survival(rate, sigma)
