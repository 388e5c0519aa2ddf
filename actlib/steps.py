"""The operations of a piecewise linear network, each as one step: affine, a ReLU, or max-pooling.

An affine step can be applied whole, or its linear part alone can be pushed forward (to directions) or pulled back (to
gradients). What is not in the tables of this module has no exact geometry here and is refused by name.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ALLOWED = (
    "allowed are linear layers, convolutions, BatchNorm in eval mode, average and max pooling, ReLU and LeakyReLU, "
    "sums, products with constants, concatenation, padding, slicing and changes of shape"
)
# Affine whatever their options, as a module in eval mode.
_AFFINE_MODULES = (
    nn.Linear, nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.Flatten, nn.Unflatten, nn.Identity,
    nn.modules.dropout._DropoutNd, nn.modules.padding._ConstantPadNd, nn.modules.padding._ReflectionPadNd,
    nn.modules.padding._ReplicationPadNd, nn.modules.padding.CircularPad2d, nn.PixelShuffle, nn.PixelUnshuffle,
)  # fmt: skip
_RESHAPES = {"flatten", "reshape", "view", "squeeze", "unsqueeze", "unflatten", "contiguous", "clone", "detach"}
_CASTS = {"to", "float", "double", "type_as"}
_SUMS = {"add", "iadd", "sub", "isub", "subtract", "rsub", "neg"}
_PRODUCTS = {"mul", "imul", "multiply", "truediv", "itruediv", "div", "divide", "matmul"}
_MANY = {"cat", "concat", "concatenate", "stack"}
_OTHERS = {
    "getitem", "pad", "_pad", "mean", "sum", "permute", "transpose", "linear", "conv1d", "conv2d", "conv3d",
    "avg_pool1d", "avg_pool2d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "narrow", "select", "flip", "roll",
}  # fmt: skip
# PyTorch has no fast convolution for these: on a small plane one matrix of so many numbers is 6 to 17 times as fast.
_SLOW, _DENSE = (torch.float64, "cpu"), 2**22
_RELUS = {"relu", "relu_", "leaky_relu", "leaky_relu_"}
_POOLS = {"max_pool1d": 1, "max_pool2d": 2}


@dataclass(frozen=True)
class Step:
    """One operation on the values of the network; value 0 is the input, value i the result of step i - 1.

    Attributes
    ----------
    path
        The module or function, for messages; of a gate its name.
    kind
        What it is.
    inputs
        The values that it takes.
    shape
        Of its result for one sample.
    apply
        The whole operation, on tensors with a leading sample axis. A gate chooses for itself.
    push
        The linear part.
    pull
        The transpose of the linear part: a gradient ``(n, *shape)`` becomes one for each input.
    slope
        What a ReLU that is off multiplies by.
    windows
        Of max-pooling: for each place of the output (p) the flat places in the input plane that it looks at, (p, k),
        -1 outside of the plane.
    constant
        What ``apply`` adds to ``push``, where that is the faster of the two; else None.
    """

    path: str
    kind: Literal["affine", "relu", "max"]
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    apply: Callable[..., Tensor]
    push: Callable[..., Tensor] | None = None
    pull: Callable[[Tensor], tuple[Tensor, ...]] | None = None
    slope: float = 0.0
    windows: Tensor | None = None
    constant: Tensor | None = None


def label(target: Any) -> str:
    """Return the plain name of a function, a method or a module."""
    if isinstance(target, str):
        return target
    return type(target).__name__ if isinstance(target, nn.Module) else getattr(target, "__name__", str(target))


def refuse(path: str, what: str) -> ValueError:
    """Return the error for an operation that cannot be followed."""
    return ValueError(f"{path or 'the model'}: {what} has no exact linear regions here; {ALLOWED}")


def check_module(path: str, module: nn.Module) -> None:
    """Raise ValueError if a module is none that can be followed, or is in train mode and differs there."""
    kind = type(module).__name__
    if isinstance(module, nn.ReLU | nn.LeakyReLU | nn.MaxPool1d | nn.MaxPool2d):
        if getattr(module, "return_indices", False):
            raise refuse(path, f"{kind} with return_indices")
        return
    if not isinstance(module, _AFFINE_MODULES) or isinstance(module, nn.AlphaDropout | nn.FeatureAlphaDropout):
        raise refuse(path, kind)
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        if module.training or module.running_mean is None:
            raise refuse(path, f"{kind} in train mode or without running statistics (call model.eval())")
    elif isinstance(module, nn.modules.dropout._DropoutNd) and module.training and module.p > 0:
        raise refuse(path, f"{kind} in train mode (call model.eval())")


def check_function(path: str, name: str, n_live: int) -> None:
    """Raise ValueError if a function or method of ``n_live`` values is none that can be followed."""
    known = _RESHAPES | _CASTS | _SUMS | _PRODUCTS | _MANY | _OTHERS | _RELUS | {"dropout", "batch_norm"}
    plain = name.rstrip("_") if name.rstrip("_") in _SUMS | _PRODUCTS else name
    if plain.lstrip("_") in _POOLS:
        return
    if plain not in known:
        raise refuse(path, f"{name}()")
    if n_live > 1 and plain not in _SUMS | _MANY:
        raise refuse(path, f"{name}() of {n_live} values")


def gate(path: str, operation: Any, arguments: dict[str, Any], place: int, before: Sequence[int], after: Sequence[int]):
    """Return a ReLU or max-pooling as a step, or None if the operation is neither."""
    name, options = label(operation), arguments
    if isinstance(operation, nn.ReLU | nn.LeakyReLU) or name in _RELUS:
        slope = 0.01 if "leaky" in name else 0.0
        slope = float(getattr(operation, "negative_slope", options.get("negative_slope", slope)))
        apply = F.relu if slope == 0 else (lambda z: F.leaky_relu(z, slope))
        return Step(path, "relu", (place,), tuple(after), apply, slope=slope)
    n_axes = {"MaxPool1d": 1, "MaxPool2d": 2}.get(name) or _POOLS.get(name.lstrip("_"))
    if n_axes is None:
        return None
    if isinstance(operation, nn.Module):
        options = {key: getattr(operation, key) for key in ("kernel_size", "stride", "padding", "dilation")}
        options["ceil_mode"] = operation.ceil_mode
    options = {key: value for key, value in options.items() if value is not None}
    if options.pop("return_indices", False):
        raise refuse(path, f"{name} with return_indices")
    if len(before) != n_axes + 1:
        raise refuse(path, f"{name} of one sample of shape {tuple(before)}, without a channel axis,")
    function = (F.max_pool1d, F.max_pool2d)[n_axes - 1]
    windows = _windows(before[1:], after[1:], options, n_axes)
    return Step(path, "max", (place,), tuple(after), lambda z, **more: function(z, **options, **more), windows=windows)


def _windows(before: Sequence[int], after: Sequence[int], options: dict[str, Any], n_axes: int) -> Tensor:
    """Return the flat places that each window looks at, -1 outside of the plane."""
    spread = [
        [value] * n_axes if isinstance(value, int) else list(value)
        for value in (options["kernel_size"], options.get("stride") or options["kernel_size"],
                      options.get("padding", 0), options.get("dilation", 1))
    ]  # fmt: skip
    axes = []
    for size, n_out, kernel, stride, padding, dilation in zip(before, after, *spread, strict=True):
        place = torch.arange(n_out)[:, None] * stride - padding + torch.arange(kernel) * dilation
        axes.append(torch.where((place >= 0) & (place < size), place, -1))
    if n_axes == 1:
        return axes[0]
    rows, columns = axes[0][:, None, :, None], axes[1][None, :, None, :]
    flat = torch.where((rows < 0) | (columns < 0), -1, rows * before[1] + columns)
    return flat.reshape(math.prod(after), -1)


def affine(
    path: str, operation: Any, call: Callable[..., Tensor], linear: Callable[..., Tensor] | None,
    inputs: Sequence[int], shapes: Sequence[tuple[int, ...]], shape: tuple[int, ...], like: Tensor,
) -> Step:  # fmt: skip
    """Return an affine operation as a step.

    Parameters
    ----------
    path, operation
        Its name, and the module or function.
    call
        The operation as a function of the values alone.
    linear
        Its linear part; None: found as the difference to the value at zero.
    inputs, shapes, shape
        Which values it takes, and their shapes and that of its result, of one sample.
    like
        A tensor of the dtype and on the device of the network.
    """
    pull = constant = None
    if isinstance(operation, nn.Linear):
        weight = operation.weight
        linear, pull = lambda x: F.linear(x, weight), lambda g: (g @ weight,)
    elif type(operation) is nn.Conv2d and operation.padding_mode == "zeros" and not isinstance(operation.padding, str):
        linear, pull = _convolution(operation, shapes[0], shape)
        constant = operation.weight.new_zeros(1) if operation.bias is None else operation.bias.reshape(-1, 1, 1)
    elif isinstance(operation, nn.modules.conv._ConvNd) and operation.bias is not None:
        bias = operation.bias.reshape(-1, *[1] * (len(shape) - 1))
        linear = linear or (lambda x: call(x) - bias)
    elif isinstance(operation, nn.modules.batchnorm._BatchNorm):
        factor = (operation.running_var + operation.eps).rsqrt()
        factor = factor * operation.weight if operation.affine else factor
        factor = factor.reshape(-1, *[1] * (len(shape) - 1))
        linear, pull = lambda x: x * factor, lambda g: (g * factor,)
    elif len(shapes) == 1 and (isinstance(operation, nn.Flatten | nn.Unflatten) or label(operation) in _RESHAPES):
        linear, pull = lambda x: x.reshape(len(x), *shape), lambda g: (g.reshape(len(g), *shapes[0]),)
        call = linear
    elif linear is operation and label(operation) in ("add", "iadd") and len(shapes) == 2 and shapes[0] == shapes[1]:
        linear, pull = operation, lambda g: (g, g)
    elif label(operation) in _SUMS | _PRODUCTS - {"matmul"} and shapes == [shape]:
        diagonal, pull = linear or call, lambda g: (diagonal(g),)  # each number by itself: its own transpose
    if linear is None:
        shift = call(*(like.new_zeros(1, *s) for s in shapes))
        linear = (lambda *x: call(*x) - shift) if shift.any() else call
    pull = pull or (lambda g: _transpose(linear, shapes, g))
    return Step(path, "affine", tuple(inputs), shape, call, linear, pull, constant=constant)


def _convolution(module: nn.Conv2d, before: tuple[int, ...], after: tuple[int, ...]) -> tuple[Callable, Callable]:
    """Return the linear part of a convolution and its transpose."""
    weight, options = module.weight, (module.stride, module.padding, module.dilation, module.groups)
    n_dense, n_products = math.prod(before) * math.prod(after), math.prod(after) * weight[0].numel()
    if n_dense > min(_DENSE, 2 * n_products) or module.groups > 1 or (weight.dtype, weight.device.type) != _SLOW:
        return (
            lambda x: F.conv2d(x, weight, None, *options),
            lambda g: (nn.grad.conv2d_input((len(g), *before), weight, g, *options),),
        )
    places = torch.arange(1.0, math.prod(before) + 1, dtype=weight.dtype).view(1, *before)
    places = F.unfold(places, module.kernel_size, module.dilation, module.padding, module.stride)[0].long()  # (k, p)
    matrix = weight.new_zeros(math.prod(before) + 1, after[0], math.prod(after[1:]))  # row 0: outside of the plane
    matrix[places[:, None], torch.arange(after[0])[:, None], torch.arange(places.shape[1])] = weight.flatten(1).T[
        ..., None
    ]
    matrix = matrix[1:].flatten(1)
    return lambda x: (x.flatten(1) @ matrix).view(-1, *after), lambda g: ((g.flatten(1) @ matrix.T).view(-1, *before),)


def _transpose(linear: Callable[..., Tensor], shapes: Sequence[tuple[int, ...]], g: Tensor) -> tuple[Tensor, ...]:
    """Return the transpose of a linear function, by differentiating it."""
    with torch.enable_grad():
        inputs = [g.new_zeros(len(g), *shape).requires_grad_() for shape in shapes]
        return torch.autograd.grad(linear(*inputs), inputs, g)


def is_sum(name: str) -> bool:
    """Say whether a function is a sum or a difference, which constants shift."""
    return name.rstrip("_") in _SUMS


def does_nothing(operation: Any) -> bool:
    """Say whether an operation changes no number, or only how numbers are kept, which an exact copy does not follow."""
    kept = nn.Identity | nn.modules.dropout._DropoutNd
    return isinstance(operation, kept) or label(operation) in _CASTS | {"contiguous", "clone", "detach", "dropout"}
