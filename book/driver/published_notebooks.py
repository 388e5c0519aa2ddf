"""Executed chapters as they are put on the branch ``notebooks``: a cell that installs, prose for any viewer.

They are made from the last good outputs, and nothing is executed. The chapters in ``nbs/`` know nothing of this.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from actlib import store
from driver import BuildError, chapter, colab, readable
from driver.chapter import Book
from driver.notebook import Notebook, compose, events


def check_address(root: Path, here: str) -> None:
    """Check that ``repository.url`` is the repository whose workflow is running; empty ``here`` is none.

    Raises
    ------
    BuildError
        If it is another one: every button of the site would lead there.
    """
    url = colab.address(root)
    if here and url.lower() != here.lower():
        raise BuildError("_config.yml", f"repository.url is {url}, but this is {here}; write the latter there")


def write(root: Path, target: Path, profile: str, commit: str) -> list[Path]:
    """Write the notebook of each chapter below ``target``, under the path of its source; return the paths.

    Raises
    ------
    BuildError
        If a chapter has not been executed in this profile.
    """
    book, url = Book(root.resolve()), colab.address(root)
    titles = dict(found for slug in book.sources for found in _titles(book, slug, profile))
    written = []
    for slug in book.sources:
        path = book.executed(profile, slug)
        if not path.is_file():
            raise BuildError(slug, f"no executed notebook of profile {profile}; run: python book/build.py {slug}")
        made = store.read_json(path)
        raw = f"{url.replace('github.com', 'raw.githubusercontent.com')}/{commit}"
        known = readable.Known(_values(root, made), titles, raw)
        store.write_bytes(target / "nbs" / f"{slug}.ipynb", _text(_dressed(made, known, slug, url, commit)).encode())
        written.append(target / "nbs" / f"{slug}.ipynb")
    return written


def _text(made: Notebook) -> str:
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def _dressed(made: Notebook, known: readable.Known, slug: str, url: str, commit: str) -> Notebook:
    """Return a notebook with plain prose and, before its first cell of code, its origin and the cell that installs."""
    owner, name = url.rsplit("/", 2)[1:]
    origin = (
        f"This notebook was made from [nbs/{slug}.py]({url}/blob/{commit}/nbs/{slug}.py). Links between chapters, "
        f"numbers of figures and references are on [its page](https://{owner.lower()}.github.io/{name}/nbs/{slug}.html)."
    )
    cells = []
    for cell in made["cells"]:
        if cell["cell_type"] == "markdown":
            cell = {**cell, "source": readable.plain(cell["source"], known)}
        elif not any(earlier["id"] == "install" for earlier in cells):
            cells.append({"cell_type": "markdown", "id": "origin", "metadata": {}, "source": origin})
            cells.append(colab.cell(url, commit))
        cells.append(cell)
    metadata = {key: value for key, value in made["metadata"].items() if key != "actlib"}
    return {**made, "cells": cells, "metadata": metadata}


def _titles(book: Book, slug: str, profile: str) -> list[tuple[str, str]]:
    """Return label and title of the headings in a chapter that have a label."""
    text = "\n".join(c["source"] for c in compose(chapter.load(book, slug, profile))["cells"])
    return re.findall(r"^\(([\w-]+)\)=\n#+ (.+)$", text, re.MULTILINE)


def _values(root: Path, made: Notebook) -> Any:
    """Return the function that gives the text of a number: of this run, published or recorded."""
    own = {event.payload["id"]: event.payload["value"] for event in events(made) if event.kind == "number"}
    sys.path.append(str(Path(__file__).parents[1] / "_ext"))
    import published_role

    table = chapter.read_yaml(root / "book" / "published.yml")

    def value(role: str, content: str) -> str:
        if role == "published":
            return published_role.printed(table, content)
        if role == "recorded":
            return published_role.recorded(root / "results", content.strip()) or "not recorded yet"
        id, _, form = content.partition(":")
        return format(own[id], form)

    return value
