"""The page of figures, and in each chapter the list of what it rebuilds: figures and experiments joined.

What a figure is about stands in ``book/figures.yml``, where an experiment comes from in ``book/published.yml``;
captions are those of the executed chapters, the small pictures those of the recorded runs.
"""

import html
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from actlib import store
from driver import chapter, records, scorecard
from driver.chapter import Book
from driver.notebook import Notebook, events

_WIDTH = 200  # pixels of a small picture
_SENTENCE = re.compile(r".+?[.!?](?=\s+[\"“*]?[A-Z]|\s*$)", re.DOTALL)  # "e.g. ten" ends none
_MADE_WITH = re.compile(r"\s*\*Data: [^*]*\*\s*$")
_HEAD = """(figures)=
# All figures

This page is generated from the chapters. It lists {n} figures; {rebuilt} of them draw again what a document shows, from
our own runs. The small pictures are those of the recorded runs; a slider has none.
"""
Shown = dict[str, dict[str, list[str]]]


class Figure(NamedTuple):
    """One figure of a chapter: its name, caption and alternative, and the ids that it rebuilds or is about."""

    name: str
    caption: str
    alt: str
    rebuilds: list[str]
    about: list[str]


def read(book: Book) -> dict[str, Shown]:
    """Return what each figure rebuilds and is about, by chapter and name; nothing where a book does not say."""
    path = book.root / "book" / "figures.yml"
    return chapter.read_yaml(path)["figures"] if path.is_file() else {}


def found(made: Notebook, shown: Shown) -> list[Figure]:
    """Return the figures of an executed chapter in order, their captions without the data."""
    payloads = [event.payload for event in events(made) if event.kind == "figure"]
    return [
        Figure(
            payload["name"], _MADE_WITH.sub("", payload["caption"]), payload["alt"],
            shown.get(payload["name"], {}).get("rebuilds", []), shown.get(payload["name"], {}).get("about", []),
        )
        for payload in payloads
    ]  # fmt: skip


def page(book: Book, notebooks: Mapping[str, Notebook], table: Mapping[str, dict[str, Any]]) -> str:
    """Return the page of figures as MyST, grouped by chapter in the order of the book."""
    shown = read(book)
    listed = {slug: found(made, shown.get(slug, {})) for slug, made in notebooks.items()}
    everything = [figure for mine in listed.values() for figure in mine]
    parts = [_HEAD.format(n=len(everything), rebuilt=sum(bool(figure.rebuilds) for figure in everything))]
    for slug, mine in listed.items():
        if mine:
            rebuilds = f" rebuilds parts of {named}" if (named := _documents(slug, table)) else ""
            head = f"{{doc}}`The chapter </nbs/{slug}>`{rebuilds}."
            parts += [f"## {_title(notebooks[slug])}", "", head, ""]
            parts += [_card(book, slug, figure, table) for figure in mine]
    return "\n".join(parts)


def _title(made: Notebook) -> str:
    """Return the first heading of a chapter."""
    texts = (cell["source"] for cell in made["cells"] if cell["cell_type"] == "markdown")
    return next((match[1] for text in texts if (match := re.search(r"^# (.+)$", text, re.MULTILINE))), "A chapter")


def _documents(slug: str, table: Mapping[str, dict[str, Any]]) -> str:
    """Return the documents of a chapter's experiments as references, nothing where it has none."""
    references = dict.fromkeys(entry["reference"] for entry in table.values() if entry["chapter"] == slug)
    return " and ".join(f"{{cite:t}}`{key}`" for key in references)


