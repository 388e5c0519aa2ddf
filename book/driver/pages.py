"""From executed chapters to pages: everything that Jupyter Book reads, in one folder, chapters as readers see them."""

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

from actlib import store
from driver import BuildError, chapter, exercises, figures, modules, notices, scorecard, timings
from driver.chapter import Book
from driver.notebook import Notebook, events, number, reported

_MATHJAX = "sphinx-mathjax-offline"
_NOT_READ = ("_build", "_ext", "driver", "licences", "__pycache__")
# Pages that are written here, beside those of the reference.
_MADE = {"book/benchmarks", "book/exercises", "book/figures", "book/notices", "book/scorecard"}


def check_toc(book: Book) -> None:
    """Check that ``_toc.yml`` names every chapter, and only chapters and pages that exist.

    Raises
    ------
    BuildError
        Naming the entries without a file, or the chapters without an entry.
    """
    named = set(_toc_entries(chapter.read_yaml(book.root / "book" / "_toc.yml")))
    chapters = {f"nbs/{slug}" for slug in book.sources}
    pages = {f"book/{path.stem}" for path in (book.root / "book").glob("*.md")} | _MADE
    if reference := modules.groups(book):
        pages |= {"book/api", *(f"book/{group['page']}" for group in reference)}
    lost, missing = sorted(named - chapters - pages), sorted(chapters - named)
    if lost:
        raise BuildError("book/_toc.yml", f"{', '.join(lost)}: named there, but there is no such file")
    if missing:
        raise BuildError("book/_toc.yml", f"{', '.join(missing)}: a chapter without an entry there")


def _toc_entries(node: Any) -> list[str]:
    """Return every page that a table of contents names, at any depth."""
    if isinstance(node, list):
        return [entry for item in node for entry in _toc_entries(item)]
    if isinstance(node, dict):
        own = [node[key] for key in ("root", "file") if key in node]
        return own + [entry for value in node.values() for entry in _toc_entries(value)]
    return []


def stage(
    book: Book,
    notebooks: Mapping[str, Notebook],
    notes: Mapping[str, list[str]],
    profile: str,
    table: Mapping[str, dict[str, Any]],
) -> Path:
    """Make ``book/_build/src`` hold executed chapters, pages, generated ones, records, package and MathJax; return it.

    Page names equal paths in the repository, so that a link works in the source, on the site and in an editor. A file
    that has its content already is left alone, and one that no longer belongs there is deleted.
    """
    root, target = book.root, book.build / "src"
    wanted: dict[str, Path | bytes] = _mathjax()
    own = [path for path in (root / "book").iterdir() if path.name not in _NOT_READ]
    found = [path for top in own for path in (top, *top.rglob("*")) if path.suffix != ".py"]
    found += (root / "actlib").glob("*.py")  # for literalinclude
    found += [path for path in (root / "results").rglob("*") if path.suffix in (".json", ".webp")]
    wanted |= {path.relative_to(root).as_posix(): path for path in found if path.is_file()}
    shown = figures.read(book)
    for slug, made in notebooks.items():
        dressed = _with_places(slug, _dressed(made, table, notes.get(slug, [])), shown.get(slug, {}), table)
        text = json.dumps(dressed, indent=1, ensure_ascii=False)
        wanted[f"nbs/{slug}.ipynb"] = text.encode()
    reported = {slug: events(made) for slug, made in notebooks.items()}
    wanted |= notices.texts(book)
    wanted["book/notices.md"] = notices.page(book).encode()
    wanted["book/scorecard.md"] = scorecard.page(book, table, profile, reported).encode()
    wanted["book/exercises.md"] = exercises.page(notebooks).encode()
    wanted["book/figures.md"] = figures.page(book, notebooks, table).encode()
    wanted["book/benchmarks.md"] = timings.page(book).encode()
    wanted |= figures.pictures(book) | timings.pictures(book) | modules.pages(book)
    _mirror(target, wanted)
    return target


def _mirror(target: Path, wanted: Mapping[str, Path | bytes]) -> None:
    """Give the folder ``target`` exactly the files ``wanted``, named by their content or by the file that has it."""
    for path in sorted(target.rglob("*"), reverse=True):  # what lies in a folder comes before it
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        elif not path.is_dir() and path.relative_to(target).as_posix() not in wanted:
            path.unlink()
    for name, content in wanted.items():
        made = content if isinstance(content, bytes) else content.read_bytes()
        if not (target / name).is_file() or (target / name).read_bytes() != made:
            store.write_bytes(target / name, made)


