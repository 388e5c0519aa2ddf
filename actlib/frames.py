"""The frames of a slider: point clouds, curves or pictures, checked and made small. ``slider`` draws them.

What is drawn lies on a grid of 4096 steps a side, finer than a screen shows. A place on it has two numbers of 12 bits,
three bytes, which base64 writes as four letters; so ten clouds of 600 points are 24 kB of text.
"""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from actlib import pictures

SIDE = 4095  # the largest place on the grid
HEIGHT = 2457  # of curves, which are wider than high
MOST = 12  # classes or curves: as many as there are colours that can be told apart
_LARGEST = 300_000  # bytes of one slider in a page
_MARGIN = 0.04  # of an axis, before its first and after its last value
_OPTIONS = {
    "points": ["groups", "classes", "shared"],
    "curves": ["xlabel", "ylabel", "xscale", "yscale"],
    "picture": [],
}


@dataclass(frozen=True, eq=False)
class Frame:
    """One position of a slider: its title, its text alternative, and one of points, curves and picture.

    Parameters
    ----------
    title
        What this position is called, such as the name of a layer. Plain text, as all words of a slider, or a number.
    alt
        What a sighted reader sees in this frame: 40 to 250 characters, other than in each other frame.
    points
        (n, 2), of at most 1e100; x to the right, y upward.
    curves
        By label, x and y of the same length, of at most 1e100.
    picture
        uint8 (h, w), (h, w, 3), (1, h, w) or (3, h, w).
    note
        A sentence shown beside the slider, such as a measure that the drawing cannot show.
    """

    title: str
    alt: str
    points: Any = field(default=None, kw_only=True)
    curves: Mapping[str, tuple[Any, Any]] | None = field(default=None, kw_only=True)
    picture: Any = field(default=None, kw_only=True)
    note: str = field(default="", kw_only=True)

    @property
    def kind(self) -> str:
        """The kind of content that was given."""
        given = [kind for kind in _OPTIONS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"frame {self.title!r} has {' and '.join(given) or 'nothing'}; give one of {[*_OPTIONS]}")
        return given[0]


def compact(frames: Sequence[Frame], *, label: str, start: int = 0, **options: Any) -> dict[str, Any]:
    """Return the frames as a small dictionary that JSON can hold and ``slider.html`` draws.

    Parameters
    ----------
    frames
        At least two, of one kind.
    label
        What the slider moves along, such as ``"layer"``.
    start
        The index of the frame that is shown first.
    **options
        What all frames share. For points: ``groups``, (n,) integers from zero, with ``classes``, their names, at most
        12; ``shared=True`` for one scale in all frames, where otherwise each has its own. For curves: ``xlabel``,
        ``ylabel``, and ``xscale``, ``yscale``, which are ``"linear"`` or ``"log"``.

    Raises
    ------
    ValueError
        If the frames are of several kinds, empty, not finite or too large, or an option does not belong to them.
    """
    if len(frames) < 2:
        raise ValueError(f"{len(frames)} frames; a slider needs two or more, a single one is a report.figure")
    if isinstance(start, bool) or start not in range(len(frames)):
        raise ValueError(f"start = {start!r}; it is the index of a frame, 0 to {len(frames) - 1}")
    kinds = sorted({frame.kind for frame in frames})
    if len(kinds) > 1:
        raise ValueError(f"frames of {' and '.join(kinds)}; all frames of a slider have one kind")
    strangers, known = sorted(set(options) - set(_OPTIONS[kinds[0]])), ", ".join(_OPTIONS[kinds[0]])
    if strangers:
        raise ValueError(f"unknown option {', '.join(strangers)} for {kinds[0]}; there is {known or 'none'}")
    titles, (label,) = _distinct([frame.title for frame in frames], "titles"), _distinct([label], "label")
    make = {"points": _points, "curves": _curves, "picture": _pictures}[kinds[0]]
    shared, marks = make(frames, **options)
    words = [{"title": title, "alt": str(f.alt), "note": str(f.note)} for title, f in zip(titles, frames, strict=True)]
    drawn = [{**told, "marks": mark} for told, mark in zip(words, marks, strict=True)]
    content = {"kind": kinds[0], "label": label, "start": int(start), **shared, "frames": drawn}
    size = len(json.dumps(content))
    if size > _LARGEST:
        raise ValueError(f"the slider has {size / 1000:.0f} kB, allowed are 300; show fewer frames or smaller ones")
    return content


