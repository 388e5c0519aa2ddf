"""The page of timings: read from records and from the constants of the jobs, against records that are planted."""

import json
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book"))  # the driver is no part of the package

from driver import BuildError, charts, timings  # noqa: E402
from driver.chapter import Book  # noqa: E402

DICE = '''"""Dice, thrown.

Ten ``throws`` are timed.
"""

import torch

FAST, MANY = 2.5, {"throws": 1_000}
ASKED = {"cpu": f"{FAST} times as fast, {MANY['throws']:,} throws"}
KINDS = {"gravity": "bound", "hand": "estimate"}
MISSED = {"two dice": "The second die is heavy."}
SIZE = torch.zeros(3)
LONGER = SIZE
'''
CARDS = '"""Cards, dealt."""\n\nASKED = "at once"\n'
ONE = {"hand": 1.0, "gravity": 0.001}
ROWS = [
    {"job": "one die", "ours": 0.002, "peers": ONE, "ratio": 0.004, "target": "2.5 times (found 250)", "met": True},
    {"job": "two dice, thrown", "ours": 4.0, "peers": {"cup": 6.0, "wind": None}, "ratio": 0.625, "target": "2.5 times",
     "met": False},
    {"job": "three dice", "ours": 1e-6, "peers": {}, "ratio": 1.0, "target": "reported: a|b", "met": True},
]  # fmt: skip


@pytest.fixture
def book(tmp_path):
    """A book with two jobs, one of them with a record of the CPU."""
    for name, content in {"__init__": "", "__main__": "raise SystemExit", "dice": DICE, "cards": CARDS}.items():
        (tmp_path / "benchmarks").mkdir(exist_ok=True)
        (tmp_path / "benchmarks" / f"{name}.py").write_text(content)
    record(tmp_path, {"dice": {"processor": "Abacus 3", "threads": 1, "versions": {"torch": "9.9"}, "rows": ROWS}})
    return Book(tmp_path)


def record(root, jobs, device="cpu"):
    """Write a record of a device."""
    (root / "results" / "bench").mkdir(parents=True, exist_ok=True)
    (root / "results" / "bench" / f"{device}.json").write_text(json.dumps({"device": device, "jobs": jobs}))


def cells(page, name):
    """Return the cells of the table's row that begins so."""
    line = next(line for line in page.splitlines() if line.startswith(f"| {name}"))
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_a_row_shows_peers_bound_target_and_result(book):
    job, ours, peers, bound, target, result = cells(timings.page(book), "one die")
    assert (job, ours, target, result) == ("one die", "2.00 ms", "2.5 times (found 250)", "met")
    assert peers == "hand (estimate): 1.00 s, ours 250 times as fast"
    assert bound == "gravity: 1.00 ms, 50% of ours"


def test_a_missed_target_has_its_reason_and_the_first_peer_the_ratio_of_pairs(book):
    row = cells(timings.page(book), "two dice")
    assert row[2] == "cup: 6.00 s, ours 1.6 times as fast; wind: not run"
    assert row[5] == "**missed** The second die is heavy."
    (book.root / "benchmarks/dice.py").write_text(DICE.replace("two dice", "nine dice"))
    assert cells(timings.page(book), "two dice")[5] == "**missed** The reason is not known."


def test_what_is_only_reported_has_no_target_and_is_not_counted_as_met(book):
    page = timings.page(book)
    assert cells(page, "three dice")[4:] == [r"reported: a\|b", "no target"]
    assert "Of 3 rows 1 met their target, 1 missed it, and 1 have none." in " ".join(page.split())


def test_device_threads_and_versions_are_named_and_what_was_not_measured_says_so(book):
    page = timings.page(book)
    on_cpu, on_gpu = page.split("## On a GPU")
    for words in ("## On a processor: Abacus 3", "Made with 1 thread", "PyTorch 9.9"):
        assert words in on_cpu
    assert cells(on_cpu, "Cards") == ["Cards, dealt.", "not measured; asked for: at once"]
    assert cells(on_gpu, "Cards") == ["Cards, dealt.", "not measured; asked for: at once"]
    assert cells(on_gpu, "Dice") == ["Dice, thrown.", "does not run on this device"]
    assert "No job has been measured here so far" in on_gpu
    assert "timings-cuda" not in page
    assert "Ten `throws` are timed." in page


