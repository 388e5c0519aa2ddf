"""Training of LeNets in a zoo, against a transcription of the original loop and against a loop over tensors.

The original trains one network at a time, with a ``DataLoader`` that turns each image into a PIL picture and then into
a tensor. It and the loop over tensors in memory are timed with one thread and with one a CPU, and the faster of the two
counts; the zoo has a process of one thread on each CPU, begun before the clock starts. All train under the four batch
sizes of the grid and both optimizers; times are for 10,000 images of one network. On a GPU a population takes its steps
together, and the original loop has the same GPU.
"""

import itertools
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import ToTensor

from actlib import data, models, populations, zoo
from actlib.data import Images
from actlib.grids import Setting
from benchmarks import Row, interleaved, ratio

N_ROUNDS = 5
UNIT = 10_000
AGAINST_ORIGINAL, AGAINST_TENSORS, ON_GPU = 2.5, 1.5, 100
ASKED = {
    "cpu": f"{AGAINST_ORIGINAL} times as fast as the original loop, {AGAINST_TENSORS} times a loop over tensors",
    "cuda": f"a population {ON_GPU} times as fast as the original loop",
}
# Multiplications and additions for one image, forward and backward, of the layers as they are written.
_FLOP = 2 * (2 * 86_400 + 3 * 153_600 + 3 * 41_640)
_WHOLE_GRID = 20_480 * 60_000
Loop = Callable[[Setting, Images, str], None]


class _Pictures(Dataset):
    """Images and labels one by one, as ``torchvision.datasets.MNIST`` hands them out."""

    def __init__(self, images: Tensor, labels: Tensor):
        self.images, self.labels, self.transform = images[:, 0], labels, ToTensor()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index].numpy())), int(self.labels[index])


def rows(device: str, n: int = 6000, n_networks: int = 32) -> list[Row]:
    """Return two rows, on a GPU one; numbers of images and networks can be less for a trial."""
    part = _images(n)
    if device == "cuda":
        return [_on_gpu(part, 64 * n_networks)]
    with _pool() as pool:
        return _on_cpus(part, _settings(n_networks), pool)


def _images(n: int) -> Images:
    """Return digits of 28 px, again and again until there are ``n``."""
    part = data.load("digits", "train")
    images = interpolate(part.images.float(), size=28, mode="bilinear").round().to(torch.uint8)
    chosen = torch.arange(n) % len(images)
    return part._replace(images=images[chosen], labels=part.labels[chosen])


def _settings(n: int) -> list[Setting]:
    """Return settings of one epoch, each batch size with both optimizers in turn."""
    kinds = list(itertools.product((32, 64, 128, 256), ("sgd", "adam")))
    turns = (kinds[k % len(kinds)] for k in range(n))
    return [Setting(kind, 0.005, 0.0, 1, seed, "default", size) for seed, (size, kind) in enumerate(turns)]


@contextmanager
def _pool() -> Iterator[ProcessPoolExecutor]:
    """Yield a process a CPU."""
    with ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


def _original(setting: Setting, part: Images, device: str) -> None:
    """Train as the published script does."""
    batches = DataLoader(_Pictures(part.images, part.labels), batch_size=setting.batch_size, shuffle=True)
    _steps(setting, batches, device)


def _tensors(setting: Setting, part: Images, device: str) -> None:
    """Train with all images as one tensor."""
    images, labels = (part.images.float() / 255).to(device), part.labels.to(device)
    orders = torch.randperm(len(images)).split(setting.batch_size)
    _steps(setting, ((images[chosen], labels[chosen]) for chosen in orders), device)


def _steps(setting: Setting, batches: Iterator[tuple[Tensor, Tensor]], device: str) -> None:
    """Take one step of ``torch.optim`` a batch."""
    model = models.lenet5().to(device)
    kind = torch.optim.SGD if setting.optimizer == "sgd" else torch.optim.Adam
    stepper = kind(model.parameters(), lr=setting.learning_rate, weight_decay=setting.weight_decay)
    for images, labels in batches:
        loss = cross_entropy(model(images.to(device)), labels.to(device))
        stepper.zero_grad()
        loss.backward()
        stepper.step()


def _loop(one: Loop, settings: list[Setting], part: Images, device: str, n_threads: int) -> Callable[[], None]:
    """Return a call that trains one network after the other."""

    def run() -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(n_threads)
        for setting in settings:
            one(setting, part, device)
        torch.set_num_threads(before)

    return run


def _zoo(settings: list[Setting], part: Images, pool: ProcessPoolExecutor) -> zoo.Zoo:
    """Return a zoo from a new folder, judged on few images."""
    few = part._replace(images=part.images[:100], labels=part.labels[:100])
    with tempfile.TemporaryDirectory() as folder:
        options = {"test": few, "executor": pool, "shard_size": 2, "progress": False}
        return zoo.fit(settings, part.images, part.labels, Path(folder) / "zoo", **options)


def _on_cpus(part: Images, settings: list[Setting], pool: ProcessPoolExecutor) -> list[Row]:
    """Return the zoo against both loops."""
    few, threads = settings[:8], sorted({1, os.cpu_count()})
    calls = {"ours": lambda: _zoo(settings, part, pool)}
    for peer, one in (("original", _original), ("tensor loop", _tensors)):
        calls |= {f"{peer}, threads: {k}": _loop(one, few, part, "cpu", k) for k in threads}
    seconds = interleaved(calls, "cpu", n_rounds=N_ROUNDS, n_warm=1)
    each = {
        name: [spent * UNIT / (len(part.labels) * len(settings if name == "ours" else few)) for spent in found]
        for name, found in seconds.items()
    }
    job = f"LeNet-5, {UNIT:,} images, {os.cpu_count()} CPUs"
    return [_row(job, each, "original", AGAINST_ORIGINAL), _row(job, each, "tensor loop", AGAINST_TENSORS)]


def _row(job: str, each: dict[str, list[float]], about: str, times: float) -> Row:
    """Return ours against the fastest peer of a kind; the quality is images a second, counted once a network."""
    peers = {name: median(spent) for name, spent in each.items() if name.startswith(about)}
    peer = min(peers, key=peers.get)
    found = 1 / ratio(each["ours"], each[peer])
    target = f"{times} times as fast as the {peer} (found {found:.2f})"
    rates = {name: UNIT / median(each[name]) for name in ("ours", *peers)}
    peers = {peer: peers[peer]} | peers
    return Row(f"{job}, {about}", median(each["ours"]), peers, 1 / found, target, found >= times, N_ROUNDS, rates)


def _on_gpu(part: Images, n_networks: int) -> Row:
    """Return a population on a GPU against the original loop there."""
    settings, few = _settings(n_networks), _settings(4)
    images, labels = part.images.cuda(), part.labels.cuda()
    calls = {
        "ours": lambda: populations.fit(settings, images, labels),
        "original": _loop(_original, few, part, "cuda", 1),
    }
    seconds = interleaved(calls, "cuda", n_rounds=N_ROUNDS, n_warm=1)
    each = {
        name: [spent * UNIT / (len(part.labels) * len(settings if name == "ours" else few)) for spent in found]
        for name, found in seconds.items()
    }
    row = _row(f"{n_networks:,} LeNet-5, {UNIT:,} images", each, "original", ON_GPU)
    rate = row.quality["ours"]
    return row._replace(quality=row.quality | {"TFLOP/s": rate * _FLOP / 1e12, "whole grid, s": _WHOLE_GRID / rate})
