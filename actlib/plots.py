"""Drawing: arrays in, Axes out. Nothing here computes, loads, or changes a global setting."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

Numbers = Sequence[int | float] | np.ndarray
# Blue below zero, white at zero, red above, as in the lecture.
SIGNED = LinearSegmentedColormap.from_list("signed", ["#053061", "#4393c3", "#ffffff", "#d6604d", "#67001f"])

# Of classes, in the order of the sliders (actlib.slider), so that a class has one colour in a chapter.
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#aa3377", "#9977ff", "#664400",
    "#0000dd", "#998899", "#440044", "#556644", "#550000", "#333333",
)  # fmt: skip


def image(pixels: np.ndarray, *, ax: Axes, title: str | None = None, **kwargs: Any) -> Axes:
    """Draw an image (c, h, w) or (h, w), uint8 or float in [0, 1]; one channel is grey."""
    pixels = np.asarray(pixels)
    if pixels.ndim == 3:
        pixels = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
    if pixels.ndim == 2:
        kwargs = {"cmap": "gray", "vmin": 0, "vmax": 255 if pixels.dtype == np.uint8 else 1, **kwargs}
    ax.imshow(pixels, interpolation="nearest", **kwargs)
    return _bare(ax, title)


def signed_map(values: np.ndarray, *, ax: Axes, title: str | None = None, **kwargs: Any) -> Axes:
    """Draw a map (h, w) with values in [-1, 1]: red is positive, blue negative, white zero."""
    ax.imshow(np.asarray(values), **{"cmap": SIGNED, "vmin": -1, "vmax": 1, "interpolation": "nearest", **kwargs})
    return _bare(ax, title)


def picture_row(pictures: Sequence[np.ndarray | None], *, axes: np.ndarray, label: str) -> np.ndarray:
    """Draw images side by side, with the row's name on the left; None leaves an empty place, unused axes are hidden."""
    for k, ax in enumerate(axes):
        ax.set_visible(k < len(pictures))
        if k < len(pictures) and pictures[k] is not None:
            image(pictures[k], ax=ax)
    axes[0].set_ylabel(label, rotation=0, ha="right", va="center")
    return axes


def map_row(values: np.ndarray, *, axes: np.ndarray, label: str) -> np.ndarray:
    """Draw maps (k, h, w) in [-1, 1] side by side, with the row's name on the left; unused axes are hidden."""
    for ax in axes:
        _bare(ax, None).set_visible(False)
    for ax, panel in zip(axes, values, strict=False):
        ax.set_visible(True)
        signed_map(panel, ax=ax)
    axes[0].set_ylabel(label, rotation=0, ha="right", va="center")
    return axes


def overlay(pixels: np.ndarray, heat: np.ndarray, *, ax: Axes, title: str | None = None, **kwargs: Any) -> Axes:
    """Draw an image and a map of the same size in [0, 1]: bright where the map is high, a line around one half."""
    pixels, heat = np.asarray(pixels), np.asarray(heat)
    pixels = pixels / 255 if pixels.dtype == np.uint8 else pixels
    lit = np.broadcast_to(pixels, (3, *pixels.shape[1:])) * (0.3 + 0.7 * heat)
    if heat.min() < 0.5 < heat.max():  # else there is no line to draw
        ax.contour(heat, levels=[0.5], colors="#ffd92f", linewidths=1)
    return image(np.clip(lit, 0, 1), ax=ax, title=title, **kwargs)


def steps(names: Sequence[str], series: dict[str, Numbers], *, ax: Axes, ylabel: str) -> Axes:
    """Draw one marked line a series over named positions, such as the layers of a network."""
    for marker, (label, values) in zip("osD^vP", series.items(), strict=False):
        ax.plot(range(len(values)), values, marker=marker, label=label)
    ax.set_xticks(range(len(names)), names, rotation=45, ha="right")
    ax.set_ylabel(ylabel)
    return ax


def distributions(groups: dict[str, np.ndarray], *, ax: Axes, xlabel: str) -> Axes:
    """Draw one row of dots per group, one dot per value, with a bar at the median."""
    shake = np.random.default_rng(0)  # seaborn's strip plot shakes its dots by NumPy's global numbers
    for k, (group, colour) in enumerate(zip(groups.values(), sns.color_palette(n_colors=len(groups)), strict=True)):
        ax.scatter(group, k + shake.uniform(-0.25, 0.25, len(group)), s=6, alpha=0.7, color=[colour], linewidths=0)
        ax.plot([np.median(group)] * 2, [k - 0.35, k + 0.35], color="k", lw=2.5)
    ax.set_yticks(range(len(groups)), groups)
    ax.set_ylim(len(groups) - 0.5, -0.5)  # the first on top
    ax.set_xlabel(xlabel)
    return ax


def ranked(values: np.ndarray, *, ax: Axes, label: str, highlight: int | None = None, **kwargs: Any) -> Axes:
    """Draw values from the largest to the smallest; ``highlight`` is the index of one to mark."""
    values = np.asarray(values)
    order = np.argsort(-values)
    ax.plot(np.arange(1, len(values) + 1), values[order], marker=".", label=label, **kwargs)
    if highlight is not None:
        rank = int(np.flatnonzero(order == highlight)[0])
        ax.plot(rank + 1, values[highlight], marker="o", ms=11, mfc="none", mec="k", ls="none", label="chosen unit")
    ax.set_xlabel("rank")
    return ax


def points(
    xy: np.ndarray,
    *,
    ax: Axes,
    groups: np.ndarray | None = None,
    names: Sequence[str] | None = None,
    values: np.ndarray | None = None,
    title: str | None = None,
    **kwargs: Any,
) -> Axes:
    """Draw a cloud of points (n, 2), or (n, 3) on 3-D axes, without axes: what counts is who lies near whom.

    ``groups`` (n,) numbers the points' classes, called ``names`` in the legend; ``values`` (n,) colours them along a
    scale instead. Of more classes than ``COLOURS`` two would look the same, which is a ValueError.
    """
    xy, options = np.asarray(xy), {"s": 6, "linewidths": 0, **kwargs}
    if groups is None:
        ax.scatter(*xy.T, c=values, cmap="viridis" if values is not None else None, **options)
    else:
        groups = np.asarray(groups)
        if not 0 <= groups.min() <= groups.max() < len(COLOURS):
            raise ValueError(f"groups are {groups.min()} to {groups.max()}; give 0 to {len(COLOURS) - 1}")
        for k in np.unique(groups):
            label = None if names is None else names[k]
            ax.scatter(*xy[groups == k].T, color=COLOURS[k], label=label, **options)
    if xy.shape[1] == 3:
        ax.set(zticks=[])
    ax.set_aspect("equal")
    _bare(ax, title).set_axis_off()
    return ax


def grid(n_rows: int, n_columns: int, *, figure: Figure, **kwargs: Any) -> np.ndarray:
    """Return axes (n_rows, n_columns) in ``figure``, close together and without ticks, for pictures."""
    axes = figure.subplots(n_rows, n_columns, squeeze=False, gridspec_kw={"wspace": 0.06, "hspace": 0.06, **kwargs})
    for ax in axes.flat:
        _bare(ax, None)
    return axes


def _bare(ax: Axes, title: str | None) -> Axes:
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set(color="0.7", linewidth=0.6)
    if title:
        ax.set_title(title, fontsize="small")
    return ax
