"""Slides: what of a chapter's page becomes a slide, that one file is all, and how keys and buttons turn them."""

import base64
import re
import subprocess
import sys
from pathlib import Path

import browser
import pytest
import rules

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book"))  # the driver is no part of the package

pytest.importorskip("bs4", reason="the book's packages are not installed: pip install .[book]")

from driver import BuildError, slides  # noqa: E402
from driver.chapter import Book  # noqa: E402

GIF = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"  # one pixel
PICTURE = base64.b64decode(GIF)
PAGE = r"""<html><body><article class="bd-article"><section id="top">
<h1>What does a <em>throw</em> give?<a class="headerlink" href="#top">#</a></h1>
<p>Prose of the head.</p>
<figure id="fig-hero"><a href="../_images/hero.webp"><img src="../_images/hero.webp" alt="A die."></a></figure>
<section id="throws"><h2>Throws<a class="headerlink" href="#throws">#</a></h2>
<p>Before the guess, see <a href="02_cards.html">cards</a> and <a href="https://example.org/">more</a>.</p>
<div class="admonition tip"><p class="admonition-title">Guess first</p><p>How many?</p></div>
<p>After the guess.</p>
<div class="cell docutils container"><div class="cell_input"><pre>secret = code</pre></div>
<div class="cell_output"><figure id="fig-a"><img src="data:image/gif;base64,GIF" alt="Dots."></figure>
<figure class="recorded"><table><tr><td>within</td></tr></table></figure>
<table><tr><td>3.5</td></tr></table></div></div>
<p><strong>What to notice.</strong> It is even.</p>
<p>The last word of the section.</p></section>
<section id="breaks"><h2>When it breaks</h2><p><strong>Loaded dice.</strong> They fall.</p>
<p><strong>One throw.</strong> It says little.</p>
<div class="admonition important"><p class="admonition-title">What we learned</p></div></section>
<section id="tasks"><h2>Exercises</h2>
<div class="exercise admonition"><p class="admonition-title">Exercise 1</p><section><p>Throw it.</p></section></div>
<div class="cell tag_solution"><details class="admonition hide"><summary>Show the solution</summary></details></div>
</section><section id="more"><h2>Go further</h2><div class="admonition">Not shown.</div></section>
</section></article></body></html>""".replace("GIF", GIF)

SEEN = """[...document.querySelectorAll("main > section")]
    .filter(slide => slide.checkVisibility({ visibilityProperty: true })).map(slide => Number(slide.id.slice(6)))"""


