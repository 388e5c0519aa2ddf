import itertools
import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actlib import grids

GOOD = grids.Setting("sgd", 0.1, 0.0, 1, 0, "default", 32)


def test_the_grid_is_the_published_one():
    found = grids.full()
    assert len(found) == len(set(found)) == 2 * 4**6
    assert sum(setting.epochs for setting in found) == 20_480
    assert found[0] == ("sgd", 0.005, 0.0, 1, 0, "xavier", 32)
    assert found[1].batch_size == 64
    assert found[-1] == ("adam", 0.1, 0.2, 4, 42, "default", 256)
    for factor, levels in grids.DOMAIN.items():
        assert {getattr(setting, factor) for setting in found} == set(levels)


WHOLE = set(grids.full())


def spread(chosen):
    """Return by how much the counts of the levels of a factor differ, at most."""
    counts = [
        [sum(getattr(s, factor) == level for s in chosen) for level in levels]
        for factor, levels in grids.DOMAIN.items()
    ]
    return max(max(row) - min(row) for row in counts)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 300), st.integers(0, 2**32))
def test_a_sample_is_even_distinct_and_of_the_grid(n, seed):
    chosen = grids.sample(n, seed)
    assert len(chosen) == len(set(chosen)) == n
    assert set(chosen) <= WHOLE
    assert spread(chosen) <= 1
    assert grids.sample(n + 7, seed)[:n] == chosen
    assert all(type(setting.seed) is int and type(setting.learning_rate) is float for setting in chosen)


def test_an_even_sample_is_not_a_matter_of_course():
    rng = np.random.default_rng(0)
    whole = grids.full()
    assert spread([whole[k] for k in rng.permutation(len(whole))[:64]]) > 1


def test_large_samples_are_even_and_end_in_the_whole_grid():
    for n in (1023, 4094, 8191):
        assert spread(grids.sample(n, 5)) <= 1
    assert sorted(grids.sample(8192, 1)) == sorted(WHOLE)


def test_seeds_differ():
    assert grids.sample(20, 0) == grids.sample(20, 0)
    assert set(grids.sample(20, 0)) != set(grids.sample(20, 1))


def pair_spread(settings):
    """Return the largest difference between how often two pairs of levels of the same two factors occur."""
    found = []
    for (a, first), (b, second) in itertools.combinations(enumerate(grids.DOMAIN.values()), 2):
        counts = Counter((setting[a], setting[b]) for setting in settings)
        each = [counts[pair] for pair in itertools.product(first, second)]
        found.append(max(each) - min(each))
    return max(found)


@pytest.mark.parametrize("n", [16, 40, 64, 256, 1024])
def test_pairs_of_levels_are_almost_even(n):
    # A drawn sample of 64 already differs by about 10, one of 1,024 by about 40.
    assert max(pair_spread(grids.sample(n, seed)) for seed in range(10)) <= 4
    rng = np.random.default_rng(n)
    assert pair_spread([grids.full()[k] for k in rng.permutation(8192)[:n]]) > 4


@pytest.mark.parametrize("n", [0, -1, 8193])
def test_samples_of_impossible_size_are_refused(n):
    with pytest.raises(ValueError, match=f"n = {n}"):
        grids.sample(n, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "rmsprop"}, r"settings\[1\] has optimizer = 'rmsprop'; give one of \('sgd', 'adam'\)"),
        ({"initialization": "zeros"}, "initialization = 'zeros'"),
        ({"learning_rate": 0.0}, "the rate above 0"),
        ({"learning_rate": math.inf}, "learning_rate = inf"),
        ({"learning_rate": "0.1"}, "learning_rate = '0.1'"),
        ({"weight_decay": -0.1}, "weight_decay = -0.1"),
        ({"weight_decay": math.nan}, "weight_decay = nan"),
        ({"epochs": 0}, "epochs = 0; give a whole number, 1 at least"),
        ({"epochs": 1.5}, "epochs = 1.5"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"seed": -1}, "seed = -1; give a whole number, 0 at least"),
        ({"seed": 2**63}, "seed = 9223372036854775808"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        grids.check([GOOD, GOOD._replace(**change)])


def test_what_is_no_setting_is_refused():
    with pytest.raises(ValueError, match="no settings"):
        grids.check([])
    for wrong in ((1, 2), [*GOOD, 3]):
        with pytest.raises(ValueError, match=r"settings\[0\] is .*grids.Setting"):
            grids.check([wrong])


def test_settings_beyond_the_grid_pass_and_become_plain():
    odd = grids.Setting("adam", np.float32(0.5), 1, np.int64(7), 3, "normal", np.int32(5))
    (plain,) = grids.check([odd])
    assert plain == odd
    assert [type(value) for value in plain] == [str, float, float, int, int, str, int]


def test_the_key_is_that_of_the_values_and_their_order():
    chosen = grids.sample(5, 0)
    back = [grids.Setting(*row) for row in json.loads(json.dumps(chosen))]
    assert grids.key(back) == grids.key(chosen) == grids.key([list(setting) for setting in chosen])
    assert grids.key([GOOD._replace(weight_decay=0)]) == grids.key([GOOD])
    assert grids.key(chosen[::-1]) != grids.key(chosen)
    keys = {grids.key([GOOD._replace(**{k: v})]) for k, v in (("seed", 1), ("epochs", 2), ("learning_rate", 0.2))}
    assert len(keys | {grids.key([GOOD])}) == 4
