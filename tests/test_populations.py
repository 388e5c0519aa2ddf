"""Populations against plain loops of ``torch.optim`` over ``models.lenet5``, one network after the other."""

import math

import pytest
import torch
from torch.nn import init
from torch.nn.functional import cross_entropy

from actlib import grids, lenets, models, population_steps, populations, train
from actlib.grids import Setting


def task(n=100, size=28, seed=0):
    """Return images, most of whose pixels are black, and labels that can be learned: where the brightest half is."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(n, 1, size, size, generator=generator, dtype=torch.float64)
    images = torch.where(images < 0.7, 0, images)
    labels = torch.randint(4, (n,), generator=generator)
    half = size // 2
    for image, label in zip(images, labels.tolist(), strict=True):
        image[:, half * (label // 2) :, half * (label % 2) :][:, :half, :half].mul_(2).clamp_(max=1)
    return images, labels


def start(setting, size=28):
    """Return a network as the module's text says that it begins, and the generator of its orders."""
    generator = torch.Generator().manual_seed(setting.seed)
    model = models.lenet5(size=size, generator=generator)
    for layer in (model.conv1, model.conv2, model.fc1, model.fc2, model.fc3):
        if setting.initialization == "xavier":
            init.xavier_uniform_(layer.weight, generator=generator)
        if setting.initialization == "kaiming":
            init.kaiming_uniform_(layer.weight, generator=generator)
        if setting.initialization == "normal":
            init.normal_(layer.weight, std=0.01, generator=generator)
    return model, generator


def by_hand(setting, images, labels):
    """Return a network trained by ``torch.optim``."""
    model, generator = start(setting, images.shape[-1])
    model = model.to(images.dtype)
    options = {"lr": setting.learning_rate, "weight_decay": setting.weight_decay}
    kind = torch.optim.SGD if setting.optimizer == "sgd" else torch.optim.Adam
    stepper = kind(model.parameters(), **options)
    for _ in range(setting.epochs):
        for chosen in torch.randperm(len(images), generator=generator).split(setting.batch_size):
            stepper.zero_grad()
            cross_entropy(model(images[chosen]), labels[chosen]).backward()
            stepper.step()
    return model


def zoo():
    """Return settings with every initialization, both optimizers, several batch sizes and epochs, 20 steps at most."""
    return [
        Setting("adam", 0.01, 0.0, 4, 0, "default", 32),
        Setting("sgd", 0.01, 0.1, 2, 1, "kaiming", 32),
        Setting("adam", 0.005, 0.05, 1, 2, "xavier", 32),
        Setting("sgd", 0.005, 0.0, 3, 42, "normal", 32),
        Setting("adam", 0.01, 0.2, 2, 3, "kaiming", 64),
        Setting("sgd", 0.01, 0.05, 3, 4, "xavier", 64),
        Setting("sgd", 0.01, 0.0, 1, 5, "default", 100),
        Setting("adam", 0.01, 0.0, 1, 6, "normal", 30),
    ]


@pytest.fixture(scope="module")
def trained():
    """Settings, images, labels and the networks of the plain loop, in float64."""
    images, labels = task()
    return zoo(), images, labels, [by_hand(setting, images, labels) for setting in zoo()]


@pytest.mark.parametrize("backend", ["loop", "vmap"])
def test_a_population_is_the_plain_loop(trained, backend):
    settings, images, labels, networks = trained
    state = populations.fit(settings, images, labels, backend=backend, dtype=torch.float64)
    assert tuple(state) == lenets.NAMES
    expected = populations.stack(networks)
    torch.testing.assert_close(state, expected, atol=1e-10, rtol=0)
    # Nothing of this is a matter of course: after one step fewer or under a neighbour's setting they differ.
    moved = {name: value.roll(1, 0) for name, value in expected.items()}
    assert all((moved[name] - state[name]).flatten(1).abs().amax(1).min() > 1e-5 for name in state)


def test_single_precision_agrees_to_its_rounding(trained):
    settings, images, labels, networks = trained
    slow = [k for k, setting in enumerate(settings) if setting.optimizer == "sgd"]
    expected = populations.stack([networks[k] for k in slow])
    for backend in ("loop", "vmap"):
        state = populations.fit([settings[k] for k in slow], images.float(), labels, backend=backend)
        assert all(value.dtype == torch.float32 for value in state.values())
        torch.testing.assert_close({k: v.double() for k, v in state.items()}, expected, atol=1e-5, rtol=1e-4)


def test_groups_that_do_not_fit_into_memory_are_divided(trained, monkeypatch):
    settings, images, labels, networks = trained
    sizes = []
    before = population_steps.train
    monkeypatch.setattr(population_steps, "_CPU_BYTES", 3 * 32 * 784 * population_steps._PER_PIXEL * 8)
    monkeypatch.setattr(population_steps, "train", lambda w, s, *a, **k: sizes.append(len(s)) or before(w, s, *a, **k))
    state = populations.fit(settings, images, labels, backend="vmap", dtype=torch.float64)
    assert sorted(sizes) == [1, 1, 1, 1, 1, 3]  # of batch size 64 and 100 one fits, of 32 and 30 three
    torch.testing.assert_close(state, populations.stack(networks), atol=1e-10, rtol=0)


