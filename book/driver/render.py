"""From staged pages to a site: call Jupyter Book, for all pages or for those whose prose changed; tell its warnings.

A full build takes a second a page and more, and much of it for the reference. So what Sphinx knows of the pages is
kept after a build without a warning, together with a hash of everything but prose. As long as that hash stays, the next
build reads only the pages whose prose changed; the extension ``shared`` sees to the other pages that show something of
them. Anything else, and every failure, makes the next build start from nothing: Sphinx repeats no warning for a page
that it has read before.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from actlib import store
from driver import BuildError, keys
from driver.chapter import Book

_WARNING = re.compile(r"^(?:(?P<path>\S.*?):(?:(?P<line>\d*):)? )?(?:WARNING|ERROR|CRITICAL): (?P<cause>.*)$")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# Two things that take seconds and change nothing: jsonschema imports the grammars of a kind of address that no setting
# of ours has, and does without them; pybtex asks every installed package for its plugins, again for each reference.
_CALL = """
import functools, importlib.metadata, sys
sys.modules["rfc3987_syntax"] = None
importlib.metadata.entry_points = functools.cache(importlib.metadata.entry_points)
from jupyter_book.cli.main import main
sys.argv[0] = "jupyter-book"
sys.exit(main())
"""


def site(book: Book, *, warnings_are_errors: bool = True) -> Path:
    """Render the staged pages; return the path of the site's first page.

    The site is built beside the old one and takes its place when it is whole.

    Raises
    ------
    BuildError
        Naming the page and the cause of the first warning.
    """
    folder, pages = book.build / "sphinx", _pages(book.build / "src")
    now = {"pages": pages, "rest": _rest(book, list(pages))}
    changed = _changed(folder, now)
    if changed is None:
        shutil.rmtree(folder, ignore_errors=True)
    for page in changed or []:
        (folder / "_build" / ".doctrees" / page).with_suffix(".doctree").unlink(missing_ok=True)  # so it is read again
    (folder / "state.json").unlink(missing_ok=True)  # not good again before all went well
    causes = [] if changed == [] else _run(book, folder, warnings_are_errors=warnings_are_errors)
    first = _publish(book, folder / "_build" / "html")
    if not causes:
        store.write_json(folder / "state.json", now)
    return first


def _pages(source: Path) -> dict[str, str]:
    """Return the hash of each staged page, by its name; the scorecard is none, being made of results."""
    paths = [*(source / "book").glob("*.md"), *(source / "nbs").glob("*.ipynb")]
    return {path.relative_to(source).as_posix(): store.hash_file(path) for path in paths if path.stem != "scorecard"}


def _rest(book: Book, pages: list[str]) -> str:
    """Return the hash of everything that the site depends on but the prose of its pages."""
    source = book.build / "src"
    files = [path for path in source.rglob("*") if path.is_file() and path.relative_to(source).as_posix() not in pages]
    files += [
        book.root / "_config.yml",
        *(book.root / "book" / "_ext").glob("*.py"),
        *Path(__file__).parent.glob("*.py"),
    ]
    code = [[name, _code(source / name)] for name in sorted(pages)]
    # Named by their folders: to read what every package says of itself would take a second.
    packages = sorted(path.name for path in Path(sysconfig.get_path("purelib")).glob("*.dist-info"))
    return store.hash_json(
        [
            platform.python_version(),
            packages,
            code,
            _stale(book),
            [[str(path), store.hash_file(path)] for path in sorted(files)],
        ]
    )


def _code(page: Path) -> Any:
    """Return what a chapter has besides prose, its cells of code with their outputs; None of other pages."""
    if page.suffix != ".ipynb":
        return None
    made = store.read_json(page)
    return {**made, "cells": [cell for cell in made["cells"] if cell["cell_type"] == "code"]}


def _changed(folder: Path, now: dict[str, Any]) -> list[str] | None:
    """Return the pages whose prose changed since the build that left ``folder``; None when all have to be built."""
    try:
        then = store.read_json(folder / "state.json")
    except (FileNotFoundError, ValueError):
        return None
    if then["rest"] != now["rest"] or not (folder / "_build" / "html" / "index.html").is_file():
        return None
    return [name for name, mark in now["pages"].items() if then["pages"][name] != mark]


def _run(book: Book, folder: Path, *, warnings_are_errors: bool) -> list[tuple[str, str]]:
    """Call Jupyter Book and print its warnings; return them, where they are no errors."""
    command = [sys.executable, "-c", _CALL, "build", str(book.build / "src"), "--path-output", str(folder)]
    command += ["--config", str(book.root / "_config.yml"), "--toc", str(book.root / "book" / "_toc.yml")]
    command += ["-n", "--keep-going", *(["-W"] if warnings_are_errors else [])]
    env = {**os.environ, "PYTHONPATH": book.python_path, "ACTLIB_STALE_RECORDS": ",".join(_stale(book))}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, cwd=book.root)
    log = _COLOURS.sub("", done.stdout + done.stderr)
    store.write_bytes(book.build / "sphinx.log", log.encode())
    causes = _causes(book, log)
    print("\n".join(f"{where}: {cause}" for where, cause in causes), end="\n" * bool(causes), flush=True)
    if done.returncode or not (folder / "_build" / "html" / "index.html").is_file():
        where, cause = causes[0] if causes else ("the site", "Jupyter Book failed; see book/_build/sphinx.log")
        more = f" ({len(causes) - 1} more above)" if len(causes) > 1 else ""
        raise BuildError(where, cause + more, "" if causes else log[-3000:])
    return causes


def _stale(book: Book) -> list[str]:
    """Return the records that an earlier version of their chapter made, as ``real/01_maps``: the text marks them."""
    profiles = ("real", "paper")
    return [f"{profile}/{slug}" for slug in book.sources for profile in keys.stale(book, slug, profiles)]


def _publish(book: Book, made: Path) -> Path:
    """Put a copy of a finished site, with the recorded pictures that its pages name, in the place of the old one."""
    final, fresh, old = (book.build / name for name in ("html", "html.new", "html.old"))
    for left in (fresh, old):
        shutil.rmtree(left, ignore_errors=True)
    shutil.copytree(made, fresh, ignore=shutil.ignore_patterns("*.map"))  # the sources of minified files: 3 MB
    if (book.build / "src" / "results").is_dir():
        shutil.copytree(book.build / "src" / "results", fresh / "results")
    if final.exists():
        final.replace(old)
    fresh.replace(final)
    shutil.rmtree(old, ignore_errors=True)
    return final / "index.html"


def _causes(book: Book, log: str) -> list[tuple[str, str]]:
    """Return page and cause of every warning in Sphinx's log, in order, each once."""
    found: dict[tuple[str, str], None] = {}
    lines = log.splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        match = _WARNING.match(line)
        if match:
            cause = f"{match['cause']} {following.strip()}" if line.endswith(":") else match["cause"]
            found[_where(book, match["path"], match["line"]), cause] = None
    return list(found)


def _where(book: Book, path: str | None, line: str | None) -> str:
    """Return the place of a warning in the sources; MyST-NB counts 10,000 lines a cell."""
    if not path:
        return "the site"
    name = path.removeprefix(str(book.build / "src")).removeprefix(str(book.root)).lstrip("/")
    if not name.endswith(".ipynb"):
        return f"{name}, line {line}" if line else name
    source = name.removesuffix(".ipynb") + ".py"
    return f"{source}, notebook cell {int(line) // 10_000}, line {int(line) % 10_000}" if line else source
