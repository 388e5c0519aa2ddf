"""Paths between two images that are short in a network's layers: the conditional geodesic and the joint objective.

Document S5.1 and S5.2. A batch of paths is optimised together, each by itself. How many boundaries a path crosses is
not counted here but by ``segments``: a sampled path counts too few.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from actlib import energies
from actlib.energies import Bounds, layer_energy, pixel_energy, representation

__all__ = ["Path", "geodesic", "joint", "straight", "without_component"]


class Path(NamedTuple):
    """Paths between p pairs of images, and what they cost on the way there.

    Attributes
    ----------
    points
        ``(p, n_points, *shape)``; the first and the last are the images themselves.
    pixel_energies, layer_energies
        (rows, p): E[gamma] and E[f(gamma)]. The first row is of the path at the start, the last of ``points``; for the
        rows between see the function.
    """

    points: Float[Tensor, "p n *shape"]
    pixel_energies: Float[Tensor, "rows p"]
    layer_energies: Float[Tensor, "rows p"]


def straight(
    start: Float[Tensor, "p *shape"], end: Float[Tensor, "..."], n_points: int = 11
) -> Float[Tensor, "p n *shape"]:
    """Return ``n_points`` equally spaced points on the segment of each pair, both ends exactly among them.

    Raises
    ------
    ValueError
        If the ends differ in shape or there are fewer than two points.
    """
    if start.shape != end.shape or start.ndim < 1:
        raise ValueError(f"start is {tuple(start.shape)} and end {tuple(end.shape)}; give as many, of one shape")
    if n_points < 2:
        raise ValueError(f"n_points = {n_points}; a path has two points or more, its ends")
    t = torch.linspace(0, 1, n_points, dtype=start.dtype, device=start.device).view(-1, *[1] * (start.ndim - 1))
    points = start[:, None] + t * (end - start)[:, None]
    points[:, -1] = end
    return points


@torch.no_grad()
def geodesic(
    model: nn.Module,
    start: Float[Tensor, "p *shape"],
    end: Float[Tensor, "..."],
    layers: Iterable[str] | Mapping[str, float | int],
    *,
    n_points: int = 11,
    n_rounds: int = 20,
    n_steps: int = 500,
    step: float | int = 0.2,
    rate: float | int = 0.01,
    bounds: Bounds = (0, 1),
    initial: Float[Tensor, "..."] | None = None,
) -> Path:
    """Return the paths of least E[gamma] among those of least E[f(gamma)] (Henaff and Simoncelli, 2016).

    E[gamma] is the sum of squared distances between neighbours on the path, E[f(gamma)] the same in the layers. First
    E[f(gamma)] is made small; then in each round the path takes one step against the gradient of E[gamma], without its
    component along the gradient of E[f(gamma)], and E[f(gamma)] is made small again (document S5.1, algorithm 1).

    Parameters
    ----------
    model
        Any network; it runs in eval mode and is left as it was.
    start, end
        ``(p, *shape)``: images of the model's type, on its device.
    layers
        Names as in ``capture.layer_names``, or a dictionary of names and weights. Without weights a layer of twice as
        many units counts twice as much.
    n_points
        On each path, both ends among them: the document's N is one less. 2 leaves nothing to find.
    n_rounds, n_steps
        How many rounds, and steps of gradient descent in each; the document gives neither.
    step
        The document's lambda: up to 0.25, beyond which the step can raise E[gamma].
    rate
        Change of a pixel in the first step of descent; see ``energies.minimize``.
    bounds
        Range of a pixel, in which the path is kept; None: no range.
    initial
        The path to begin with; None: the segment. Its ends must be the images.

    Returns
    -------
    Path
        The second row of the energies is after E[f(gamma)] was first made small, each further row after a round.

    Raises
    ------
    ValueError
        If the images do not fit each other, the model or the bounds, a layer is unknown, or a number is out of range.

    Examples
    --------
    >>> found = geodesic(model, images[:32], images[32:64], ["relu3"])
    >>> found.points.shape
    """
    if n_rounds < 0 or not 0 < step <= 0.25:
        raise ValueError(f"n_rounds = {n_rounds}, step = {step}; give 0 rounds or more, and a step of 0 to 0.25")
    weights, path = _begin(model, start, end, layers, n_points, bounds, initial)
    descent = {"n_steps": n_steps, "rate": rate, "bounds": bounds}
    with representation(model, weights) as features:
        pixels, of_layers = _costs(features, path, "l2")
        z = path[:, 1:-1]
        history = [(pixels(z), of_layers(z))]
        z = energies.minimize(of_layers, z, **descent)
        history.append((pixels(z), of_layers(z)))
        for _ in range(n_rounds if z.numel() else 0):
            direction = without_component(energies.gradient(pixels, z), energies.gradient(of_layers, z))
            z = energies.clamp(z - step * direction, bounds)
            z = energies.minimize(of_layers, z, **descent)
            history.append((pixels(z), of_layers(z)))
    return _finish(path, z, history)


@torch.no_grad()
def joint(
    model: nn.Module,
    start: Float[Tensor, "p *shape"],
    end: Float[Tensor, "..."],
    layers: Iterable[str] | Mapping[str, float | int],
    alpha: float | int,
    *,
    norm: Literal["l1", "l2"] = "l2",
    n_points: int = 11,
    n_steps: int = 500,
    rate: float | int = 0.01,
    bounds: Bounds = (0, 1),
    initial: Float[Tensor, "..."] | None = None,
) -> Path:
    """Return the paths of least E[gamma] + alpha E[f(gamma)]: one optimisation instead of two (document S5.2).

    Parameters are those of ``geodesic``, and

    alpha
        Weight of the layers, 0 or more.
    norm
        "l1": E[f(gamma)] is a sum of L1 distances, "l2" of squared L2 distances. E[gamma] always squares.

    Returns
    -------
    Path
        The rows of the energies are of each step in turn, the last of the cheapest path met, which is the one returned.

    Raises
    ------
    ValueError
        As ``geodesic``; if alpha is negative or the norm unknown.
    """
    energies.check_norm(norm)
    if not 0 <= alpha < float("inf"):
        raise ValueError(f"alpha = {alpha}; give 0 or more")
    weights, path = _begin(model, start, end, layers, n_points, bounds, initial)
    history: list[tuple[Tensor, Tensor]] = []
    with representation(model, weights) as features:
        pixels, of_layers = _costs(features, path, norm)

        def cost(z: Tensor) -> Tensor:
            in_pixels, in_layers = pixels(z), of_layers(z)
            history.append((in_pixels.detach(), in_layers.detach()))
            return in_pixels + alpha * in_layers

        z = energies.minimize(cost, path[:, 1:-1], n_steps=n_steps, rate=rate, bounds=bounds)
        cost(z)
    return _finish(path, z, history)


def without_component(d_p: Float[Tensor, "p *rest"], d_r: Float[Tensor, "p *rest"]) -> Float[Tensor, "p *rest"]:
    """Return d_p without its component along d_r, for each pair by itself; where d_r is zero, d_p itself."""
    # Scaled first: the square of a small gradient would be lost in float32.
    least = torch.finfo(d_r.dtype).tiny
    scaled = d_r.flatten(1) / d_r.flatten(1).abs().amax(1, keepdim=True).clamp(min=least)
    unit = torch.nn.functional.normalize(scaled, dim=1, eps=least)
    along = (d_p.flatten(1) * unit).sum(1, keepdim=True)
    return d_p - (along * unit).view_as(d_p)


def _begin(model, start, end, layers, n_points, bounds, initial) -> tuple[dict[str, float], Tensor]:
    """Check the arguments; return the weights of the layers and the paths at the start."""
    energies.check_pairs(model, start, end, bounds)
    weights = energies.as_weights(model, layers)
    path = straight(start.detach(), end.detach(), n_points)
    if initial is None:
        return weights, energies.clamp(path, bounds)  # rounding may leave the range
    if initial.shape != path.shape or not (initial[:, [0, -1]] == path[:, [0, -1]]).all():
        raise ValueError(
            f"initial is {tuple(initial.shape)}; give paths {tuple(path.shape)} whose first and last points are the "
            "images of start and end"
        )
    return weights, energies.clamp(initial.detach(), bounds)


def _costs(
    features: Callable[[Tensor], energies.Features], path: Tensor, norm: Literal["l1", "l2"]
) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Return E[gamma] and E[f(gamma)] as functions of the points between the ends, which are seen once."""
    first, last = path[:, :1], path[:, -1:]
    ends = features(path[:, [0, -1]])

    def pixels(z: Tensor) -> Tensor:
        return pixel_energy(torch.cat([first, z, last], 1))

    def of_layers(z: Tensor) -> Tensor:
        if not z.numel():
            return layer_energy(ends, norm)
        joined = {
            name: (weight, torch.cat([ends[name][1][:, :1], value, ends[name][1][:, 1:]], 1))
            for name, (weight, value) in features(z).items()
        }
        return layer_energy(joined, norm)

    return pixels, of_layers


def _finish(path: Tensor, z: Tensor, history: list[tuple[Tensor, Tensor]]) -> Path:
    """Return the result: the ends are the images as they came."""
    pixel_energies, layer_energies = (torch.stack(part) for part in zip(*history, strict=True))
    return Path(torch.cat([path[:, :1], z, path[:, -1:]], 1), pixel_energies, layer_energies)
