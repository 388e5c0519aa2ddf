"""Point a page's buttons at what is there: "edit" and Binder at a chapter's source, Colab at its published notebook.

The theme builds a link from page name and suffix, and takes chapters for notebooks. Their source is a ``.py`` file on
the branch of the book; the executed notebook, which Colab needs, is on the branch ``notebooks``. The address of all is
``repository.url`` in ``_config.yml``; a page that has to print it writes ``{repository}``. Thebe's script is dropped.
"""

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

NOTEBOOKS = "notebooks"
_ROOT = Path(__file__).resolve().parents[2]


def _is_chapter(page: str) -> bool:
    return page.startswith("nbs/") and (_ROOT / f"{page}.py").is_file()


def _fix_suffix(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Say that the page's source is Python, before the theme builds its buttons (at 500)."""
    if _is_chapter(page):
        context["page_source_suffix"] = ".py"


def _fix_launch(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Give the buttons that start a chapter elsewhere the files that these places can open (the theme's are at 501)."""
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []) if group.get("label") == "launch-buttons" else []:
            button["url"] = launched(button["text"], button["url"], page, app.config.html_theme_options)


def launched(place: str, url: str, page: str, options: dict[str, Any]) -> str:
    """Return the address behind a button, given the one that the theme made for ``page`` with its notebook's suffix."""
    branch = options.get("repository_branch") or "main"
    if place == "Binder":
        return url.replace(f"{page}.ipynb", f"{page}.py")
    if place == "Colab":
        return url.replace(f"/blob/{branch}/{page}", f"/blob/{NOTEBOOKS}/{page}")
    return url


def _name_repository(app: Sphinx, page: str, source: list[str]) -> None:
    """Print the repository's address where a page asks for it, also within a block of code."""
    source[0] = source[0].replace("{repository}", app.config.html_theme_options["repository_url"].rstrip("/"))


def _drop_thebe(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Remove Thebe's scripts: it is off, would load from another host, and is added twice, an error on every page."""
    context["script_files"] = [
        script
        for script in context["script_files"]
        if "thebe" not in str(getattr(script, "filename", script) or "")
        and "THEBE_JS_URL" not in str(getattr(script, "attributes", {}).get("body", ""))
    ]


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the corrections to the moment before a page is read or written."""
    app.connect("source-read", _name_repository)
    app.connect("html-page-context", _fix_suffix, priority=100)
    app.connect("html-page-context", _fix_launch, priority=900)
    app.connect("html-page-context", _drop_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
