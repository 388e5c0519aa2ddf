"""Splits: the counts of the study, groups that stay together, rows that no side may share."""

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actlib import splits

GROUPS = st.lists(st.integers(-5, 5), min_size=3, max_size=60).filter(lambda found: len(set(found)) > 2)


@pytest.fixture
def untyped(monkeypatch):
    """As outside the tests, where types go unchecked."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def whole(split, n):
    """Say whether every row stands on one side."""
    return sorted(np.concatenate(split).tolist()) == list(range(n))


def study(n_networks=300, n_images=500, n_each=40, seed=0):
    """Rows of networks and images, the same few images in half of the rows, as the selection of the study makes it."""
    rng = np.random.default_rng(seed)
    networks = np.repeat(np.arange(n_networks), n_each)
    common = np.tile(np.arange(n_each // 2), (n_networks, 1))
    own = np.stack([rng.choice(np.arange(n_each, n_images), n_each // 2, replace=False) for _ in range(n_networks)])
    return networks, np.concatenate([common, own], 1).flatten()


def test_by_pair_has_the_counts_of_the_study():
    split = splits.by_pair(78_800, seeded())
    assert [len(part) for part in split] == [50_432, 12_608, 15_760]
    assert whole(split, 78_800)


@given(st.integers(3, 3000), st.integers(0, 99))
def test_by_pair_has_every_row_once_in_order(n, seed):
    split = splits.by_pair(n, seeded(seed))
    assert whole(split, n)
    assert len(split.train) == int(0.8 * int(0.8 * n))
    assert len(split.test) == n - int(0.8 * n)
    for part in split:
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()


def test_by_pair_takes_each_row_as_often_as_the_shares_say():
    counts = np.zeros((3, 20))
    for seed in range(2000):
        for k, part in enumerate(splits.by_pair(20, seeded(seed))):
            counts[k, part] += 1
    shares = np.array([12, 4, 4])[:, None] / 20
    spread = np.sqrt(shares * (1 - shares) / 2000)
    assert (np.abs(counts / 2000 - shares) < 4.5 * spread).all()


@given(GROUPS, st.integers(0, 99))
def test_a_group_is_on_one_side_and_no_row_is_lost(groups, seed):
    groups = np.array(groups)
    split = splits.by_group(groups, seeded(seed))
    assert whole(split, len(groups))
    assert min(map(len, split)) > 0
    sides = [set(groups[part].tolist()) for part in split]
    assert sum(map(len, sides)) == len(set(groups.tolist()))  # disjoint
    assert splits.shared(split, groups) == 0


@given(st.lists(st.integers(1, 30), min_size=3, max_size=25), st.integers(0, 99))
def test_no_other_cut_of_the_same_order_comes_nearer(sizes, seed):
    groups = np.repeat(np.arange(len(sizes)) * 7 - 3, sizes)
    n = len(groups)
    split = splits.by_group(groups, seeded(seed))
    order = torch.randperm(len(sizes), generator=seeded(seed)).tolist()
    found = [{int(groups[row] + 3) // 7 for row in part} for part in split]
    a, b = len(found[0]), len(found[0]) + len(found[1])
    assert [set(order[:a]), set(order[a:b]), set(order[b:])] == found
    rows = [sum(sizes[k] for k in order[:end]) for end in range(len(order) + 1)]
    train, rest = int(0.8 * int(0.8 * n)), int(0.8 * n)
    assert abs(rows[a] - train) == min(abs(rows[end] - train) for end in range(1, len(order) - 1))
    assert abs(rows[b] - rest) == min(abs(rows[end] - rest) for end in range(a + 1, len(order)))


def test_many_small_groups_come_near_to_the_shares_and_single_rows_reach_them():
    groups = np.random.default_rng(0).integers(0, 4000, 20_000)
    split = splits.by_group(groups, seeded())
    np.testing.assert_allclose([len(part) / 20_000 for part in split], [0.64, 0.16, 0.2], atol=0.001)
    assert [len(part) for part in splits.by_group(np.arange(78_800), seeded())] == [50_432, 12_608, 15_760]


def test_one_huge_group_leaves_a_group_for_each_side():
    groups = np.array([7] * 100 + [1, 2])
    for seed in range(10):
        assert min(map(len, splits.by_group(groups, seeded(seed)))) == 1


def test_by_pair_shares_groups_and_grouped_splits_do_not():
    networks, images = study()
    pair = splits.by_pair(len(networks), seeded())
    network, image = (splits.by_group(groups, seeded()) for groups in (networks, images))
    both = splits.by_both(networks, images, seeded())
    assert splits.shared(pair, networks) > 0.99
    assert splits.shared(pair, images) > 0.99
    assert splits.shared(network, networks) == 0
    assert splits.shared(network, images) > 0.9  # the images leak
    assert splits.shared(image, images) == 0
    assert splits.shared(image, networks) > 0.9
    assert splits.shared(both, networks) == splits.shared(both, images) == 0


def test_shared_counts_rows_as_a_loop_does():
    groups = np.random.default_rng(1).integers(0, 15, 60)
    split = splits.by_pair(60, seeded())
    known = {groups[row] for row in split.train}
    hits = [groups[row] in known for row in split.test]
    np.testing.assert_allclose(splits.shared(split, groups), sum(hits) / len(hits))
    assert 0 < sum(hits) < len(hits)


@given(st.integers(0, 60), st.sampled_from([(0.6, 0.15, 0.25), (0.5, 0.25, 0.25)]))
def test_by_both_keeps_the_rows_whose_two_groups_are_on_one_side(seed, shares):
    first, second = study(60, 100, 20, seed)
    split = splits.by_both(first, second, seeded(seed), shares=shares)
    sides = [[set(groups[part].tolist()) for part in split] for groups in (first, second)]
    for a, b, c in sides:
        assert not a & b | a & c | b & c
    assert len(set(np.concatenate(split).tolist())) == sum(map(len, split)) < len(first)
    for row in set(range(len(first))) - set(np.concatenate(split).tolist()):  # no side would take a row left out
        fits = [first[row] in a and second[row] in b for a, b in zip(*sides, strict=True)]
        assert not any(fits)


def test_of_all_networks_times_all_images_the_squares_of_the_shares_stay():
    first, second = (part.flatten() for part in np.meshgrid(np.arange(200), np.arange(100)))
    split = splits.by_both(first, second, seeded())
    np.testing.assert_allclose([len(part) / 20_000 for part in split], [0.36, 0.0225, 0.0625], atol=1e-12)
    split = splits.by_both(first, second, seeded(), shares=(0.5, 0.2, 0.3))
    np.testing.assert_allclose([len(part) / 20_000 for part in split], [0.25, 0.04, 0.09], atol=1e-12)


def test_of_the_rows_of_the_study_no_side_gets_tiny():
    networks, images = study(400, 900, 200)
    kept = np.array([[len(part) for part in splits.by_both(networks, images, seeded(k))] for k in range(20)])
    shares = kept / len(networks)
    np.testing.assert_allclose(shares.mean(0), [0.36, 0.0225, 0.0625], atol=0.006)
    assert shares.min(0)[1:].min() > 0.015


def test_a_split_is_its_seed_s():
    networks, images = study()
    for make in (
        lambda generator: splits.by_pair(500, generator),
        lambda generator: splits.by_group(networks, generator),
        lambda generator: splits.by_both(networks, images, generator),
    ):
        for part, same in zip(make(seeded(3)), make(seeded(3)), strict=True):
            np.testing.assert_array_equal(part, same)
        other = make(seeded(4))
        assert any(set(part) != set(part2) for part, part2 in zip(make(seeded(3)), other, strict=True))
    every = [part.flatten() for part in np.meshgrid(np.arange(20), np.arange(20))]
    one, two = (splits.by_both(*every, seeded(seed)) for seed in (3, 4))
    for groups in every:  # both kinds are drawn anew, and not in one order
        assert set(groups[one.test]) != set(groups[two.test])
    assert set(every[0][one.test]) != set(every[1][one.test])


def test_groups_in_a_memory_map_and_of_other_kinds_of_numbers_do(tmp_path):
    networks, _ = study()
    np.save(tmp_path / "model.npy", networks)
    expected = splits.by_group(networks, seeded())
    for groups in (np.load(tmp_path / "model.npy", mmap_mode="r"), networks.astype(np.uint16)):
        for part, same in zip(splits.by_group(groups, seeded()), expected, strict=True):
            np.testing.assert_array_equal(part, same)


def test_what_cannot_be_split_is_refused(untyped):
    three = np.array([1, 2, 3, 1, 2, 3])
    for n in (-1, 0, 2):
        with pytest.raises(ValueError, match=f"n = {n} rows; three sides need 3 or more"):
            splits.by_pair(n, seeded())
    with pytest.raises(ValueError, match="6 rows in 2 groups; three sides need 3 or more: give more of them"):
        splits.by_group(np.minimum(three, 2), seeded())
    for groups, found in ((three.astype(float), "float64"), (three[None], r"\(1, 6\)"), (np.array([]), "float64")):
        with pytest.raises(ValueError, match=f"{found}.*; give one whole number a row"):
            splits.by_group(groups, seeded())
    with pytest.raises(ValueError, match="0 rows in 0 groups"):
        splits.by_group(three[:0], seeded())
    with pytest.raises(ValueError, match="6 rows and second 5"):
        splits.by_both(three, three[:5], seeded())
    for name, groups in (("second", (three, three * 0)), ("first", (three * 0, three))):
        with pytest.raises(ValueError, match=f"6 rows in 1 groups of the {name} kind"):
            splits.by_both(*groups, seeded())
    for shares in ((0.5, 0.5), (0.5, 0.5, 0.0), (0.6, 0.2, 0.3), (float("nan"), 0.5, 0.5)):
        with pytest.raises(ValueError, match=r"give three positive numbers with the sum 1"):
            splits.by_both(three, three, seeded(), shares=shares)
    with pytest.raises(ValueError, match=r"rows left: \{'train': .*\} of 6; each side needs one"):
        splits.by_both(np.arange(6), np.arange(6)[::-1], seeded())


def test_a_split_of_other_rows_is_refused():
    split = splits.by_pair(20, seeded())
    with pytest.raises(ValueError, match="row numbers up to 19, but there are 10 groups"):
        splits.shared(split, np.arange(10))
    with pytest.raises(ValueError, match="0 test rows"):
        splits.shared(split._replace(test=split.test[:0]), np.arange(20))
