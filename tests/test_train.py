import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from actlib import models, train

PLAIN = getattr(train.fit, "__wrapped__", train.fit)  # past the annotations, as users call it


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def planted(n=96, seed=0):
    """Return images whose brighter half, left or right, is their class, and the labels."""
    labels = torch.arange(n) % 2
    images = torch.randint(0, 100, (n, 1, 4, 4), dtype=torch.uint8, generator=seeded(seed))
    images[labels == 0, :, :, :2] += 120
    images[labels == 1, :, :, 2:] += 120
    return images, labels


def small(seed=0, normalization=None):
    return models.mlp([6], 2, input_shape=(1, 4, 4), normalization=normalization, generator=seeded(seed))


def one_cycle(step, n_steps, highest):
    """Return the learning rate of a step by the formula: two half cosines."""
    start, end, turn = highest / 25, highest / 25e4, 0.3 * n_steps - 1
    if step <= turn:
        return highest + (start - highest) * (1 + math.cos(math.pi * step / turn)) / 2
    return end + (highest - end) * (1 + math.cos(math.pi * (step - turn) / (n_steps - 1 - turn))) / 2


RATES = {
    "constant": lambda step, n_steps, rate: rate,
    "cosine": lambda step, n_steps, rate: rate * (1 + math.cos(math.pi * step / n_steps)) / 2,
    "onecycle": one_cycle,
}


