"""Write every page again when something that pages share has changed.

Sphinx keeps what it knows between builds, then reads and writes only the pages whose text changed. But a page also
shows what belongs to others: their titles in the menu, the numbers of their figures, the targets of its links. So when
anything in Sphinx's memory changed that is not one page's own, all pages are written, from what was read of them
before; a link that has lost its target is then reported as in a first build.
"""

import json
from collections.abc import Mapping
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from actlib import store

# Of the process, of the clock, or of one page alone. What is not named here counts as shared, so that an unknown thing
# costs time and never a wrong page.
_OWN = {
    "all_docs", "app", "config", "config_status", "config_status_extra", "dependencies", "doctreedir", "domains",
    "events", "intersphinx_cache", "project", "settings", "shared_hash", "srcdir", "temp_data",
}  # fmt: skip
_COUNTED = "wordcount"  # of a page's metadata: changes with every edit and is shown nowhere


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it, the same in every process."""
    if isinstance(value, nodes.Node):
        return value.astext() if isinstance(value, nodes.Text) else value.pformat()
    if isinstance(value, Mapping):
        return sorted([str(key), _plain(item)] for key, item in value.items() if key != _COUNTED)
    if isinstance(value, list | tuple):
        # What names its page is in the order in which pages were read, which is no page's concern.
        return [_plain(item) for item in sorted(value, key=lambda item: str(getattr(item, "docname", "")))]
    if isinstance(value, set | frozenset):
        return sorted(json.dumps(_plain(item)) for item in value)
    return _plain(vars(value)) if hasattr(value, "__dict__") else str(value)


def digest(env: BuildEnvironment) -> str:
    """Return the hash of everything in Sphinx's memory that pages share."""
    return store.hash_json(_plain({k: v for k, v in vars(env).items() if k not in _OWN and not k.startswith("_")}))


def _all_or_none(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Return every page when what they share is not what it was at the end of the build before, else none."""
    before, env.shared_hash = getattr(env, "shared_hash", None), digest(env)
    return sorted(env.found_docs) if env.shared_hash != before else []


def _in_order(app: Sphinx, env: BuildEnvironment) -> None:
    """Put the lists of references in the order of a first build, in which the last one with a source is linked to."""
    known = env.domaindata["cite"]
    known["bibliographies"] = dict(sorted(known["bibliographies"].items(), key=lambda item: item[0].docname))


def setup(app: Sphinx) -> dict[str, bool]:
    """Ask to be asked last which pages to write, when titles, numbers and targets are known."""
    app.connect("env-updated", _in_order, priority=400)  # sphinxcontrib-bibtex reads them at 500
    app.connect("env-get-updated", _all_or_none, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
