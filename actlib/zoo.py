"""A zoo: thousands of LeNets that differ in how they were trained, in a folder, made by any number of processes."""

import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor, nn
from tqdm import tqdm

from actlib import grids, populations, shards, store, workers, zoo_runs
from actlib.data import Images
from actlib.grids import Setting


@dataclass(frozen=True)
class Zoo:
    """Networks of a finished folder; their weights stay on the disk until they are asked for.

    ``len(zoo)`` is the number m of networks.

    Attributes
    ----------
    folder
        Where the shards lie.
    settings
        How each network was trained.
    accuracies
        Share of right predictions on the test images, or without such on the training images, shape (m,).
    diverged
        Whether a weight is not finite: such networks are kept, shape (m,).
    numbers
        Each network's place among all of the folder, shape (m,).
    """

    folder: Path
    settings: list[Setting]
    accuracies: Float64[Tensor, " m"]
    diverged: Bool[Tensor, " m"]
    numbers: Int64[Tensor, " m"]

    def __len__(self) -> int:
        return len(self.settings)

    def select(self, index: Int64[Tensor, " k"] | Bool[Tensor, " m"] | Sequence[int]) -> "Zoo":
        """Return the networks at ``index``: positions, or one truth value each.

        Raises
        ------
        ValueError, IndexError
            If nothing is selected; if a position is out of range.
        """
        index = torch.as_tensor(index)
        if index.numel() == 0 or (index.dtype == torch.bool and not index.any()):
            raise ValueError(f"the selection from {len(self)} networks is empty; select at least 1")
        chosen = torch.arange(len(self))[index]
        settings = [self.settings[n] for n in chosen]
        return Zoo(self.folder, settings, self.accuracies[chosen], self.diverged[chosen], self.numbers[chosen])

    def keep(self, minimum: float = 0.6) -> "Zoo":
        """Return the networks whose accuracy is at least ``minimum``; 0.6 is the published filter.

        Raises
        ------
        ValueError
            If there is none.
        """
        good = self.accuracies >= minimum
        if not good.any():
            raise ValueError(
                f"none of {len(self)} networks reaches accuracy {minimum:g}, the best has "
                f"{max(self.accuracies.tolist(), default=0):.3f}; lower minimum, or train longer or otherwise"
            )
        return self.select(good)

    def parts(self) -> Iterator[tuple["Zoo", dict[str, Tensor]]]:
        """Yield the networks of each shard with their parameters ``(k, ...)``, on the CPU: one shard in memory.

        Raises
        ------
        FileNotFoundError, ValueError
            If a shard is gone or damaged: ``fit`` makes it again.
        """
        planned = shards.read(self.folder)
        place = {int(n): k for k, n in enumerate(self.numbers)}
        for number, members in enumerate(planned.members):
            rows = [row for row, n in enumerate(members) if n in place]
            if rows:
                state, _ = shards.load(self.folder, planned, number)
                yield self.select([place[members[row]] for row in rows]), {k: v[rows] for k, v in state.items()}

    def state(self) -> dict[str, Tensor]:
        """Return all parameters stacked, ``(m, ...)`` by name, on the CPU: 0.18 MB a network of 28 px.

        Raises
        ------
        FileNotFoundError, ValueError
            As ``parts``.
        """
        place = {int(n): k for k, n in enumerate(self.numbers)}
        stacked: dict[str, Tensor] = {}
        for part, state in self.parts():
            rows = [place[int(n)] for n in part.numbers]
            for name, value in state.items():
                stacked.setdefault(name, value.new_empty(len(self), *value.shape[1:]))[rows] = value
        return stacked

    def models(self) -> Iterator[nn.Module]:
        """Yield each network as a module in eval mode, in the order of ``settings``.

        Raises
        ------
        FileNotFoundError, ValueError
            As ``parts``.
        """
        size = shards.read(self.folder).configuration["shape"][1]
        state = self.state()
        for n in range(len(self)):
            yield from populations.unstack({name: value[n : n + 1] for name, value in state.items()}, size=size)


