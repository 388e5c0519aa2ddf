"""What a reader on Colab needs: the cell that a published notebook begins with, and Colab's versions of our packages.

Imports the standard library only: the weekly run asks it before anything is installed.
"""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from driver import BuildError

# Where a change of these would break more than it mends: they are built for the machine's GPU, and for each other.
KEPT = ("torch", "torchvision", "numpy")
_CELL = """# @title Run this first: it installs the book's package where it is missing, as on Colab
import importlib.util

if importlib.util.find_spec("actlib") is None:
    import os, re, subprocess, sys
    from importlib import invalidate_caches, metadata
    from pathlib import Path

    import matplotlib

    def version(name):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return None

    # The book as it was when this notebook was made: package, published values and the numbers of the recorded runs.
    source = {source}
    commit = {commit}
    book = Path("reading-activations").resolve()
    subprocess.run(["git", "init", "--quiet", str(book)], check=True)
    for words in (["fetch", "--depth", "1", source, commit], ["checkout", "FETCH_HEAD"]):
        subprocess.run(["git", "-C", str(book), words[0], "--quiet", *words[1:]], check=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # Without its requirements: they would replace torch and numpy by others than those that this machine is set up for.
    subprocess.run([*pip, "--no-deps", str(book)], check=True)
    invalidate_caches()
    needed = [line for line in metadata.requires("actlib") if "extra ==" not in line]
    missing = [line for line in needed if version(re.match(r"[\\w.-]+", line)[0]) is None]
    kept = [f"{{name}}=={{version(name)}}" for name in {kept} if version(name)]
    (book / "kept.txt").write_text("\\n".join(kept))
    if missing:
        subprocess.run([*pip, "--constraint", str(book / "kept.txt"), *missing], check=True)
    invalidate_caches()
    os.environ["ACTLIB_BOOK"] = str(book)
    matplotlib.rc_file(book / "book" / "matplotlibrc")
"""


def address(root: Path) -> str:
    """Return the address of the repository, the only place that says it: ``repository.url`` in ``_config.yml``.

    Raises
    ------
    BuildError
        If it is not there once.
    """
    text = (root / "_config.yml").read_text(encoding="utf-8")
    found = re.findall(r"^repository:\n(?:[ #].*\n)*?  url: (\S+)$", text, re.MULTILINE)
    if len(found) != 1:
        raise BuildError("_config.yml", f"repository.url is there {len(found)} times; write it once, on its own line")
    return found[0].rstrip("/")


def code(source: str, commit: str) -> str:
    """Return the code that installs the package of ``commit`` from ``source`` and leaves those in ``KEPT`` alone."""
    return _CELL.format(source=json.dumps(source), commit=json.dumps(commit), kept=list(KEPT)).rstrip()


def cell(source: str, commit: str) -> dict[str, Any]:
    """Return that code as a notebook's cell, which Colab shows folded, by its title."""
    made = {"cell_type": "code", "id": "install", "metadata": {"cellView": "form"}, "source": code(source, commit)}
    return made | {"execution_count": None, "outputs": []}


def versions(listing: str, root: Path) -> list[str]:
    """Return ``name==version`` of each requirement of the package that Colab's list has.

    Parameters
    ----------
    listing
        What ``pip freeze`` prints on Colab. A wheel's address stands for its version; a suffix such as ``+cu128``,
        which says what it was built for, is left out.
    root
        The checkout, whose ``pyproject.toml`` has the requirements.

    Raises
    ------
    BuildError
        If the list lacks one of the packages ``KEPT``: then it is no list of Colab's.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {_canonical(re.match(r"[\w.-]+", line)[0]) for line in project["dependencies"]}
    found = {}
    for line in listing.splitlines():
        match = re.match(r"(?P<name>[\w.-]+)(?:==| @ \S*/(?P=name)-)(?P<version>[\w.]+)", line)
        if match and _canonical(match["name"]) in names:
            found[_canonical(match["name"])] = match["version"]
    lost = [name for name in KEPT if name not in found]
    if lost:
        raise BuildError("Colab's packages", f"the list lacks {', '.join(lost)}; was it downloaded whole?")
    return [f"{name}=={found[name]}" for name in sorted(found)]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
