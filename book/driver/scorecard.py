"""The scorecard page: every published experiment, what the document says, what our runs say, and the verdict."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from actlib import published as published_values
from driver import keys, records
from driver.chapter import Book
from driver.notebook import Event

_DOCUMENTS = {
    "F": "The slides on feature maps",
    "A": "The wiki page on activation spaces",
    "S": "The study on activation patterns",
    "Q": "The study on aliasing",
    "T": "Its toy experiment",
    "M": "The study on meta-networks",
}
_MEANING = {
    "holds": "our number agrees with the document's",
    "differs": "our number does not agree with the document's",
    "settled": "a closed form decides the question, and our number agrees with it",
    "measured": "the document asks, or the question is ours: there is no statement to judge our number by",
    "undecided": "our number decides nothing about the document's statement; the row says why",
    "not attempted": "it needs a network that is not available; our numbers are of another one, for the method",
    "no number yet": "the chapter exists, the number does not",
    "not built yet": "the chapter is not written",
}
_JUDGED = ("differs", "settled", "holds")
_UNFINISHED = ("no number yet", "not built yet")
_INTRODUCTION = """(scorecard)=
# Scorecard

This page is generated from our runs. It lists {n} experiments: what the documents report or propose, and controls that
they left out.
Of {judged} a run says whether the document is right: {own} on the document's own data, {other} on a stand-in, because
the document's data or network is not publicly available. A verdict on a stand-in is a preview, not a reproduction.
"""
_EXPLANATION = """The runs: *quick* takes a minute on any laptop, *real* uses the documents' data sets where they are
public, *paper* also their sizes. The verdict is that of the largest run whose record is up to date; a record is *stale*
when its chapter has changed since. Where several numbers were compared, one that differs from the document decides; the
deciding number is shown. A control is meant to disagree and does not count. Each id links to its place in the chapter.
"""
_RUNS = ("paper", "real", "quick")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>$|#~^])")
_HEAD = ["id", "experiment", "verdict", "document", *(f"{run} run" for run in _RUNS)]


class Row(NamedTuple):
    """One experiment on the scorecard: its id, its verdict, whether that is from the document's data, its cells."""

    id: str
    verdict: str
    own_data: bool
    cells: list[str]


def anchor(id: str) -> str:
    """Return the label of the place in a chapter where an experiment's first number is reported."""
    return "score-" + re.sub(r"[^a-z0-9]+", "-", id.lower())


def page(book: Book, table: Mapping[str, dict[str, Any]], profile: str, reported: Mapping[str, list[Event]]) -> str:
    """Return the page as MyST.

    Parameters
    ----------
    book
        Where records and chapters are.
    table
        The content of ``book/published.yml``.
    profile
        The profile of the present run.
    reported
        What each built chapter reported in it, by slug.
    """
    runs = {slug: _runs(book, slug, profile, events) for slug, events in reported.items()}
    stale = {slug: set(keys.stale(book, slug)) for slug in reported}
    here = {id.split("/")[0] for events in reported.values() for id in records.numbers(events)}
    rows = {
        id: _row(id, entry, runs.get(entry["chapter"]), stale.get(entry["chapter"], set()), here)
        for id, entry in table.items()
    }
    sections = []
    for letter in [*_DOCUMENTS, *sorted({entry["document"] for entry in table.values()} - set(_DOCUMENTS))]:
        mine = [rows[id] for id, entry in table.items() if entry["document"] == letter]
        if mine:
            kept = [k for k in range(len(_HEAD)) if any(row.cells[k] for row in mine)]  # no run, no column
            body = [[row.cells[k] for k in kept] for row in mine]
            sections += [f"## {_DOCUMENTS.get(letter, letter)}", "", *_table([_HEAD[k] for k in kept], body), ""]
    return "\n".join([*_top(list(rows.values())), *sections])


def _top(rows: list[Row]) -> list[str]:
    """Return title, explanation and counts."""
    counts = Counter((row.verdict, row.own_data) for row in rows)
    judged = [row for row in rows if row.verdict in _JUDGED]
    own = sum(row.own_data for row in judged)
    body = []
    for verdict in [*_MEANING, *sorted({name for name, _ in counts} - set(_MEANING))]:
        n_stand_in = counts[verdict, False]
        n = counts[verdict, True] + n_stand_in
        if n or verdict not in _UNFINISHED:
            told = str(n_stand_in) if verdict in _JUDGED else ""
            body.append([verdict, str(n), told, _MEANING.get(verdict, "")])
    text = _INTRODUCTION.format(n=len(rows), judged=len(judged), own=own, other=len(judged) - own)
    return [text, *_table(["verdict", "experiments", "of them on a stand-in", "meaning"], body), "", _EXPLANATION]


def _runs(book: Book, slug: str, profile: str, events: list[Event]) -> dict[str, dict[str, Any]]:
    """Return the numbers of each run of a chapter: the present one, and the recorded ones."""
    found = {run: (records.read(book, run, slug) or {}).get("numbers", {}) for run in _RUNS}
    return found | {profile: records.numbers(events)}


