"""Residual networks of the second kind (He et al. 2016, "Identity Mappings in Deep Residual Networks").

Normalisation and ReLU stand before each convolution, so that a block adds to its input and leaves it as it is.
``baseline`` and ``alp`` are two networks of the Adversarial Vision Challenge 2018, layer by layer as in the code of one
team (github.com/Simsso/NIPS-2018-Adversarial-Vision-Challenge). Their weights were published for TensorFlow and are
left out.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from actlib import models

# The rows of the two published tables, and the layers of ours that give them.
BASELINE_LAYERS = {
    "act0-raw-input": "input",  # in [0, 1] here, in [-1, 1] there
    "act1-processed-imgs": "normalize",
    "act2-first-conv": "conv1",
    "act3-block1": "layer1",
    "act4-block2": "layer2",
    "act5-block3": "layer3",
    "act6-block4": "layer4",
    "act7-block4-postact": "relu",
    "act8-global-avg": "flatten",
    "act9-logits": "fc",
}
ALP_LAYERS = {
    "act1-input": "normalize",
    "act2-first-conv": "pool1",  # taken after pooling
    "act3-block1": "layer1",
    "act4-block2": "layer2",
    "act5-block3": "layer3",
    "act6-block4": "layer4",
    "act7-norm": "relu",
    "act8-pool": "flatten",  # the logits, in spite of the name
}

# What is subtracted from the baseline's red, green and blue, on a scale of 0 to 255.
_CHANNEL_MEANS = (123.68, 116.78, 103.94)
# TensorFlow's 0.997 is the share of the old value, PyTorch's number that of the new one.
_MOMENTUM = 0.003


def _norm(channels: int, momentum: float = _MOMENTUM) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-5, momentum=momentum)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions: with y = relu1(bn1(x)), x becomes conv2(relu2(bn2(conv1(y)))) + s.

    The shortcut s is x itself or, in a ``projected`` block, a 1x1 convolution of y. Only a projected block can change
    the shape.
    """

    def __init__(self, n_in: int, n_out: int, stride: int = 1, *, projected: bool, momentum: float = _MOMENTUM):
        super().__init__()
        self.projected = projected
        self.bn1 = _norm(n_in, momentum)
        self.relu1 = nn.ReLU()
        self.shortcut = nn.Conv2d(n_in, n_out, 1, stride=stride, bias=False) if projected else nn.Identity()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)
        self.bn2 = _norm(n_out, momentum)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """Return the block's output."""
        y = self.relu1(self.bn1(x))
        shortcut = self.shortcut(y if self.projected else x)
        return self.conv2(self.relu2(self.bn2(self.conv1(y)))) + shortcut


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, ``width`` channels inside and four times as many at the end.

    With y = relu1(bn1(x)), x becomes conv3(relu3(bn3(conv2(relu2(bn2(conv1(y))))))) + s. The stride is that of conv2.
    The shortcut s is a 1x1 convolution of y where the number of channels changes, else x, or every stride-th pixel of
    x. Convolutions that no normalisation follows have a bias.
    """

    def __init__(self, n_in: int, width: int, stride: int = 1):
        super().__init__()
        n_out = 4 * width
        self.projected = n_in != n_out
        self.bn1 = _norm(n_in)
        self.relu1 = nn.ReLU()
        if self.projected:
            self.shortcut = nn.Conv2d(n_in, n_out, 1, stride=stride)
        else:
            self.shortcut = nn.MaxPool2d(1, stride) if stride > 1 else nn.Identity()
        self.conv1 = nn.Conv2d(n_in, width, 1, bias=False)
        self.bn2 = _norm(width)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn3 = _norm(width)
        self.relu3 = nn.ReLU()
        self.conv3 = nn.Conv2d(width, n_out, 1)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """Return the block's output."""
        y = self.relu1(self.bn1(x))
        shortcut = self.shortcut(y if self.projected else x)
        y = self.conv2(self.relu2(self.bn2(self.conv1(y))))
        return self.conv3(self.relu3(self.bn3(y))) + shortcut


