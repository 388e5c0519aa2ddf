"""Training of networks on oscillations as published, with the accuracy after each epoch.

Ribeiro and Schön 2021: Adam, weight decay 1e-4, the loss summed over a batch of 128, a tenth of the learning rate after
35 of 50 epochs, and the images of each epoch in the same order. Their number is the highest accuracy that the
validation images reached after any epoch. So a run keeps the accuracy after each: on the images with even and with odd
numbers apart, so that the epoch can be chosen on one half and judged on the other.
"""

import inspect
import math
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from actlib import hooks, oscillation_nets, store, weights
from actlib.oscillations import Oscillations


class Run(NamedTuple):
    """A trained network in eval mode, as it was after the last epoch, and how it went.

    Attributes
    ----------
    model, loss
        The network; the mean loss on the training batches of each epoch, as measured before each step.
    halves
        Accuracy after each epoch on the held-out images with even and odd numbers.
    """

    model: nn.Module
    loss: list[float]
    halves: Float64[Tensor, "e 2"]

    def last(self) -> float:
        """Return the accuracy after the last epoch."""
        return self.halves[-1].mean().item()

    def highest(self) -> float:
        """Return the highest accuracy after any epoch, chosen on the very images that it is reported on."""
        return self.halves.mean(1).max().item()

    def chosen(self) -> float:
        """Return the accuracy on each half after the epoch that did best on the other half, averaged."""
        return self.halves.gather(0, self.halves.argmax(0).flip(0)[None]).mean().item()


def fit(
    train: Oscillations,
    held_out: Oscillations,
    *,
    seed: int,
    epochs: int = 50,
    drop: int = 35,
    learning_rate: float = 1e-3,
    batch_size: int = 128,
    root: str | Path | None = None,
    progress: bool = False,
    **network: Any,
) -> Run:
    """Return a run of a network, from the cache if the very same was run before.

    Parameters
    ----------
    train, held_out
        On the device where to train. Each epoch takes the training images in their own order.
    seed
        Of the initial weights.
    epochs, drop
        Epochs in all, and before the learning rate falls to a tenth.
    learning_rate, batch_size
        Of Adam. The loss is summed, but Adam divides by the gradient's size: a larger batch makes no larger steps.
    root
        The cache; see ``store.cache_root``. Files lie in its folder ``oscillations``; their names hold a hash of all
        that decides the result, the code of this module and of ``oscillation_nets`` included.
    progress
        Show a bar where the output is a terminal.
    **network
        As for ``oscillation_nets.network``: ``family``, ``number``, ``decimation``, ``depth``.

    Raises
    ------
    ValueError
        If the two sets do not go together, a number is impossible, or as ``oscillation_nets.network``.
    FloatingPointError
        If the loss is NaN or infinite.

    Warns
    -----
    UserWarning
        If a file of the cache is damaged: the run is made again.
    """
    _check(train, held_out, epochs, drop, batch_size, learning_rate)
    about = {"mean": train.mean, "std": train.std, "size": train.images.shape[-1]}
    about |= {"n_classes": len(train.frequencies)} | network
    model = oscillation_nets.network(**about, generator=torch.Generator().manual_seed(seed)).to(train.images.device)
    recipe = {"epochs": epochs, "drop": drop, "learning_rate": learning_rate, "batch_size": batch_size}
    key = _key(train, held_out, {**about, **recipe, "seed": seed})
    path = store.cache_root(root) / "oscillations" / f"{key[:20]}.safetensors"
    with store.lock(path):
        store.remove_leftovers(path.parent, path.name)
        loss, halves = _restored(model, path)
        if not loss:
            store.require_space(path, sum(value.nbytes for value in model.state_dict().values()))
            loss, halves = _train(model, train, held_out, progress=progress, **recipe)
            weights.save(path, model.state_dict(), {"loss": loss, "halves": halves})
    return Run(model.eval(), loss, torch.tensor(halves, dtype=torch.float64))


def _restored(model: nn.Module, path: Path) -> tuple[list[float], list[list[float]]]:
    """Fill ``model`` from a file and return loss and accuracies, or nothing, with a warning if it is of no use."""
    if not path.is_file():
        return [], []
    try:
        state, about = weights.load(path)
        weights.fill(model, state, path)
    except ValueError as error:
        warnings.warn(f"{error}: training again", stacklevel=3)
        return [], []
    return about["loss"], about["halves"]


def _train(
    model: nn.Module,
    train: Oscillations,
    held_out: Oscillations,
    *,
    epochs: int,
    drop: int,
    learning_rate: float,
    batch_size: int,
    progress: bool,
) -> tuple[list[float], list[list[float]]]:
    """Train in place and return loss and accuracies of each epoch."""
    stepper = torch.optim.Adam(model.parameters(), lr=learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.MultiStepLR(stepper, [drop], 0.1)
    losses, halves = [], []
    batches = list(zip(train.images.split(batch_size), train.labels.split(batch_size), strict=True))
    for epoch in tqdm(range(epochs), unit="epoch", disable=None if progress else True, leave=False):
        model.train()
        total = torch.zeros((), device=train.images.device)
        for images, labels in batches:
            loss = cross_entropy(model(images), labels, reduction="sum")
            stepper.zero_grad()
            loss.backward()
            stepper.step()
            total += loss.detach()
        schedule.step()
        losses.append(total.item() / len(train.labels))
        if not math.isfinite(losses[-1]):
            raise FloatingPointError(
                f"the loss is {losses[-1]} in epoch {epoch + 1}: give a lower learning_rate than {learning_rate:g}"
            )
        halves.append(_halves(model, held_out))
    return losses, halves


def _halves(model: nn.Module, held_out: Oscillations) -> list[float]:
    """Return the accuracy on the images with even and odd numbers."""
    with hooks.evaluating(model), torch.no_grad():
        found = torch.cat([model(images).argmax(1) for images in held_out.images.split(1000)])
    right = (found == held_out.labels).double()
    return [right[k::2].mean().item() for k in (0, 1)]


def _check(
    train: Oscillations, held_out: Oscillations, epochs: int, drop: int, batch_size: int, learning_rate: float
) -> None:
    """Raise ValueError for what no run can have."""
    if train.images.shape[1:] != held_out.images.shape[1:] or len(train.frequencies) != len(held_out.frequencies):
        raise ValueError(
            f"training images {tuple(train.images.shape[1:])} of {len(train.frequencies)} classes, held-out ones "
            f"{tuple(held_out.images.shape[1:])} of {len(held_out.frequencies)}; draw both with the same options"
        )
    if train.std != held_out.std or len(held_out.labels) < 2:
        raise ValueError(
            f"std = {train.std} and {held_out.std}, {len(held_out.labels)} held-out images; draw both with the same "
            "noise, at least two to judge"
        )
    if min(epochs, drop, batch_size) < 1 or not 0 < learning_rate < math.inf:
        raise ValueError(
            f"epochs = {epochs}, drop = {drop}, batch_size = {batch_size}, learning_rate = {learning_rate}; give at "
            "least 1 of each and a positive rate"
        )


def _key(train: Oscillations, held_out: Oscillations, settings: dict[str, Any]) -> str:
    """Return the hash of all that decides a run."""
    data = [store.hash_bytes(part.cpu().numpy().tobytes()) for part in (*train[:2], *held_out[:2])]
    code = [inspect.getsource(oscillation_nets), inspect.getsource(_train), inspect.getsource(_halves)]
    return store.hash_json([settings, data, code, train.images.device.type, torch.__version__])
