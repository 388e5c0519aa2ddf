"""Residual networks that turn pictures into a picture of the same size, trained with the quadratic error.

The network of Fleuret 2016, "Predicting the dynamics of 2d objects with a deep residual network", as far as it is told:
18 convolutions of 5 x 5 with 16 channels, in residual modules of two, no picture ever smaller. Two readings fit that:
eight blocks between a first and a last convolution, and nine blocks. Batch normalisation, the optimiser and its steps
are our choice.
"""

import math
import time
from collections import OrderedDict
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from tqdm import tqdm

from actlib import hooks, models, resnets

# Pixels of the inputs that go through a network at a time in ``predict``: about 250 MB of maps of 16 channels.
_PIXELS = 2**18


class History(NamedTuple):
    """How a training run went: the loss of each batch before its step, and the seconds of each pass."""

    loss: list[float]
    seconds: list[float]


class Block(nn.Module):
    """Two convolutions and a shortcut: x becomes relu2(bn2(conv2(relu1(bn1(conv1(x))))) + x), padded with zeros.

    Where a block makes more channels, the shortcut adds channels of zeros around those of x (``resnets.Subsample``).
    """

    def __init__(self, n_in: int, n_out: int, kernel: int):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, kernel, padding=kernel // 2)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(n_out, n_out, kernel, padding=kernel // 2)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.shortcut = nn.Identity() if n_in == n_out else resnets.Subsample(n_in, n_out, 1)
        self.relu2 = nn.ReLU()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h w"]:
        """Return the block's output."""
        y = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(y)) + self.shortcut(x))


