"""The steps of a matrix of parameters against ``torch.optim``, row by row."""

import pytest
import torch

from actlib import lenets, models
from actlib.grids import Setting
from actlib.population_steps import Stepper, gradient, room, split

SETTINGS = [
    Setting("sgd", 0.1, 0.2, 1, 0, "default", 32),
    Setting("sgd", 0.01, 0.0, 1, 0, "default", 32),
    Setting("adam", 0.05, 0.1, 1, 0, "default", 32),
    Setting("adam", 0.005, 0.0, 1, 0, "default", 32),
]


def peers(weights):
    """Return one parameter and optimizer of PyTorch for each row."""
    found = []
    for row, setting in zip(weights, SETTINGS, strict=True):
        kind = torch.optim.SGD if setting.optimizer == "sgd" else torch.optim.Adam
        parameter = torch.nn.Parameter(row.clone())
        found.append((parameter, kind([parameter], lr=setting.learning_rate, weight_decay=setting.weight_decay)))
    return found


@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [1, 3], [0], [2], [0, 1], [2, 3]])
def test_rows_step_as_their_optimizers_do_also_when_others_leave(rows):
    weights = torch.randn(4, 50, dtype=torch.float64)
    single, stepper = peers(weights), Stepper(weights.clone(), SETTINGS)
    for turn in range(30):
        grads = torch.randn(4, 50, dtype=torch.float64) * 10.0 ** torch.randint(-6, 3, (4, 50))
        if turn == 10:
            stepper.keep(rows)
        for (parameter, peer), grad in zip(single, grads, strict=True):
            parameter.grad = grad.clone()
            peer.step()
        stepper.step(grads if turn < 10 else grads[rows].clone())
    expected = torch.stack([single[row][0].detach() for row in rows])
    torch.testing.assert_close(stepper.weights, expected, atol=1e-13, rtol=1e-12)
    assert stepper.settings == [SETTINGS[row] for row in rows]


def test_the_rates_and_decays_are_those_of_the_row():
    weights = torch.randn(4, 50, dtype=torch.float64)
    swapped = [SETTINGS[1], SETTINGS[0], SETTINGS[3], SETTINGS[2]]
    one, other = Stepper(weights.clone(), SETTINGS), Stepper(weights.clone(), swapped)
    for stepper in (one, other):
        stepper.step(torch.ones(4, 50, dtype=torch.float64))
    assert ((one.weights - other.weights).abs().amax(1) > 1e-3).all()


def test_a_vector_is_split_in_the_order_of_the_names():
    model = models.lenet5(generator=torch.Generator()).double()
    vector = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    shapes = [tuple(parameter.shape) for parameter in model.parameters()]
    for part, parameter in zip(split(vector, shapes), model.parameters(), strict=True):
        assert torch.equal(part, parameter)
    both = split(torch.stack([vector, -vector]), shapes)
    assert torch.equal(both[4][1], -model.fc1.weight)
    images, labels = torch.rand(5, 1, 28, 28, dtype=torch.float64), torch.arange(5)
    found = gradient(vector, images.flatten(1), labels, shapes, (1, 28, 28))
    parts = lenets.gradients(split(vector, shapes), images.permute(1, 2, 3, 0).contiguous(), labels)
    assert torch.equal(found, torch.cat([part.flatten() for part in parts]))


def test_there_is_always_room_for_one():
    assert room(10**12, torch.zeros(1)) == 1
    assert room(784 * 32, torch.zeros(1)) > room(784 * 64, torch.zeros(1)) > room(784 * 64, torch.zeros(1).double()) > 1
