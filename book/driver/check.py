"""What a chapter must hold after a run before it takes the place of the last good one."""

import json
import math
import re
from collections import Counter
from typing import Any

from driver import BuildError
from driver.chapter import Chapter
from driver.notebook import Event, Notebook, code_cells, number, reported, text

_LARGEST = 1_500_000  # bytes of one executed notebook
_ALT = (40, 250)  # characters
_DRAWN = re.compile(r"<(?:img|svg|canvas|video|object|iframe)\b[^>]*>", re.IGNORECASE)
_SAID = re.compile(r"""\s(?:alt|aria-label)=(["'])(?!\1)|\saria-hidden=["']true["']""")


def notebook(chapter: Chapter, made: Notebook) -> None:
    """Check an executed notebook: every cell ran, no error, every picture described, and not too large.

    Raises
    ------
    BuildError
        Naming the chapter, the cell and what is wrong.
    """
    names = {cell.number: cell.name for cell in chapter.cells} | {0: "the injected parameters"}
    for cell in code_cells(made):
        name, outputs = names[number(cell)], cell["outputs"]
        wanted = "raises-exception" in cell["metadata"].get("tags", [])
        errors = [output for output in outputs if output["output_type"] == "error"]
        if cell["execution_count"] is None:
            raise BuildError(chapter.slug, f"{name}: was not executed")
        if errors and not wanted:
            raise BuildError(chapter.slug, f"{name}: {errors[0]['ename']}: {errors[0]['evalue']}")
        if wanted and not errors:
            raise BuildError(chapter.slug, f"{name}: raised nothing, but is tagged raises-exception")
        if any(_silent(output) for output in outputs):
            raise BuildError(chapter.slug, f"{name}: a picture without text alternative; show it with report.figure")
        n_figures = sum("figure" in dict(reported(output)) for output in outputs)
        if n_figures > 1:
            raise BuildError(chapter.slug, f"{name}: {n_figures} figures in one cell; give each its own cell")
    size = len(json.dumps(made, indent=1, ensure_ascii=False).encode())
    if size > _LARGEST:
        raise BuildError(
            chapter.slug,
            f"the executed notebook has {size / 1e6:.1f} MB, allowed are 1.5 MB; show fewer or smaller outputs",
        )


def _silent(output: dict[str, Any]) -> bool:
    """Say whether an output has a picture that comes without words: as an image, or somewhere in its HTML."""
    data = output.get("data", {})
    image = any(kind.startswith("image/") for kind in data)
    drawn = _DRAWN.findall(text(data.get("text/html", "")))
    return (image and "figure" not in dict(reported(output))) or not all(_SAID.search(tag) for tag in drawn)


def reports(chapter: Chapter, events: list[Event]) -> None:
    """Check what a chapter reported: finite numbers with ids of their own, described figures, exercises both ways.

    Raises
    ------
    BuildError
        Naming the chapter, the cell and what is wrong.
    """
    names = {cell.number: cell.name for cell in chapter.cells}
    seen: Counter[str] = Counter()
    for event in events:
        try:
            _one(event, seen)
        except ValueError as error:
            raise BuildError(chapter.slug, f"{names.get(event.cell, 'the injected parameters')}: {error}") from error
    _exercises(chapter, events)


def _one(event: Event, seen: Counter[str]) -> None:
    payload = event.payload
    name = f"{event.kind} {payload.get('id', payload.get('name'))}"
    if event.kind == "number":
        value = payload["value"]
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{name} is {value!r}; report a finite number")
    for alt in _alts(event):
        if not _ALT[0] <= len(alt) <= _ALT[1]:
            raise ValueError(f"{name}: the text alternative has {len(alt)} characters; write {_ALT[0]} to {_ALT[1]}")
        if alt.strip() == payload["caption"].strip():
            raise ValueError(f"{name}: the text alternative is the caption again; say what a sighted reader sees")
        if _alts(event).count(alt) > 1:
            raise ValueError(f"{name}: two frames have the same text alternative, {alt!r}")
    if event.kind in ("number", "figure"):
        seen[name] += 1
        if seen[name] > 1:
            raise ValueError(f"{name} is reported twice")


def _alts(event: Event) -> list[str]:
    """Return the text alternative of a picture, or those of a slider's frames."""
    if event.kind != "figure":
        return []
    return event.payload.get("alts") or [event.payload.get("alt") or ""]


def _exercises(chapter: Chapter, events: list[Event]) -> None:
    """Check that every exercise's check refuses the stub and accepts the solution."""
    checks = [event for event in events if event.kind == "check"]
    sides: dict[str, set[str]] = {"exercise": set(), "solution": set()}
    for cell in chapter.cells:
        side = next((tag for tag in sides if tag in cell.tags), None)
        here = [event.payload for event in checks if event.cell == cell.number]
        if here and side is None:
            raise BuildError(chapter.slug, f"{cell.name}: a check belongs in a cell tagged exercise or solution")
        if side and cell.kind == "code" and not here:
            raise BuildError(chapter.slug, f"{cell.name}: is tagged {side} but calls no report.check")
        for check in here:
            if check["passed"] != (side == "solution"):
                told = "the stub passes" if side == "exercise" else "the solution fails"
                raise BuildError(chapter.slug, f"{cell.name}: {told} the check {check['name']}")
            sides[side].add(check["name"])
    for name in sorted(sides["exercise"] ^ sides["solution"]):
        lacking = "solution" if name in sides["exercise"] else "exercise"
        raise BuildError(chapter.slug, f"the check {name} has no cell tagged {lacking}")


def across(slug: str, events: list[Event], others: dict[str, list[Event]]) -> None:
    """Check that no other chapter has a number, a figure or a text alternative of this one.

    Raises
    ------
    BuildError
        Naming both chapters.
    """
    mine = _marks(events)
    for other, theirs in others.items():
        for mark in sorted(mine & _marks(theirs)) if other != slug else []:
            raise BuildError(slug, f"{mark} is also in {other}; each has its own in the whole book")


def _marks(events: list[Event]) -> set[str]:
    found = set()
    for event in events:
        if event.kind == "number":
            found.add(f"number {event.payload['id']}")
        if event.kind == "figure":
            found.add(f"figure {event.payload['name']}")
        found |= {f"the text alternative {alt!r}" for alt in _alts(event)}
    return found
