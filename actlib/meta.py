"""Training of meta-networks on the activations of other networks: as the document does it, and as it should be (M4).

The document's loop sets train mode once, before the first epoch. After each epoch it measures, in eval mode, and never
goes back: from the second epoch on its batch normalisation is frozen at the statistics of the first, and its dropout
is off. ``literal=True`` does that. Otherwise each epoch trains in train mode, the learning rate warms up, and the
weights of the epoch with the least loss on the validation rows are kept.
"""

import copy
import math
import time
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from tqdm import tqdm

from actlib import hooks
from actlib.bodies import Body, MetaNetwork, drawing_from

__all__ = ["TASKS", "History", "Judge", "concatenate", "fit", "predict"]

# What a judge is asked for, and how many outputs that takes: the confidence ratio, or whether the prediction is right.
TASKS = {"ratio": 1, "right": 2}
_BATCH = 4096  # rows in one forward pass without gradients


class History(NamedTuple):
    """One entry an epoch: mean loss of the batches, loss on all validation rows, seconds."""

    loss: list[float]
    validation: list[float]
    seconds: list[float]


class Judge(NamedTuple):
    """A trained meta-network in eval mode, how its training went, the epoch (from 1) of its weights, its task."""

    network: MetaNetwork
    history: History
    epoch: int
    task: str


def fit(
    layers: Mapping[str, Shaped[Tensor | np.ndarray, "n _"]],
    target: Shaped[Tensor | np.ndarray, " n"],
    train: Shaped[np.ndarray, " r"],
    validation: Shaped[np.ndarray, " v"],
    *,
    task: Literal["ratio", "right"],
    generator: torch.Generator,
    body: Body = "rnn",
    width: int = 256,
    epochs: int = 30,
    learning_rate: float = 1e-3,
    batch_size: int = 128,
    literal: bool = False,
    patience: int = 4,
    warm_up: int = 0,
    device: torch.device | str = "cpu",
    progress: bool = True,
) -> Judge:
    """Return a meta-network trained with Adam on rows of activations, which lie on the device as a whole.

    Parameters
    ----------
    layers
        Activations of each layer, (n, d) for n predictions, by name; their order is that of the tokens. A further
        "layer" may hold anything else that is known of a prediction.
    target
        For ``"ratio"`` the confidence ratio, in [0, 1], learned by squared error; for ``"right"`` whether the
        prediction is right, 0 or 1, learned by cross-entropy. ``task`` names which.
    train, validation
        Numbers of the rows to learn from, and of those that say when to stop.
    generator
        On the CPU: the source of initial weights, order and dropout.
    body, width
        See ``bodies.MetaNetwork``.
    epochs, learning_rate, batch_size
        Of Adam; epochs are passes over the rows, at most so many unless ``literal``. A last batch of one row is left
        out, for batch normalisation cannot do with it.
    literal
        As the document's code: train mode in the first epoch only, constant learning rate, weights of the last epoch.
    patience
        Stop after so many epochs in a row without a smaller loss on the validation rows.
    warm_up
        Steps in which the learning rate grows to its value in equal parts.
    device, progress
        Where to train; whether to show a bar where the output is a terminal.

    Raises
    ------
    ValueError
        If layers and target do not belong together, a value is not finite, a target is out of range, a side of the
        split is empty or overlaps the other, all rows of a side are of one class, or an option is out of range.
    FloatingPointError
        If training diverged.
    """
    (values, aims), sides = _prepare(layers, target, (train, validation), task, device)
    _check_options(epochs, learning_rate, batch_size, patience, warm_up)
    network = MetaNetwork(
        {name: part.shape[1] for name, part in layers.items()},
        body=body, n_outputs=TASKS[task], width=width, generator=generator,
    ).to(device)  # fmt: skip
    stepper = torch.optim.Adam(network.parameters(), lr=learning_rate)
    scheduler = torch.optim.lr_scheduler.LambdaLR(stepper, lambda step: min(1.0, (step + 1) / (warm_up + 1)))
    history, best, epoch = History([], [], []), None, 0
    # cuDNN computes no gradient of a recurrent network in eval mode.
    with drawing_from(generator, device), torch.backends.cudnn.flags(enabled=False) if literal else nullcontext():
        for k in tqdm(range(1, epochs + 1), unit="epoch", disable=None if progress else True, leave=False):
            started = time.perf_counter()
            network.train(k == 1 or not literal)
            history.loss.append(_epoch(network, values, aims, sides[0], task, batch_size, stepper, scheduler))
            network.eval()
            history.validation.append(_mean_loss(network, values, aims, sides[1], task))
            _check_loss(history.validation[-1], "the loss on the validation rows")
            history.seconds.append(time.perf_counter() - started)
            if literal or history.validation[-1] < min(history.validation[:-1], default=math.inf):
                best, epoch = None if literal else copy.deepcopy(network.state_dict()), k
            elif k - epoch >= patience:
                break
    if best is not None:
        network.load_state_dict(best)
    return Judge(network.eval(), history, epoch, task)


def predict(judge: Judge, layers: Mapping[str, Shaped[Tensor | np.ndarray, "n _"]]) -> Float[np.ndarray, " n"]:
    """Return what a judge says of each row, float64: its ratio, or its probability that the prediction is right.

    A ratio comes as the network gives it and may lie a little outside of [0, 1].

    Raises
    ------
    ValueError
        If the layers are not those of its training, or a value is not finite.
    """
    sizes = {name: part.shape[1] for name, part in layers.items()}
    if sizes != judge.network.sizes or list(sizes) != list(judge.network.sizes):
        raise ValueError(f"layers {sizes}, but the judge knows {judge.network.sizes}; give the same ones in this order")
    values, device = concatenate(layers), next(judge.network.parameters()).device
    with hooks.evaluating(judge.network), torch.no_grad():
        found = torch.cat([judge.network(part.to(device)) for part in values.split(_BATCH)]).double()
    return (found[:, 0] if judge.task == "ratio" else found.softmax(1)[:, 1]).cpu().numpy()


