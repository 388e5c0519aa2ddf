"""The page of timings: every job of ``benchmarks/`` with its peers, its bound, its target, and whether that was met.

The times are those of ``results/bench/<device>.json``. What a record does not say, the job's module does: what is asked
for, which peers are none but bounds, and why a target was missed. These constants are read without importing the
module, which would need every peer.
"""

import ast
from typing import Any, NamedTuple

from actlib import store
from driver import BuildError, charts, scorecard
from driver.chapter import Book

DEVICES = ("cpu", "cuda")
PICTURE = "book/made/timings-{device}.svg"
KINDS = ("bound", "target", "estimate", "quoted")
_HEAD = """(benchmarks)=
# How fast it is

This page is generated from the records in `results/bench`. It lists {jobs} jobs of the package, {measured} of them
measured so far: beside other programs that do the same, in one process, in turns. {counts}

A time is the median of the rounds. How many times as fast ours is than the first peer is the median of the ratios of
each round; it need not be the ratio of the two medians.

*Peers* do the job as a user would do it without this package. A *bound* is work that nobody can leave out, such as the
products themselves: ours cannot be faster, and its share of our time says how little is wasted. An *estimate* is the
time of a few calls, multiplied; a *quoted* time comes from another source and another machine.
"""
_FIGURE = """```{{figure}} {picture}
:name: fig-timings-{device}
:alt: {alt}
:figclass: timings

How many times as fast as each peer ours is, on a logarithmic axis, on {where}. Left of the line at one, the peer is
faster. Grey: bounds and allowed times. Orange: a row that missed a target.
```
"""
_EMPTY = (ast.Call, ast.Attribute, ast.Lambda, ast.comprehension)


class Job(NamedTuple):
    """What a module of ``benchmarks/`` says of itself.

    Attributes
    ----------
    name
        The module's name.
    title
        The first paragraph of its docstring, one sentence.
    about
        The others: sizes, peers, and what the times are those of.
    asked
        What is to be reached, in words, by device; a device that it does not run on is missing.
    kinds
        Which of its peers are none: a bound, a target, an estimate or quoted.
    missed
        Why a target is missed, by the beginning of the row's name.
    """

    name: str
    title: str
    about: str
    asked: dict[str, str]
    kinds: dict[str, str]
    missed: dict[str, str]


class Peer(NamedTuple):
    """A peer's seconds and kind in one row, and how many times as fast as it ours is; None where it was not run."""

    name: str
    kind: str
    seconds: float | None
    faster: float | None


def constants(source: str) -> dict[str, Any]:
    """Return the constants of a module that are made of literals and of one another, without importing it."""
    found: dict[str, Any] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and not any(isinstance(part, _EMPTY) for part in ast.walk(node.value)):
            try:
                # Names, literals and operators: nothing that could act.
                exec(compile(ast.Module([node], []), "constants", "exec"), {"__builtins__": {}}, found)
            except NameError:  # made of something that is no constant
                continue
    return found


def jobs(book: Book) -> list[Job]:
    """Return what the modules of ``benchmarks/`` say, sorted by name; none where a book has no such folder.

    Raises
    ------
    BuildError
        If a module does not say what is asked for, or calls a peer something unknown.
    """
    found = []
    for path in sorted((book.root / "benchmarks").glob("[a-z]*.py")):
        source = path.read_text(encoding="utf-8")
        given, where = constants(source), f"benchmarks/{path.name}"
        asked, kinds = given.get("ASKED"), given.get("KINDS", {})
        asked = dict.fromkeys(DEVICES, asked) if isinstance(asked, str) else asked
        if not asked or set(asked) - set(DEVICES):
            raise BuildError(where, "has no ASKED; say what is to be reached, in words, or by device: cpu, cuda")
        if strange := sorted(set(kinds.values()) - set(KINDS)):
            raise BuildError(where, f"KINDS has {', '.join(strange)}; a peer may be {', '.join(KINDS)}")
        text = (ast.get_docstring(ast.parse(source)) or path.stem).replace("``", "`")
        title, *about = (" ".join(part.split()) for part in text.split("\n\n"))
        found.append(Job(path.stem, title, "\n\n".join(about), asked, kinds, given.get("MISSED", {})))
    return found


def records(book: Book) -> dict[str, dict[str, Any]]:
    """Return the record of each job by device and job."""
    paths = {device: book.root / "results" / "bench" / f"{device}.json" for device in DEVICES}
    return {device: store.read_json(path)["jobs"] for device, path in paths.items() if path.is_file()}


def peers(job: Job, row: dict[str, Any]) -> list[Peer]:
    """Return the peers of a row, in the order of the record; the first one's ratio is that of pairs."""
    found = []
    for k, (name, seconds) in enumerate(row["peers"].items()):
        faster = None if seconds is None else (1 / row["ratio"] if k == 0 else seconds / row["ours"])
        found.append(Peer(name, job.kinds.get(name, "peer"), seconds, faster))
    return found


def verdict(row: dict[str, Any]) -> str:
    """Return whether a row's target was reached; what is only reported has none."""
    if row["target"].startswith("reported"):
        return "no target"
    return "met" if row["met"] else "missed"


def reason(job: Job, row: dict[str, Any]) -> str:
    """Return why a row misses its target, as far as the job says it."""
    return next((text for start, text in job.missed.items() if row["job"].startswith(start)), "")


def pictures(book: Book) -> dict[str, bytes]:
    """Return a picture of the rows of each device, by its name in the staged book."""
    found = {}
    for device, kept in records(book).items():
        known = {job.name: job for job in jobs(book)}
        rows = [(row, peers(known[name], row)) for name in kept if name in known for row in kept[name]["rows"]]
        bars = [(row["job"], verdict(row), [peer for peer in mine if peer.faster]) for row, mine in rows]
        found[PICTURE.format(device=device)] = charts.speeds([bar for bar in bars if bar[2]], book)
    return found


