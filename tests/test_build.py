"""The driver ``book/build.py``, run as a reader runs it, on a small planted book."""

import argparse
import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import planted
import pytest
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book"))  # the driver is no part of the package

pytest.importorskip("papermill", reason="the book's packages are not installed: pip install .[book]")

from driver import BuildError, chapter, keys, make, notices, pages, records, render, scorecard  # noqa: E402
from driver.chapter import Book  # noqa: E402
from driver.notebook import Event  # noqa: E402


def build(root, *options, env=None):
    """Run the driver on the book at ``root``; return the finished process, both streams in ``stdout``."""
    command = [sys.executable, str(ROOT / "book" / "build.py"), "--root", str(root), *options]
    return subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},
    )


def errors(done):
    """Return the lines that say why a build failed."""
    return [line for line in done.stdout.splitlines() if line.startswith("error: ")]


def edit(path, old, new):
    """Replace ``old``, which must be there once, in a file."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A planted book, built once with its records written, where the user has a broken kernel of the same name."""
    root = planted.write(tmp_path_factory.mktemp("built"))
    foreign = tmp_path_factory.mktemp("user")
    (foreign / "kernels/python3").mkdir(parents=True)
    spec = {"argv": ["/bin/false"], "display_name": "Python 3", "language": "python"}
    (foreign / "kernels/python3/kernel.json").write_text(json.dumps(spec))
    env = {"JUPYTER_DATA_DIR": str(foreign), "JUPYTER_PREFER_ENV_PATH": "0"}
    done = build(root, "--record", "--jobs", "2", env=env)
    assert done.returncode == 0, done.stdout
    return root, done.stdout


@pytest.fixture
def root(built, tmp_path):
    """A copy of the built book, to be broken."""
    return Path(shutil.copytree(built[0], tmp_path / "book", ignore=shutil.ignore_patterns("html", "src")))


@pytest.fixture
def bare(tmp_path):
    """A planted book that was never built."""
    return planted.write(tmp_path / "bare")


# ------------------------------------------------------------------------------------------------ a good build


def test_a_build_prints_a_line_for_each_chapter_and_the_path_at_the_end(built):
    root, output = built
    assert re.search(r"^01_dice +[\d.]+ s +1 figures +2 numbers +executed \(new\)$", output, re.MULTILINE)
    assert output.splitlines()[-1] == str(root / "book" / "_build" / "html" / "index.html")
    assert Path(output.splitlines()[-1]).is_file()


def test_a_chapter_page_shows_values_captions_and_text_alternatives(built):
    page = (built[0] / "book/_build/html/nbs/01_dice.html").read_text(encoding="utf-8")
    assert 'alt="A black square of eight by eight pixels, with nothing in it."' in page
    assert 'id="fig-dice"' in page
    assert "On average <span" in page
    assert ">3.50<" in page  # recorded by the run, set by glue
    assert "3.5 &lt;pips&gt;" in page  # published, printed by the role
    assert "# Parameters" not in page  # the injected cell stays away
    assert "Show the solution" in page
    assert "nbs/01_dice.py" in page  # the button "edit" leads to the source
    slider = (built[0] / "book/_build/html/nbs/02_cards.html").read_text(encoding="utf-8")
    (figure,) = re.findall(r'<figure[^>]*id="fig-deck">.*?</figure>', slider, re.DOTALL)
    assert 'aria-label="A deck of 52 cards of which the uppermost 1 lie open beside it."' in figure
    assert '<script type="application/json">{"frames"' in figure
    assert "<em>deck</em>" in figure
    assert 'href="#fig-deck"><span class="std std-numref">Fig. ' in slider
    assert "thebe" not in re.findall(r"<script[^>]*src=\"([^\"]*)", page)


def test_the_site_loads_nothing_from_elsewhere_and_brings_its_mathematics(built):
    site = built[0] / "book/_build/html"
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for tag in re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", text):
            assert not re.search(r"(?:src|href)=[\"'](?:https?:)?//", tag), (page, tag)
    assert "_static/mathjax/tex-chtml-full.js" in (site / "nbs/01_dice.html").read_text(encoding="utf-8")
    files = [path for path in (site / "_static/mathjax").rglob("*") if path.is_file()]
    assert len([path for path in files if path.suffix == ".woff"]) > 10
    assert 1e6 < sum(path.stat().st_size for path in files) < 3e6
    assert not (built[0] / "book/static/mathjax").exists()


def test_every_file_of_others_is_on_the_page_of_licences_with_its_text(built):
    static = built[0] / "book/_build/html/_static"
    names = [path.relative_to(static).as_posix() for path in static.rglob("*") if path.is_file()]
    parts = notices.read(Book(built[0]))
    owners = {name: notices.owner(parts, name) for name in names}
    assert [name for name, owner in owners.items() if owner is None] == []
    assert {part["name"] for part in parts} == set(owners.values())  # and none that is no longer shipped
    page = (built[0] / "book/_build/html/book/notices.html").read_text(encoding="utf-8")
    linked = set(re.findall(r'href="\.\./_static/licences/([\w.-]+)"', page))
    assert linked == {path.name for path in (static / "licences").iterdir()}
    assert len(linked) == len([part for part in parts if not part.get("ours")])
    assert all(len((static / "licences" / name).read_text(encoding="utf-8")) > 900 for name in linked)


