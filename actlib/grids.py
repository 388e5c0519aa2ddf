"""The settings under which the LeNets of a zoo are trained: the published grid, and samples of it."""

import itertools
import math
import numbers
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np

from actlib import store

Optimizer = Literal["sgd", "adam"]
Initialization = Literal["xavier", "normal", "kaiming", "default"]


class Setting(NamedTuple):
    """How one network is trained.

    Attributes
    ----------
    optimizer
        SGD without momentum, or Adam.
    learning_rate, weight_decay
        The decay is the coupled one, an L2 term of the loss, in both optimizers.
    epochs, batch_size
        Passes over the images, and images a step.
    seed
        Of the initial weights and of the order of the images.
    initialization
        Law of the weights: Glorot's uniform one, N(0, 0.01^2), He's uniform one, or the framework's; the biases always
        follow the framework's.
    """

    optimizer: Optimizer
    learning_rate: float
    weight_decay: float
    epochs: int
    seed: int
    initialization: Initialization
    batch_size: int


# What each factor takes in the study of 2 * 4^6 = 8,192 networks.
DOMAIN: dict[str, tuple] = {
    "optimizer": ("sgd", "adam"),
    "learning_rate": (0.005, 0.01, 0.05, 0.1),
    "weight_decay": (0.0, 0.05, 0.1, 0.2),
    "epochs": (1, 2, 3, 4),
    "seed": (0, 1, 2, 42),
    "initialization": ("xavier", "normal", "kaiming", "default"),
    "batch_size": (32, 64, 128, 256),
}


def full() -> list[Setting]:
    """Return the 8,192 settings of the published grid; the last factor changes first."""
    return [Setting(*levels) for levels in itertools.product(*DOMAIN.values())]


def sample(n: int, seed: int) -> list[Setting]:
    """Return ``n`` different settings of the grid, with the levels of each factor as even as can be.

    No level of a factor occurs more than once oftener than another of it. Pairs of levels are as even as one choice
    after the other makes them. A larger sample of the same seed begins with the smaller one.

    Parameters
    ----------
    n
        1 to 8,192.
    seed
        Of the draw.

    Raises
    ------
    ValueError
        If ``n`` is outside that range.
    """
    sizes = np.array([len(levels) for levels in DOMAIN.values()])
    if not 1 <= n <= sizes.prod():
        raise ValueError(f"n = {n}; the grid has {sizes.prod():,} settings: give 1 to {sizes.prod()}")
    rng = np.random.default_rng(seed)
    # One step on in all factors at once comes back after ``turn`` steps and has met each level equally often. So the
    # grid falls into such turns, and whole turns in any order are even, as is the beginning of one.
    turn = int(np.lcm.reduce(sizes))
    starts = np.indices(sizes).reshape(len(sizes), -1).T
    starts = rng.permutation(starts[starts[:, sizes.argmax()] == 0])
    chosen = starts[_even_pairs(starts, sizes, -(-n // turn))]
    rows = (chosen[:, None] + np.arange(turn)[:, None]).reshape(-1, len(sizes))[:n] % sizes
    levels = [[factor[k] for k in rng.permutation(len(factor))] for factor in DOMAIN.values()]
    return [Setting(*(factor[k] for factor, k in zip(levels, row, strict=True))) for row in rows.tolist()]


def _even_pairs(starts: np.ndarray, sizes: np.ndarray, n: int) -> list[int]:
    """Return ``n`` of the turns that begin at ``starts``, each the one whose pairs of levels were met least so far.

    A turn meets the pairs of two factors whose levels lie one fixed step apart, modulo their greatest common divisor.
    """
    first, second = np.triu_indices(len(sizes), 1)
    steps = (starts[:, second] - starts[:, first]) % np.gcd(sizes[first], sizes[second])
    pairs = np.arange(len(first))
    met, chosen = np.zeros((len(first), sizes.max()), int), []
    for _ in range(n):
        burden = met[pairs, steps].sum(1)
        burden[chosen] = np.iinfo(int).max
        chosen.append(int(burden.argmin()))
        met[pairs, steps[chosen[-1]]] += 1
    return chosen


def check(settings: Sequence[Setting | tuple | list]) -> list[Setting]:
    """Return the settings with plain Python numbers in them, if each can train a network.

    They need not be of the published grid; seven values in the order of ``Setting``, as JSON gives them, will do.

    Raises
    ------
    ValueError
        If there are none, or one is of another form or impossible; the message says which one and why.
    """
    if len(settings) == 0:
        raise ValueError("there are no settings; take grids.full() or grids.sample(n, seed)")
    return [_checked(setting, f"settings[{k}]") for k, setting in enumerate(settings)]


def _checked(setting: Setting | tuple | list, name: str) -> Setting:
    """Return one setting with plain Python numbers."""
    if len(setting) != len(Setting._fields):
        raise ValueError(f"{name} is {setting!r}; give a grids.Setting of {', '.join(Setting._fields)}")
    setting = Setting(*setting)
    for factor, kind in (("optimizer", Optimizer), ("initialization", Initialization)):
        if getattr(setting, factor) not in get_args(kind):
            raise ValueError(f"{name} has {factor} = {getattr(setting, factor)!r}; give one of {get_args(kind)}")
    for factor, least in (("epochs", 1), ("seed", 0), ("batch_size", 1)):
        value = getattr(setting, factor)
        if not isinstance(value, numbers.Integral) or not least <= value < 2**63:
            raise ValueError(f"{name} has {factor} = {value!r}; give a whole number, {least} at least")
    rate, decay = setting.learning_rate, setting.weight_decay
    if not (_is_finite(rate) and _is_finite(decay) and rate > 0 and decay >= 0):
        raise ValueError(
            f"{name} has learning_rate = {rate!r} and weight_decay = {decay!r}; give finite numbers, the rate above 0 "
            "and the decay 0 or more"
        )
    whole = {factor: int(getattr(setting, factor)) for factor in ("epochs", "seed", "batch_size")}
    return setting._replace(learning_rate=float(rate), weight_decay=float(decay), **whole)


def _is_finite(value: object) -> bool:
    """Say whether a value is a finite real number."""
    return isinstance(value, numbers.Real) and math.isfinite(value)


def key(settings: Sequence[Setting | tuple | list]) -> str:
    """Return a hash of the settings in their order, in hexadecimal, the same for equal numbers of any kind."""
    return store.hash_json([list(setting) for setting in check(settings)])
