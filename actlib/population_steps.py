"""Gradient steps of many LeNets at once, or of one after the other: the inside of ``populations.fit``.

The parameters of a network lie in one vector, those of a population in a matrix: then an optimizer takes a handful of
operations a step, and learning rates, decays and optimizers may differ from row to row.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from actlib import lenets
from actlib.grids import Setting

Backend = Literal["loop", "vmap"]
Shapes = Sequence[tuple[int, ...]]
_BETA1, _BETA2, _EPS = 0.9, 0.999, 1e-8  # Adam's, as in its paper and in PyTorch
# Numbers that a step holds for each pixel of each image, generously; and what a CPU may spend on them.
_PER_PIXEL = 50
_CPU_BYTES = 2**30


class Stepper:
    """SGD or Adam for each row of a matrix of parameters, with a learning rate and a coupled decay for each.

    Parameters
    ----------
    weights
        ``(m, d)``, changed in place.
    settings
        One a row; the rows with SGD come first.
    """

    def __init__(self, weights: Float[Tensor, "m d"], settings: Sequence[Setting]):
        self.weights, self.settings = weights, list(settings)
        self.n_sgd = sum(setting.optimizer == "sgd" for setting in self.settings)
        adam = weights[self.n_sgd :]
        self.mean, self.square, self.n_steps = torch.zeros_like(adam), torch.zeros_like(adam), 0
        self._columns()

    def _columns(self) -> None:
        """Set the learning rates and decays ``(m, 1)`` of the rows."""
        like = {"dtype": self.weights.dtype, "device": self.weights.device}
        self.rates = torch.tensor([[setting.learning_rate] for setting in self.settings], **like)
        self.decays = torch.tensor([[setting.weight_decay] for setting in self.settings], **like)

    def step(self, grads: Float[Tensor, "m d"]) -> None:
        """Change the weights by the gradients, which are of no use afterwards."""
        self.n_steps += 1
        grads.addcmul_(self.weights, self.decays)
        n = self.n_sgd
        self.weights[:n].addcmul_(grads[:n], self.rates[:n], value=-1)
        if n < len(grads):
            self.mean.lerp_(grads[n:], 1 - _BETA1)
            self.square.mul_(_BETA2).addcmul_(grads[n:], grads[n:], value=1 - _BETA2)
            rates = self.rates[n:] / (1 - _BETA1**self.n_steps)
            root = self.square.sqrt().div_((1 - _BETA2**self.n_steps) ** 0.5).add_(_EPS)
            self.weights[n:].addcdiv_(self.mean * rates, root, value=-1)

    def keep(self, rows: list[int]) -> None:
        """Go on with some of the rows, in their order."""
        adam = [row - self.n_sgd for row in rows if row >= self.n_sgd]
        self.weights, self.mean, self.square = self.weights[rows], self.mean[adam], self.square[adam]
        self.settings = [self.settings[row] for row in rows]
        self.n_sgd = len(rows) - len(adam)
        self._columns()


def gradient(
    weights: Float[Tensor, " d"],
    pixels: Float[Tensor, "b p"],
    labels: Int64[Tensor, " b"],
    shapes: Shapes,
    input_shape: tuple[int, int, int],
) -> Float[Tensor, " d"]:
    """Return the gradient of the mean cross-entropy of one network, both as one vector.

    Parameters
    ----------
    weights
        The ten parameters one after the other; see ``split``.
    pixels, labels
        The images of a batch, each as one row, and their classes.
    shapes, input_shape
        Of the parameters, and (c, h, w) of the images.
    """
    images = pixels.T.contiguous().reshape(*input_shape, len(pixels))
    return torch.cat([part.flatten() for part in lenets.gradients(split(weights, shapes), images, labels)])


def split(weights: Float[Tensor, "*m d"], shapes: Shapes) -> tuple[Tensor, ...]:
    """Return views of the parameters, ``(*m, *shape)`` each."""
    sizes = [torch.Size(shape).numel() for shape in shapes]
    parts = weights.split(sizes, dim=-1)
    return tuple(part.unflatten(-1, shape) for part, shape in zip(parts, shapes, strict=True))


def groups(settings: Sequence[Setting], backend: Backend, n_pixels: int, like: Tensor) -> Iterator[list[int]]:
    """Yield the numbers of the settings that are trained together, SGD first.

    With "loop" each is alone. With "vmap" those of equal batch size go together, as many as there is memory for on the
    device of ``like``, and those with as many epochs side by side.
    """
    order = sorted(range(len(settings)), key=lambda k: (settings[k].batch_size, settings[k].epochs))
    while order:
        size = settings[order[0]].batch_size
        n = 1 if backend == "loop" else room(size * n_pixels, like)
        group = [k for k in order[:n] if settings[k].batch_size == size]
        order = order[len(group) :]
        yield sorted(group, key=lambda k: settings[k].optimizer != "sgd")


def room(n_pixels: int, like: Tensor) -> int:
    """Return how many networks can take so many pixels at once, 1 at least, on the device of ``like``."""
    n_bytes = torch.cuda.mem_get_info(like.device)[0] // 2 if like.is_cuda else _CPU_BYTES
    return max(1, n_bytes // (n_pixels * _PER_PIXEL * like.element_size()))


def train(
    weights: Float[Tensor, "m d"],
    settings: Sequence[Setting],
    generators: Sequence[torch.Generator],
    pixels: Float[Tensor, "n p"],
    labels: Int64[Tensor, " n"],
    *,
    shapes: Shapes,
    input_shape: tuple[int, int, int],
    progress: Callable[[int], object] | None = None,
) -> Float[Tensor, "m d"]:
    """Return the weights of networks with equal batch size after each has had its own number of epochs.

    Parameters
    ----------
    weights
        One row a network, those with SGD first.
    settings, generators
        One each; a generator draws the order of each epoch.
    pixels, labels
        All images as rows, and their classes.
    shapes, input_shape
        As in ``gradient``.
    progress
        Called after each epoch with the number of images that it took times the number of networks.
    """

    def one(weights: Tensor, pixels: Tensor, labels: Tensor) -> Tensor:
        return gradient(weights, pixels, labels, shapes, input_shape)

    alone = len(settings) == 1
    mapped = torch.vmap(one)
    stepper, rows, done = Stepper(weights.clone(), settings), list(range(len(settings))), torch.empty_like(weights)
    for epoch in range(1, max(setting.epochs for setting in settings) + 1):
        orders = torch.stack([torch.randperm(len(pixels), generator=generators[row]) for row in rows])
        for chosen in orders.to(pixels.device).split(settings[0].batch_size, dim=1):
            if alone:
                stepper.step(one(stepper.weights[0], pixels[chosen[0]], labels[chosen[0]])[None])
            else:
                stepper.step(mapped(stepper.weights, pixels[chosen], labels[chosen]))
        if progress:
            progress(len(pixels) * len(rows))
        going = [k for k, row in enumerate(rows) if settings[row].epochs > epoch]
        for k, row in enumerate(rows):
            done[row] = stepper.weights[k]
        if len(going) < len(rows):
            rows = [rows[k] for k in going]
            stepper.keep(going)
    return done