def test_a_strange_file_or_a_missing_text_of_a_licence_is_seen(root):
    parts = notices.read(Book(root))
    assert notices.owner(parts, "scripts/reveal.js") is None
    assert notices.owner(parts, "mathjax/output/chtml/fonts/woff-v2/MathJax_Zero.woff") == "MathJax's TeX fonts"
    assert notices.owner(parts, "mathjax/deeper/tex-chtml.js") is None
    (root / "book/licences/clipboard.txt").unlink()
    with pytest.raises(BuildError, match=r"clipboard\.js: there is no text book/licences/clipboard\.txt"):
        notices.texts(Book(root))


def test_the_buttons_of_a_chapter_lead_where_it_can_be_opened(built):
    url = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    place = url.removeprefix("https://github.com/")
    page = (built[0] / "book/_build/html/nbs/01_dice.html").read_text(encoding="utf-8")
    buttons = re.findall(r'href="(https://(?:colab|mybinder)[^"]*)"', page)
    assert sorted(buttons) == [
        f"https://colab.research.google.com/github/{place}/blob/notebooks/nbs/01_dice.ipynb",
        f"https://mybinder.org/v2/gh/{place}/main?urlpath=lab/tree/nbs/01_dice.py",
    ]
    intro = (built[0] / "book/_build/html/book/intro.html").read_text(encoding="utf-8")
    assert f"git clone {url} book" in html.unescape(re.sub(r"<[^>]+>", "", intro))
    assert not re.findall(r'href="https://(?:colab|mybinder)', intro)


