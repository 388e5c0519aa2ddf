"""What the documents published: complete, well formed, and each number equal to the text it was copied from."""

import copy
import json
import math
import re
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import yaml

BOOK = Path(__file__).parents[1] / "book"
sys.path.insert(0, str(BOOK / "_ext"))  # Sphinx's extensions are no part of the package

sys.path.insert(0, str(BOOK))

import published_role  # noqa: E402
from driver import records, scorecard  # noqa: E402
from driver.chapter import Book  # noqa: E402
from driver.notebook import Event  # noqa: E402

PUBLISHED = (BOOK / "published.yml").read_text(encoding="utf-8")
COUNTS = {"S": 47, "M": 18, "Q": 8, "T": 4, "F": 14, "A": 10}
# The book's plan: experiments (the start of their ids) by chapter.
CHAPTERS = {
    "01_maps": "F1 F2 F3 F4 F10",
    "02_rectangles": "F5 F6 F7 F8 F9",
    "03_embeddings": "F11 F12 F13 F14",
    "04_compression": "A0 A1 A2 A3 A4",
    "05_similarity": "A5 A6 A7 A8 A9",
    "06_patterns": "S1-Q1 S2.1 S2.1b S2.2 S2.2b S2.3.1",
    "07_constellations": "S2.3.2 S2.4 S1-Q4 S1-Q6 S1-Q8",
    "08_normalization": "S3",
    "09_modelling": "S4.1 S4.2 S4.2b S4.3.1 S4.3.2 S4.3.3 S4.4",
    "10_paths": "S5.0 S5.1 S5.2.1 S5.2.2 S5.2.3 S5.2 S5.3",
    "11_affine": "S6.0 S6.1 S6.2 S6.3 S6.4",
    "12_regions": "S6.5 S7.1 S7.1b S7.1c S7.2 S7.3",
    "13_adversaries": "S7.4",
    "14_oscillations": "T1 T2 T3 T4 Q4",
    "15_aliasing": "Q1 Q2 Q3 Q5 Q7 Q8",
    "16_aliasing_attacks": "Q6",
    "17_zoo": "M0 M1 M2 M2b M2c M2d M3",
    "18_meta": "M4 M5 M6 M7 M8 M9",
}
REFERENCES = {
    "S": "swiniarski-patterns", "M": "zhang-activation-analysis", "Q": "ribeiro-aliasing-readme",
    "T": "ribeiro-aliasing-readme", "F": "fleuret-activations", "A": "avc-wiki-activations",
}  # fmt: skip
FIELDS = {"title", "document", "section", "place", "reference", "chapter", "cost", "wording", "source", "values"}
REASONS = ("open", "unavailable")
VALUE_FIELDS = {"value", "text", "unit", "spread", "source", "shape", "note"}
SOURCES = {"document", "code", "logs", "figure", "history", "paper", "own"}
# Numbers in these units are fractions: a percentage typed as a number is out of range.
FRACTIONS = {"accuracy", "share", "probability", "p-value"}
WORDS = {"two": 2, "three": 3, "four": 4, "five": 5, "seven": 7, "nine": 9, "ten": 10, "sixteen": 16}
NUMBER = r"\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?"
TEXT = re.compile(
    rf"""[~<>]?\ ?(?P<number>{NUMBER})
    (?: \ ?e\ ?(?P<exponent>[+-]\ ?\d+(?:\.\d+)?)      # 1e-5, and 1e - 4.00421 as one document prints it
      | /(?P<divisor>\d+)(?:\^(?P<power>\d+))?          # 256/2, 1/2^3
      | (?:st|nd|rd|th) | (?P<k>k) | \ ?(?P<percent>%) )?
    (?:\ ±\ (?P<spread>{NUMBER}))?""",
    re.VERBOSE,
)


