"""Images of two-dimensional oscillations in noise: a data set whose classes are frequencies.

An image is a cosine along each axis, multiplied, and uniform noise: at column x and row y
``cos(pi x f_x + phi_x) cos(pi y f_y + phi_y) + A u`` with u uniform in [-1/2, 1/2). A class is a pair of frequencies,
in units of the Nyquist frequency; the phases are uniform, and nobody tells them. Ribeiro and Schön 2021, "How
Convolutional Neural Networks Deal with Aliasing", published the task with its code; the same seeds give the same images
here, down to the rounding of float32.

Why this is no name of ``data.load``: its sets are bytes, the pixels of photographs. Here pixels are real numbers with
noise as wide as ``noise`` times the signal. Bytes would add noise of their own, and the published values would be lost.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor

# Images of each class and seed, as published.
SPLITS = {"train": (50, 2), "validation": (25, 30001)}


class Oscillations(NamedTuple):
    """Oscillations with their classes.

    Attributes
    ----------
    images
        Scaled linearly from [-r, r] to [0, 1], where r = 1 + noise / 2 is the largest value there can be.
    labels
        Class of each image: n_frequencies times the number of its frequency along x, plus that along y.
    phases
        Along x and y, 0 to 2 pi.
    frequencies
        Along x and y for each class, in units of the Nyquist frequency, 0 to 1.
    mean, std
        What ``models.Normalize`` needs to give the networks the published values: 1/2 and 1 / (2 r).
    """

    images: Float32[Tensor, "n 1 h w"]
    labels: Int64[Tensor, " n"]
    phases: Float64[Tensor, "n 2"]
    frequencies: Float64[Tensor, "k 2"]
    mean: float
    std: float

    def values(self) -> Float64[Tensor, "n h w"]:
        """Return the images on the published scale, where the signal has amplitude 1."""
        return (self.images[:, 0].double() - self.mean) / self.std


def draw(per_class: int, *, noise: float, seed: int, n_frequencies: int = 20, size: int = 32) -> Oscillations:
    """Return ``per_class`` images of each of ``n_frequencies`` squared classes, in random order.

    Parameters
    ----------
    per_class
        Images of each class.
    noise
        A, the width of the noise from end to end; its standard deviation is A / sqrt(12). Published: 1, 2, 4 and 8.
    seed
        Labels are shuffled with ``seed``, the phases along x and y come from ``seed`` + 1 and + 2, and the noise of
        image i from ``seed`` + 3 + i, each by NumPy's legacy generator ``RandomState``.
    n_frequencies
        Frequencies along each axis: 0, 1/n, 2/n, up to (n - 1)/n of the Nyquist frequency.
    size
        Height and width in pixels.

    Raises
    ------
    ValueError
        If a number is below its least value (1 image, 2 frequencies, 2 pixels, no noise), or the seed does not fit.
    """
    n = per_class * n_frequencies**2
    if min(per_class, n_frequencies - 1, size - 1) < 1 or not 0 <= noise < np.inf:
        raise ValueError(
            f"per_class = {per_class}, n_frequencies = {n_frequencies}, size = {size}, noise = {noise}; give at least "
            "1 image, 2 frequencies and 2 pixels, and a noise that is finite and not negative"
        )
    if not 0 <= seed <= 2**32 - 3 - n:
        raise ValueError(f"seed = {seed}; {n} images need a seed from 0 to {2**32 - 3 - n}")
    classes = frequencies(n_frequencies)
    labels = np.repeat(np.arange(len(classes)), per_class)
    np.random.RandomState(seed).shuffle(labels)
    phases = np.stack([2 * np.pi * np.random.RandomState(seed + k).rand(n) for k in (1, 2)], 1)
    found = signals(classes[labels], torch.from_numpy(phases), size)
    source = np.random.RandomState()  # to seed one again is faster than to make one for each image
    for i, image in enumerate(found.numpy()):
        source.seed(seed + 3 + i)
        image += noise * (source.rand(size, size) - 0.5)
    reach = 1 + noise / 2
    images = found.div_(2 * reach).add_(0.5).clamp_(0, 1).float()[:, None]
    return Oscillations(images, torch.from_numpy(labels), torch.from_numpy(phases), classes, 0.5, 0.5 / reach)


def frequencies(n_frequencies: int) -> Float64[Tensor, "k 2"]:
    """Return the frequencies along x and y of each class, in units of the Nyquist frequency."""
    each = torch.arange(n_frequencies, dtype=torch.float64) / n_frequencies
    return torch.cartesian_prod(each, each)


def signals(
    frequencies: Float[Tensor, "n 2"], phases: Float[Tensor, "m 2"], size: int = 32
) -> Float64[Tensor, "n size size"]:
    """Return oscillations without noise, values -1 to 1: column x of row y belongs to x and y.

    Raises
    ------
    ValueError
        If there is not one pair of phases for each pair of frequencies.
    """
    if frequencies.shape != phases.shape or frequencies.ndim != 2 or frequencies.shape[1] != 2:
        found = f"frequencies have shape {tuple(frequencies.shape)}, phases {tuple(phases.shape)}"
        raise ValueError(f"{found}; give two of each, along x and y, for every image: (n, 2)")
    angles = (
        frequencies.double()[..., None] * (torch.pi * torch.arange(size, dtype=torch.float64))
        + phases.double()[..., None]
    )
    along_x, along_y = angles.cos().unbind(1)  # (n, size)
    return along_y[:, :, None] * along_x[:, None, :]