def test_published_notebooks_begin_with_the_installation_and_keep_their_outputs(built, tmp_path):
    command = [sys.executable, ROOT / "book/publish.py", tmp_path, "--root", built[0], "--commit", "c" * 40]
    settings = {key: value for key, value in os.environ.items() if not key.startswith("GITHUB_")}
    done = subprocess.run(command, capture_output=True, text=True, env=settings)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in sorted((tmp_path / "nbs").iterdir())] == ["01_dice.ipynb", "02_cards.ipynb"]
    made = json.loads((tmp_path / "nbs/01_dice.ipynb").read_text(encoding="utf-8"))
    last_good = json.loads((built[0] / "book/_build/chapters/quick/01_dice.ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in made["cells"] if cell["cell_type"] == "code"]
    assert code[0]["id"] == "install"
    assert "c" * 40 in code[0]["source"]
    assert code[1:] == [cell for cell in last_good["cells"] if cell["cell_type"] == "code"]
    assert "On average 3.50, the document says 3.5 <pips>, at most six." in made["cells"][0]["source"]
    assert made["cells"][0]["source"].startswith("# What does a throw give?")
    (origin,) = [cell["source"] for cell in made["cells"] if cell["id"] == "origin"]
    assert f"/blob/{'c' * 40}/nbs/01_dice.py)" in origin
    assert ".github.io/" in origin
    assert origin.endswith("/nbs/01_dice.html).")
    assert not any("install" in path.read_text() for path in (built[0] / "nbs").glob("*.py"))
    nbformat.validate(nbformat.from_dict(made))
    refused = subprocess.run(
        command, capture_output=True, text=True,
        env={**settings, "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "ann/fork"},
    )  # fmt: skip
    assert refused.returncode == 1
    assert "but this is https://github.com/ann/fork" in refused.stderr


def test_shapes_are_printed_in_the_api_pages(built):
    page = html.unescape(
        re.sub(r"<[^>]+>", "", (built[0] / "book/_build/html/book/api.html").read_text(encoding="utf-8"))
    )
    assert "fold(x: Float[ndarray, 'n c h w'], k: Int[ndarray, 'n']) → Float[ndarray, 'n d']" in " ".join(page.split())
    assert "write_json(path: str | Path, content: Any)" in page


def test_the_scorecard_lists_every_experiment_and_counts_the_verdicts(built):
    page = (built[0] / "book/_build/src/book/scorecard.md").read_text(encoding="utf-8")
    verdicts = "holds|differs|settled|measured|undecided|no[a-z ]+"
    found = re.findall(rf"^\| ({verdicts}) \| (\d+) \| (\d*) \|", page, re.MULTILINE)
    counts = {verdict: (n, stand_in) for verdict, n, stand_in in found}
    assert counts == {
        "holds": ("1", "1"),
        "differs": ("1", "0"),
        "settled": ("0", "0"),
        "measured": ("1", ""),
        "undecided": ("0", ""),
        "not attempted": ("0", ""),
        "not built yet": ("1", ""),
    }
    rows = {
        id: next(line for line in page.splitlines() if id in line)
        for id in ("F1-throw", "F2-loaded", "S1-cards", "M1-later")
    }
    assert "3.5 \\<pips\\>" in rows["F1-throw"]
    assert "3.5 (dice in place of real dice; CPU)" in rows["F1-throw"]
    assert "**holds** on a stand-in (quick)" in rows["F1-throw"]
    assert "real dice" not in rows["F2-loaded"]
    assert "not built yet" in rows["M1-later"]
    assert "1 on the document's own data, 1 on a stand-in" in " ".join(page.split())
    shown = (built[0] / "book/_build/html/book/scorecard.html").read_text(encoding="utf-8")
    target = re.search(r'href="../nbs/01_dice.html#(score-[^"]*)"', shown).group(1)
    assert f'id="{target}"' in (built[0] / "book/_build/html/nbs/01_dice.html").read_text(encoding="utf-8")


def test_the_scorecard_judges_by_the_largest_fresh_record_and_marks_stale_ones(root):
    quick = json.loads((root / "results/quick/01_dice.json").read_text())
    loaded = chapter.load(Book(root), "01_dice", "real")
    quick["numbers"]["F1-throw/mean"] |= {"value": 7.5, "verdict": "differs", "stand_in": None, "data": "real dice"}
    (root / "results/real").mkdir()
    (root / "results/real/01_dice.json").write_text(json.dumps({**quick, "chapter_hash": loaded.hash}))
    table = chapter.read_yaml(root / "book/published.yml")

    def row():
        page = scorecard.page(Book(root), table, "quick", {"01_dice": []})
        return next(line for line in page.splitlines() if "F1-throw" in line)

    assert "**differs** (real)" in row()
    assert "7.5 (real dice; CPU)" in row()
    assert "stale" not in row()
    (root / "results/real/01_dice.json").write_text(json.dumps({**quick, "chapter_hash": "another"}))
    assert "7.5 (real dice; CPU) *stale*" in row()
    (root / "results/quick").mkdir(exist_ok=True)
    events = [Event(1, "number", {"id": "F1-throw/max", "value": 6, "verdict": "holds"})]
    page = scorecard.page(Book(root), table, "quick", {"01_dice": events})
    assert "**holds** (quick)" in next(line for line in page.splitlines() if "F1-throw" in line)


def test_a_control_that_fails_does_not_decide_the_verdict_of_its_experiment(root):
    table = chapter.read_yaml(root / "book/published.yml")
    numbers = [{"id": "F1-throw/max", "value": 6, "verdict": "holds"}]
    numbers.append({"id": "F1-throw/loaded", "value": 1, "verdict": "differs", "label": "a loaded die"})
    events = [Event(1, "number", number) for number in numbers]

    def row():
        page = scorecard.page(Book(root), table, "quick", {"01_dice": events})
        return next(line for line in page.splitlines() if "F1-throw" in line)

    assert "**differs** (quick)" in row()
    assert "a loaded die: 1" in row()
    table["F1-throw"]["controls"] = ["loaded"]
    assert "**holds** (quick)" in row()
    assert "loaded" not in row()


def test_a_record_outlives_a_change_of_the_defaults_that_its_profile_does_not_use(root):
    def hashes():
        return {name: chapter.load(Book(root), "01_dice", name).hash for name in ("quick", "real")}

    def change(old, new):
        before, text = hashes(), path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))
        return {name for name, hash in hashes().items() if hash != before[name]}

    path, profile = root / "nbs/01_dice.py", root / "nbs/profiles/real.yaml"
    profile.write_text(json.dumps({**chapter.read_yaml(profile), "01_dice": {"n": 50}}))
    assert change('"dice", 1\n', '"dice", 2  # throws\n') == {"quick"}
    assert change('"dice", 2', '"cards", 2') == {"quick", "real"}
    assert change("dice.total(n), tol=0.1", "dice.total(n), tol=0.2") == {"quick", "real"}


def test_a_chapter_that_was_never_executed_is_shown_without_results_and_says_so(root, monkeypatch):
    (root / "book/_build/chapters/quick/01_dice.ipynb").unlink()
    told = []
    monkeypatch.setattr(render, "site", lambda book, **options: told.append(options))
    options = argparse.Namespace(profile="quick")
    table = chapter.read_yaml(root / "book/published.yml")
    make._site(make.Build(Book(root), options, table, {}, [], {}, {}, {}))
    assert told == [{"warnings_are_errors": False}]
    staged = (root / "book/_build/src/nbs/01_dice.ipynb").read_text(encoding="utf-8")
    assert "This chapter has not been executed yet" in staged
    assert "has not been executed yet" not in (root / "book/_build/src/nbs/02_cards.ipynb").read_text(encoding="utf-8")


def test_the_table_of_contents_and_the_chapters_must_agree(root):
    edit(root / "book/_toc.yml", "- file: book/api\n", "- file: book/api\n- file: book/lost\n")
    assert errors(build(root)) == ["error: book/_toc.yml: book/lost: named there, but there is no such file"]
    edit(root / "book/_toc.yml", "- file: book/lost\n", "")
    edit(root / "book/_toc.yml", "- file: nbs/01_dice\n", "")
    assert errors(build(root)) == ["error: book/_toc.yml: nbs/01_dice: a chapter without an entry there"]


# --------------------------------------------------------------------------------------- what ends a build

START = '# %% tags=["parameters"]\nprofile = "quick"\n\n'
EXERCISE = """
# %% tags=["exercise"]
from actlib import report
report.check("ex-a", {stub})

# %% tags=["solution"]
report.check("ex-a", {solution})
"""
# What needs a notebook to be seen, and what a plain run shows as well.
IN_NOTEBOOKS = {
    "03_raises": ("# %%\nx = [][0]\n", "cell 2 (x = [][0]): IndexError: list index out of range"),
    "04_large": ("# %%\nprint('x' * 1_600_000)\n", "1.6 MB, allowed are 1.5 MB"),
    "05_bare": (
        "# %%\nfrom actlib import report\nfrom IPython.display import Image\nImage(report.picture())\n",
        "cell 2 (from actlib import report): a picture without text alternative",
    ),
    "06_html": (
        "# %%\nfrom IPython.display import HTML\nHTML('<img src=\"x.png\">')\n",
        "cell 2 (from IPython.display import HTML): a picture without text alternative",
    ),
    "07_dies": ("# %%\nimport os\nos._exit(3)\n", "cell 2 (import os): DeadKernelError"),
}
IN_ANY_RUN = {
    "03_alt": (
        '# %%\nfrom actlib import report\nreport.figure("fig-a", "Words.", "Too short.")\n',
        "alternative has 10 characters",
    ),
    "03_frames": (
        "# %%\nfrom actlib import report\n"
        'report.frames("fig-a", "Words.", ["A slider of which all frames say the very same."] * 2)\n',
        "two frames have the same text alternative",
    ),
    "04_nan": (
        '# %%\nfrom actlib import report\nreport.number("S1-cards/b", float("nan"))\n',
        "number S1-cards/b is nan",
    ),
    "05_stub": (EXERCISE.format(stub=True, solution=True), "the stub passes the check ex-a"),
    "06_solution": (EXERCISE.format(stub=False, solution=False), "the solution fails the check ex-a"),
    "07_unsolved": (
        EXERCISE.format(stub=False, solution=True).replace('"solution"', '"exercise"'),
        "the stub passes the check ex-a",
    ),
    "08_twice": (
        '# %%\nfrom actlib import report\nreport.number("S1-cards", 1)\n',
        "number S1-cards is also in 02_cards",
    ),
    "09_dies": ("# %%\nimport os\nos._exit(3)\n", "cell 2 (import os): the process ended"),
}


@pytest.mark.parametrize(("faults", "options"), [(IN_NOTEBOOKS, ()), (IN_ANY_RUN, ("--execute-only",))])
def test_each_fault_ends_the_build_with_one_line_and_other_chapters_finish(root, faults, options):
    toc = "".join(f"- file: nbs/{slug}\n" for slug in faults)
    edit(root / "book/_toc.yml", "- file: book/scorecard\n", f"- file: book/scorecard\n{toc}")
    for slug, (code, _) in faults.items():
        (root / f"nbs/{slug}.py").write_text(START + code)
    edit(root / "nbs/02_cards.py", "n = 52", "n = 52 + 0")
    before = (root / "book/_build/chapters/quick/01_dice.ipynb").read_bytes()
    done = build(root, "--jobs", "2", *options)
    assert done.returncode == 1
    told = {line.split(": ")[1]: line for line in errors(done)}
    assert set(told) == set(faults)
    assert len(errors(done)) == len(faults)
    for slug, (_, cause) in faults.items():
        assert cause in told[slug]
    assert re.search(r"^02_cards .* executed", done.stdout, re.MULTILINE)
    assert (root / "book/_build/chapters/quick/01_dice.ipynb").read_bytes() == before
    assert sorted(path.stem for path in (root / "book/_build/chapters/quick").iterdir()) == ["01_dice", "02_cards"]


def test_a_chapter_that_breaks_leaves_its_last_good_notebook(root):
    path = root / "book/_build/chapters/quick/02_cards.ipynb"
    before = path.read_bytes()
    edit(root / "nbs/02_cards.py", 'report.number("S1-cards", n)', "raise RuntimeError('no cards')")
    done = build(root)
    assert done.returncode == 1
    assert "----> 2 raise RuntimeError('no cards')" in done.stdout.split("error: ")[0]  # the traceback comes before
    assert errors(done) == ["error: 02_cards: cell 3 (from actlib import report): RuntimeError: no cards"]
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "old", "new", "cause"),
    [
        ("nbs/profiles/real.yaml", "{n: 2,", "{m: 2,", "01_dice: unknown parameter m in nbs/profiles/real.yaml; its"),
        ("nbs/profiles/real.yaml", "02_cards: {}", "02_card: {}", "real.yaml: 02_card is no chapter in nbs/"),
        ("nbs/profiles/real.yaml", "02_cards: {}", "", "02_cards: nbs/profiles/real.yaml does not name it"),
        ("nbs/02_cards.py", "n = 52", "n = = 52", "cell 2 (profile = \"quick\"): SyntaxError: invalid syntax"),
        ("nbs/02_cards.py", 'tags=["parameters"]', "", "02_cards: 0 cells are tagged parameters"),
        ("nbs/02_cards.py", 'tags=["parameters"]', 'tags=["parameters", "hidden"]', "unknown tag hidden; allowed are"),
        ("nbs/02_cards.py", "n = 52", "# ls the cards\nn = 52", "JupyterLab would run '# ls the cards' as a command"),
        ("nbs/02_cards.py", "n = 52", "n = (52", "02_cards: line"),
    ],
)  # fmt: skip
def test_faults_that_can_be_seen_are_told_before_anything_runs(root, name, old, new, cause):
    edit(root / name, old, new)
    with pytest.raises(BuildError) as caught:
        [chapter.load(Book(root), slug, "real") for slug in Book(root).sources]
    assert cause in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_number_off_its_record_is_a_warning_and_with_strict_an_error(root):
    edit(root / "results/quick/01_dice.json", '"value": 3.5,', '"value": 3.65,')
    before = (root / "book/_build/chapters/quick/01_dice.ipynb").read_bytes()
    done = build(root, "--strict")
    assert done.returncode == 1
    assert errors(done) == ["error: 01_dice: off its record: F1-throw/mean is 3.5, recorded 3.65, tolerance 0.1"]
    assert (root / "book/_build/chapters/quick/01_dice.ipynb").read_bytes() == before
    # Prose alone changes, to something that Sphinx warns of: nothing is executed, and the warning ends the build.
    edit(root / "nbs/02_cards.py", "Prose of the cards.", "Prose of {published}`F1-throw/maxx` and {ref}`ch-lost`.")
    done = build(root)
    assert done.returncode == 1
    assert "warning: 01_dice: F1-throw/mean is 3.5, recorded 3.65, tolerance 0.1" in done.stdout
    assert "Outside the tolerance" in (root / "book/_build/src/nbs/01_dice.ipynb").read_text(encoding="utf-8")
    assert len(re.findall(r"^0\d_\w+ .* cached$", done.stdout, re.MULTILINE)) == 2
    (line,) = errors(done)
    assert line.startswith("error: nbs/02_cards.py, notebook cell 1, line ")
    assert "has no value 'maxx'; nearest: F1-throw/max" in line
    assert "undefined label: 'ch-lost'" in done.stdout
    assert "Prose of {published}" in (root / "book/_build/chapters/quick/02_cards.ipynb").read_text(encoding="utf-8")