def read(text: str) -> tuple[Fraction | float, Fraction | None]:
    """Return the number that a printed text stands for and its spread, both exact unless the exponent is no integer."""
    if text in WORDS:
        return Fraction(WORDS[text]), None
    match = TEXT.fullmatch(text)
    if match is None:
        allowed = "12,288, 0.5, 18k, 7.12 %, ~0.3, 1e-5, 1/8, 3rd or nine"
        raise ValueError(f"text {text!r} is no number that we can read; write it like {allowed}")
    part = {name: found and found.replace(",", "").replace(" ", "") for name, found in match.groupdict().items()}
    number = Fraction(part["number"])
    if part["exponent"] and "." in part["exponent"]:
        return float(number) * 10 ** float(part["exponent"]), None
    number *= Fraction(10) ** int(part["exponent"] or 0)
    number /= Fraction(part["divisor"] or 1) ** int(part["power"] or 1)
    scale = Fraction(1, 100) if part["percent"] else Fraction(1000 if part["k"] else 1)
    return number * scale, part["spread"] and Fraction(part["spread"]) * scale


def exact(number: float) -> Fraction:
    """Return the decimal that was typed for a number, not its binary neighbour."""
    return Fraction(Decimal(repr(number)))


def same(number: float, printed: Fraction | float) -> bool:
    """Return whether a number is what was printed: exactly, or to nine digits for an exponent that is no integer."""
    return math.isclose(number, printed, rel_tol=1e-9) if isinstance(printed, float) else exact(number) == printed


def out_of_range(name: str, value: dict) -> bool:
    """Return whether an accuracy or another share is not a fraction in [0, 1], or an R2 is above 1."""
    unit, number = value.get("unit"), value["value"]
    if unit in FRACTIONS or "%" in value["text"] or "accuracy" in name:
        return unit not in FRACTIONS or not 0 <= number <= 1
    return unit == "R2" and number > 1


def value_slips(name: str, value: dict) -> list[str]:
    """Return what is wrong with one published value."""
    if {"value", "text"} - value.keys() or value.keys() - VALUE_FIELDS:
        return [f"{name}: fields are {sorted(value)}, must be value, text and others of {sorted(VALUE_FIELDS)}"]
    if type(value["value"]) not in (int, float) or not isinstance(value["text"], str):
        return [f"{name}: value = {value['value']!r} must be a number, text = {value['text']!r} a string"]
    try:
        number, spread = read(value["text"])
    except ValueError as error:
        return [f"{name}: {error}"]
    typed = exact(value["spread"]) if "spread" in value else None
    shape, source = value.get("shape", [value["value"]]), value.get("source", "document")
    wrong = {
        f"value {value['value']} is not the printed {value['text']!r}": not same(value["value"], number),
        f"spread {value.get('spread')} is not the printed {value['text']!r}": typed != spread,
        f"{value['value']} {value.get('unit')} must be a fraction in [0, 1] or an R2": out_of_range(name, value),
        f"shape {shape} does not hold {value['value']}": math.prod(shape) != value["value"],
        f"source {source!r} is not allowed": source not in SOURCES - {"own"},
    }
    return [f"{name}: {complaint}" for complaint, bad in wrong.items() if bad]


def entry_slips(name: str, entry: dict, references: set[str]) -> list[str]:
    """Return what is wrong with the fields of one experiment, its values apart."""
    if FIELDS - entry.keys() or entry.keys() - FIELDS - {"headline", "note", "claims", "controls", *REASONS}:
        more = "perhaps headline, claims, controls, open, unavailable and note"
        return [f"{name}: fields are {sorted(entry)}, must be {sorted(FIELDS)}, {more}"]
    planned = [chapter for chapter, ids in CHAPTERS.items() if any(name.startswith(f"{i}-") for i in ids.split())]
    document, values, source, words = entry["document"], entry["values"], entry["source"], len(entry["wording"].split())
    wrong = {
        "document": document not in COUNTS or not name.startswith(document),
        "reference": entry["reference"] != REFERENCES.get(document) or entry["reference"] not in references,
        "chapter": planned != [entry["chapter"]],
        "cost": entry["cost"] not in {"cheap", "minutes", "GPU"},
        "source": source not in SOURCES,
        "wording": words > 30 or (source == "document" and words == 0) or (source == "own" and words > 0),
        "values": source == "own" and bool(values),
        "claims": any(words not in entry["wording"] for words in entry.get("claims", {}).values()),
        "controls": bool({*entry.get("controls", [])} & {*values, *entry.get("claims", {})}),
        "headline": entry.get("headline") not in (values or [None]),
        **{reason: len(entry.get(reason, "a reason").split()) < 2 for reason in REASONS},
        "unavailable": "open" in entry and "unavailable" in entry,
        "title": not re.fullmatch(r"[A-Z][^.]{4,79}", entry["title"]),
        "section": not entry["section"].strip(),
        "place": not entry["place"].strip(),
    }
    return [f"{name}: {field} = {entry.get(field)!r}" for field, bad in wrong.items() if bad]


