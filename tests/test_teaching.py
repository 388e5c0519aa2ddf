"""The page for teachers names what is there: sections, exercises, and the prerequisites that the chapters state."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "book/teaching.md").read_text(encoding="utf-8")
CHAPTERS = {
    re.search(r"^\((ch-[\w-]+)\)=$", text, re.MULTILINE)[1]: text
    for text in (path.read_text(encoding="utf-8") for path in sorted((ROOT / "nbs").glob("[0-9]*.py")))
}
# A how-to needs no chapter and is no meeting's: the page tells where it helps.
HOW_TOS = {"ch-own-network"}
MEETINGS = re.findall(r"^### (\d+)\. (.*)\n\n((?:(?!#).*\n)+)", PAGE, re.MULTILINE)


def test_there_are_plans_of_six_and_of_twelve_meetings():
    assert [int(n) for n, _, _ in MEETINGS] == [*range(1, 7), *range(1, 13)]
    parts = ["Chapters", "Read before", "Live", "Ask first", "Exercises", "Hand in"]
    for _, name, text in MEETINGS:
        assert re.findall(r"^- \*\*([\w ]+)\.\*\*", text, re.MULTILINE) == parts, name
    told = [set(re.findall(r"{ref}`(ch-[\w-]+)`", "".join(text for *_, text in plan))) for plan in (MEETINGS[6:],)]
    assert told == [set(CHAPTERS) - HOW_TOS]
    assert all(f"{{ref}}`{label}`" in PAGE for label in HOW_TOS)


@pytest.mark.parametrize("meeting", MEETINGS, ids=lambda meeting: meeting[1])
def test_a_meeting_names_sections_and_exercises_of_its_chapters(meeting):
    _, _, text = meeting
    mine = "".join(CHAPTERS[label] for label in re.findall(r"{ref}`(ch-[\w-]+)`", text))
    headings = {heading.rstrip("?") for heading in re.findall(r"^## (.*)$", mine, re.MULTILINE)}
    named = re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", "".join(re.findall(r"- \*\*(?:Live|Read before).*", text)))
    assert named
    assert {name.rstrip("?") for name in named} <= headings
    assert set(re.findall(r"<(ex-[\w-]+)>`", text)) <= set(re.findall(r"^:label: (ex-.*)$", mine, re.MULTILINE))


def test_titles_of_exercises_are_the_chapters_own():
    titles = {
        label: " ".join(title.split())
        for text in CHAPTERS.values()
        for label, title in re.findall(r"^:label: (ex-.*)\n\*\*([^*]+)\*\*", text, re.MULTILINE)
    }
    told = re.findall(r"{ref}`([^`<]+) <(ex-[\w-]+)>`", PAGE)
    assert len(told) > 40
    assert {label: title for title, label in told if titles[label] != title} == {}


def test_the_drawn_prerequisites_are_those_that_the_chapters_state():
    drawing = ElementTree.parse(ROOT / "book/static/prerequisites.svg")
    edges = {(path.get("data-from"), path.get("data-to")): path for path in drawing.iter() if path.get("data-from")}
    assert {name for edge in edges for name in edge} <= set(CHAPTERS)
    needed = {edge for edge, path in edges.items() if not path.get("stroke-dasharray")}
    stated, helps = set(), set()
    for label, text in CHAPTERS.items():
        line = re.search(r"\*\*You need\*\*(.*?)\*\*Time:\*\*", text, re.DOTALL)[1]
        found = {(other, label) for other in re.findall(r"\(#(ch-[\w-]+)\)", line)}
        (helps if " or some PyTorch" in line else stated).update(found)
        if "{term}`pattern`" in line:  # a word of that chapter stands for it
            stated.add(("ch-patterns", label))
    assert needed == stated
    assert helps <= set(edges) - needed
    boxes = sum(1 for shape in drawing.iter("{http://www.w3.org/2000/svg}rect") if shape.get("width") == "104")
    assert boxes == len(set(CHAPTERS) - HOW_TOS)
