"""The site in a browser, on a phone and on a desk, light and dark: the planted book, or the one `ACTLIB_SITE` names."""

import os
import re
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import browser
import numpy as np
import planted
import pytest
import rules

from actlib.frames import Frame, compact
from actlib.slider import html

pytest.importorskip("papermill", reason="the book's packages are not installed: pip install .[book]")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return the folder of the site: `make check` names that of the whole book."""
    if named := os.environ.get("ACTLIB_SITE"):
        assert Path(named, "index.html").is_file(), f"ACTLIB_SITE = {named!r} holds no site; build it: make book"
        return Path(named).resolve()
    root = planted.write(tmp_path_factory.mktemp("site"))
    (root / "book/moving.md").write_text(f"# Moving\n\n```{{raw}} html\n{slider()}\n```\n", encoding="utf-8")
    with (root / "book/_toc.yml").open("a") as toc:
        toc.write("- file: book/moving\n")
    command = [sys.executable, str(planted.ROOT / "book/build.py"), "--root", str(root), "--jobs", "2"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return root / "book" / "_build" / "html"


def slider():
    """Return sliders as a chapter shows them, over curves, over pictures and over points of two classes."""
    x, climb, stair, clouds = (
        np.arange(1.0, 5.0),
        "The line climbs to the right, to a height of",
        "A white stair on black, its step at",
        "Two dots and a third that lies to their right, at a distance of",
    )
    lines = [Frame(f"power {k}", f"{climb} {4**k}.", curves={"power": (x, x**k)}) for k in (1, 2, 3)]
    steps = [Frame(f"step {k}", f"{stair} {k} pixels.", picture=np.tri(8, k=k, dtype=np.uint8) * 255) for k in (1, 2)]
    dots = [Frame(f"layer {k}", f"{clouds} {k}.", points=[[0, 0], [0, 1], [k, 0]]) for k in (2, 3, 4)]
    contents = (
        compact(lines, label="power", xlabel="x", ylabel="y"),
        compact(steps, label="step"),
        compact(dots, label="layer", start=1, groups=[0, 0, 1], classes=["left", "right"]),
    )
    return "\n".join(map(html, contents))


@pytest.fixture(scope="module")
def chromium():
    """Yield a running browser."""
    with browser.launched() as program:
        yield program


@pytest.fixture(scope="module")
def address(site):
    """Yield the address under which the site is served."""
    with browser.served(site) as base:
        yield base


def pages(site):
    """Return the names of the pages; one that only leads to another is none."""
    found = [path for path in site.rglob("*.html") if path.relative_to(site).parts[0] != "_static"]
    whole = [
        path for path in found if not re.search(r"(?i)<meta http-equiv=.refresh", path.read_text(encoding="utf-8"))
    ]
    return sorted(path.relative_to(site).as_posix() for path in whole)


@pytest.fixture(scope="module")
def findings(site, address):
    """Return what is wrong, by rule: every page is opened once in each view, each view in a browser of its own."""
    found, facts = defaultdict(list), {}
    with ThreadPoolExecutor(len(browser.VIEWS)) as pool:
        for lines in pool.map(lambda view: _views(site, address, view, facts), browser.VIEWS):
            for rule, texts in lines.items():
                found[rule] += texts
    found["links"] = rules.links(facts, site, address)
    return found


def _views(site, address, view, facts):
    """Return what is wrong with the pages in one view, by rule."""
    width, scheme = view
    found = defaultdict(list)
    with browser.launched() as program, browser.window(program, width, scheme) as context:
        for name in pages(site):
            with browser.opened(context, f"{address}/{name}") as (page, log):
                for rule, lines in _look(page, log, address, view, name, facts):
                    found[rule] += [f"{name}, {width} px, {scheme}: {line}" for line in lines]
    return found


def _look(page, log, address, view, name, facts):
    """Yield what each rule says of one page in one view; what does not depend on the width is asked on the phone."""
    loads = []
    if view == browser.VIEWS[0]:
        facts[name] = page.evaluate("rules.facts()")
        loads = facts[name]["loads"]
        yield "alternatives", rules.alternatives(facts[name]["images"])
        yield "sliders", rules.sliders(page)
        yield "darkness", rules.darkness(page)
    for scheme in rules.SCHEMES:
        rules.show(page, scheme)
        yield "overflow", rules.overflow(page)
    yield "accessibility", rules.accessibility(page)
    yield "colours", rules.colours(page)
    # Last: the theme does not notice that the sidebar, there and back, changed what scrolls.
    if name.startswith(("book/intro.", "nbs/")):
        yield "menu", rules.menu(page)
    yield "elsewhere", rules.elsewhere(log, loads, address)
    yield "complaints", log.complaints


def test_there_are_pages_chapters_and_figures(site):
    texts = {name: (site / name).read_text(encoding="utf-8") for name in pages(site)}
    assert {"book/intro.html", "book/scorecard.html", "book/api.html", "search.html", *chapters(site)} <= set(texts)
    assert chapters(site)
    assert any('<figure class="align-' in text for text in texts.values())
    if os.environ.get("ACTLIB_SITE"):  # what the planted chapters show are no sliders; one of its pages has some
        for name in chapters(site):
            source = (planted.ROOT / name).with_suffix(".py").read_text(encoding="utf-8")
            assert rules.lost(texts[name], source) == [], name
    else:
        assert texts["book/moving.html"].count('<div class="frames ') == 3


@pytest.mark.parametrize(
    "rule",
    ["elsewhere", "complaints", "overflow", "alternatives", "accessibility", "colours", "darkness", "sliders", "menu",
     "links"],
)  # fmt: skip
def test_every_page_keeps_the_rule(findings, rule):
    assert not findings[rule], "\n".join(["", *findings[rule]])


def chapters(site):
    """Return a word of each chapter's title, the longest, by the chapter's page."""
    found = {}
    for path in sorted(site.glob("nbs/*.html")):
        title = re.search(r"<h1>(.*?)<a", path.read_text(encoding="utf-8"))[1]
        found[path.relative_to(site).as_posix()] = max(re.findall(r"[A-Za-z]+", title), key=len)
    return found


@pytest.mark.parametrize("width", [390, 1280])
def test_search_finds_each_chapter(site, address, chromium, width):
    with browser.window(chromium, width, "dark") as context:
        for name, word in chapters(site).items():
            with browser.opened(context, f"{address}/book/intro.html") as (page, log):
                assert rules.search(page, word, name) == []
                assert log.complaints == []


def test_a_reader_without_a_server_sees_the_book_too(site, chromium):
    with browser.window(chromium, 1280, "light") as context:
        page = context.new_page()
        page.goto((site / "index.html").as_uri())
        page.wait_for_url("**/book/intro.html")
        for name in chapters(site):
            with browser.opened(context, (site / name).as_uri()) as (page, log):
                assert log.complaints == []
                assert rules.elsewhere(log, [], "file://") == []
                assert page.locator("mjx-container").count() == page.locator(".math").count()
