"""The driver's reader of chapters, against jupytext."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book"))  # the driver is no part of the package

from driver import BuildError, percent  # noqa: E402

NASTY = r'''# ---
# jupyter:
#   jupytext:
#     cell_markers: 'r"""'
# ---

# A note before the first cell.

# %% [markdown]
r"""
# Title with '\alpha' and QQQ and
# %% no cell
"""

# %% [markdown] tags=["remove-cell"]
# In comments, $x$
#
# - an item

# %% tags=["hide-input", "exercise"] mystnb={"image": {"alt": "a ] b = \"c\""}}
text = """
# %% no cell either
# %% [markdown]
"""
other = f"""{text}
# %%
"""  # %% no cell

# %% A title [markdown]
"""in one line"""

# %%

"""A docstring is code."""


#%% tags=["remove-cell"]
if text:
    # an indented comment
    pass

# %% [markdown]
r"""

blank lines within

"""
'''.replace("QQQ", "'" * 3)


def assert_as_jupytext(text):
    """Check that the driver reads ``text`` as jupytext does."""
    jupytext = pytest.importorskip("jupytext", reason="not installed: pip install .[book]")

    theirs = jupytext.reads(text, fmt="py:percent").cells
    mine = percent.parse(text, "test")
    assert [(cell.kind, cell.source, cell.tags) for cell in mine] == [
        (cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in theirs
    ]
    assert [cell.metadata.get("mystnb") for cell in mine] == [cell.metadata.get("mystnb") for cell in theirs]


def test_nasty_cells_are_read_as_jupytext_reads_them():
    assert len(percent.parse(NASTY, "test")) == 8
    assert_as_jupytext(NASTY)


@pytest.mark.parametrize("path", sorted((ROOT / "nbs").glob("*.py")), ids=lambda path: path.stem)
def test_chapters_are_read_as_jupytext_reads_them(path):
    assert_as_jupytext(path.read_text(encoding="utf-8"))


def test_windows_line_ends_and_a_byte_order_mark_make_no_difference(tmp_path):
    (tmp_path / "a.py").write_bytes(b"\xef\xbb\xbf" + NASTY.replace("\n", "\r\n").encode())
    assert percent.read(tmp_path / "a.py") == percent.parse(NASTY, "a")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("# %%\nif 1:\n    # %% here\n    pass\n", "line 3: a cell begins with"),
        ("# %%\n# %%time\n", "line 2: a cell begins with"),
        ("# %%\n# %matplotlib inline\n", "line 2: JupyterLab would run"),
        ("# %%\n# !pip list\n", "line 2: JupyterLab would run"),
        ("# %%\n# copy the weights\n", "line 2: JupyterLab would run"),
        ("# %% [raw]\n", "line 1: cells are code or"),
        ("# %% tags=[\"a\"\n", "line 1: cannot read"),
        ("# %% tags=[1]\n", "line 1: tags are a list of names"),
        ("# %%\nx = '''\n", "is a bracket or a string left open"),
        ("# %% [markdown]\nx = 1\n", "a markdown cell is one"),
    ],
)  # fmt: skip
def test_what_jupytext_would_read_differently_is_refused(text, cause):
    with pytest.raises(BuildError, match=re.escape(cause)):
        percent.parse(text, "test")
