"""The law of the package: an import goes to a lower layer only."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "actlib"
# From the bottom up; a module may import from the rows above its own.
LAYERS = [
    {"store", "statistics", "theory", "arrangements", "shapes", "inputs", "bits", "names", "sources", "neighbours"}
    | {"covariance", "linkage", "steps", "polygons", "planes", "balls", "pictures", "folds", "oscillations"}
    | {"selection", "workers", "lenets", "bodies", "splits", "overlaps", "rendering"},
    {"folders", "archives", "models", "weights", "hooks", "published", "provenance"}
    | {"objective", "frames", "cosines", "tiles", "tracing", "gates", "clipping", "categories", "detectors"}
    | {"grids", "scores", "starts", "poses", "collisions"},
    {"data", "rectangles", "resnets", "preactivation", "collection", "slider", "ledger", "votes", "hamming", "activity"}
    | {"assembly", "families", "cutters", "energies", "members", "shards", "population_steps"},
    {"train", "capture", "recorded", "independence", "spectra", "subdivision", "downsampling", "oscillation_nets"}
    | {"perturbations", "populations", "forecasters", "forecasts"},
    {"checkpoints", "piecewise", "intervals", "oscillation_runs"},
    {"maps", "fields", "embed", "compress", "similarity", "patterns", "affine", "paths"}
    | {"aliasing", "attacks", "robustness", "meta", "growth", "midpoints", "targets", "zoo_runs"},
    {
        "zoo",
        "pairs",
        "trials",
        "judges",
        "constellations",
        "polytopes",
        "slices",
        "segments",
        "inradius",
        "noise",
        "reachability",
    },
    {"boundaries"},
]
# What a reader is handed: plots draws arrays and knows nothing of the package, report only reads the records.
OUTLETS = {"plots": set(), "report": {"published", "provenance", "ledger", "pictures", "frames", "slider", "recorded"}}
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")


def imports(source: str) -> set[str]:
    """Return the modules of the package that a source text imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("actlib.") for alias in node.names if alias.name.startswith("actlib")}
        elif isinstance(node, ast.ImportFrom) and node.level:
            found |= {alias.name for alias in node.names} if node.module is None else {node.module}
        elif isinstance(node, ast.ImportFrom) and node.module == "actlib":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("actlib."):
            found.add(node.module.removeprefix("actlib."))
    return {name for name in found if not name.startswith("__")}  # __version__ is no module


def allowed(module: str) -> set[str]:
    """Return the modules that ``module`` may import."""
    if module in OUTLETS:
        return OUTLETS[module]
    layer = next(n for n, names in enumerate(LAYERS) if module in names)
    return set().union(*LAYERS[:layer])


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module):
    known = set().union(*LAYERS) | set(OUTLETS)
    assert module in known, f"{module} has no layer: give it a row in LAYERS"
    upward = imports((PACKAGE / f"{module}.py").read_text()) - allowed(module)
    assert not upward, f"{module} may import {sorted(allowed(module))}, not {sorted(upward)}"


def test_every_way_of_importing_is_seen():
    lines = ["import actlib.plots", "from actlib import train, data", "from actlib.maps import f"]
    source = "\n".join([*lines, "from . import zoo", "from .meta import g", "import torch"])
    assert imports(source) == {"plots", "train", "data", "maps", "zoo", "meta"}


def test_an_upward_import_is_refused():
    assert not {"train", "maps"} & allowed("data")
    assert "store" in allowed("data")


@pytest.mark.parametrize("module", [m for m in MODULES if m != "ledger"])
def test_only_the_ledger_imports_ipython(module):
    assert "IPython" not in (PACKAGE / f"{module}.py").read_text()


def calls(source: str) -> set[str]:
    """Return the dotted names of everything that a source text calls."""
    return {ast.unparse(node.func) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)}


@pytest.mark.parametrize("module", [m for m in MODULES if m != "hooks"])
def test_only_hooks_sets_hooks(module):
    found = {
        name
        for name in calls((PACKAGE / f"{module}.py").read_text())
        if "register_forward" in name or "backward_hook" in name
    }
    assert not found


@pytest.mark.parametrize("module", MODULES)
def test_no_module_seeds_a_global_generator_or_writes_around_the_store(module):
    found = calls((PACKAGE / f"{module}.py").read_text())
    assert not found & {"torch.manual_seed", "np.random.seed", "random.seed", "torch.save", "np.savez"}
    if module != "store":
        writers = {name for name in found if name.endswith((".write_text", ".write_bytes"))}
        assert writers <= {"store.write_bytes"}


@pytest.mark.parametrize("module", MODULES)
def test_modules_are_short_and_keep_their_annotations(module):
    source = (PACKAGE / f"{module}.py").read_text()
    assert len(source.splitlines()) <= 250
    assert "from __future__ import annotations" not in source
