"""A folder that fills with shards: one file for a few networks of a large set, each file written whole or not at all.

``plan.json`` says what the set is and which networks each shard holds. A shard is a safetensors file; its header is its
manifest: the plan's hash, which networks, their settings, their accuracies or what else was found, and a hash of the
tensors. Data and manifest so come with one rename, and a killed run leaves finished shards or none.
"""

import functools
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from actlib import store, weights


@dataclass(frozen=True)
class Plan:
    """What a folder of shards is to hold.

    Attributes
    ----------
    configuration
        All that decides the result besides the settings, by name: what JSON can say.
    settings
        One list of values for each of m networks.
    members
        The numbers of the networks in each shard; each of 0 to m - 1 is in one shard.
    """

    configuration: dict[str, Any]
    settings: list[list[Any]]
    members: list[list[int]]

    @functools.cached_property
    def key(self) -> str:
        """The hash of the plan, which every shard carries."""
        return store.hash_json(self.content())

    def content(self) -> dict[str, Any]:
        """Return the three fields as JSON has them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def plan(configuration: dict[str, Any], settings: Sequence[Sequence[Any]], *, order: Sequence[int], size: int) -> Plan:
    """Return a plan with ``size`` networks a shard (the last one may hold fewer), taken in the order ``order``.

    Raises
    ------
    ValueError
        If there are no settings, ``size`` is below 1, or ``order`` does not name each network once.
    """
    if not settings or size < 1:
        raise ValueError(f"{len(settings)} settings, shard_size = {size}; give at least 1 of each")
    if sorted(order) != list(range(len(settings))):
        raise ValueError(f"order has {len(order)} entries; give each of 0 to {len(settings) - 1} once")
    members = [list(order[start : start + size]) for start in range(0, len(order), size)]
    return Plan(configuration, [list(setting) for setting in settings], members)


def path(folder: str | Path, number: int) -> Path:
    """Return where shard ``number`` lies."""
    return Path(folder) / f"shard-{number:05}.safetensors"


def begin(folder: str | Path, planned: Plan) -> None:
    """Write the plan into a folder, or make sure that it is the one that is there.

    Raises
    ------
    ValueError
        If the folder holds another plan: the message says what differs.
    OSError
        If the folder cannot be written to, or the disk is full.

    Warns
    -----
    UserWarning
        If ``plan.json`` is damaged: it is written again.
    """
    file = Path(folder) / "plan.json"
    store.remove_leftovers(folder, file.name)
    if not begun(folder, planned):
        if file.exists():
            warnings.warn(f"{file} is damaged: writing it again", stacklevel=3)
        store.write_json(file, planned.content())


def begun(folder: str | Path, planned: Plan) -> bool:
    """Say whether a folder holds this plan; one without a plan, or with a damaged one, does not.

    Raises
    ------
    ValueError
        If the folder holds another plan: the message says what differs.
    """
    try:
        found = read(folder)
    except (FileNotFoundError, ValueError):
        return False
    if found.key != planned.key:
        raise ValueError(
            f"{folder} belongs to another run: {_difference(found, planned)}. Give another folder, or delete this one"
        )
    return True


def _difference(found: Plan, wanted: Plan) -> str:
    """Return what differs between the plan of a folder and another one."""
    there, here = found.configuration, wanted.configuration
    names = [name for name in here | there if there.get(name) != here.get(name)]
    differences = [f"{name} is {there.get(name)} there and {here.get(name)} here" for name in names]
    if found.settings != wanted.settings:
        pairs = list(zip(found.settings, wanted.settings, strict=False))
        first = next((f"; the first other one is number {n}" for n, (a, b) in enumerate(pairs) if a != b), "")
        differences.append(f"it has {len(found.settings)} settings, here are {len(wanted.settings)}{first}")
    if not differences:
        differences.append(f"it has {len(found.members[0])} networks a shard, here are {len(wanted.members[0])}")
    return "; ".join(differences)


def read(folder: str | Path) -> Plan:
    """Return the plan of a folder.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is none; if it is damaged.
    """
    file = Path(folder) / "plan.json"
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist: {folder} holds no shards")
    content = store.read_json(file)
    names = [field.name for field in fields(Plan)]
    if not isinstance(content, dict) or sorted(content) != sorted(names):
        raise ValueError(f"{file} is damaged or foreign: it should hold {names}")
    return Plan(**content)


@contextmanager
def claim(folder: str | Path, number: int) -> Iterator[Path]:
    """Hold a shard's lock and yield its path; what a killed write of it left is removed.

    A worker that was taken for lost may still be at work on a shard: the next one waits here, then finds it done.
    """
    target = path(folder, number)
    with store.lock(target.parent / "locks" / target.stem):
        store.remove_leftovers(target.parent, target.name)
        yield target


def write(
    folder: str | Path, planned: Plan, number: int, state: dict[str, Tensor], findings: dict[str, Sequence[Any]]
) -> Path:
    """Write a shard atomically and return its path.

    Parameters
    ----------
    folder, planned, number
        Where, of which plan, and which of its shards.
    state, findings
        One entry for each of the shard's k networks, by name: tensors ``(k, ...)``; what JSON can say, for the header.

    Raises
    ------
    ValueError
        If a tensor or a finding has another length than the plan says.
    OSError
        If the disk has no room: what was there stays.
    """
    n_members = len(planned.members[number])
    lengths = {name: len(value) for name, value in (*state.items(), *findings.items())}
    if wrong := {name: length for name, length in lengths.items() if length != n_members}:
        raise ValueError(f"shard {number} has {n_members} networks, but {wrong}")
    return weights.save(path(folder, number), state, _about(planned, number) | {"findings": findings})


def _about(planned: Plan, number: int) -> dict[str, Any]:
    """Return what the header of a shard says of its place in the plan."""
    members = planned.members[number]
    return {"plan": planned.key, "members": members, "settings": [planned.settings[n] for n in members]}


def load(folder: str | Path, planned: Plan, number: int) -> tuple[dict[str, Tensor], dict[str, list]]:
    """Return the tensors ``(k, ...)``, on the CPU, and the findings of a shard; every byte is checked.

    Raises
    ------
    FileNotFoundError, ValueError
        If it has not been written; if it is damaged or of another plan. The message names the file.
    """
    target = path(folder, number)
    state, about = weights.load(target)
    return state, _findings(about, planned, number, target)


def glance(folder: str | Path, planned: Plan, number: int) -> dict[str, list]:
    """Return the findings of a shard from its header alone; the tensors are neither read nor checked.

    Raises
    ------
    FileNotFoundError, ValueError
        As ``load``; a file that was cut short is seen, a changed tensor is not.
    """
    target = path(folder, number)
    return _findings(weights.load_about(target), planned, number, target)


def _findings(about: Any, planned: Plan, number: int, target: Path) -> dict[str, list]:
    """Return the findings in a header, if it says that the shard has its place in the plan."""
    expected = _about(planned, number)
    if not isinstance(about, dict) or {name: about.get(name) for name in expected} != expected:
        raise ValueError(f"{target} belongs to another plan or another place in it")
    return about["findings"]


def finished(folder: str | Path, planned: Plan, among: Iterable[int] | None = None) -> dict[int, dict[str, list]]:
    """Return the findings of each shard, all or those ``among``, that is there and whole; reads every byte.

    Warns
    -----
    UserWarning
        For each shard that is damaged or of another plan: it does not count.
    """
    found = {}
    for number in range(len(planned.members)) if among is None else among:
        if path(folder, number).is_file():
            try:
                found[number] = load(folder, planned, number)[1]
            except ValueError as error:
                warnings.warn(f"{error}: it will be made again", stacklevel=3)
    return found