def concatenate(layers: Mapping[str, Shaped[Tensor | np.ndarray, "n _"]]) -> Float[Tensor, "n d"]:
    """Return the values of all layers side by side, float32.

    Raises
    ------
    ValueError
        If there is no layer, a layer is no matrix, they have different numbers of rows, or a value is not finite.
    """
    if not layers:
        raise ValueError("there is no layer; give at least one, such as {'fc3': pairs.fc3}")
    shapes = {name: tuple(part.shape) for name, part in layers.items()}
    if any(len(shape) != 2 for shape in shapes.values()) or len({shape[0] for shape in shapes.values()}) != 1:
        raise ValueError(f"layers have the shapes {shapes}; each must be (n, d), with one n for all")
    parts = [_tensor(part).float() for part in layers.values()]
    for name, part in zip(layers, parts, strict=True):
        if not part.isfinite().all():
            broken = (~part.isfinite()).any(1).nonzero()[0].item()
            raise ValueError(f"layer {name} holds NaN or infinity, first in row {broken}; leave these rows out")
    return torch.cat(parts, 1)


def _tensor(values: Tensor | np.ndarray) -> Tensor:
    """Return a tensor as it is, or an array, which may be a read-only map of a file, as a tensor of its own."""
    return values if isinstance(values, Tensor) else torch.tensor(values)


def _prepare(layers, target, sides, task, device) -> tuple[tuple[Tensor, Tensor], list[Tensor]]:
    """Return values and aims on the device, and the row numbers of both sides, once they are seen to be possible."""
    if task not in TASKS:
        raise ValueError(f"unknown task {task!r}; give one of {list(TASKS)}")
    values, aims = concatenate(layers), _tensor(target).double()
    if aims.shape != values.shape[:1]:
        raise ValueError(f"{tuple(aims.shape)} targets for {len(values)} rows of activations; give one for each")
    if not ((aims >= 0) & (aims <= 1)).all() or (task == "right" and ((aims != 0) & (aims != 1)).any()):
        allowed = "ratios lie in [0, 1]" if task == "ratio" else "it is 1 for a right prediction and 0 for a wrong one"
        raise ValueError(f"targets lie in {aims.min().item():g}..{aims.max().item():g}; {allowed}")
    rows = [torch.as_tensor(np.array(side, np.int64)) for side in sides]
    for name, side in zip(("train", "validation"), rows, strict=True):
        if not side.numel() or side.min() < 0 or side.max() >= len(values):
            raise ValueError(
                f"the {name} side has {side.numel()} rows of 0..{len(values) - 1}; give some, all in range"
            )
        if task == "right" and len(aims[side].unique()) < 2:
            raise ValueError(f"all {len(side)} rows of the {name} side are of one class; give right and wrong ones")
    if len(rows[0]) < 2 or np.intersect1d(*rows).size:
        raise ValueError("the two sides must have no row in common, and training at least two; split again")
    aims = aims.float() if task == "ratio" else aims.long()
    return (values.to(device), aims.to(device)), [side.to(device) for side in rows]


def _check_options(epochs: int, learning_rate: float, batch_size: int, patience: int, warm_up: int) -> None:
    """Raise ValueError if an option of training is out of range."""
    if min(epochs, patience) < 1 or batch_size < 2 or warm_up < 0 or not 0 < learning_rate < math.inf:
        raise ValueError(
            f"epochs = {epochs}, patience = {patience}, batch_size = {batch_size}, warm_up = {warm_up}, learning_rate "
            f"= {learning_rate:g}; give 1 or more epochs and patience, batches of 2 or more, 0 or more steps to warm "
            "up and a positive rate"
        )


def _epoch(network, values, aims, rows, task, batch_size, stepper, scheduler) -> float:
    """Take one step a batch, in a new order, and return the mean loss of the batches, as the document reports it."""
    order, total = rows[torch.randperm(len(rows)).to(rows.device)], torch.zeros((), device=rows.device)
    batches = [batch for batch in order.split(batch_size) if len(batch) > 1]
    for batch in batches:
        loss = _loss(network(values[batch]), aims[batch], task)
        stepper.zero_grad()
        loss.backward()
        stepper.step()
        scheduler.step()
        total += loss.detach()
    mean = total.item() / len(batches)
    _check_loss(mean, "the mean loss of an epoch")
    return mean


def _check_loss(loss: float, name: str) -> None:
    """Raise FloatingPointError if training has diverged."""
    if not math.isfinite(loss):
        raise FloatingPointError(f"{name} is {loss}: training diverged; try a tenth of the learning rate")


def _loss(output: Tensor, aim: Tensor, task: str) -> Tensor:
    """Return the mean loss of a batch."""
    return mse_loss(output[:, 0], aim) if task == "ratio" else cross_entropy(output, aim)


def _mean_loss(network: nn.Module, values: Tensor, aims: Tensor, rows: Tensor, task: str) -> float:
    """Return the mean loss of some rows, without gradients."""
    with torch.no_grad():
        losses = [_loss(network(values[part]), aims[part], task) * len(part) for part in rows.split(_BATCH)]
    return (torch.stack(losses).sum() / len(rows)).item()