def network(
    *,
    width: int = 16,
    n_blocks: int = 8,
    stem: bool = True,
    kernel: int = 5,
    channels: int = 2,
    size: int = 64,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """Return a network that makes one picture of ``channels`` pictures.

    Its layers are conv1, bn1, relu1, block1, ..., block8, last; the 18 convolutions have 103,873 parameters. Without a
    stem the first block takes the pictures, and ``last`` is a 1 x 1 convolution: with nine blocks again 18 convolutions
    of 5 x 5, and 109,905 parameters with the last one. Batch normalisation has two for each channel besides.

    Parameters
    ----------
    width
        Channels of all maps, at least ``channels``.
    n_blocks
        Residual blocks of two convolutions.
    stem
        Whether a convolution comes before the blocks and one as large after them.
    kernel
        Side of the convolutions, odd.
    channels, size
        Of the input, for ``input_shape`` (channels, size, size). Pictures of any height and width can go through.
    generator
        The source of the initial weights; None is PyTorch's global one.

    Raises
    ------
    ValueError
        If a number is below 1, the width is less than ``channels``, or the kernel is even.
    """
    if min(channels, n_blocks, size, kernel) < 1 or width < channels or kernel % 2 == 0:
        raise ValueError(
            f"width = {width}, n_blocks = {n_blocks}, kernel = {kernel}, channels = {channels}, size = {size}; give "
            "positive numbers, an odd kernel and at least as many channels inside as at the input"
        )
    with torch.random.fork_rng(devices=[]):  # the constructors draw too: without a trace
        layers = {}
        if stem:
            layers["conv1"] = nn.Conv2d(channels, width, kernel, padding=kernel // 2)
            layers |= {"bn1": nn.BatchNorm2d(width), "relu1": nn.ReLU()}
        for k in range(1, n_blocks + 1):
            layers[f"block{k}"] = Block(width if stem or k > 1 else channels, width, kernel)
        layers["last"] = nn.Conv2d(width, 1, kernel, padding=kernel // 2) if stem else nn.Conv2d(width, 1, 1)
    model = nn.Sequential(OrderedDict(layers))
    model.input_shape = (channels, size, size)
    # On a CPU the convolutions are up to 1.4 times as fast with the channels innermost.
    return models.initialize(model, generator).to(memory_format=torch.channels_last)


def fit(
    model: nn.Module,
    inputs: Float[Tensor, "n c h w"],
    targets: Float[Tensor, "n 1 h w"],
    *,
    epochs: int,
    learning_rate: float,
    generator: torch.Generator,
    batch_size: int = 32,
    mirror: bool = True,
    progress: bool = True,
) -> History:
    """Train ``model`` in place by the mean squared error over all pixels, with Adam; leave it in eval mode.

    The learning rate rises from 4 % of its peak in the first 30 % of the steps, then falls to nearly 0 (OneCycleLR).

    Parameters
    ----------
    model
        It gives one picture, (n, 1, h, w), for each input; it stays on its device.
    inputs, targets
        What it is given and what it should predict. They may lie elsewhere: batches are moved. They stay as they are.
    epochs, batch_size
        Passes over all examples, each in a new order; the last batch of a pass may be smaller.
    learning_rate
        The highest one.
    generator
        The source of the order and of the mirroring.
    mirror
        Exchange left and right in an example and its target with probability 1/2, drawn anew in each pass. This is
        right where the world prefers no side: a rule that prefers one cannot be learned so.
    progress
        Show a bar where the output is a terminal.

    Raises
    ------
    ValueError
        If a number is out of range, or inputs, targets and what the model makes do not fit each other; the model is
        then as it was.
    FloatingPointError
        If the loss is NaN or infinite; the message says at which step. The model is then of no use.
    """
    _check(model, inputs, targets, epochs, batch_size, learning_rate)
    device = next(model.parameters()).device
    n_steps = epochs * math.ceil(len(inputs) / batch_size)
    stepper = torch.optim.Adam(model.parameters(), lr=learning_rate)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(stepper, learning_rate, total_steps=n_steps, cycle_momentum=False)
    history = History([], [])
    model.train()
    try:
        with tqdm(total=n_steps, unit="step", disable=None if progress else True, leave=False) as bar:
            for _ in range(epochs):
                started = time.perf_counter()
                for rows in torch.randperm(len(inputs), generator=generator, device=generator.device).split(batch_size):
                    batch, target = (part[rows.to(part.device)].to(device) for part in (inputs, targets))
                    if mirror:
                        batch, target = _mirrored(batch, target, generator)
                    loss = mse_loss(model(batch), target)
                    history.loss.append(loss.item())
                    _check_loss(history.loss, learning_rate)
                    stepper.zero_grad()
                    loss.backward()
                    stepper.step()
                    scheduler.step()
                    bar.update()
                history.seconds.append(time.perf_counter() - started)
    finally:
        model.eval()
    return history


def predict(model: nn.Module, inputs: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
    """Return what ``model`` makes of all inputs in eval mode, without gradients, where the inputs lie.

    Every module is then in the mode it was in.

    Raises
    ------
    ValueError
        If there are no inputs.
    """
    if not len(inputs):
        raise ValueError(f"inputs have the shape {tuple(inputs.shape)}; give at least one")
    device = next(model.parameters()).device
    step = max(1, _PIXELS // inputs[0, 0].numel())
    with hooks.evaluating(model), torch.no_grad():
        return torch.cat([model(part.to(device)).to(inputs.device) for part in inputs.split(step)])


def _mirrored(batch: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the examples with left and right exchanged, each by its own draw."""
    draw = torch.randint(2, (len(batch), 1, 1, 1), generator=generator, device=generator.device).to(batch.device)
    return torch.where(draw == 1, batch.flip(-1), batch), torch.where(draw == 1, target.flip(-1), target)


def _check(model, inputs: Tensor, targets: Tensor, epochs: int, batch_size: int, learning_rate: float) -> None:
    """Raise ValueError if these numbers and examples cannot be trained on."""
    if min(epochs, batch_size) < 1 or not 0 < learning_rate < math.inf:
        raise ValueError(
            f"epochs = {epochs}, batch_size = {batch_size}, learning_rate = {learning_rate}; give at least 1 epoch, at "
            "least 1 example a batch and a positive, finite rate"
        )
    expected = (len(inputs), 1, *inputs.shape[2:])
    if not len(inputs) or targets.shape != expected:
        raise ValueError(
            f"targets have the shape {tuple(targets.shape)} for inputs of {tuple(inputs.shape)}; give {expected}, one "
            "picture of the same size for each input, and at least one"
        )
    if (made := predict(model, inputs[:1]).shape[1:]) != targets.shape[1:]:
        raise ValueError(f"the model makes {tuple(made)} of an input, the targets are {tuple(targets.shape[1:])} each")


def _check_loss(losses: list[float], learning_rate: float) -> None:
    """Raise FloatingPointError if training has diverged."""
    if not math.isfinite(losses[-1]):
        raise FloatingPointError(
            f"the loss is {losses[-1]} at step {len(losses)}: training diverged with learning_rate = "
            f"{learning_rate:g}, or a picture holds a value that is no number; try a tenth of the rate"
        )
