"""The page of figures and the chapters' lists of what they rebuild: every figure, with its experiment and its place."""

import ast
import io
import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book"))  # the driver is no part of the package

from driver import figures, pages, percent  # noqa: E402
from driver.chapter import Book  # noqa: E402

LISTED = yaml.safe_load((ROOT / "book" / "figures.yml").read_text(encoding="utf-8"))
PUBLISHED = yaml.safe_load((ROOT / "book" / "published.yml").read_text(encoding="utf-8"))
# A place in a document that is no picture or table of results, and so need not be drawn again.
NOT_DRAWN = re.compile(r"none|(?:equations?|algorithm) .*")
CHAPTERS = sorted((ROOT / "nbs").glob("[0-9]*.py"))


def drawn(path):
    """Return the names of the figures that a chapter's code shows, in order."""
    calls = [
        node
        for cell in percent.read(path) if cell.kind == "code"
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("report.figure", "report.frames")
    ]  # fmt: skip
    return [keyword.value.value for call in calls for keyword in call.keywords if keyword.arg == "name"]


def gaps(listed, published, chapters):
    """Return what ``book/figures.yml`` leaves out or gets wrong, a phrase each."""
    found, rebuilt = [], set()
    for slug, names in chapters.items():
        own = {id for id, entry in published.items() if entry["chapter"] == slug}
        told = listed["figures"].get(slug, {})
        found += [f"{name} is not listed" for name in names if own and name not in told]
        found += [f"{name} is not drawn" for name in told if name not in names]
        for name, said in told.items():
            ids = said.get("rebuilds", []) + said.get("about", [])
            found += [f"{name} names {id}, which is not of its chapter" for id in ids if id not in own]
            found += [f"{name} says nothing"] * (not ids)
            rebuilt |= set(said.get("rebuilds", []))
    for id, entry in published.items():
        if NOT_DRAWN.fullmatch(entry["place"]):
            found += [f"{id} has no figure that could be rebuilt"] * (id in rebuilt)
        elif (id in rebuilt) == (id in listed["without"]):
            found.append(f"{id} is to be rebuilt by a figure, or to be named in `without`")
    return found


def test_every_figure_is_listed_and_what_a_document_draws_is_drawn_again():
    assert gaps(LISTED, PUBLISHED, {path.stem: drawn(path) for path in CHAPTERS}) == []


ENTRY = {"chapter": "01_dice", "document": "F", "section": "1 Dice", "reference": "r", "title": "A throw"}
TABLE = {"F1-throw": {**ENTRY, "place": "figure 1"}, "F2-law": {**ENTRY, "place": "equation 2", "title": "A | law"}}
SHOWN = {"fig-throw": {"rebuilds": ["F1-throw"], "about": ["F2-law"]}}


@pytest.mark.parametrize(
    ("listed", "names", "phrase"),
    [
        ({"fig-throw": SHOWN["fig-throw"]}, ["fig-throw", "fig-more"], "fig-more is not listed"),
        ({**SHOWN, "fig-lost": {"about": ["F2-law"]}}, ["fig-throw"], "fig-lost is not drawn"),
        ({"fig-throw": {"rebuilds": ["F1-throw"], "about": ["S1"]}}, ["fig-throw"], "names S1"),
        ({"fig-throw": {"about": ["F1-throw"]}}, ["fig-throw"], "F1-throw is to be rebuilt"),
        ({"fig-throw": {"rebuilds": ["F1-throw", "F2-law"]}}, ["fig-throw"], "F2-law has no figure"),
        ({**SHOWN, "fig-mute": {}}, ["fig-throw", "fig-mute"], "fig-mute says nothing"),
    ],
)
def test_a_gap_is_found(listed, names, phrase):
    assert gaps({"figures": {"01_dice": SHOWN}, "without": {}}, TABLE, {"01_dice": ["fig-throw"]}) == []
    (found,) = gaps({"figures": {"01_dice": listed}, "without": {}}, TABLE, {"01_dice": names})
    assert phrase in found


def cell(source, kind="code", figure=None):
    """Return a cell, perhaps with a figure among its outputs."""
    made = {"cell_type": kind, "id": f"cell-{abs(hash(source)) % 99}", "metadata": {}, "source": source}
    if kind == "code":
        made["outputs"] = [
            {"output_type": "display_data", "data": {}, "metadata": {"actlib": {"figure": figure}}}
        ] * bool(figure)
    return made


