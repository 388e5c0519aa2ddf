"""Principal components of more vectors than fit into memory: mean and covariance in one pass, then eigenvectors."""

import math
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Shaped
from scipy import linalg
from torch import Tensor

__all__ = ["Array", "Axis", "Basis", "Moments", "moments", "pca", "read"]

Array = Shaped[Tensor, "..."] | Shaped[np.ndarray, "..."]
Axis = Literal["all", "channels"]

# Values read at a time: 16 MB of float32, enough rows to multiply at full speed.
_BLOCK = 2**22
# Rows of the covariance computed at a time. What lies below them is known by symmetry, which saves half of the work.
_TILE = 256
# For at most this share of all eigenvectors on a CPU, finding only them is faster.
_FEW = 1 / 8
_SINGLE = {torch.float16, torch.bfloat16, torch.float32}


class Moments(NamedTuple):
    """What PCA has to know of ``n`` vectors.

    Attributes
    ----------
    n
        How many there are.
    mean
        (d)
    covariance
        (d, d), the mean product of two deviations: divided by n, not n - 1, so that sums of eigenvalues are mean
        squared errors of these very vectors.
    """

    n: int
    mean: Float64[Tensor, " d"]
    covariance: Float64[Tensor, "d d"]

    @property
    def second_moment(self) -> Float64[Tensor, "d d"]:
        """The mean product of two values as they are, not centred."""
        return torch.addr(self.covariance, self.mean, self.mean)


class Basis(NamedTuple):
    """The principal components of a set of vectors.

    Attributes
    ----------
    components
        (d, k), orthonormal columns; a component's sign makes its largest entry positive.
    variances
        (k), descending: the mean square along each component, of the deviations from ``mean`` or of the values.
    mean
        (d), or None if the values were not centred.
    """

    components: Float64[Tensor, "d k"]
    variances: Float64[Tensor, " k"]
    mean: Float64[Tensor, " d"] | None


@torch.no_grad()
def moments(x: Array | Iterable[Array], *, axis: Axis = "all", device: torch.device | str | None = None) -> Moments:
    """Return mean and covariance of activations that may be far larger than the memory.

    Beside one block there is never more in memory than two d x d matrices. Each block is centred on its own mean, so
    that a mean far from zero costs no digits, and joined to those before (Chan, Golub and LeVeque 1983). All sums are
    float64. Products of float32 are float32 on the CPU, which halves the time and leaves eigenvalues right to about
    1e-7 of their sum; float64 data, and a GPU, multiply in float64.

    Parameters
    ----------
    x
        (n, ...): a tensor, an array or a file mapped to memory, which are read in blocks; or anything that yields
        such blocks one by one.
    axis
        "all": each sample is one vector, flattened. "channels": each position of (n, c, ...) is one vector of length c.
    device
        Where to compute; None is where the data are. Apple's GPUs know no float64: there the CPU computes.

    Raises
    ------
    ValueError
        If there is nothing, blocks differ in their length of vectors, or values are no real numbers, NaN, infinite
        (the message tells how many samples and the first) or too large to be squared.

    Examples
    --------
    >>> found = moments(np.load("relu2.npy", mmap_mode="r"), axis="channels")
    """
    if axis not in ("all", "channels"):
        raise ValueError(f"axis = {axis!r}; choose 'all' or 'channels'")
    n = 0
    for block in read(x, device):
        rows = block.flatten(1) if axis == "all" else block.movedim(1, -1).flatten(0, -2)  # (m, d)
        d = rows.shape[1]
        if not n:
            mean = torch.zeros(d, dtype=torch.float64, device=rows.device)
            scatter = torch.zeros(d, d, dtype=torch.float64, device=rows.device)
        elif d != len(mean):
            raise ValueError(
                f"a block of shape {tuple(block.shape)} has {d} values a vector along axis {axis!r}, those before "
                f"have {len(mean)}; give blocks of one layer"
            )
        mean = _add(scatter, mean, n, rows)
        n += len(rows)
    if not n:
        raise ValueError("there are no activations; give at least one sample")
    covariance = scatter.div_(n).triu_()
    covariance += covariance.triu(1).T
    if not covariance.diagonal().isfinite().all():
        raise ValueError("values are so large that their squares are infinite; scale the activations down")
    return Moments(n, mean, covariance)


