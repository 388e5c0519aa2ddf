"""How much of a layer is needed: its activations projected onto fewer directions, and what the network still knows.

A *basis* is a matrix of orthonormal columns, the most important first: of length c for the channels of a map, or
c h w for a whole map, flattened in PyTorch's order (width fastest). ``covariance.pca`` finds the best.
"""

import math
from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

from actlib import covariance, names
from actlib.covariance import Array, Axis
from actlib.hooks import evaluating

__all__ = ["Projection", "accuracy_after", "kept", "random_orthonormal", "random_uniform", "scrambled", "suffix"]


def random_orthonormal(d: int, k: int, *, generator: torch.Generator) -> Float64[Tensor, "d k"]:
    """Return a basis of ``k`` directions, all equally likely (Haar), on the generator's device.

    A projection onto it keeps k / d of the energy of any vector, on average over bases. ValueError if k is not 1 to d.
    """
    _check_rank(d, k)
    return _orthonormal(torch.randn(d, k, generator=generator, device=generator.device, dtype=torch.float64))


def random_uniform(d: int, k: int, *, generator: torch.Generator) -> Float64[Tensor, "d k"]:
    """Return a basis of what a matrix M (d, k) of uniform numbers in [0, 1) spans, on the generator's device.

    A projection onto it multiplies by M pinv(M). All entries are positive, so that (1, ..., 1) is nearly in the span,
    and with it most of the mean of what a ReLU gives: these are not directions like any others. Errors as above.
    """
    _check_rank(d, k)
    return _orthonormal(torch.rand(d, k, generator=generator, device=generator.device, dtype=torch.float64))


def _check_rank(d: int, k: int) -> None:
    """Raise ValueError if there are no ``k`` independent directions in ``d`` dimensions."""
    if not 1 <= k <= d:
        raise ValueError(f"k = {k} directions of length d = {d}; choose 1 to {d}")


def _orthonormal(matrix: Float64[Tensor, "d k"]) -> Float64[Tensor, "d k"]:
    """Return orthonormal columns that span what those of ``matrix`` do."""
    q, r = torch.linalg.qr(matrix)
    return q * r.diagonal().sign()  # without the signs not all directions are equally likely (Mezzadri 2007)


def scrambled(components: Float[Tensor, "d k"], shape: tuple[int, int, int]) -> Float[Tensor, "d k"]:
    """Return how a basis of whole maps acts when two programs disagree on the order of a flattened map.

    The one that finds it flattens (h, w, c) as MATLAB does, h fastest and c slowest; the one that applies it as
    TensorFlow does, c fastest. So each entry weighs another value than it was made for. What comes in and what goes out
    is in PyTorch's order.

    Parameters
    ----------
    components
        (d, k), of maps (c, h, w) flattened by PyTorch.
    shape
        (c, h, w); where two of the three are 1 nothing changes.

    Raises
    ------
    ValueError
        If c h w is not d.
    """
    if math.prod(shape) != len(components):
        found = f"a map of shape {tuple(shape)} has {math.prod(shape)} values"
        raise ValueError(f"{found}, the basis is of {len(components)}; give the (c, h, w) of the layer")
    index = torch.arange(len(components), device=components.device).view(shape)
    matlab, tensorflow = index.permute(0, 2, 1).flatten(), index.permute(1, 2, 0).flatten()
    found = torch.empty_like(components)
    found[tensorflow] = components[matlab]
    return found


def kept(components: Float[Tensor, "d k"], moment: Float64[Tensor, "d d"]) -> Float64[Tensor, " j"]:
    """Return the share of the energy, 0 to 1, that projections onto the first 0, 1, ..., k columns keep: k + 1 values.

    ``moment`` says of which energy: ``covariance`` for projections with the mean, ``second_moment`` for those without.

    Raises
    ------
    ValueError
        If the sizes differ, or there is no energy.
    """
    if len(components) != len(moment):
        raise ValueError(f"the basis is of {len(components)} values, the moment of {len(moment)}; take one layer's")
    if not (total := moment.trace()) > 0:
        raise ValueError("the moment is zero: there is no energy of which a share could be kept; leave this layer out")
    components = components.to(moment)
    along = (components * (moment @ components)).sum(0)
    return torch.cat([along.new_zeros(1), along.cumsum(0)]) / total


