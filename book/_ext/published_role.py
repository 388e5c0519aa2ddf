"""Numbers in prose that no cell of the page computes: published ones, and those of our larger runs.

``{published}`F10-dims``` prints the headline of an experiment, ``{published}`F10-dims/lenet-max``` one of its values,
as the document prints them; both come from ``book/published.yml``. ``{recorded}`F1-lenet-maps/accuracy``` prints the
number of that id from the record of the largest run, with a mark where an earlier version of the chapter made it. Which
records are such, the driver says in ``ACTLIB_STALE_RECORDS``: ``real/01_maps,paper/02_rectangles``.
"""

import difflib
import os
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

from actlib import published as published_values
from actlib import store

_PATH = Path(__file__).resolve().parents[1] / "published.yml"
_logger = logging.getLogger(__name__)


def _load(app: Sphinx) -> None:
    app.published = yaml.safe_load(_PATH.read_text(encoding="utf-8"))


def printed(table: dict[str, Any], text: str) -> str:
    """Return the text of a published value.

    Raises
    ------
    KeyError
        If there is no such experiment or value; the message names the nearest ones.
    """
    id, _, key = text.strip().partition("/")
    if id not in table:
        raise KeyError(f"unknown published id {id!r}; {_nearest(id, table)}")
    entry = table[id]
    name = key or entry.get("headline")
    if not name:
        raise KeyError(f"{id!r} has no headline; {_nearest(key, entry['values'], id)}")
    if name not in entry["values"]:
        raise KeyError(f"{id!r} has no value {name!r}; {_nearest(name, entry['values'], id)}")
    return str(entry["values"][name]["text"])


def _nearest(word: str, names: Any, id: str = "") -> str:
    near = difflib.get_close_matches(word, names, n=3, cutoff=0.4) or list(names)[:3]
    return "nearest: " + (", ".join(f"{id}/{name}" if id else name for name in near) or "none, it has no values")


class Published(SphinxRole):
    """Print a published value; an unknown one is a warning, which ends the build."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the text as an inline node."""
        self.env.note_dependency(str(_PATH))
        try:
            value = printed(self.env.app.published, self.text)
        except KeyError as error:
            _logger.warning(error.args[0], location=self.get_location(), type="published")
            value = self.text
        return [nodes.inline(self.rawtext, value, classes=["published"])], []


class Recorded(SphinxRole):
    """Print a number of the largest recorded run; an unknown one is a warning, which ends the build."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the number as an inline node."""
        path, value = find(_PATH.parents[1] / "results", self.text.strip())
        if path:
            self.env.note_dependency(str(path))
        else:
            _logger.warning(f"no record has the number {self.text!r}", location=self.get_location(), type="published")
        return [nodes.inline(self.rawtext, value or self.text, classes=["recorded"])], []


def recorded(results: Path, id: str) -> str | None:
    """Return the number of an id as written for readers, of the largest run that has it, or None."""
    return find(results, id)[1]


def find(results: Path, id: str) -> tuple[Path, str] | tuple[None, None]:
    """Return the record of the largest run that has a number of this id, and the number as written for readers."""
    stale = os.environ.get("ACTLIB_STALE_RECORDS", "").split(",")
    for profile in ("paper", "real"):
        for path in sorted((results / profile).glob("*.json")):
            number = store.read_json(path)["numbers"].get(id)
            if number:
                mark = " (earlier version)" * (f"{profile}/{path.stem}" in stale)
                return path, published_values.format_value(number["value"], number["unit"]) + mark
    return None, None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the role and read the values when Sphinx starts."""
    app.connect("builder-inited", _load)
    app.add_role("published", Published())
    app.add_role("recorded", Recorded())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
