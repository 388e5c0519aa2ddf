"""The commands: what make installs and when, on a stand-in for Python; and who calls which command."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import browser
import pytest

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE)) - {"stale"}
CALLERS = [".ci/run", "README.md", "CONTRIBUTING.md", ".github/workflows/book.yml", ".github/workflows/tests.yml"]

# A Python that answers what make asks, writes down each installation and fails as long as a file `broken` is there.
STAND_IN = """#!/bin/sh
case "$*" in
  "-V") echo "Python {version}";;
  "-c "*) exec "{python}" "$@";;
  "-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python;;
  "-m pip --version") ;;
  "-m pip install "*) echo install >> log; [ ! -e broken ];;
  *) echo "$*" >> log;;
esac
"""
needs_make = pytest.mark.skipif(not shutil.which("make") or os.name == "nt", reason="there is no make here")


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a space in its name that holds the Makefile and a stand-in for Python."""
    place = tmp_path / "a book"
    place.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, place)
    stand_in(place, "python3", "3.12.1")
    return place


def stand_in(folder, name, version, python=sys.executable):
    """Write a program ``name`` into ``folder`` that answers as a Python of that version would."""
    program = folder / name
    program.write_text(STAND_IN.format(version=version, python=python))
    program.chmod(0o755)


def make(folder, *words):
    """Run make in ``folder`` with its stand-in first on the path."""
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    settings = {key: value for key, value in os.environ.items() if not key.startswith("MAKE") and key != "PYTHON"}
    return subprocess.run(["make", *words], cwd=folder, env=settings | {"PATH": path}, capture_output=True, text=True)


def log(folder):
    """Return what the stand-in wrote down."""
    return (folder / "log").read_text().splitlines()


@needs_make
def test_a_second_command_reuses_what_the_first_installed(folder):
    for _ in range(2):
        assert make(folder, "lint").returncode == 0
    assert log(folder).count("install") == 1


@needs_make
@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_changed_requirement_installs_again(folder, name):
    make(folder, "lint")
    later = (folder / ".venv/.installed").stat().st_mtime + 5
    os.utime(folder / name, (later, later))
    make(folder, "lint")
    assert log(folder).count("install") == 2


@needs_make
def test_a_failed_installation_does_not_count(folder):
    (folder / "broken").touch()
    assert make(folder, "lint").returncode != 0
    assert not (folder / ".venv/.installed").exists()
    assert log(folder) == ["install"]
    (folder / "broken").unlink()
    result = make(folder, "lint")
    assert "made afresh" in result.stdout
    assert log(folder)[:2] == ["install", "install"]
    assert not (folder / ".venv/.installing").exists()


@needs_make
def test_another_python_makes_the_environment_afresh(folder):
    make(folder, "lint")
    stand_in(folder, "other", "3.13.0")
    assert "made afresh" in make(folder, "lint", "PYTHON=./other").stdout
    assert "made afresh" not in make(folder, "lint", "PYTHON=./other").stdout
    assert log(folder).count("install") == 2


@needs_make
def test_an_unfit_python_is_named_and_harms_nothing(folder):
    make(folder, "lint")
    stand_in(folder, "old", "3.9.6", python="false")
    for name, found in [("./old", "Python 3.9.6"), ("./none", "not there")]:
        result = make(folder, "lint", f"PYTHON={name}")
        assert result.returncode != 0
        assert f"needs Python 3.11, 3.12 or 3.13; {name} is {found}" in result.stdout
        assert "PYTHON=python3.12" in result.stdout
    assert (folder / ".venv/.installed").exists()


@needs_make
def test_a_python_that_fits_is_found_behind_one_that_does_not(folder):
    stand_in(folder, "python3", "3.14.0", python="false")
    stand_in(folder, "python3.13", "3.13.0")
    assert "with Python 3.13.0" in make(folder, "lint").stdout


@needs_make
def test_an_environment_without_pip_is_left_alone(folder):
    (folder / ".venv/bin").mkdir(parents=True)
    stand_in(folder / ".venv/bin", "python", "3.12.1")
    program = folder / ".venv/bin/python"
    program.write_text(program.read_text().replace('"-m pip --version") ;;', '"-m pip --version") exit 1;;'))
    result = make(folder, "lint")
    assert result.returncode != 0
    assert "delete .venv" in result.stdout
    assert program.exists()


@needs_make
def test_options_reach_the_driver(folder):
    make(folder, "book", "PROFILE=real", "JOBS=3", "STRICT=1")
    assert log(folder)[-1] == "book/build.py --profile real --jobs 3 --strict"
    make(folder, "chapter", "NAME=01_maps")
    assert log(folder)[-1] == "book/build.py 01_maps --profile quick"
    make(folder, "pdf", "JOBS=3")
    assert log(folder)[-2:] == ["book/build.py --profile quick --jobs 3", "book/build.py --pdf --jobs 3"]
    make(folder, "smoke")
    assert log(folder)[-2:] == [
        f"book/build.py --profile {name} --smoke --execute-only --jobs 2" for name in ("real", "paper")
    ]