def test_a_value_within_the_recorded_tolerance_passes_and_gaps_are_found():
    record = {"numbers": {"a": {"value": 1.0, "tol": 0.1}, "b": {"value": 1000.0, "tol": None}, "gone": {"value": 0}}}
    now = [("a", 1.09), ("b", 1000.0005), ("new", 1)]
    events = [Event(1, "number", {"id": id, "value": value}) for id, value in now]
    assert records.outside(record, events) == []
    assert records.gaps(record, events) == [
        "gone is in the record but was not reported",
        "new is not in the record; run with --record",
    ]
    assert len(records.outside(record, [Event(1, "number", {"id": "a", "value": 1.11})])) == 1
    assert len(records.outside(record, [Event(1, "number", {"id": "b", "value": 1000.002})])) == 1
    assert records.gaps(None, events) == ["no record; run with --record"]


# ------------------------------------------------------------------------------- when a chapter is executed again


def reason(root, slug="01_dice", profile="quick"):
    """Return why the driver would execute a chapter, or nothing."""
    book, options = Book(root), argparse.Namespace(execute_only=False, smoke=False, slugs=[])
    loaded = chapter.load(book, slug, profile)
    table = chapter.read_yaml(root / "book" / "published.yml")
    return make._reason(make.Build(book, options, table, keys.data_states(book, [loaded]), [], {}, {}, {}), loaded)


