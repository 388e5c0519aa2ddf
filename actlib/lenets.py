"""LeNet-5 and its gradient as a few matrix products, much faster than layer by layer on small images.

A convolution and the 2x2 max-pooling behind it become one product: the weights, laid in the four corners of a window
one pixel larger, times the windows of stride two. The largest of the four results is the pooled map; its bias and its
ReLU come after, which gives the same values, for both are monotone. The images stand in the last axis, where each
operation runs along contiguous memory. All functions are plain compositions, so that ``torch.vmap`` maps them over the
networks of a population. They give what ``models.lenet5`` and autograd give, but for rounding.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import pad

# The tensors of a network, in the order of ``models.lenet5().named_parameters()``.
NAMES = tuple(f"{layer}.{kind}" for layer in ("conv1", "conv2", "fc1", "fc2", "fc3") for kind in ("weight", "bias"))
_KERNEL = 5
_WINDOW = _KERNEL + 1  # what the four kernels under one 2x2 pooling see together


class _Pooled(NamedTuple):
    """A convolution with pooling and ReLU, and what its gradient needs.

    Attributes
    ----------
    maps
        ``(f, p * p * b)``, after the ReLU.
    windows, weights
        ``(c * 36, p * p * b)`` and ``(4 * f, c * 36)``: the two factors.
    corners, highest
        ``(4, f, p * p * b)`` and ``(f, p * p * b)``: their product, and its pooling.
    """

    maps: Tensor
    windows: Tensor
    weights: Tensor
    corners: Tensor
    highest: Tensor


def logits(parameters: tuple[Tensor, ...], images: Float[Tensor, "c h w b"]) -> Float[Tensor, "k b"]:
    """Return the logits of one network.

    Parameters
    ----------
    parameters
        Its ten tensors in the order of ``NAMES``.
    images
        In [0, 1], in the dtype of the parameters, the number of the image in the last axis: ``(c, h, w, b)``.
    """
    return _forward(parameters, images)[-1]


def gradients(
    parameters: tuple[Tensor, ...], images: Float[Tensor, "c h w b"], labels: Int64[Tensor, " b"]
) -> tuple[Tensor, ...]:
    """Return the gradient of the mean cross-entropy with respect to each of the parameters.

    At a tie of a pooling the first of the equal values gets the gradient, and at zero a ReLU hands nothing on: both as
    in PyTorch.

    Parameters
    ----------
    parameters, images
        As in ``logits``.
    labels
        0 to k - 1.
    """
    first, second, hidden1, hidden2, output = _forward(parameters, images)
    weights1, _, weights2, _, weights3, _, weights4, _, weights5, _ = parameters
    classes = torch.arange(len(output), device=labels.device)[:, None]
    grad = (output.softmax(0) - (classes == labels).to(output.dtype)) / output.shape[1]
    last = grad @ hidden2.T, grad.sum(1)
    grad = _through_relu(weights5.T @ grad, hidden2)
    middle = grad @ hidden1.T, grad.sum(1)
    grad = _through_relu(weights4.T @ grad, hidden1)
    flat = second.maps.reshape(weights3.shape[1], -1)
    early = grad @ flat.T, grad.sum(1)
    grad = _through_relu((weights3.T @ grad).reshape(second.maps.shape), second.maps)
    corners = _through_pooling(grad, second)
    inner = _weights_gradient(corners, second, weights2.shape), grad.sum(1)
    grad = _scatter(second.weights.T @ corners, *_sizes(images), len(first.maps)).reshape(first.maps.shape)
    grad = _through_relu(grad, first.maps)
    outer = _weights_gradient(_through_pooling(grad, first), first, weights1.shape), grad.sum(1)
    return *outer, *inner, *early, *middle, *last


def _sizes(images: Tensor) -> tuple[int, int]:
    """Return the sides of the first maps after pooling."""
    return tuple((side - _KERNEL + 1) // 2 for side in images.shape[1:3])


def _forward(parameters: tuple[Tensor, ...], images: Tensor) -> tuple[_Pooled, _Pooled, Tensor, Tensor, Tensor]:
    """Return the two pooled convolutions, the two hidden layers after their ReLU, and the logits."""
    weights1, bias1, weights2, bias2, weights3, bias3, weights4, bias4, weights5, bias5 = parameters
    first = _pooled(images, weights1, bias1)
    maps = first.maps.reshape(len(first.maps), *_sizes(images), images.shape[-1])
    second = _pooled(maps, weights2, bias2)
    hidden1 = torch.addmm(bias3[:, None], weights3, second.maps.reshape(weights3.shape[1], -1)).relu()
    hidden2 = torch.addmm(bias4[:, None], weights4, hidden1).relu()
    return first, second, hidden1, hidden2, torch.addmm(bias5[:, None], weights5, hidden2)


def _pooled(maps: Tensor, weights: Tensor, bias: Tensor) -> _Pooled:
    """Return the ReLU of the pooled convolution of maps ``(c, h, w, b)``."""
    windows = maps.unfold(1, _WINDOW, 2).unfold(2, _WINDOW, 2)  # (c, p, p, b, 6, 6)
    windows = windows.permute(0, 4, 5, 1, 2, 3).reshape(len(maps) * _WINDOW**2, -1)
    laid = torch.stack([pad(weights, (x, 1 - x, y, 1 - y)) for y in (0, 1) for x in (0, 1)]).reshape(
        4 * len(weights), -1
    )
    corners = (laid @ windows).reshape(4, len(weights), -1)
    highest = torch.maximum(torch.maximum(corners[0], corners[1]), torch.maximum(corners[2], corners[3]))
    return _Pooled((highest + bias[:, None]).relu(), windows, laid, corners, highest)


def _through_relu(grad: Tensor, after: Tensor, above: float = 0.0) -> Tensor:
    """Return the gradient where the values after a ReLU are positive, and zero elsewhere."""
    # By a comparison and ``torch.where`` the same takes ten times as long on a CPU.
    return torch.ops.aten.threshold_backward(grad, after, above)


def _through_pooling(grad: Tensor, pooled: _Pooled) -> Tensor:
    """Return the gradient ``(4 * f, p * p * b)`` of what was pooled: each value goes to the first highest corner."""
    nearly_zero = -torch.finfo(grad.dtype).tiny
    parts = []
    for corner in pooled.corners[:3]:
        parts.append(_through_relu(grad, corner - pooled.highest, nearly_zero))
        grad = grad - parts[-1]  # what has found its corner is zero for the rest
    return torch.cat([*parts, grad])


def _weights_gradient(grad: Tensor, pooled: _Pooled, shape: tuple[int, ...]) -> Tensor:
    """Return the gradient of the weights ``(f, c, 5, 5)`` from that of the four corners."""
    laid = (grad @ pooled.windows.T).reshape(4, *shape[:2], _WINDOW, _WINDOW)
    return laid[0, ..., :-1, :-1] + laid[1, ..., :-1, 1:] + laid[2, ..., 1:, :-1] + laid[3, ..., 1:, 1:]


def _scatter(windows: Tensor, height: int, width: int, channels: int) -> Tensor:
    """Return maps ``(c, h, w, b)`` that hold the sum of overlapping windows ``(c * 36, p * p * b)``."""
    rows, columns = (height - _KERNEL + 1) // 2, (width - _KERNEL + 1) // 2
    # A window's pixel 2 i + r at row p lies in row 2 (p + i) + r of the map: nine shifts serve all 36 pixels.
    windows = windows.reshape(channels, 3, 2, 3, 2, rows, columns, -1)
    total = windows.new_zeros(channels, 2, 2, rows + 2, columns + 2, windows.shape[-1])
    for i in range(3):
        for j in range(3):
            total[..., i : i + rows, j : j + columns, :] += windows[:, i, :, j]
    maps = total.permute(0, 3, 1, 4, 2, 5).reshape(channels, 2 * rows + 4, 2 * columns + 4, -1)
    odd = 0, 0, 0, width - maps.shape[2], 0, height - maps.shape[1]
    return pad(maps, odd) if any(odd) else maps  # an odd last row is in no window
