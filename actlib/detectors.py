"""The best that can be done with oscillations in noise: detectors that know everything but the class and the phases.

Both weigh each class by its evidence, the likelihood of the image averaged over all phases, and name the class of the
highest. If the classes are equally frequent, and the noise is what they take it for, no other rule, hence no network,
is right more often. ``gaussian`` takes the noise for normal, with the right variance. ``uniform`` knows that it is
uniform, as it is in ``oscillations.draw``, and is the sharper one.

A class is n times the number of its frequency along x plus that along y, as in ``oscillations.frequencies(n)``.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from actlib import oscillations

# Grid points a turn where classes are looked through, and numbers held at a time.
_COARSE, _HELD = 32, 2**22
# Grid points a standard deviation of a phase, of the sharpest there can be: errors of 1 in 10,000.
_FINE = 1 / 1.5
# Rounding of the images to float32, and when to stop halving cells.
_ROUNDING, _MANY, _DEEP = 1e-5, 100_000, 14


class _Axis(NamedTuple):
    """One axis: cosine and minus sine of each frequency at each pixel, and their inner products."""

    basis: Float64[Tensor, "s f 2"]
    gram: Float64[Tensor, "f 2 2"]


def gaussian(values: Float64[Tensor, "n h w"], *, noise: float, n_frequencies: int) -> Int64[Tensor, " n"]:
    """Return the class with the highest evidence of each image if the noise were normal, with variance noise^2 / 12.

    Exact up to the quadrature over the phases: classes whose likelihood nowhere reaches the evidence of another are
    left out by a bound, the others integrated on a grid that is finer than any peak.

    Parameters
    ----------
    values
        Images on the published scale: ``Oscillations.values()``.
    noise, n_frequencies
        As in ``oscillations.draw``; the noise is positive.

    Raises
    ------
    ValueError
        If the images are not square or not finite, or an option is out of range.
    """
    _check(values, noise, n_frequencies)
    axis = _axis(values.shape[-1], n_frequencies)
    step = max(1, _HELD // (n_frequencies**2 * _COARSE**2 // 2))
    return torch.cat([_gaussian(part, axis, noise**2 / 12) for part in values.double().split(step)])


def evidence(
    projections: Float64[Tensor, "m 2 2"],
    grams: tuple[Float64[Tensor, "m 2 2"], Float64[Tensor, "m 2 2"]],
    variance: float,
    n_points: int,
) -> Float64[Tensor, " m"]:
    """Return the logarithm of a likelihood averaged over both phases, on a grid of ``n_points`` (even) a turn.

    Up to what all classes share. Image and class enter by the projections of the image on the products of the class's
    cosine and sine along x and y, and by the inner products of cosine and sine along each.
    """
    found = []
    for part in torch.arange(len(projections)).split(max(1, 2 * _HELD // n_points**2)):
        score = _scores(projections[part], grams[0][part], grams[1][part], n_points) / variance
        found.append(score.flatten(1).logsumexp(1) - math.log(n_points**2 / 2))
    return torch.cat(found)


def uniform(values: Float64[Tensor, "n h w"], *, noise: float, n_frequencies: int) -> Int64[Tensor, " n"]:
    """Return the class with the highest evidence of each image for uniform noise: the one that most phases allow.

    A class allows an image at some phases if no pixel is farther than noise / 2 from the signal there. The phases are
    cut into cells, cells that allow nothing are dropped by a bound, and the others are halved until one class is left.
    Where several classes stay possible their cells are counted when they are small. One image after the other.

    Parameters and errors as ``gaussian``; ValueError also if no class can have made an image.
    """
    _check(values, noise, n_frequencies)
    classes = oscillations.frequencies(n_frequencies)
    pixels = math.pi * torch.arange(values.shape[-1], dtype=torch.float64)
    return torch.stack([_uniform(image, classes, pixels, noise / 2 + _ROUNDING) for image in values.double()])


def _check(values: Tensor, noise: float, n_frequencies: int) -> None:
    """Raise ValueError for what no detector takes."""
    if values.ndim != 3 or values.shape[1] != values.shape[2] or not len(values) or not values.isfinite().all():
        raise ValueError(f"values have shape {tuple(values.shape)}; give finite square images (n, s, s), one at least")
    if not 0 < noise < math.inf or n_frequencies < 2:
        raise ValueError(
            f"noise = {noise}, n_frequencies = {n_frequencies}; the noise is positive and finite, and there are at "
            "least 2 frequencies"
        )


def _axis(size: int, n_frequencies: int) -> _Axis:
    """Return the basis of one axis: cos(pi m f + phi) is its product with (cos phi, sin phi)."""
    each = torch.arange(n_frequencies, dtype=torch.float64) / n_frequencies
    angles = math.pi * torch.arange(size, dtype=torch.float64)[:, None] * each
    basis = torch.stack([angles.cos(), -angles.sin()], -1)
    return _Axis(basis, torch.einsum("sfa,sfb->fab", basis, basis))


def _turn(n_points: int) -> Float64[Tensor, "p 2"]:
    """Return cosine and sine of phases all round."""
    phases = 2 * math.pi * torch.arange(n_points, dtype=torch.float64) / n_points
    return torch.stack([phases.cos(), phases.sin()], -1)


def _scores(projections: Tensor, gram_x: Tensor, gram_y: Tensor, n_points: int) -> Float64[Tensor, "... p q"]:
    """Return the log-likelihood times the variance at each phase along x (half a turn) and y.

    Half a turn is enough: half a turn more along both axes is the same signal.
    """
    v = _turn(n_points)
    u = v[: n_points // 2]
    energies = [torch.einsum("pa,...ab,pb->...p", w, gram, w) for w, gram in ((u, gram_x), (v, gram_y))]
    return u @ projections @ v.T - energies[0][..., :, None] * energies[1][..., None, :] / 2


def _gaussian(values: Float64[Tensor, "n s s"], axis: _Axis, variance: float) -> Int64[Tensor, " n"]:
    """Return the classes of a few images."""
    size, n_frequencies = axis.basis.shape[:2]
    projections = torch.einsum("nyx,xfa,ygb->nfgab", values, axis.basis, axis.basis).flatten(1, 2)  # (n, k, 2, 2)
    first = torch.arange(n_frequencies).repeat_interleave(n_frequencies)
    grams = axis.gram[first], axis.gram[torch.arange(n_frequencies).repeat(n_frequencies)]
    peak = (_scores(projections, *grams, _COARSE) / variance).flatten(2).amax(2)  # (n, k)
    n_points = max(_COARSE, 2 * math.ceil(math.pi * size * _FINE / math.sqrt(2 * variance)))
    curvature = _curvature(projections, grams) / variance
    # At a peak the gradient is zero. By Taylor's theorem it rises above the nearest grid point, half a step away along
    # each axis, by no more than this, and the evidence is at least that of a normal peak of this curvature.
    high = peak + curvature / 2 * (math.pi / _COARSE) ** 2
    low = peak + 2 * torch.log((math.pi * (curvature / 2).sqrt()).erf() / (2 * math.pi * curvature).sqrt())
    possible = high >= low.amax(1, keepdim=True)
    open_ = possible.sum(1) > 1
    image, kind = (possible & open_[:, None]).nonzero().T
    found = torch.where(open_[:, None], -math.inf, peak)
    found[image, kind] = evidence(projections[image, kind], (grams[0][kind], grams[1][kind]), variance, n_points)
    return found.argmax(1)


def _curvature(projections: Float64[Tensor, "n k 2 2"], grams: tuple[Tensor, Tensor]) -> Float64[Tensor, "n k"]:
    """Return a bound for the sum of the second derivatives of the log-likelihood times the variance.

    The energy along an axis is g + r cos(2 phi + psi): its first and second derivatives are at most 2 r and 4 r.
    """
    level = [gram.diagonal(dim1=-2, dim2=-1).sum(-1) / 2 for gram in grams]
    swing = [torch.hypot((gram[:, 0, 0] - gram[:, 1, 1]) / 2, gram[:, 0, 1]) for gram in grams]
    pure = [2 * swing[a] * (level[b] + swing[b]) for a, b in ((0, 1), (1, 0))]
    return 4 * torch.linalg.matrix_norm(projections) + pure[0] + pure[1] + 4 * swing[0] * swing[1]


def _uniform(
    image: Float64[Tensor, "s s"], classes: Float64[Tensor, "k 2"], pixels: Float64[Tensor, " s"], reach: float
) -> Int64[Tensor, ""]:
    """Return the class of one image."""
    # The outermost pixels say most; those that no signal could bring out of reach say nothing.
    order = image.abs().flatten().argsort(descending=True)
    order = order[: int((image.abs() > reach - 1).sum())]
    wanted, x, y = image.flatten()[order], pixels[order % len(image)], pixels[order // len(image)]

    def allows(kind: Tensor, phases: Tensor, half: float) -> Tensor:
        """Say which cells, by class, centre and half width, may allow the image: few pixels first, then more."""
        left, start, stop = torch.arange(len(kind)), 0, 8
        while start < len(wanted) and len(left):
            at = slice(start, stop)
            along_x = (classes[kind[left], 0, None] * x[at] + phases[left, 0, None]).cos()
            along_y = (classes[kind[left], 1, None] * y[at] + phases[left, 1, None]).cos()
            # Across the cell each of the two cosines changes by no more than its phase.
            slack = half * (along_x.abs() + along_y.abs() + half)
            left = left[((wanted[at] - along_x * along_y).abs() <= reach + slack).all(1)]
            start, stop = stop, 3 * stop
        return left

    half = 2 * math.pi / _COARSE
    ticks = half * (2 * torch.arange(_COARSE // 2, dtype=torch.float64) + 1)
    grid = torch.cartesian_prod(ticks[: _COARSE // 4], ticks)
    kind = torch.arange(len(classes)).repeat_interleave(len(grid))
    phases = grid.repeat(len(classes), 1)
    quarters = torch.cartesian_prod(*[torch.tensor([-0.5, 0.5], dtype=torch.float64)] * 2)
    for _ in range(_DEEP):
        left = allows(kind, phases, half)
        kind, phases = kind[left], phases[left]
        if len(kind) == 0:
            raise ValueError("no class can have made this image with this noise; check noise and the scale of values")
        if (kind == kind[0]).all():
            return kind[0]
        if 4 * len(kind) > _MANY:
            break
        phases = (phases[:, None] + half * quarters).flatten(0, 1)
        kind, half = kind.repeat_interleave(4), half / 2
    inside = kind[allows(kind, phases, 0.0)]
    return (inside if len(inside) else kind).mode().values