def slips(entries: dict, references: set[str]) -> list[str]:
    """Return what is wrong with all entries and their values, one line a slip."""
    found = []
    for name, entry in entries.items():
        found += entry_slips(name, entry, references)
        for key, value in entry.get("values", {}).items():
            if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", key):
                found.append(f"{name}/{key}: a name is made of small letters, digits and single hyphens")
            found += value_slips(f"{name}/{key}", value)
    return found


def twice(node: yaml.Node) -> list[str]:
    """Return the keys that stand twice in one mapping, which a loader drops without a word."""
    children = node.value if isinstance(node, yaml.SequenceNode) else []
    repeated = []
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        repeated = sorted({key for key in keys if keys.count(key) > 1})
        children = [value for _, value in node.value]
    return repeated + [key for child in children for key in twice(child)]


@pytest.fixture(scope="module")
def entries() -> dict:
    return yaml.safe_load(PUBLISHED)


@pytest.fixture(scope="module")
def references() -> dict[str, str]:
    """Return the source text of every reference, by key."""
    pieces = re.split(r"^@\w+\{([^,\s]+),$", (BOOK / "references.bib").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(set(pieces[1::2])) == sorted(pieces[1::2]), "a key stands twice in references.bib"
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def test_a_hundred_experiments_and_a_control_are_listed_document_after_document(entries):
    documents = [entry["document"] for entry in entries.values()]
    assert documents == [document for document, count in COUNTS.items() for _ in range(count)]
    assert len(entries) == 101
    assert entries["S3-he"]["source"] == "own"
    assert {entry["chapter"] for entry in entries.values()} == set(CHAPTERS)


def test_no_key_stands_twice():
    assert twice(yaml.compose(PUBLISHED)) == []
    assert twice(yaml.compose("a: {b: 1, c: 2, b: 3}\nd: 1\nd: 2")) == ["d", "b"]


def test_every_entry_obeys_the_rules_and_every_value_is_its_printed_text(entries, references):
    assert slips(entries, set(references)) == []


PRINTED = {
    "12,288": 12288, "18k": 18000, "72.04 %": 0.7204, "79%": 0.79, "~0": 0, "> 0.77": 0.77, "1/2^3": 0.125,
    "256/2": 128, "151st": 151, "2.5e-3": 0.0025, "1e - 4.00421": 10**-4.00421, "nine": 9, "0.7290 ± 0.0083": 0.729,
}  # fmt: skip


@pytest.mark.parametrize(("text", "number"), PRINTED.items())
def test_a_printed_text_reads_as_its_number(text, number):
    assert same(number, read(text)[0])


@pytest.mark.parametrize(
    "text", ["", "about 5", "12,28", "1,2345", "72.04 % or so", "5 layers", "-", "1..5", ".5", "7.12 percent"]
)
def test_a_text_that_is_no_number_is_refused(text):
    with pytest.raises(ValueError, match="is no number that we can read"):
        read(text)


@pytest.mark.parametrize(
    ("where", "planted", "complaint"),
    [
        (("A3-compression", "values", "act5-3328", "value"), 0.6746, "is not the printed '67.64 %'"),
        (("A3-compression", "values", "act5-3328", "text"), "67.46 %", "value 0.6764 is not the printed"),
        (("A3-compression", "values", "act5-3328", "value"), 67.64, "must be a fraction"),
        (("A3-compression", "values", "act5-3328", "unit"), "percent", "must be a fraction"),
        (("T3-train", "values", "fc-1h-58-a8", "value"), 0.042, "is not the printed '0.42 %'"),
        (("T3-train", "values", "fc-1h-58-parameters", "value"), 83005, "is not the printed '83,050'"),
        (("F10-dims", "values", "lenet-max", "value"), 1800, "is not the printed '18k'"),
        (("S6.5-polytopes", "values", "layer-1", "value"), 9.9e-05, "is not the printed '1e - 4.00421'"),
        (("S6.5-polytopes", "values", "layer-1", "value"), "1e-4", "must be a number"),
        (("M4-lstm-reg", "values", "mean", "spread"), 0.0017, "spread 0.0017 is not the printed"),
        (("M4-lstm-reg", "values", "mean", "text"), "0.7653", "spread 0.0071 is not the printed"),
        (("M4-lstm-reg", "values", "claim", "source"), "hearsay", "source 'hearsay'"),
        (("A1-table-baseline", "values", "act4-block2", "shape"), [32, 32, 256], "does not hold 131072"),
        (("F10-dims", "values", "Lenet_max"), {"value": 1, "text": "1"}, "a name is made of"),
        (("F10-dims", "values", "lenet-max"), {"value": 18000}, "fields are"),
        (("F10-dims", "headline"), "lenet-maximum", "headline ="),
        (("F10-dims", "chapter"), "02_rectangles", "chapter ="),
        (("F10-dims", "reference"), "fleuret-2016", "reference ="),
        (("F10-dims", "document"), "A", "document ="),
        (("F10-dims", "cost"), "gpu", "cost ="),
        (("F10-dims", "source"), "memory", "source ="),
        (("F10-dims", "wording"), "", "wording ="),
        (("F10-dims", "wording"), " ".join(["word"] * 31), "wording ="),
        (("M6-baselines", "wording"), "claimed by nobody", "wording ="),
        (("F1-lenet-maps", "claims"), {"clear": "always clear"}, "claims ="),
        (("F10-dims", "controls"), ["lenet-max"], "controls ="),
        (("F10-dims", "title"), "dims", "title ="),
        (("F10-dims", "colour"), "red", "fields are"),
    ],
)
def test_a_planted_slip_is_found(entries, references, where, planted, complaint):
    spoiled = copy.deepcopy(entries)
    place = spoiled
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = planted
    found = slips(spoiled, set(references))
    assert any(line.startswith(where[0]) and complaint in line for line in found), found


def test_a_reference_that_is_not_in_the_bibliography_is_found(entries, references):
    found = slips(entries, set(references) - {"swiniarski-patterns"})
    assert len(found) == COUNTS["S"]


def test_every_reference_has_an_author_a_title_and_a_date(references):
    for key, body in references.items():
        fields = dict(re.findall(r"^  (\w+) = \{(.*)\},$", body, flags=re.MULTILINE))
        assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)+", key), f"{key}: a key is made of small letters, digits and hyphens"
        assert {"author", "title"} <= fields.keys(), f"{key} has only {sorted(fields)}"
        year = fields.get("year", "none")
        dated = re.fullmatch(r"(19|20)\d\d", year) or "not dated" in fields.get("note", "").lower()
        assert dated, f"{key}: year = {year}"
        # A year in the key is the year of the entry: two facts that were typed apart.
        assert set(re.findall(r"\d{4}", key)) <= {year}, f"{key}: year = {year}"
        assert body.count("{") + 1 == body.count("}"), f"{key}: a brace is missing"
        assert re.fullmatch(r"10\.\d{4,9}/\S+", fields.get("doi", "10.1000/none")), f"{key}: doi = {fields['doi']}"
        assert re.fullmatch(r"https?://\S+", fields.get("url", "https://none")), f"{key}: url = {fields['url']}"


