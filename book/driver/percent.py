"""Read a chapter: py:percent text to cells, as jupytext reads it, without jupytext.

A machine with a GPU often has nothing but torch, so chapters must run there without the book's packages. Whatever
this reader and jupytext would read differently is refused, so that JupyterLab and the driver never disagree.
"""

import io
import json
import re
import tokenize
from pathlib import Path
from typing import Any, NamedTuple

from driver import BuildError

_MARKER = re.compile(r"# ?%%(?!%)(?: (.*))?$")
_OPTIONS = re.compile(r"(?:^|\s)[A-Za-z_][\w.-]*\s*=")
_OPTION = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*=\s*")
_PROSE = re.compile(r"[rR]?(\"\"\"|''')\n?(.*?)\n?\1", re.DOTALL)
_HEADER = re.compile(r"# ---\n(?:#.*\n)*?# ---\n")
# jupytext takes these comments for commands that were commented out, and would run them in JupyterLab.
_COMMANDS = re.compile(
    r"\s*(?:# |#)+(?:%+[A-Za-z]|\s*[?!]\s*[A-Za-z.~$\\/{}]|\s*[A-Za-z_$][\w$]*\s*=\s*[%!]+[A-Za-z]|[^\s]*\?\s*$"
    r"|(?:cat|cd|cp|mv|rm|rmdir|mkdir|copy|ddir|echo|ls|ldir|ren)(?:\s*$|\s[^=,]))"
)


class Cell(NamedTuple):
    """One cell: its number from 1, ``code`` or ``markdown``, its text, its metadata, its first line in the file."""

    number: int
    kind: str
    source: str
    metadata: dict[str, Any]
    line: int

    @property
    def tags(self) -> list[str]:
        """The cell's tags."""
        return self.metadata.get("tags", [])

    @property
    def name(self) -> str:
        """The cell for messages: number and first line of text."""
        first = next((line.strip() for line in self.source.splitlines() if line.strip()), "empty")
        return f"cell {self.number} ({first if len(first) <= 60 else first[:57] + '...'})"


def read(path: Path) -> list[Cell]:
    """Return the cells of the chapter at ``path``.

    Raises
    ------
    BuildError
        If the file is not Python up to its strings and comments, or a cell cannot be read.
    """
    return parse(path.read_text(encoding="utf-8-sig"), path.stem)  # universal newlines: CRLF reads as LF


def parse(text: str, slug: str) -> list[Cell]:
    """Return the cells of ``text``; ``slug`` names the chapter in errors.

    A marker is a comment ``# %%`` at the start of a line. Python's own tokenizer finds comments, so a marker within
    a string, of code or of prose, is text.
    """
    header = _HEADER.match(text)
    begin = header.group().count("\n") if header else 0
    lines = text.split("\n")
    markers = [row for row in _comments(text, slug, begin) if lines[row].startswith(("# %%", "#%%"))]
    cells, starts = [], markers
    if any(line.strip() for line in lines[begin : markers[0] if markers else None]):
        starts = [begin - 1, *markers]  # text before the first marker is a cell of code, as for jupytext
    for row, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        marker = lines[row] if row in markers else "# %%"
        kind, metadata = _options(marker, slug, row + 1)
        body = lines[row + 1 : end]
        while body and not body[-1]:
            body.pop()
        while row not in markers and not body[0].strip():
            body.pop(0)
        source = _prose("\n".join(body), slug, row + 1) if kind == "markdown" else "\n".join(body)
        cells.append(Cell(len(cells) + 1, kind, source, metadata, row + 2))
    return cells


def _comments(text: str, slug: str, begin: int) -> list[int]:
    """Return the rows, from 0, of the comments that stand alone on their line; refuse what jupytext misreads."""
    rows = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            row = token.start[0] - 1
            if token.type != tokenize.COMMENT or row < begin or token.line.strip() != token.string.strip():
                continue
            marker = re.match(r"# ?%%", token.string)
            if marker and (token.start[1] > 0 or not _MARKER.match(token.string)):
                raise BuildError(
                    slug, f"line {row + 1}: a cell begins with '# %%' at the start of a line, then a space"
                )
            if not marker and _COMMANDS.match(token.string):
                raise BuildError(slug, f"line {row + 1}: JupyterLab would run {token.string!r} as a command; reword it")
            rows.append(row)
    except (tokenize.TokenError, SyntaxError) as error:
        cause, place = error.args[0], error.args[1] if len(error.args) > 1 else ("?",)
        line = place[1] if isinstance(error, SyntaxError) and len(place) > 1 else place[0]
        raise BuildError(slug, f"line {line}: {cause}; is a bracket or a string left open?") from error
    return rows


def _options(marker: str, slug: str, line: int) -> tuple[str, dict[str, Any]]:
    """Return kind and metadata of a marker such as ``# %% [markdown] tags=["a"]``; a title is dropped."""
    rest = (_MARKER.match(marker).group(1) or "").strip()
    found = _OPTIONS.search(rest)
    head, tail = (rest[: found.start()], rest[found.start() :]) if found else (rest, "")
    kind = re.search(r"\[(\w+)\]\s*$", head)
    if kind and kind.group(1) not in ("markdown", "md"):
        raise BuildError(slug, f"line {line}: cells are code or [markdown], found [{kind.group(1)}]")
    metadata: dict[str, Any] = {}
    while tail.strip():
        option = _OPTION.match(tail)
        try:
            value, end = json.JSONDecoder().raw_decode(tail, option.end() if option else 0)
        except ValueError as error:
            raise BuildError(slug, f'line {line}: cannot read {tail.strip()!r}; write tags=["name"]') from error
        metadata[option.group(1) if option else ""], tail = value, tail[end:]
    if not all(isinstance(tag, str) for tag in metadata.get("tags", [])):
        raise BuildError(slug, f"line {line}: tags are a list of names, found {metadata['tags']!r}")
    return ("markdown" if kind else "code"), metadata


def _prose(body: str, slug: str, line: int) -> str:
    """Return the text of a markdown cell, written as one string literal or as comments."""
    whole = _PROSE.fullmatch(body.strip())
    if whole:
        return whole.group(2).rstrip("\n")
    rows = body.split("\n")
    if all(row.startswith("#") or not row for row in rows):
        return "\n".join(row[2:] if row.startswith("# ") else row[1:] for row in rows)
    raise BuildError(slug, f'line {line}: a markdown cell is one r""" string or lines that begin with "# "')
