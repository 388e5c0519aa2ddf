"""The layers of a network that keep every r-th sample, and what they would give if they kept all.

Known are strided convolutions and pooling over images (``nn.Conv2d``, ``nn.MaxPool2d``, ``nn.AvgPool2d``) and the
shortcut ``resnets.Subsample``. One that a network calls as a function, or writes as a slice, is no module and cannot be
seen. The network runs as it is: what a layer would give at stride 1 is computed beside it from the same input.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from actlib.hooks import record
from actlib.names import find, layer_names
from actlib.resnets import Subsample

__all__ = ["at_stride_1", "capture", "select", "strides"]

_KINDS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d, Subsample)


def strides(model: nn.Module) -> dict[str, tuple[int, int]]:
    """Return the strides (rows, columns) of every layer that down-samples, by name, in the order of definition.

    Examples
    --------
    >>> strides(torchvision.models.resnet34())["layer2.0.conv1"]
    (2, 2)
    """
    modules = find(model, names) if (names := layer_names(model, _KINDS)) else {}
    found = {name: _pair(module.stride) for name, module in modules.items()}
    return {name: stride for name, stride in found.items() if max(stride) > 1}


def select(model: nn.Module, layers: Iterable[str] | None = None) -> dict[str, tuple[int, int]]:
    """Return the strides of some layers, or for None of all that down-sample.

    Raises
    ------
    ValueError
        If there is none, a name is unknown, or a layer does not down-sample.
    """
    known = strides(model)
    if layers is None:
        if not known:
            raise ValueError(
                f"{type(model).__name__} has no layer that down-samples: no nn.Conv2d, nn.MaxPool2d or nn.AvgPool2d of "
                "stride 2 or more (a slice x[..., ::2] and a pooling called as a function cannot be seen)"
            )
        return known
    wanted = find(model, layers)
    if other := [name for name in wanted if name not in known]:
        raise ValueError(f"layers {other} do not down-sample; those that do are {list(known)}")
    return {name: known[name] for name in wanted}


def capture(model: nn.Module, layers: Iterable[str] | None = None) -> AbstractContextManager[dict[str, Tensor]]:
    """Return a block's dictionary that every forward pass fills with maps as they are before down-sampling.

    What the model returns is the same to the last bit as without the block. Keys and rules are those of
    ``capture.capture``; a layer that is not called has no key.

    Parameters
    ----------
    model
        Any network.
    layers
        Names of layers; None: all that down-sample.

    Raises
    ------
    ValueError
        As ``select``.

    Examples
    --------
    >>> with torch.no_grad(), capture(model) as maps:
    ...     scores = model(images)
    >>> maps["conv1"].shape  # (n, c, h, w), twice as high and wide as what conv1 gives
    """
    names = list(select(model, layers))
    return record(model, names, lambda module, key, x: at_stride_1(module, x), inputs=True, strict=layers is not None)


def at_stride_1(layer: nn.Module, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k p q"]:
    """Return what a layer gives at stride 1: every r-th row and column of it is what the layer gives."""
    if isinstance(layer, Subsample):
        return x.clone()
    if isinstance(layer, nn.MaxPool2d):
        kernel, padding, dilation = (_pair(part) for part in (layer.kernel_size, layer.padding, layer.dilation))
        rest = _overhang(layer, x, dilation)
        if any(rest):
            x = F.pad(x, (0, rest[1], 0, rest[0]), value=-torch.inf)
        return F.max_pool2d(x, kernel, 1, padding, dilation)
    if isinstance(layer, nn.AvgPool2d):
        return _average(layer, x)
    # The same weights with another stride; copy.copy refuses a layer with parametrized weights. Its hooks are not run.
    twin = object.__new__(type(layer))
    vars(twin).update(vars(layer), stride=(1, 1))
    return type(twin).forward(twin, x)


def _average(layer: nn.AvgPool2d, x: Tensor) -> Tensor:
    """Return average pooling at stride 1."""
    kernel, padding = _pair(layer.kernel_size), _pair(layer.padding)
    rest = _overhang(layer, x, (1, 1))
    if not any(rest):
        return F.avg_pool2d(x, kernel, 1, padding, False, layer.count_include_pad, layer.divisor_override)
    # Windows that reach over the end are divided by the values in them, padding included if it counts.
    ones = torch.full_like(x[:1, :1], 1.0)
    border = (padding[1], padding[1], padding[0], padding[0])
    ones = F.pad(ones, border, value=float(layer.count_include_pad))
    beyond = (0, rest[1], 0, rest[0])
    total = F.avg_pool2d(F.pad(F.pad(x, border), beyond), kernel, 1, divisor_override=1)
    if layer.divisor_override is not None:
        return total / layer.divisor_override
    return total / F.avg_pool2d(F.pad(ones, beyond), kernel, 1, divisor_override=1)


def _overhang(layer: nn.Module, x: Tensor, dilation: tuple[int, int]) -> tuple[int, int]:
    """Return how far the last window of a pooling that rounds up (``ceil_mode``) reaches over the padded end."""
    found = []
    for side, kernel, stride, padding, step in zip(
        x.shape[-2:], *map(_pair, (layer.kernel_size, layer.stride, layer.padding)), dilation, strict=True
    ):
        free = side + 2 * padding - step * (kernel - 1) - 1
        n = -(-free // stride)  # the last window, if it begins in the image or the padding before it
        last = n if layer.ceil_mode and n * stride < side + padding else free // stride
        found.append(max(0, last * stride - free))
    return found[0], found[1]


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[-1]))
