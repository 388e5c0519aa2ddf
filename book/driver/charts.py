"""Pictures that are drawn while a book is staged: speeds of jobs, and which groups of modules import which.

Both are SVG, narrow enough that a phone shows their words in a readable size, and the same bytes for the same numbers.
Matplotlib is imported when one is drawn: a build that shows none does without.
"""

import io
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from driver.chapter import Book

_WIDTH = 5.2  # inches; a phone shows 10 points of it as 9 pixels
_INK, _BLUE, _ORANGE, _GREY = "#1a1a1a", "#2f6fb0", "#c8500a", "#9aa3ad"
_ARROWS = ["#1f5fa8", "#b3480a", "#2a7a3f", "#8a3f9c", "#a3243b", "#6b5a00", "#3c4652", "#0f7478"]


@contextmanager
def _style(book: Book):
    """Give Matplotlib the book's style, and no time or chance in what it writes."""
    import matplotlib
    from matplotlib import pyplot as plt

    path = book.root / "book" / "matplotlibrc"
    style = matplotlib.rc_params_from_file(path, use_default_template=False) if path.is_file() else {}
    own = {"svg.hashsalt": "actlib", "font.size": 10, "figure.constrained_layout.use": False}
    with plt.rc_context({**style, **own}):
        yield plt


def _svg(figure: Any, plt: Any) -> bytes:
    """Return a figure as SVG and close it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    return buffer.getvalue()


def speeds(jobs: Sequence[tuple[str, str, Sequence[Any]]], book: Book) -> bytes:
    """Return bars of how many times as fast as its peers each job is, on a logarithmic axis.

    Parameters
    ----------
    jobs
        For each job its name, ``met``, ``missed`` or ``no target``, and its peers with ``name``, ``kind`` and
        ``faster``.
    """
    n_lines = sum(1 + len(peers) for _, _, peers in jobs)
    values = [peer.faster for _, _, peers in jobs for peer in peers]
    left, right = min([0.5, *values]) / 1.3, max([2, *values]) * 1.3
    with _style(book) as plt:
        figure = plt.figure(figsize=(_WIDTH, 0.75 + 0.23 * n_lines))
        height = figure.get_figheight()
        axes = figure.add_axes([0.03, 0.62 / height, 0.94, 1 - 0.7 / height])
        plain = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}  # the line at one ends at words
        line = 0
        for job, verdict, peers in jobs:
            told = {"missed": "  (target missed)", "no target": "  (no target)"}.get(verdict, "")
            axes.text(left, line, job + told, va="center", weight="bold", color=_INK, size=9, bbox=plain)
            for peer in peers:
                line += 1
                colour = _GREY if peer.kind in ("bound", "target") else _ORANGE if verdict == "missed" else _BLUE
                _bar(axes, line, peer, colour, (left, right))
            line += 1
        axes.axvline(1, color=_INK, lw=0.8, zorder=0)
        axes.set(xscale="log", xlim=(left, right), ylim=(line - 0.4, -0.8), yticks=[])
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
        axes.set_xlabel("times as fast as the peer (bound: its share of our time)")
        axes.grid(axis="x", color="#d8dde3", lw=0.6)
        axes.set_axisbelow(True)
        for side in ("left", "right", "top"):
            axes.spines[side].set_visible(False)
        return _svg(figure, plt)


def _bar(axes: Any, line: int, peer: Any, colour: str, limits: tuple[float, float]) -> None:
    """Draw one bar from the line at one, its words where there is room."""
    low, high = sorted((1, peer.faster))
    axes.barh(line, high - low, left=low, height=0.72, color=colour, hatch="///" * (colour == _GREY), edgecolor="white")
    kind = "" if peer.kind == "peer" or peer.kind in peer.name else f" ({peer.kind})"
    words = f"{peer.name}{kind}: {peer.faster:.3g}"
    middle = (limits[0] * limits[1]) ** 0.5
    if peer.faster > middle * 2:  # a long bar has its words inside, or before it
        axes.text(high / 1.06, line, words, ha="right", va="center", color="white", size=9)
    else:
        axes.text(high * 1.06, line, words, va="center", color=_INK, size=9)


def groups(rows: Sequence[Sequence[str]], sizes: Mapping[str, int], counts: Mapping[tuple[str, str], int], book: Book):
    """Return boxes of modules and arrows from each group to those whose modules it imports, as SVG.

    Parameters
    ----------
    rows
        The groups from left to right: each column imports from those right of it, and perhaps within itself.
    sizes
        How many modules each group has.
    counts
        How many imports lead from one group into another.
    """
    with _style(book) as plt:
        height = 0.95 * max(map(len, rows))
        figure = plt.figure(figsize=(_WIDTH, height))
        axes = figure.add_axes([0, 0, 1, 1])
        axes.set(xlim=(0, _WIDTH), ylim=(0, height))
        axes.axis("off")
        wide, tall = 0.76 * _WIDTH / len(rows), 0.62
        places = {
            name: ((k + 0.5) * _WIDTH / len(rows), height * (1 - (i + 0.5) / len(names)))
            for k, names in enumerate(rows)
            for i, name in enumerate(names)
        }
        colours = dict(zip(places, _ARROWS * len(places), strict=False))  # an arrow has the colour of its box
        for (one, other), n in sorted(counts.items()):
            _arrow(axes, places[one], places[other], (wide, tall), (n, colours[one]))
        for name, place in places.items():
            _box(axes, place, (wide, tall), (name, sizes[name], colours[name]))
        return _svg(figure, plt)


def _arrow(
    axes: Any, start: tuple[float, float], end: tuple[float, float], box: tuple[float, float], look: tuple[int, str]
) -> None:
    """Draw an arrow from the side of one box to that of another, wider for more imports."""
    from matplotlib.patches import FancyArrowPatch

    (x0, y0), (x1, y1) = start, end
    wide, tall = box
    if x0 == x1:  # within a column: from below to above, or back beside it
        down = y0 > y1
        shift = 0.12 if down else -0.12
        ends = [
            (x0 + shift, y0 - tall / 2 if down else y0 + tall / 2),
            (x1 + shift, y1 + tall / 2 if down else y1 - tall / 2),
        ]
        curve = "arc3,rad=0"
    else:
        lift = max(-0.2, min(0.2, (y1 - y0) / 8))
        ends = [(x0 + wide / 2, y0 + lift), (x1 - wide / 2, y1 - lift)]
        curve = "arc3,rad=0"
    n, colour = look
    width = 0.7 + 0.5 * n**0.5
    patch = FancyArrowPatch(
        *ends, connectionstyle=curve, arrowstyle="-|>", mutation_scale=9, lw=width, color=colour, zorder=1
    )
    axes.add_patch(patch)


def _box(axes: Any, place: tuple[float, float], box: tuple[float, float], told: tuple[str, int, str]) -> None:
    """Draw a group as a box with its name and how many modules it has."""
    import textwrap

    from matplotlib.patches import FancyBboxPatch

    (x, y), (wide, tall), (name, n, colour) = place, box, told
    corner = (x - wide / 2, y - tall / 2)
    axes.add_patch(
        FancyBboxPatch(
            corner, wide, tall, "round,pad=0,rounding_size=0.06", facecolor="#eef3f8", edgecolor=colour, zorder=2
        )
    )
    lines = textwrap.fill(name, 13)
    axes.text(x, y, f"{lines}\n{n} modules", ha="center", va="center", size=9, color=_INK, zorder=3, linespacing=1.15)