@pytest.fixture
def root(tmp_path):
    """A book whose first chapter has a page, and the second none."""
    for name, content in {
        "nbs/01_dice.py": b"",
        "nbs/02_cards.py": b"",
        "book/_build/html/nbs/01_dice.html": PAGE.encode(),
        "book/_build/html/_images/hero.webp": PICTURE,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


def made(root):
    """Return the slides of the first chapter as a list of (what is between the tags, what the notes say)."""
    text = slides.write(Book(root), "01_dice").read_text(encoding="utf-8")
    parts = re.findall(r'<section id="slide-\d+".*?>(.*?)<p class="place">', text, re.DOTALL)
    return [tuple(part.partition('<details class="notes">')[::2]) for part in parts]


def test_guesses_figures_tables_notices_and_exercises_are_slides_in_order(root):
    words = [" ".join(re.sub(r"<[^>]*>", " ", body).split()) for body, _ in made(root)]
    assert words == [
        "What does a throw give?",
        "Throws Guess first How many?",
        "Throws",
        "Throws within",
        "Throws 3.5",
        "Throws What to notice. It is even.",
        "When it breaks Loaded dice. One throw.",
        "When it breaks What we learned",
        "Exercises Exercise 1 Throw it.",
    ]
    shown = [re.findall(r'id="(fig-[a-z]+)"', body) for body, _ in made(root)]
    assert shown[0] == ["fig-hero"]
    assert shown[2] == ["fig-a"]


def test_a_chapter_without_a_first_figure_begins_with_its_title_alone(root):
    page = root / "book/_build/html/nbs/01_dice.html"
    page.write_text(re.sub(r'<figure id="fig-hero">.*?</figure>', "", PAGE))
    assert re.findall("fig-[a-z]+", made(root)[0][0]) == []


def test_prose_becomes_the_notes_of_the_next_slide_and_the_last_prose_stays(root):
    notes = [" ".join(re.sub(r"<[^>]*>", " ", note).split()) for _, note in made(root)]
    assert notes[1] == "Notes Before the guess, see cards and more ."
    assert notes[2] == "Notes After the guess."
    assert notes[3:5] == ["", ""]
    assert notes[5] == "Notes The last word of the section."
    assert notes[6].endswith("They fall. One throw. It says little.")


def test_the_file_needs_no_other_file_and_holds_no_code_and_no_solution(root):
    text = slides.write(Book(root), "01_dice").read_text(encoding="utf-8")
    assert base64.b64encode(PICTURE).decode() in text
    assert {source.split(":")[0] for source in re.findall(r'src="([^"]*)"', text)} == {"data"}
    assert re.findall(r'href="([^"]*)"', text) == ["https://example.org/"]
    for word in ("secret", "solution", "Not shown", "MathJax", 'headerlink"'):
        assert word not in text


def test_formulas_bring_the_installed_mathjax_as_part_of_the_file(root):
    page = root / "book/_build/html/nbs/01_dice.html"
    page.write_text(PAGE.replace("How many?", r'<span class="math">\(x^2\)</span>'))
    text = slides.deck(page)
    assert len(text) > 1_000_000
    assert text.count("</script>") == text.count("<script") >= 3
    assert not re.search(r"<script[^>]*src", text)


@pytest.mark.parametrize(
    ("slug", "old", "new", "cause"),
    [
        ("03_lost", "", "", "03_lost: no such chapter in"),
        ("02_cards", "", "", "02_cards: has no page yet; build it first: make chapter NAME=02_cards"),
        ("01_dice", "<h1>", "<h3>", "01_dice: its page has no title; build the site again"),
        (
            "01_dice",
            '<img src="../_images/hero',
            '<img src="../_images/lost',
            "01_dice: the picture ../_images/lost.webp",
        ),
    ],
)
def test_what_cannot_be_shown_is_named(root, slug, old, new, cause):
    page = root / "book/_build/html/nbs/01_dice.html"
    page.write_text(PAGE.replace(old, new) if old else PAGE)
    with pytest.raises(BuildError) as caught:
        slides.write(Book(root), slug)
    assert str(caught.value).startswith(cause)


def test_the_driver_makes_the_slides_that_it_can_and_names_the_others(root):
    command = [sys.executable, str(ROOT / "book/build.py"), "--root", str(root), "--slides"]
    done = subprocess.run([*command, "02_cards", "01_dice"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == f"{root / 'book/_build/slides/01_dice.html'}\n"
    assert done.stderr.startswith("error: 02_cards: has no page yet")
    assert subprocess.run(command, capture_output=True, check=False).returncode == 2  # no chapter is named


@pytest.fixture
def shown(root):
    """The slides in a browser, with a slider on the second."""
    page = root / "book/_build/html/nbs/01_dice.html"
    page.write_text(PAGE.replace("<p>How many?</p>", '<label>n <input type="range" min="0" max="9" value="4"></label>'))
    address = slides.write(Book(root), "01_dice").as_uri()
    with (
        browser.launched() as program,
        browser.window(program, 390, "dark") as context,
        browser.opened(context, address) as (page, log),
    ):
        yield page
        assert log.complaints == []
        assert [url for url in log.requests if not url.startswith(("data:", address))] == []


def test_keys_and_buttons_turn_the_slides_and_a_slider_keeps_its_keys(shown):
    for key, place in (("ArrowRight", 2), ("End", 9), ("ArrowRight", 9), ("PageUp", 8), ("Home", 1), (" ", 2)):
        shown.keyboard.press(key)
        assert shown.evaluate(SEEN) == [place], key
    shown.locator("input").press("ArrowRight")
    assert (shown.evaluate(SEEN), shown.locator("input").input_value()) == ([2], "5")
    shown.get_by_role("button", name="Next").click()
    assert shown.evaluate(SEEN) == [3]
    assert shown.get_by_role("status").inner_text() == "3 of 9"
    shown.keyboard.press("ArrowLeft")  # though the button has the focus
    assert shown.evaluate(SEEN) == [2]
    assert shown.url.endswith("#slide-2")
    shown.reload()
    assert shown.evaluate(SEEN) == [2]


def test_a_key_opens_all_notes_and_paper_shows_all_slides(shown):
    are_open = []
    for _ in range(2):
        shown.keyboard.press("n")
        are_open.append(shown.evaluate("[...document.querySelectorAll('.notes')].map(notes => notes.open)"))
    assert sorted(map(all, are_open)) == sorted(map(any, are_open)) == [False, True]
    shown.emulate_media(media="print")
    assert shown.evaluate(SEEN) == [*range(1, 10)]


def test_slides_keep_the_rules_of_pages(shown):
    assert rules.accessibility(shown) == []
    for place in range(9):
        assert rules.overflow(shown) == [], place
        shown.keyboard.press("ArrowRight")
