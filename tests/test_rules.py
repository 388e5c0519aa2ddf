"""The rules of the site, each on a page that keeps it and on pages that break it."""

import itertools

import browser
import numpy as np
import pytest
import rules
from PIL import Image, ImageDraw

GOOD = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title>
<link rel="icon" href="data:,"><style>html {{ background: #fff; color: #111 }} nav.bd-links {{ display: none }}
nav.open {{ display: block }} a {{ color: inherit }} button {{ min-height: 2rem }}
.frames path {{ stroke: currentColor }} .pale {{ opacity: 0.1 }}
@media (prefers-color-scheme: dark) {{ html {{ background: #111; color: #eee }} }}
{style}</style></head><body><header><button class="primary-toggle" aria-label="Menu">M</button>
<button class="search-button__button">Search</button><form action="search.html"><label>Words
<input type="search" name="q"></label></form></header>
<nav class="bd-links"><a href="other.html">Other</a></nav><main><article>
<h1 id="top">A page</h1><p>Text.</p>{body}</article></main>
<script>{script}</script></body></html>"""
SCRIPT = """document.querySelector(".primary-toggle").onclick = () =>
  document.querySelector("nav").classList.toggle("open");"""
OTHER = '<!doctype html><html lang="en"><title>Other</title><main><h1 id="here">Other</h1></main></html>'
RESULTS = '<!doctype html><ul id="search-results"></ul><script>{}</script>'
FIND = """if (location.search === "?q=maps")
  document.querySelector("ul").innerHTML = '<li><a href="other.html?x">Maps</a>';"""

COUNT = itertools.count()
ALT = "A black line that climbs from the left to the right and then falls."
LINE = (
    '<path d="M5 40 L60 5 L95 30" stroke="{}" stroke-width="3" fill="none"/><text x="20" y="45" fill="{}">word</text>'
)
DRAWING = f'<svg role="img" aria-label="{ALT}" viewBox="0 0 100 50" width="200">{LINE}</svg>'
SLIDER = """<div class="frames"><div class="frames-view"><svg role="img" viewBox="0 0 9 9" width="90"
aria-label="one"><g><path d="M1 1h1"></path><path d="M1 5h5"></path></g></svg></div><strong>one</strong>
<label>layer <input type="range" min="0" max="2" value="1" aria-valuetext="one"></label>
<button aria-pressed="false">up</button> <button aria-pressed="false">down</button></div>"""
MOVE = """const root = document.querySelector(".frames"), words = ["zero", "one", "two"];
const lines = root.querySelectorAll("path"), buttons = root.querySelectorAll("button");
const input = root.querySelector("input"), view = root.querySelector("svg"), show = () => {
  const word = words[input.value];
  root.querySelector("strong").textContent = word;  // title
  input.setAttribute("aria-valuetext", word);  // spoken value
  view.setAttribute("aria-label", word);  // text alternative
  view.querySelector("path").setAttribute("d", `M1 1h${input.value}`);  // drawing
};
input.oninput = show;
buttons.forEach((button, k) => button.onclick = () => {
  const on = button.getAttribute("aria-pressed") === "false";
  buttons.forEach((other, j) => other.setAttribute("aria-pressed", on && j === k));  // pressed
  lines.forEach((line, j) => line.classList.toggle("pale", on && j !== k));  // faded
});"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Yield a folder and the address under which it is served."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "other.html").write_text(OTHER)
    (folder / "search.html").write_text(RESULTS.format(FIND))
    with browser.served(folder) as base:
        yield folder, base


@pytest.fixture(scope="module")
def context():
    """Yield a browser window."""
    with browser.launched() as program, browser.window(program, 1280, "light") as opened:
        yield opened


@pytest.fixture
def judge(context, place):
    """Return a function that writes a page and gives what a rule says of it."""

    def judged(rule, *, body="", style="", script=SCRIPT, patience=browser.PATIENCE):
        (place[0] / "page.html").write_text(GOOD.format(body=body, style=style, script=script))
        # With a name of its own, or the browser would take the page before from its cache.
        with browser.opened(context, f"{place[1]}/page.html?{next(COUNT)}") as (page, log):
            page.set_default_timeout(patience)
            return rule(page, log, place)

    return judged


def elsewhere(page, log, place):
    return rules.elsewhere(log, page.evaluate("rules.facts()")["loads"], place[1])


def complaints(page, log, place):
    return log.complaints


def overflow(page, log, place):
    return rules.overflow(page)


def alternatives(page, log, place):
    return rules.alternatives(page.evaluate("rules.facts()")["images"])


def accessibility(page, log, place):
    return rules.accessibility(page)


def colours(page, log, place):
    return rules.colours(page)


def darkness(page, log, place):
    return rules.darkness(page)


def menu(page, log, place):
    return rules.menu(page)


def search(page, log, place):
    return rules.search(page, "maps", "other.html")


def sliders(page, log, place):
    return rules.sliders(page)


def links(page, log, place):
    facts = {"page.html": page.evaluate("rules.facts()"), "other.html": {"ids": ["here"], "links": []}}
    return rules.links(facts, *place)


RULES = [elsewhere, complaints, overflow, alternatives, accessibility, colours, darkness, menu, search, sliders, links]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_good_page_keeps_the_rule(judge, rule):
    body = DRAWING.format("currentColor", "currentColor") + SLIDER.replace('label="one"', f'label="{ALT}"')
    body += '<a href="other.html#here">There</a> <a href="#top">Up</a> <a href="https://example.org">Away</a>'
    script = SCRIPT + MOVE.replace('"aria-label", word)', f'"aria-label", word === "one" ? "{ALT}" : word)')
    assert judge(rule, body=body, script=script) == []


# Where a rule can only wait in vain, it waits this long, in ms; the last has to open the menu first.
WAIT, LONGER = {"patience": 500}, {"patience": 4000}
FAULTS = [
    (elsewhere, {"body": '<img src="https://example.org/a.png" alt="a">'}, "https://example.org/a.png"),
    (elsewhere, {"script": "fetch('https://example.org/x').catch(() => 0)"}, "asks for https://example.org/x"),
    (elsewhere, {"style": "h1 { background: url(https://example.org/b.png) }"}, "asks for https://example.org/b.png"),
    (elsewhere, {"body": '<link rel="preconnect" href="https://example.org">'}, "names link preconnect"),
    (complaints, {"script": "console.error('a fault')"}, "error: a fault"),
    (complaints, {"script": "nothing.here"}, "error: nothing is not defined"),
    (complaints, {"body": '<img src="lost.png" alt="a">'}, "404"),
    (complaints, {"body": '<img src="page.html" alt="a">'}, "a picture cannot be shown"),
    (overflow, {"body": '<div style="width: 2000px">wide</div>'}, "to 2008 px"),
    (overflow, {"body": '<p style="margin-left: -50px">left</p>'}, "from -42"),
    (overflow, {"body": '<p style="width: 2000px">w</p>', "style": "html, body { overflow-x: hidden }"}, "to 2008 px"),
    (alternatives, {"body": '<img src="data:," alt="x.png">'}, "'x.png' is a name"),
    (alternatives, {"body": '<img src="data:,">'}, "no text alternative"),
    (alternatives, {"body": '<img src="data:," alt="A line.">'}, "has 7 characters"),
    (alternatives, {"body": '<svg role="img"></svg>'}, "svg  has no text alternative"),
    (accessibility, {"body": "<button></button>"}, "button-name: <button></button>"),
    (accessibility, {"body": '<div class="primary" role="lost">x</div>'}, "aria-roles"),
    (accessibility, {"body": '<button aria-label="Open">Show</button>'}, "label-content-name-mismatch"),
    (colours, {"body": '<p style="color: #999">pale</p>'}, "color-contrast"),
    (colours, {"body": '<p style="color: #333">dark</p>'}, "dark: color-contrast"),
    (colours, {"body": '<details><p style="color: #999">pale</p></details>'}, "color-contrast"),
    (darkness, {"body": DRAWING.format("#000", "currentColor")}, "with a contrast of 1.1, below 3.0, in dark mode"),
    (darkness, {"body": DRAWING.format("currentColor", "#444")}, "below 4.5, in dark mode"),
    (darkness, {"body": f'<div class="dim">{DRAWING.format("#777", "#777")}</div>',
                "style": ".dim { filter: brightness(0.9) }"}, "is changed by the filter brightness(0.9)"),
    (menu, {"script": "", **WAIT}, "does not open"),
    (menu, {"script": SCRIPT.replace("toggle(", "add("), **LONGER}, "does not go back"),
    (menu, {"body": '<button class="primary-toggle">M</button>'}, "2 buttons"),
    (menu, {"style": ".primary-toggle { display: none }"}, "0 buttons"),
    (search, {"style": ".search-button__button { display: none }", **WAIT}, "does not lead to other.html"),
    (search, {"style": "input[type=search] { display: none }", **WAIT}, "does not lead to other.html"),
    (links, {"body": '<a href="lost.html">x</a>'}, "page.html: lost.html is not there"),
    (links, {"body": '<a href="other.html#lost">x</a>'}, "other.html has no 'lost'"),
    (links, {"body": '<a href="#lost">x</a>'}, "page.html has no 'lost'"),
    (links, {"body": '<p id="top">x</p>'}, "the id 'top' is there 2 times"),
    *[
        (sliders, {"body": SLIDER, "script": MOVE.replace(next(x for x in MOVE.splitlines() if what in x), "")}, what)
        for what in ("title", "spoken value", "text alternative", "drawing", "pressed", "faded")
    ],
    *[
        (sliders, {"body": SLIDER.replace(*change), "script": MOVE}, f"its {what} is not as written")
        for what, change in {"drawing": ("h1", "v1"), "title": (">one<", ">One<"), "spoken value": ('t="one"', 't="1"'),
                             "text alternative": ('label="one"', 'label="1"')}.items()
    ],
    (sliders, {"body": SLIDER, "script": MOVE + "show(); view.dataset.x = 1"}, "its drawing is not as written"),
    (sliders, {"body": SLIDER, "script": MOVE + "buttons[1].onclick = 0"}, "a click on the legend's last name gives"),
    (sliders, {"body": SLIDER, "script": MOVE.replace('=== "false"', '!== ""')}, "a second one gives"),
    (sliders, {"body": SLIDER, "script": MOVE.replace("j !== k", "j === k")}, "a click on the legend's last name"),
    (sliders, {"body": SLIDER.replace("<path", '<path class="pale"', 1), "script": MOVE}, "its legend begins with"),
    (sliders, {"body": SLIDER.replace("<button", "<b").replace("</button", "</b"), "script": MOVE}, "0 names for 2 li"),
    (sliders, {"body": SLIDER.replace("<input", "<input disabled"), "script": MOVE}, "right arrow does not change"),
    (sliders, {"body": SLIDER, "script": MOVE + "input.oninput = 0"}, "the key End does not change its title"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "page", "cause"), FAULTS, ids=lambda value: getattr(value, "__name__", None))
def test_a_fault_is_found(judge, rule, page, cause):
    found = judge(rule, **page)
    assert found
    assert any(cause in line for line in found), found


@pytest.fixture
def figure(place):
    """Write two pictures of one line, on white and on nothing, and return the tag that shows one."""
    for name, ground in (("white", (255, 255, 255, 255)), ("nothing", (0, 0, 0, 0))):
        picture = Image.new("RGBA", (120, 60), ground)
        ImageDraw.Draw(picture).line([(5, 50), (60, 10), (115, 50)], fill=(0, 0, 0, 255), width=4)
        picture.save(place[0] / f"{name}.png")
    return f'<img src="{{}}.png" alt="{ALT}">'


def test_a_picture_on_white_is_the_same_in_dark_mode(judge, figure):
    assert judge(darkness, body=figure.format("white")) == []


def test_pale_colours_side_by_side_are_not_the_fault_of_dark_mode(judge, place):
    picture = Image.new("RGB", (120, 60), (230, 230, 230))
    ImageDraw.Draw(picture).rectangle([0, 0, 50, 60], fill=(110, 150, 190))
    assert 1.05 < rules.contrast(np.asarray(picture, dtype=float)) < 4.5
    picture.save(place[0] / "pale.png")
    assert judge(darkness, body=f'<img src="pale.png" alt="{ALT}">') == []


@pytest.mark.parametrize(
    ("name", "style", "cause"),
    [
        ("white", "img { filter: invert(1) }", "changes its colours by"),
        ("white", "img { filter: brightness(0.9) }", "changes its colours by"),
        ("white", "img { opacity: 0.15 }", "between ink and ground"),
        ("nothing", "", "has a contrast of 1.1 between"),
    ],
)
def test_a_picture_that_dark_mode_spoils_is_found(judge, figure, name, style, cause):
    found = judge(darkness, body=figure.format(name), style=f"@media (prefers-color-scheme: dark) {{ {style} }}")
    assert any(cause in line for line in found), found


@pytest.mark.parametrize(("ground", "ink", "ratio"), [(255, 0, 21.0), (0, 255, 21.0), (255, 118, 4.54), (255, 255, 1)])
def test_contrast_is_that_of_wcag(ground, ink, ratio):
    pixels = np.full((40, 50, 3), float(ground))
    pixels[3, 5:20] = ink
    np.testing.assert_allclose(rules.contrast(pixels), ratio, atol=0.005)


def test_the_two_known_rules_of_the_theme_are_passed_over_there_only(judge):
    known = '<button class="btn search-button-field" aria-label="Find">Search</button>'
    assert judge(accessibility, body=known) == []
    assert judge(accessibility, body=known.replace("search-button-field", "other")) != []


def test_of_many_alike_the_one_that_differs_is_found(judge):
    body = (
        "<p>dark <b>text</b></p>" * 50 + '<p>dark <b style="color: #bbb">pale</b></p>' + "<p>dark <b>text</b></p>" * 50
    )
    assert len(judge(colours, body=body)) == 1


@pytest.mark.parametrize(("n_shown", "found"), [(0, ["0 sliders for 2"]), (1, ["1 sliders for 2"]), (2, []), (3, [])])
def test_a_slider_that_a_page_has_lost_is_missed(n_shown, found):
    source = "# report.frames(a)\nreport.frames(\n    a)\nif a:\n    report.frames(a)\ntext = 'report.frames(a)'\n"
    page = '&lt;div class="frames frames-x"&gt;' + '<div class="frames frames-x"><div class="frames-card">' * n_shown
    page += '<figure class="recorded"><div class="frames frames-x">' * 2
    assert [line.partition(" calls")[0] for line in rules.lost(page, source)] == found


def test_without_a_browser_the_tests_are_skipped_and_a_named_one_must_be_there(monkeypatch):
    monkeypatch.setattr(browser, "NAMES", ("no-such-browser",))
    monkeypatch.delenv("CHROMIUM", raising=False)
    assert browser.find() is None
    with pytest.raises(pytest.skip.Exception, match="no browser: install Chromium"), browser.launched():
        pass
    monkeypatch.setenv("CHROMIUM", "no-such-browser")
    with pytest.raises(AssertionError, match="'no-such-browser' is no program"), browser.launched():
        pass