def baseline(
    n_classes: int = 200,
    *,
    size: int = 64,
    widths: Sequence[int] = (64, 128, 256, 512),
    blocks: Sequence[int] = (2, 2, 2, 2),
    stem_stride: int = 1,
    momentum: float = _MOMENTUM,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """Return the ResNet-18 v2 of the challenge's organisers, 11,273,736 parameters.

    Its layers are input, normalize, conv1, layer1, ..., layer4, bn, relu, pool, flatten, fc. ``normalize`` turns images
    of [0, 1] into 0 to 255 minus (123.68, 116.78, 103.94): the original does the same with images of [-1, 1]. It is
    ``models.Normalize`` with these means, divided by 255, and a standard deviation of 1/255. The initial weights follow
    the law of ``models.initialize``.

    Parameters
    ----------
    n_classes
        Outputs of fc.
    size
        Of the images, at least one pixel for each unit of the last stage.
    widths, blocks
        Channels and number of blocks of each stage. The first block projects; from the second stage on it halves the
        size.
    stem_stride
        Of conv1: 2 halves the size at once.
    momentum
        Share of the new batch in the running statistics that eval mode uses. After n steps (1 - momentum)^n of their
        start values is left: the published 0.003 takes thousands of steps; for some hundred give 0.1.
    generator
        The source of the initial weights.

    Raises
    ------
    ValueError
        If there is not one number of blocks a stage, or a number is too small.
    """
    widths, blocks = tuple(widths), tuple(blocks)
    if not widths or len(widths) != len(blocks) or min(*widths, *blocks, stem_stride) < 1 or not 0 < momentum <= 1:
        raise ValueError(
            f"widths = {widths}, blocks = {blocks}, stem_stride = {stem_stride}, momentum = {momentum}; give one "
            "positive width and number of blocks a stage, a positive stride and a momentum of more than 0 up to 1"
        )
    smallest = stem_stride * 2 ** (len(widths) - 1)
    if size < smallest:
        raise ValueError(f"size = {size}; the strides of this network need images of at least {smallest} px")
    mean, std = [value / 255 for value in _CHANNEL_MEANS], [1 / 255] * 3
    with torch.random.fork_rng(devices=[]):  # the constructors draw too: without a trace
        layers = {"input": nn.Identity(), "normalize": models.Normalize(mean, std)}
        layers["conv1"] = nn.Conv2d(3, widths[0], 3, stride=stem_stride, padding=1, bias=False)
        for k, (n_in, n_out, n) in enumerate(zip((widths[0], *widths), widths, blocks, strict=False), 1):
            stage = [BasicBlock(n_in, n_out, 1 if k == 1 else 2, projected=True, momentum=momentum)]
            stage += [BasicBlock(n_out, n_out, projected=False, momentum=momentum) for _ in range(n - 1)]
            layers[f"layer{k}"] = nn.Sequential(*stage)
        layers |= {"bn": _norm(widths[-1], momentum), "relu": nn.ReLU()}
        layers |= {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(widths[-1], n_classes)}
    return _finish(layers, size, generator)


def alp(n_classes: int = 200, *, size: int = 64, generator: torch.Generator | None = None) -> nn.Sequential:
    """Return the ResNet-50 v2 of adversarial logit pairing (Kannan et al. 2018), 23,929,160 parameters.

    Its layers are normalize, conv1, pool1, layer1, ..., layer4, bn, relu, pool, fc, flatten. conv1 has a bias and no
    ReLU; the last block of the first three stages has the stride; fc is a 1x1 convolution. The images become [-1, 1].

    The team kept the norm layers in inference mode, which is ``eval()`` here. In training mode they subtract what the
    biases of the convolutions before them add; fc's bias is the only one that can be learned then.

    Parameters
    ----------
    n_classes
        Outputs of fc.
    size
        Of the images, a multiple of 4 and at least 32.
    generator
        The source of the initial weights.

    Raises
    ------
    ValueError
        If ``size`` is impossible.
    """
    if size < 32 or size % 4:
        raise ValueError(f"size = {size}; this network needs images of 32, 36, 40, ... px: a multiple of 4")
    with torch.random.fork_rng(devices=[]):
        layers = {"normalize": models.Normalize(0.5, 0.5), "conv1": nn.Conv2d(3, 64, 7, stride=2, padding=3)}
        # TensorFlow's "SAME": on maps of even size the border is below and on the right only.
        layers["pool1"] = nn.MaxPool2d(3, 2, ceil_mode=True)
        n_in = 64
        for k, (width, n, stride) in enumerate([(64, 3, 2), (128, 4, 2), (256, 6, 2), (512, 3, 1)], 1):
            stage = [Bottleneck(4 * width if j else n_in, width, stride if j == n - 1 else 1) for j in range(n)]
            layers[f"layer{k}"], n_in = nn.Sequential(*stage), 4 * width
        layers |= {"bn": _norm(n_in), "relu": nn.ReLU(), "pool": nn.AdaptiveAvgPool2d(1)}
        layers |= {"fc": nn.Conv2d(n_in, n_classes, 1), "flatten": nn.Flatten()}
    return _finish(layers, size, generator)


def _finish(layers: dict[str, nn.Module], size: int, generator: torch.Generator | None) -> nn.Sequential:
    """Return the layers as one sequence with fresh weights and its ``input_shape``."""
    model = nn.Sequential(OrderedDict(layers))
    model.input_shape = (3, size, size)
    return models.initialize(model, generator)