def page(book: Book) -> str:
    """Return the page, in MyST Markdown."""
    known, kept = jobs(book), records(book)
    rows = [row for found in kept.values() for job in known if job.name in found for row in found[job.name]["rows"]]
    verdicts = [verdict(row) for row in rows]
    counts = (
        f"Of {len(rows)} rows {verdicts.count('met')} met their target, {verdicts.count('missed')} missed it, and "
        f"{verdicts.count('no target')} have none."
    )
    measured = {job.name for job in known for found in kept.values() if job.name in found}
    parts = [
        _HEAD.format(
            jobs=len(known), measured=len(measured), counts=counts if rows else "Nothing has been measured yet."
        )
    ]
    for device in DEVICES:
        parts += _device(device, known, kept.get(device, {}))
    parts += ["## How each job is timed", ""]
    parts += [f"**{job.title}**\n\n{job.about}\n" for job in known]
    return "\n".join(parts)


def _device(device: str, known: list[Job], kept: dict[str, Any]) -> list[str]:
    """Return the section of one device: the figure and the table, then what was not measured."""
    measured = [job for job in known if job.name in kept]
    others = [job for job in known if job.name not in kept]
    where = " and ".join(dict.fromkeys(kept[job.name]["processor"] for job in measured))
    parts = [f"## {'On a GPU' if device == 'cuda' else 'On a processor'}{f': {where}' if where else ''}", ""]
    if measured:
        rows = [(job, row) for job in measured for row in kept[job.name]["rows"]]
        drawn = [(job, row) for job, row in rows if any(peer.faster for peer in peers(job, row))]
        compared = [peer for job, row in rows for peer in peers(job, row) if peer.kind == "peer" and peer.faster]
        ahead = sum(peer.faster > 1 for peer in compared)
        alt = (
            f"Bars for {len(drawn)} rows of the table. Ours is faster than the peer in {ahead} of {len(compared)} "
            f"comparisons, at best {max((peer.faster for peer in compared), default=1):,.0f} times; "
            f"the {_missed(drawn)} in orange "
            f"missed their target."
        )
        parts += [_FIGURE.format(picture=f"made/timings-{device}.svg", device=device, alt=alt, where=where)]
        parts += _table(["job", "ours", "peers", "bound", "target", "result"], [_cells(*row) for row in rows])
        parts += ["", _made(measured, kept), ""]
    if others:
        parts += ["Not measured here so far:" if measured else "No job has been measured here so far:", ""]
        body = [[scorecard.plain(job.title), scorecard.plain(_asked(job, device))] for job in others]
        parts += [*_table(["job", "target"], body), ""]
    return parts


def _missed(rows: list[tuple[Job, dict[str, Any]]]) -> int:
    return sum(verdict(row) == "missed" for _, row in rows)


def _asked(job: Job, device: str) -> str:
    """Return what is asked of a job that has no record."""
    return f"not measured; asked for: {job.asked[device]}" if device in job.asked else "does not run on this device"


def _made(measured: list[Job], kept: dict[str, Any]) -> str:
    """Return with how many threads and which versions the times were made."""
    threads = sorted({kept[job.name]["threads"] for job in measured})
    torch = sorted({kept[job.name]["versions"]["torch"] for job in measured})
    many = "thread" if threads == [1] else "threads"
    words = f"Made with {' or '.join(map(str, threads))} {many} where a row does not say otherwise, and PyTorch "
    return f"{words}{' or '.join(torch)}. The code of a job is its module in `benchmarks/`; `make bench` runs all."


def _cells(job: Job, row: dict[str, Any]) -> list[str]:
    """Return the cells of one row."""
    mine = peers(job, row)
    others = [_told(peer) for peer in mine if peer.kind in ("peer", "estimate", "quoted")]
    limits = [_share(peer) for peer in mine if peer.kind in ("bound", "target")]
    result = verdict(row)
    if result == "missed":
        result = f"**missed** {scorecard.plain(reason(job, row) or 'The reason is not known.')}"
    plain = [scorecard.plain(text) for text in (row["job"], seconds(row["ours"]))]
    lists = [scorecard.plain("; ".join(texts)) or "–" for texts in (others, limits)]
    return [*plain, *lists, scorecard.plain(row["target"]), result]


def _told(peer: Peer) -> str:
    """Return a peer's time and how many times as fast ours is."""
    kind = "" if peer.kind == "peer" or peer.kind in peer.name else f" ({peer.kind})"
    times = "" if peer.faster is None else f", ours {peer.faster:.3g} times as fast"
    return f"{peer.name}{kind}: {seconds(peer.seconds)}{times}"


def _share(peer: Peer) -> str:
    """Return a bound's time and its share of ours."""
    return f"{peer.name}: {seconds(peer.seconds)}" + f", {peer.faster:.0%} of ours" * (peer.kind == "bound")


def seconds(value: float | None) -> str:
    """Return a time with its unit, in three figures."""
    if value is None:
        return "not run"
    scale, unit = next((s, u) for s, u in ((1, "s"), (1e3, "ms"), (1e6, "µs")) if value * s >= 1 or u == "µs")
    return f"{value * scale:#.3g}".rstrip(".") + f" {unit}"


def _table(head: list[str], body: list[list[str]]) -> list[str]:
    rows = ["| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *body]]
    return [f"```{{container}} stacked-table columns-{len(head)}", "", *rows, "", "```"]