@pytest.fixture
def role(tmp_path, monkeypatch):
    """Return the role {recorded} of a book in which the runs real and paper have the number A/x, real also A/y."""
    monkeypatch.delenv("ACTLIB_STALE_RECORDS", raising=False)
    monkeypatch.setattr(published_role, "_PATH", tmp_path / "book" / "published.yml")
    for profile, numbers in (("real", {"A/x": 0.25, "A/y": 0.75}), ("paper", {"A/x": 0.5})):
        (tmp_path / "results" / profile).mkdir(parents=True)
        content = {"numbers": {id: {"value": value, "unit": "share"} for id, value in numbers.items()}}
        (tmp_path / "results" / profile / "01_x.json").write_text(json.dumps(content))

    def print_it(id):
        made = published_role.Recorded()
        made.text, made.rawtext, made.lineno, made.inliner = id, id, 1, MagicMock()
        ((node,), messages) = made.run()
        assert messages == []
        return node.astext(), [call.args[0] for call in made.env.note_dependency.mock_calls]

    return print_it


def test_a_recorded_number_is_of_the_largest_run_and_its_page_depends_on_the_record(role, tmp_path):
    assert role("A/x") == ("50.0 %", [str(tmp_path / "results/paper/01_x.json")])
    assert role(" A/y ") == ("75.0 %", [str(tmp_path / "results/real/01_x.json")])


