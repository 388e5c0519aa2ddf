"""Everything in the package and the driver that writes files to be read later, each as one small job.

A job is called with a folder and does its work there, or goes on with what an earlier call left. `whole` says whether
what lies in a folder under a final name can be read to its end.
"""

import io
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from actlib import (
    checkpoints,
    collection,
    folders,
    grids,
    models,
    oscillation_runs,
    oscillations,
    pairs,
    robustness,
    store,
    trials,
    weights,
    zoo,
)

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book"))  # the driver is no part of the package

from driver import make, pages, records  # noqa: E402, F401
from driver.chapter import Book, Chapter  # noqa: E402
from driver.notebook import Event  # noqa: E402


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


IMAGES = torch.rand(8, 1, 16, 16, generator=seeded())
LABELS = torch.arange(8) % 2


def build(generator=None):
    return models.mlp([4], 2, input_shape=(1, 16, 16), generator=generator)


def write_json(folder):
    store.write_json(folder / "content.json", {"numbers": list(range(3000))})


def save(folder):
    weights.save(folder / "weights.safetensors", {"a": torch.arange(5000.0)}, {"what": "numbers"})


def fit(folder):
    options = {"epochs": 1, "learning_rate": 0.1, "progress": False}
    return checkpoints.load_or_fit("net", build, IMAGES, LABELS, seed=0, root=folder, **options)


def collect(folder):
    return collection.collect(build(seeded()), IMAGES, ["fc1", "relu1"], folder / "activations", progress=False)


def write_pairs(folder):
    network = models.lenet5(2, size=16, generator=seeded()).eval()
    found = network(IMAGES).argmax(1)[None]
    labels = torch.where(torch.arange(8) < 4, found[0], 1 - found[0])
    selection = robustness.select(found, labels, 2)
    options = {"generator": seeded(), "n_copies": 2, "progress": False}
    return pairs.write(folder / "pairs", network, IMAGES, labels, selection, **options)


def judge(folder):
    trial = trials.Trial("all", "ratio", ("a",), width=8, epochs=1, batch_size=4)
    layers, target = {"a": torch.rand(12, 300, generator=seeded())}, {"ratio": torch.rand(12, generator=seeded(1))}
    split = {"all": [np.arange(8), np.arange(8, 12)]}
    return trials.run([trial], layers, target, split, root=folder, n_workers=1, progress=False)


def grow_zoo(folder):
    settings = [s._replace(epochs=1, batch_size=4) for s in grids.sample(2, 0)]
    options = {"n_classes": 2, "n_workers": 1, "shard_size": 1, "progress": False}
    return zoo.fit(settings, IMAGES, LABELS, folder / "zoo", **options)


def decode(folder):
    for name in ("cat", "dog"):
        if not (folder / "photos" / name).is_dir():
            (folder / "photos" / name).mkdir(parents=True)
            for k in range(2):
                pixels = np.full((40, 40, 3), 50 * k, np.uint8)
                Image.fromarray(pixels).save(folder / "photos" / name / f"{k}.png")
    return folders.read(folder / "photos", cache=folder, progress=False)


def oscillate(folder):
    train, held_out = (oscillations.draw(2, noise=1.0, seed=s, n_frequencies=2, size=16) for s in (0, 9))
    options = {"family": "fc-1h", "number": 8, "root": folder}
    return oscillation_runs.fit(train, held_out, seed=0, epochs=1, drop=1, batch_size=4, **options)


def record(folder):
    chapter = Chapter("01_dice", "real", [], {"profile": "real"}, {})
    (folder / "nbs").mkdir(exist_ok=True)
    (folder / "actlib").mkdir(exist_ok=True)
    (folder / "nbs" / "01_dice.py").write_text("# %%\n1\n")
    pixels = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(made := io.BytesIO(), "PNG")
    events = [Event(1, "number", {"id": "F1", "value": 1.0})]
    events += [Event(1, "figure", {"name": name}, made.getvalue()) for name in ("fig-a", "fig-b")]
    records.write(Book(folder), chapter, events, 1.0)


def stage(folder):
    wanted = {f"nbs/{k}.ipynb": b"{}" * (3000 + k) for k in range(3)}
    pages._mirror(folder / "src", wanted)


JOBS = {
    job.__name__: job
    for job in (write_json, save, fit, collect, write_pairs, judge, grow_zoo, decode, oscillate, record, stage)
}


def files(folder):
    """Return the files below a folder but for locks, hidden ones of writes that were not finished apart."""
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".lock"]
    hidden = [path for path in found if any(part.startswith(".") for part in path.relative_to(folder).parts)]
    return [path for path in found if path not in hidden], hidden


def whole(folder):
    """Raise if a file with a final name cannot be read to its end."""
    for path in files(folder)[0]:
        if path.suffix in (".json", ".ipynb") and path.parent.name != "nbs":
            store.read_json(path)
        elif path.suffix == ".ipynb":
            assert path.read_bytes() == b"{}" * (3000 + int(path.stem))
        elif path.suffix == ".safetensors":
            weights.load(path)
        elif path.suffix == ".npy":
            np.load(path, allow_pickle=False)
        elif path.suffix in (".webp", ".png"):
            Image.open(path).load()
