"""Populations of LeNets: thousands of small networks, each trained under its own setting, as stacked tensors.

A population is a dictionary of one tensor for each of the ten parameters of ``models.lenet5``, with the number of the
network in the first axis. On a GPU many networks take a step together; on a CPU one after the other is as fast.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor, nn

from actlib import grids, inputs, lenets, models, population_steps
from actlib.grids import Setting

Backend = Literal["auto", "loop", "vmap"]
State = Mapping[str, Tensor]


def build(setting: Setting, *, n_classes: int = 10, size: int = 28, channels: int = 1) -> nn.Sequential:
    """Return ``models.lenet5`` as it is before its training under a setting.

    Parameters
    ----------
    setting
        Its seed and its initialization count.
    n_classes, size, channels
        As for ``models.lenet5``.

    Raises
    ------
    ValueError
        If the setting is impossible; see ``grids.check``.
    """
    return _begin(*grids.check([setting]), n_classes=n_classes, size=size, channels=channels)[0]


def _begin(setting: Setting, **options: int) -> tuple[nn.Sequential, torch.Generator]:
    """Return a network before its training, and the generator that draws its orders next."""
    generator = torch.Generator().manual_seed(setting.seed)
    model = models.lenet5(**options, generator=generator)
    draw = {
        "xavier": nn.init.xavier_uniform_,
        "normal": lambda weight, generator: nn.init.normal_(weight, 0, 0.01, generator=generator),
        "kaiming": nn.init.kaiming_uniform_,
    }.get(setting.initialization)
    for name, parameter in model.named_parameters():
        if draw is not None and name.endswith("weight"):
            draw(parameter, generator=generator)
    return model, generator


def _template(**options: int) -> nn.Sequential:
    """Return a network whose weights do not matter, and leave the global generator alone."""
    return models.lenet5(**options, generator=torch.Generator())


def stack(networks: Sequence[nn.Module]) -> dict[str, Tensor]:
    """Return the parameters of some LeNets as a population, ``(m, *shape)`` each; nothing is shared.

    Raises
    ------
    ValueError
        If there are none, or one has other parameters than ``models.lenet5``, or others than the first.
    """
    if len(networks) == 0:
        raise ValueError("there are no networks to stack; give at least one")
    found = [dict(network.named_parameters()) for network in networks]
    first = {name: value.shape for name, value in found[0].items()}
    for k, parameters in enumerate(found):
        shapes = {name: value.shape for name, value in parameters.items()}
        if tuple(shapes) != lenets.NAMES or shapes != first:
            raise ValueError(f"network {k} has parameters {shapes}; give networks of models.lenet5, all of one form")
    return {name: torch.stack([parameters[name].detach() for parameters in found]) for name in lenets.NAMES}


def unstack(state: State, *, size: int | None = None) -> list[nn.Sequential]:
    """Return the networks of a population, each with its own copy of the parameters, in eval mode.

    Parameters
    ----------
    state
        A population.
    size
        Of the images; None takes the smallest that fits, as up to four sizes go with the same parameters.

    Raises
    ------
    ValueError
        If ``state`` is no population, or its networks take images of another size.
    """
    _check_state(state)
    n_classes, channels = state["fc3.bias"].shape[1], state["conv1.weight"].shape[2]
    end = round((state["fc1.weight"].shape[2] / state["conv2.bias"].shape[1]) ** 0.5)
    found = []
    for k in range(len(state["fc3.bias"])):
        model = _template(n_classes=n_classes, size=4 * end + 12 if size is None else size, channels=channels)
        for name, parameter in model.named_parameters():
            if parameter.shape != state[name].shape[1:]:
                raise ValueError(f"size = {size}, but these networks take images of {4 * end + 12} to {4 * end + 15}")
            parameter.data = state[name][k].clone()
        found.append(model.to(state["fc3.bias"]).eval())
    return found


def fit(
    settings: Sequence[Setting],
    images: Tensor,
    labels: Tensor,
    *,
    n_classes: int = 10,
    backend: Backend = "auto",
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
    progress: Callable[[int], object] | None = None,
) -> dict[str, Tensor]:
    """Return a population: one LeNet for each setting, trained by cross-entropy, in the order of the settings.

    The seed of a setting fixes initial weights and order of the images: one CPU generator draws the weights, and then
    ``torch.randperm`` for each epoch; the last batch of an epoch may be smaller. Both backends give the same up to
    rounding. A network that diverges is kept; see ``diverged``.

    Parameters
    ----------
    settings
        As from ``grids``.
    images, labels
        ``(n, c, h, w)``, uint8 or float in [0, 1], h = w; and int64, 0 to ``n_classes`` - 1.
    backend
        "loop" trains one network after the other, "vmap" all of one batch size at once, as far as memory goes; "auto"
        takes "vmap" on a GPU.
    dtype, device
        In what and where to train; None takes the images' device.
    progress
        Called now and then with the number of images, counted once for each network, that were trained on since.

    Raises
    ------
    ValueError
        If a setting is impossible, or images and labels do not go with such networks.
    """
    settings = grids.check(settings)
    device = images.device if device is None else torch.device(device)
    backend = _backend(backend, device)
    pixels, labels, options = _prepared(images, labels, n_classes, dtype, device)
    template = _template(**options)
    shapes = [tuple(parameter.shape) for parameter in template.parameters()]
    n_weights = sum(parameter.numel() for parameter in template.parameters())
    found = torch.empty(len(settings), n_weights, dtype=dtype, device=device)
    about = {"shapes": shapes, "input_shape": template.input_shape, "progress": progress}
    for group in population_steps.groups(settings, backend, pixels.shape[1], found):
        networks, generators = zip(*(_begin(settings[k], **options) for k in group), strict=True)
        weights = torch.stack([nn.utils.parameters_to_vector(network.parameters()).detach() for network in networks])
        chosen = [settings[k] for k in group]
        found[group] = population_steps.train(weights.to(found), chosen, generators, pixels, labels, **about)
    return {name: part.clone() for name, part in zip(lenets.NAMES, population_steps.split(found, shapes), strict=True)}


def _backend(backend: Backend, device: torch.device) -> population_steps.Backend:
    """Return the backend that is meant."""
    if backend not in ("auto", "loop", "vmap"):
        raise ValueError(f"backend = {backend!r}; give 'auto', 'loop' or 'vmap'")
    return ("vmap" if device.type == "cuda" else "loop") if backend == "auto" else backend


def _prepared(
    images: Tensor, labels: Tensor, n_classes: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor, dict[str, int]]:
    """Return the images as rows, the labels, both on the device, and the options of a network for them."""
    if images.ndim != 4 or images.shape[2] != images.shape[3]:
        raise ValueError(f"images have shape {tuple(images.shape)}; give (n, c, h, w) with h = w")
    if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"labels are {labels.dtype} {tuple(labels.shape)} for {len(images)} images; give one int64 each"
        )
    options = {"n_classes": n_classes, "size": images.shape[2], "channels": images.shape[1]}
    like = _template(**options).to(device=device, dtype=dtype)
    images = inputs.prepare(like, images)
    low, high = labels.min().item(), labels.max().item()
    if low < 0 or high >= n_classes:
        raise ValueError(f"labels lie in {low}..{high}; 0..{n_classes - 1} are allowed: give n_classes = {high + 1}")
    return images.flatten(1), labels.to(device), options


def logits(state: State, images: Tensor, *, batch_size: int = 500, backend: Backend = "auto") -> Float[Tensor, "m n k"]:
    """Return the logits of all networks for all images, ``(m, n, k)``, where the population is.

    Parameters
    ----------
    state
        A population.
    images
        ``(n, c, h, w)``, uint8 or float in [0, 1].
    batch_size
        How many images go through at once.
    backend
        As in ``fit``.

    Raises
    ------
    ValueError
        If ``state`` is no population, or its networks do not take such images.
    """
    return torch.cat(list(_batches(state, images, batch_size, backend)), dim=1)


def accuracies(
    state: State, images: Tensor, labels: Int64[Tensor, " n"], *, batch_size: int = 500, backend: Backend = "auto"
) -> Float64[Tensor, " m"]:
    """Return the share of images that each network gives their label, 0 to 1, where the population is.

    Parameters and errors are as in ``logits``, and one label an image. Not-a-number among the logits counts as the
    highest.
    """
    if labels.shape != images.shape[:1]:
        raise ValueError(f"labels have shape {tuple(labels.shape)} for {len(images)} images; give one label an image")
    batches = zip(_batches(state, images, batch_size, backend), labels.split(batch_size), strict=True)
    right = sum((found.argmax(2) == truth.to(found.device)).sum(1) for found, truth in batches)
    return right.double() / len(labels)


def _batches(state: State, images: Tensor, batch_size: int, backend: Backend) -> Iterator[Tensor]:
    """Yield the logits ``(m, b, k)`` of each batch."""
    _check_state(state)
    parameters = tuple(state[name] for name in lenets.NAMES)
    like = unstack({name: value[:1] for name, value in state.items()}, size=images.shape[-1])[0]
    backend = _backend(backend, parameters[0].device)
    for batch in images.split(batch_size):
        batch = inputs.prepare(like, batch).permute(1, 2, 3, 0).contiguous()
        if backend == "vmap":
            size = population_steps.room(batch.numel(), parameters[0])
            found = torch.vmap(lenets.logits, in_dims=(0, None), chunk_size=size)(parameters, batch)
        else:
            found = torch.stack([lenets.logits(one, batch) for one in zip(*parameters, strict=True)])
        yield found.transpose(1, 2)


def diverged(state: State) -> Bool[Tensor, " m"]:
    """Return which networks of a population hold a parameter that is not finite: their training diverged."""
    _check_state(state)
    return ~torch.stack([value.flatten(1).isfinite().all(1) for value in state.values()]).all(0)


def _check_state(state: State) -> None:
    """Raise ValueError if this is no population."""
    if set(state) != set(lenets.NAMES) or len({len(value) for value in state.values()}) != 1:
        raise ValueError(f"state holds {list(state)}; give a population: {list(lenets.NAMES)}, stacked")
