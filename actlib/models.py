"""The small networks of the book, built from plain named layers.

Each takes float images in [0, 1] (``prepare`` makes them), normalises them in its first layer, has every ReLU as a
named module of its own, and carries ``input_shape``, the (c, h, w) of its images.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils import parametrizations, parametrize

from actlib.inputs import Normalize, prepare

__all__ = ["Normalize", "cifar_alexnet", "convnet", "course_lenet", "initialize", "lenet5", "mlp", "prepare"]


@torch.no_grad()
def initialize(model: nn.Module, generator: torch.Generator | None = None) -> nn.Module:
    """Draw all weights of ``model`` anew, in place, by PyTorch's default law, and return it.

    Weights and biases of convolutions and linear layers come from U(-1/sqrt(fan_in), 1/sqrt(fan_in)), which is what
    ``kaiming_uniform_(a=sqrt(5))`` amounts to; norm layers get scale 1, shift 0 and fresh statistics.

    Parameters
    ----------
    model
        A network of convolutions, linear and norm layers, with weight normalisation or not.
    generator
        The source of all draws, on any device; None is PyTorch's global one.

    Raises
    ------
    ValueError
        If another kind of layer holds parameters; the message names it.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd):
            bound = 1 / math.sqrt(module.weight.shape[1:].numel())
            _draw(module, "weight", bound, generator)
            if module.bias is not None:
                _draw(module, "bias", bound, generator)
        elif isinstance(module, _NormBase | nn.LayerNorm | nn.GroupNorm):
            module.reset_parameters()
        elif next(module.parameters(recurse=False), None) is not None and not _is_parametrization(name):
            raise ValueError(
                f"{name or 'the model'} is a {type(module).__name__} with parameters of its own; initialize knows "
                "convolutions, linear and norm layers: draw it yourself"
            )
    return model


def _is_parametrization(name: str) -> bool:
    """Say whether a module's name is that of a re-parametrised weight, which its layer has drawn already."""
    return ".parametrizations." in f".{name}."


def _draw(module: nn.Module, name: str, bound: float, generator: torch.Generator | None) -> None:
    """Fill one parameter from U(-bound, bound), drawn where the generator lives."""
    old = getattr(module, name)
    device = old.device if generator is None else generator.device
    new = torch.empty(old.shape, dtype=old.dtype, device=device).uniform_(-bound, bound, generator=generator)
    if parametrize.is_parametrized(module, name):
        setattr(module, name, new.to(old.device))
    else:
        old.copy_(new)


def _assemble(layers: dict[str, nn.Module], input_shape: Sequence[int], generator: torch.Generator | None):
    """Return the layers as one sequence with fresh weights and its ``input_shape``."""
    model = nn.Sequential(OrderedDict(layers))
    model.input_shape = tuple(input_shape)
    return initialize(model, generator)