def payload(name, caption):
    return {
        "name": name,
        "caption": f"{caption} *Data: dice. Profile quick, cpu.*",
        "alt": f'The "{name}" rises, as one sees.',
    }


NOTEBOOK = {
    "cells": [
        cell("(ch-dice)=\n# What does a throw give?", "markdown"),
        cell(
            "draw()", figure=payload("fig-throw", "Throws, e.g. of $2.5$ dice in bins of 0.5. A dot is one: it lies.")
        ),
        cell("slide()", figure=payload("fig-slide", "A slider over throws")),
        cell('report.table("F1")'),
        cell("text", "markdown"),
        cell("report.provenance()"),
    ]
}


@pytest.fixture
def book(tmp_path):
    """A book with a recorded picture of one of its two figures."""
    for name, content in {
        "book/figures.yml": yaml.safe_dump({"figures": {"01_dice": SHOWN}, "without": {}}),
        "nbs/01_dice.py": "",
        "results/real/01_dice.json": json.dumps({"numbers": {}, "figures": {"fig-throw": {}, "fig-slide": {}}}),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    buffer = io.BytesIO()
    Image.new("RGB", (800, 300), "orange").save(buffer, "WEBP")
    (tmp_path / "results/real/01_dice").mkdir()
    (tmp_path / "results/real/01_dice/fig-throw.webp").write_bytes(buffer.getvalue())
    return Book(tmp_path)


def test_the_page_has_a_card_for_each_figure_with_link_caption_place_and_picture(book):
    page = figures.page(book, {"01_dice": NOTEBOOK}, TABLE)
    assert "It lists 2 figures; 1 of them draw again" in " ".join(page.split())
    assert "## What does a throw give?\n\n{doc}`The chapter </nbs/01_dice>` rebuilds parts of {cite:t}`r`." in page
    first, second = page.split("::::{container} figure-card")[1:]
    assert "{numref}`fig-throw`: Throws, e.g. of $2.5$ dice in bins of 0.5.  \n" in first
    assert "*Rebuilds* figure 1 (F1-throw).  \n*About* F2-law." in first
    assert '<img src="../results/small/01_dice/fig-throw.webp" loading="lazy" width="200" height="75"' in first
    assert 'alt="Small picture. The &quot;fig-throw&quot; rises, as one sees."' in first
    assert "{numref}`fig-slide`: A slider over throws.\n" in second
    assert "<img" not in second
    assert "Data:" not in page


def test_the_small_pictures_are_those_that_the_page_names(book):
    ((name, path),) = figures.pictures(book).items()
    assert f'src="../{name}"' in figures.page(book, {"01_dice": NOTEBOOK}, TABLE)
    with Image.open(path) as picture:
        assert picture.size == (200, 75)
    assert path.stat().st_size < 20_000
    before = path.stat().st_mtime_ns
    assert figures.pictures(book)[name].stat().st_mtime_ns == before, "it is made once"


def test_a_chapter_lists_its_experiments_after_the_comparison_with_their_places_and_figures():
    made = pages._with_places("01_dice", NOTEBOOK, SHOWN, TABLE)
    assert [each["source"][:12] for each in made["cells"]][3:5] == ["report.table", "**What is re"]
    rows = [line for line in made["cells"][4]["source"].splitlines() if line.startswith("| F")]
    assert rows == [
        "| F1-throw: A throw | 1 Dice: figure 1 | {numref}`fig-throw` | – |",
        r"| F2-law: A \| law | 1 Dice: equation 2 | – | {numref}`fig-throw` |",
    ]
    assert "{cite:t}`r`" in made["cells"][4]["source"]


def test_a_chapter_without_experiments_or_without_outputs_is_left_as_it_is_or_names_no_figure():
    assert pages._with_places("02_cards", NOTEBOOK, SHOWN, TABLE) == NOTEBOOK
    bare = {"cells": [cell("draw()"), cell("report.provenance()")]}
    made = pages._with_places("01_dice", bare, SHOWN, TABLE)
    assert "numref" not in made["cells"][1]["source"]
    assert made["cells"][2]["source"] == "report.provenance()"


def test_every_chapter_with_experiments_lists_each_of_them():
    for slug in LISTED["figures"]:
        text = figures.rebuilt(slug, {"cells": []}, LISTED["figures"][slug], PUBLISHED)
        own = [id for id, entry in PUBLISHED.items() if entry["chapter"] == slug]
        assert re.findall(r"^\| ([A-Z]\S+): ", text, re.MULTILINE) == own
