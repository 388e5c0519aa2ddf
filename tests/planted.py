"""A small book for the tests of the driver: two chapters that need no time, a package, published values.

It uses the real settings, extensions and style of the book, so these are tested with it.
"""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Stands for actlib.report, without torch and matplotlib: the same entries and the same metadata of outputs.
REPORT = """
import base64, json, struct, zlib
from typing import NamedTuple

class Entry(NamedTuple):
    kind: str
    payload: dict
    content: bytes | None = None

_entries = []

def entries():
    return list(_entries)

def picture(size=8):
    chunk = lambda kind, body: struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    rows = zlib.compress((b"\\0" + bytes(size * 3)) * size)
    head = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")

def _emit(kind, payload, bundle, metadata=None, content=None):
    _entries.append(Entry(kind, payload, content))
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        return
    if get_ipython() is not None:
        display(bundle, raw=True, metadata={"actlib": {kind: payload}, **(metadata or {})})

def number(id, value, tol=None, verdict=None, stand_in=None):
    payload = dict(id=id, value=value, tol=tol, verdict=verdict, stand_in=stand_in, data="dice", device="CPU",
                   spread=None, unit=None, note=None)
    prefix = "application/papermill.record/"
    _emit("number", payload, {prefix + "text/plain": repr(value)}, {"scrapbook": {"name": id, "mime_prefix": prefix}})

def _described(name, caption, alt):
    return dict(name=name, caption=caption, alt=alt, data="dice", stand_in=None, device="CPU", profile="quick")

def figure(name, caption, alt, size=8):
    png = picture(size)
    bundle = {"image/png": base64.b64encode(png).decode(), "text/plain": alt}
    _emit("figure", _described(name, caption, alt), bundle, content=png)

def frames(name, caption, alts):
    content = json.dumps({"frames": [{"alt": alt} for alt in alts]})
    page = f'<svg role="img" aria-label="{alts[0]}"></svg><script type="application/json">{content}</script>'
    payload = {**_described(name, caption, alts[0]), "alts": alts}
    _emit("figure", payload, {"text/html": page, "text/plain": alts[0]}, content=content.encode())

def check(name, passed):
    _emit("check", {"name": name, "passed": bool(passed)}, {"text/plain": "yes" if passed else "no"})

def provenance(slug):
    _emit("provenance", {"slug": slug, "seed": 0}, {"text/plain": slug})
"""

PACKAGE = {
    "__init__": '__version__ = "0"\n',
    "report": REPORT,
    "dice": "from actlib import faces\n\ndef total(n):\n    return n * sum(faces.FACES) / 6\n",
    "faces": "FACES = [1, 2, 3, 4, 5, 6]\n",
    "unrelated": "WORD = 'nothing'\n",
    "data": "from pathlib import Path\nMANIFEST = {'dice': 1, 'cards': 2}\n\n"
    "def state(name):\n    return Path(__file__).with_name(f'{name}.txt').read_text()\n",
    "annotated": "import numpy as np\nfrom jaxtyping import Float, Int\n\n"
    'def fold(x: Float[np.ndarray, "n c h w"], k: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n d"]:\n'
    '    """Return ``x`` with its last axes folded.\n\n    Parameters\n    ----------\n    x\n        (n, c, h, w).\n'
    '    k\n        (n,).\n\n    Raises\n    ------\n    ValueError\n        Never.\n    """\n    return x\n',
}

# Published values for the tests of the package: a number with a control, and a claim in words.
CLAIMS = """
X1-claim:
  controls: [shuffled]
  headline: share
  values:
    share: {value: 0.79, text: "79 %"}
    count: {value: 18000, text: "18k"}
X2-words:
  claims: {blobs: rather blobs}
  values: {}
"""

