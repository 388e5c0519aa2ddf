"""Mend what the theme and the extensions write and screen readers or browsers stumble over.

Each has its rule in ``tests/rules.py``, which fails when the correction is no longer made.
"""

from typing import Any

from sphinx.application import Sphinx

_CORRECTIONS = {
    # docutils: the role is deprecated, and its list takes items only
    'role="doc-biblioentry"': 'role="listitem"',
    # MyST-NB: the label hides the words of the summary, such as "Show the solution"
    '<summary aria-label="Toggle hidden content">': "<summary>",
    # sphinx-exercise and sphinx-proof: one id for every box of a page
    ' id="exercise-content"': "",
    ' id="proof-content"': "",
    ' id="proof"': "",
}


def _correct(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Replace the faulty markup in a page's body before it is written."""
    for faulty, sound in _CORRECTIONS.items():
        context["body"] = context.get("body", "").replace(faulty, sound)


def _name_toggles(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Give the menu's toggles, of which a reader sees a chevron alone, a name that is read out."""
    made = context.get("generate_toctree_html")
    if made:
        sound = '<summary aria-label="Pages below this one">'
        context["generate_toctree_html"] = lambda *args, **kw: str(made(*args, **kw)).replace("<summary>", sound)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the corrections to the moment before a page is written."""
    app.connect("html-page-context", _correct)
    app.connect("html-page-context", _name_toggles, priority=900)  # the theme's function is there from 500 on
    return {"parallel_read_safe": True, "parallel_write_safe": True}
