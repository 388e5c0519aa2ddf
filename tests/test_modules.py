"""The pages of the API reference: what they say of imports is what the code imports."""

import re
import sys
from pathlib import Path

import pytest
import test_layers
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book"))  # the driver is no part of the package

from driver import BuildError, charts, modules  # noqa: E402
from driver.chapter import Book  # noqa: E402

BOOK = Book(ROOT)
SOURCES = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "actlib").glob("*.py")}
SOURCES.pop("__init__")
# By another reader of imports, that of the law of the layers.
IMPORTS = {name: test_layers.imports(text) for name, text in SOURCES.items()}
LINK = re.compile(r"\{py:mod\}`(\w+) <actlib\.(\w+)>`")


@pytest.fixture(scope="module")
def pages():
    """Return the pages of the package by their names."""
    return {name: content.decode() for name, content in modules.pages(BOOK).items() if name.endswith(".md")}


def linked(text):
    """Return the modules that a line links to, each under its own name."""
    assert all(shown == meant for shown, meant in LINK.findall(text))
    return [meant for _, meant in LINK.findall(text)]


def sections(pages):
    """Return what the pages of the groups say of each module."""
    texts = [text for name, text in pages.items() if name != "book/api.md"]
    found = [re.split(r"^## (\w+)$", text, flags=re.MULTILINE)[1:] for text in texts]
    return {name: body for parts in found for name, body in zip(parts[::2], parts[1::2], strict=True)}


def line(body, begin):
    """Return the line of a section that begins so."""
    (found,) = [each for each in body.splitlines() if each.startswith(f"*{begin}*")]
    return found


def test_the_graph_is_that_of_the_layer_test():
    assert modules.graph(BOOK) == IMPORTS


def test_every_module_stands_once_with_its_imports_both_ways(pages):
    told = sections(pages)
    assert sorted(told) == sorted(SOURCES)
    for name, body in told.items():
        assert set(linked(line(body, "Imports"))) == IMPORTS[name]
        above = {other for other, names in IMPORTS.items() if name in names}
        assert linked(line(body, "Imported by")) == sorted(above)
        assert f".. automodule:: actlib.{name}\n" in body


def test_the_chapters_that_call_a_module_are_linked(pages):
    told = sections(pages)
    for name in ("paths", "report", "theory"):
        pattern = rf"^from actlib import (?:[^(\n]*|\([^)]*)\b{name}\b"
        callers = [slug for slug, path in BOOK.sources.items() if re.search(pattern, path.read_text(), re.MULTILINE)]
        assert re.findall(r"\{doc\}`/nbs/(\w+)`", line(told[name], "Called in")) == callers
        assert callers


def test_the_rows_hold_every_module_and_imports_point_up(pages):
    body = re.findall(r"^\| (\d+) \| (.*) \|$", pages["book/api.md"], re.MULTILINE)
    rows = [linked(text) for _, text in body]
    assert [int(number) for number, _ in body] == list(range(len(rows)))
    assert sorted(name for row in rows for name in row) == sorted(SOURCES)
    place = {name: k for k, row in enumerate(rows) for name in row}
    for name, others in IMPORTS.items():
        assert place[name] == 1 + max((place[other] for other in others), default=-1)


def test_the_front_page_counts_modules_and_imports(pages):
    n = sum(map(len, IMPORTS.values()))
    assert f"{len(SOURCES)} modules, {n} imports" in " ".join(pages["book/api.md"].split())


def test_the_picture_draws_each_group_and_each_import_between_groups(monkeypatch):
    asked = []
    monkeypatch.setattr(charts, "groups", lambda *given: asked.append(given) or b"")
    modules.pages(BOOK)
    ((columns, sizes, counts, _),) = asked
    group = {name: each["title"] for each in modules.groups(BOOK) for name in each["modules"]}
    crossing = [(group[a], group[b]) for a, others in IMPORTS.items() for b in others if group[a] != group[b]]
    assert dict(counts) == {pair: crossing.count(pair) for pair in crossing}
    assert sorted(name for column in columns for name in column) == sorted(sizes) == sorted(set(group.values()))
    column = {name: k for k, names in enumerate(columns) for name in names}
    backward = {(a, b) for a, b in counts if column[a] >= column[b]}
    assert all((b, a) in counts for a, b in backward), "an arrow leads from right to left"


def test_arrows_and_boxes_are_drawn(monkeypatch):
    drawn = []
    monkeypatch.setattr(charts, "_svg", lambda figure, plt: drawn.append(figure) or plt.close(figure) or b"")
    charts.groups(
        [["looking", "paths"], ["files"]], {"looking": 2, "paths": 1, "files": 7}, {("looking", "files"): 3}, BOOK
    )
    (axes,) = drawn[0].axes
    assert sorted(text.get_text() for text in axes.texts) == [
        "files\n7 modules",
        "looking\n2 modules",
        "paths\n1 modules",
    ]
    assert [type(patch).__name__ for patch in axes.patches].count("FancyArrowPatch") == 1


def test_the_table_of_contents_names_every_page_of_the_reference(pages):
    toc = (ROOT / "book" / "_toc.yml").read_text()
    listed = re.findall(r"file: (book/api\S*)", toc)
    assert sorted(f"{name}.md" for name in listed) == sorted(pages)


def planted(root, groups, **sources):
    """Write a package and its groups; return the book."""
    (root / "actlib").mkdir()
    (root / "book").mkdir()
    for name, text in sources.items():
        (root / "actlib" / f"{name}.py").write_text(text)
    (root / "book" / "api.yml").write_text(yaml.safe_dump(groups))
    return Book(root)


def group(*names):
    return {"title": "All", "page": "api-all", "about": "All of it.", "modules": list(names)}


@pytest.mark.parametrize("names", [["dice"], ["dice", "cards", "cards"], ["dice", "cards", "coins"]])
def test_a_module_without_a_group_or_with_two_is_named(tmp_path, names):
    book = planted(tmp_path, [group(*names)], dice="", cards="from actlib import dice")
    with pytest.raises(BuildError, match=r"cards|coins"):
        modules.pages(book)


def test_a_circle_of_imports_is_named(tmp_path):
    book = planted(tmp_path, [group("dice", "cards")], dice="from actlib import cards", cards="from actlib import dice")
    with pytest.raises(BuildError, match="circle among cards, dice"):
        modules.pages(book)


def test_a_book_without_groups_keeps_its_own_page(tmp_path):
    (tmp_path / "book").mkdir()
    assert modules.pages(Book(tmp_path)) == {}


def test_a_toggle_of_the_menu_has_a_name_that_is_read_out(monkeypatch):
    """The groups hang below the reference in the menu, where the theme draws a chevron without words."""
    monkeypatch.syspath_prepend(ROOT / "book" / "_ext")
    accessible = pytest.importorskip("accessible", reason="Sphinx is not installed: pip install .[book]")
    context = {"generate_toctree_html": lambda kind, depth=1: f"<details><summary><i></i></summary>{kind}{depth}"}
    accessible._name_toggles(None, "page", "template", context, None)
    named = '<details><summary aria-label="Pages below this one"><i></i></summary>sidebar2'
    assert context["generate_toctree_html"]("sidebar", depth=2) == named
    empty = {}
    accessible._name_toggles(None, "page", "template", empty, None)
    assert empty == {}
