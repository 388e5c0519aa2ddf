"""Receptive fields: which pixels a unit can see, and a map laid on the image where its units look."""

import copy
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from actlib import capture, inputs


class ReceptiveField(NamedTuple):
    """Where the units of a layer look: pixels (height, width) of one field, of one step, and of the first centre."""

    size: tuple[int, int]
    stride: tuple[float, float]
    first: tuple[float, float]


class _Reached(Exception):
    """Carries a layer's output out of a forward pass whose rest is not needed."""


@torch.enable_grad()
def receptive_field(model: nn.Module, layer: str, shape: tuple[int, int, int]) -> ReceptiveField:
    """Return the receptive field of a layer's units, found by asking which pixels can reach them.

    The question goes to a copy of the model in which every weight is positive and equal, every normalisation is the
    identity and max-pooling is average-pooling: then a pixel reaches a unit exactly if the gradient is not zero.
    Sums of branches need no care, unlike in the arithmetic of Araujo, Norris and Sim (2019).

    Parameters
    ----------
    model
        Convolutions, normalisation, ReLU, pooling and sums up to the layer; what follows it is not run.
    layer
        The dotted name of a layer with output (n, c, h, w).
    shape
        The input's shape (c, h, w); the probe doubles it until the border no longer cuts a field off.

    Returns
    -------
    ReceptiveField
        Size, stride and centre of the first unit's field, in pixels; pixel ``i`` is centred at ``i``. The first
        centre may lie outside the image, where layers pad.

    Raises
    ------
    ValueError
        If the layer's output is no map, it is never called, or a field is still cut off at 1,024 pixels.
    """
    probe = _positive_copy(model)
    while max(shape[1:]) <= 1024:
        images = torch.ones(1, *shape, dtype=torch.float64, device=next(model.parameters()).device, requires_grad=True)
        output = _output(probe, layer, images)
        middle = [size // 2 for size in output.shape[2:]]
        boxes = [_reach(output, images, [m - back for m in middle]) for back in (0, 1)]
        if min(middle) > 0 and _whole(boxes, shape[1:]):
            centres = [[(low + high) / 2 for low, high in box] for box in boxes]
            stride = tuple(a - b for a, b in zip(*centres, strict=True))
            first = tuple(c - m * s for c, m, s in zip(centres[0], middle, stride, strict=True))
            return ReceptiveField(tuple(high - low + 1 for low, high in boxes[0]), stride, first)
        shape = (shape[0], 2 * shape[1], 2 * shape[2])
    raise ValueError(
        f"the field of {layer} is cut off by the border of a {shape[1] // 2} px image; choose an earlier layer"
    )


def _whole(boxes: list[list[tuple[int, int]]], sizes: tuple[int, int]) -> bool:
    """Say whether no box touches the border of the image."""
    return all(low > 0 and high < n - 1 for box in boxes for (low, high), n in zip(box, sizes, strict=True))


def _output(model: nn.Module, layer: str, images: Tensor) -> Float[Tensor, "1 c h w"]:
    """Return a layer's output without running what follows it."""

    def leave(output: Tensor) -> Tensor:
        raise _Reached(output)

    try:
        with capture.edit(model, {layer: leave}):
            model(images)
    except _Reached as reached:
        (output,) = reached.args
        if output.ndim != 4:
            raise ValueError(
                f"{layer} gives {tuple(output.shape)}; a receptive field needs maps (n, c, h, w)"
            ) from None
        return output
    raise AssertionError("edit refuses a layer that is never called")


def _reach(output: Tensor, images: Tensor, position: list[int]) -> list[tuple[int, int]]:
    """Return the first and last row and column of the pixels that reach one position of the output."""
    total = output[0, :, position[0], position[1]].sum()
    (gradient,) = torch.autograd.grad(total, images, retain_graph=True)
    touched = gradient[0].abs().sum(dim=0) > 0
    lines = [touched.any(dim=1).nonzero(), touched.any(dim=0).nonzero()]
    return [(int(line.min()), int(line.max())) for line in lines]


def _positive_copy(model: nn.Module) -> nn.Module:
    """Return a float64 copy in which a pixel reaches a unit exactly if the gradient is not zero."""
    probe = copy.deepcopy(model).double().eval().requires_grad_(False)
    for name, module in list(probe.named_modules()):
        if isinstance(module, nn.Conv2d):
            _close_gaps(module)
        if isinstance(module, nn.Conv2d | nn.Linear):
            # Averages instead of sums: the values of a deep network stay finite.
            module.weight.fill_(1 / module.weight[0].numel())
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.BatchNorm2d | inputs.Normalize):
            probe.set_submodule(name, nn.Identity())
        elif isinstance(module, nn.MaxPool2d):
            if module.dilation != 1:
                raise ValueError(f"{name} is max-pooling with dilation {module.dilation}; only 1 is supported")
            like = (module.kernel_size, module.stride, module.padding, module.ceil_mode)
            probe.set_submodule(name, nn.AvgPool2d(*like))
    return probe


def _close_gaps(module: nn.Conv2d) -> None:
    """Give a dilated kernel weights in its gaps: else outer ones could lie beyond the border and not touch it."""
    sides = [(k - 1) * d + 1 for k, d in zip(module.kernel_size, module.dilation, strict=True)]
    module.weight = nn.Parameter(module.weight.new_empty(*module.weight.shape[:2], *sides), requires_grad=False)
    module.kernel_size, module.dilation = tuple(sides), (1, 1)


def onto_image(
    maps: Float[Tensor, "n h w"], field: ReceptiveField, size: tuple[int, int]
) -> Float[Tensor, "n rows columns"]:
    """Return maps laid on the image: each value at the centre of its receptive field, linear in between.

    Plain resizing stretches a map over the whole image and so moves every value that does not lie in the middle.

    Parameters
    ----------
    maps
        One map an image.
    field
        Where the layer's units look, from ``receptive_field``.
    size
        Rows and columns of the image. Beyond the outermost centres the nearest value is kept.
    """
    axes = []
    for n_units, n_pixels, first, stride in zip(maps.shape[1:], size, field.first, field.stride, strict=True):
        units = (torch.arange(n_pixels, dtype=maps.dtype, device=maps.device) - first) / stride
        axes.append(2 * units.clamp(0, n_units - 1) / max(n_units - 1, 1) - 1)
    rows, columns = torch.meshgrid(*axes, indexing="ij")
    grid = torch.stack([columns, rows], dim=-1).expand(len(maps), -1, -1, -1)
    return nn.functional.grid_sample(maps[:, None], grid, mode="bilinear", align_corners=True)[:, 0]