@pytest.mark.parametrize(
    ("name", "old", "new", "cause"),
    [
        ("nbs/01_dice.py", "dice.total(n)", "dice.total(n) + 0", "changed: code"),
        ("nbs/01_dice.py", 'tags=["raises-exception"]', "", "changed: code"),
        ("actlib/dice.py", "/ 6", "/ 6.0", "changed: actlib.dice"),
        ("actlib/faces.py", "[1,", "[1.0,", "changed: actlib.faces"),  # imported by dice, not by the chapter
        ("actlib/dice.txt", "as made", "remade", "changed: data"),
        ("constraints.txt", "numpy==2", "numpy==3", "changed: constraints.txt"),
        ("book/published.yml", "3.5 <pips>", "3.6 <pips>", "changed: published values"),
        ("nbs/01_dice.py", "What does a throw give?", "What does one throw give?", ""),
        ("nbs/01_dice.py", 'tags=["hide-input"]', 'tags=["remove-input"]', ""),
        ("actlib/unrelated.py", "nothing", "something", ""),
        ("actlib/cards.txt", "as made", "remade", ""),
        ("book/published.yml", "Loaded dice", "Loaded dice", ""),
        ("book/published.yml", "title: Cards", "title: Playing cards", ""),  # of another chapter
    ],
)
def test_a_chapter_is_executed_again_only_when_something_it_depends_on_changed(root, name, old, new, cause):
    assert reason(root) == ""
    edit(root / name, old, new)
    assert reason(root) == cause


def test_a_chapter_is_executed_again_when_a_record_it_shows_changed(root):
    (root / "results/real").mkdir()
    shutil.copy(root / "results/quick/01_dice.json", root / "results/real")
    assert reason(root) == "changed: records, stale records"
    assert reason(root, "02_cards") == ""
    (root / "results/real/01_dice.json").unlink()
    (root / "results/real/01_dice").mkdir()
    (root / "results/real/01_dice/fig-dice.webp").write_bytes(b"picture")
    assert reason(root) == "changed: records"


def test_a_damaged_notebook_is_executed_again(root):
    (root / "book/_build/chapters/quick/01_dice.ipynb").write_text('{"cells": [')
    assert reason(root) == "new"


def test_a_named_chapter_is_executed_in_any_case_and_the_others_are_kept(root):
    edit(root / "nbs/01_dice.py", "dice.total(n)", "dice.total(2 * n)")  # its outputs are old, and stay
    before = (root / "book/_build/chapters/quick/01_dice.ipynb").read_bytes()
    cells = json.loads((root / "book/_build/chapters/quick/02_cards.ipynb").read_text())["cells"]
    done = build(root, "02_cards")
    assert done.returncode == 0, done.stdout
    assert re.search(r"02_cards .* executed \(asked for\)", done.stdout)
    assert "01_dice" not in done.stdout
    assert json.loads((root / "book/_build/chapters/quick/02_cards.ipynb").read_text())["cells"] == cells  # repeatable
    assert (root / "book/_build/chapters/quick/01_dice.ipynb").read_bytes() == before
    assert ">3.50<" in (root / "book/_build/html/nbs/01_dice.html").read_text(encoding="utf-8")


