"""Many meta-networks trained on the same predictions, one a process; what was trained once comes from the cache."""

import functools
import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from tqdm import tqdm

from actlib import bodies, checkpoints, meta, store, weights, workers
from actlib.bodies import Body

__all__ = ["Outcome", "Trial", "run"]


class Trial(NamedTuple):
    """One meta-network to train: the fields are those of ``meta.fit``, but for the first ones.

    Attributes
    ----------
    split
        The name of the split of the rows.
    task
        ``"ratio"`` or ``"right"``.
    layers
        Names of the layers that it gets, in the order of the tokens.
    seed
        Of initial weights, order and dropout.
    """

    split: str
    task: Literal["ratio", "right"]
    layers: tuple[str, ...] = ("pool2", "fc1", "fc2", "fc3")
    seed: int = 0
    body: Body = "rnn"
    width: int = 256
    epochs: int = 30
    learning_rate: float = 1e-3
    batch_size: int = 128
    literal: bool = False
    patience: int = 4
    warm_up: int = 0


class Outcome(NamedTuple):
    """What came of a trial.

    Attributes
    ----------
    predicted
        (n,): what the judge says of every row, also of those it learned from; see ``meta.predict``.
    history, epoch
        See ``meta.Judge``.
    """

    predicted: Float[np.ndarray, " n"]
    history: meta.History
    epoch: int


def run(
    trials: Sequence[Trial],
    layers: Mapping[str, Shaped[Tensor | np.ndarray, "n _"]],
    targets: Mapping[str, Shaped[Tensor | np.ndarray, " n"]],
    splits: Mapping[str, Sequence[Shaped[np.ndarray, " _"]]],
    *,
    device: str = "cpu",
    executor: Executor | None = None,
    n_workers: int | None = None,
    root: str | Path | None = None,
    progress: bool = True,
) -> dict[Trial, Outcome]:
    """Return the outcome of each trial; a trial that the cache has, for the same data and code, is not trained again.

    Each outcome goes to the cache when it is there: a killed run goes on where it was.

    Parameters
    ----------
    trials
        Different ones; equal ones count once.
    layers
        Activations, (n, d) each, by the names that the trials use.
    targets
        For each task in use, (n,): see ``meta.fit``.
    splits
        For each name in use the numbers of the rows for training and validation; what follows these is ignored.
    device
        Where to train. On a GPU one process does it all.
    executor, n_workers
        Where to work: see ``workers.run``. By default one process of one thread a CPU.
    root
        The cache; see ``store.cache_root``. Outcomes lie in its folder ``judges``.
    progress
        Show a bar where the output is a terminal.

    Raises
    ------
    ValueError
        If a trial names a layer, a task or a split that is not there, or as ``meta.fit``.
    OSError
        If the disk has no room, or the cache cannot be written to.

    Warns
    -----
    UserWarning
        If an outcome in the cache is damaged: it is made again.
    """
    workers.refuse_a_second_main()
    trials = list(dict.fromkeys(trials))
    _check(trials, layers, targets, splits)
    data = _together(layers, targets, splits)
    folder = store.cache_root(root) / "judges"
    keys = _keys(trials, data, device)
    paths = {trial: folder / f"{key[:20]}.safetensors" for trial, key in keys.items()}
    found = {trial: outcome for trial, path in paths.items() if (outcome := _restored(path)) is not None}
    missing = [trial for trial in trials if trial not in found]
    n_workers = 1 if executor is None and device != "cpu" else n_workers
    with tqdm(
        total=len(trials), initial=len(found), unit="judge", leave=False, disable=None if progress else True
    ) as bar:
        if missing:
            shared = folder / f"data-{store.hash_json(sorted(keys[trial] for trial in missing))[:20]}.safetensors"
            jobs = [(trial, paths[trial]) for trial in missing]
            for trial, outcome in _trained(jobs, data, shared, device, executor=executor, n_workers=n_workers):
                found[trial] = outcome
                bar.update()
    return {trial: found[trial] for trial in trials}


def _trained(
    jobs: list[tuple[Trial, Path]], data: dict[str, Tensor], shared: Path, device: str, **where: Any
) -> Iterator[tuple[Trial, Outcome]]:
    """Yield each trial with its outcome, once it is in the cache; the workers find the data in ``shared``."""
    store.require_space(shared, sum(value.nbytes for value in data.values()))
    with store.lock(shared):
        _remove_rests(shared)
        weights.save(shared, data, {})
        try:
            for (trial, path), _ in workers.run(functools.partial(_make, shared, device), jobs, **where):
                if (outcome := _restored(path)) is None:
                    raise OSError(f"{path} cannot be read back; is the cache on a disk that all workers see?")
                yield trial, outcome
        finally:
            shared.unlink(missing_ok=True)
            _data.cache_clear()


