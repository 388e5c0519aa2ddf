"""What the package reads of the book and its records, and how it sets the two side by side."""

import json

import planted
import pytest

from actlib import published


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book that the environment names."""
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "published.yml").write_text(planted.CLAIMS)
    monkeypatch.setenv("ACTLIB_BOOK", str(tmp_path))
    return tmp_path


def test_the_book_is_the_nearest_above_the_variable_else_above_the_working_directory(book, tmp_path, monkeypatch):
    inner = book / "nbs" / "deep" / "book"
    inner.mkdir(parents=True)  # a folder of this name without the file is no book
    assert published.book_root() == book
    monkeypatch.setenv("ACTLIB_BOOK", str(inner))
    assert published.book_root() == book
    monkeypatch.delenv("ACTLIB_BOOK")
    monkeypatch.chdir(inner)
    assert published.book_root() == book
    (inner / "published.yml").write_text("{}")
    assert published.book_root() == inner.parent


def test_where_no_folder_above_has_a_book_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("ACTLIB_BOOK", "")  # set to nothing is as not set
    monkeypatch.chdir(tmp_path)
    assert published.book_root() is None
    assert not published.is_control("X1-claim/shuffled")
    assert published.record("real", "01_x") is None


def test_a_control_is_what_the_book_names_as_one_of_this_experiment(book):
    names = ("X1-claim/shuffled", "X1-claim/share", "X1-claim", "X2-words/shuffled", "own/shuffled")
    assert [name for name in names if published.is_control(name)] == ["X1-claim/shuffled"]


def test_a_record_is_of_its_profile_and_chapter_or_not_there(book):
    (book / "results" / "real").mkdir(parents=True)
    (book / "results" / "real" / "01_x.json").write_text(json.dumps({"numbers": {"X1-claim": 1}}))
    assert published.record("real", "01_x") == {"numbers": {"X1-claim": 1}}
    assert published.record("paper", "01_x") is None
    assert published.record("real", "02_y") is None


@pytest.mark.parametrize(
    ("value", "unit", "spread", "text"),
    [
        (0.5, None, None, "0.5"),
        (0.5, None, 0.0123, "0.5 ± 0.0123"),
        (18432, None, 1200, "18,432 ± 1,200"),
        (0.9912, "share", 0.0051, "99.1 % ± 0.5 %"),
        (3, "pixels", 0, "3 ± 0"),
    ],
)
def test_a_number_is_written_with_its_spread_where_it_has_one(value, unit, spread, text):
    assert published.format_entry({"value": value, "unit": unit, "spread": spread}) == text


def test_no_record_is_no_text():
    assert published.format_entry(None) == ""


COLUMNS = {"what": ["a", "b|c", "d"], "run": ["1", None, "3"], "paper": [None, "2", ""]}
READ = "The *real* and *paper* runs"


def test_a_table_shows_what_is_judged_and_folds_the_others_away():
    shown, folded = published.table(COLUMNS, [True, False, True]).split("<details>")
    # The paper run has nothing in these rows: no column.
    assert shown.startswith(f"| what | run |\n| --- | --- |\n| a | 1 |\n| d | 3 |\n\n{READ}")
    assert "The verdict says" in shown
    assert folded == (
        "<summary>Numbers of this chapter that nothing is compared with (1)</summary>\n\n"
        "| what | paper |\n| --- | --- |\n| b\\|c | 2 |\n\n</details>"
    )


def test_a_table_of_one_kind_folds_nothing_and_explains_verdicts_only_where_there_are_some():
    rows = "| what | run | paper |\n| --- | --- | --- |\n| a | 1 |  |\n| b\\|c |  | 2 |\n| d | 3 |  |\n\n"
    for judged in (True, False):
        text = published.table(COLUMNS, [judged] * 3)
        assert text.startswith(rows + READ)
        assert "<details>" not in text
        assert ("The verdict says" in text) is judged
