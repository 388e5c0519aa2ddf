"""The page of all exercises: read from the chapters, sorted by minutes, with links that lead to them."""

import re
import subprocess
import sys
from pathlib import Path

import planted
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book"))  # the driver is no part of the package

from driver import BuildError, chapter, exercises, notebook  # noqa: E402
from driver.chapter import Book  # noqa: E402

CHAPTER = '''
# %% [markdown]
r"""
(ch-planted)=
# Is it planted?

```{exercise}
:label: ex-planted-long
**A long one** (20 minutes). Think.
```

~~~
```{exercises}
not this one
```
~~~
"""

# %% tags=["parameters"]
profile = "quick"
text = """
```{exercise}
```
"""

# %% [markdown]
r"""
````{exercise}
:label: ex-planted-short
**What is $1 + 1$?** (1 minute). A box within:
```{note}
Not its end.
```
````

:::{exercise} With a title of its own
:label: ex-planted-middle
**A middle
one** (4 minutes). With colons.
:::
"""
'''.replace("What is $1 + 1$?", "What is it?")


@pytest.fixture
def root(tmp_path):
    """A book of two chapters, one of them with exercises."""
    (tmp_path / "nbs").mkdir()
    (tmp_path / "nbs/01_planted.py").write_text(CHAPTER)
    (tmp_path / "nbs/02_none.py").write_text('# %% tags=["parameters"]\nprofile = "quick"\n')
    return tmp_path


def composed(root):
    """Return the notebooks of a book by slug."""
    book = Book(root)
    return {slug: notebook.compose(chapter.load(book, slug, "quick")) for slug in book.sources}


def found(root):
    """Return the exercises of the planted chapter."""
    return exercises.read("01_planted", composed(root)["01_planted"])


def test_labels_titles_and_minutes_are_read_in_order(root):
    assert [tuple(each) for each in found(root)] == [
        ("ex-planted-long", "A long one", 20, "01_planted"),
        ("ex-planted-short", "What is it?", 1, "01_planted"),
        ("ex-planted-middle", "A middle one", 4, "01_planted"),
    ]
    assert exercises.read("02_none", composed(root)["02_none"]) == []


def test_the_page_sorts_by_minutes_and_counts(root):
    page = exercises.page(composed(root))
    assert "It lists 3 exercises of 1 chapters, 25 minutes in all" in page
    rows = re.findall(r"^(## .*|\| \d+ \| .*)$", page, re.MULTILINE)
    assert rows == [
        "## Up to three minutes",
        "| 1 | {ref}`What is it? <ex-planted-short>` | {doc}`/nbs/01_planted` |",
        "## Four or five minutes",
        "| 4 | {ref}`A middle one <ex-planted-middle>` | {doc}`/nbs/01_planted` |",
        "## Longer",
        "| 20 | {ref}`A long one <ex-planted-long>` | {doc}`/nbs/01_planted` |",
    ]


def test_a_book_without_exercises_has_an_empty_page_and_no_tables(root):
    (root / "nbs/01_planted.py").unlink()
    page = exercises.page(composed(root))
    assert "It lists 0 exercises of 0 chapters" in page
    assert "|" not in page


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        (":label: ex-planted-long\n", "", "the exercise '**A long one** (20 minutes). Think.' has no label, title or"),
        (" (20 minutes)", "", "has no label, title or minutes; write its label as ':label: ex-name'"),
        ("**A long one**", "A long one", "has no label, title or minutes"),
        ("**A long one**", "**A `long` one**", "has no label, title or minutes"),
        ("ex-planted-long", "ex-planted-short", "two exercises have the label ex-planted-short; give each its own"),
    ],
)
def test_an_exercise_that_cannot_be_listed_is_named(root, old, new, cause):
    path = root / "nbs/01_planted.py"
    assert path.read_text().count(old) == 1
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(BuildError) as caught:
        found(root)
    assert str(caught.value).startswith("01_planted: ")
    assert cause in str(caught.value)


def test_every_exercise_of_the_book_is_listed_once():
    page = exercises.page(composed(ROOT))
    # Told apart by their checks, which the driver compares with the stubs: another way to count them.
    sources = [path.read_text(encoding="utf-8") for path in Book(ROOT).sources.values()]
    labels = re.findall(r"^:label: (ex-[\w-]+)$", "\n".join(sources), re.MULTILINE)
    assert sorted(re.findall(r"<(ex-[\w-]+)>`", page)) == sorted(labels)
    assert len(labels) == sum(len(set(re.findall(r'report\.check\(\s*"(ex-[\w-]+)"', text))) for text in sources)
    minutes = [int(n) for n in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)]
    assert minutes == sorted(minutes)


def test_the_page_is_staged_and_its_links_lead_to_the_exercises(tmp_path):
    pytest.importorskip("papermill", reason="the book's packages are not installed: pip install .[book]")
    root = planted.write(tmp_path / "book")
    with (root / "book/_toc.yml").open("a") as toc:
        toc.write("- file: book/exercises\n")
    command = [sys.executable, str(ROOT / "book/build.py"), "--root", str(root)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    page = (root / "book/_build/html/book/exercises.html").read_text(encoding="utf-8")
    (row,) = re.findall(r"<tr class=\"row-even\">(.*?)</tr>", page, re.DOTALL)
    told = [" ".join(re.sub(r"<[^>]*>", "", cell).split()) for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)]
    assert told == ["1", "Faces", "What does a throw give?"]
    target = re.search(r'href="../nbs/01_dice.html#([^"]*)"', row)[1]
    assert f'id="{target}"' in (root / "book/_build/html/nbs/01_dice.html").read_text(encoding="utf-8")