def test_a_book_without_jobs_or_records_has_a_page_and_no_picture(tmp_path):
    assert "Nothing has been measured yet." in timings.page(Book(tmp_path))
    assert timings.pictures(Book(tmp_path)) == {}


def test_constants_are_read_without_importing_and_nothing_else_is():
    found = timings.constants(DICE + 'BAD = open("/dev/null")\nWORSE = [x for x in "ab"]\n')
    assert found["ASKED"] == {"cpu": "2.5 times as fast, 1,000 throws"}
    assert set(found) - {"__builtins__"} == {"FAST", "MANY", "ASKED", "KINDS", "MISSED"}


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("ASKED", "WISHED", "has no ASKED"),
        ('"cpu"', '"tpu"', "has no ASKED"),
        ('"bound"', '"floor"', "KINDS has floor"),
    ],
)
def test_a_job_that_does_not_say_what_it_must_is_named(book, old, new, complaint):
    (book.root / "benchmarks/dice.py").write_text(DICE.replace(old, new))
    with pytest.raises(BuildError, match=complaint) as caught:
        timings.page(book)
    assert "benchmarks/dice.py" in str(caught.value)


def test_the_picture_has_a_bar_for_each_peer_from_one_to_its_speed(book, monkeypatch):
    drawn = []
    monkeypatch.setattr(charts, "_svg", lambda figure, plt: drawn.append(figure) or plt.close(figure) or b"")
    timings.pictures(book)
    axes = drawn[0].axes[0]
    bars = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches]
    assert bars == [pytest.approx(ends) for ends in [(1, 250), (0.5, 1), (1, 1.6)]]
    words = [text.get_text() for text in axes.texts]
    assert words == [
        "one die",
        "hand (estimate): 250",
        "gravity (bound): 0.5",
        "two dice, thrown  (target missed)",
        "cup: 1.6",
    ]
    assert axes.get_xscale() == "log"
    assert [bool(bar.get_hatch()) for bar in axes.patches] == [False, True, False]  # a bound is no peer
    assert axes.patches[2].get_facecolor() != axes.patches[0].get_facecolor()  # a missed target


def test_the_picture_is_the_same_for_the_same_numbers_and_another_for_others(book):
    first, again = timings.pictures(book), timings.pictures(book)
    assert first == again
    ((name, content),) = first.items()
    assert name == "book/made/timings-cpu.svg"
    width = float(ET.fromstring(content).get("width").removesuffix("pt"))
    assert width <= 400, "a phone would show its words too small"
    slower = [{**ROWS[0], "ratio": 0.5}, *ROWS[1:]]
    record(book.root, {"dice": {"processor": "Abacus 3", "threads": 1, "versions": {"torch": "9.9"}, "rows": slower}})
    assert timings.pictures(book)[name] != content


@pytest.mark.parametrize(("value", "text"), [(None, "not run"), (53.0, "53.0 s"), (537.2, "537 s"), (2e-7, "0.200 µs")])
def test_a_time_has_three_figures_and_a_unit(value, text):
    assert timings.seconds(value) == text


def test_every_row_of_our_records_is_shown_and_every_missed_one_has_a_reason():
    book = Book(ROOT)
    known, page = {job.name: job for job in timings.jobs(book)}, timings.page(book)
    for path in sorted((ROOT / "results" / "bench").glob("*.json")):
        for name, kept in json.loads(path.read_text())["jobs"].items():
            rows, starts = kept["rows"], set(known[name].missed)
            assert all(row["job"] in page.replace("\\", "") for row in rows)
            missed = [row["job"] for row in rows if not row["met"]]
            without = [job for job in missed if not any(job.startswith(start) for start in starts)]
            assert not without, f"{path.name}: say in benchmarks/{name}.py, in MISSED, why {without} misses its target"
            lost = {start for start in starts if not any(row["job"].startswith(start) for row in rows)}
            assert not lost, f"benchmarks/{name}.py gives reasons for {lost}, but has no such row"


def test_every_kind_of_our_jobs_is_that_of_a_peer_that_the_job_names():
    for job in timings.jobs(Book(ROOT)):
        source = (ROOT / "benchmarks" / f"{job.name}.py").read_text()
        assert all(source.count(f'"{peer}"') > 1 for peer in job.kinds), job.name
