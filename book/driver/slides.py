"""A chapter as slides: one HTML file that needs no network, made from the chapter's page on the site.

The page and not the notebook is read, since on it every number, reference and citation of the text is set already.
Slides follow the structure that all chapters have: a guess, a figure, what to notice, an exercise are a slide each,
under the heading of their section, in the order of the chapter. The prose between them becomes the notes of the slide
that comes next. Code is not shown. So a chapter needs no tags of its own, and a new figure is a new slide.
"""

import base64
import mimetypes
from html import escape
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import NamedTuple

from bs4 import BeautifulSoup, Tag

from actlib import store
from driver import BuildError
from driver.chapter import Book

_HERE = Path(__file__).resolve().parent
_MATHJAX = "sphinx-mathjax-offline"
_LEFT_OUT = {"Go further"}
_LEADS = {"When it breaks"}  # of these sections the bold beginnings are shown, the rest is for the notes
_NOTICE = "What to notice"


class Slide(NamedTuple):
    """One slide: its heading, what it shows and what its notes say, as HTML."""

    heading: str
    body: str
    notes: str


def write(book: Book, slug: str) -> Path:
    """Write the slides of a chapter that is on the site; return their path.

    Raises
    ------
    BuildError
        If there is no such chapter, its page was not built or a picture of the page is missing.
    """
    if slug not in book.sources:
        raise BuildError(slug, f"no such chapter in {book.root / 'nbs'}; there are {', '.join(book.sources) or 'none'}")
    page = book.build / "html" / "nbs" / f"{slug}.html"
    if not page.is_file():
        raise BuildError(slug, f"has no page yet; build it first: make chapter NAME={slug}")
    target = book.build / "slides" / f"{slug}.html"
    store.write_bytes(target, deck(page).encode())
    return target


def deck(page: Path) -> str:
    """Return the slides of the chapter that ``page`` shows, as one HTML file with its pictures within.

    Raises
    ------
    BuildError
        If the page has no title, or a picture is missing.
    """
    article = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser").select_one("article section")
    if article is None or article.h1 is None:
        raise BuildError(page.stem, "its page has no title; build the site again")
    _clean(article, page)
    title = article.h1.get_text().strip()
    found = [
        _title(article),
        *(slide for part in article.find_all("section", recursive=False) for slide in _section(part)),
    ]
    body = "\n".join(_html(slide, k, len(found)) for k, slide in enumerate(found, 1))
    math = _mathjax() if r"\(" in body or r"\[" in body else ""
    style, script = ((_HERE / f"slides.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    return _PAGE.format(title=escape(title), style=style, body=body, script=script, math=math)


def _clean(article: Tag, page: Path) -> None:
    """Put the pictures into the text, and take out what leads out of it."""
    for link in article.select("a.headerlink"):
        link.decompose()
    for link in article.find_all("a"):
        if not str(link.get("href", "")).startswith(("https://", "http://")):
            link.unwrap()
    for picture in article.find_all("img"):
        picture["src"] = _embedded(page, str(picture["src"]))


def _embedded(page: Path, source: str) -> str:
    """Return the address of a picture that holds the picture itself."""
    if source.startswith("data:"):
        return source
    path = (page.parent / source).resolve()
    if not path.is_file():
        raise BuildError(page.stem, f"the picture {source} of its page is missing; build the site again")
    kind = mimetypes.guess_type(path.name)[0] or "image/webp"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _title(article: Tag) -> Slide:
    """Return the first slide: the title and the figure below it, where there is one."""
    picture = article.find("figure", recursive=False)
    return Slide(article.h1.decode_contents(), str(picture or ""), "")


def _section(part: Tag) -> list[Slide]:
    """Return the slides of one section, in the order of the page."""
    head = part.find("h2", recursive=False)
    name = head.get_text().strip() if head else ""
    if not name or name in _LEFT_OUT:
        return []
    heading, found, notes = head.decode_contents(), [], []
    for element in _elements(part):
        if _is_shown(element):
            found.append(Slide(heading, str(element), "".join(notes)))
            notes = []
        else:
            notes.append(str(element))
    if name in _LEADS:
        return [_leads(heading, part), *(slide._replace(notes="") for slide in found)]
    if notes and found:  # what is said after the last slide
        found[-1] = found[-1]._replace(notes=found[-1].notes + "".join(notes))
    return found


def _leads(heading: str, part: Tag) -> Slide:
    """Return one slide for the paragraphs of a section that begin in bold: these words, and the rest as notes."""
    paragraphs = [p for p in part.find_all("p", recursive=False) if p.strong]
    body = "".join(f"<li>{p.strong.decode_contents()}</li>" for p in paragraphs)
    return Slide(heading, f"<ul>{body}</ul>", "".join(map(str, paragraphs)))


def _elements(part: Tag) -> list[Tag]:
    """Return what a section shows besides code: its prose, and figures and tables out of the cells."""
    found = []
    for child in part.find_all(recursive=False):
        classes = child.get("class", [])
        if "cell" in classes:
            found += child.select(".cell_output figure, .cell_output table")
        elif child.name in ("p", "ul", "ol", "figure", "table", "div") and "citation" not in " ".join(classes):
            found.append(child)
    return [element for element in found if not any(other in element.parents for other in found)]


def _is_shown(element: Tag) -> bool:
    """Say whether an element is a slide of its own."""
    is_box = "admonition" in element.get("class", [])
    return is_box or element.name in ("figure", "table") or element.get_text().strip().startswith(_NOTICE)


def _html(slide: Slide, k: int, n: int) -> str:
    notes = f'<details class="notes"><summary>Notes</summary>{slide.notes}</details>' if slide.notes else ""
    level = "h1" if k == 1 else "h2"
    head = f'<{level} id="slide-head-{k}">{slide.heading}</{level}>'
    return (
        f'<section id="slide-{k}" aria-labelledby="slide-head-{k}" tabindex="0">'
        f'{head}{slide.body}{notes}<p class="place">{k} of {n}</p></section>'
    )


def _mathjax() -> str:
    """Return the installed MathJax as a script within the page; this one draws its letters and needs no fonts."""
    try:
        found = [path for path in files(_MATHJAX) or [] if path.name == "tex-svg-full.js"]
    except PackageNotFoundError:
        found = []
    if not found:
        raise BuildError(_MATHJAX, "mathematics needs its tex-svg-full.js; install it again: pip install .[book]")
    code = Path(found[0].locate()).read_text(encoding="utf-8")
    return f"<script>window.MathJax = {{options: {{enableMenu: false}}}};</script>\n<script>{code}</script>"


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
<nav aria-label="slides">
<button type="button" id="back">Back</button>
<span id="place" role="status"></span>
<button type="button" id="next">Next</button>
</nav>
<script>{script}</script>
{math}
</body>
</html>
"""
