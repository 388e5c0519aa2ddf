"""Chapters as notebooks: composed from their cells, filled from a run or an earlier one, and read back.

Notebooks are handled as plain JSON, so that a machine without Jupyter needs none of it.
"""

import base64
import re
from typing import Any, NamedTuple

from driver.chapter import Chapter

Notebook = dict[str, Any]
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
INJECTED = "injected-parameters"
_CONTENT = re.compile(r'<script type="application/json">(.*?)</script>', re.DOTALL)


class Event(NamedTuple):
    """One thing that a chapter reported: in which cell, its kind, what is known of it.

    With a figure comes what it shows: a picture as PNG, or the frames of a slider as JSON.
    """

    cell: int
    kind: str
    payload: dict[str, Any]
    content: bytes | None = None


def injection(chapter: Chapter) -> str:
    """Return the code that gives the parameters their values in this profile."""
    return "# Parameters\n" + "\n".join(f"{name} = {value!r}" for name, value in chapter.parameters.items())


def compose(chapter: Chapter) -> Notebook:
    """Return the chapter as a notebook without outputs, the profile's parameters after the parameters cell."""
    cells = []
    for cell in chapter.cells:
        made = {"cell_type": cell.kind, "id": f"cell-{cell.number}", "metadata": dict(cell.metadata)}
        made["source"] = cell.source
        cells.append(made | ({"execution_count": None, "outputs": []} if cell.kind == "code" else {}))
        if "parameters" in cell.tags:
            tags = [INJECTED, "remove-cell"]
            injected = {"cell_type": "code", "id": INJECTED, "metadata": {"tags": tags}, "source": injection(chapter)}
            cells.append(injected | {"execution_count": None, "outputs": []})
    metadata = {"kernelspec": dict(KERNEL), "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def fill(chapter: Chapter, executed: Notebook) -> Notebook:
    """Return the chapter's present text with the outputs of an executed notebook that has the same cells of code.

    Only sources and outputs are taken over: papermill's times, paths and versions would make each run's file differ.
    """
    made = compose(chapter)
    pairs = zip(code_cells(made), code_cells(executed), strict=True)
    for cell, done in pairs:
        cell["outputs"] = [_plain(output) for output in done["metadata"].get("raised", done["outputs"])]
        cell["execution_count"] = done["execution_count"]
        for figure in (p for output in cell["outputs"] for kind, p in reported(output) if kind == "figure"):
            name = figure["name"] if figure["name"].startswith("fig-") else f"fig-{figure['name']}"
            # MyST-NB takes alt text, caption and label of a picture from its cell, not from the output.
            shown = {"image": {"alt": figure["alt"]}, "figure": {"name": name, "caption": figure["caption"]}}
            cell["metadata"]["mystnb"] = {**cell["metadata"].get("mystnb", {}), **shown}
    return made


def _plain(output: dict[str, Any]) -> dict[str, Any]:
    """Return an output without what a run of the same code would not repeat."""
    output = dict(output)
    if output.get("output_type") == "stream":
        output["text"] = text(output["text"])
    if "data" in output:
        output["data"] = {kind: text(value) for kind, value in output["data"].items()}
    return output


def text(value: Any) -> Any:
    """Return a field of a notebook that may be stored as a list of lines as one string."""
    return "".join(value) if isinstance(value, list) and all(isinstance(line, str) for line in value) else value


def code_cells(notebook: Notebook) -> list[dict[str, Any]]:
    """Return the cells of code, the injected one too."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def number(cell: dict[str, Any]) -> int:
    """Return a cell's number in the chapter; the injected cell has 0."""
    return 0 if cell["id"] == INJECTED else int(cell["id"].split("-")[1])


def reported(output: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return what ``actlib.report`` put into an output's metadata: kind and payload."""
    return list(output.get("metadata", {}).get("actlib", {}).items())


def events(notebook: Notebook) -> list[Event]:
    """Return everything that an executed notebook reported, in order."""
    found = []
    for cell in code_cells(notebook):
        for output in cell["outputs"]:
            for kind, payload in reported(output):
                found.append(Event(number(cell), kind, payload, _content(output.get("data", {}))))
    return found


def _content(data: dict[str, Any]) -> bytes | None:
    """Return what an output shows: a picture's bytes, or the frames that a slider's page brings along."""
    if "image/png" in data:
        return base64.b64decode(data["image/png"])
    frames = _CONTENT.search(data.get("text/html", ""))
    return frames[1].encode() if frames else None