def running(folder):
    """Return the processes whose command line names ``folder``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder) in path.read_bytes().decode(errors="replace"):
                found.append(path.parent.name)
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc")
def test_a_kill_in_mid_run_leaves_the_last_good_chapters_and_no_process(root, tmp_path):
    good = {path: path.read_bytes() for path in (root / "book/_build/chapters/quick").iterdir()}
    edit(root / "nbs/02_cards.py", 'report.number("S1-cards", n)', "import time\ntime.sleep(600)")
    command = [sys.executable, str(ROOT / "book" / "build.py"), "--root", str(root)]
    # Jupyter's connection files go to a folder of this test, so that the kernel can be told by its command line.
    (tmp_path / "connections").mkdir()
    env = {**os.environ, "TMPDIR": str(tmp_path / "connections")}
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    progress = root / "book/_build/work/quick/02_cards/progress.json"
    _until(lambda: progress.is_file() and json.loads(progress.read_text())[0] == 3)
    assert running(tmp_path / "connections"), "the kernel runs"
    process.send_signal(signal.SIGKILL)
    process.wait()
    _until(lambda: not running(tmp_path))
    assert {path: path.read_bytes() for path in (root / "book/_build/chapters/quick").iterdir()} == good
    (root / "nbs/02_cards.py").write_text(planted.FILES["nbs/02_cards.py"])
    assert reason(root, "02_cards") == ""


def _until(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


# --------------------------------------------------------------------------------- what is rendered again


def rendered(root):
    """Return the pages that the last build read, and those that it wrote."""
    log = (root / "book/_build/sphinx.log").read_text(encoding="utf-8")
    return [
        re.findall(rf"^{step}\.\.\. \[ *\d+%\] (\S+)", log, re.MULTILINE)
        for step in ("reading sources", "writing output")
    ]


def site(root):
    """Return the files of a site by name, but for two marks of a second build that nobody sees.

    A style sheet's name then has ``?v=``, and the index of the search still knows words that are on no page any more.
    """
    folder, marks = root / "book/_build/html", rb'(?<=\.css)\?v=\w+|"\w+": \[\], '
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: re.sub(marks, b"", content) for name, content in files.items()}


SOURCES = '\n# %% [markdown]\nr"""\nSee {cite:p}`r`.\n\n```{bibliography}\n:filter: docname in docnames\n```\n"""\n'


def test_an_edit_of_prose_renders_its_page_and_those_that_show_something_of_it(root):
    every = ["book/api", "book/intro", "book/notices", "book/scorecard", "nbs/01_dice", "nbs/02_cards"]
    for path in Book(root).sources.values():  # of two lists that have a source, pages without a list lead to the last
        path.write_text(path.read_text(encoding="utf-8") + SOURCES, encoding="utf-8")
    (root / "book/intro.md").write_text("# Throws\n\n{cite:p}`r`, {term}`die`.\n\n```{glossary}\ndie\n  A cube.\n```\n")
    assert build(root).returncode == 0
    assert rendered(root) == [every, every]
    edit(root / "nbs/01_dice.py", "show it.", "have shown it.")
    assert build(root).returncode == 0
    assert rendered(root) == [["nbs/01_dice"], ["book/intro", "nbs/01_dice"]]  # the first page holds the menu's tree
    assert b"have shown it." in site(root)["nbs/01_dice.html"]
    edit(root / "nbs/01_dice.py", "# What does a throw give?", "# What does one throw give?")  # in the menu of all
    assert build(root).returncode == 0
    assert rendered(root) == [["nbs/01_dice"], every]
    by_and_by = site(root)
    assert b"What does one throw give?" in by_and_by["book/api.html"]
    (root / "book/_build/sphinx/state.json").unlink()
    assert build(root).returncode == 0
    assert rendered(root) == [every, every]
    assert site(root) == by_and_by


def test_a_link_without_target_is_told_until_it_is_mended(root):
    assert build(root).returncode == 0
    before = site(root)
    edit(root / "nbs/01_dice.py", "(ch-dice)=\n", "")
    everything = ["book/api", "book/intro", "book/notices", "book/scorecard", "nbs/01_dice", "nbs/02_cards"]
    for read in (["nbs/01_dice"], everything):
        done = build(root)
        assert done.returncode == 1
        assert len(errors(done)) == 1
        assert "error: book/intro.md, line 3: undefined label: 'ch-dice'" in errors(done)[0]
        assert rendered(root)[0] == read  # after a failure everything is read again
        assert site(root) == before
    edit(root / "nbs/01_dice.py", "# What does a throw", "(ch-dice)=\n# What does a throw")
    edit(root / "book/_toc.yml", "- file: book/api\n", "")
    assert build(root).returncode == 0
    assert set(before) - set(site(root)) >= {"book/api.html", "_sources/book/api.md"}


@pytest.fixture
def calls(bare, monkeypatch):
    """Return a book that is staged, and the list of what a stand-in for Jupyter Book finds kept at each call."""
    found = []

    def run(book, folder, *, warnings_are_errors):
        kept = folder / "_build/.doctrees"
        found.append(sorted(path.relative_to(kept).as_posix() for path in kept.rglob("*.doctree")))
        for name in ("html/index.html", ".doctrees/book/intro.doctree", ".doctrees/nbs/02_cards.doctree"):
            (folder / "_build" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "_build" / name).write_text("")
        return warnings

    warnings = []
    monkeypatch.setattr(render, "_run", run)
    return bare, found, warnings


PROSE = {"cell_type": "markdown", "id": "cell-1", "metadata": {}, "source": "prose"}
CODE = {"cell_type": "code", "id": "cell-2", "metadata": {}, "source": "1", "execution_count": 1}
ONE, TWO = ({"output_type": "stream", "name": "stdout", "text": text} for text in ("one", "two"))


def stage(root, prose="prose", output=ONE):
    """Stage the planted book with one chapter of two cells, and render it."""
    cells = [{**PROSE, "source": prose}, {**CODE, "outputs": [output]}]
    pages.stage(Book(root), {"02_cards": {"cells": cells, "metadata": {}, "nbformat": 4}}, {}, "quick", {})
    render.site(Book(root))


def test_only_pages_whose_prose_changed_are_given_up(calls):
    root, found, _ = calls
    stage(root)
    stage(root)
    assert found == [[]]  # nothing changed: not even called
    edit(root / "book/intro.md", "# Throws", "# Many throws")
    stage(root)
    assert found[1:] == [["nbs/02_cards.doctree"]]
    stage(root, prose="other prose")
    assert found[2:] == [["book/intro.doctree"]]
    shutil.rmtree(root / "book/_build/sphinx/_build/html")
    stage(root)
    assert found[3:] == [[]]


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("_config.yml", "title: Reading", "title: Seeing"),
        ("book/_toc.yml", "- file: book/api\n", ""),
        ("book/_ext/shared.py", "Sphinx keeps", "Sphinx  keeps"),
        ("book/static/custom.css", "margin: 1rem 0", "margin: 2rem 0"),
        ("book/inv/torch.inv", "PyTorch", "Torch"),
        ("book/references.bib", "{Throws}", "{Some throws}"),
        ("book/published.yml", "3.5 <pips>", "3.6 <pips>"),
        ("actlib/unrelated.py", "nothing", "something"),
        ("results/quick/01_dice.json", "{}", '{"numbers": {}}'),
    ],
)
def test_whatever_else_changed_makes_a_first_build(calls, name, old, new):
    root, found, _ = calls
    (root / "results/quick").mkdir(parents=True)
    (root / "results/quick/01_dice.json").write_text("{}")
    stage(root)
    text = (root / name).read_text(encoding="utf-8")
    assert old in text
    (root / name).write_text(text.replace(old, new, 1), encoding="utf-8")
    stage(root)
    assert found == [[], []]


def test_outputs_pages_packages_and_warnings_make_a_first_build(calls, monkeypatch):
    root, found, warnings = calls
    stage(root)
    stage(root, output=TWO)
    (root / "book/more.md").write_text("# More\n")
    stage(root)
    (root / "book/more.md").unlink()
    stage(root)
    monkeypatch.setattr(render.sysconfig, "get_path", lambda name: str(root))  # another environment
    stage(root)
    assert found == [[]] * 5
    warnings.append(("book/intro.md", "a warning that was no error"))
    (root / "book/_build/sphinx/state.json").write_text("damaged")
    stage(root)
    stage(root)
    assert found == [[]] * 7


def test_a_staged_folder_is_made_equal_and_what_is_equal_stays(tmp_path):
    (tmp_path / "source").write_bytes(b"two")
    pages._mirror(tmp_path / "to", {"a/one": b"one", "a/two": tmp_path / "source", "b": b"", "c/d/e": b""})
    for path in (tmp_path / "to").rglob("*"):
        os.utime(path, (1, 1))
    pages._mirror(tmp_path / "to", {"a/one": b"1", "a/two": tmp_path / "source", "b/c": b"b", "c": b"c"})
    files = {
        path.relative_to(tmp_path / "to").as_posix(): path for path in (tmp_path / "to").rglob("*") if path.is_file()
    }
    assert {name: path.read_bytes() for name, path in files.items()} == {
        "a/one": b"1",
        "a/two": b"two",
        "b/c": b"b",
        "c": b"c",
    }
    assert [name for name, path in files.items() if path.stat().st_mtime == 1] == ["a/two"]


def test_a_data_set_that_needs_no_files_is_asked_for_once(bare, monkeypatch):
    asked, ask = [], keys._ask
    monkeypatch.setattr(keys, "_ask", lambda book, names: asked.append(names) or ask(book, names))
    (bare / "actlib/dice.txt").write_text("embedded")
    (bare / "nbs/02_cards.py").write_text(
        planted.FILES["nbs/02_cards.py"].replace("n = 52", 'n = 52\nsource = "cards"')
    )

    def states():
        return keys.data_states(Book(bare), [chapter.load(Book(bare), slug, "quick") for slug in Book(bare).sources])

    for _ in range(2):
        assert states() == {"dice": "embedded", "cards": "as made"}
    assert asked == [["cards", "dice", "quick"], ["cards"]]  # "quick" names no set, and never will with this code
    edit(bare / "actlib/data.py", "'dice': 1, ", "")
    assert states() == {"cards": "as made"}
    assert asked[2:] == [["cards", "dice", "quick"]]


# ----------------------------------------------------------------------------------------- without Jupyter

BLOCK = """
import sys

