"""A chapter with the parameters of one profile, and the folders of a book."""

import ast
import os
from pathlib import Path
from typing import Any, NamedTuple

from actlib import store
from driver import BuildError, percent
from driver.percent import Cell

PROFILES = ("quick", "real", "paper")
TAGS = {
    "parameters", "injected-parameters", "remove-cell", "remove-input", "hide-input", "hide-output", "hide-cell",
    "exercise", "solution", "raises-exception",
}  # fmt: skip
# These change what a run does or must show; a change of the others only changes how a page looks.
_ACTIVE_TAGS = {"parameters", "exercise", "solution", "raises-exception"}


class Book(NamedTuple):
    """Where a book's files are: everything is relative to its root."""

    root: Path

    @property
    def sources(self) -> dict[str, Path]:
        """The chapters' files by slug, in the order of their names."""
        return {path.stem: path for path in sorted((self.root / "nbs").glob("[0-9]*.py"))}

    @property
    def build(self) -> Path:
        """The folder of what can be built again."""
        return self.root / "book" / "_build"

    @property
    def python_path(self) -> str:
        """What ``PYTHONPATH`` is in a process that is to import this book's package and no other."""
        return os.pathsep.join(filter(None, [str(self.root), os.environ.get("PYTHONPATH")]))

    def record(self, profile: str, slug: str) -> Path:
        """Return the path of a chapter's record."""
        return self.root / "results" / profile / f"{slug}.json"

    def executed(self, profile: str, slug: str) -> Path:
        """Return the path of a chapter's last good notebook."""
        return self.build / "chapters" / profile / f"{slug}.ipynb"


class Chapter(NamedTuple):
    """A chapter's cells, the defaults of its parameters, and the values that a profile gives them."""

    slug: str
    profile: str
    cells: list[Cell]
    defaults: dict[str, Any]
    parameters: dict[str, Any]

    @property
    def code(self) -> list[Cell]:
        """The cells of code."""
        return [cell for cell in self.cells if cell.kind == "code"]

    @property
    def code_hash(self) -> str:
        """The hash of everything in the cells that a run depends on."""
        return store.hash_json([[cell.source, sorted(_ACTIVE_TAGS & set(cell.tags))] for cell in self.code])

    @property
    def hash(self) -> str:
        """The hash of the code and of every parameter's value; a record with another one is stale.

        Of the parameters cell only the values count that this profile has: a record of ``real`` outlives a change of
        what is the default for ``quick`` alone.
        """
        code = [
            [cell.source, sorted(_ACTIVE_TAGS & set(cell.tags))] for cell in self.code if "parameters" not in cell.tags
        ]
        return store.hash_json([code, {**self.defaults, **self.parameters}])


def load(book: Book, slug: str, profile: str, *, smoke: bool = False) -> Chapter:
    """Return a chapter with the parameters of ``profile``, checked as far as can be without running it.

    Raises
    ------
    BuildError
        If there is no such chapter, its cells or tags are wrong, or the profile names an unknown parameter.
    """
    sources = book.sources
    if slug not in sources:
        raise BuildError(slug, f"no such chapter in {book.root / 'nbs'}; there are {', '.join(sources) or 'none'}")
    cells = percent.read(sources[slug])
    _check_cells(slug, cells)
    defaults = _defaults(slug, cells)
    given = {"profile": profile, **_profile(book, slug, profile, smoke=smoke)}
    unknown = sorted(set(given) - set(defaults))
    if unknown:
        where = "the chapter" if unknown == ["profile"] else f"nbs/profiles/{profile}.yaml"
        raise BuildError(
            slug, f"unknown parameter {', '.join(unknown)} in {where}; its parameters cell has {', '.join(defaults)}"
        )
    return Chapter(slug, profile, cells, defaults, given)


def _check_cells(slug: str, cells: list[Cell]) -> None:
    for cell in cells:
        unknown = sorted(set(cell.tags) - TAGS)
        if unknown:
            raise BuildError(
                slug, f"{cell.name}: unknown tag {', '.join(unknown)}; allowed are {', '.join(sorted(TAGS))}"
            )
        if {"exercise", "solution"} <= set(cell.tags):
            raise BuildError(slug, f"{cell.name}: a cell is an exercise or a solution, not both")
        if cell.kind == "code" and not cell.source.strip():
            raise BuildError(slug, f"{cell.name}: a cell of code without code; delete it")
        if cell.kind == "code":
            try:
                ast.parse(cell.source)
            except SyntaxError as error:
                raise BuildError(slug, f"{cell.name}: SyntaxError: {error.msg}, its line {error.lineno}") from error


def _defaults(slug: str, cells: list[Cell]) -> dict[str, Any]:
    """Return the names that the parameters cell assigns, with their values where these are literals."""
    tagged = [cell for cell in cells if "parameters" in cell.tags]
    if len(tagged) != 1:
        raise BuildError(slug, f"{len(tagged)} cells are tagged parameters; a chapter has exactly one")
    defaults: dict[str, Any] = {}
    for node in ast.parse(tagged[0].source).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            defaults |= _assigned(target, getattr(node, "value", None))
    return defaults


def _assigned(target: ast.AST | None, value: ast.AST | None) -> dict[str, Any]:
    """Return the names that one assignment sets: ``a = 1`` and ``a, b = 1, 2``."""
    if isinstance(target, ast.Tuple | ast.List):
        values = value.elts if isinstance(value, ast.Tuple | ast.List) else []
        values = values if len(values) == len(target.elts) else [None] * len(target.elts)
        return {name: v for t, one in zip(target.elts, values, strict=True) for name, v in _assigned(t, one).items()}
    if not isinstance(target, ast.Name):
        return {}
    try:
        return {target.id: ast.literal_eval(value)} if value else {target.id: None}
    except ValueError:
        return {target.id: ast.unparse(value)}


def _profile(book: Book, slug: str, profile: str, *, smoke: bool) -> dict[str, Any]:
    """Return what ``nbs/profiles/<profile>.yaml`` says of a chapter; ``quick`` is the chapter's own defaults."""
    if profile == "quick":
        return {}
    path = book.root / "nbs" / "profiles" / f"{profile}.yaml"
    table = read_yaml(path) if path.is_file() else {}
    strangers = sorted(set(table) - set(book.sources))
    if strangers:
        raise BuildError(f"nbs/profiles/{path.name}", f"{', '.join(strangers)} is no chapter in nbs/")
    if slug not in table:
        raise BuildError(slug, f"nbs/profiles/{path.name} does not name it; '{slug}: {{}}' keeps the defaults")
    values = dict(table[slug] or {})
    smaller = values.pop("smoke", None) or {}
    return values | smaller if smoke else values


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file, empty when the file is.

    Raises
    ------
    BuildError
        If PyYAML is not installed or the file is not a YAML mapping.
    """
    try:
        import yaml
    except ImportError as error:
        raise BuildError(path.name, "reading it needs PyYAML; install it with: pip install pyyaml") from error
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BuildError(str(path), f"not readable YAML: {error}") from error
    if not isinstance(content, dict):
        raise BuildError(str(path), f"must be a mapping of names, found a {type(content).__name__}")
    return content
