"""What a chapter's outputs depend on, as one hash a part; when a part differs, the chapter is executed again."""

import ast
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from actlib import store
from driver import BuildError, chapter
from driver.chapter import PROFILES, Book, Chapter

# What ``actlib.data.state`` says of a set that needs no files.
_EMBEDDED = "embedded"
# Asked in a process of its own: the package of the book that is being built may not be the driver's.
_ASK = """
import json, sys
names, states = json.loads(sys.argv[1]), {}
try:
    from actlib import data
    for name in names:
        if name in getattr(data, "MANIFEST", ()):
            try:
                states[name] = str(data.state(name))
            except Exception as error:
                states[name] = f"{type(error).__name__}: {error}"
except ImportError as error:
    states[""] = f"{error}"
print(json.dumps(states))
"""


def imports(book: Book, sources: Iterable[str]) -> list[str]:
    """Return the package's modules that ``sources`` import, directly or through other modules, sorted."""
    package = book.root / "actlib"
    found: set[str] = set()
    waiting = ["__init__"]
    for source in sources:
        waiting += imported(source)
    while waiting:
        name = waiting.pop()
        path = package / f"{name}.py"
        if name not in found and path.is_file():
            found.add(name)
            try:
                waiting += imported(path.read_text(encoding="utf-8"))
            except SyntaxError as error:
                raise BuildError(f"actlib/{name}.py", f"SyntaxError: {error.msg}, line {error.lineno}") from error
    return sorted(found)


@cache  # each chapter asks for the same modules
def imported(source: str) -> tuple[str, ...]:
    """Return what one source imports of the package, anywhere in it: modules, and perhaps names that are none."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name.split(".")[1] for alias in node.names if alias.name.startswith("actlib.")]
        elif isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] == "actlib"):
            parts = (node.module or "").split(".")
            below = parts if node.level else parts[1:]
            names += below[:1] if below and below[0] else [alias.name for alias in node.names]
    return tuple(names)


def data_states(book: Book, chapters: Iterable[Chapter]) -> dict[str, str]:
    """Return the state of every data set that the chapters may load, by name, as ``actlib.data.state`` gives it.

    Asking imports torch, some seconds. What a set that needs no files answers, and a word that names no set, depends on
    the package's code alone, so these are kept from build to build.
    """
    names = sorted(set().union(*(data_names(c) for c in chapters)))
    if not names or not (book.root / "actlib" / "data.py").is_file():
        return {}
    path = book.build / "data.json"
    code = [[n, store.hash_file(book.root / "actlib" / f"{n}.py")] for n in imports(book, ["from actlib import data"])]
    kept = _kept(path, code)
    states = {name: state for name, state in kept.items() if name in names and state}
    if asked := [name for name in names if name not in kept]:
        found = _ask(book, asked)
        states |= found
        if "" not in found:
            kept |= {name: found.get(name, "") for name in asked if found.get(name, _EMBEDDED) == _EMBEDDED}
            store.write_json(path, {"code": code, "kept": kept})
    return states


def _kept(path: Path, code: list[list[str]]) -> dict[str, str]:
    """Return the answers of the present code that do not depend on files: by word, empty where it names no set."""
    try:
        then = store.read_json(path)
    except (FileNotFoundError, ValueError):
        return {}
    return then["kept"] if then["code"] == code else {}


def _ask(book: Book, names: list[str]) -> dict[str, str]:
    """Return the states of those of ``names`` that are data sets; under the empty name why the package has none."""
    done = subprocess.run(
        [sys.executable, "-c", _ASK, json.dumps(names)],
        env={**os.environ, "PYTHONPATH": book.python_path}, cwd=book.root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise BuildError(
            "actlib/data.py", (done.stderr.strip().splitlines() or ["cannot be imported"])[-1], done.stderr
        )
    return json.loads(done.stdout.splitlines()[-1])


def data_names(chapter: Chapter) -> set[str]:
    """Return every word that may name a data set: words among the parameters, and literal ``data.load("...")``."""
    names = set(_words({**chapter.defaults, **chapter.parameters}))
    for cell in chapter.code:
        for node in ast.walk(ast.parse(cell.source)):
            called = isinstance(node, ast.Call) and ast.unparse(node.func) in ("data.load", "actlib.data.load")
            if called and node.args:
                names |= set(_words(getattr(node.args[0], "value", None)))
    return names


def _words(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [word for item in value for word in _words(item)]
    return [value] if isinstance(value, str) else []


def parts(book: Book, chapter: Chapter, states: dict[str, str], published: dict[str, Any]) -> dict[str, str]:
    """Return the key of a chapter's outputs: a hash, or a short word, for each thing they depend on."""
    constraints, style = book.root / "constraints.txt", book.root / "book" / "matplotlibrc"
    names = data_names(chapter)
    shown = {id: entry for id, entry in published.items() if (entry or {}).get("chapter") == chapter.slug}
    modules = imports(book, [cell.source for cell in chapter.code])
    return {
        "code": chapter.code_hash,
        "parameters": store.hash_json(chapter.parameters),
        "data": store.hash_json({name: state for name, state in states.items() if name in names or not name}),
        "constraints.txt": store.hash_file(constraints) if constraints.is_file() else "none",
        "matplotlibrc": store.hash_file(style) if style.is_file() else "none",
        "Python": platform.python_version(),
        "published values": store.hash_json(shown),
        "records": records(book, chapter.slug),
        "stale records": ",".join(stale(book, chapter.slug, ("real", "paper"))),
        **{f"actlib.{name}": store.hash_file(book.root / "actlib" / f"{name}.py") for name in modules},
    }


def records(book: Book, slug: str) -> str:
    """Return the hash of the recorded runs that a chapter shows, with their pictures."""
    found = []
    for profile in ("real", "paper"):
        path = book.record(profile, slug)
        found += [path, *sorted(path.with_suffix("").glob("*"))]
    return store.hash_json([[p.relative_to(book.root).as_posix(), store.hash_file(p)] for p in found if p.is_file()])


def package_hash(book: Book, chapter: Chapter) -> str:
    """Return the hash of the modules that a chapter imports."""
    modules = imports(book, [cell.source for cell in chapter.code])
    return store.hash_json([[name, store.hash_file(book.root / "actlib" / f"{name}.py")] for name in modules])


def stale(book: Book, slug: str, profiles: Iterable[str] = PROFILES) -> list[str]:
    """Return the profiles whose record of a chapter was made with other code or parameters than it has now."""
    found = []
    for profile in profiles:
        path = book.record(profile, slug)
        if path.is_file():
            try:
                now = chapter.load(book, slug, profile).hash
            except BuildError:  # the profile no longer knows the chapter, or the chapter is broken
                now = ""
            try:
                then = store.read_json(path).get("chapter_hash")
            except ValueError:  # damaged: reading its numbers says so
                then = None
            if then != now:
                found.append(profile)
    return found
