"""Nothing is unpickled that came from a file: a pickle may run any code when it is opened.

The one exception is stated: CIFAR-10's official batches are pickles, and are opened only if their MD5 is the official
one; see ``archives.cifar10``.
"""

import ast
import hashlib
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import writers

from actlib import archives, data, pairs, shards, store, weights, zoo

ROOT = Path(__file__).parents[1]
MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"}
FOLDERS = ("actlib", "book", "book/driver", "book/_ext", "nbs", "benchmarks")
SOURCES = [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.py"))]


def faults(source):
    """Return what in a source could unpickle a file: an import, or a call that does not rule it out."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found += [f"line {node.lineno}: {name}" for name in names if name.split(".")[0] in MODULES]
        if isinstance(node, ast.Call):
            name, given = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
            if name.endswith("torch.load") and given.get("weights_only") != "True":
                found.append(f"line {node.lineno}: {name} without weights_only=True")
            if name.split(".")[-1] in ("load", "fromfile", "memmap") and given.get("allow_pickle", "False") != "False":
                found.append(f"line {node.lineno}: {name} with allow_pickle")
            if name.endswith(("read_pickle", "to_pickle", "jit.load", "yaml.load", "unsafe_load", "package_importer")):
                found.append(f"line {node.lineno}: {name}")
    return found


def test_no_source_unpickles():
    assert len(SOURCES) > 100
    found = {path.relative_to(ROOT).as_posix(): faults(path.read_text(encoding="utf-8")) for path in SOURCES}
    found = {path: lines for path, lines in found.items() if lines}
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from joblib import load", "import dill as d", "torch.load(p)",
        "torch.load(p, weights_only=False)",
        "np.load(p, allow_pickle=True)", "pandas.read_pickle(p)", "yaml.load(text)", "torch.jit.load(p)",
    ],
)  # fmt: skip
def test_a_line_that_unpickles_is_seen(line):
    assert len(faults(line)) == 1
    assert faults("torch.load(p, weights_only=True)\nnp.load(p)\nnp.load(p, allow_pickle=False)\njson.load(f)") == []


# ------------------------------------------------------------------------------------------------ real attempts


class Payload:
    """What, unpickled, writes a file: proof that code of the file ran."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


@pytest.fixture
def mark(tmp_path):
    """The folder that a payload would make; it must not be there at the end."""
    path = tmp_path / "the payload ran"
    yield path
    assert not path.exists()


def disguised(kind, mark, path):
    """Write a payload to ``path`` as a pickle, PyTorch's archive, or NumPy's array of objects or archive of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        if kind == "pickle":
            pickle.dump(Payload(mark), file)
        elif kind == "archive":
            torch.save(Payload(mark), file)
        elif kind == "old archive":
            torch.save(Payload(mark), file, _use_new_zipfile_serialization=False)
        elif kind == "array":
            np.save(file, np.array([Payload(mark)], dtype=object), allow_pickle=True)
        else:
            np.savez(file, a=np.array([Payload(mark)], dtype=object))
    return path


KINDS = ["pickle", "archive", "old archive", "array", "arrays"]


def test_each_disguise_is_live(tmp_path):
    for kind in KINDS:
        path = disguised(kind, tmp_path / kind, tmp_path / "file")
        if kind.startswith("array"):
            found = np.load(path, allow_pickle=True)
            found["a"] if kind == "arrays" else None
        else:
            pickle.loads(path.read_bytes()) if kind == "pickle" else torch.load(path, weights_only=False)
        assert (tmp_path / kind).is_dir()


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_weights_are_refused(kind, mark, tmp_path):
    path = disguised(kind, mark, tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match=r"net\.safetensors"):
        weights.load(path)
    named = path.rename(tmp_path / f"net-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth")
    with pytest.raises(ValueError, match="no file of plain weights"):
        weights.read(named)
    with pytest.raises(ValueError, match="not readable JSON"):
        store.read_json(named)


@pytest.mark.parametrize("kind", ["archive", *(pytest.param(kind, marks=pytest.mark.long) for kind in KINDS[2:])])
@pytest.mark.parametrize("job", ["fit", "judge", "grow_zoo", "oscillate", "decode"])
def test_a_cache_with_a_pickle_in_it_is_told_and_made_again(job, kind, mark, tmp_path):
    writers.JOBS[job](tmp_path)
    for path in writers.files(tmp_path)[0]:
        if "photos" not in path.parts:
            disguised(kind, mark, path)
            with pytest.warns(UserWarning, match="damaged|of no use|again"):
                writers.JOBS[job](tmp_path)
            assert not mark.exists()
    writers.whole(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cache_whose_manifest_vouches_for_a_pickle_is_refused_too(kind, mark, tmp_path):
    writers.decode(tmp_path)
    (path,) = tmp_path.glob("images/*/labels.npy")
    about = store.read_manifest(path.parent)
    disguised(kind, mark, path)
    store.write_manifest(path.parent, about)
    with pytest.warns(UserWarning, match="is damaged .* decoded again"):
        writers.decode(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_shards_and_zoos_are_refused(kind, mark, tmp_path):
    writers.write_pairs(tmp_path)
    about = store.read_manifest(tmp_path / "pairs")
    disguised(kind, mark, tmp_path / "pairs" / "fc1.npy")
    with pytest.raises(ValueError, match=r"fc1\.npy is damaged"):
        pairs.read(tmp_path / "pairs")
    store.write_manifest(tmp_path / "pairs", about)
    with pytest.raises(ValueError, match=r"magic string|pickle|object"):
        pairs.read(tmp_path / "pairs")
    writers.grow_zoo(tmp_path)
    folder, planned = tmp_path / "zoo", shards.read(tmp_path / "zoo")
    disguised(kind, mark, shards.path(folder, 0))
    for read in (shards.load, shards.glance):
        with pytest.raises(ValueError, match="shard-00000"):
            read(folder, planned, 0)
    with pytest.raises(ValueError, match="shard-00000"):
        zoo.open(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_image_sets_are_refused(kind, mark, tmp_path):
    for name, *_ in archives.torchvision.datasets.CIFAR10.train_list:
        disguised(kind, mark, tmp_path / archives.BATCHES / name)
    with pytest.raises(ValueError, match="missing or damaged"):
        data.load("cifar10", root=tmp_path)
    for prefix in ("train", "t10k"):
        for end in ("images-idx3-ubyte", "labels-idx1-ubyte"):
            disguised(kind, mark, tmp_path / "MNIST" / "raw" / f"{prefix}-{end}")
    disguised(kind, mark, tmp_path / "MNIST" / "processed" / "training.pt")  # where old versions kept them
    disguised(kind, mark, tmp_path / "MNIST" / "processed" / "test.pt")
    with pytest.raises(ValueError, match="is damaged"):
        data.load("mnist", root=tmp_path)
    shutil.rmtree(tmp_path / "photos", ignore_errors=True)
    disguised(kind, mark, tmp_path / "photos" / "cat" / "1.png")
    with pytest.raises(ValueError, match=r"1\.png cannot be decoded"):
        data.load("folder", root=tmp_path / "photos")


@pytest.mark.parametrize("kind", KINDS)
def test_an_old_copy_of_mnist_beside_the_official_files_is_not_opened(kind, mark, tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for prefix in ("train", "t10k"):
        head = b"".join(number.to_bytes(4, "big") for number in (0x803, 1, 28, 28))
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(head + bytes(784))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(b"".join(n.to_bytes(4, "big") for n in (0x801, 1)) + b"\x07")
    for name in ("training.pt", "test.pt"):
        disguised(kind, mark, tmp_path / "MNIST" / "processed" / name)
    # torchvision looks for it first, and refuses what are not plain tensors
    with pytest.raises(ValueError, match=r"remove the folder MNIST/processed: .* MNIST/raw"):
        data.load("mnist", root=tmp_path)
    shutil.rmtree(tmp_path / "MNIST" / "processed")
    assert data.load("mnist", root=tmp_path).labels.tolist() == [7]