class Projection(nn.Module):
    """A compression layer: what it gets, reduced to the first k directions of a basis.

    With P the (d, k) matrix of these directions, x becomes mean + (x - mean) P P', or x P P' without a mean. It suits
    ``capture.edit(model, {layer: projection})`` and ``accuracy_after``, and is a layer like any other.

    Parameters
    ----------
    components
        (d, m), orthonormal columns. Nothing is copied at a call if they have the network's dtype and device.
    k
        1 to m; with a mean 0 too, which leaves nothing else. None is m.
    mean
        (d) or None: without it, the part of the mean outside of the directions is lost as well.
    axis
        "all": a sample is one vector of d = c h w; "channels": each position of (n, c, ...) is one of d = c.

    Raises
    ------
    ValueError
        If ``k`` is out of range or the columns are not orthonormal; at a call, if the activations do not fit.
    """

    def __init__(
        self,
        components: Float[Tensor, "d m"],
        k: int | None = None,
        *,
        mean: Float[Tensor, " d"] | None = None,
        axis: Axis = "all",
    ):
        super().__init__()
        most, least = components.shape[1], 1 if mean is None else 0
        k = most if k is None else k
        if not least <= k <= most:
            hint = "; 0 would leave nothing: give a mean" if k == 0 else ""
            raise ValueError(f"k = {k}, but the basis has {most} components; choose {least} to {most}{hint}")
        if axis not in ("all", "channels"):
            raise ValueError(f"axis = {axis!r}; choose 'all' or 'channels'")
        if mean is not None and mean.shape != components.shape[:1]:
            raise ValueError(f"the mean is of shape {tuple(mean.shape)}, the basis of {len(components)} values")
        self.axis = axis
        self.register_buffer("components", components[:, :k])
        self.register_buffer("mean", mean)
        _require_orthonormal(self.components)

    def forward(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """Return the projected activations, of the same shape."""
        d = len(self.components)
        n_values = math.prod(x.shape[1:] if self.axis == "all" else x.shape[1:2])
        if n_values != d:
            raise ValueError(
                f"activations of shape {tuple(x.shape)} have {n_values} values along axis {self.axis!r}, the basis is "
                f"of {d}; take the basis of this layer and axis"
            )
        vectors = x.flatten(1) if self.axis == "all" else x.movedim(1, -1)  # (n, ..., d)
        p, mean = self.components.to(x), 0 if self.mean is None else self.mean.to(x)
        projected = mean + (vectors - mean) @ p @ p.T
        return projected.view_as(x) if self.axis == "all" else projected.movedim(-1, 1).contiguous()


def _require_orthonormal(components: Float[Tensor, "d k"]) -> None:
    """Raise ValueError unless P'(P v) = v, for one v without any symmetry: quicker than to look at P'P."""
    probe = torch.arange(1, components.shape[1] + 1).cos().to(components)
    error = torch.dist(components.T @ (components @ probe), probe)
    if not error <= 0.01 * probe.norm():  # nor if it is NaN
        raise ValueError("the columns of the basis are not orthonormal; take pca, a random basis, or torch.linalg.qr")


def suffix(model: nn.Module, layer: str) -> nn.Sequential:
    """Return the part of ``model`` that follows a layer, as a network of the same modules, not of copies.

    Parameters
    ----------
    model
        An ``nn.Sequential``, as all networks of this package are.
    layer
        One of its modules, or one of those of an ``nn.Sequential`` in it: "relu1", "layer2", "layer2.0".

    Raises
    ------
    ValueError
        If the name is unknown, the layer is called more than once, or lies in a block whose own forward pass says what
        follows; the message names the block.
    """
    wanted = names.find(model, [layer])[layer]
    if (n_places := sum(m is wanted for _, m in model.named_modules(remove_duplicate=False))) > 1:
        raise ValueError(f"layer {layer!r} stands in {n_places} places; give each place a module of its own")
    container, way, rest = model, [], []
    for part in layer.split("."):
        if type(container).forward is not nn.Sequential.forward:
            where = f"block {'.'.join(way)!r}" if way else "the model"
            remedy = f"cut behind {'.'.join(way)!r}" if way else "run the whole network inside capture.edit"
            raise ValueError(
                f"layer {layer!r} lies in {where}, a {type(container).__name__}, whose forward pass alone knows what "
                f"follows; {remedy}"
            )
        following = list(container)[list(container._modules).index(part) + 1 :]
        container, way, rest = container._modules[part], [*way, part], following + rest
    return nn.Sequential(*rest)


@torch.no_grad()
def accuracy_after(
    model: nn.Module,
    layer: str,
    stored: Array,
    labels: Int64[Tensor, " n"],
    projections: Mapping[str, Callable[[Tensor], Tensor]],
    *,
    batch_size: int = 500,
) -> dict[str, float]:
    """Return the accuracy, 0 to 1, with each projection behind a layer, by running only the ``suffix`` of the network.

    It is that of the whole network inside ``capture.edit(model, {layer: projection})``, in eval mode.

    Parameters
    ----------
    model, layer
        As for ``suffix``; the model's modes are left as they were.
    stored
        (n, ...), what the layer gives for each image, from ``capture.collect``; it is read once, batch by batch.
    labels, batch_size
        Class of each image; how many images are run at a time.
    projections
        Functions of a batch of activations, by any names; ``nn.Identity()`` gives the accuracy without compression.

    Raises
    ------
    ValueError
        As ``suffix``; without one label an image, for NaN or infinity, or if a projection does not fit the layer.
    """
    rest = suffix(model, layer)
    if not len(stored) == len(labels) > 0 or batch_size < 1:
        found = f"{len(stored)} samples and {len(labels)} labels for layer {layer!r}, batch_size = {batch_size}"
        raise ValueError(f"{found}; give one label a sample and a batch_size of 1 or more")
    like = next(model.parameters(), torch.empty(0))
    n_right, start = dict.fromkeys(projections, 0), 0
    with evaluating(rest):
        try:
            for batch in (part for block in covariance.read(stored, like.device) for part in block.split(batch_size)):
                target = labels[start : start + len(batch)].to(like.device)
                for name, projection in projections.items():
                    output = projection(batch.to(like, copy=True))  # an in-place ReLU may come next
                    n_right[name] += (rest(output).argmax(1) == target).sum().item()
                start += len(batch)
        except Exception as error:
            error.add_note(f"behind layer {layer!r}, with stored activations of shape {tuple(stored.shape)}")
            raise
    return {name: n / len(stored) for name, n in n_right.items()}
