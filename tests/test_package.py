"""The package as a user gets it: what the two archives hold, and that it works with its declared dependencies alone."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from distributions import closure
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MODULES = sorted(path.stem for path in (ROOT / "actlib").glob("*.py") if path.stem != "__init__")
# Tools of the book and of the tests, which a user of the package need not have.
NOT_NEEDED = ["IPython", "yaml", "jupytext", "papermill", "sphinx", "pytest", "beartype", "captum", "distributed"]

# Import name -> the distributions that bring it, in this environment.
OWNERS = metadata.packages_distributions()


def readme_example():
    """Return the first Python block of the README."""
    return re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Build the wheel and the sdist from a copy of the sources, without a network; return their paths."""
    pytest.importorskip("setuptools", minversion="77", reason="building needs setuptools 77: pip install -e .[test]")
    copy = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff"):
        shutil.copy(ROOT / name, copy)
    for name in ("actlib", "tests", "nbs", "benchmarks"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    # As pip does it: the hooks of the build system, each in a process of its own.
    for kind in ("wheel", "sdist"):
        script = f"from setuptools.build_meta import build_{kind} as build; build('dist')"
        subprocess.run([sys.executable, "-c", script], cwd=copy, check=True, capture_output=True)
    (wheel,), (sdist,) = (copy / "dist").glob("*.whl"), (copy / "dist").glob("*.tar.gz")
    return wheel, sdist


def expose(names, site):
    """Link the top-level files and folders of the distributions ``names`` into the folder ``site``."""
    for name in names:
        distribution = metadata.distribution(name)
        if distribution.files is None:
            pytest.skip(f"{name} does not say which files are its own, so it cannot be shown alone")
        for top in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            target = Path(distribution.locate_file(top)).absolute()
            if target.exists() and not (site / top).exists():
                (site / top).symlink_to(target, target_is_directory=target.is_dir())


@pytest.fixture(scope="module")
def bare(archives, tmp_path_factory):
    """Return the Python of an environment that holds the wheel, its declared dependencies and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    try:
        (folder / "link").symlink_to(folder)
    except OSError:
        pytest.skip("this system does not let us make symbolic links")
    venv.create(folder / "venv", symlinks=os.name != "nt", with_pip=False)
    python = next((folder / "venv").glob("[bS][ic][nr]*/python*"))
    ask = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip())
    expose(closure(PROJECT["dependencies"])[0], site)
    # A wheel of plain Python is installed by unpacking it.
    zipfile.ZipFile(archives[0]).extractall(site)
    return python, site


def run(bare, script, folder):
    """Run ``script`` in the bare environment, outside the checkout and without the user's Python settings."""
    settings = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    command = [bare[0], "-I", "-c", script]
    return subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True)


def test_the_wheel_holds_the_package_and_nothing_else(archives):
    names = set(zipfile.ZipFile(archives[0]).namelist())
    expected = {f"actlib/{module}.py" for module in [*MODULES, "__init__"]} | {"actlib/py.typed"}
    information = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    assert names - information == expected
    assert any(name.endswith("licenses/LICENSE") for name in information)


def test_the_sdist_holds_what_a_build_needs_and_no_tests_or_chapters(archives):
    with tarfile.open(archives[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"actlib/{module}.py" for module in MODULES} <= names
    assert {"actlib/py.typed", "LICENSE", "README.md", "pyproject.toml", "CHANGELOG.md", "CITATION.cff"} <= names
    assert not {name for name in names if name.split("/")[0] in {"tests", "nbs", "book", "results", "benchmarks"}}


def test_the_wheel_says_what_the_project_says(archives):
    (name,) = [name for name in zipfile.ZipFile(archives[0]).namelist() if name.endswith("METADATA")]
    text = zipfile.ZipFile(archives[0]).read(name).decode()
    lines = re.findall(r"^Requires-Dist: (.*)$", text, re.MULTILINE)
    core = [line for line in lines if "extra ==" not in line]
    assert {str(Requirement(line)) for line in core} == {str(Requirement(line)) for line in PROJECT["dependencies"]}
    assert "\nLicense-Expression: BSD-3-Clause\n" in text


def test_every_module_and_the_readme_work_with_the_declared_dependencies_alone(bare, tmp_path):
    imports = "".join(f"import actlib.{module}\n" for module in MODULES)
    script = f"{imports}{readme_example()}\nimport actlib, sys\nassert actlib.__file__.startswith(sys.prefix)"
    result = run(bare, script, tmp_path)
    assert result.returncode == 0, result.stderr
    # The example prints what its comments promise.
    assert result.stdout.splitlines() == re.findall(r"print\(.*  # (.*)", readme_example())


@pytest.mark.parametrize("name", NOT_NEEDED)
def test_the_bare_environment_lacks_the_tools_of_the_book(bare, name):
    assert name not in {path.stem for path in bare[1].iterdir()}


def test_an_undeclared_import_is_found(bare, tmp_path):
    planted = bare[1] / "actlib/planted.py"
    planted.write_text("import numpy\nimport yaml\n")
    try:
        result = run(bare, "import actlib.planted", tmp_path)
    finally:
        planted.unlink()
    assert result.returncode != 0
    assert "No module named 'yaml'" in result.stderr


def imported(source):
    """Return the packages that a text imports, as (at import time, inside functions only)."""
    tree = ast.parse(source)
    inner = {id(node) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for node in ast.walk(f)}
    early, late = set(), set()
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
        (late if id(node) in inner else early).update(name.split(".")[0] for name in names)
    return early, late - early


def declared(requirements):
    """Return the import names that the distributions named in ``requirements`` bring themselves."""
    owners = {canonicalize_name(Requirement(line).name) for line in requirements}
    names = {name for name, distributions in OWNERS.items() if owners & {canonicalize_name(d) for d in distributions}}
    return names | set(sys.stdlib_module_names) | {"actlib"}


@pytest.mark.parametrize("module", MODULES)
def test_what_a_module_imports_is_declared_and_not_only_brought_along(module):
    early, late = imported((ROOT / f"actlib/{module}.py").read_text(encoding="utf-8"))
    extras = PROJECT["optional-dependencies"]
    assert early <= declared(PROJECT["dependencies"]), "import time: declare it in pyproject.toml"
    assert late <= declared(PROJECT["dependencies"] + extras["book"]), "declare it in pyproject.toml"


def test_an_import_that_is_only_brought_along_is_seen():
    early, late = imported(
        "import pandas as pd\nfrom torch import nn\ndef f():\n    import IPython.display\n    import torch"
    )
    assert early == {"pandas", "torch"}
    assert late == {"IPython"}
    assert early - declared(PROJECT["dependencies"]) == {"pandas"}
    assert late - declared(PROJECT["dependencies"]) == {"IPython"}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_a_page_links_to_files_that_exist(name):
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).is_file()] == []
