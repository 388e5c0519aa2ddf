"""The ledger of one chapter's run: what it is made with, and every number, figure and check that it reports.

``report`` is the face that chapters use. The book's driver reads the entries from the executed notebook's outputs,
or, where a chapter ran as plain Python, from ``entries``.
"""

import base64
import time
from typing import Any, NamedTuple

from actlib.provenance import device_name


class Entry(NamedTuple):
    """One reported thing: its kind, what is known of it, and what a figure shows: PNG bytes, or a slider as JSON."""

    kind: str
    payload: dict[str, Any]
    content: bytes | None = None


_entries: list[Entry] = []
run: dict[str, Any] = {}


def entries() -> list[Entry]:
    """Return what has been reported since ``start``, in order."""
    return list(_entries)


def start(slug: str, *, profile: str, seed: int, device: Any = "cpu") -> None:
    """Begin the report of a chapter: empty the ledger and note what the run is made with.

    Parameters
    ----------
    slug
        The chapter's name, such as ``01_maps``.
    profile
        ``quick``, ``real`` or ``paper``.
    seed
        The seed of the run.
    device
        Where the chapter computes, a ``torch.device`` or its name.
    """
    _entries.clear()
    run.clear()
    run.update(slug=slug, profile=profile, seed=seed, device=device_name(device), began=time.perf_counter())
    source("nothing yet")


def source(data: str, *, stand_in: str | None = None) -> None:
    """Say which data the next numbers and figures come from.

    Parameters
    ----------
    data
        The data set in words, such as ``"MNIST, 10,000 test images"``.
    stand_in
        What the document used, when ``data`` stands in for it.
    """
    run.update(data=data, stand_in=stand_in)


def require_start() -> None:
    """Raise ValueError if no report has been started."""
    if not run:
        raise ValueError("no report has begun; call report.start(slug, profile=..., seed=...) first")


def emit(kind: str, payload: dict, bundle: dict, metadata: dict | None = None, content: bytes | None = None) -> None:
    """Append an entry to the ledger and display it; the notebook keeps the payload in the output's metadata."""
    require_start()
    _entries.append(Entry(kind, payload, content))
    show(bundle, {"actlib": {kind: payload}, **(metadata or {})})


def show(bundle: dict[str, Any], metadata: dict[str, Any]) -> None:
    """Display in a notebook; do nothing in plain Python, where the ledger is read instead."""
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        return
    if get_ipython() is not None:
        bundle = {key: base64.b64encode(v).decode() if isinstance(v, bytes) else v for key, v in bundle.items()}
        display(bundle, raw=True, metadata=metadata)
