"""Execute chapters, several at once, each in a process of its own with a share of the processors."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

from actlib import store
from driver import BuildError
from driver.chapter import Book, Chapter
from driver.notebook import Event, Notebook, compose, events, fill, injection

# Seconds between two signs of life of a chapter that works long.
_HEARTBEAT = 30.0
_START = "import runpy, sys; sys.path.insert(0, sys.argv[1]); runpy.run_module(sys.argv[2], run_name='__main__')"


class Options(NamedTuple):
    """How chapters are executed."""

    jobs: int = 1
    timeout: int = 3600
    plain: bool = False


class Done(NamedTuple):
    """An executed chapter: its notebook (None where it ran as plain Python), what it reported, its seconds."""

    notebook: Notebook | None
    events: list[Event]
    seconds: float


def execute(
    book: Book, chapters: list[Chapter], stale: dict[str, list[str]], options: Options
) -> Iterator[tuple[Chapter, Done | BuildError]]:
    """Execute ``chapters`` and yield each, with its result or its failure, as soon as it is finished."""
    _kernelspec(book)
    pool = ThreadPoolExecutor(options.jobs)
    processes: list[subprocess.Popen] = []
    waiting = {pool.submit(_one, book, c, stale.get(c.slug, []), options, processes): c for c in chapters}
    try:
        while waiting:
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                chapter = waiting.pop(future)
                error = future.exception()
                if error and not isinstance(error, BuildError):
                    raise error
                yield chapter, error or future.result()
    finally:  # also when the build is interrupted
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            if process.poll() is None:
                process.terminate()


def _one(book: Book, chapter: Chapter, stale: list[str], options: Options, processes: list[subprocess.Popen]) -> Done:
    """Execute one chapter; the work folder is removed when it succeeds and kept for a look when it fails."""
    folder = book.build / "work" / chapter.profile / chapter.slug
    shutil.rmtree(folder, ignore_errors=True)
    job = {"cwd": str(book.root / "nbs"), "timeout": options.timeout, "cells": _cells(chapter)}
    store.write_json(folder / "job.json", job)
    store.write_json(folder / "in.ipynb", compose(chapter))
    module = "driver.plain" if options.plain else "driver.kernel"
    command = [sys.executable, "-c", _START, str(Path(__file__).parents[1]), module, str(folder / "job.json")]
    began = time.perf_counter()
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            command, cwd=job["cwd"], env=environment(book, chapter, stale, options), stdout=log, stderr=log
        )
        processes.append(process)
        _watch(process, chapter, folder, began, options)
    seconds = round(time.perf_counter() - began, 1)
    _raise_failure(chapter, folder)
    notebook = None if options.plain else fill(chapter, store.read_json(folder / "out.ipynb"))
    found = events(notebook) if notebook else _plain_events(folder)
    shutil.rmtree(folder)
    return Done(notebook, found, seconds)


def _cells(chapter: Chapter) -> list[tuple[int, str, list[str]]]:
    """Return number, code and tags of what to run, the profile's parameters with number 0."""
    cells = []
    for cell in chapter.code:
        cells.append((cell.number, cell.source, cell.tags))
        if "parameters" in cell.tags:
            cells.append((0, injection(chapter), []))
    return cells


def environment(book: Book, chapter: Chapter, stale: list[str], options: Options) -> dict[str, str]:
    """Return the environment of a chapter: this checkout's package and style, and a share of the processors."""
    env = {key: value for key, value in os.environ.items() if key != "MPLBACKEND"}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # One thread is the budget of quick, and makes its numbers the same however many chapters run at once.
    share = 1 if chapter.profile == "quick" else max(1, cores // options.jobs)
    env |= {
        "PYTHONPATH": book.python_path,
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": env.get("OMP_NUM_THREADS") or str(share),
        "MATPLOTLIBRC": str(book.root / "book" / "matplotlibrc"),
        "ACTLIB_BOOK": str(book.root),
        "ACTLIB_STALE": ",".join(stale),
        "ACTLIB_CHAPTER_HASH": chapter.hash,
        # A kernel of the running interpreter, whatever the user has installed under the same name, and
        # without the user's own start-up files.
        "JUPYTER_PATH": os.pathsep.join(filter(None, [str(book.build / "jupyter"), env.get("JUPYTER_PATH")])),
        "IPYTHONDIR": str(book.build / "jupyter" / "ipython"),
    }
    return env | ({"MPLBACKEND": "Agg"} if options.plain else {})


def _kernelspec(book: Book) -> None:
    launch = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--HistoryManager.enabled=False"]
    content = {"argv": launch, "display_name": "Python 3", "language": "python"}
    store.write_json(book.build / "jupyter" / "kernels" / "python3" / "kernel.json", content)


def _watch(process: subprocess.Popen, chapter: Chapter, folder: Path, began: float, options: Options) -> None:
    """Wait for a chapter; say now and then where it is; end it when one cell takes longer than allowed."""
    told, cell, since = began, None, began
    while True:
        try:
            process.wait(timeout=0.2)
            return
        except subprocess.TimeoutExpired:
            now, at = time.perf_counter(), _progress(folder)
        if at != cell:
            cell, since = at, now
        if now - told > _HEARTBEAT:
            told = now
            where = f"cell {at[0]}, {at[1]} of {at[2]} done" if at else "starting"
            print(f"{chapter.slug:<20} {now - began:7.0f} s  {where}", flush=True)
        # nbclient has a limit of its own and says more; this one is for plain runs and hung kernels.
        if now - since > options.timeout + (0 if options.plain else 60):
            process.kill()
            process.wait()
            message = f"a cell took longer than --timeout {options.timeout} s"
            store.write_json(folder / "outcome.json", {"error": f"TimeoutError: {message}"})
            return


def _progress(folder: Path) -> list[int] | None:
    """Return cell number, cells done and cells in all, or None before the first."""
    path = folder / "progress.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _raise_failure(chapter: Chapter, folder: Path) -> None:
    """Raise what ended a chapter's run, naming its cell."""
    path, at = folder / "outcome.json", _progress(folder)
    name = next((cell.name for cell in chapter.cells if at and cell.number == at[0]), "the parameters" if at else "")
    if not path.is_file():
        log = (folder / "log").read_text(encoding="utf-8", errors="replace").strip()
        if at:
            raise BuildError(chapter.slug, f"{name}: the process ended; was it killed, or short of memory?", log)
        raise BuildError(chapter.slug, (log.splitlines() or ["the process did not start"])[-1], log)
    outcome = store.read_json(path)
    if "error" in outcome:
        raise BuildError(chapter.slug, f"{name}: {outcome['error']}", outcome.get("traceback", ""))


def _plain_events(folder: Path) -> list[Event]:
    """Return what a plain run reported, with its pictures."""
    found = store.read_json(folder / "outcome.json")["events"]
    return [
        Event(cell, kind, payload, (folder / name).read_bytes() if name else None)
        for cell, kind, payload, name in found
    ]
