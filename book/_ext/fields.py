"""Leave the fields of named tuples to their class: Python gives each "Alias for field number 0" for a docstring."""

from typing import Any

from sphinx.application import Sphinx


def _skip_field(app: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any) -> bool | None:
    """Say that a field is not documented on its own; None leaves the decision to autodoc."""
    return True if (getattr(member, "__doc__", None) or "").startswith("Alias for field number") else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Ask to be asked about every member."""
    app.connect("autodoc-skip-member", _skip_field)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
