"""The networks of a population, one at a time: out of the stacked parameters of many LeNets."""

from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from actlib import models
from actlib.hooks import evaluating

__all__ = ["Population", "members", "n_members", "prepared"]

# One network, or stacked parameters ``(m, ...)`` of m networks ``models.lenet5``.
Population = nn.Module | Mapping[str, Tensor]


def n_members(population: Population) -> int:
    """Return the number of networks."""
    return 1 if isinstance(population, nn.Module) else len(next(iter(population.values())))


def members(population: Population, images: Tensor) -> Iterator[nn.Module]:
    """Yield each network of a population, in eval mode, on the device of its parameters.

    For stacked parameters it is one and the same module, filled anew: use it before the next one comes.

    Raises
    ------
    ValueError
        If the parameters are not those of ``models.lenet5`` for images of this shape, stacked.
    """
    if isinstance(population, nn.Module):
        with evaluating(population):
            yield population
        return
    skeleton = _skeleton(population, images)
    targets = {k: v for k, v in skeleton.state_dict(keep_vars=True).items() if k in population}
    for k in range(n_members(population)):
        with torch.no_grad():
            for name, target in targets.items():
                target.copy_(population[name][k])
        yield skeleton


def prepared(population: Population, images: Tensor) -> Float[Tensor, "n c h w"]:
    """Return images as the networks take them: ``models.prepare``, on the device of the parameters.

    Raises
    ------
    ValueError
        As ``models.prepare`` and ``members``.
    """
    if images.ndim != 4:
        raise ValueError(f"images have shape {tuple(images.shape)}, not (n, c, h, w); add the missing axis with [None]")
    return models.prepare(population if isinstance(population, nn.Module) else _skeleton(population, images), images)


def _skeleton(state: Mapping[str, Tensor], images: Tensor) -> nn.Module:
    """Return a LeNet-5 that takes one member's parameters, once all are checked."""
    needed = ["conv1.weight", "fc3.weight"]
    if missing := [name for name in needed if name not in state or state[name].ndim < 3]:
        raise ValueError(f"the population has no stacked {missing}; give the parameters (m, ...) of models.lenet5")
    like = state["conv1.weight"]
    if not len(like):
        raise ValueError("the population is empty; keep one network at least")
    sizes = {"size": images.shape[-1], "channels": like.shape[2]}
    # The first weights are thrown away, and must not cost the caller's random state its next numbers.
    model = models.lenet5(state["fc3.weight"].shape[1], **sizes, generator=torch.Generator())
    model = model.to(like.device, like.dtype).eval().requires_grad_(False)
    expected = {k: (len(like), *v.shape) for k, v in model.named_parameters()}
    buffers = {k: (len(like), *v.shape) for k, v in model.named_buffers()}
    for name, shape in (expected | {k: v for k, v in buffers.items() if k in state}).items():
        found = tuple(state[name].shape) if name in state else "missing"
        if found != shape:
            raise ValueError(
                f"{name} of the population is {found} and not {shape}, which {len(like)} networks lenet5 for images of "
                f"{images.shape[-1]} px need; give stacked parameters and the images that they were fitted on"
            )
    if unknown := sorted(set(state) - set(expected) - set(buffers)):
        raise ValueError(f"the population holds {unknown}, which models.lenet5 has not; leave them out")
    return model
