"""The way images enter a network: checked, as floats in [0, 1], and normalised by the network itself.

Normalisation is a network's first layer, so that one image means the same to every network.
"""

import math
from collections.abc import Sequence
from itertools import chain

import torch
from jaxtyping import Float
from torch import Tensor, nn

# Float images may leave [0, 1] by this much: room for rounding in half precision and in resizing.
_SLACK = 1e-3


class Normalize(nn.Module):
    """Subtract a mean from each channel and divide by a standard deviation.

    Parameters
    ----------
    mean, std
        One number for all channels or one a channel, on the scale of the images, [0, 1]; ``std`` is positive.

    Raises
    ------
    ValueError
        If the lengths differ, a number is not finite or a ``std`` is not positive.
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]):
        super().__init__()
        # Checked on the CPU: on the device "meta", where a network has only shapes, there is nothing to check.
        like = {"dtype": torch.get_default_dtype(), "device": "cpu"}
        mean, std = (torch.as_tensor(value, **like).reshape(-1) for value in (mean, std))
        if mean.shape != std.shape or not (mean.isfinite().all() and std.isfinite().all() and (std > 0).all()):
            raise ValueError(
                f"mean = {mean.tolist()} and std = {std.tolist()}; give one finite mean and one positive std a channel"
            )
        self.register_buffer("mean", mean.to(torch.get_default_device()))
        self.register_buffer("std", std.to(torch.get_default_device()))

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Return the images with each channel shifted and scaled."""
        if len(self.mean) not in (1, images.shape[1]):  # broadcasting would repeat a grey image
            raise ValueError(
                f"images have {images.shape[1]} channels, but Normalize has {len(self.mean)} means; give the network "
                "one mean and one std a channel, or one for all"
            )
        return (images - self.mean[:, None, None]) / self.std[:, None, None]

    def extra_repr(self) -> str:
        """Return the two lists for ``print(model)``."""
        return f"mean={self.mean.tolist()}, std={self.std.tolist()}"


def prepare(model: nn.Module, images: Tensor) -> Float[Tensor, "n c h w"]:
    """Return ``images`` as ``model`` takes them: float in [0, 1], in the model's dtype and on its device.

    Parameters
    ----------
    model
        Any network. Its parameters give dtype and device; its ``input_shape``, where it has one, gives channels and
        size, else its first convolution gives the channels. A network that begins with a linear layer takes the values
        of that layer behind an ``nn.Flatten``, else a multiple of them: one image may be many rows.
    images
        (n, c, h, w), uint8 in 0..255 or floating point in [0, 1]. Floats are moved, not scaled.

    Raises
    ------
    ValueError
        If the images are not four-dimensional, of another dtype, empty, of a shape the model does not take, not
        finite (the message names the first such sample) or outside [0, 1] by more than 0.001.
    """
    if images.ndim != 4:
        raise ValueError(f"images have shape {tuple(images.shape)}, not (n, c, h, w); add the missing axis with [None]")
    if images.dtype != torch.uint8 and not images.dtype.is_floating_point:
        raise ValueError(f"images are {images.dtype}; give uint8 in 0..255 or floating point in [0, 1]")
    if images.numel() == 0:
        raise ValueError(f"images have shape {tuple(images.shape)}: there is nothing in them; select at least one")
    _check_shape(model, images)
    like = next((t for t in chain(model.parameters(), model.buffers()) if t.is_floating_point()), None)
    device = images.device if like is None else like.device
    if images.dtype == torch.uint8:
        return images.to(device).to(torch.get_default_dtype() if like is None else like.dtype).div_(255)
    _check_values(images)
    return images.to(device=device, dtype=images.dtype if like is None else like.dtype)


def _check_shape(model: nn.Module, images: Tensor) -> None:
    """Raise ValueError if the model cannot take images of this shape."""
    found = tuple(images.shape[1:])
    kind = type(model).__name__
    expected = getattr(model, "input_shape", None)
    first = next((m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)), None)
    if expected is None and isinstance(first, nn.Conv2d):
        expected = (first.in_channels or found[0], *found[1:])  # 0 in a lazy layer that has no shape yet
    if expected is not None and found != tuple(expected):
        remedy = _remedy(found, expected)
        raise ValueError(f"images have shape (c, h, w) = {found}, but {kind} takes {tuple(expected)}; {remedy}")
    # A linear layer behind others that hold weights, such as an LSTM, says nothing about images.
    begins = first is next((m for m in model.modules() if any(True for _ in m.parameters(recurse=False))), None)
    width = first.in_features if expected is None and begins and isinstance(first, nn.Linear) else 0
    # Behind a Flatten an image is one row; elsewhere it may be many, as in a transformer.
    leaves = (m for m in model.modules() if not isinstance(m, Normalize) and next(m.children(), None) is None)
    flat = isinstance(next(leaves, None), nn.Flatten)
    if width and (math.prod(found) != width if flat else math.prod(found) % width):
        raise ValueError(
            f"images have shape (c, h, w) = {found}, {math.prod(found)} values, but {kind} takes {width}; "
            "resize the images or build the model for them"
        )


def _remedy(found: Sequence[int], expected: Sequence[int]) -> str:
    """Return what to do about images of one shape for a model of another."""
    if found[0] == 1 and expected[0] == 3:
        return "repeat the grey channel with images.expand(-1, 3, -1, -1)"
    if found[0] != expected[0] and found[-1] == expected[0]:
        return "move the channels to the front with images.permute(0, 3, 1, 2)"
    if found[0] != expected[0]:
        return "load images with that number of channels or build the model for them"
    return "load the images at that size or build the model for them"


def _check_values(images: Tensor) -> None:
    """Raise ValueError if float images are not finite or leave [0, 1]; costs one pass over them."""
    # aminmax hands on a NaN, so that the two ends tell of all three faults.
    low, high = (end.item() for end in torch.aminmax(images))
    if not (math.isfinite(low) and math.isfinite(high)):
        bad = (~images.isfinite()).flatten(1).any(1).nonzero().flatten()
        raise ValueError(
            f"{len(bad)} of {len(images)} images hold NaN or infinity, the first is sample {bad[0].item()}; "
            "repair or leave out these images"
        )
    if low < -_SLACK or high > 1 + _SLACK:
        raise ValueError(
            f"float images lie in [{low:.4g}, {high:.4g}], not in [0, 1]; divide values of 0..255 by 255, and let "
            "the model normalise them: nn.Sequential(Normalize(mean, std), model)"
        )
