"""Training, validation and test sides of a table whose rows are pairs of a network and an image (M3, M7).

Rows of one network, or of one image, resemble each other. A split by rows puts them on all sides, and a judge that
knows a network or an image by heart looks better than it is. The other splits keep networks, images or both apart.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64, Integer
from numpy import ndarray

__all__ = ["Split", "by_both", "by_group", "by_pair", "shared"]


class Split(NamedTuple):
    """The row numbers of three sides, in ascending order, no row twice.

    Attributes
    ----------
    train, validation, test
        (r,) each, at least one row; rows are numbered from 0.
    """

    train: Int64[ndarray, " r"]
    validation: Int64[ndarray, " s"]
    test: Int64[ndarray, " t"]


def by_pair(n: int, generator: torch.Generator) -> Split:
    """Return a split of n rows at random, a fifth for the test, of the rest a fifth for the validation.

    The rule of the study, with its counts: 78,800 rows become 50,432, 12,608 and 15,760. Every row is on one side. It
    lets networks and images stand on several sides; see ``shared``.

    Parameters
    ----------
    n
        How many rows, 3 or more.
    generator
        Draws the permutation; its seed fixes the split.

    Raises
    ------
    ValueError
        If there are too few rows.
    """
    if n < 3:
        raise ValueError(f"n = {n} rows; three sides need 3 or more: make more pairs")
    train, rest = _targets(n)
    order = _permutation(n, generator)
    return Split(*(np.sort(part) for part in np.split(order, [train, rest])))


def by_group(groups: Integer[ndarray, " n"], generator: torch.Generator) -> Split:
    """Return a split that puts all rows of a group on one side, for one by network or by image.

    The groups come in random order. The first go to training, the next to validation, the last to the test; the two
    cuts are those that come nearest to 64 and 80 % of the rows. Every row is on one side.

    Parameters
    ----------
    groups
        The group of each row, whole numbers of any value.
    generator
        Draws the order of the groups; its seed fixes the split.

    Raises
    ------
    ValueError
        If there are fewer than three groups, or they are no whole numbers.

    Examples
    --------
    >>> split = by_group(found.model, torch.Generator().manual_seed(0))
    """
    train, rest = _targets(len(groups))
    sides = _sides(groups, (train, rest), generator, "groups")
    return Split(*(np.flatnonzero(sides == k) for k in range(3)))


def by_both(
    first: Integer[ndarray, " n"],
    second: Integer[ndarray, " n"],
    generator: torch.Generator,
    *,
    shares: tuple[float, float, float] = (0.6, 0.15, 0.25),
) -> Split:
    """Return a split with no group of either kind on two sides: new networks and new images at once.

    Both kinds of groups are split as in ``by_group``. A row belongs to a side if both its groups do. The others are
    left out: of rows that are many networks times many images, the squares of the shares stay, 36, 2 and 6 %. That is
    why the test gets more than a fifth of the groups. Where groups are few, or some images are in far more rows than
    others, as in the study, the shares that stay differ from draw to draw.

    Parameters
    ----------
    first, second
        The two groups of each row, such as its network and its image.
    generator
        Draws the order of the first kind, then that of the second.
    shares
        Of the rows that the groups of training, validation and test hold before any are left out; their sum is 1.

    Raises
    ------
    ValueError
        If lengths differ, a kind has fewer than three groups, shares are impossible or no row is left on a side.
    """
    if len(first) != len(second):
        raise ValueError(f"first has {len(first)} rows and second {len(second)}; give both groups of each row")
    if len(shares) != 3 or not min(shares) > 0 or not abs(sum(shares) - 1) < 1e-9:
        raise ValueError(f"shares = {shares}; give three positive numbers with the sum 1")
    targets = shares[0] * len(first), (shares[0] + shares[1]) * len(first)
    sides = _sides(first, targets, generator, "groups of the first kind")
    others = _sides(second, targets, generator, "groups of the second kind")
    split = Split(*(np.flatnonzero((sides == k) & (others == k)) for k in range(3)))
    if not all(map(len, split)):
        counts = dict(zip(Split._fields, map(len, split), strict=True))
        raise ValueError(f"rows left: {counts} of {len(first)}; each side needs one: give more rows, or other shares")
    return split


def shared(split: Split, groups: Integer[ndarray, " n"]) -> float:
    """Return the share of the test rows, 0 to 1, whose group stands in training as well: how much can leak.

    Parameters
    ----------
    split
        Of the rows of ``groups``.
    groups
        The group of each row.

    Raises
    ------
    ValueError
        If the split has rows that ``groups`` has not, or no rows in the test.
    """
    last = max((int(part.max()) for part in split if len(part)), default=-1)
    if last >= len(groups) or not len(split.test):
        raise ValueError(
            f"the split has {len(split.test)} test rows and row numbers up to {last}, but there are {len(groups)} "
            "groups; give the groups of all rows that were split, and a split with a test side"
        )
    return float(np.isin(groups[split.test], groups[split.train]).mean())


def _targets(n: int) -> tuple[int, int]:
    """Return how many of n rows train, and how many train or validate: in whole numbers, free of rounding."""
    rest = n * 4 // 5
    return rest * 4 // 5, rest


def _permutation(n: int, generator: torch.Generator) -> Int64[ndarray, " n"]:
    """Return the numbers below n in random order."""
    return torch.randperm(n, generator=generator, device=generator.device).cpu().numpy()


def _sides(
    groups: ndarray, targets: tuple[float | int, float | int], generator: torch.Generator, name: str
) -> Int64[ndarray, " n"]:
    """Return the side of each row, 0 to 2: whole groups, cut where the rows so far come nearest to the targets."""
    groups = np.asarray(groups)
    if groups.ndim != 1 or groups.dtype.kind not in "iu":
        raise ValueError(f"{name} are {groups.dtype} of shape {groups.shape}; give one whole number a row")
    _, own, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(sizes) < 3:
        raise ValueError(f"{len(groups)} rows in {len(sizes)} {name}; three sides need 3 or more: give more of them")
    order = _permutation(len(sizes), generator)
    ends = sizes[order].cumsum()  # rows in the first 1, 2, ... groups
    first = 1 + int(np.abs(ends[:-2] - targets[0]).argmin())
    second = first + 1 + int(np.abs(ends[first:-1] - targets[1]).argmin())
    place = np.empty(len(sizes), np.int64)
    place[order] = np.arange(len(sizes))
    return np.searchsorted([first, second], place[own], side="right")
