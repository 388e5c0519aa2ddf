"""Point the button "edit" at a chapter's source, not at the built notebook; drop Thebe's script.

The theme builds a link from page name and suffix, and takes chapters for notebooks. Their source is a ``.py`` file.
"""

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

_ROOT = Path(__file__).resolve().parents[2]


def _is_chapter(page: str) -> bool:
    return page.startswith("nbs/") and (_ROOT / f"{page}.py").is_file()


def _fix_suffix(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Say that the page's source is Python, before the theme builds its buttons (at 500)."""
    if _is_chapter(page):
        context["page_source_suffix"] = ".py"


def _drop_thebe(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Remove Thebe's scripts: it is off, would load from another host, and is added twice, an error on every page."""
    context["script_files"] = [
        script
        for script in context["script_files"]
        if "thebe" not in str(getattr(script, "filename", script) or "")
        and "THEBE_JS_URL" not in str(getattr(script, "attributes", {}).get("body", ""))
    ]


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the corrections to the moment before a page is written."""
    app.connect("html-page-context", _fix_suffix, priority=100)
    app.connect("html-page-context", _drop_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