PUBLISHED = """
F1-throw: {title: A throw of dice, document: F, section: "1", place: figure 1, reference: r, chapter: 01_dice,
  cost: cheap, wording: "a throw gives 3.5", source: document, headline: mean,
  values: {mean: {value: 3.5, text: "3.5 <pips>"}, max: {value: 6, text: "six"}}}
F2-loaded: {title: Loaded dice, document: F, section: "1", place: none, reference: r, chapter: 01_dice,
  cost: cheap, wording: "they are fair", source: document, values: {}}
S1-cards: {title: Cards, document: S, section: "2", place: none, reference: r, chapter: 02_cards,
  cost: cheap, wording: "", source: own, values: {}}
M1-later: {title: A later chapter, document: M, section: "3", place: none, reference: r, chapter: 09_later,
  cost: GPU, wording: "it *can* be seen", source: paper, values: {}}
"""

DICE = r'''
# %% [markdown]
r"""
(ch-dice)=
# What does a throw give?

On average {glue:text}`F1-throw/mean:.2f`, the document says {published}`F1-throw`, at most {published}`F1-throw/max`.
{numref}`fig-dice` and $\sum_i x_i$ show it.
"""

# %% tags=["parameters"]
profile = "quick"
source, n = "dice", 1

# %%
from actlib import dice, report

# %% tags=["remove-cell"]
report.number("F1-throw/mean", dice.total(n), tol=0.1, verdict="holds", stand_in="real dice")
report.number("F2-loaded", 1, verdict="differs")

# %% tags=["hide-input"]
report.figure("fig-dice", "The *mean* of a throw.", "A black square of eight by eight pixels, with nothing in it.")

# %% [markdown]
r"""
```{exercise}
:label: ex-six
**Faces** (1 minute). How many faces?
```
"""

# %% tags=["exercise"]
n_faces = None
report.check("ex-six", n_faces == 6)

# %% tags=["solution"]
n_faces = 6
report.check("ex-six", n_faces == 6)

# %% tags=["raises-exception"]
1 / 0

# %%
report.provenance("01_dice")
'''

CARDS = '''
# %% [markdown]
r"""
(ch-cards)=
# And cards?

Prose of the cards. {numref}`fig-deck` turns them over.
"""

# %% tags=["parameters"]
profile = "quick"
n = 52

# %%
from actlib import report
report.number("S1-cards", n)

# %% tags=["hide-input"]
alts = [f"A deck of {n} cards of which the uppermost {k} lie open beside it." for k in (1, 2)]
report.frames("fig-deck", "The *deck*, card by card.", alts)
'''

FILES = {
    "nbs/01_dice.py": DICE.lstrip(),
    "nbs/02_cards.py": CARDS.lstrip(),
    "nbs/profiles/real.yaml": "01_dice: {n: 2, smoke: {n: 3}}\n02_cards: {}\n",
    "constraints.txt": "numpy==2\n",
    "book/published.yml": PUBLISHED,
    "book/references.bib": "@misc{r, author={Roe, R.}, title={Throws}, year={2000}}\n",
    "book/_toc.yml": "format: jb-book\nroot: book/intro\nchapters:\n- file: nbs/01_dice\n- file: nbs/02_cards\n"
    "- file: book/scorecard\n- file: book/notices\n- file: book/api\n",
    "book/intro.md": "# Throws\n\n{cite:p}`r` and {ref}`ch-dice`; {term}`die`.\n\n"
    "```sh\ngit clone {repository} book\n```\n\n"
    "```{glossary}\ndie\n  A cube.\n```\n\n```{bibliography}\n```\n",
    "book/api.md": "# API\n\n```{eval-rst}\n.. automodule:: actlib.store\n\n.. automodule:: actlib.annotated\n```\n",
    "actlib/dice.txt": "as made",
    "actlib/cards.txt": "as made",
    **{f"actlib/{name}.py": source for name, source in PACKAGE.items()},
}


def write(root: Path) -> Path:
    """Write the planted book to ``root`` and return it."""
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")
    shutil.copy(ROOT / "_config.yml", root)
    shutil.copy(ROOT / "actlib" / "store.py", root / "actlib")
    for name in ("_ext", "static", "inv", "licences"):
        shutil.copytree(ROOT / "book" / name, root / "book" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("matplotlibrc", "notices.yml"):
        shutil.copy(ROOT / "book" / name, root / "book")
    return root