def course_lenet(
    n_classes: int = 10,
    *,
    size: int = 28,
    channels: int = 1,
    mean: float | Sequence[float] = 0.1307,
    std: float | Sequence[float] = 0.3081,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """Return the LeNet of Fleuret's deep-learning course: 32 and 64 filters of 5x5, 105,506 parameters at 28 px.

    At 28 px: conv1 (32x24x24), pool1 (32x8x8), conv2 (64x4x4), pool2 (64x2x2), fc1 (200), fc2 (10). The default
    ``mean`` and ``std`` are those of the MNIST training images. Raises ValueError below 22 px.
    """
    end = ((_at_least(22, size) - 4) // 3 - 4) // 2
    with torch.random.fork_rng(devices=[]):  # the constructors draw too: without a trace
        layers = {
            "normalize": Normalize(mean, std),
            "conv1": nn.Conv2d(channels, 32, 5), "relu1": nn.ReLU(), "pool1": nn.MaxPool2d(3),
            "conv2": nn.Conv2d(32, 64, 5), "relu2": nn.ReLU(), "pool2": nn.MaxPool2d(2), "flatten": nn.Flatten(),
            "fc1": nn.Linear(64 * end * end, 200), "relu3": nn.ReLU(), "fc2": nn.Linear(200, n_classes),
        }  # fmt: skip
    return _assemble(layers, (channels, size, size), generator)


def lenet5(
    n_classes: int = 10,
    *,
    size: int = 28,
    channels: int = 1,
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """Return LeNet-5 (LeCun et al. 1998) with ReLU and max-pooling, 44,426 parameters at 28 px.

    At 28 px: conv1 (6x24x24), pool1 (6x12x12), conv2 (16x8x8), pool2 (16x4x4), fc1 (120), fc2 (84), fc3 (10). The
    images stay in [0, 1], as in the grid of networks of the meta-network study. Raises ValueError below 16 px.
    """
    end = ((_at_least(16, size) - 4) // 2 - 4) // 2
    with torch.random.fork_rng(devices=[]):
        layers = {
            "normalize": Normalize(mean, std),
            "conv1": nn.Conv2d(channels, 6, 5), "relu1": nn.ReLU(), "pool1": nn.MaxPool2d(2),
            "conv2": nn.Conv2d(6, 16, 5), "relu2": nn.ReLU(), "pool2": nn.MaxPool2d(2), "flatten": nn.Flatten(),
            "fc1": nn.Linear(16 * end * end, 120), "relu3": nn.ReLU(),
            "fc2": nn.Linear(120, 84), "relu4": nn.ReLU(), "fc3": nn.Linear(84, n_classes),
        }  # fmt: skip
    return _assemble(layers, (channels, size, size), generator)


def convnet(
    n_classes: int = 10,
    *,
    widths: tuple[int, int, int] = (64, 128, 256),
    size: int = 32,
    channels: int = 3,
    mean: float | Sequence[float] = 0.5,
    std: float | Sequence[float] = 0.5,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """Return three stages of convolution, ReLU and 2x2 max-pooling, and one linear layer.

    The kernels are 5, 5 and 3 wide and keep the size: at 32 px the ReLUs give 64x32x32, 128x16x16 and 256x8x8, and
    fc sees 4,096 values. Raises ValueError below 8 px.
    """
    end = _at_least(8, size) // 8
    with torch.random.fork_rng(devices=[]):
        layers = {"normalize": Normalize(mean, std)}
        for k, (n_in, n_out, kernel) in enumerate(zip((channels, *widths), widths, (5, 5, 3), strict=False), 1):
            layers[f"conv{k}"] = nn.Conv2d(n_in, n_out, kernel, padding=kernel // 2)
            layers |= {f"relu{k}": nn.ReLU(), f"pool{k}": nn.MaxPool2d(2)}
        layers |= {"flatten": nn.Flatten(), "fc": nn.Linear(widths[-1] * end * end, n_classes)}
    return _assemble(layers, (channels, size, size), generator)


def cifar_alexnet(
    n_classes: int = 10,
    *,
    widths: tuple[int, int, int] = (64, 192, 384),
    mean: float | Sequence[float] = 0.5,
    std: float | Sequence[float] = 0.5,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """Return the first three convolutions of AlexNet as commonly ported to 32 px, each with ReLU and 2x2 max-pooling.

    The first kernel is 11 wide with stride 4, the others 5 and 3: the ReLUs give 64x8x8, 192x4x4 and 384x2x2, together
    8,704 bits, and fc sees 384 values. A small guess at the "AlexNet for CIFAR10" of the study on activation patterns,
    whose kernel sizes are not given: 8,704 bits fit the Hamming distances it prints, those of ``convnet`` do not.
    """
    with torch.random.fork_rng(devices=[]):
        layers = {"normalize": Normalize(mean, std), "conv1": nn.Conv2d(3, widths[0], 11, stride=4, padding=5)}
        layers |= {"relu1": nn.ReLU(), "pool1": nn.MaxPool2d(2), "conv2": nn.Conv2d(*widths[:2], 5, padding=2)}
        layers |= {"relu2": nn.ReLU(), "pool2": nn.MaxPool2d(2), "conv3": nn.Conv2d(*widths[1:], 3, padding=1)}
        layers |= {"relu3": nn.ReLU(), "pool3": nn.MaxPool2d(2), "flatten": nn.Flatten()}
        layers["fc"] = nn.Linear(widths[2], n_classes)
    return _assemble(layers, (3, 32, 32), generator)


def mlp(
    widths: Sequence[int],
    n_classes: int = 10,
    *,
    input_shape: tuple[int, int, int],
    normalization: Literal["batch", "layer", "weight"] | None = None,
    activation: Literal["relu", "selu"] = "relu",
    mean: float | Sequence[float] = 0.5,
    std: float | Sequence[float] = 0.5,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """Return a multi-layer perceptron: flatten, then fc1, norm1, relu1, and so on, and a last linear layer.

    Parameters
    ----------
    widths
        Units of each hidden layer; none gives a linear classifier.
    n_classes
        Outputs of the last layer, ``fc`` with the next number.
    input_shape
        (c, h, w) of the images.
    normalization
        Between a linear layer and its activation: ``"batch"`` (Ioffe and Szegedy 2015), ``"layer"`` (Ba et al. 2016);
        or of the hidden layers' weights: ``"weight"`` (Salimans and Kingma 2016), which adds no module.
    activation
        The layers are named after it: relu1 or selu1.
    mean, std
        Of ``Normalize``; one half each maps [0, 1] to [-1, 1].
    generator
        The source of the initial weights.

    Raises
    ------
    ValueError
        If the activation or the normalization is unknown.
    """
    activations = {"relu": nn.ReLU, "selu": nn.SELU}
    norms = {None: None, "weight": None, "batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
    if activation not in activations or normalization not in norms:
        found = f"activation = {activation!r}, normalization = {normalization!r}"
        raise ValueError(f"{found}; give one of {list(activations)} and one of {list(norms)}")
    n_in = math.prod(input_shape)
    with torch.random.fork_rng(devices=[]):
        layers = {"normalize": Normalize(mean, std), "flatten": nn.Flatten()}
        for k, (width_in, width) in enumerate(zip((n_in, *widths), widths, strict=False), 1):
            linear = nn.Linear(width_in, width)
            layers[f"fc{k}"] = parametrizations.weight_norm(linear) if normalization == "weight" else linear
            if norm := norms[normalization]:
                layers[f"norm{k}"] = norm(width)
            layers[f"{activation}{k}"] = activations[activation]()
        layers[f"fc{len(widths) + 1}"] = nn.Linear((n_in, *widths)[-1], n_classes)
    return _assemble(layers, input_shape, generator)


def _at_least(smallest: int, size: int) -> int:
    """Return ``size``, or raise ValueError if it is below what the network's pooling leaves anything of."""
    if size < smallest:
        raise ValueError(f"size = {size}; this network needs images of at least {smallest} px")
    return size
