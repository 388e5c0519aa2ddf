"""Many judges at once: the same as one by one, once each, whatever happens on the way."""

import jaxtyping
import numpy as np
import pytest
import torch

from actlib import meta, trials
from actlib.trials import Trial

N = 120
SPLITS = {"first": (np.arange(70), np.arange(70, 100), np.arange(100, N)), "second": (np.arange(50, N), np.arange(50))}
SMALL = {"layers": ("a", "b"), "width": 8, "epochs": 2, "batch_size": 16}


@pytest.fixture
def unchecked(monkeypatch):
    """Let annotations go unchecked, as outside the tests."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def data(seed=0):
    rng = np.random.default_rng(seed)
    layers = {name: rng.normal(size=(N, d)).astype(np.float32) for name, d in (("a", 3), ("b", 2))}
    return layers, {"ratio": rng.random(N), "right": np.arange(N) % 2}


def several():
    return [
        Trial("first", "ratio", **SMALL),
        Trial("second", "right", **SMALL | {"layers": ("b",)}),
        Trial("first", "ratio", seed=1, body="gru", **SMALL),
    ]


def run(which, root, n_workers=1, seed=0):
    return trials.run(which, *data(seed), SPLITS, root=root, n_workers=n_workers, progress=False)


def test_each_outcome_is_that_of_the_plain_call(tmp_path):
    layers, targets = data()
    for trial, outcome in run(several(), tmp_path).items():
        own = {name: layers[name] for name in trial.layers}
        options = {name: getattr(trial, name) for name in ("task", "body", "width", "epochs", "batch_size")}
        generator = torch.Generator().manual_seed(trial.seed)
        train, validation = SPLITS[trial.split][:2]
        judge = meta.fit(own, targets[trial.task], train, validation, generator=generator, progress=False, **options)
        np.testing.assert_allclose(outcome.predicted, meta.predict(judge, own), atol=1e-5)
        assert outcome.epoch == judge.epoch
        np.testing.assert_allclose(outcome.history.validation, judge.history.validation, rtol=1e-4)


def test_two_processes_give_what_one_gives(tmp_path):
    one, two = run(several(), tmp_path / "one"), run(several(), tmp_path / "two", 2)
    assert list(one) == list(two) == several()
    for trial in one:
        np.testing.assert_allclose(one[trial].predicted, two[trial].predicted, atol=1e-4)


@pytest.fixture
def counted(monkeypatch):
    """Count the meta-networks that are trained in this process."""
    fits, plain = [], meta.fit

    def fit(*args, **options):
        fits.append(options["task"])
        return plain(*args, **options)

    monkeypatch.setattr(meta, "fit", fit)
    return fits


def test_nothing_is_trained_twice(tmp_path, counted):
    first = run(several()[:2] + several()[:1], tmp_path)
    assert len(counted) == 2
    again = run(several(), tmp_path)
    assert len(counted) == 3
    for trial, outcome in first.items():
        assert np.array_equal(outcome.predicted, again[trial].predicted)
    assert not list(tmp_path.glob("judges/data-*.safetensors"))


def test_other_data_are_another_trial(tmp_path, counted):
    run(several()[:1], tmp_path)
    run(several()[:1], tmp_path, seed=1)
    assert len(counted) == 2


@pytest.mark.parametrize("side", [0, 1])
def test_other_rows_on_a_side_are_another_trial(tmp_path, counted, side):
    run(several()[:1], tmp_path)
    changed = list(SPLITS["first"])
    changed[side] = changed[side][1:]
    trials.run(several()[:1], *data(), {"first": changed}, root=tmp_path, n_workers=1, progress=False)
    assert len(counted) == 2


def test_a_trial_does_not_depend_on_what_it_does_not_use(tmp_path, counted):
    layers, targets = data()
    run(several()[:1], tmp_path)
    layers["c"], targets["right"] = np.zeros((N, 1)), 1 - targets["right"]
    trials.run(several()[:1], layers, targets, SPLITS | {"third": SPLITS["first"]}, root=tmp_path, n_workers=1)
    assert len(counted) == 1


def test_a_damaged_outcome_is_made_again(tmp_path, counted):
    first = run(several()[:1], tmp_path)
    (path,) = tmp_path.glob("judges/*.safetensors")
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.warns(UserWarning, match="training again"):
        again = run(several()[:1], tmp_path)
    assert len(counted) == 2
    np.testing.assert_allclose(*(one[several()[0]].predicted for one in (first, again)), atol=1e-4)


def test_a_failing_trial_is_named_and_the_finished_ones_stay(tmp_path, counted):
    bad = Trial("first", "ratio", **SMALL | {"epochs": 0})
    with pytest.raises(ValueError, match="epochs = 0") as caught:
        run([several()[0], bad], tmp_path)
    assert "epochs=0" in caught.value.__notes__[0]
    run([several()[0]], tmp_path)
    assert len(counted) == 2  # the good one, and the bad one's try
    assert not list(tmp_path.glob("judges/data-*.safetensors"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": ("a", "z")}, "asks for the layer 'z'"),
        ({"task": "kind"}, "asks for the task 'kind'"),
        ({"split": "third"}, "asks for the split 'third'"),
    ],
)
def test_what_is_not_there_is_refused(unchecked, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        run([several()[0]._replace(**change)], tmp_path)


def test_an_outcome_that_cannot_be_read_back_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(trials.weights, "save", lambda *_: None)  # as if written to another machine's disk
    monkeypatch.setattr(trials, "_data", lambda _: trials._together(*data(), {"first": SPLITS["first"]}))
    trials._data.cache_clear = lambda: None
    with pytest.raises(OSError, match="cannot be read back"):
        run(several()[:1], tmp_path)


def test_what_another_process_made_meanwhile_is_not_made_again(tmp_path, counted):
    run(several()[:1], tmp_path)
    (path,) = tmp_path.glob("judges/*.safetensors")
    trials._make(tmp_path / "none", "cpu", (several()[0], path))
    assert len(counted) == 1
