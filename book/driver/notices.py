"""The page of licences: what the site ships that others made, with the texts of their licences, and the data.

The list of parts is ``book/notices.yml``, the data are those of ``actlib.sources``. The texts are those that the
installed packages bring, so that they belong to the versions that are shipped.
"""

import re
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from actlib import sources
from driver import BuildError, chapter, scorecard
from driver.chapter import Book

FOLDER = "book/static/licences"
_HEAD = """(notices)=
# Licences of what others made

The book's code is under the BSD 3-Clause License, its text and figures under CC BY 4.0. The pages also bring along the
work of others: without it they would need a network. The last column leads to the text of the licence.
"""
_DATA = """
## Data

Figures show images of these sets, or points and numbers computed from them. The sets themselves are not part of the
site.
"""


def read(book: Book) -> list[dict[str, Any]]:
    """Return the parts that ``book/notices.yml`` lists."""
    return chapter.read_yaml(book.root / "book" / "notices.yml")["parts"]


def owner(parts: list[dict[str, Any]], name: str) -> str | None:
    """Return which part a file below ``_static`` belongs to: the first with a pattern that fits; None where none does.

    A star stands for anything but a slash, but at a pattern's end after a slash for everything below that folder.
    """
    for part in parts:
        if any(_fits(name, pattern) for pattern in part["files"]):
            return part["name"]
    return None


def _fits(name: str, pattern: str) -> bool:
    if pattern.endswith("/*"):
        return name.startswith(pattern[:-1])
    return name.count("/") == pattern.count("/") and fnmatchcase(name, pattern)


def texts(book: Book) -> dict[str, Path]:
    """Return the file with the text of each part's licence, by the name under which the page brings it.

    Raises
    ------
    BuildError
        If a package is not installed or neither it nor ``book/licences`` has a text.
    """
    found = {}
    for part in read(book):
        if not part.get("ours"):
            found[f"{FOLDER}/{_slug(part['name'])}.txt"] = _text(book, part)
    return found


def _text(book: Book, part: dict[str, Any]) -> Path:
    if "text" in part:
        path = book.root / "book" / "licences" / part["text"]
        if not path.is_file():
            raise BuildError("book/notices.yml", f"{part['name']}: there is no text book/licences/{part['text']}")
        return path
    files = _distribution(part).files or []
    own = [file for file in files if re.fullmatch(r"LICEN[CS]E(\.\w+)?", file.name) and ".dist-info" in str(file)]
    if not own:
        raise BuildError("book/notices.yml", f"{part['name']}: {part['package']} brings no licence; name one in `text`")
    return Path(own[0].locate())


def _distribution(part: dict[str, Any]) -> Any:
    try:
        return distribution(part["package"])
    except PackageNotFoundError as error:
        raise BuildError("book/notices.yml", f"{part['name']}: {part['package']} is not installed") from error


def page(book: Book) -> str:
    """Return the page, in MyST Markdown."""
    rows = [["part", "by", "licence", "comes with", "text"]]
    for part in read(book):
        if part.get("ours"):
            continue
        name = f"[{part['name']}]({part['site']})" + (f"; {part['note']}" if "note" in part else "")
        file = f"../_static/licences/{_slug(part['name'])}.txt"
        brings = f"{part['package']} {_distribution(part).version}"
        rows.append([name, part["by"], part["licence"], brings, f'<a href="{file}">text</a>'])
    data = [["set", "licence", "reference", "site"]]
    for source in sources.MANIFEST.values():
        data.append([scorecard.plain(field) for field in (source.title, source.licence, source.citation, source.site)])
    return f"{_HEAD}\n{_table(rows)}\n{_DATA}\n{_table(data)}"


def _table(rows: list[list[str]]) -> str:
    head, *rest = rows
    lines = [head, ["---"] * len(head), *rest]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