@needs_make
def test_check_builds_the_site_and_looks_at_it_even_where_there_is_one(folder):
    (folder / "book/_build/html").mkdir(parents=True)
    (folder / "book/_build/html/index.html").touch()
    make(folder, "check")
    assert log(folder)[-2:] == ["book/build.py --profile quick --jobs 2", "-m pytest tests/test_site.py"]
    make(folder, "check", "PROFILE=real", "ARGS=-x")
    assert log(folder)[-2:] == ["book/build.py --profile real --jobs 2", "-m pytest tests/test_site.py -x"]
    program = folder / ".venv/bin/python"
    program.write_text(program.read_text().replace('echo "$*" >>', 'exit 1; echo "$*" >>'))
    assert make(folder, "check").returncode != 0
    assert len(log(folder)) == 5  # of a book that cannot be built nothing is looked at


@needs_make
def test_slides_need_a_name(folder):
    done = make(folder, "slides")
    assert done.returncode == 2
    assert "make slides NAME=01_maps" in done.stdout
    assert make(folder, "slides", "NAME=01_maps").returncode == 0
    assert log(folder)[-1] == "book/build.py 01_maps --slides"


@needs_make
def test_a_chapter_without_a_name_lists_the_names(folder):
    (folder / "nbs").mkdir()
    (folder / "nbs/01_maps.py").touch()
    result = make(folder, "chapter")
    assert result.returncode != 0
    assert "make chapter NAME=01_maps" in result.stdout
    assert "there are: 01_maps" in result.stdout


@needs_make
def test_help_is_the_default_and_lists_every_command():
    text = make(ROOT).stdout
    assert set(re.findall(r"^  ([a-z]+) ", text, re.MULTILINE)) == TARGETS
    assert text == make(ROOT, "help").stdout


def test_every_command_is_made_whether_or_not_a_file_has_its_name():
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert set(phony.split()) >= TARGETS


@pytest.mark.parametrize("name", CALLERS)
def test_only_commands_that_exist_are_called(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    called = set(re.findall(r"(?:^run|^ *make|run: make|`make) ([a-z]+)", text, re.MULTILINE))
    assert called
    assert called <= TARGETS


def test_ci_calls_the_two_commands_of_the_readme():
    text = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert re.findall(r"^run (.*)$", text, re.MULTILINE) == ["test", "book STRICT=1", "check", "lint", "smoke"]
    assert "set -euo pipefail" in text
    assert f"for name in {' '.join(browser.NAMES)}; do" in text
    assert os.access(ROOT / ".ci/run", os.X_OK)


@pytest.fixture
def machine(tmp_path):
    """Return a function that runs .ci/run where only these programs are there, as root or not, and gives its lines."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci")
    for name in ("bash", "dirname", "mktemp", "rm", "tail", "cp"):
        (programs / name).symlink_to(shutil.which(name))

    def ran(*, user=0, chromium=None, **stand_ins):
        for name, body in {"make": 'echo "$1 ${CHROMIUM-no browser}"', "id": f"echo {user}", **stand_ins}.items():
            (programs / name).write_text(f"#!{shutil.which('sh')}\n{body}\n")
            (programs / name).chmod(0o755)
        settings = {"PATH": str(programs), "ACTLIB_DATA": "x"} | ({"CHROMIUM": chromium} if chromium else {})
        done = subprocess.run([tmp_path / ".ci/run"], env=settings, capture_output=True, text=True)
        return done.returncode, [line for line in done.stdout.splitlines() if "make" not in line]

    return ran


INSTALL = 'echo "$*" >&2; [ "$1" = update ] || cp "${0%apt-get}make" "${0%apt-get}chromium"'
STEPS = ["test", "book", "check", "lint", "smoke"]


@needs_make
@pytest.mark.parametrize(
    ("given", "browser_used"),
    [
        ({"google-chrome": "", "apt-get": "exit 1"}, "bin/google-chrome"),
        ({"google-chrome": "", "chromium-browser": ""}, "bin/chromium-browser"),
        ({"chromium": "my-own", "apt-get": "exit 1"}, "my-own"),
        ({"apt-get": INSTALL}, "chromium"),
        ({"apt-get": "exit 1", "user": 1000}, "no browser"),
        ({}, "no browser"),
    ],
)
def test_ci_takes_the_browser_that_is_there_and_else_installs_one(machine, given, browser_used):
    code, lines = machine(**given)
    assert code == 0
    used = [line for line in lines if not line.startswith("---")]
    assert [line.split(" ", 1)[0] for line in used] == STEPS
    assert all(line.endswith(browser_used) for line in used)
    assert any("installing" in line for line in lines) == (given.get("apt-get") == INSTALL)


@needs_make
def test_ci_ends_with_the_log_where_a_browser_cannot_be_installed(machine):
    code, lines = machine(**{"apt-get": "echo no such place >&2; exit 1"})
    assert code == 1
    assert lines[-2:] == ["no such place", "--- no browser: apt-get failed; install Chromium, or name one in CHROMIUM"]