def _row(
    id: str, entry: dict[str, Any], runs: dict[str, dict[str, Any]] | None, stale: set[str], here: set[str]
) -> Row:
    """Return the row of one experiment; ``here`` has the experiments that a page has a place for."""
    mine = {run: _numbers(id, entry, (runs or {}).get(run, {})) for run in _RUNS}
    order = [run for run in _RUNS if mine[run] and run not in stale] + [
        run for run in _RUNS if mine[run] and run in stale
    ]
    link = plain(id)
    if runs is None:
        verdict = "not built yet"
    elif not order:
        verdict, link = "no number yet", f"{{doc}}`{id} </nbs/{entry['chapter']}>`"
    else:
        verdict = _told(entry, mine[order[0]])
        if id in here:
            link = f"{{ref}}`{id} <{anchor(id)}>`"
    deciding = mine[order[0]][0] if order else {}
    own = deciding.get("stand_in") is None
    why = f": {plain(_reason(entry))}" if verdict in ("undecided", "not attempted") and _reason(entry) else ""
    stand_in = "" if own or verdict == "not attempted" else " on a stand-in"
    told = f"**{verdict}**{stand_in} ({order[0]}){why}" if order else verdict
    # Of the other runs the same number, so that a row speaks of one thing.
    same = {run: [n for n in mine[run] if n["id"] == deciding.get("id")] or mine[run] for run in _RUNS}
    shown = [_shown(same[run], stale=run in stale) for run in _RUNS]
    place = "" if entry["place"] == "none" else f" ({entry['place']})"
    cells = [link, plain(entry["title"] + place), told, _claim(entry, deciding), *shown]
    return Row(id, verdict, own, cells)


def _numbers(id: str, entry: dict[str, Any], numbers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a run's numbers of one experiment: the deciding one first; of several the headline, then a named one."""
    mine = [payload for key, payload in numbers.items() if key.split("/")[0] == id]
    decides = _verdict([number.get("verdict") for number in mine if not _is_control(number, entry)])

    def place(number: dict[str, Any]) -> tuple[bool, bool, bool, bool]:
        differs = number.get("verdict") != decides
        return _is_control(number, entry), differs, not _is_headline(number, entry), not number.get("label")

    return sorted(mine, key=place)  # a stable sort keeps the others' order


def _is_headline(number: dict[str, Any], entry: dict[str, Any]) -> bool:
    """Say whether a number is the one by which the document's experiment is known."""
    _, _, key = number["id"].partition("/")
    return key in ("", entry.get("headline"))


def _is_control(number: dict[str, Any], entry: dict[str, Any]) -> bool:
    """Say whether a number is one that must not agree: it shows that the others could have failed."""
    return number["id"].partition("/")[2] in entry.get("controls", [])


def _verdict(verdicts: list[str | None]) -> str | None:
    return next((verdict for verdict in _JUDGED if verdict in verdicts), None)


def _told(entry: dict[str, Any], numbers: list[dict[str, Any]]) -> str:
    """Return the verdict of an experiment that has numbers, and where they judge nothing, in which way."""
    decided = _verdict([number.get("verdict") for number in numbers if not _is_control(number, entry)])
    if decided:
        return decided
    if entry.get("unavailable"):
        return "not attempted"
    asks = entry["wording"].endswith("?") or not (entry["wording"] or entry["values"])
    return "measured" if asks and not entry.get("claims") else "undecided"


def _reason(entry: dict[str, Any]) -> str:
    return entry.get("unavailable") or entry.get("open") or ""


def _claim(entry: dict[str, Any], deciding: dict[str, Any]) -> str:
    """Return what the document says of the deciding number, else its headline as printed, else its words."""
    if deciding.get("published"):
        return plain(str(deciding["published"]))
    headline = entry["values"].get(entry.get("headline"))
    if headline and (not deciding or _is_headline(deciding, entry) or not entry["wording"]):
        return plain(str(headline["text"]))
    return f"“{plain(entry['wording'])}”" if entry["wording"] else ""


def _shown(numbers: list[dict[str, Any]], *, stale: bool) -> str:
    """Return a run's deciding number with its name and its data."""
    if not numbers:
        return ""
    first = numbers[0]
    value = published_values.format_entry({"unit": None, "spread": None, **first})
    name = f"{first['label']}: " if first.get("label") else ""
    data = first.get("data") or "unknown data"
    stand_in = f" in place of {first['stand_in']}" if first.get("stand_in") else ""
    text = f"{name}{value} ({data}{stand_in}; {first.get('device') or 'unknown device'})"
    return plain(text) + " *stale*" * stale


def plain(text: str) -> str:
    """Return ``text`` so that MyST prints it as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _table(head: list[str], body: list[list[str]]) -> list[str]:
    rule = ["---"] * len(head)
    rows = ["| " + " | ".join(cells) + " |" for cells in [head, rule, *body]]
    return ["```{container} wide-table", "", *rows, "", "```"]