def pca(moments: Moments, k: int | None = None, *, centred: bool = True) -> Basis:
    """Return the first ``k`` principal components, exactly, where ``moments`` are.

    Parameters
    ----------
    moments
        Of ``covariance.moments``.
    k
        1 to d, and at most as many as the n vectors define: n - 1 if centred, since the mean takes one, else n. None is
        as many as there can be. Few are found faster than all.
    centred
        False diagonalises the second moment instead of the covariance: the best directions for a projection without
        a mean, the first of which is mostly the mean's.

    Raises
    ------
    ValueError
        If ``k`` is out of range, or there is no variance.
    """
    n, d = moments.n, len(moments.mean)
    most = min(d, n - 1 if centred else n)
    k = most if k is None else k
    if not 1 <= k <= most:
        raise ValueError(
            f"k = {k}, but {n} vectors of length {d}{', centred,' if centred else ''} define {most} components; choose "
            f"{f'1 to {most}' if most else 'more vectors'}"
        )
    values, vectors = _largest(moments.covariance if centred else moments.second_moment, k)
    if values[0] <= 0:
        raise ValueError(
            f"all {n} vectors are {'the same' if centred else 'zero'}: they have no principal components; give others"
        )
    signs = vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
    return Basis(vectors.mul_(signs), values.clamp_min(0), moments.mean if centred else None)


def read(x: Array | Iterable[Array], device: torch.device | str | None = None) -> Iterator[Float[Tensor, "m ..."]]:
    """Yield samples in blocks of at most ``_BLOCK`` values, or of one sample, as finite floating point on one device.

    For the arguments and what is refused, see ``moments``.
    """
    start = 0
    for part in [x] if isinstance(x, Tensor | np.ndarray) else x:
        _check(part)
        if device is None:
            device = part.device if isinstance(part, Tensor) else "cpu"
        device = "cpu" if torch.device(device).type == "mps" else device
        step = max(1, _BLOCK // math.prod(part.shape[1:]))
        for first in range(0, len(part), step):
            block = part[first : first + step]
            if isinstance(block, np.ndarray):
                block = torch.from_numpy(np.array(block))  # a copy, since PyTorch knows no read-only memory
            block = block.to(device)
            block = block if block.dtype in _SINGLE else block.double()
            _require_finite(block, start)
            yield block
            start += len(block)


def _check(part: object) -> None:
    """Raise ValueError if a block is not (n, ...) of real numbers."""
    if not isinstance(part, Tensor | np.ndarray):
        raise ValueError(f"a block is a {type(part).__name__}; give tensors or arrays (n, ...)")
    real = not part.is_complex() if isinstance(part, Tensor) else part.dtype.kind in "biuf" and part.itemsize <= 8
    if part.ndim < 2 or 0 in part.shape[1:] or not real:
        raise ValueError(f"a block is {part.dtype} of shape {tuple(part.shape)}; give real numbers (n, ...)")


def _require_finite(block: Float[Tensor, "m ..."], start: int) -> None:
    """Raise ValueError if a value is NaN or infinite."""
    low, high = block.aminmax()  # both hand on a NaN, and a mask would take ten times as long
    if not (low.isfinite() and high.isfinite()):
        bad = (~block.isfinite()).flatten(1).any(1).nonzero()[:, 0]
        raise ValueError(
            f"{len(bad)} of the {len(block)} samples from sample {start} on hold NaN or infinity, the first is sample "
            f"{start + bad[0].item()}; repair or leave out these samples"
        )


def _add(
    scatter: Float64[Tensor, "d d"], mean: Float64[Tensor, " d"], n: int, rows: Float[Tensor, "m d"]
) -> Float64[Tensor, " d"]:
    """Add ``rows`` to the upper triangle of ``scatter``, the sums over ``n`` vectors so far; return the new mean."""
    m, d = rows.shape
    precise = rows.device.type != "cpu" or rows.dtype == torch.float64
    rows = rows.to(torch.float64 if precise else torch.float32)
    own = rows.mean(0)
    deviations = torch.empty(m + 1, d, dtype=rows.dtype, device=rows.device)
    torch.sub(rows, own, out=deviations[:-1])
    # What rounding has left of the mean, if it is far from zero.
    rest = deviations[:-1].mean(0)
    deviations[:-1] -= rest
    step = own.double() + rest - mean
    # What lies between the two means enters as if it were one more row.
    deviations[-1] = step * math.sqrt(n * m / (n + m))
    for i in range(0, d, _TILE):
        scatter[i : i + _TILE, i:] += deviations[:, i : i + _TILE].T @ deviations[:, i:]
    return mean + step * (m / (n + m))


def _largest(matrix: Float64[Tensor, "d d"], k: int) -> tuple[Float64[Tensor, " k"], Float64[Tensor, "d k"]]:
    """Return the largest eigenvalues of a symmetric matrix, descending, and their vectors."""
    if matrix.device.type != "cpu":
        values, vectors = torch.linalg.eigh(matrix)
    else:  # SciPy's LAPACK is faster than PyTorch's, and can leave out what is not asked for
        d = len(matrix)
        way = {"driver": "evr", "subset_by_index": [d - k, d - 1]} if k <= _FEW * d else {"driver": "evd"}
        found = linalg.eigh(matrix.detach().clone().numpy().T, overwrite_a=True, check_finite=False, **way)
        values, vectors = map(torch.from_numpy, found)
    return values.flip(0)[:k], vectors.flip(1)[:, :k]