def test_together_go_equal_batch_sizes_with_sgd_first():
    chosen = grids.sample(64, 0)
    for group in (found := list(population_steps.groups(chosen, "vmap", 784, torch.zeros(1)))):
        assert len({chosen[k].batch_size for k in group}) == 1
        kinds = [chosen[k].optimizer for k in group]
        assert kinds == sorted(kinds, reverse=True)
    assert sorted(k for group in found for k in group) == list(range(64))
    assert len(found) == 4
    alone = list(population_steps.groups(chosen, "loop", 784, torch.zeros(1)))
    assert sorted(alone) == [[k] for k in range(64)]


def test_the_trainer_of_the_package_gives_the_same():
    images, labels = task(60)
    setting = Setting("adam", 0.002, 0.05, 3, 5, "default", 25)
    generator = torch.Generator().manual_seed(5)
    model = models.lenet5(generator=generator).double()
    options = {"epochs": 3, "learning_rate": 0.002, "batch_size": 25, "optimizer": "adam", "weight_decay": 0.05}
    train.fit(model, images, labels, generator=generator, progress=False, **options)
    state = populations.fit([setting], images, labels, dtype=torch.float64)
    torch.testing.assert_close(state, populations.stack([model]), atol=1e-10, rtol=0)


def test_it_learns():
    images, labels = task(300)
    settings = [Setting("adam", 0.005, 0.0, 12, 0, "default", 32), Setting("sgd", 0.005, 0.2, 1, 0, "normal", 32)]
    state = populations.fit(settings, images.float(), labels)
    good, poor = populations.accuracies(state, images.float(), labels).tolist()
    assert good > 0.9
    assert poor < 0.5


@pytest.mark.parametrize("initialization", ["xavier", "normal", "kaiming", "default"])
def test_networks_begin_as_the_setting_says(initialization):
    setting = Setting("sgd", 0.1, 0.0, 1, 3, initialization, 32)
    model = populations.build(setting)
    torch.testing.assert_close(model.state_dict(), start(setting)[0].state_dict(), atol=0, rtol=0)
    weight = model.fc1.weight
    law = {
        "xavier": (math.sqrt(6 / 376), math.sqrt(2 / 376)),
        "normal": (math.inf, 0.01),
        "kaiming": (math.sqrt(6 / 256), math.sqrt(2 / 256)),
        "default": (1 / 16, 1 / 16 / math.sqrt(3)),
    }[initialization]
    assert weight.abs().max() <= law[0]
    assert weight.std().item() == pytest.approx(law[1], rel=0.02)
    for layer in (model.conv1, model.conv2, model.fc1, model.fc2, model.fc3):
        bound = 1 / math.sqrt(layer.weight[0].numel())
        assert 0.5 * bound < layer.bias.abs().max() <= bound
    other = populations.build(setting._replace(seed=4))
    assert not torch.equal(other.fc1.weight, weight)


def test_building_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    populations.build(zoo()[0])
    images, labels = task(8)
    populations.fit(zoo()[:1], images, labels)
    assert torch.equal(torch.get_rng_state(), before)


def test_sizes_channels_and_classes_follow_the_images():
    images, labels = task(40, size=18)
    images = images.expand(-1, 3, -1, -1)
    setting = Setting("sgd", 0.01, 0.1, 1, 0, "default", 16)
    state = populations.fit([setting] * 2, images, labels, n_classes=4, dtype=torch.float64)
    assert state["conv1.weight"].shape == (2, 6, 3, 5, 5)
    assert state["fc3.bias"].shape == (2, 4)
    (model, twin) = populations.unstack(state, size=18)
    assert model.input_shape == (3, 18, 18)
    torch.testing.assert_close(populations.logits(state, images)[1], model(images).detach())
    torch.testing.assert_close(twin.state_dict(), model.state_dict(), atol=0, rtol=0)


def test_bytes_and_floats_are_the_same_images():
    images, labels = task(40)
    whole = (images * 255).round().to(torch.uint8)
    setting = Setting("adam", 0.01, 0.1, 1, 0, "default", 16)
    a, b = (populations.fit([setting], x, labels, dtype=torch.float64) for x in (whole, whole.double() / 255))
    torch.testing.assert_close(a, b, atol=0, rtol=0)


