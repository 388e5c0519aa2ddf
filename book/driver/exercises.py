"""The page of exercises: every exercise of the book with its minutes, the short ones first, read from the chapters."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from driver import BuildError
from driver.notebook import Notebook

_EXERCISE = re.compile(r"^(`{3,}|:{3,})\{exercise\}[^\n]*\n(?P<body>.*?)^\1[ \t]*$", re.MULTILINE | re.DOTALL)
_LABEL = re.compile(r"^:label: (\S+)[ \t]*$", re.MULTILINE)
_TITLE = re.compile(r"^\*\*([^*`<>$|\\]+)\*\* \((\d+) minutes?\)", re.MULTILINE)
_FORM = "write its label as ':label: ex-name', and begin its text with '**Title** (5 minutes).'"
# The chapters give minutes and no grade, so minutes are the measure: up to how many a group has, and its heading.
_GROUPS = {3: "Up to three minutes", 5: "Four or five minutes", 1000: "Longer"}
_INTRODUCTION = """(exercises)=
# All exercises

This page is generated from the chapters. It lists {n} exercises of {chapters} chapters, {minutes} minutes in all,
the shortest first. The minutes are those that a chapter gives: they are an estimate for somebody who has read it, and
the only measure of difficulty that the book has. Each exercise has a stub, a check that says whether an answer is
right, and a hidden solution.
"""


class Exercise(NamedTuple):
    """One exercise: its label, its title, how many minutes it takes, the slug of its chapter."""

    label: str
    title: str
    minutes: int
    slug: str


def read(slug: str, made: Notebook) -> list[Exercise]:
    """Return the exercises in a chapter's notebook, in order.

    Raises
    ------
    BuildError
        If an exercise has no label, no title or no minutes, or two have one label.
    """
    texts = [cell["source"] for cell in made["cells"] if cell["cell_type"] == "markdown"]
    found = [_exercise(slug, match["body"]) for text in texts for match in _EXERCISE.finditer(text)]
    labels = [each.label for each in found]
    for label in labels:
        if labels.count(label) > 1:
            raise BuildError(slug, f"two exercises have the label {label}; give each its own")
    return found


def _exercise(slug: str, body: str) -> Exercise:
    """Return one exercise from the text between its fences."""
    label, title = _LABEL.search(body), _TITLE.search(body)
    if not label or not title:
        first = next((line.strip() for line in body.splitlines() if line.strip()), "empty")
        raise BuildError(slug, f"the exercise {first[:60]!r} has no label, title or minutes; {_FORM}")
    return Exercise(label[1], " ".join(title[1].split()), int(title[2]), slug)


def page(notebooks: Mapping[str, Notebook]) -> str:
    """Return the page as MyST, from every chapter's notebook by its slug, in the order of the book."""
    found = [each for slug, made in notebooks.items() for each in read(slug, made)]
    minutes = sum(each.minutes for each in found)
    parts = [_INTRODUCTION.format(n=len(found), chapters=len({each.slug for each in found}), minutes=minutes)]
    above = 0
    for limit, heading in _GROUPS.items():
        mine = [each for each in found if above < each.minutes <= limit]
        if mine:
            parts += [f"## {heading}", "", *_table(mine), ""]
        above = limit
    return "\n".join(parts)


def _table(found: list[Exercise]) -> list[str]:
    """Return the rows of one group, by minutes and then in the order of the book."""
    rows = ["| minutes | exercise | chapter |", "|---|---|---|"]
    for each in sorted(found, key=lambda each: each.minutes):
        rows.append(f"| {each.minutes} | {{ref}}`{each.title} <{each.label}>` | {{doc}}`/nbs/{each.slug}` |")
    return ["```{container} wide-table", "", *rows, "", "```"]
