"""Constellations against the definition, checked on all subsets that a walk through the graph finds."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics import adjusted_rand_score

from actlib import bits, constellations, linkage


def coins(n, n_bits, seed=0):
    return np.random.default_rng(seed).random((n, n_bits)) < 0.5


def planted(n_groups=6, size=20, n_bits=128, flip=0.05, seed=0):
    rng = np.random.default_rng(seed)
    centres = np.repeat(rng.random((n_groups, n_bits)) < 0.5, size, axis=0)
    return centres ^ (rng.random(centres.shape) < flip), np.repeat(np.arange(n_groups), size)


def by_definition(x, threshold):
    """Return the sets of which all inside are within the threshold and nothing outside is, by walking the graph."""
    near = np.rint(squareform(pdist(x, "hamming")) * x.shape[1]) <= threshold
    left, groups = set(range(len(x))), []
    while left:
        todo, group = [min(left)], set()
        while todo:
            i = todo.pop()
            if i not in group:
                group.add(i)
                todo += np.flatnonzero(near[i]).tolist()
        left -= group
        members = sorted(group)
        if near[np.ix_(members, members)].all():
            groups.append(members)
    return groups


SETS = {
    "few bits": coins(60, 7),
    "many bits": coins(60, 100),
    "groups": planted()[0],
    "groups of two sizes": np.concatenate([planted(4, 9)[0], planted(3, 4, flip=0.2, seed=1)[0]]),
    "one bit": coins(20, 1),
    "copies": np.repeat(coins(8, 20), 5, axis=0),
    "all equal": np.zeros((10, 5), bool),
    "two": coins(2, 30),
}


@pytest.mark.parametrize("name", SETS)
def test_groups_are_those_of_the_definition_at_every_threshold(name):
    x = SETS[name]
    trees = constellations.trees(bits.pack(x))
    curves = constellations.curves(trees)
    for t in range(x.shape[1] + 1):
        groups = by_definition(x, t)
        large = [g for g in groups if len(g) > 1]
        assert curves.exact[t] == len(large)
        assert curves.gathered[t] == sum(map(len, large))
        assert curves.alone[t] == len(groups) - len(large)
        members = constellations.members(trees, t)
        assert sorted(map(tuple, large)) == sorted(
            tuple(np.flatnonzero(members == i)) for i in range(members.max() + 1)
        )
        assert curves.complete[t] == linkage.cut(trees.complete, t).max() + 1
        assert curves.single[t] == linkage.cut(trees.single, t).max() + 1
    found = constellations.find(trees)
    assert (found.births < found.deaths).all()
    np.testing.assert_array_equal(curves.thresholds, np.arange(x.shape[1] + 1))


def test_planted_groups_are_born_at_their_diameter_and_die_at_their_distance():
    x, labels = planted()
    square = np.rint(squareform(pdist(x, "hamming")) * 128)
    trees = constellations.trees(x)
    found = constellations.find(trees)
    whole = found.sizes == 20
    assert whole.sum() == 6
    spans = sorted(
        (square[np.ix_(labels == i, labels == i)].max(), square[np.ix_(labels == i, labels != i)].min())
        for i in range(6)
    )
    assert spans == list(zip(found.births[whole], found.deaths[whole], strict=True))
    middle = int(found.births[whole].max() + found.deaths[whole].min()) // 2
    agreement = constellations.agreement(constellations.members(trees, middle), labels)
    assert agreement == (1, 1, 6)
    everything = found.sizes == 120
    assert found.deaths[everything].tolist() == [129]
    assert found.births[everything].tolist() == [square.max()]


def test_groups_lower_the_score_below_that_of_coins():
    n, n_bits = 120, 128
    scores = []
    for x in (planted()[0], coins(n, n_bits)):
        curves = constellations.curves(constellations.trees(x))
        scores.append(constellations.score(curves.complete, n))
    assert scores[0] < scores[1] - 0.05


def test_the_score_is_the_area_under_the_curve_by_hand():
    assert constellations.score(np.array([9, 4, 2, 1]), 10) == pytest.approx((4 + 2 + 1) / 3 / 10)
    trees = constellations.trees(coins(50, 40))
    heights = trees.complete[:, 2]
    # A merge at height h leaves one cluster more for the thresholds 1 to h - 1.
    expected = (40 + (heights[heights > 0] - 1).sum()) / (40 * 50)
    assert constellations.score(constellations.curves(trees).complete, 50) == pytest.approx(expected)


def test_halves_spread_as_new_samples_do():
    draws = constellations.bootstrap(coins(100, 40), 30, generator=torch.Generator().manual_seed(0))
    assert draws.complete.shape == draws.single.shape == (30,)
    fresh = [constellations.curves(constellations.trees(coins(100, 40, seed))) for seed in range(100, 130)]
    for name in ("complete", "single"):
        spread = np.std([constellations.score(getattr(curves, name), 100) for curves in fresh], ddof=1)
        assert 0.5 * spread < np.std(getattr(draws, name), ddof=1) < 2 * spread
    smaller = [constellations.curves(constellations.trees(coins(50, 40, seed))) for seed in range(100, 130)]
    level = np.mean([constellations.score(curves.complete, 50) for curves in smaller])
    assert np.mean(draws.complete) == pytest.approx(level, abs=0.01)
    again = constellations.bootstrap(bits.pack(coins(100, 40)), 30, generator=torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(again.complete, draws.complete)
    other = constellations.bootstrap(coins(100, 40), 30, generator=torch.Generator().manual_seed(1))
    assert (other.complete != draws.complete).any()


def test_purity_and_rand_index_by_hand_and_by_scikit_learn():
    clusters, labels = np.array([0, 0, 0, 1, 1, 5]), np.array([3, 3, 8, 8, 8, 3])
    found = constellations.agreement(clusters, labels)
    assert found.purity == pytest.approx(5 / 6)
    assert found.n_clusters == 3
    assert found.adjusted_rand == pytest.approx(adjusted_rand_score(labels, clusters))
    alone = constellations.agreement(torch.arange(6), torch.from_numpy(labels))
    assert (alone.purity, alone.adjusted_rand) == (1, 0)
    rng = np.random.default_rng(0)
    chance = constellations.agreement(rng.integers(4, size=5000), rng.integers(4, size=5000))
    assert abs(chance.adjusted_rand) < 0.005
    assert chance.purity == pytest.approx(0.25, abs=0.03)


def test_the_order_of_samples_changes_no_constellation():
    x = coins(80, 10)
    order = np.random.default_rng(5).permutation(80)
    first, second = (constellations.curves(constellations.trees(given)) for given in (x, x[order]))
    for name in ("single", "exact", "gathered", "alone"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


T = constellations.trees(coins(10, 6))
G = torch.Generator()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: constellations.trees(coins(1, 6)), "one pattern cannot be clustered; give two at least"),
        (lambda: constellations.trees(coins(0, 6)), r"shape \(0, 6\)"),
        (lambda: constellations.trees(np.full((3, 3), 2)), "holds 2 at bit 0"),
        (lambda: constellations.members(T, 7), "threshold = 7; give a whole number from 0 to n_bits = 6"),
        (lambda: constellations.members(T, -1), "threshold = -1; give a whole"),
        (lambda: constellations.members(T, True), "threshold = True"),
        (lambda: constellations.score(np.array([3, 2, 0]), 3), r"of shape \(3,\) for n = 3; give Curves.complete"),
        (lambda: constellations.score(np.array([3, 2, 1]), 2), "from 1 to n"),
        (lambda: constellations.bootstrap(coins(3, 6), generator=G), "3 patterns have no halves to cluster; give four"),
        (lambda: constellations.bootstrap(coins(9, 6), 0, generator=G), "n_draws = 0 for halves of the samples"),
        (lambda: constellations.agreement(np.arange(3), np.arange(4)), r"clusters are .* give 4 whole numbers"),
        (lambda: constellations.agreement(np.arange(0), np.arange(0)), "no samples; give one at least"),
        (lambda: constellations.agreement(np.arange(3), np.ones(3)), "labels are torch.float64"),
    ],
)
def test_what_has_no_answer_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_scores_are_shares():
    everybody = constellations.curves(constellations.trees(np.zeros((10, 4), bool)))
    assert constellations.score(everybody.complete, 10) == pytest.approx(0.1)
    opposite = constellations.curves(constellations.trees(np.array([[0] * 4, [1] * 4])))
    assert constellations.score(opposite.single, 2) == pytest.approx((2 + 2 + 2 + 1) / 8)
    assert math.isclose(constellations.score(opposite.complete, 2), 7 / 8)
