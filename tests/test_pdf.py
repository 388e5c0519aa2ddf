"""The book as a PDF: sheets in order, bookmarks, links that stay inside; and, where there is a browser, printed."""

import subprocess
import sys
from pathlib import Path

import browser
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book"))

pytest.importorskip("pypdf", reason="the book's packages are not installed: pip install .[book]")

import pypdf  # noqa: E402
from driver import BuildError, pdf  # noqa: E402
from driver.chapter import Book  # noqa: E402
from pypdf import annotations, generic  # noqa: E402

PAGES = [(None, "book/intro"), ("Part I", "nbs/01_dice"), ("Part I", "nbs/02_cards"), ("Part II", "book/api")]
TITLES = ["Throws", "Dice &amp; luck", "And cards?", "API"]


@pytest.fixture
def site(tmp_path):
    """Return a book whose site has four pages, with a table of contents in two parts."""
    (tmp_path / "book").mkdir()
    (tmp_path / "book/_toc.yml").write_text(
        "root: book/intro\nparts:\n- caption: Part I\n  chapters: [{file: nbs/01_dice}, {file: nbs/02_cards}]\n"
        "- caption: Part II\n  chapters: [{file: book/api}]\n"
    )
    links = '<p id="a"><a href="../nbs/02_cards.html#x">in</a> <a href="#a">here</a> <a href="../x.json">file</a></p>'
    for (_, name), title in zip(PAGES, TITLES, strict=True):
        path = tmp_path / "book/_build/html" / f"{name}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        heading = '<h2>Part of <em>it</em><a class="headerlink" href="#b">#</a></h2>'
        path.write_text(f"<title>{title} &#8212; The book</title><h1>{title}</h1>{heading}{links}")
    return Book(tmp_path)


def sheet(path, n, site, addresses=()):
    """Write a printed page of ``n`` sheets with two ranks of headings, links to addresses and one within itself."""
    writer = pypdf.PdfWriter()
    for _ in range(n):
        writer.add_blank_page(width=200, height=300)
    title = writer.add_outline_item(title="The title", page_number=0)
    writer.add_outline_item(title="A heading", page_number=n - 1, parent=title)
    writer.add_named_destination(title="same", page_number=n - 1)
    for address in addresses:
        writer.add_annotation(
            page_number=0, annotation=annotations.Link(rect=(0, 0, 9, 9), url=f"{site.resolve().as_uri()}/{address}")
        )
    writer.add_annotation(page_number=0, annotation=annotations.Link(rect=(0, 0, 9, 9), target_page_index=0))
    own = writer.pages[0]["/Annots"][-1].get_object()
    own[generic.NameObject("/Dest")] = generic.TextStringObject("same")
    writer.write(path)
    return path


@pytest.fixture
def merged(site, tmp_path):
    """Return the PDF of a site whose pages have 1, 2, 3 and 1 sheets; the first leads to the third and to a file."""
    html = site.build / "html"
    links = [["nbs/02_cards.html#x", "results/a.json"], [], [], []]
    sheets = [sheet(tmp_path / f"{i}.pdf", n, html, links[i]) for i, n in enumerate((1, 2, 3, 1))]
    pdf.merge(html, PAGES, sheets, tmp_path / "out.pdf")
    return pypdf.PdfReader(tmp_path / "out.pdf")


def bookmarks(reader, outline=None, depth=0):
    """Return depth, title and sheet of every bookmark, in order."""
    found = []
    for entry in reader.outline if outline is None else outline:
        if isinstance(entry, list):
            found += bookmarks(reader, entry, depth + 1)
        else:
            found.append((depth, entry.title, reader.get_destination_page_number(entry)))
    return found


def test_the_contents_are_those_of_the_book(site):
    assert pdf.contents(site) == PAGES
    real = [name for _, name in pdf.contents(Book(ROOT))]
    assert real[0] == "book/intro"
    assert len(set(real)) == len(real)
    assert {f"nbs/{slug}" for slug in Book(ROOT).sources} <= set(real)


def test_a_table_of_contents_without_parts_is_read(site):
    (site.root / "book/_toc.yml").write_text("root: book/intro\nchapters: [{file: nbs/01_dice}]\n")
    assert pdf.contents(site) == [(None, "book/intro"), (None, "nbs/01_dice")]


def test_the_bookmarks_are_parts_pages_and_headings(merged):
    assert len(merged.pages) == 7
    assert bookmarks(merged) == [
        (0, "Throws", 0), (1, "Part of it", 0),
        (0, "Part I", 1), (1, "Dice & luck", 1), (2, "Part of it", 2), (1, "And cards?", 3), (2, "Part of it", 5),
        (0, "Part II", 6), (1, "API", 6), (2, "Part of it", 6),
    ]  # fmt: skip


def test_a_link_to_a_page_of_the_book_leads_to_its_first_sheet_and_one_to_a_file_nowhere(merged):
    inside, outside = [link.get_object() for link in merged.pages[0]["/Annots"]][:2]
    assert inside["/A"]["/S"] == "/GoTo"
    assert inside["/A"]["/D"][0].get_object() == merged.pages[3]
    assert "/A" not in outside
    assert not any("file:" in str(link.get_object()) for page in merged.pages for link in page.get("/Annots", []))


def test_the_same_name_on_two_pages_leads_to_the_own_page(merged):
    goals = [merged.pages[start]["/Annots"][-1].get_object()["/Dest"][0].get_object() for start in (0, 1, 3, 6)]
    assert goals == [merged.pages[last] for last in (0, 2, 5, 6)]


def test_a_page_that_was_not_built_is_named(site):
    (site.build / "html/nbs/02_cards.html").unlink()
    with pytest.raises(BuildError, match=r"pdf: nbs/02_cards: not in .* build the book first"):
        pdf.write(site)


def test_a_browser_that_is_not_there_is_named():
    with pytest.raises(BuildError, match="looked for no-such-browser"):
        pdf.browser("no-such-browser")


def test_a_browser_that_fails_is_told_with_its_page(site, tmp_path):
    program = tmp_path / "broken"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(BuildError, match=r"book/intro: the browser could not print it \(status 3\)"):
        pdf.write(site, named=str(program))
    assert not (site.build / "book.pdf").exists()


def test_a_site_is_printed(site):
    program = browser.find()
    if not program:
        pytest.skip("no browser: install Chromium, or name one in CHROMIUM")
    reader = pypdf.PdfReader(pdf.write(site, named=program))
    assert len(reader.pages) == 4
    assert [entry[:2] for entry in bookmarks(reader)][:2] == [(0, "Throws"), (1, "Part of it")]
    assert "And cards?" in reader.pages[2].extract_text()
    kinds = [link.get_object().get("/A", {}).get("/S") for link in reader.pages[0]["/Annots"]]
    assert kinds.count("/GoTo") == 1
    assert kinds.count("/URI") == 0


def test_the_command_says_what_is_missing(site):
    command = [sys.executable, str(ROOT / "book/build.py"), "--root", str(site.root), "--pdf"]
    (site.build / "html/book/api.html").unlink()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "error: pdf: book/api: not in" in done.stderr
