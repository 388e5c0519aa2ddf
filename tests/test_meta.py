"""Training of judges: planted signals are found, absent ones are not, and the document's loop is followed."""

import math

import jaxtyping
import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, mse_loss

from actlib import bodies, meta

TASKS = tuple(meta.TASKS)


@pytest.fixture
def unchecked(monkeypatch):
    """Let annotations go unchecked, as outside the tests."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def task(n=400, seed=0, signal="b"):
    """Return two layers, of which one says whether a prediction is right, and how robust it is."""
    rng = np.random.default_rng(seed)
    layers = {name: rng.normal(size=(n, d)).astype(np.float32) for name, d in (("a", 6), ("b", 4))}
    ratio = 1 / (1 + np.exp(-2 * layers[signal][:, 0])) if signal else rng.random(n)
    return layers, {"ratio": ratio, "right": (ratio > 0.5).astype(np.uint8)}


def sides(n=400, n_train=250):
    rows = np.arange(n)
    return rows[:n_train], rows[n_train : n_train + 50], rows[n_train + 50 :]


def judge(kind="ratio", data=None, rows=None, **options):
    layers, targets = data or task()
    train, validation = (rows or sides())[:2]
    options = {"width": 16, "epochs": 12, "batch_size": 32, "learning_rate": 3e-3, "generator": source()} | options
    return meta.fit(layers, targets[kind], train, validation, task=kind, progress=False, **options)


def score(kind, found, truth):
    """Return R2 of ratios, or accuracy."""
    if kind == "right":
        return ((found > 0.5) == truth).mean()
    return 1 - ((found - truth) ** 2).mean() / truth.var()


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("body", bodies.BODIES)
def test_eight_predictions_are_learned_by_heart(kind, body):
    layers, targets = task(16, signal=None)
    for values in (*layers.values(), *targets.values()):
        values[8:] = values[:8]  # the validation rows are the same predictions once more
    targets["right"] = np.arange(16) % 2
    rows = np.arange(8), np.arange(8, 16)
    options = {"epochs": 200, "patience": 200, "batch_size": 8, "learning_rate": 1e-3}
    one = judge(kind, (layers, targets), rows, body=body, width=32, **options)
    assert score(kind, meta.predict(one, layers)[:8], targets[kind][:8]) > 0.9


@pytest.mark.parametrize("kind", TASKS)
def test_a_planted_signal_is_found_and_shuffled_labels_give_chance(kind):
    layers, targets = task()
    test = sides()[2]
    found = meta.predict(judge(kind), layers)
    assert score(kind, found[test], targets[kind][test]) > (0.75 if kind == "ratio" else 0.85)
    shuffled = {name: np.random.default_rng(1).permutation(values) for name, values in targets.items()}
    lost = meta.predict(judge(kind, (layers, shuffled)), layers)
    assert score(kind, lost[test], shuffled[kind][test]) < (0.1 if kind == "ratio" else 0.65)


def test_an_ablation_finds_the_layer_with_the_signal():
    layers, targets = task()
    test = sides()[2]
    found = {}
    for name in layers:
        one = judge("ratio", ({name: layers[name]}, targets))
        found[name] = score("ratio", meta.predict(one, {name: layers[name]})[test], targets["ratio"][test])
    assert found["b"] > 0.75
    assert found["a"] < 0.1


def by_hand(layers, target, kind, rows, generator, *, epochs, literal, batch_size=32, rate=3e-3, warm_up=0):
    """Return a network trained by the document's loop, or by the one that sets train mode each epoch."""
    values = torch.cat([torch.tensor(part) for part in layers.values()], 1)
    aims = torch.tensor(target)
    aims = aims.float() if kind == "ratio" else aims.long()
    sizes = {name: part.shape[1] for name, part in layers.items()}
    network = bodies.MetaNetwork(sizes, width=16, n_outputs=1 if kind == "ratio" else 2, generator=generator)
    stepper = torch.optim.Adam(network.parameters(), lr=rate)
    network.train()
    step = 0
    for _ in range(epochs):
        if not literal:
            network.train()
        order = rows[torch.randperm(len(rows), generator=generator).numpy()]
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            if len(batch) == 1:
                continue
            step += 1
            for group in stepper.param_groups:
                group["lr"] = rate * min(1, step / (warm_up + 1))
            output = network(values[batch])
            loss = mse_loss(output.squeeze(1), aims[batch]) if kind == "ratio" else cross_entropy(output, aims[batch])
            stepper.zero_grad()
            loss.backward()
            stepper.step()
        network.eval()
    return network


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("literal", [True, False])
def test_training_is_the_plain_loop(kind, literal):
    layers, targets = task()
    train, validation, _ = sides(n_train=257)  # a last batch of one row
    options = {"epochs": 3, "literal": literal}
    plain = by_hand(layers, targets[kind], kind, train, source(), warm_up=0 if literal else 10, **options)
    options |= {"patience": 3, "warm_up": 0 if literal else 10}
    one = judge(kind, rows=(train, validation), **options)
    if not literal and one.epoch != 3:
        pytest.fail("choose data for which the last epoch is the best")
    for ours, theirs in zip(one.network.state_dict().values(), plain.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("literal", [True, False])
def test_the_bug_freezes_the_statistics_after_one_epoch(literal):
    one = judge(literal=literal, epochs=4, patience=4)
    counted = one.network.decoder[1].num_batches_tracked.item()
    # The released checkpoints of the document hold 394 = ceil(50,432 / 128), one epoch's worth.
    assert counted == math.ceil(250 / 32) * (1 if literal else one.epoch)
    assert literal or one.epoch > 1


def test_the_weights_are_those_of_the_best_epoch():
    layers, targets = task(signal=None)
    validation = sides()[1]
    one = judge("ratio", (layers, targets), epochs=30, patience=3)
    assert one.epoch == 1 + int(np.argmin(one.history.validation))
    assert len(one.history.loss) == one.epoch + 3  # no rows can teach more than the mean
    loss = np.mean((meta.predict(one, layers)[validation] - targets["ratio"][validation]) ** 2)
    assert loss == pytest.approx(min(one.history.validation), rel=1e-4)


def test_the_same_seed_gives_the_same_judge_and_nothing_global_moves():
    layers, _ = task()
    state = torch.get_rng_state()
    first, again, other = (judge(body="transformer", generator=source(k), epochs=2) for k in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(meta.predict(first, layers), meta.predict(again, layers))
    assert not np.array_equal(meta.predict(first, layers), meta.predict(other, layers))


def test_predictions_do_not_depend_on_the_other_rows():
    layers, _ = task()
    one = judge("right", epochs=2)
    whole = meta.predict(one, layers)
    part = meta.predict(one, {name: values[:7] for name, values in layers.items()})
    np.testing.assert_allclose(part, whole[:7], atol=1e-6)
    assert ((whole >= 0) & (whole <= 1)).all()


def broken(change):
    """Return layers and targets of which something is wrong."""
    layers, targets = task()
    change(layers, targets)
    return layers, targets


def put(values, place, value):
    values[place] = value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda layers, _: layers.clear(), "there is no layer"),
        (lambda layers, _: layers.update(a=layers["a"][:9]), "one n for all"),
        (lambda layers, _: put(layers["a"], (3, 1), np.nan), "layer a holds NaN or infinity, first in row 3"),
        (lambda _, targets: targets.update(ratio=targets["ratio"][:9]), "targets for 400 rows"),
        (lambda _, targets: put(targets["ratio"], 5, 1.2), "ratios lie in"),
        (lambda _, targets: put(targets["ratio"], 5, np.nan), "ratios lie in"),
    ],
)
def test_data_that_cannot_be_are_refused(unchecked, change, message):
    with pytest.raises(ValueError, match=message):
        judge("ratio", broken(change))


