"""Residual networks for small images (He et al. 2015, "Deep Residual Learning for Image Recognition", section 4.2)."""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from actlib import models, weights

# Published CIFAR-10 weights, "Proper ResNet Implementation for CIFAR10/CIFAR100 in PyTorch" (Idelbayev 2018, BSD-2).
_FILES = {20: "resnet20-12fca82f.th", 56: "resnet56-4bfd9763.th"}


class Subsample(nn.Module):
    """The option-A shortcut: every ``stride``-th pixel, and channels of zeros around; it has no parameters.

    Half of the new channels come before the old ones (rounded down), the rest after them.
    """

    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.stride = stride
        self.before = (n_out - n_in) // 2
        self.after = n_out - n_in - self.before

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """Return the smaller and wider maps."""
        return pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))

    def extra_repr(self) -> str:
        """Return the options for ``print(model)``."""
        return f"stride={self.stride}, before={self.before}, after={self.after}"


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut: x becomes relu2(bn2(conv2(relu1(bn1(conv1(x))))) + s(x)).

    The shortcut s is the identity where the shape stays; else ``Subsample`` ("A") or a 1x1 convolution with batch
    normalisation ("B").
    """

    def __init__(self, n_in: int, n_out: int, stride: int, shortcut: str):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        if n_in == n_out and stride == 1:
            self.shortcut = nn.Identity()
        elif shortcut == "A":
            self.shortcut = Subsample(n_in, n_out, stride)
        else:
            convolution = nn.Conv2d(n_in, n_out, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(OrderedDict(conv=convolution, bn=nn.BatchNorm2d(n_out)))
        self.relu2 = nn.ReLU()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """Return the block's output."""
        y = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(y)) + self.shortcut(x))


def cifar(
    depth: int,
    *,
    n_classes: int = 10,
    widths: Sequence[int] = (16, 32, 64),
    downsample: bool = True,
    shortcut: Literal["A", "B"] = "A",
    stem_stride: int = 1,
    size: int = 32,
    channels: int = 3,
    mean: float | Sequence[float] = (0.485, 0.456, 0.406),
    std: float | Sequence[float] = (0.229, 0.224, 0.225),
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """Return a residual network of ``depth`` layers: conv1, bn1, relu1, layer1, layer2, ..., pool, flatten, fc.

    Parameters
    ----------
    depth
        Layers with weights on the longest way: 2 + 2 for each block. With s stages of n blocks it is 2 s n + 2; the
        networks of the paper have three stages, hence 6 n + 2.
    n_classes
        Outputs of fc.
    widths
        Channels of each stage; every stage after the first halves the size. One width makes one stage.
    downsample
        False: one stage of (depth - 2) / 2 blocks with the first width, so that no map gets smaller.
    shortcut
        Where the shape changes: "A" subsamples and pads with zeros, "B" is a 1x1 convolution.
    stem_stride
        Of conv1: 2 halves the size at once, which makes 64 px images as cheap as 32 px.
    size, channels
        Of the images.
    mean, std
        Of ``models.Normalize``.
    generator
        The source of the initial weights.

    Raises
    ------
    ValueError
        If no number of blocks gives this depth, or a width or stride is impossible.
    """
    widths = tuple(widths) if downsample else tuple(widths[:1])
    n_blocks, rest = divmod(depth - 2, 2 * max(len(widths), 1))
    if rest or n_blocks < 1 or min(widths, default=0) < 1 or shortcut not in ("A", "B") or stem_stride < 1:
        raise ValueError(
            f"depth = {depth}, widths = {widths}, shortcut = {shortcut!r}, stem_stride = {stem_stride}; give a depth "
            f"of {2 * len(widths)} n + 2 for {len(widths)} stages, positive widths and stride, and shortcut 'A' or 'B'"
        )
    with torch.random.fork_rng(devices=[]):  # the constructors draw too: without a trace
        stem = nn.Conv2d(channels, widths[0], 3, stride=stem_stride, padding=1, bias=False)
        layers = {"normalize": models.Normalize(mean, std), "conv1": stem, "bn1": nn.BatchNorm2d(widths[0])}
        layers["relu1"] = nn.ReLU()
        for k, (n_in, n_out) in enumerate(zip((widths[0], *widths), widths, strict=False), 1):
            stage = [Block(n_in, n_out, 1 if k == 1 else 2, shortcut)]
            stage += [Block(n_out, n_out, 1, shortcut) for _ in range(n_blocks - 1)]
            layers[f"layer{k}"] = nn.Sequential(*stage)
        layers |= {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(widths[-1], n_classes)}
    model = nn.Sequential(OrderedDict(layers))
    model.input_shape = (channels, size, size)
    return models.initialize(model, generator)


def pretrained(depth: int, *, root: str | Path | None = None) -> nn.Sequential:
    """Return ResNet-20 or ResNet-56 with published CIFAR-10 weights, in eval mode.

    They are right on 91.73 % and 93.39 % of the 10,000 test images.

    Raises
    ------
    ValueError
        If there are no weights for this depth, or the file is truncated, foreign or does not fit.
    FileNotFoundError
        If the file is missing; the message says where it was looked for and how to get it.
    """
    if depth not in _FILES:
        raise ValueError(
            f"depth = {depth}; there are published weights for {list(_FILES)}: train another with cifar(...)"
        )
    remedy = "take it from the folder pretrained_models of github.com/akamaster/pytorch_resnet_cifar10"
    path = weights.find([_FILES[depth]], root=root, remedy=remedy)
    content = weights.read(path)
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise ValueError(f"{path} holds no 'state_dict'; expected the published file of that name")
    state = {k.removeprefix("module.").replace("linear.", "fc."): v for k, v in content["state_dict"].items()}
    model = cifar(depth)
    own = {f"normalize.{name}": value for name, value in model.normalize.state_dict().items()}
    return weights.fill(model, own | state, path).eval()