def test_a_number_of_an_earlier_version_is_marked_and_no_other(role, monkeypatch):
    monkeypatch.setenv("ACTLIB_STALE_RECORDS", "real/01_x,paper/02_x")
    assert role("A/x")[0] == "50.0 %"
    assert role("A/y")[0] == "75.0 % (earlier version)"


def test_a_number_that_no_record_has_is_a_warning(role, monkeypatch):
    warned = MagicMock()
    monkeypatch.setattr(published_role, "_logger", warned)
    monkeypatch.setattr(published_role.Recorded, "get_location", lambda role: "a page")
    assert role("A/z") == ("A/z", [])
    assert "no record has the number 'A/z'" in warned.warning.call_args.args[0]


@pytest.mark.parametrize("profile", ["quick", "real"])
def test_each_control_is_a_number_of_a_record_and_fails(entries, profile):
    for experiment, entry in entries.items():
        path = BOOK.parent / "results" / profile / f"{entry['chapter']}.json"
        for key in entry.get("controls", []):
            assert (
                json.loads(path.read_text(encoding="utf-8"))["numbers"][f"{experiment}/{key}"]["verdict"] == "differs"
            ), key


def rows(text: str) -> dict[str, str]:
    """Return the verdict of each experiment's row on a scorecard, with its reason."""
    found = re.findall(r"^\| \{ref\}`(\S+) <[^|]*\| [^|]* \| \*\*([^|]*) \|", text, re.MULTILINE)
    return dict(found)


@pytest.mark.parametrize("profile", ["quick", "real"])
def test_every_experiment_has_a_row_with_a_verdict_from_a_run(entries, profile):
    book = Book(BOOK.parent)
    reported = {
        slug: [Event(0, "number", number) for number in records.read(book, profile, slug)["numbers"].values()]
        for slug in CHAPTERS
    }
    found = rows(scorecard.page(book, entries, profile, reported))
    assert set(found) == set(entries)
    verdicts = re.compile(r"(holds|differs|settled|measured|undecided|not attempted)\*\*")
    told = {id: verdicts.match(row) for id, row in found.items()}
    assert [id for id, one in told.items() if not one] == []
    reasons = {id: bool(set(REASONS) & set(entry)) for id, entry in entries.items()}
    assert {id: one[1] in ("undecided", "not attempted") for id, one in told.items()} == reasons
    assert sum(one[1] in ("holds", "differs", "settled") for one in told.values()) >= 0.85 * len(entries)


def test_a_statement_that_no_number_judges_is_no_open_question(entries):
    number = Event(0, "number", {"id": "S5.2-recursive/gain", "value": 1.0, "verdict": None})

    def told(**changes):
        entry = {key: value for key, value in entries["S5.2-recursive"].items() if key != "open"} | changes
        page = scorecard.page(Book(BOOK.parent / "nowhere"), {"S5.2-recursive": entry}, "quick", {"10_paths": [number]})
        return rows(page)["S5.2-recursive"]

    assert told() == "undecided** (quick)"
    assert told(open="too few") == "undecided** (quick): too few"
    assert told(unavailable="a tape") == "not attempted** (quick): a tape"
    assert told(claims={}, wording="why?") == "measured** (quick)"
    assert told(claims={}, wording="") == "measured** (quick)"
    assert told(claims={}, wording="so it is") == "undecided** (quick)"