def test_stacking_and_unstacking_are_inverse_and_share_nothing():
    networks = [populations.build(setting) for setting in zoo()[:3]]
    state = populations.stack(networks)
    assert state["fc1.weight"].shape == (3, 120, 256)
    back = populations.unstack({name: state[name] for name in sorted(state)})
    for k, (one, other) in enumerate(zip(networks, back, strict=True)):
        torch.testing.assert_close(one.state_dict(), other.state_dict(), atol=0, rtol=0)
        assert not other.training
        kept = state["fc3.bias"][k].clone()
        with torch.no_grad():
            other.fc3.bias += 1
            one.fc3.bias -= 1
        assert torch.equal(state["fc3.bias"][k], kept)


@pytest.mark.parametrize("backend", ["loop", "vmap"])
def test_logits_and_accuracies_are_those_of_the_networks(backend):
    images, labels = task(53)
    networks = [populations.build(setting).double() for setting in zoo()[:4]]
    state = populations.stack(networks)
    found = populations.logits(state, images, batch_size=20, backend=backend)
    expected = torch.stack([train.logits(network, images) for network in networks])
    torch.testing.assert_close(found, expected, atol=1e-13, rtol=1e-12)
    accuracies = populations.accuracies(state, images, labels, batch_size=20, backend=backend)
    assert accuracies.tolist() == [train.accuracy(network, images, labels) for network in networks]
    shuffled = {name: state[name].flip(0) for name in sorted(state)}
    assert torch.equal(populations.logits(shuffled, images, batch_size=20, backend=backend), found.flip(0))


@pytest.mark.parametrize("backend", ["loop", "vmap"])
def test_networks_that_diverge_are_kept_and_told(backend):
    images, labels = task(64)
    calm = Setting("sgd", 0.01, 0.0, 2, 0, "default", 8)
    wild = calm._replace(learning_rate=1e30, optimizer="sgd")
    state = populations.fit([calm, wild, calm._replace(optimizer="adam")], images.float(), labels, backend=backend)
    assert populations.diverged(state).tolist() == [False, True, False]
    assert populations.accuracies(state, images.float(), labels).isfinite().all()
    alone = populations.fit([calm], images.float(), labels, backend=backend)
    torch.testing.assert_close({k: v[:1] for k, v in state.items()}, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("backend", ["loop", "vmap"])
def test_progress_counts_every_image_of_every_network(backend):
    images, labels = task(30)
    settings, calls = zoo(), []
    populations.fit(settings, images, labels, backend=backend, progress=calls.append)
    assert sum(calls) == 30 * sum(setting.epochs for setting in settings)
    assert len(calls) > 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": []}, "no settings"),
        ({"settings": [zoo()[0]._replace(epochs=0)]}, "epochs = 0"),
        ({"images": torch.zeros(10, 1, 28, 30)}, "h = w"),
        ({"images": torch.zeros(10, 28, 28)}, r"give \(n, c, h, w\)"),
        ({"images": torch.zeros(10, 1, 14, 14)}, "at least 16 px"),
        ({"images": torch.full((10, 1, 28, 28), 7.0)}, r"not in \[0, 1\]"),
        ({"images": torch.full((10, 1, 28, 28), torch.nan)}, "NaN"),
        ({"images": torch.zeros(0, 1, 28, 28), "labels": torch.zeros(0, dtype=torch.int64)}, "nothing in them"),
        ({"labels": torch.zeros(9, dtype=torch.int64)}, "one int64 each"),
        ({"labels": torch.zeros(10)}, "float32"),
        ({"labels": torch.full((10,), 12)}, "give n_classes = 13"),
        ({"labels": torch.full((10,), -1)}, "labels lie in -1..-1"),
        ({"backend": "gpu"}, "backend"),
    ],
)
def test_what_cannot_be_trained_is_refused(change, message):
    good = {"settings": zoo()[:1], "images": torch.zeros(10, 1, 28, 28), "labels": torch.zeros(10, dtype=torch.int64)}
    with pytest.raises((ValueError, TypeError), match=message):
        populations.fit(**(good | change))


def test_what_is_no_population_is_refused():
    images, labels = task(4)
    state = populations.stack([populations.build(zoo()[0])])
    for call in (populations.unstack, populations.diverged, lambda s: populations.logits(s, images)):
        with pytest.raises(ValueError, match="give a population"):
            call({"fc1.weight": state["fc1.weight"]})
        with pytest.raises(ValueError, match="give a population"):
            call(state | {"fc1.bias": state["fc1.bias"][:0]})
    with pytest.raises(ValueError, match="28 to 31"):
        populations.logits(state, images[..., :20, :20])
    with pytest.raises(ValueError, match="4 images; give one label"):
        populations.accuracies(state, images, labels[:3])
    with pytest.raises(ValueError, match="at least one"):
        populations.stack([])
    with pytest.raises(ValueError, match="network 1 has parameters"):
        populations.stack([models.lenet5(), models.lenet5(size=20)])
    with pytest.raises(ValueError, match="network 0 has parameters"):
        populations.stack([models.course_lenet()])