def test_labels_that_say_neither_right_nor_wrong_are_refused():
    with pytest.raises(ValueError, match="1 for a right prediction"):
        judge("right", broken(lambda _, targets: targets.update(right=np.full(400, 0.5))))


@pytest.mark.parametrize("side", [0, 1])
def test_one_class_only_is_refused(side):
    layers, targets = task()
    targets["right"][sides()[side]] = 1
    with pytest.raises(ValueError, match=f"{('train', 'validation')[side]} side are of one class"):
        judge("right", (layers, targets))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((np.arange(0), np.arange(9)), "the train side has 0 rows"),
        ((np.arange(9), np.arange(0)), "the validation side has 0 rows"),
        ((np.arange(9), np.arange(399, 402)), "all in range"),
        ((np.arange(9), np.arange(8, 12)), "no row in common"),
    ],
)
def test_splits_that_cannot_be_are_refused(unchecked, rows, message):
    with pytest.raises(ValueError, match=message):
        judge(rows=rows)


@pytest.mark.parametrize(
    "option", [{"epochs": 0}, {"patience": 0}, {"batch_size": 1}, {"warm_up": -1}, {"learning_rate": math.nan}]
)
def test_options_out_of_range_are_refused(unchecked, option):
    with pytest.raises(ValueError, match=f"{next(iter(option))} = "):
        judge(**option)


def test_an_unknown_task_is_refused(unchecked):
    layers, targets = task()
    with pytest.raises(ValueError, match="unknown task 'both'"):
        meta.fit(layers, targets["ratio"], *sides()[:2], task="both", generator=source())


def test_layers_in_another_order_are_refused():
    layers, _ = task()
    with pytest.raises(ValueError, match="in this order"):
        meta.predict(judge(epochs=1), dict(reversed(layers.items())))


def test_divergence_is_an_error():
    with pytest.raises(FloatingPointError, match="diverged"):
        judge(learning_rate=1e30, epochs=20, literal=True)


def test_a_loss_on_the_validation_rows_that_is_no_number_is_an_error(monkeypatch):
    monkeypatch.setattr(meta, "_mean_loss", lambda *_: math.nan)
    with pytest.raises(FloatingPointError, match="validation rows is nan"):
        judge()
