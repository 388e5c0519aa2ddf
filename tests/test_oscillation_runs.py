import numpy as np
import pytest
import torch
from torch import nn

from actlib import oscillation_nets, oscillation_runs, oscillations

SMALL = {"n_frequencies": 4, "size": 8}


@pytest.fixture(scope="module")
def sets():
    """512 images to learn from and 129 to judge by."""
    train, held_out = (oscillations.draw(k, noise=1.0, seed=s, **SMALL) for k, s in ((32, 2), (9, 30001)))
    return train, held_out._replace(images=held_out.images[:129], labels=held_out.labels[:129])


def by_hand(train, held_out, seed, epochs, drop, number, batch):
    """Return weights, losses and accuracies of a plain loop with Adam written out."""
    about = {"mean": train.mean, "std": train.std, "n_classes": 16, "size": 8}
    net = oscillation_nets.network("fc-1h", number, generator=torch.Generator().manual_seed(seed), **about)
    moments = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in net.named_parameters()}
    step, losses, accuracies = 0, [], []
    for epoch in range(epochs):
        rate, total = 1e-3 if epoch < drop else 1e-4, 0.0
        for start in range(0, len(train.labels), batch):
            x, y = train.images[start : start + batch], train.labels[start : start + batch]
            loss = -net(x).log_softmax(1)[torch.arange(len(y)), y].sum()
            gradients = torch.autograd.grad(loss, list(net.parameters()))
            step, total = step + 1, total + loss.item()
            with torch.no_grad():
                for (name, p), gradient in zip(net.named_parameters(), gradients, strict=True):
                    m, v = moments[name]
                    g = gradient + 1e-4 * p
                    m.mul_(0.9).add_(0.1 * g)
                    v.mul_(0.999).add_(0.001 * g * g)
                    p -= rate * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
        losses.append(total / len(train.labels))
        accuracies.append(
            [(net(held_out.images).argmax(1) == held_out.labels)[k::2].double().mean().item() for k in (0, 1)]
        )
    return net, losses, accuracies


def test_a_run_is_the_published_loop(sets, tmp_path):
    run = oscillation_runs.fit(*sets, seed=3, epochs=5, drop=3, batch_size=60, root=tmp_path, family="fc-1h", number=12)
    net, losses, accuracies = by_hand(*sets, 3, 5, 3, 12, 60)
    torch.testing.assert_close(run.model.state_dict(), net.state_dict(), atol=1e-5, rtol=1e-3)
    np.testing.assert_allclose(run.loss, losses, rtol=1e-4)
    np.testing.assert_allclose(run.halves.numpy(), accuracies, atol=0.02)
    undropped, *_ = by_hand(*sets, 3, 5, 5, 12, 60)
    assert (run.model.fc1.weight - undropped.fc1.weight).abs().max() > 1e-3


def test_without_a_gradient_the_weight_decay_alone_moves_the_weights(sets, tmp_path):
    grey = sets[0]._replace(images=torch.full_like(sets[0].images, 0.5))  # zero behind Normalize
    options = {"seed": 0, "root": tmp_path, "family": "fc-1h", "number": 12}
    start, end = (oscillation_runs.fit(grey, sets[1], epochs=e, **options).model.fc1.weight for e in (1, 4))
    torch.testing.assert_close((start - end).sign(), end.sign().where(start.abs() > 0.02, (start - end).sign()))


def test_the_three_numbers_of_a_run_are_those_of_its_table():
    halves = torch.tensor([[0.1, 0.2], [0.9, 0.3], [0.5, 0.6], [0.4, 0.4]]).double()
    run = oscillation_runs.Run(nn.Identity(), [], halves)
    assert run.last() == pytest.approx(0.4)
    assert run.highest() == pytest.approx(0.6)  # 0.9 and 0.3
    # The even ones are best at the second epoch, where the odd ones have 0.3; the odd ones at the third, with 0.5.
    assert run.chosen() == pytest.approx((0.3 + 0.5) / 2)


def test_a_run_learns_and_comes_back_from_the_cache(sets, tmp_path):
    options = {"seed": 0, "epochs": 12, "drop": 9, "learning_rate": 1e-2, "batch_size": 32, "root": tmp_path}
    run = oscillation_runs.fit(*sets, **options, family="fc-1h", number=64)
    assert run.last() > 0.4
    assert run.loss[-1] < run.loss[0]
    assert not run.model.training
    (file,) = tmp_path.rglob("*.safetensors")
    before = file.stat().st_mtime_ns
    again = oscillation_runs.fit(*sets, **options, family="fc-1h", number=64)
    assert file.stat().st_mtime_ns == before
    torch.testing.assert_close(again.model.state_dict(), run.model.state_dict(), atol=0, rtol=0)
    torch.testing.assert_close(again.halves, run.halves, atol=0, rtol=0)
    other = oscillation_runs.fit(*sets, **(options | {"seed": 1}), family="fc-1h", number=64)
    assert other.loss != run.loss
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2
    file.write_bytes(b"nothing")
    with pytest.warns(UserWarning, match="damaged"):
        mended = oscillation_runs.fit(*sets, **options, family="fc-1h", number=64)
    torch.testing.assert_close(mended.halves, run.halves, atol=0, rtol=0)


@pytest.mark.parametrize("decimation", ["strided", "blur"])
def test_a_residual_network_is_judged_with_its_running_statistics(sets, tmp_path, decimation):
    options = {"family": "resnet-c", "number": 4, "decimation": decimation, "depth": 8, "root": tmp_path}
    run = oscillation_runs.fit(*sets, seed=0, epochs=2, drop=1, **options)
    right = run.model(sets[1].images).argmax(1) == sets[1].labels
    assert run.last() == pytest.approx(np.mean([right[k::2].double().mean().item() for k in (0, 1)]))
    assert not run.model.training


def test_a_run_that_diverges_says_so(sets, tmp_path):
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        oscillation_runs.fit(*sets, seed=0, epochs=3, learning_rate=1e30, root=tmp_path, family="fc-2h", number=8)
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs = 0"),
        ({"drop": 0}, "drop = 0"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"learning_rate": 0.0}, "positive rate"),
        ({"family": "fc-9h"}, "fc-9h"),
    ],
)
def test_impossible_runs_are_refused(sets, options, message):
    with pytest.raises(ValueError, match=message):
        oscillation_runs.fit(*sets, **({"seed": 0, "epochs": 1, "family": "fc-1h", "number": 4} | options))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"noise": 2.0}, "same noise"), ({"size": 9}, "same options"), ({"n_frequencies": 3}, "16 cl")],
)
def test_sets_that_do_not_go_together_are_refused(sets, change, message):
    other = oscillations.draw(1, **({"noise": 1.0, "seed": 5} | SMALL | change))
    with pytest.raises(ValueError, match=message):
        oscillation_runs.fit(sets[0], other, seed=0, family="fc-1h", number=4)