def _make(shared: Path, device: str, job: tuple[Trial, Path]) -> None:
    """Make the outcome of one trial, unless another process has made it; one of them at a time."""
    trial, path = job
    with store.lock(path.parent / "locks" / path.stem):
        store.remove_leftovers(path.parent, path.name)
        with suppress(FileNotFoundError, ValueError):  # another process may have made it since we looked
            weights.load(path)
            return
        _train(shared, device, trial, path)


def _train(shared: Path, device: str, trial: Trial, path: Path) -> None:
    """Train one meta-network with one thread and write its outcome."""
    data = _data(shared)
    layers = {name: data[f"layer.{name}"] for name in trial.layers}
    train, validation = (data[f"split.{trial.split}.{k}"].numpy() for k in range(2))
    options = trial._asdict()
    for name in ("split", "layers", "seed"):
        del options[name]
    options |= {"generator": torch.Generator().manual_seed(trial.seed), "device": device, "progress": False}
    with workers.one_thread():
        try:
            judge = meta.fit(layers, data[f"target.{trial.task}"], train, validation, **options)
            predicted = torch.from_numpy(meta.predict(judge, layers))
        except Exception as error:
            error.add_note(f"in {trial}")
            raise
    weights.save(path, {"predicted": predicted}, {"history": judge.history._asdict(), "epoch": judge.epoch})


def _remove_rests(shared: Path) -> None:
    """Remove what killed runs left beside ``shared``: their data, if nobody holds their lock, and parts of files."""
    for data in shared.parent.glob("data-*.safetensors"):
        with suppress(TimeoutError), store.lock(data, timeout=0):
            data.unlink(missing_ok=True)
    store.remove_leftovers(shared.parent, shared.name)


@functools.lru_cache(maxsize=1)
def _data(shared: Path) -> dict[str, Tensor]:
    """Return what ``run`` wrote for its workers; a process reads it once."""
    return weights.load(shared)[0]


def _restored(path: Path) -> Outcome | None:
    """Return an outcome from its file, or None, with a warning if there is one of no use."""
    if not path.is_file():
        return None
    try:
        state, about = weights.load(path)
        # A copy: the loaded tensors are a map of the file, which may be replaced.
        return Outcome(state["predicted"].numpy().copy(), meta.History(**about["history"]), about["epoch"])
    except (ValueError, KeyError, TypeError) as error:
        warnings.warn(f"{path} is of no use ({error}): training again", stacklevel=3)
        return None


def _check(trials: list[Trial], layers: Mapping, targets: Mapping, splits: Mapping) -> None:
    """Raise ValueError if a trial names what is not there."""
    for trial in trials:
        for kind, names, known in (
            ("layer", trial.layers, layers),
            ("task", [trial.task], targets),
            ("split", [trial.split], splits),
        ):
            if absent := [name for name in names if name not in known]:
                raise ValueError(f"{trial} asks for the {kind} {absent[0]!r}; there is {list(known)}")


def _together(layers: Mapping, targets: Mapping, splits: Mapping) -> dict[str, Tensor]:
    """Return all that the workers need, each under a name of its own."""
    parts = {f"layer.{name}": np.asarray(part, np.float32) for name, part in layers.items()}
    parts |= {f"target.{task}": np.asarray(values, np.float64) for task, values in targets.items()}
    for name, sides in splits.items():
        parts |= {f"split.{name}.{k}": np.asarray(side, np.int64) for k, side in enumerate(sides[:2])}
    return {name: torch.from_numpy(np.array(value)) for name, value in parts.items()}


def _keys(trials: list[Trial], data: dict[str, Tensor], device: str) -> dict[Trial, str]:
    """Return for each trial the hash of all that decides its outcome."""
    content = {name: store.hash_bytes(value.numpy().tobytes()) for name, value in data.items()}
    code = [checkpoints.code(inspect.getsource(module)) for module in (bodies, meta)]
    about = [code, torch.device(device).type, torch.__version__]
    return {trial: store.hash_json([list(trial), [content[name] for name in _used(trial)], about]) for trial in trials}


def _used(trial: Trial) -> list[str]:
    """Return the names of the data that a trial needs, in the order of its fields."""
    sides = [f"split.{trial.split}.{k}" for k in range(2)]
    return [*(f"layer.{name}" for name in trial.layers), f"target.{trial.task}", *sides]
