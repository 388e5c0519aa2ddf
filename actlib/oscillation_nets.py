"""The networks that learned to tell oscillations apart, in five families, and the same ones with another decimation.

Ribeiro and Schön 2021 trained 22 networks on ``oscillations.draw``. In ``fc-1h`` and ``fc-2h`` the width of one or two
hidden layers grows; in ``resnet-c`` the channels of a residual network of 20 layers, the same in all stages; in
``resnet-w`` those of one that doubles its channels from stage to stage; in ``resnet-d`` the depth.
"""

from collections import OrderedDict

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from actlib import models, resnets

# Hidden units, channels of the first stage, or layers. ``resnet-w`` 16 and ``resnet-d`` 20 are the same network.
FAMILIES = {
    "fc-1h": (58, 200, 800, 3000),
    "fc-2h": (55, 180, 600, 1500),
    "resnet-c": (20, 40, 80, 160),
    "resnet-w": (8, 16, 32, 64),
    "resnet-d": (8, 20, 32, 44, 56, 110, 272),
}
DECIMATIONS = ("strided", "blur", "average", "none")


class Blur(nn.Module):
    """Smooth each channel by the binomial filter (1, 4, 6, 4, 1) / 16 along both axes, then keep every 2nd pixel.

    Zhang 2019, "Making Convolutional Networks Shift-Invariant Again" (BlurPool), with reflection at the border. No
    parameters.
    """

    stride = 2

    def __init__(self):
        super().__init__()
        taps = torch.tensor([1.0, 4, 6, 4, 1]) / 16
        self.register_buffer("kernel", torch.outer(taps, taps), persistent=False)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c i j"]:
        """Return maps of half the size."""
        channels = x.shape[1]
        kernel = self.kernel.to(x.dtype).expand(channels, 1, 5, 5)
        return conv2d(pad(x, (2, 2, 2, 2), mode="reflect"), kernel, stride=self.stride, groups=channels)


def network(
    family: str,
    number: int,
    *,
    mean: float,
    std: float,
    n_classes: int = 400,
    size: int = 32,
    decimation: str = "strided",
    depth: int = 20,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """Return an untrained network of a family.

    Parameters
    ----------
    family, number
        A key of ``FAMILIES`` and its size: hidden units (fc), channels of the first stage (resnet-c, resnet-w) or
        layers (resnet-d). The published sizes are listed there; others will do.
    mean, std
        ``Oscillations.mean`` and ``.std``.
    n_classes, size
        Classes, and height and width of the images.
    decimation
        Of a residual network: ``"strided"`` convolutions as published; ``"blur"`` (see ``Blur``) or ``"average"``
        over 2 x 2 pixels, each behind the same convolutions without stride; or ``"none"`` at all. The weights are the
        same in number and, for one generator, in value.
    depth
        Layers of resnet-c and resnet-w; 20 as published.
    generator
        The source of the initial weights: of linear layers U(-1/sqrt(fan_in), 1/sqrt(fan_in)), of convolutions
        normal with variance 2 / fan_out (He et al. 2015), as published.

    Raises
    ------
    ValueError
        If the family, decimation or depth is unknown or a size is impossible.
    """
    if family not in FAMILIES or decimation not in DECIMATIONS or number < 1:
        raise ValueError(
            f"family = {family!r}, number = {number}, decimation = {decimation!r}; give one of {list(FAMILIES)}, at "
            f"least 1, and one of {list(DECIMATIONS)}"
        )
    scale = {"mean": mean, "std": std, "generator": generator}
    if family.startswith("fc"):
        if decimation != "strided":
            raise ValueError(f"decimation = {decimation!r}: a fully connected network has none; leave it out")
        return models.mlp([number] * int(family[3]), n_classes, input_shape=(1, size, size), **scale)
    first = 16 if family == "resnet-d" else number
    widths = (first,) * 3 if family == "resnet-c" else (first, 2 * first, 4 * first)
    shape = {"n_classes": n_classes, "widths": widths, "size": size, "channels": 1, "shortcut": "B"}
    model = resnets.cifar(number if family == "resnet-d" else depth, **shape, **scale)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
    return _decimated(model, decimation)


def _decimated(model: nn.Sequential, decimation: str) -> nn.Sequential:
    """Replace each convolution with a stride by the same one without, and another decimation behind it."""
    if decimation == "strided":
        return model
    strided = [name for name, m in model.named_modules() if isinstance(m, nn.Conv2d) and m.stride != (1, 1)]
    for name in strided:
        convolution = model.get_submodule(name)
        convolution.stride = (1, 1)
        if decimation != "none":
            smaller = Blur() if decimation == "blur" else nn.AvgPool2d(2)
            parent, _, own = name.rpartition(".")
            behind = nn.Sequential(OrderedDict(conv=convolution, **{decimation: smaller}))
            setattr(model.get_submodule(parent), own, behind)
    return model
