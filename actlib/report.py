"""What a chapter hands its reader: numbers for the text, figures, comparison tables, checks and provenance.

Each call shows its result in a notebook and keeps it in the ledger of the run, from which the book's driver
writes the record. Nothing here computes: a chapter computes, and reports what it found.
"""

import io
import json
import math
import os
import time
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from actlib import pictures, published, recorded, slider
from actlib.frames import Frame, compact
from actlib.ledger import emit, entries, require_start, run, show, source, start
from actlib.provenance import facts
from actlib.published import Number

__all__ = ["Frame", "check", "entries", "figure", "frames", "number", "provenance", "source", "start", "table"]

# Papermill's and MyST-NB's form of a value that the text can quote with {glue:text}`id:.3f`.
_GLUE = "application/papermill.record/"
_DPI = 150


def number(
    id: str,
    value: Any,
    *,
    label: str | None = None,
    spread: Any = None,
    n: int | None = None,
    unit: str | None = None,
    tol: Number | None = None,
    agree: Number | tuple[Number, Number] | None = None,
    theory: Number | None = None,
    note: str | None = None,
) -> None:
    """Keep a named value of this run, and make it available to the text.

    Parameters
    ----------
    id
        The experiment's id, with what is particular after a slash: ``F10-dims/lenet-max``.
    value
        The number: a Python, NumPy or torch scalar.
    label
        What the number is, in a few words, for the comparison table.
    spread
        Its spread, such as the standard deviation over seeds.
    n
        How many samples or runs it comes from.
    unit
        Its unit; ``share`` marks a fraction that is written as a percentage.
    tol
        The distance from our own earlier record that a new run may have; without it, a millionth of the value.
    agree
        What counts as agreement: the allowed distance from the published value, or the range (low, high) of
        values in which a claim made in words holds.
    theory
        A closed form. Within ``agree`` of it, the verdict is ``settled``.
    note
        The reason for the verdict, in words.

    Raises
    ------
    ValueError
        If the value is not finite or the id's experiment is unknown.
    """
    value, spread = _scalar(id, value), None if spread is None else _scalar(id, spread)
    document = published.value(id) or {}
    payload = {
        "id": id, "value": value, "label": label, "spread": spread, "n": n, "unit": unit, "tol": tol, "agree": agree,
        "theory": theory, "note": note, "published": document.get("text"),
        "verdict": published.verdict(value, published=document.get("value"), agree=agree, theory=theory),
        "data": run.get("data"), "stand_in": run.get("stand_in"), "device": run.get("device"),
    }  # fmt: skip
    glue = {"scrapbook": {"name": id, "mime_prefix": _GLUE}}
    emit("number", payload, {f"{_GLUE}text/plain": repr(value)}, glue)


def figure(fig: Figure, *, name: str, caption: str, alt: str) -> None:
    """Show a Matplotlib figure with its caption and text alternative, and close it.

    Where the chapter has a recorded run on the documents' own data, its picture follows, labelled as such.

    Parameters
    ----------
    fig
        A ``matplotlib.figure.Figure``.
    name
        The label for cross-references, beginning with ``fig-``.
    caption
        What is drawn, with units; MyST markup is allowed.
    alt
        What a sighted reader sees: the trend or the count, 40 to 250 characters, not the caption again.

    Raises
    ------
    ValueError
        If the name, the caption or the alt text breaks these rules.
    """
    payload = _described(name, caption, [alt])
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=_DPI, bbox_inches="tight", facecolor="white", metadata={"Software": None})
    plt.close(fig)
    picture = buffer.getvalue()
    emit("figure", payload, {"image/png": pictures.lighten(picture), "text/plain": alt}, None, picture)
    recorded.figure(name)


def frames(
    frames: Sequence[Frame], *, name: str, caption: str, label: str = "layer", start: int = 0, **axes: Any
) -> None:
    """Show a slider over point clouds, curves or pictures. It is a figure: numbered, referred to and recorded as one.

    Parameters
    ----------
    frames
        Two or more of one kind; the text alternative of each keeps the rules of ``figure``.
    name, caption
        As for ``figure``.
    label, start, **axes
        What the slider moves along, the index of the frame that a page without JavaScript shows, and what all frames
        share: classes, or the axes' names. See ``actlib.frames.compact``.

    Raises
    ------
    ValueError
        If ``figure`` would refuse the words, or ``actlib.frames.compact`` the content.
    """
    content = compact(frames, label=label, start=start, **axes)
    alts = [frame["alt"] for frame in content["frames"]]
    payload = {**_described(name, caption, alts, start), "alts": alts}
    told = f"{alts[start]} (Frame {start + 1} of {len(frames)}.)"
    page = slider.html(content, name=f"{name}, this run")
    emit("figure", payload, {"text/html": page, "text/plain": told}, None, json.dumps(content).encode())
    recorded.figure(name)


