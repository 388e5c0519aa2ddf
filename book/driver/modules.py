"""The pages of the API reference: groups of modules, who imports whom, and a picture of it, read from the code."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from driver import BuildError, charts, keys
from driver.chapter import Book

PICTURE = "book/made/modules.svg"
Graph = dict[str, set[str]]
_HEAD = """(api)=
# API reference

The chapters call `actlib`, a small package of plain functions: {modules} modules, {imports} imports between them, no
cycle. This page and the pages of its groups are generated from the code.

```{{figure}} made/modules.svg
:name: fig-modules
:alt: {alt}
:figclass: modules

The groups of modules. An arrow leads from a group to one whose modules it imports; it is wider for more imports.
```

## Groups

{groups}

## Rows

What a module imports stands in a row above its own; the modules of the first row import nothing of the package. A
chapter imports what it needs from any row.

{rows}
"""
_MODULE = """## {name}

{lines}

```{{eval-rst}}
.. automodule:: actlib.{name}
```
"""


def graph(book: Book) -> Graph:
    """Return which modules of the package each module imports."""
    sources = {path.stem: path.read_text(encoding="utf-8") for path in (book.root / "actlib").glob("*.py")}
    sources.pop("__init__", None)
    return {name: {other for other in keys.imported(text) if other in sources} for name, text in sources.items()}


def rows(found: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the modules by the length of the longest chain of imports below them, each row sorted.

    Raises
    ------
    BuildError
        If imports go round in a circle.
    """
    left, made = {name: set(others) for name, others in found.items()}, []
    while left:
        row = sorted(name for name, others in left.items() if not others & set(left))
        if not row:
            raise BuildError("actlib", f"imports go round in a circle among {', '.join(sorted(left))}")
        made.append(row)
        left = {name: others for name, others in left.items() if name not in row}
    return made


def groups(book: Book) -> list[dict[str, Any]]:
    """Return the groups of ``book/api.yml``; none where a book writes its own ``book/api.md``.

    Raises
    ------
    BuildError
        If a module of the package stands in no group or in two, or a group names one that does not exist.
    """
    path = book.root / "book" / "api.yml"
    if not path.is_file():
        return []
    listed = yaml.safe_load(path.read_text(encoding="utf-8"))
    named = Counter(name for group in listed for name in group["modules"])
    wrong = set(named) ^ set(graph(book)) | {name for name, n in named.items() if n > 1}
    if wrong:
        raise BuildError("book/api.yml", f"{', '.join(sorted(wrong))}: each module of actlib stands in one group")
    return listed


def pages(book: Book) -> dict[str, bytes]:
    """Return the reference's pages and its picture, by their names in the staged book."""
    listed = groups(book)
    if not listed:
        return {}
    found, made = graph(book), {}
    for group in listed:
        parts = [f"({group['page']})=", f"# {group['title']}", "", group["about"], ""]
        parts += [_MODULE.format(name=name, lines=_lines(book, name, found)) for name in group["modules"]]
        made[f"book/{group['page']}.md"] = "\n".join(parts).encode()
    columns, counts = _columns(listed, found)
    sizes = {group["title"]: len(group["modules"]) for group in listed}
    made[PICTURE] = charts.groups(columns, sizes, counts, book)
    made["book/api.md"] = _front(listed, found, counts).encode()
    return made


def _front(listed: list[dict[str, Any]], found: Graph, counts: Mapping[tuple[str, str], int]) -> str:
    """Return the reference's first page."""
    widest = max(counts, key=counts.get, default=("none", "none"))
    alt = (
        f"{len(listed)} boxes with {len(counts)} arrows, all from left to right but those within a column; "
        f"the widest leads from {widest[0].lower()} to {widest[1].lower()}."
    )
    told = [f"- [{g['title']}]({g['page']}.md), {len(g['modules'])} modules: {g['about']}" for g in listed]
    body = [f"| {k} | {_links(names)} |" for k, names in enumerate(rows(found))]
    table = ["```{container} rows-of-modules", "", "| row | modules |", "|---|---|", *body, "", "```"]
    return _HEAD.format(
        modules=len(found), imports=sum(map(len, found.values())), alt=alt,
        groups="\n".join(told), rows="\n".join(table),
    )  # fmt: skip


def _columns(listed: list[dict[str, Any]], found: Graph) -> tuple[list[list[str]], dict[tuple[str, str], int]]:
    """Return the groups in columns, those that import others first, and how many imports lead from group to group."""
    group = {name: each["title"] for each in listed for name in each["modules"]}
    counts = Counter((group[name], group[other]) for name, others in found.items() for other in others)
    counts = {pair: n for pair, n in counts.items() if pair[0] != pair[1]}
    below = {each["title"]: {b for a, b in counts if a == each["title"] and (b, a) not in counts} for each in listed}
    for one, other in counts:
        if (other, one) in counts:  # two that need each other stand in one column
            below[one] = below[other] = below[one] | below[other]
    order = [each["title"] for each in listed]
    return [sorted(row, key=order.index) for row in reversed(rows(below))], counts


def _lines(book: Book, name: str, found: Graph) -> str:
    """Return what a module imports, what imports it, and the chapters that call it."""
    above = [other for other, names in found.items() if name in names]
    callers = [slug for slug, path in book.sources.items() if name in keys.imported(path.read_text(encoding="utf-8"))]
    lines = [
        f"*Imports* {_links(found[name]) or 'nothing of the package'}.",
        f"*Imported by* {_links(above) or 'no other module'}.",
        f"*Called in* {' · '.join(f'{{doc}}`/nbs/{slug}`' for slug in callers) or 'no chapter'}.",
    ]
    return "  \n".join(lines)


def _links(names: Iterable[str]) -> str:
    return ", ".join(f"{{py:mod}}`{name} <actlib.{name}>`" for name in sorted(names))
