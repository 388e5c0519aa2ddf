"""A plane through three inputs, with coordinates in the units of the input space."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Shaped
from numpy import ndarray
from torch import Tensor

# The third input is on the line of the other two if it is nearer to it than this share of their distances, or this many
# roundings.
_COLLINEAR, _ROUNDINGS = 1e-9, 16


class Plane(NamedTuple):
    """A plane in the input space.

    Attributes
    ----------
    origin
        The point (0, 0): the first input.
    axes
        ``(2, *shape)``, at right angles, of length 1.
    corners
        (3, 2), where the three inputs are.
    """

    origin: Float64[Tensor, "*shape"]
    axes: Float64[Tensor, "2 *shape"]
    corners: Float64[ndarray, "3 2"]

    def points(self, coordinates: Shaped[ndarray, "n 2"]) -> Float64[Tensor, "n *shape"]:
        """Return the inputs at coordinates of the plane."""
        there = torch.from_numpy(np.asarray(coordinates, np.float64)).to(self.axes.device)
        return self.origin + torch.tensordot(there, self.axes, 1)


def through(first: Float[Tensor, "..."], second: Float[Tensor, "..."], third: Float[Tensor, "..."]) -> Plane:
    """Return the plane through three inputs.

    Raises
    ------
    ValueError
        If shapes differ, a value is not finite, two inputs are the same or all three are on one line.
    """
    inputs = [first, second, third]
    if len({tuple(x.shape) for x in inputs}) > 1 or first.numel() < 2:
        raise ValueError(f"inputs have shapes {[tuple(x.shape) for x in inputs]}; give three of one shape")
    origin, *others = (x.detach().double().flatten() for x in inputs)
    along, across = (x - origin for x in others)
    if not (origin.isfinite().all() and along.isfinite().all() and across.isfinite().all()):
        raise ValueError("an input holds NaN or infinity; repair it or choose another")
    length, apart = along.norm(), across.norm()
    if not (length > 0 and apart > 0 and (along - across).norm() > 0):
        raise ValueError("two of the three inputs are the same; choose three that differ")
    along = along / length
    shift = across @ along
    across = across - shift * along
    across = across - across @ along * along  # once more, for rounding
    height = across.norm()
    share = max(_COLLINEAR, *(_ROUNDINGS * torch.finfo(x.dtype).eps for x in inputs))
    if not height > share * max(length, apart):
        raise ValueError("the three inputs are on one line; a plane needs a third beside it")
    corners = np.array([[0, 0], [length.item(), 0], [shift.item(), height.item()]])
    axes = torch.stack([along, across / height])
    return Plane(origin.view(first.shape), axes.view(2, *first.shape), corners)