def _distinct(names: Sequence[Any], what: str) -> list[str]:
    names = [str(name) for name in names]
    if len(set(names)) < len(names) or not all(name.strip() for name in names):
        raise ValueError(f"{what} {names}; none may be empty or stand twice")
    return names


def _few(names: Sequence[str], what: str) -> list[str]:
    if not 1 <= len(names) <= MOST:
        raise ValueError(f"{len(names)} {what}; give 1 to {MOST}, more colours cannot be told apart")
    return _distinct(names, what)


def _finite(frame: Frame, values: Any) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if not (abs(array) <= 1e100).all():  # room for sums and differences; false for NaN too
        raise ValueError(f"frame {frame.title!r} has values not finite or beyond 1e100; leave them out and note it")
    return array


def _letters(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> str:
    """Return places on the grid, y counted downward as on a screen, as four letters each."""
    x, y = np.rint([x, y]).astype(np.int64)
    both = x << 12 | y
    return base64.b64encode(np.stack([both >> 16, both >> 8, both], axis=1).astype(np.uint8).tobytes()).decode()


def _points(
    frames: Sequence[Frame], groups: Any = None, classes: Sequence[str] | None = None, shared: bool = False
) -> tuple[dict[str, Any], list[str]]:
    clouds = [_finite(frame, frame.points) for frame in frames]
    for frame, cloud in zip(frames, clouds, strict=True):
        if cloud.ndim != 2 or cloud.shape[1] != 2 or not len(cloud):
            raise ValueError(f"frame {frame.title!r} has points {cloud.shape}; give (n, 2) with n above zero")
    if (groups is None) != (classes is None):
        raise ValueError("groups and classes belong together: the class of each point, and the classes' names")
    names = [] if classes is None else _few(classes, "classes")
    marked = "" if groups is None else _groups(groups, len(names), [len(cloud) for cloud in clouds])
    common = _square(np.concatenate(clouds)) if shared else None
    return {"names": names, "groups": marked}, [_cloud(cloud, common or _square(cloud)) for cloud in clouds]


def _groups(groups: Any, n_classes: int, sizes: list[int]) -> str:
    """Return the class of each point as one hexadecimal digit."""
    groups = np.asarray(groups)
    if {groups.shape} != {(n,) for n in sizes}:
        raise ValueError(f"groups {groups.shape} for frames of {sizes} points; give (n,), and n points in each frame")
    if groups.dtype.kind not in "iu" or groups.min() < 0 or groups.max() >= n_classes:
        raise ValueError(f"groups are {groups.dtype}, {groups.min()} to {groups.max()}; give 0 to {n_classes - 1}")
    return "".join(f"{k:x}" for k in groups)


def _square(cloud: Float[np.ndarray, "n 2"]) -> tuple[np.ndarray, float]:
    """Return corner and side of the square around points: both axes have the same scale."""
    low, high = cloud.min(axis=0), cloud.max(axis=0)
    side = float((high - low).max()) or 1.0  # points that all coincide stand in the middle
    return (low + high - side) / 2, side


def _cloud(cloud: Float[np.ndarray, "n 2"], square: tuple[np.ndarray, float]) -> str:
    x, y = np.clip((cloud - square[0]) / square[1], 0, 1).T  # rounding may leave the square
    return _letters(x * SIDE, (1 - y) * SIDE)


def _curves(
    frames: Sequence[Frame], xlabel: str = "", ylabel: str = "", xscale: str = "linear", yscale: str = "linear"
) -> tuple[dict[str, Any], list[list[str]]]:
    (xlabel,), (ylabel,) = _distinct([xlabel], "xlabel"), _distinct([ylabel], "ylabel")
    names = _few(list(frames[0].curves), "curves")
    for frame in frames:
        if (theirs := list(map(str, frame.curves))) != names:
            raise ValueError(f"frame {frame.title!r} has the curves {theirs}, the first has {names}")
    lines = [[_line(frame, name) for name in frame.curves] for frame in frames]
    x_all, y_all = np.concatenate([line for frame in lines for line in frame], axis=1)
    x, y = _Axis.around(x_all, xscale), _Axis.around(y_all, yscale)
    marks = [[_letters(x.place(a) * SIDE, (1 - y.place(b)) * HEIGHT) for a, b in frame] for frame in lines]
    xticks = [[round(SIDE * x.place(v)), text] for v, text in x.ticks()]
    yticks = [[round(HEIGHT * (1 - y.place(v))), text] for v, text in y.ticks()]
    return {"names": names, "xlabel": xlabel, "ylabel": ylabel, "xticks": xticks, "yticks": yticks}, marks


def _line(frame: Frame, name: Any) -> Float[np.ndarray, "2 n"]:
    line = [_finite(frame, values) for values in frame.curves[name]]
    shapes = [values.shape for values in line]
    if len(line) != 2 or len(shapes[0]) != 1 or shapes[0] != shapes[1] or not len(line[0]):
        raise ValueError(f"curve {name!r} of frame {frame.title!r} has {shapes}; give x and y, (n,) twice")
    return np.stack(line)


class _Axis(NamedTuple):
    """One axis: its ends, logarithms of the values where ``log``."""

    low: float
    high: float
    log: bool

    @classmethod
    def around(cls, values: Float[np.ndarray, " n"], scale: str) -> "_Axis":
        if scale not in ("linear", "log"):
            raise ValueError(f"scale {scale!r}; it is 'linear' or 'log'")
        if scale == "log" and values.min() <= 0:
            raise ValueError(f"the value {values.min():g} on a logarithmic axis; all must be above zero")
        ends = np.array([values.min(), values.max()])
        low, high = np.log10(ends) if scale == "log" else ends
        margin = _MARGIN * (high - low) or max(1.0, abs(low)) / 2
        return cls(float(low - margin), float(high + margin), scale == "log")

    def place(self, values: Any) -> Any:
        """Return where values lie on the axis, from 0 to 1."""
        return ((np.log10(values) if self.log else values) - self.low) / (self.high - self.low)

    def ticks(self) -> list[tuple[float, str]]:
        """Return about five round values with their texts."""
        decades = range(math.ceil(self.low), math.floor(self.high) + 1)
        if self.log and len(decades) > 1:
            return [(10.0**k, f"{10.0**k:g}") for k in decades[:: math.ceil(len(decades) / 6)]]
        low, high = (10**self.low, 10**self.high) if self.log else (self.low, self.high)
        rough = (high - low) / 5
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(unit * k for k in (1, 2, 5, 10) if unit * k >= rough)
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        whole = range(math.ceil(low / step), math.floor(high / step) + 1)
        return [(k * step, f"{k * step:,.{decimals}f}") for k in whole if k * step > 0 or not self.log]


def _pictures(frames: Sequence[Frame]) -> tuple[dict[str, Any], list[str]]:
    pictures = [np.asarray(frame.picture) for frame in frames]
    found = sorted({(str(p.dtype), p.shape) for p in pictures})
    (dtype, shape), *others = found
    colour = len(shape) == 3 and (shape[0] in (1, 3) or shape[2] == 3)
    if others or dtype != "uint8" or not (len(shape) == 2 or colour) or 0 in shape:
        raise ValueError(f"pictures {found}; give all as uint8 of one size: (h, w), (h, w, 3), (1, h, w) or (3, h, w)")
    return {"names": []}, [_png(picture) for picture in pictures]


def _png(picture: np.ndarray) -> str:
    if picture.ndim == 3 and picture.shape[0] in (1, 3):  # channels first, as everywhere in this package
        picture = picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)
    return f"data:image/png;base64,{base64.b64encode(pictures.encode(picture)).decode()}"
