"""Run a chapter's notebook with papermill, in a process of its own. Started by ``driver.run`` with a job's path."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import papermill
from papermill.engines import NBClientEngine, papermill_engines

from driver.plain import follow_parent, save

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_FOLDER = Path(sys.argv[-1]).parent


class Told(NBClientEngine):
    """Papermill's own engine, which also says which cell it is at."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> None:
        """Execute the notebook; before each cell, write its number to ``progress.json``."""
        start, cells = nb_man.cell_start, nb_man.nb.cells

        def tell(cell: Any, cell_index: int, **more: Any) -> None:
            name = cell["id"].removeprefix("cell-")
            save(_FOLDER / "progress.json", [int(name) if name.isdigit() else 0, cell_index, len(cells)])
            start(cell, cell_index, **more)

        nb_man.cell_start = tell
        super().execute_managed_notebook(nb_man, kernel_name, **options)
        for cell in nb_man.nb.cells:
            if "raises-exception" in cell.metadata.get("tags", []):
                # Papermill ends a run at any error it sees, so those that a chapter shows on purpose step aside.
                cell.metadata["raised"], cell.outputs = cell.outputs, []


def main(job: dict) -> dict:
    """Execute the job's notebook; return the failing cell and its error, or nothing."""
    papermill_engines.register("told", Told)
    try:
        papermill.execute_notebook(
            str(_FOLDER / "in.ipynb"), str(_FOLDER / "out.ipynb"), engine_name="told", kernel_name="python3",
            progress_bar=False, cwd=job["cwd"], execution_timeout=job["timeout"], request_save_on_cell_execute=False,
        )  # fmt: skip
    except papermill.PapermillExecutionError as error:
        text = _COLOURS.sub("", "\n".join(error.traceback))
        return {"error": f"{error.ename}: {error.evalue}", "traceback": text}
    except Exception as error:  # a dead kernel, a cell over its time: nbclient's messages name the cause
        text = _COLOURS.sub("", str(error)).strip()
        return {"error": f"{type(error).__name__}: {text.splitlines()[0] if text else ''}", "traceback": text}
    return {}


if __name__ == "__main__":
    follow_parent()
    save(_FOLDER / "outcome.json", main(json.loads(Path(sys.argv[-1]).read_text(encoding="utf-8"))))