def fit(
    settings: Sequence[Setting],
    images: Tensor,
    labels: Tensor,
    folder: str | Path | None = None,
    *,
    test: Images | None = None,
    n_classes: int = 10,
    backend: str = "auto",
    executor: Executor | None = None,
    n_workers: int | None = None,
    shard_size: int | None = None,
    progress: bool = True,
) -> Zoo:
    """Return the networks of ``settings``, trained and written to a folder; what lies there already is not trained.

    A killed run goes on where it was. A second process on the same folder waits until the first one is done.

    Parameters
    ----------
    settings
        m of them; see ``grids``.
    images, labels
        As for ``populations.fit``: uint8 or float in [0, 1], shape (n, c, h, w); int64, shape (n,). The device of the
        images is where each worker trains.
    folder
        Where the shards go. All workers must see it under this name; they take the images from there too. None is a
        folder of the cache for just these settings, data and this code: the same call finds it again.
    test
        Images to measure the accuracy on; None takes the training images.
    n_classes
        Outputs of each network.
    backend
        "loop" trains one network after the other, "vmap" those of a shard at once; "auto" is "vmap" on a GPU.
    executor, n_workers
        Where to work: see ``workers.run``. By default one process of one thread a CPU; on a GPU this very process.
    shard_size
        Networks a file, which one worker trains. By default as in the folder, else 8 (loop) or 512 (vmap).
    progress
        Show a bar where the output is a terminal; its unit is one network's pass over the images.

    Raises
    ------
    ValueError
        If a setting or another argument is out of range, or the folder belongs to another run: the message says what
        differs.
    OSError
        If the folder cannot be written to or the disk has no room; shards that were finished stay.
    RuntimeError
        If workers are lost again and again.

    Warns
    -----
    UserWarning
        If a shard is damaged: its networks are trained again.
    """
    workers.refuse_a_second_main()
    settings = grids.check(settings)
    zoo_runs.check(images, labels, test, n_classes)
    if backend not in ("auto", "loop", "vmap"):
        raise ValueError(f"backend = {backend!r}; give 'auto', 'loop' or 'vmap'")
    if backend == "auto":
        backend = "vmap" if images.is_cuda else "loop"
    if executor is None and images.is_cuda:
        n_workers = n_workers or 1
    configuration = zoo_runs.configuration(images, labels, test, backend=backend, n_classes=n_classes)
    folder = Path(folder) if folder is not None else zoo_runs.cached(settings, configuration)
    planned = zoo_runs.plan(folder, settings, configuration, shard_size)
    begun = shards.begun(folder, planned)
    absent = [n for n in range(len(planned.members)) if not shards.path(folder, n).is_file()]
    done = shards.finished(folder, planned)
    if not begun or len(done) < len(planned.members):
        with zoo_runs.explained(folder, planned, done), store.lock(folder / "plan.json"):
            shards.begin(folder, planned)
            done |= shards.finished(folder, planned, absent)  # made by another process while we waited
            with zoo_runs.working(folder, planned):
                if missing := len(planned.members) - len(done):
                    zoo_runs.hand_over(folder, planned, missing, images, labels, test)
                    make = functools.partial(zoo_runs.make, folder.absolute())
                    _run(make, planned, done, progress, executor=executor, n_workers=n_workers)
    return _zoo(folder, planned, done)


def _run(make: Callable[[int], Any], planned: shards.Plan, done: dict[int, Any], progress: bool, **where: Any) -> None:
    """Make the shards that are missing from ``done``, and enter their findings there one by one."""
    missing = [n for n in range(len(planned.members)) if n not in done]
    passes = [sum(Setting(*planned.settings[n]).epochs for n in members) for members in planned.members]
    options = {"total": sum(passes), "initial": sum(passes[n] for n in done), "unit": "epoch", "leave": False}
    with tqdm(**options, disable=None if progress else True) as bar:
        for number, findings in workers.run(make, missing, **where):
            done[number] = findings
            bar.update(passes[number])


def open(folder: str | Path) -> Zoo:
    """Return the zoo of a finished folder, which may be read-only; the weights are checked when they are read.

    Raises
    ------
    FileNotFoundError
        If the folder holds no zoo.
    ValueError
        If it is not finished, or a file is damaged or foreign.
    """
    planned = shards.read(folder)
    present = [n for n in range(len(planned.members)) if shards.path(folder, n).is_file()]
    if len(present) < len(planned.members):
        raise ValueError(
            f"{folder} has {len(present)} of {len(planned.members)} shards; call zoo.fit with it, which goes on there"
        )
    return _zoo(Path(folder), planned, {n: shards.glance(folder, planned, n) for n in present})


def _zoo(folder: Path, planned: shards.Plan, findings: dict[int, dict[str, list]]) -> Zoo:
    """Return the networks of all shards, in the order of the settings."""
    n_networks = len(planned.settings)
    accuracies, diverged = (torch.empty(n_networks, dtype=kind) for kind in (torch.float64, torch.bool))
    for number, members in enumerate(planned.members):
        accuracies[members] = torch.tensor(findings[number]["accuracy"], dtype=torch.float64)
        diverged[members] = torch.tensor(findings[number]["diverged"])
    settings = [Setting(*setting) for setting in planned.settings]
    return Zoo(folder, settings, accuracies, diverged, torch.arange(n_networks))
