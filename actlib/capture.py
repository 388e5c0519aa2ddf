"""Activations out of a network: of one forward pass, of a whole data set, or only their sizes.

This is the face of what modules below do: ``names`` finds layers, ``hooks`` watches and edits them, ``bits``
packs patterns, ``collection`` sweeps over a data set.
"""

import math
from collections.abc import Iterable
from contextlib import AbstractContextManager
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor, nn

from actlib.bits import Packed, pack, unpack
from actlib.collection import collect
from actlib.hooks import edit, evaluating, record
from actlib.names import layer_names

__all__ = ["Layer", "Packed", "capture", "collect", "edit", "layer_names", "overview", "pack", "unpack"]

# Layers whose output is new memory at every call, unless they work in place.
_MAKERS = {
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm,
    nn.GroupNorm, nn.ReLU, nn.LeakyReLU, nn.SELU, nn.GELU, nn.Sigmoid, nn.Tanh, nn.MaxPool2d, nn.AvgPool2d,
}  # fmt: skip
# Values from which on a copy takes longer than to ask whether it can wait.
_LARGE = 1 << 14
# A copy on write, without which everything is right and a little slower; PyTorch has no public word for it.
_lazy_clone = getattr(torch, "_lazy_clone", None)


def capture(
    model: nn.Module, layers: Iterable[str], *, inputs: bool = False
) -> AbstractContextManager[dict[str, Tensor]]:
    """Return a block's dictionary that every forward pass of ``model`` fills with the outputs of some layers.

    Each value is a copy made the moment its layer has run, so nothing that happens later changes it: an in-place ReLU,
    ``x += y``, or a write through a view or through NumPy. A reference with a look at ``tensor._version`` would be
    cheaper and was left out: it tells that a value is lost and cannot bring it back.

    The values stand in the order of execution. A layer that is called again in one forward pass is numbered: ``relu``,
    ``relu_1``, ``relu_2``; tensors in a tuple or dictionary get its keys: ``lstm.0``, ``lstm.1.0``. If a module of the
    network has the name already, the separator is doubled: ``relu__1``. Each forward pass of ``model`` in the block
    starts anew; calls of its parts alone add up. Hooks are gone after the block, after an exception too.

    With gradients on, a value can be differentiated with respect to what came before it. It is no part of the way from
    the images to the scores; for the gradient of a score with respect to a layer take the tensor in an ``edit``.

    Parameters
    ----------
    model
        Any network; its modes, gradients and random state are left alone.
    layers
        Names of modules as in ``layer_names``.
    inputs
        Take what goes into each layer instead. Of several arguments each gets its place or keyword: ``add.0``.

    Raises
    ------
    ValueError
        If a name is unknown (the nearest are named), a layer handles no tensor or is never called (at the end of the
        block), or the model is compiled, a DataParallel or TorchScript.
    RuntimeError
        If the model runs inside ``torch.func.vmap`` or ``grad`` and the block was entered outside: enter it inside the
        mapped function and return the dictionary.

    Examples
    --------
    >>> with torch.no_grad(), capture(model, ["conv1", "relu1"]) as activations:
    ...     model(images)
    >>> activations["relu1"].shape
    """
    return record(model, layers, _copy if inputs or _lazy_clone is None else _copy_lazily, inputs=inputs)


def _copy(module: nn.Module, key: str, tensor: Tensor) -> Tensor:
    return tensor.clone()


def _copy_lazily(module: nn.Module, key: str, tensor: Tensor) -> Tensor:
    """Return a copy that is made only when PyTorch is about to write to one of the two, where that is safe.

    PyTorch sees every write through its own operations, and every pointer or NumPy array taken from now on. It misses
    one: a NumPy array that shares the memory already. So the tensor must be new: made by a layer known to make one,
    touched by no hook but ours. Elsewhere, under ``vmap`` for one, the copy is made at once; on a GPU that is cheap.
    Left out: a network that calls ``resize_`` on such an output fails with PyTorch's own message.
    """
    if (
        tensor.numel() >= _LARGE
        and type(module) in _MAKERS
        and type(tensor) is Tensor
        and not vars(module).get("inplace")
        and len(module._forward_hooks) == 1
        and tensor.device.type == "cpu"
        and not torch._C._functorch.is_functorch_wrapped_tensor(tensor)
    ):
        return _lazy_clone(tensor)
    return tensor.clone()


class Layer(NamedTuple):
    """One row of ``overview``.

    Attributes
    ----------
    name
        The key under which ``capture`` keeps the layer.
    kind
        The class of the module.
    shape
        Of the output for one sample, without the sample axis.
    n_values
        Numbers in that output.
    n_parameters
        Parameters that the module itself holds and no earlier row has counted.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    n_values: int
    n_parameters: int


def overview(model: nn.Module, shape: tuple[int, ...]) -> list[Layer]:
    """Return the size of each layer, in the order of execution, from one forward pass of zeros in eval mode.

    Layers are the modules without parts and those with parameters of their own; one that is not called has no row, one
    that is called twice has two. A model on the device ``meta`` computes nothing, so that its size costs nothing.

    Parameters
    ----------
    model
        Any network; its modes are as before afterwards.
    shape
        (c, h, w) of one image.

    Examples
    --------
    >>> with torch.device("meta"):
    ...     rows = overview(torchvision.models.resnet152(), (3, 224, 224))
    """
    names = [name for name, m in model.named_modules() if name and (_own(m) or next(m.children(), None) is None)]
    counted: set[nn.Parameter] = set()

    def measure(module: nn.Module, key: str, tensor: Tensor) -> Layer:
        fresh = [parameter for parameter in _own(module) if parameter not in counted]
        counted.update(fresh)
        size = tuple(tensor.shape[1:])
        return Layer(key, type(module).__name__, size, math.prod(size), sum(p.numel() for p in fresh))

    like = next((t for t in chain(model.parameters(), model.buffers()) if t.is_floating_point()), torch.empty(0))
    image = torch.zeros((1, *shape), dtype=like.dtype, device=like.device)
    with evaluating(model), torch.no_grad(), record(model, names, measure, strict=False) as rows:
        model(image)
    return list(rows.values())


def _own(module: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that a module holds itself, not in its parts."""
    return list(module.parameters(recurse=False))