@pytest.mark.parametrize(
    ("optimizer", "schedule"), [("sgd", "constant"), ("sgd", "cosine"), ("adam", "onecycle"), ("adam", "constant")]
)
def test_fit_agrees_with_a_loop_written_by_hand(optimizer, schedule):
    images, labels = planted(50)
    ours, theirs = small(), small()
    history = train.fit(
        ours, images, labels, epochs=3, batch_size=16, optimizer=optimizer, learning_rate=0.05, momentum=0.8,
        weight_decay=0.01, schedule=schedule, generator=seeded(1), progress=False,
    )  # fmt: skip
    kinds = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.8, weight_decay=0.01),
        "adam": lambda p: torch.optim.Adam(p, lr=0.05, weight_decay=0.01),
    }
    stepper, generator, step, losses = kinds[optimizer](theirs.parameters()), seeded(1), 0, []
    for _ in range(3):
        order, losses = torch.randperm(50, generator=generator), []
        for start in range(0, 50, 16):
            chosen = order[start : start + 16]
            stepper.param_groups[0]["lr"] = RATES[schedule](step, 12, 0.05)
            each = nn.functional.cross_entropy(theirs(images[chosen].float() / 255), labels[chosen], reduction="none")
            losses += each.tolist()
            stepper.zero_grad()
            each.mean().backward()
            stepper.step()
            step += 1
    assert_close(ours.state_dict(), theirs.state_dict(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(history.loss[-1], np.mean(losses), atol=1e-6)
    assert [len(part) for part in history] == [3, 3, 3]


def test_a_planted_rule_is_learned_and_shuffled_labels_are_not():
    images, labels = planted()
    test_images, test_labels = planted(seed=7)
    model = small()
    history = train.fit(model, images, labels, epochs=15, learning_rate=0.1, batch_size=16, generator=seeded())
    assert train.accuracy(model, test_images, test_labels) == 1
    assert history.accuracy[-1] == 1
    assert history.loss[-1] < 0.1 * history.loss[0]
    shuffled = labels[torch.randperm(96, generator=seeded(3))]
    other = small()
    train.fit(other, images, shuffled, epochs=15, learning_rate=0.1, batch_size=16, generator=seeded())
    assert train.accuracy(other, test_images, test_labels) < 0.9


def test_the_seed_alone_decides_the_weights():
    images, labels = planted()
    fitted = []
    for seed in (0, 0, 1):
        fitted.append(small())
        train.fit(fitted[-1], images, labels, epochs=2, learning_rate=0.1, augment="crop-flip", generator=seeded(seed))
    assert_close(fitted[0].state_dict(), fitted[1].state_dict(), rtol=0, atol=0)
    assert not torch.allclose(fitted[0].fc1.weight, fitted[2].fc1.weight)


def test_bytes_and_the_same_floats_train_the_same():
    images, labels = planted()
    first, second = small(), small()
    train.fit(first, images, labels, epochs=2, learning_rate=0.1, generator=seeded())
    train.fit(second, images.double() / 255, labels, epochs=2, learning_rate=0.1, generator=seeded())
    assert_close(first.state_dict(), second.state_dict())


def test_half_precision_learns_and_leaves_full_weights():
    images, labels = planted()
    full, half = small(), small()
    options = {"epochs": 15, "learning_rate": 0.1, "batch_size": 16, "progress": False}
    train.fit(full, images, labels, generator=seeded(), **options)
    train.fit(half, images, labels, generator=seeded(), precision="bfloat16", **options)
    assert train.accuracy(half, images, labels) == 1
    assert {p.dtype for p in half.parameters()} == {torch.float32}
    assert_close(half.fc1.weight, full.fc1.weight, atol=0.05, rtol=0)
    assert not torch.equal(half.fc1.weight, full.fc1.weight)
    assert train._loss(half, images, labels, "bfloat16")[0].dtype == torch.float32


def test_frozen_parameters_stay():
    images, labels = planted()
    model, before = small(), small()
    model.fc1.requires_grad_(False)
    train.fit(model, images, labels, epochs=2, learning_rate=0.1, weight_decay=0.1, generator=seeded())
    assert_close(model.fc1.weight, before.fc1.weight, rtol=0, atol=0)
    assert not torch.allclose(model.fc2.weight, before.fc2.weight)


def test_nothing_is_drawn_from_the_global_generator_and_inputs_are_kept():
    images, labels = planted()
    copies, before = (images.clone(), labels.clone()), torch.get_rng_state()
    train.fit(small(), images, labels, epochs=1, learning_rate=0.1, augment="crop-flip", generator=seeded())
    assert_close(torch.get_rng_state(), before)
    assert_close((images, labels), copies)


def test_one_step_is_enough_for_every_schedule():
    images, labels = planted(4)
    for schedule in RATES:
        history = train.fit(small(), images, labels, epochs=1, learning_rate=0.1, schedule=schedule, generator=seeded())
        assert len(history.loss) == 1


def candidates(image, up, left):
    """Return all images that mirroring and shifting can make of one, by slow slicing of a larger black image."""
    c, h, w = image.shape
    found = []
    for mirrored in (image, image[:, :, ::-1]):
        large = np.zeros((c, h + 2 * up, w + 2 * left), dtype=image.dtype)
        large[:, up : up + h, left : left + w] = mirrored
        shifts = itertools.product(range(2 * up + 1), range(2 * left + 1))
        found += [large[:, i : i + h, j : j + w].tobytes() for i, j in shifts]
    return found


@pytest.mark.parametrize(("augment", "up", "left"), [("flip", 0, 0), ("crop-flip", 1, 2), (None, 0, 0)])
def test_augmentation_makes_all_mirrored_and_shifted_images_and_no_others(augment, up, left):
    image = torch.randint(1, 256, (1, 2, 8, 16), dtype=torch.uint8, generator=seeded())
    made = train._augmented(image.expand(600, -1, -1, -1), augment, seeded(1))
    allowed = candidates(image[0].numpy(), up, left)[: None if augment else 1]
    assert {one.numpy().tobytes() for one in made} == set(allowed)


def test_each_image_gets_its_own_draw():
    made = train._augmented(torch.rand(1, 1, 8, 8).expand(50, -1, -1, -1), "flip", seeded())
    n_mirrored = (made[:, 0, 0, 0] != made[0, 0, 0, 0]).sum().item()
    assert 10 < n_mirrored < 40


def test_logits_agree_with_one_pass_and_leave_all_modes():
    model = small(normalization="batch").train()
    model.relu1.eval()
    images, _ = planted(11)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = train.logits(model, images, batch_size=4)
    assert not found.requires_grad
    assert [m.training for m in (model, model.norm1, model.relu1)] == [True, True, False]
    assert_close(dict(model.state_dict()), before)
    assert_close(found, model.eval()(images.float() / 255).detach())
    assert_close(train.predict(model, images), found.argmax(1))


def test_modes_come_back_after_an_exception():
    model = small().train()
    with pytest.raises(ValueError, match="there is nothing in them"):
        train.logits(model, torch.zeros(0, 1, 4, 4))
    assert model.training


def test_accuracy_counts_what_a_loop_counts():
    model = small()
    images, labels = planted(37, seed=3)
    right = sum(int(model(images[k : k + 1].float() / 255).argmax() == labels[k]) for k in range(37))
    np.testing.assert_allclose(train.accuracy(model, images, labels, batch_size=5), right / 37)


def test_accuracy_wants_a_label_an_image():
    with pytest.raises(ValueError, match="4 images but 3 labels"):
        train.accuracy(small(), torch.zeros(4, 1, 4, 4), torch.zeros(3, dtype=torch.int64))


def test_a_model_trains_in_train_mode_and_is_left_in_eval_mode():
    model = small(normalization="batch").eval()
    train.fit(model, *planted(), epochs=1, learning_rate=0.1, generator=seeded())
    assert not any(m.training for m in model.modules())
    assert model.norm1.num_batches_tracked == 1  # and it was in train mode meanwhile


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": torch.arange(96) % 3}, r"labels lie in 0..2, but the network has 2 outputs: 0..1 are allowed"),
        ({"labels": torch.arange(96) % 2 - 1}, r"labels lie in -1..0"),
        ({"labels": torch.zeros(95, dtype=torch.int64)}, r"of shape \(95,\) for 96 images; give one int64 each"),
        ({"labels": torch.zeros(96)}, r"labels are torch.float32"),
        ({"images": torch.zeros(0, 1, 4, 4), "labels": torch.zeros(0, dtype=torch.int64)}, "there is nothing in them"),
        ({"images": torch.zeros(96, 3, 4, 4)}, r"but Sequential takes \(1, 4, 4\)"),
        ({"images": torch.full((96, 1, 4, 4), 2.0)}, r"float images lie in \[2, 2\]"),
        ({"images": torch.full((96, 1, 4, 4), float("nan"))}, r"96 of 96 images hold NaN"),
        ({"epochs": 0}, "epochs = 0 and batch_size = 128; both must be at least 1"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"learning_rate": 0.0}, "learning_rate = 0; it must be positive"),
        ({"learning_rate": float("nan")}, "learning_rate = nan"),
        ({"optimizer": "lion"}, r"unknown optimizer 'lion'; give one of \['sgd', 'adam'\]"),
        ({"schedule": "step"}, r"unknown schedule 'step'; give one of \['constant'"),
        ({"augment": "crop_flip"}, r"unknown augment 'crop_flip'; give one of \[None, 'flip'"),
        ({"precision": "half"}, r"unknown precision 'half'"),
    ],
)
def test_what_cannot_be_trained_is_refused_and_the_model_kept(change, message):
    images, labels = planted()
    model, before = small(normalization="batch"), small(normalization="batch")
    options = {"images": images, "labels": labels, "epochs": 1, "learning_rate": 0.1, "generator": seeded()} | change
    with pytest.raises(ValueError, match=message):
        PLAIN(model, **options)
    assert_close(model.state_dict(), before.state_dict(), rtol=0, atol=0)
    assert model.training


def test_divergence_is_told_with_its_step():
    model = small()
    with pytest.raises(
        FloatingPointError, match=r"the loss is .* at step \d+: training diverged with learning_rate = 1e\+20; try"
    ):
        train.fit(model, *planted(), epochs=50, learning_rate=1e20, generator=seeded())
    assert not model.training


def test_the_step_of_divergence_is_counted_over_epochs():
    class Bomb(nn.Module):
        """Count the training batches; the fifth is not a number."""

        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(2))
            self.calls = 0

        def forward(self, x):
            self.calls += self.training
            return self.weight.expand(len(x), 2) + (float("nan") if self.calls == 5 else 0)

    with pytest.raises(FloatingPointError, match="the loss is nan at step 5"):
        train.fit(Bomb(), *planted(), epochs=9, batch_size=48, learning_rate=0.1, generator=seeded())


def test_a_bar_is_no_noise_where_there_is_no_terminal(capsys):
    train.fit(small(), *planted(), epochs=1, learning_rate=0.1, generator=seeded())
    assert capsys.readouterr() == ("", "")