def _dressed(made: Notebook, table: Mapping[str, Any], notes: list[str]) -> Notebook:
    """Return a notebook as readers see it: notes after the title, places for the scorecard's links, solutions shut."""
    cells, first = [], {}
    for event in events(made):
        id = event.payload["id"].split("/")[0] if event.kind == "number" else None
        if id in table:
            first.setdefault(id, event.cell)
    for cell in made["cells"]:
        here = [id for id, place in first.items() if place == number(cell) > 0] if cell["cell_type"] == "code" else []
        cells += [_markdown(f"{cell['id']}-{i}", f"({scorecard.anchor(id)})=") for i, id in enumerate(here)]
        tags = cell["metadata"].get("tags", [])
        if "solution" in tags and not any(tag.startswith(("hide", "remove")) for tag in tags):
            words = {"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
            cell = {**cell, "metadata": {"mystnb": words, **cell["metadata"], "tags": [*tags, "hide-cell"]}}
        cells += _apart(cell)
        if notes and cell["id"] == made["cells"][0]["id"]:
            body = "\n".join(f"- {scorecard.plain(note)}" for note in notes)
            cells.append(_markdown("notes", f":::{{warning}}\n{body}\n:::"))
    return {**made, "cells": cells, "metadata": {k: v for k, v in made["metadata"].items() if k != "actlib"}}


def _with_places(slug: str, made: Notebook, shown: figures.Shown, table: Mapping[str, Any]) -> Notebook:
    """Return a chapter with the list of what it rebuilds after its comparison table, else before its last cell."""
    text = figures.rebuilt(slug, made, shown, table)
    if not text:
        return made
    cells = made["cells"]
    tables = [k for k, cell in enumerate(cells) if cell["cell_type"] == "code" and "report.table(" in cell["source"]]
    at = tables[0] + 1 if tables else len(cells) - 1
    return {**made, "cells": [*cells[:at], _markdown("places", text), *cells[at:]]}


def _apart(cell: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a cell whose outputs hold a figure as several: MyST-NB would give each output the figure's label."""
    outputs = cell.get("outputs", [])
    is_figure = ["figure" in dict(reported(output)) for output in outputs]
    if len(outputs) < 2 or not any(is_figure):
        return [cell]
    at = is_figure.index(True)
    found = []
    for i, part in enumerate(part for part in (outputs[:at], outputs[at : at + 1], outputs[at + 1 :]) if part):
        data = dict(cell["metadata"])
        if i:
            tags = {"hide-cell": "hide-output"}
            tags = [tags.get(tag, tag) for tag in data.get("tags", []) if tag not in ("hide-input", "remove-input")]
            data["tags"] = [*tags, "remove-input"]
        if "figure" not in dict(reported(part[0])):
            data["mystnb"] = {key: value for key, value in data["mystnb"].items() if key not in ("figure", "image")}
        made = {**cell, "id": f"{cell['id']}-{i}" if i else cell["id"], "metadata": data, "outputs": part}
        found.append(made | ({"source": "# more output"} if i else {}))
    return found


def _markdown(id: str, source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": id, "metadata": {}, "source": source}


def _mathjax() -> dict[str, Path | bytes]:
    """Return what a page needs of the installed MathJax by staged name: one script and its fonts, 2 MB of 24."""
    try:
        found = {path.as_posix().partition("static/mathjax/")[2]: path for path in files(_MATHJAX) or []}
    except PackageNotFoundError as error:
        raise BuildError(_MATHJAX, "mathematics needs it; install the book's packages: pip install .[book]") from error
    wanted = [name for name in found if name == "tex-chtml-full.js" or name.startswith("output/chtml/fonts/woff-v2/")]
    if "tex-chtml-full.js" not in wanted:
        raise BuildError(_MATHJAX, "has no tex-chtml-full.js; install it again, in the version of constraints.txt")
    return {f"book/static/mathjax/{name}": Path(found[name].locate()) for name in wanted}
