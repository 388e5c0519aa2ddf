"""What a chapter reports is kept, shown, and compared."""

import base64
import sys
from unittest.mock import MagicMock

import matplotlib.pyplot as plt
import numpy as np
import planted
import pytest
import torch

from actlib import ledger, provenance, published, report, store

ALT = "Two bars; the left one is about twice as high as the right one."


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book with two experiments and no records; the chapter 01_x has begun."""
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "published.yml").write_text(planted.CLAIMS)
    monkeypatch.setenv("ACTLIB_BOOK", str(tmp_path))
    monkeypatch.delenv("ACTLIB_STALE", raising=False)
    report.start("01_x", profile="quick", seed=3)
    report.source("digits", stand_in="MNIST")
    return tmp_path


@pytest.fixture
def shown(monkeypatch):
    """What would be displayed in a notebook: a list of (bundle, metadata)."""
    found = []
    monkeypatch.setattr("IPython.get_ipython", MagicMock)
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw, metadata: found.append((bundle, metadata)))
    return found


def numbers():
    return [entry.payload for entry in report.entries() if entry.kind == "number"]


@pytest.mark.parametrize("value", [np.float32(0.5), torch.tensor(0.5), 0.5])
def test_a_number_of_any_library_becomes_a_python_number_that_the_text_can_format(book, shown, value):
    report.number("X1-claim/mine", value)
    (bundle, metadata), (payload,) = shown[0], numbers()
    assert type(payload["value"]) is float
    assert bundle == {"application/papermill.record/text/plain": "0.5"}
    assert metadata["scrapbook"]["name"] == "X1-claim/mine"
    assert metadata["actlib"]["number"] == payload


def test_a_number_carries_data_stand_in_and_device(book):
    report.number("X1-claim", 0.8)
    assert [numbers()[0][key] for key in ("data", "stand_in", "device")] == ["digits", "MNIST", numbers()[0]["device"]]
    assert numbers()[0]["device"].startswith("CPU, ")


@pytest.mark.parametrize(
    ("value", "options", "expected"),
    [
        (18432, {"published": 18000, "agree": 500}, "holds"),
        (18501, {"published": 18000, "agree": 500}, "differs"),
        (0.6, {"agree": (0.5, 1.0)}, "holds"),
        (0.4, {"agree": (0.5, 1.0)}, "differs"),
        (0.794, {"published": 0.79, "theory": 0.79405, "agree": 0.001}, "settled"),
        (0.80, {"published": 0.79, "theory": 0.79405, "agree": 0.001}, "differs"),
        (0.79, {"published": 0.79}, None),
        (0.79, {"agree": 0.1}, None),
    ],
)
def test_the_verdict_is_computed(value, options, expected):
    assert published.verdict(value, **options) == expected


def test_a_number_is_compared_with_the_value_of_its_name_else_with_the_headline(book):
    report.number("X1-claim/count", 18432, agree=500)
    report.number("X1-claim", 0.2, agree=0.01)
    report.number("X2-words", 0.7, agree=(0.5, 1.0))
    report.number("X2-words/blobs", 0.4, agree=(0.5, 1.0))
    assert [(n["published"], n["verdict"]) for n in numbers()] == [
        ("18k", "holds"),
        ("79 %", "differs"),
        (None, "holds"),
        ("“rather blobs”", "differs"),
    ]


def test_a_number_of_a_how_to_belongs_to_no_experiment(book):
    report.number("own/share", 0.5, agree=(0, 1))
    assert numbers()[0]["published"] is None
    assert published.value("own/share") is None
    with pytest.raises(ValueError, match="unknown experiment 'owned'"):
        report.number("owned/share", 0.5)


def test_an_unknown_experiment_names_the_nearest(book):
    with pytest.raises(ValueError, match=r"unknown experiment 'X1-clain'.*X1-claim"):
        report.number("X1-clain/share", 1.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "0.5", None, True])
def test_what_is_no_finite_number_is_refused(book, value):
    with pytest.raises(ValueError, match="X1-claim is"):
        report.number("X1-claim", value)
    assert numbers() == []


def test_without_a_book_numbers_are_kept_and_compared_with_nothing(tmp_path, monkeypatch):
    monkeypatch.delenv("ACTLIB_BOOK", raising=False)
    monkeypatch.chdir(tmp_path)
    report.start("own", profile="quick", seed=0)
    report.number("anything", 1)
    assert numbers()[0]["verdict"] is None


def bars():
    fig, ax = plt.subplots(figsize=(2, 1))
    ax.bar([0, 1], [2, 1])
    return fig


def test_a_figure_is_a_png_with_caption_alt_and_label(book, shown):
    fig = bars()
    report.figure(fig, name="fig-x", caption="Two bars.", alt=ALT)
    bundle, metadata = shown[0]
    payload = metadata["actlib"]["figure"]
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert report.entries()[-1].content.startswith(b"\x89PNG")
    assert payload["alt"] == ALT
    assert "Data: digits in place of MNIST. Profile quick, CPU" in payload["caption"]
    assert not plt.fignum_exists(fig.number)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "x"}, "must begin with 'fig-'"),
        ({"alt": "too short"}, "9 characters; write 40 to 250"),
        ({"alt": "x" * 251}, "251 characters"),
        ({"alt": ALT, "caption": ALT}, "differ from the caption"),
        ({"caption": " "}, "has no caption"),
    ],
)
def test_a_figure_that_some_readers_cannot_use_is_refused(book, change, message):
    with pytest.raises(ValueError, match=message):
        report.figure(bars(), **{"name": "fig-x", "caption": "Two bars.", "alt": ALT, **change})
    plt.close("all")


def record(book, profile, **numbers):
    entry = {
        "value": 0.5,
        "unit": None,
        "spread": None,
        "verdict": "differs",
        "note": "fewer images",
        "data": "MNIST; 3 nets",
    }
    entry["stand_in"] = None
    figure = {"alt": ALT, "caption": "Two *bars*.", "data": "MNIST"}
    content = {"numbers": {id: {**entry, "value": v} for id, v in numbers.items()}, "figures": {"fig-x": figure}}
    store.write_json(book / "results" / profile / "01_x.json", content)


def test_the_recorded_figure_follows_with_its_own_data_and_staleness(book, shown, monkeypatch):
    record(book, "real")
    report.figure(bars(), name="fig-x", caption="Two bars.", alt=ALT)
    text = shown[1][0]["text/html"]
    assert 'src="../results/real/01_x/fig-x.webp"' in text
    assert f'alt="Recorded run, MNIST. {ALT}"' in text
    assert "earlier version" not in text
    monkeypatch.setenv("ACTLIB_STALE", "real")
    report.figure(bars(), name="fig-x", caption="Two bars.", alt=ALT)
    assert "earlier version" in shown[3][0]["text/html"]


def test_a_recorded_figure_of_the_same_data_is_not_shown_again(book, shown):
    record(book, "real")
    report.source("MNIST")
    report.figure(bars(), name="fig-x", caption="Two bars.", alt=ALT)
    assert len(shown) == 1


def test_a_run_of_the_recorded_profile_shows_itself_only(book, shown):
    record(book, "real")
    report.start("01_x", profile="real", seed=0)
    report.figure(bars(), name="fig-x", caption="Two bars.", alt=ALT)
    assert len(shown) == 1


def test_the_table_sets_document_records_and_this_run_side_by_side(book, shown):
    record(book, "real", **{"X1-claim/share": 0.7})
    report.number("X1-claim/share", 0.81, label="share of equal answers", unit="share", agree=0.05)
    report.number("X1-claim/count", 18432, label="largest layer", agree=500, spread=12)
    report.number("X1-claim/hidden", 3)
    report.table()
    rows = cells(shown)
    # no paper run: no column
    assert rows[0] == ["what", "document", "real run", "this run (quick)", "verdict", "why", "data of the verdict"]
    assert rows[2] == ["share of equal answers", "79 %", "0.7", "81.0 %", "differs", "fewer images", "MNIST"]
    assert rows[3] == ["largest layer", "18k", "", "18,432 ± 12", "holds on a stand-in", "", "digits"]
    assert len(rows) == 4
    assert "<details>" not in shown[-1][0]["text/markdown"]


@pytest.mark.parametrize(
    ("value", "told"), [(0.3, "fails, as this control must"), (0.6, "a control that does not fail")]
)
def test_the_table_says_of_a_control_that_it_must_fail(book, shown, value, told):
    report.number("X1-claim/shuffled", value, label="labels shuffled", agree=(0.5, 1.0))
    report.table()
    rows = cells(shown)
    assert rows[2][rows[0].index("verdict")] == told


def test_the_table_folds_away_what_nothing_is_compared_with(book, shown):
    report.number("X1-claim/share", 0.81, label="share of equal answers", unit="share", agree=0.05)
    report.number("X1-claim/a", 3, label="a | number")
    report.number("X1-claim/b", 4, label="another")
    report.table()
    above, _, folded = shown[-1][0]["text/markdown"].partition("<details>")
    assert "share of equal answers" in above
    assert "number" not in above.partition("\n\n")[0]
    assert folded.count("\n| ") == 4  # head, rule and two rows
    assert "compared with (2)</summary>\n\n| what" in folded
    assert "a \\| number" in folded


def test_a_table_of_numbers_that_nothing_is_compared_with_is_shown_whole(book, shown):
    report.number("X1-claim/a", 3, label="a number")
    report.table()
    assert len(cells(shown)) == 3
    assert "data of the largest run" in cells(shown)[0]
    assert not {"<details>", "verdict"} & set(shown[-1][0]["text/markdown"].replace("*", " ").split())
    assert "the recorded ones" in shown[-1][0]["text/markdown"]


def cells(shown):
    lines = shown[-1][0]["text/markdown"].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


def test_a_stale_record_is_marked_and_does_not_decide(book, shown, monkeypatch):
    record(book, "real", **{"X1-claim/share": 0.7})
    monkeypatch.setenv("ACTLIB_STALE", "real")
    report.number("X1-claim/share", 0.81, label="share", agree=0.05)
    report.table()
    text = str(cells(shown))
    assert "real run (stale)" in text
    assert "holds" in text
    assert "differs" not in text


def test_a_run_of_the_recorded_profile_is_judged_by_itself(book, shown):
    record(book, "real", **{"X1-claim/share": 0.7})
    report.start("01_x", profile="real", seed=0)
    report.source("MNIST")
    report.number("X1-claim/share", 0.79, label="share", agree=0.05)
    report.table()
    assert "holds" in str(cells(shown))
    assert "differs" not in str(cells(shown))


def test_a_check_speaks_to_the_reader_and_is_kept(book, shown):
    report.check("ex-a", np.bool_(True), "Look again.")
    report.check("ex-b", 1 > 2, "Look at the axes.")
    assert [bundle["text/plain"] for bundle, _ in shown] == ["Correct.", "Not yet. Look at the axes."]
    assert [e.payload for e in report.entries()] == [
        {"name": "ex-a", "passed": True},
        {"name": "ex-b", "passed": False},
    ]


def test_provenance_names_versions_seed_device_and_data(book):
    report.number("X1-claim", 0.8)
    report.provenance()
    made = report.entries()[-1].payload
    assert (made["seed"], made["profile"], made["data"]) == (3, "quick", ["digits"])
    assert made["versions"]["torch"] == torch.__version__.split("+")[0]
    assert made["package_hash"] == provenance.package_hash()


def test_a_package_that_is_not_there_is_said_to_be_missing(monkeypatch):
    monkeypatch.setattr(provenance, "_PACKAGES", ["torch", "no-such-package"])
    assert provenance.versions()["no-such-package"] == "not installed"


def test_without_ipython_a_chapter_still_keeps_its_numbers(book, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", None)
    report.number("X1-claim", 0.8)
    assert [number["value"] for number in numbers()] == [0.8]


def test_a_new_start_empties_the_ledger(book):
    report.number("X1-claim", 0.8)
    report.start("02_y", profile="quick", seed=0)
    assert ledger.entries() == []


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(18432, None, "18,432"), (0.12345, None, "0.123"), (0.9912, "share", "99.1 %"), (12345.6, None, "12,346")],
)
def test_numbers_are_written_for_readers(value, unit, text):
    assert published.format_value(value, unit) == text


@pytest.mark.parametrize("call", [report.table, report.provenance, lambda: report.check("ex-a", True, "")])
def test_reporting_before_the_start_says_what_to_do(call, monkeypatch):
    monkeypatch.setattr(ledger, "run", {})
    monkeypatch.setattr(report, "run", {})
    with pytest.raises(ValueError, match=r"no report has begun; call report\.start"):
        call()