def _card(book: Book, slug: str, figure: Figure, table: Mapping[str, dict[str, Any]]) -> str:
    """Return a figure's small picture, its link and caption, and what of the documents it shows."""
    sentence = _SENTENCE.match(figure.caption)
    lines = [f"{{numref}}`{_label(figure)}`: {sentence[0] if sentence else figure.caption}"]
    if lines[0][-1] not in ".!?":
        lines[0] += "."
    if figure.rebuilds:
        lines.append(f"*Rebuilds* {'; '.join(_place(id, table) for id in figure.rebuilds)}.")
    if figure.about:
        lines.append(f"*About* {', '.join(figure.about)}.")
    picture = ""
    if (source := _recorded(book, slug, figure.name)) is not None:
        size = _size(small(book, source))
        words = html.escape(f"Small picture. {figure.alt}", quote=True)
        name = f"../results/small/{slug}/{figure.name}.webp"
        told = f'src="{name}" loading="lazy" width="{size[0]}" height="{size[1]}" alt="{words}"'
        picture = f"```{{raw}} html\n<img {told}>\n```\n"
    text = "  \n".join(lines)
    return f"::::{{container}} figure-card\n{picture}\n:::{{container}} figure-words\n{text}\n:::\n::::\n"


def _label(figure: Figure) -> str:
    return figure.name if figure.name.startswith("fig-") else f"fig-{figure.name}"


def _place(id: str, table: Mapping[str, dict[str, Any]]) -> str:
    """Return where in its document an experiment's figure or table stands."""
    entry = table.get(id)
    if entry is None:
        return id
    where = entry["place"] if entry["place"] != "none" else f"section {entry['section']}"
    return f"{scorecard.plain(where)} ({id})"


def _recorded(book: Book, slug: str, name: str) -> Path | None:
    """Return the picture of the largest recorded run that has one."""
    paths = (book.record(profile, slug).with_suffix("") / f"{name}.webp" for profile in ("paper", "real"))
    return next((path for path in paths if path.is_file()), None)


def small(book: Book, source: Path) -> Path:
    """Return a small copy of a recorded picture, which is made once and kept beside the build."""
    path = book.build / "small" / f"{store.hash_file(source)[:24]}.webp"
    if not path.is_file():
        from PIL import Image  # matplotlib brings it

        picture = Image.open(source).convert("RGB")
        height = max(1, round(picture.height * _WIDTH / picture.width))
        buffer = io.BytesIO()
        picture.resize((_WIDTH, height), Image.Resampling.LANCZOS).save(buffer, "WEBP", quality=60, method=6)
        store.write_bytes(path, buffer.getvalue())
    return path


def _size(path: Path) -> tuple[int, int]:
    from PIL import Image

    with Image.open(path) as picture:
        return picture.size


def pictures(book: Book) -> dict[str, Path]:
    """Return the small pictures of all recorded figures, by their names in the staged book."""
    wanted = {}
    for slug in book.sources:
        record = next((found for run in ("paper", "real") if (found := records.read(book, run, slug))), None)
        for name in (record or {}).get("figures", {}):
            if (source := _recorded(book, slug, name)) is not None:
                wanted[f"results/small/{slug}/{name}.webp"] = small(book, source)
    return wanted


def rebuilt(slug: str, made: Notebook, shown: Shown, table: Mapping[str, dict[str, Any]]) -> str:
    """Return the list of a chapter's experiments as MyST: section and figure of the document, and our figures.

    It is empty for a chapter without experiments.
    """
    own = {id: entry for id, entry in table.items() if entry["chapter"] == slug}
    if not own:
        return ""
    mine = found(made, shown)
    rows = ["| experiment | in the document | drawn again | more on it |", "|---|---|---|---|"]
    for id, entry in own.items():
        where = entry["section"] + ("" if entry["place"] in ("none", entry["section"]) else f": {entry['place']}")
        lists = [[f for f in mine if id in f.rebuilds], [f for f in mine if id in f.about]]
        links = [", ".join(f"{{numref}}`{_label(figure)}`" for figure in some) or "–" for some in lists]
        rows.append(f"| {id}: {scorecard.plain(entry['title'])} | {scorecard.plain(where)} | {links[0]} | {links[1]} |")
    head = f"**What is rebuilt from where.** This chapter's experiments and their places in {_documents(slug, table)}:"
    return "\n".join([head, "", "```{container} stacked-table columns-4", "", *rows, "", "```"])
