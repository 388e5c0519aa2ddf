"""The book as one PDF: each page of the built site printed by Chromium, put together in the order of the contents.

The pages are printed as a reader would print them, with solutions unfolded. Links between them lead to a place in the
PDF, and the bookmarks are the parts, the pages and their headings.
"""

import html
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

from driver import BuildError, chapter
from driver.chapter import Book

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The last but one: what a page's scripts may take, of a clock that runs ahead while nothing is loading. The last: the
# browser finds no address, so that a page prints the same with and without a network.
_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-pdf-header-footer", "--generate-pdf-document-outline",
    "--virtual-time-budget=20000", "--host-resolver-rules=MAP * ~NOTFOUND",
]  # fmt: skip
_PATIENCE = 180  # s that one page may take
_HEADING = re.compile(r"<h2\b[^>]*>(.*?)</h2>", re.DOTALL)
_TAGS = re.compile(r'<a class="headerlink".*?</a>|<[^>]*>', re.DOTALL)
_TITLE = re.compile(r"<title>(.*?)(?: &#8212; .*?| — .*?)?</title>", re.DOTALL)


def contents(book: Book) -> list[tuple[str | None, str]]:
    """Return the pages in the order of ``_toc.yml``: the caption of their part (None for the first page) and name."""
    toc = chapter.read_yaml(book.root / "book" / "_toc.yml")
    found: list[tuple[str | None, str]] = [(None, toc["root"])]
    for part in toc.get("parts", [toc]):
        entries = [page for entry in part.get("chapters", []) for page in (entry, *entry.get("sections", []))]
        found += [(part.get("caption"), page["file"]) for page in entries]
    return found


def browser(named: str | None = None) -> str:
    """Return the path of Chromium: the one that is ``named``, else a known name.

    Raises
    ------
    BuildError
        If there is none.
    """
    found = next(filter(None, map(shutil.which, [named] if named else _BROWSERS)), None)
    if not found:
        looked = named or ", ".join(_BROWSERS)
        raise BuildError("pdf", f"no browser (looked for {looked}); install Chromium, or name one in CHROMIUM")
    return found


def write(book: Book, *, named: str | None = None, jobs: int = 1) -> Path:
    """Print the built site into ``book/_build/book.pdf``; return that path.

    Raises
    ------
    BuildError
        If a page of the contents was not built, there is no browser, or it fails.
    """
    site, pages = book.build / "html", contents(book)
    missing = [name for _, name in pages if not (site / f"{name}.html").is_file()]
    if missing:
        raise BuildError("pdf", f"{', '.join(missing)}: not in {site}; build the book first")
    program, target = browser(named), book.build / "book.pdf"
    with tempfile.TemporaryDirectory() as folder:
        sheets = [Path(folder) / f"{i:03d}.pdf" for i in range(len(pages))]
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(lambda i: _print(program, site, pages[i][1], sheets[i]), range(len(pages))))
        merge(site, pages, sheets, target)
    return target


def _print(program: str, site: Path, name: str, target: Path) -> None:
    """Print one page, with a profile of its own: several browsers at once cannot share one."""
    with tempfile.TemporaryDirectory() as profile:
        command = [program, *_FLAGS, f"--user-data-dir={profile}", f"--print-to-pdf={target}"]
        address = (site / f"{name}.html").resolve().as_uri()
        try:
            done = subprocess.run([*command, address], capture_output=True, text=True, timeout=_PATIENCE, check=False)
        except subprocess.TimeoutExpired as error:
            raise BuildError(name, f"the browser took longer than {_PATIENCE} s to print it") from error
    if done.returncode or not target.is_file():
        raise BuildError(name, f"the browser could not print it (status {done.returncode})", done.stderr[-2000:])


