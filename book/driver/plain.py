"""Run a chapter's cells as plain Python: for machines without Jupyter, in a process of its own.

Started by ``driver.run`` with the path of a job. Imports the standard library only; what was reported is read from
``actlib.report`` where the chapter used it, and written beside the job.
"""

import json
import linecache
import os
import sys
import threading
import time
import traceback
import types
from pathlib import Path


def follow_parent() -> None:
    """End this process when the one that started it is gone, so that a killed build leaves nothing running."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def save(path: Path, content: object) -> None:
    """Write JSON in one move, because the other process may be reading."""
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(content), encoding="utf-8")
    os.replace(temporary, path)


def main(job: dict, folder: Path) -> None:
    """Run the cells of ``job`` in one namespace and write ``outcome.json`` and what figures show into ``folder``."""
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module  # classes and functions of a chapter can be pickled
    events: list[list] = []
    outcome: dict = {"events": events}
    for index, (number, source, tags) in enumerate(job["cells"]):
        save(folder / "progress.json", [number, index, len(job["cells"])])
        error = _run(number, source, module)
        _collect(number, events, folder)
        if (error is None) == ("raises-exception" in tags):
            outcome |= error or {"error": "raised nothing, but is tagged raises-exception"}
            break
    save(folder / "outcome.json", outcome)


def _run(number: int, source: str, module: types.ModuleType) -> dict[str, str] | None:
    """Run one cell; return its error and traceback, or None."""
    name = f"<cell {number}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    try:
        exec(compile(source, name, "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        frames = error.__traceback__.tb_next if error.__traceback__ else None
        text = "".join(traceback.format_exception(type(error), error, frames))
        return {"error": f"{type(error).__name__}: {error}", "traceback": text}
    return None


def _collect(number: int, events: list[list], folder: Path) -> None:
    """Append what the cell reported to ``events``: cell, kind, payload, name of the figure's file or None."""
    report = sys.modules.get("actlib.report")
    for kind, payload, content in report.entries()[len(events) :] if report else []:
        name = f"{len(events)}.figure" if content else None
        if content:
            (folder / name).write_bytes(content)
        events.append([number, kind, payload, name])


if __name__ == "__main__":
    follow_parent()
    job_path = Path(sys.argv[-1])
    main(json.loads(job_path.read_text(encoding="utf-8")), job_path.parent)
