"""Shards: written whole or not at all, and nothing that was changed counts as finished."""

import json
import shutil
import threading
import time
from collections import namedtuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from actlib import shards, store, weights

SETTINGS = [["sgd", 0.1, seed] for seed in range(7)]


def planned(*, size=3, order=(6, 5, 4, 3, 2, 1, 0), settings=SETTINGS, **configuration):
    return shards.plan({"torch": "2", "images": "a"} | configuration, settings, order=order, size=size)


def content(plan, number):
    members = torch.tensor(plan.members[number])
    state = {"weight": members[:, None] + torch.arange(4.0), "bias": -members.double()}
    return state, {"accuracy": (members / 10).tolist(), "finite": [True] * len(members)}


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a plan and two of its three shards."""
    plan = planned()
    shards.begin(tmp_path / "zoo", plan)
    for number in (0, 2):
        shards.write(tmp_path / "zoo", plan, number, *content(plan, number))
    return tmp_path / "zoo"


@given(st.integers(1, 30), st.integers(1, 12), st.randoms(use_true_random=False))
def test_each_network_is_in_one_shard_and_all_but_the_last_are_full(m, size, random):
    order = list(range(m))
    random.shuffle(order)
    plan = shards.plan({}, [[n] for n in range(m)], order=order, size=size)
    assert [n for members in plan.members for n in members] == order
    assert {len(members) for members in plan.members[:-1]} <= {size}
    assert len(plan.members) == -(-m // size)


def test_what_was_written_is_read_again_as_it_was(folder):
    plan = shards.read(folder)
    assert plan == planned()
    assert plan.members == [[6, 5, 4], [3, 2, 1], [0]]
    for number in (0, 2):
        state, findings = shards.load(folder, plan, number)
        expected, told = content(plan, number)
        assert_close(state, expected, rtol=0, atol=0)
        assert findings == told == shards.glance(folder, plan, number)
    assert shards.finished(folder, plan) == {number: content(plan, number)[1] for number in (0, 2)}
    assert shards.finished(folder, plan, [1, 2]) == {2: content(plan, 2)[1]}


def test_the_header_alone_tells_what_a_shard_holds(folder):
    _, about = weights.load(shards.path(folder, 0))
    assert about["settings"] == [SETTINGS[n] for n in (6, 5, 4)]
    assert about["findings"]["accuracy"] == pytest.approx([0.6, 0.5, 0.4])


def truncate(path):
    path.write_bytes(path.read_bytes()[:-7])


def empty(path):
    path.write_bytes(b"")


def flip(path):
    changed = bytearray(path.read_bytes())
    changed[-3] ^= 16
    path.write_bytes(changed)


def another_place(path):
    shutil.copy(shards.path(path.parent, 2), path)


def another_plan(path):
    plan = planned(images="b")
    shards.write(path.parent, plan, 0, *content(plan, 0))


def foreign(path):
    weights.save(path, {"x": torch.zeros(3)}, {"name": "x"})


DAMAGES = [truncate, empty, flip, another_place, another_plan, foreign]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_shard_of_no_use_does_not_count(folder, damage):
    damage(shards.path(folder, 0))
    plan = shards.read(folder)
    with pytest.warns(
        UserWarning, match=r"shard-00000.safetensors (is damaged|belongs to another).*will be made again"
    ):
        assert list(shards.finished(folder, plan)) == [2]
    with pytest.raises(ValueError, match="shard-00000"):
        shards.load(folder, plan, 0)
    if damage is not flip:  # which only the hash of the tensors shows
        with pytest.raises(ValueError, match="shard-00000"):
            shards.glance(folder, plan, 0)


@pytest.mark.parametrize("read", [shards.load, shards.glance])
def test_a_shard_that_is_not_there_is_named(folder, read):
    with pytest.raises(FileNotFoundError, match=r"shard-00001.safetensors does not exist"):
        read(folder, shards.read(folder), 1)


def test_a_changed_setting_in_the_plan_is_another_plan(folder):
    other = planned(settings=[*SETTINGS[:-1], ["sgd", 0.2, 6]])
    with pytest.warns(UserWarning, match="belongs to another plan"):
        assert shards.finished(folder, other) == {}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (planned(images="b"), r"images is a there and b here\. Give another folder, or delete this one"),
        (planned(torch="3", images="b"), r"torch is 2 there and 3 here; images is a there and b here\."),
        (planned(more=1), r"more is None there and 1 here\."),
        (planned(settings=SETTINGS[:6], order=range(6)), r"it has 7 settings, here are 6\."),
        (planned(settings=[*SETTINGS[:2], [], *SETTINGS[3:]]), r"here are 7; the first other one is number 2\."),
        (planned(size=2), r"it has 3 networks a shard, here are 2\."),
    ],
)
def test_a_folder_of_another_plan_is_refused_and_stays(folder, other, message):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for ask in (shards.begin, shards.begun):
        with pytest.raises(ValueError, match=r"zoo belongs to another run: .*" + message):
            ask(folder, other)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_of_the_same_plan_is_gone_on_with(folder):
    stamp = (folder / "plan.json").stat().st_mtime_ns
    shards.begin(folder, planned())
    assert shards.begun(folder, planned())
    assert (folder / "plan.json").stat().st_mtime_ns == stamp
    assert not shards.begun(folder.parent, planned())


@pytest.mark.parametrize("text", ['{"settings"', "[]", '{"x": 1}', ""])
def test_a_damaged_plan_is_told_and_written_again(folder, text):
    (folder / "plan.json").write_text(text)
    with pytest.raises(ValueError, match=r"plan.json is (damaged|not readable)"):
        shards.read(folder)
    assert not shards.begun(folder, planned())
    with pytest.warns(UserWarning, match=r"plan.json is damaged: writing it again"):
        shards.begin(folder, planned())
    assert list(shards.finished(folder, shards.read(folder))) == [0, 2]


def test_a_folder_without_a_plan_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"plan.json does not exist: .* holds no shards"):
        shards.read(tmp_path)


def test_a_claimed_shard_is_free_of_rests_and_waits_for_its_holder(folder):
    rest = folder / ".shard-00001.0123456789ab.safetensors"
    other = folder / ".shard-00002.0123456789ab.safetensors"
    rest.touch()
    other.touch()
    order = []

    def second():
        with shards.claim(folder, 1):
            order.append("second")

    with shards.claim(folder, 1) as path:
        assert path == shards.path(folder, 1)
        assert not rest.exists()
        assert other.exists()  # its worker may be alive
        waiting = threading.Thread(target=second)
        waiting.start()
        with shards.claim(folder, 2):  # another shard is free
            time.sleep(0.1)
        order.append("first")
    waiting.join(5)
    assert order == ["first", "second"]


@pytest.mark.parametrize("name", ["weight", "accuracy"])
def test_a_shard_of_the_wrong_length_is_refused(folder, name):
    plan = planned()
    state, findings = content(plan, 1)
    for values in (state, findings):
        if name in values:
            values[name] = values[name][:2]
    with pytest.raises(ValueError, match=rf"shard 1 has 3 networks, but {{'{name}': 2}}"):
        shards.write(folder, plan, 1, state, findings)
    assert not shards.path(folder, 1).exists()


def test_a_full_disk_leaves_what_was_there(folder, monkeypatch):
    before = sorted(path.name for path in folder.iterdir())
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, 0))
    with pytest.raises(OSError, match=r"shard-00001.safetensors needs .* MiB free; make room"):
        shards.write(folder, planned(), 1, *content(planned(), 1))
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"settings": [], "order": []}, r"0 settings, shard_size = 3; give at least 1 of each"),
        ({"size": 0}, r"7 settings, shard_size = 0"),
        ({"order": range(6)}, r"order has 6 entries; give each of 0 to 6 once"),
        ({"order": [0, 0, 1, 2, 3, 4, 5]}, r"order has 7 entries"),
    ],
)
def test_impossible_plans_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        planned(**options)


def test_the_key_is_that_of_the_content_and_the_plan_survives_json():
    plan = planned(rate=0.1 + 0.2)
    again = shards.Plan(**json.loads(json.dumps(plan.content())))
    assert again.key == plan.key == store.hash_json(plan.content())
    assert planned(rate=0.3).key != plan.key