def merge(site: Path, pages: Sequence[tuple[str | None, str]], sheets: Sequence[Path], target: Path) -> None:
    """Put the printed ``sheets`` of ``pages`` together, with bookmarks and with links that stay inside.

    Raises
    ------
    BuildError
        If pypdf is not installed.
    """
    try:
        from pypdf import PdfReader, PdfWriter
    except ImportError as error:
        raise BuildError("pdf", "it needs pypdf; install it with: pip install .[book]") from error
    writer, starts, part, caption = PdfWriter(), {}, None, None
    for (heading, name), path in zip(pages, sheets, strict=True):
        sheet, starts[name] = PdfReader(path), len(writer.pages)
        writer.append(fileobj=sheet, import_outline=False)
        _settle_places(writer, sheet, starts[name])
        if heading != caption:
            caption = heading
            part = writer.add_outline_item(title=heading, page_number=starts[name]) if heading else None
        own = writer.add_outline_item(title=_title(site, name), page_number=starts[name], parent=part)
        _headings(writer, sheet, starts[name], own, _words(site, name, _HEADING))
    _turn_links_inward(writer, site, starts)
    writer.add_metadata({"/Title": _title(site, pages[0][1])})
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        writer.write(Path(folder) / "book.pdf")
        (Path(folder) / "book.pdf").replace(target)


def _title(site: Path, name: str) -> str:
    return (_words(site, name, _TITLE) or [name])[0]


def _words(site: Path, name: str, pattern: re.Pattern[str]) -> list[str]:
    """Return the text of every place in a page that fits, without tags and the sign that links to a heading."""
    found = pattern.findall((site / f"{name}.html").read_text(encoding="utf-8"))
    return [" ".join(html.unescape(_TAGS.sub("", text)).split()) for text in found]


def _headings(writer: Any, sheet: Any, start: int, parent: Any, titles: list[str]) -> None:
    """Add a page's headings below its own bookmark: those of the second rank, the first being its title.

    Chromium knows their places. Their words come from the page: it prints some of them twice, or without a space.
    """
    entries = [item for entry in sheet.outline if isinstance(entry, list) for item in entry]
    entries = [entry for entry in entries if not isinstance(entry, list)]
    for entry, title in zip(entries, titles, strict=False):
        if title != "Contents":  # the theme's own
            place = start + sheet.get_destination_page_number(entry)
            writer.add_outline_item(title=title, page_number=place, parent=parent)


def _settle_places(writer: Any, sheet: Any, start: int) -> None:
    """Let links within a page lead to a place instead of to a name: several pages have the same names."""
    from pypdf.generic import ArrayObject, FloatObject, NameObject, NullObject

    places = sheet.named_destinations
    for printed in writer.pages[start:]:
        for reference in printed.get("/Annots") or []:
            link = reference.get_object()
            place = places.get(str(link.get("/Dest")))
            if place is not None:
                goal = writer.pages[start + sheet.get_destination_page_number(place)].indirect_reference
                height = FloatObject(float(place.top or 0))
                link[NameObject("/Dest")] = ArrayObject([goal, NameObject("/XYZ"), NullObject(), height, NullObject()])


def _turn_links_inward(writer: Any, site: Path, starts: dict[str, int]) -> None:
    """Let links to pages of the book lead to their first sheet, and take away those to other files of this machine."""
    from pypdf.generic import ArrayObject, DictionaryObject, NameObject

    base = site.resolve().as_uri() + "/"
    for sheet in writer.pages:
        for reference in sheet.get("/Annots") or []:
            link = reference.get_object()
            address = str(link.get("/A", {}).get("/URI", ""))
            if not address.startswith("file:"):
                continue
            name = unquote(urldefrag(address)[0].removeprefix(base)).removesuffix(".html")
            if name in starts:
                goal = ArrayObject([writer.pages[starts[name]].indirect_reference, NameObject("/Fit")])
                link[NameObject("/A")] = DictionaryObject(
                    {NameObject("/S"): NameObject("/GoTo"), NameObject("/D"): goal}
                )
            else:  # a downloaded source, a recorded picture: it is not in the PDF, and the path is the builder's
                del link["/A"]
