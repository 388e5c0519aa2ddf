"""What the documents published, what our recorded runs say, and how the two compare.

The published values are in ``book/published.yml``, the records in ``results/<profile>/<slug>.json``; both belong to
the book, not to the package, and are looked for in ``$ACTLIB_BOOK`` or upward from the working directory.
"""

import difflib
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from actlib import store

Number = int | float
# Before the slash in the ids of numbers that belong to no experiment: those of a how-to, where nothing was published.
OWN = "own"


def book_root() -> Path | None:
    """Return the folder of the book, ``$ACTLIB_BOOK`` or the nearest above that has ``book/published.yml``."""
    start = Path(os.environ.get("ACTLIB_BOOK") or Path.cwd()).resolve()
    return next((p for p in [start, *start.parents] if (p / "book" / "published.yml").is_file()), None)


def value(id: str) -> dict[str, Any] | None:
    """Return the published value that belongs to a number's id, or None where there is none.

    Parameters
    ----------
    id
        An experiment's id, with the name of one of its values after a slash: ``F10-dims/lenet-max``. Without the
        name, the experiment's headline.

    Returns
    -------
    dict or None
        ``value``, and ``text`` as the document prints it; a claim in words has ``text`` only. None too where there is
        no book, and for an id that begins with ``own/``.

    Raises
    ------
    ValueError
        If the experiment is not in ``book/published.yml``; the message names the nearest ones.
    """
    table = _table(book_root())
    experiment, _, key = id.partition("/")
    if table is None or experiment == OWN:
        return None
    if experiment not in table:
        near = difflib.get_close_matches(experiment, table, n=3) or ["none is similar"]
        raise ValueError(f"unknown experiment {experiment!r}; nearest in book/published.yml: {', '.join(near)}")
    entry = table[experiment]
    if key in entry.get("claims", {}):
        return {"text": f"“{entry['claims'][key]}”"}
    return entry["values"].get(key or entry.get("headline"))


def is_control(id: str) -> bool:
    """Return whether a number is one that must not agree; the book names them as ``controls`` of their experiment."""
    experiment, _, key = id.partition("/")
    return key in ((_table(book_root()) or {}).get(experiment) or {}).get("controls", [])


@lru_cache(maxsize=1)
def _table(root: Path | None) -> dict[str, Any] | None:
    if root is None:
        return None
    import yaml  # only the book needs it, not the package

    return yaml.safe_load((root / "book" / "published.yml").read_text(encoding="utf-8"))


def record(profile: str, slug: str) -> dict[str, Any] | None:
    """Return the committed record of a chapter's run in a profile, or None."""
    root = book_root()
    path = root and root / "results" / profile / f"{slug}.json"
    return store.read_json(path) if path and path.is_file() else None


def verdict(
    value: Number,
    *,
    published: Number | None = None,
    agree: Number | tuple[Number, Number] | None = None,
    theory: Number | None = None,
) -> str | None:
    """Return ``holds``, ``differs``, ``settled``, or None where there is nothing to compare with.

    Parameters
    ----------
    value
        Our number.
    published
        The document's number.
    agree
        The allowed distance, or the range (low, high) of values in which a claim made in words holds.
    theory
        A closed form; a value within ``agree`` of it settles the claim.

    Examples
    --------
    >>> verdict(18432, published=18000, agree=500)
    'holds'
    >>> verdict(0.2, agree=(0.5, 1.0))
    'differs'
    """
    if agree is None:
        return None
    if isinstance(agree, tuple):
        return "holds" if agree[0] <= value <= agree[1] else "differs"
    if theory is not None and abs(value - theory) <= agree:
        return "settled"
    if published is None:
        return None
    return "holds" if abs(value - published) <= agree else "differs"


def format_value(value: Number, unit: str | None = None) -> str:
    """Return a number as a reader wants it: percent for a share, groups of thousands, else three digits."""
    if unit == "share":
        return f"{100 * value:.1f} %"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def format_entry(entry: Mapping[str, Any] | None) -> str:
    """Return a record's number with its spread, or nothing where there is no record."""
    if entry is None:
        return ""
    text = format_value(entry["value"], entry["unit"])
    if entry["spread"] is not None:
        text += f" ± {format_value(entry['spread'], entry['unit'])}"
    return text


_RUNS = "The *real* and *paper* runs are the recorded ones, *stale* if an earlier version of this chapter made them."
_LEGEND = (
    f"{_RUNS} "
    "The verdict says whether the largest run that is not stale agrees with the document: *holds* or *differs*, "
    "*settled* where a formula gives the true value, *on a stand-in* if the data or the network are others."
)


def table(columns: dict[str, list[str | None]], judged: list[bool]) -> str:
    """Return columns as Markdown: the rows that are judged, how to read them, and the others folded away.

    Where none is judged, all are shown.
    """
    if not any(judged):
        return f"{_markdown(columns, [True] * len(judged))}\n\n{_RUNS}"
    text = f"{_markdown(columns, judged)}\n\n{_LEGEND}"
    if all(judged):
        return text
    rest = [not one for one in judged]
    summary = f"<summary>Numbers of this chapter that nothing is compared with ({sum(rest)})</summary>"
    return f"{text}\n\n<details>{summary}\n\n{_markdown(columns, rest)}\n\n</details>"


def _markdown(columns: dict[str, list[str | None]], wanted: list[bool]) -> str:
    """Return the wanted rows as a table, without the columns that are empty in them; None is an empty cell."""
    kept = {head: [cell for cell, one in zip(cells, wanted, strict=True) if one] for head, cells in columns.items()}
    kept = {head: cells for head, cells in kept.items() if any(cells)}
    lines = [kept, ["---"] * len(kept), *zip(*kept.values(), strict=True)]
    return "\n".join("| " + " | ".join((cell or "").replace("|", "\\|") for cell in line) + " |" for line in lines)
