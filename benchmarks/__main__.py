"""Run jobs of this folder, print one table, and write them to ``results/bench/<device>.json``.

Usage: ``python -m benchmarks [job ...] [--device cpu] [--threads 1] [--dry]``. Jobs that are not
named keep what they have there.
"""

import argparse
import importlib
import json
import pkgutil
import platform
from importlib.metadata import version
from pathlib import Path

import torch

import benchmarks
from actlib import provenance, store
from benchmarks import Row

JOBS = sorted(job.name for job in pkgutil.iter_modules(benchmarks.__path__) if not job.name.startswith("_"))
RESULTS = Path(__file__).parents[1] / "results" / "bench"


def processor(device: str) -> str:
    """Return the name of what computes."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, None) or platform.processor() or platform.machine()


def duration(seconds: float | None) -> str:
    """Return a time with its unit, in three figures."""
    if seconds is None:
        return "not run"
    scale, unit = next((s, u) for s, u in ((1, "s"), (1e3, "ms"), (1e6, "us")) if seconds * s >= 1 or u == "us")
    return f"{seconds * scale:#.3g} {unit}".replace(". ", " ")


def table(rows: list[Row]) -> str:
    """Return the rows as aligned text: job, ours, each peer, ratio, target, met."""
    peers = list(dict.fromkeys(name for row in rows for name in row.peers))
    lines = [["job", "ours", *peers, "ratio", "target", "met"]]
    for row in rows:
        times = (duration(row.peers[name]) if name in row.peers else "-" for name in peers)
        lines.append([row.job, duration(row.ours), *times, f"{row.ratio:.3f}", row.target, "yes" if row.met else "NO"])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Time ours beside its peers.")
    parser.add_argument("jobs", nargs="*", metavar="job", help=f"of {', '.join(JOBS)}; all, if none is named")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dry", action="store_true", help="write nothing")
    options = parser.parse_args()
    if unknown := set(options.jobs) - set(JOBS):
        parser.error(f"unknown job {sorted(unknown)}; there are {JOBS}")
    torch.set_num_threads(options.threads)
    rows, path = [], RESULTS / f"{options.device}.json"
    for job in options.jobs or JOBS:
        print(f"{job} on {processor(options.device)}, threads: {options.threads}", flush=True)
        rows += (found := importlib.import_module(f"benchmarks.{job}").rows(options.device))
        if not options.dry:
            keep(path, job, found, options)
    print(table(rows))


def keep(path: Path, job: str, rows: list[Row], options: argparse.Namespace) -> None:
    """Write the rows of one job beside those of the others, with what they were measured on."""
    jobs = json.loads(path.read_text())["jobs"] if path.exists() else {}
    jobs[job] = {
        "processor": processor(options.device), "threads": options.threads,
        "versions": provenance.versions() | {"captum": version("captum")}, "rows": [row._asdict() for row in rows],
    }  # fmt: skip
    kept = {name: jobs[name] for name in sorted(jobs) if name in JOBS}
    store.write_json(path, {"device": options.device, "jobs": kept})


if __name__ == "__main__":
    main()
