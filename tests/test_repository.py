"""Where the book lives is said once, in `_config.yml`; everything else takes it from there."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from checkout import tracked

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "book"), str(ROOT / "book" / "_ext")]

from driver import colab  # noqa: E402

URL = colab.address(ROOT)
OPTIONS = {"repository_branch": "main"}


def named(text, url=URL):
    """Return whether a text names the repository, however its address is written."""
    owner, name = url.rsplit("/", 2)[1:]
    return re.search(rf"\b{re.escape(owner)}/{re.escape(name)}\b", text, re.IGNORECASE) is not None


def test_the_address_stands_in_one_file_only():
    assert [name for name, text in tracked().items() if named(text)] == ["_config.yml"]


def test_the_address_is_that_of_the_settings():
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert settings["repository"]["url"].rstrip("/") == URL
    assert re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", URL)


@pytest.mark.parametrize("text", [f"git clone {URL}", URL.upper() + ".git", "git@github.com:" + URL[19:]])
def test_an_address_is_seen(text):
    assert named(text)


def test_another_repository_is_no_address_of_ours():
    assert not named("https://github.com/pytorch/pytorch and reading-activations")


def test_binder_opens_the_source_and_colab_the_published_notebook():
    source_links = pytest.importorskip("source_links", reason="Sphinx is not installed: pip install .[book]")
    binder = "https://mybinder.org/v2/gh/a/b/main?urlpath=lab/tree/nbs/01_maps.ipynb"
    there = "https://colab.research.google.com/github/a/b/blob/main/nbs/01_maps.ipynb"
    assert source_links.launched("Binder", binder, "nbs/01_maps", OPTIONS).endswith(
        "/main?urlpath=lab/tree/nbs/01_maps.py"
    )
    assert source_links.launched("Colab", there, "nbs/01_maps", OPTIONS).endswith(
        "/a/b/blob/notebooks/nbs/01_maps.ipynb"
    )
    assert source_links.launched("JupyterHub", there, "nbs/01_maps", OPTIONS) == there


def test_the_workflow_pushes_the_branch_that_colab_opens():
    source_links = pytest.importorskip("source_links", reason="Sphinx is not installed: pip install .[book]")
    text = (ROOT / ".github/workflows/book.yml").read_text(encoding="utf-8")
    assert f"HEAD:refs/heads/{source_links.NOTEBOOKS}" in text


def test_publishing_from_another_repository_is_refused():
    notebooks = pytest.importorskip("driver.published_notebooks")
    notebooks.check_address(ROOT, "")
    notebooks.check_address(ROOT, URL)
    with pytest.raises(notebooks.BuildError, match=r"but this is https://github\.com/ann/fork"):
        notebooks.check_address(ROOT, "https://github.com/ann/fork")


# ------------------------------------------------------------------------------- Binder and the container

BINDER = yaml.safe_load((ROOT / "binder/environment.yml").read_text(encoding="utf-8"))


def ranges(lines):
    """Return the range of each requirement by its name; conda's name of PyTorch for the CPU is torch."""
    found = dict(re.match(r"([\w-]+)(.*)", line).groups() for line in lines)
    return {name.replace("pytorch-cpu", "torch"): limits for name, limits in found.items()}


def test_binder_has_the_ranges_of_the_package():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ours = ranges(project["dependencies"] + project["optional-dependencies"]["book"])
    there = {name: limits for name, limits in ranges(BINDER["dependencies"]).items() if name not in ("python", "pip")}
    assert there == {name: ours[name] for name in there}
    assert {"torch", "torchvision", "numpy", "jupytext", "jupyterlab"} <= set(there)


def test_binder_opens_a_chapter_as_a_notebook_in_the_books_style():
    script = (ROOT / "binder/postBuild").read_text(encoding="utf-8")
    assert "jupytext-config set-default-viewer python\n" in script
    assert "pip install --no-cache-dir --editable ." in script
    assert (ROOT / re.search(r'MATPLOTLIBRC="\$PWD/(.*)"', (ROOT / "binder/start").read_text())[1]).is_file()
    for name in ("postBuild", "start"):
        assert (ROOT / "binder" / name).stat().st_mode & 0o111
        assert subprocess.run(["bash", "-n", ROOT / "binder" / name]).returncode == 0


def test_jupytext_knows_the_viewer(tmp_path):
    pytest.importorskip("jupytext_config", reason="the book's packages are not installed: pip install .[book]")
    file = tmp_path / "overrides.json"
    run = [sys.executable, "-m", "jupytext_config", "--settings-file", str(file), "set-default-viewer", "python"]
    subprocess.run(run, check=True, capture_output=True)
    (viewers,) = [value["defaultViewers"] for value in json.loads(file.read_text()).values()]
    assert viewers == {"python": "Jupytext Notebook"}


def test_the_container_calls_a_command_that_exists():
    settings = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8"))
    assert settings["updateContentCommand"] == "make .venv/.installed"
    assert "\nREADY = .venv/.installed\n" in (ROOT / "Makefile").read_text(encoding="utf-8")
