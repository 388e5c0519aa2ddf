"""What a reader on Colab gets: the installing cell, run on a stand-in for such a machine, and prose for any viewer."""

import ast
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book"))

from driver import BuildError, colab, readable  # noqa: E402

URL = colab.address(ROOT)
SOURCE, COMMIT = "https://example.org/a/b", "0" * 40
THERE = {"torch": "2.10.0+cu128", "torchvision": "0.25.0", "numpy": "2.0.2", "scipy": "1.16.0"}
NEEDED = ["torch>=2.11,<3", "numpy>=2.0,<3", "scipy>=1.14,<2", "openTSNE<2,>=1.0.2", 'ruff>=0.8; extra == "test"']


@pytest.fixture
def colab_machine(tmp_path, monkeypatch):
    """Return a function that runs the cell where `actlib` is missing, or there, and gives the commands that it runs."""

    def run(*, missing=True):
        commands, find = [], importlib.util.find_spec

        def pretended(words, **options):
            assert options["check"]
            commands.append(words)
            if "init" in words:
                Path(words[-1], "book").mkdir(parents=True)
                Path(words[-1], "book/matplotlibrc").write_text("lines.linewidth: 1.5\n")

        def version(name):
            if name in THERE:
                return THERE[name]
            raise metadata.PackageNotFoundError(name)

        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("ACTLIB_BOOK", "before")
        monkeypatch.setattr(subprocess, "run", pretended)
        monkeypatch.setattr(metadata, "requires", lambda name: {"actlib": NEEDED}[name])
        monkeypatch.setattr(metadata, "version", version)
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: None if missing and name == "actlib" else find(name)
        )
        exec(compile(colab.code(SOURCE, COMMIT), "cell", "exec"), {})
        return commands

    return run


def test_where_the_package_is_there_the_cell_does_nothing(colab_machine):
    assert colab_machine(missing=False) == []


def test_the_cell_installs_the_package_alone_and_then_what_is_missing(colab_machine, tmp_path):
    commands = colab_machine()
    assert [words[0] for words in commands[:3]] == ["git"] * 3
    assert commands[1][-2:] == [SOURCE, COMMIT]
    package, rest = [words[words.index("install") :] for words in commands[3:]]
    assert "--no-deps" in package
    assert package[-1] == str(tmp_path / "reading-activations")
    assert "--no-deps" not in rest
    assert rest[-1] == "openTSNE<2,>=1.0.2"
    assert not {"torch>=2.11,<3", "numpy>=2.0,<3", "scipy>=1.14,<2"} & set(rest)


def test_torch_torchvision_and_numpy_stay_as_they_are(colab_machine, tmp_path):
    (command,) = [words for words in colab_machine() if "--constraint" in words]
    kept = Path(command[command.index("--constraint") + 1]).read_text().splitlines()
    assert kept == [f"{name}=={THERE[name]}" for name in ("torch", "torchvision", "numpy")]


def test_the_cell_is_python_without_commands_of_a_notebook_and_folded():
    cell = colab.cell(SOURCE, COMMIT)
    ast.parse(cell["source"])
    assert cell["source"].startswith("# @title ")
    assert cell["metadata"] == {"cellView": "form"}
    assert max(map(len, cell["source"].splitlines())) <= 120


def test_the_address_comes_from_the_settings(tmp_path):
    settings = "a: b\nrepository:\n  # here\n  branch: main\n  url: https://x.org/a/b/\nc: d\n"
    (tmp_path / "_config.yml").write_text(settings)
    assert colab.address(tmp_path) == "https://x.org/a/b"
    (tmp_path / "_config.yml").write_text("repository:\n  branch: main\nother:\n  url: https://x.org/a/b\n")
    with pytest.raises(BuildError, match=r"repository\.url is there 0 times"):
        colab.address(tmp_path)


def test_of_colabs_list_our_requirements_are_taken_without_what_they_were_built_for():
    listing = (
        "# a comment\nnumpy==2.0.2\ntorch @ https://x.org/whl/cu128/torch-2.10.0%2Bcu128-cp313-linux.whl#sha256=a\n"
        "torchvision==0.25.0+cu128\nscikit_learn==1.6.1\ntensorflow==2.19.0\ntorchaudio==2.10.0\n"
    )
    expected = ["numpy==2.0.2", "scikit-learn==1.6.1", "torch==2.10.0", "torchvision==0.25.0"]
    assert colab.versions(listing, ROOT) == expected
    with pytest.raises(BuildError, match="lacks torch, torchvision"):
        colab.versions("numpy==2.0.2\n", ROOT)


def test_what_is_kept_is_required():
    lines = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    assert set(colab.KEPT) <= {re.match(r"[\w-]+", line)[0] for line in lines}


def test_the_tools_of_the_weekly_run_need_no_package():
    script = "import sys; sys.path.insert(0, 'book'); from driver import colab; print(colab.address(colab.Path('.')))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == URL, done.stderr


# ------------------------------------------------------------------------------------------------ prose

KNOWN = readable.Known(
    lambda role, content: f"<{role} {content}>", {"ch-maps": "What is a map?"}, "https://example.org/raw"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(ch-x)=\n# Title", "# Title"),
        ("{glue:text}`a/b:.1%` of {recorded}`c`", "<glue:text a/b:.1%> of <recorded c>"),
        ("the {term}`trees <tree>` of [](#ch-maps)", "the trees of “What is a map?”"),
        ("[this](#ch-maps), {ref}`ch-maps`", "this, “What is a map?”"),
        ("{cite:p}`a-2000`; {numref}`fig-tree`", "(a-2000); the figure “tree”"),
        (":::{admonition} Guess\n:class: tip\n- {term}`a`\n\nb\n:::", "> **Guess**\n>\n> - a\n>\n> b"),
        ("```{exercise}\n:label: ex-a\n**Why?** Say.\n```", "> **Exercise**\n>\n> **Why?** Say."),
        (":::{prf:theorem} Of $x$\n:label: t\nIt holds.\n:::", "> **Theorem: Of $x$**\n>\n> It holds."),
        ("```{literalinclude} ../actlib/x.py\n:pyobject: f\n```", "The code: `f` in `actlib/x.py`."),
        ("```{bibliography}\n:filter: a\n```", ""),
        (
            "```{figure} ../results/a.webp\n:name: n\n:alt: Two dots.\n\nTwo\ndots.\n```",
            "![Two dots.](https://example.org/raw/results/a.webp)\n\n*Two dots.*",
        ),
        ("```python\n{x}\n```\n`{y}` and $\\{z\\}$", "```python\n{x}\n```\n`{y}` and $\\{z\\}$"),
    ],
)
def test_prose_becomes_plain(text, expected):
    assert readable.plain(text, KNOWN) == expected


@pytest.mark.parametrize("path", sorted((ROOT / "nbs").glob("[0-9]*.py")), ids=lambda path: path.stem)
def test_no_chapter_has_markup_that_is_left(path):
    from driver import percent

    for cell in percent.read(path):
        if cell.kind == "markdown":
            text = readable.plain(cell.source, readable.Known(lambda role, content: "1", {}, "https://example.org"))
            assert not re.findall(r"\{[a-z:]+\}`|^[`:]{3,}\{|^\([\w-]+\)=$|^> :[a-z]+:", text, re.MULTILINE)


def test_the_cell_survives_the_writing_of_a_notebook():
    assert json.loads(json.dumps(colab.cell(SOURCE, COMMIT)))["source"].endswith('"matplotlibrc")')