def _described(name: str, caption: str, alts: list[str], start: int = 0) -> dict[str, Any]:
    """Return what is kept of a figure's words and data, when every reader can use them."""
    if not name.startswith("fig-"):
        raise ValueError(f"figure name {name!r} must begin with 'fig-'")
    for alt in alts:
        if not 40 <= len(alt) <= 250 or alt == caption or alts.count(alt) > 1:
            raise ValueError(
                f"alt text of {name} has {len(alt)} characters; write 40 to 250 that differ from the caption"
                + " and from each other frame's" * (len(alts) > 1)
            )
    if not caption.strip():
        raise ValueError(f"{name} has no caption; say what is drawn, with units")
    made = {key: run.get(key) for key in ("data", "stand_in", "device", "profile")}
    return {"name": name, "caption": f"{caption} *{_made_with(made)}*", "alt": alts[start], **made}


def _made_with(made: dict[str, Any]) -> str:
    stand_in = f" in place of {made['stand_in']}" if made["stand_in"] else ""
    return f"Data: {made['data']}{stand_in}. Profile {made['profile']}, {made['device']}."


def table(*prefixes: str) -> None:
    """Show this run's numbers beside the document's and the recorded ones, with verdict and reason.

    Parameters
    ----------
    *prefixes
        Beginnings of the ids to show; without any, every number that has a label. Those with neither a published value
        nor a verdict are folded away below the others.
    """
    require_start()
    rows = [e.payload for e in entries() if e.kind == "number" and e.payload["label"]]
    rows = [row for row in rows if not prefixes or row["id"].startswith(prefixes)]
    others = [name for name in ("paper", "real") if name != run["profile"]]
    records = {name: published.record(name, run["slug"]) or {"numbers": {}} for name in others}
    columns = {"what": [row["label"] for row in rows], "document": [row["published"] for row in rows]}
    for name, record in records.items():
        head = f"{name} run" + " (stale)" * (name in recorded.stale())
        columns[head] = [published.format_entry(record["numbers"].get(row["id"])) for row in rows]
    columns[f"this run ({run['profile']})"] = [published.format_entry(row) for row in rows]
    # The largest run that has the number and is up to date decides, as on the scorecard.
    fresh = [record["numbers"] for name, record in records.items() if name not in recorded.stale()]
    deciding = [next((numbers[row["id"]] for numbers in fresh if row["id"] in numbers), row) for row in rows]
    judgements = [_judged(row["id"], decided) for row, decided in zip(rows, deciding, strict=True)]
    columns |= {"verdict": judgements, "why": [row["note"] for row in deciding]}
    judged = [bool(row["published"] or decided["verdict"]) for row, decided in zip(rows, deciding, strict=True)]
    data = "data of the verdict" if any(judged) else "data of the largest run"
    columns[data] = [row["data"].partition(";")[0] for row in deciding]
    text = published.table(columns, judged)
    show({"text/markdown": text, "text/plain": text}, {})


def _judged(id: str, row: dict[str, Any]) -> str | None:
    """Return a verdict that does not look like more than it is, and of a control what it should do."""
    if row["verdict"] and published.is_control(id):
        return "fails, as this control must" if row["verdict"] == "differs" else "a control that does not fail"
    return f"{row['verdict']} on a stand-in" if row["verdict"] and row["stand_in"] else row["verdict"]


def check(name: str, passed: Any, hint: str) -> None:
    """Tell a reader whether the answer to an exercise is right.

    Parameters
    ----------
    name
        The exercise's label, such as ``ex-kernel``.
    passed
        Whether the answer is right; computed by the chapter.
    hint
        What to look at next when it is not.
    """
    passed = bool(passed)
    text = "Correct." if passed else f"Not yet. {hint}"
    emit("check", {"name": name, "passed": passed}, {"text/markdown": f"**{text}**", "text/plain": text})


def provenance() -> None:
    """Show and keep what the run was made with: versions, device, seed, profile, seconds and the package's hash."""
    require_start()
    made = facts(**{key: run[key] for key in ("slug", "profile", "seed", "device")})
    made["chapter_hash"] = os.environ.get("ACTLIB_CHAPTER_HASH")
    made["data"] = sorted({entry.payload["data"] for entry in entries() if entry.payload.get("data")})
    seconds = time.perf_counter() - run["began"]
    versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
    hashes = [f"{kind} `{made[f'{kind}_hash'][:12]}`" for kind in ("package", "chapter") if made[f"{kind}_hash"]]
    lines = [
        f"**This run.** Profile `{made['profile']}`, seed {made['seed']}, {made['device']}, {seconds:.0f} s.",
        f"Data: {'; '.join(made['data'])}.",
        f"{versions}; {', '.join(hashes)}.",
    ]
    emit("provenance", made, {"text/markdown": "  \n".join(lines), "text/plain": "\n".join(lines)})


def _scalar(id: str, value: Any) -> int | float | bool:
    """Return a plain Python number, because the text formats what Python's repr says."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{id} is {value!r}; report a number")
    if not math.isfinite(value):
        raise ValueError(f"{id} is {value}; report a finite number, or say in the text why there is none")
    return value
