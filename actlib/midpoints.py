"""Images between two images in the sense of a network's layers, and paths made of them (document S5.2).

The wish is an image whose activation pattern has each bit from one of the two. Here are the first and second way, which
make distances in the layers small; ``targets`` has the third, which chooses the pattern first.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from actlib import energies
from actlib.energies import Bounds, representation

__all__ = ["Midpoints", "midpoints", "recursive"]

Layers = Iterable[str] | Mapping[str, float | int]


class Midpoints(NamedTuple):
    """One image between each of p pairs.

    Attributes
    ----------
    points
        ``(p, *shape)``.
    costs
        (p,): what the search made small, at ``points``.
    """

    points: Float[Tensor, "p *shape"]
    costs: Float[Tensor, " p"]


def midpoints(
    model: nn.Module,
    start: Float[Tensor, "p *shape"],
    end: Float[Tensor, "..."],
    layers: Layers,
    *,
    norm: Literal["l1", "l2"] = "l1",
    masked: bool = False,
    n_steps: int = 500,
    rate: float | int = 0.01,
    bounds: Bounds = (0, 1),
    initial: Float[Tensor, "..."] | None = None,
) -> Midpoints:
    """Return images z of least distance to both ends, summed over the layers (document S5.2.1, equation 49).

    The cost is the sum over the layers of D(f(z), f(start)) + D(f(end), f(z)). With L1 it is least wherever each value
    lies between those of the ends, so that nothing pulls z to the middle; with L2 in the middle of the layers' values.

    Parameters
    ----------
    model
        Any network; it runs in eval mode and is left as it was.
    start, end
        ``(p, *shape)``: images of the model's type, on its device.
    layers
        Names as in ``capture.layer_names``, or a dictionary of names and weights.
    norm
        "l1": D is the L1 distance, "l2": the squared L2 distance.
    masked
        D counts only the units whose bit differs: positive in one of z and the end and not in the other (S5.2.2,
        equation 50, whose brackets do not match; read as the norm of mask times difference). The mask is piecewise
        constant: no gradient passes it, and nothing holds a bit that all three share.
    n_steps, rate
        Of the descent; see ``energies.minimize``.
    bounds
        Range of a pixel; None: no range.
    initial
        ``(p, *shape)``, where to begin; None: the midpoints of the segments.

    Raises
    ------
    ValueError
        If the images do not fit each other, the model or the bounds, a layer or the norm is unknown, or a number is out
        of range.
    """
    energies.check_pairs(model, start, end, bounds)
    energies.check_norm(norm)
    weights = energies.as_weights(model, layers)
    start, end = start.detach(), end.detach()
    initial = start + (end - start) / 2 if initial is None else initial
    energies.check_pairs(model, initial, start, bounds)
    with torch.no_grad(), representation(model, weights) as features:
        ends = {name: value for name, (_, value) in features(torch.stack([start, end], 1)).items()}

        def cost(z: Tensor) -> Tensor:
            found = features(z[:, None])
            return sum(
                w * energies.size(_difference(value, ends[name], masked).flatten(1), norm)
                for name, (w, value) in found.items()
            )

        z = energies.minimize(cost, initial, n_steps=n_steps, rate=rate, bounds=bounds)
        return Midpoints(z, cost(z))


def recursive(
    model: nn.Module,
    start: Float[Tensor, "p *shape"],
    end: Float[Tensor, "..."],
    layers: Layers,
    depth: int,
    **options,
) -> Float[Tensor, "p n *shape"]:
    """Return paths of 2^depth + 1 points: midpoints of the ends, midpoints between these, and so on (S5.2).

    The gaps of all pairs are searched together; ``options`` are those of ``midpoints``. Depth 0 gives the two ends.
    Raises ValueError as ``midpoints``; if depth is negative.
    """
    if depth < 0:
        raise ValueError(f"depth = {depth}; give 0 or more")
    energies.check_pairs(model, start, end, options.get("bounds", (0, 1)))
    names = layers if isinstance(layers, Mapping | str) else list(layers)
    energies.as_weights(model, names)
    path = torch.stack([start, end], 1).detach()
    for _ in range(depth):
        gaps = path[:, :-1], path[:, 1:]
        middle = midpoints(model, *(side.flatten(0, 1) for side in gaps), names, **options).points
        middle = middle.unflatten(0, gaps[0].shape[:2])
        path = torch.cat([torch.stack([gaps[0], middle], 2).flatten(1, 2), path[:, -1:]], 1)
    return path


def _difference(z: Tensor, x: Tensor, masked: bool) -> Tensor:
    """Return z - x, or of it only the units whose bit differs."""
    return ((z > 0) != (x > 0)) * (z - x) if masked else z - x