NAMES = {"jupytext", "papermill", "nbformat", "nbclient", "IPython", "ipykernel", "sphinx", "myst_nb", "jupyter_book"}

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in NAMES:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Block())
"""


def test_execute_only_runs_and_records_without_the_books_packages(bare, tmp_path):
    (tmp_path / "block").mkdir()
    (tmp_path / "block/sitecustomize.py").write_text(BLOCK)
    env = {"PYTHONPATH": str(tmp_path / "block")}
    blocked = subprocess.run(
        [sys.executable, "-c", "import IPython"], env={**os.environ, **env}, capture_output=True, check=False
    )
    assert b"IPython is blocked" in blocked.stderr
    done = build(bare, "--execute-only", "--profile", "real", "--jobs", "2", env=env)
    assert done.returncode == 0, done.stdout
    record = json.loads((bare / "results/real/01_dice.json").read_text())
    assert record["numbers"]["F1-throw/mean"]["value"] == 7.0  # the profile's n = 2
    assert record["provenance"] == {"slug": "01_dice", "seed": 0}
    assert record["figures"]["fig-dice"]["file"] == "01_dice/fig-dice.webp"
    assert (bare / "results/real/01_dice/fig-dice.webp").read_bytes()[8:12] == b"WEBP"
    slider = json.loads((bare / "results/real/02_cards.json").read_text())["figures"]["fig-deck"]
    assert slider["file"] == "02_cards/fig-deck.json"
    frames = json.loads((bare / "results/real/02_cards/fig-deck.json").read_text())["frames"]
    assert [frame["alt"] for frame in frames] == slider["alts"]
    assert not (bare / "book/_build/chapters").exists()
    # The record is up to date until the code or the profile's parameters change; prose does not count.
    assert keys.stale(Book(bare), "01_dice") == []
    edit(bare / "nbs/01_dice.py", "What does a throw give?", "What does it give?")
    assert keys.stale(Book(bare), "01_dice") == []
    edit(bare / "nbs/profiles/real.yaml", "n: 2", "n: 4")
    assert keys.stale(Book(bare), "01_dice") == ["real"]


def test_execute_only_names_chapter_and_cell_of_an_error(bare):
    edit(bare / "nbs/02_cards.py", 'report.number("S1-cards", n)', "1 / 0")
    edit(bare / "nbs/01_dice.py", "1 / 0", "1 / 1")
    done = build(bare, "--execute-only")
    assert done.returncode == 1
    assert sorted(errors(done)) == [
        "error: 01_dice: cell 9 (1 / 1): raised nothing, but is tagged raises-exception",
        "error: 02_cards: cell 3 (from actlib import report): ZeroDivisionError: division by zero",
    ]
    assert 'File "<cell 3>", line 2' in done.stdout


def test_a_smoke_run_takes_the_small_parameters_and_records_nothing(bare):
    edit(bare / "nbs/02_cards.py", 'report.number("S1-cards", n)', "print(profile)")
    edit(bare / "nbs/01_dice.py", "from actlib import dice, report", "from actlib import dice, report\nassert n == 3")
    done = build(bare, "--execute-only", "--profile", "real", "--smoke")
    assert done.returncode == 0, done.stdout
    assert not (bare / "results").exists()
    assert build(bare, "--execute-only", "--smoke").returncode == 2  # quick is small already


def test_a_cell_over_its_time_ends_with_its_name(bare):
    edit(bare / "nbs/02_cards.py", 'report.number("S1-cards", n)', "import time\ntime.sleep(600)")
    done = build(bare, "--execute-only", "--timeout", "1", "02_cards")
    assert errors(done) == [
        "error: 02_cards: cell 3 (from actlib import report): TimeoutError: a cell took longer than --timeout 1 s"
    ]


def test_parameters_assigned_together_are_all_known(tmp_path):
    planted.write(tmp_path)
    loaded = chapter.load(Book(tmp_path), "01_dice", "real", smoke=True)
    assert loaded.defaults == {"profile": "quick", "source": "dice", "n": 1}
    assert loaded.parameters == {"profile": "real", "n": 3}
    assert keys.data_names(loaded) >= {"dice", "real"}
    assert keys.imports(Book(tmp_path), [cell.source for cell in loaded.code]) == [
        "__init__",
        "dice",
        "faces",
        "report",
    ]


def test_the_role_recorded_prints_the_number_of_the_largest_run(tmp_path):
    sys.path.insert(0, str(Path(__file__).parents[1] / "book" / "_ext"))
    from published_role import recorded

    for profile, value in (("real", 0.25), ("paper", 0.5)):
        content = {"numbers": {"A/x": {"value": value, "unit": "share"}}}
        (tmp_path / profile).mkdir()
        (tmp_path / profile / "01_x.json").write_text(json.dumps(content))
    assert recorded(tmp_path, "A/x") == "50.0 %"
    assert recorded(tmp_path, "A/y") is None


def test_a_damaged_record_is_named_and_not_to_be_deleted(root):
    path = root / "results/real/01_dice.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text("<<<<<<< HEAD")
    with pytest.raises(BuildError, match=r"01_dice.*real/01_dice\.json is damaged; take it from git"):
        records.read(Book(root), "real", "01_dice")
