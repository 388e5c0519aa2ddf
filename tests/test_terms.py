"""Words of the glossary in the chapters: each is a link where a chapter first mentions it."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book"))
from driver import percent  # noqa: E402

CHAPTERS = sorted((ROOT / "nbs").glob("[0-9]*.py"))
GLOSSARY = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8")
TERMS = re.findall(r"^([^\s`#].*)$", GLOSSARY.partition("```{glossary}")[2], re.MULTILINE)
# How a term is written in a sentence, where it is not the term itself with an s at the end.
FORMS = {
    "activation probability": "activation probabilit(?:y|ies)|probability of activation",
    "affinity": "affinit(?:y|ies)",
    "aliasing": "alias(?:es|ed|ing)?",
    "argmax": "argmax",
    "cosine similarity": "cosine similarit(?:y|ies)",
    "d-prime": "d'",
    "fold of a spectrum": "(?:own|other) folds?|folds? of (?:a|the|its) spectr(?:um|a)",
    "half-normal law": "half-normal(?: laws?)?",
    "inradius": "inradi(?:us|i)",
    "over-dispersion": "over-dispersion|over-dispersed",
    "perplexity": "perplexit(?:y|ies)",
    "profile": r"profiles? \*?(?:quick|real|paper)\*?",  # the word has other meanings as well
    "purity": "purit(?:y|ies)",
    "saturation": "saturat(?:ion|ed)",
    "spectrum": "spectr(?:um|a)",
    "uniform law": "uniform laws?",
}
# Words that do not mean the term: "twice the unit of length".
OTHERWISE = {
    "activation": "activation functions?",
    "channel": "colour channels?|three channels",
    "pattern": "the patterns become",  # waves, in a quotation
    "region": r"regions? of interest|very\s+close region",  # of the input, in a quotation
    "unit": r"in (?:the )?units? of|units? of (?:it|its|their|measure|length|a|one|predicted)|"
    r"unit (?:of measure|variance|length|vectors?|norm|square|circle|ball)",
}
# Chapters in which a word has another meaning throughout: a unit of the world of boxes is a length.
ELSEWHERE = {"02_rectangles": {"unit"}}
FENCE = re.compile(
    r"^(`{3,}|~{3,})(?!\{(?:exercise|note|tip|warning|prf:|admonition|dropdown|margin))[^\n]*\n.*?^\1[ \t]*$",
    re.M | re.S,
)
HIDDEN = [
    FENCE,
    re.compile(r"^#+ .*$|^[`:~]{3,}.*$|^:[\w-]+:.*$|^\([\w-]+\)=$|^\|.*\|$", re.MULTILINE),  # headings, options, tables
    re.compile(r'"[^"]*"(?=\s*\{cite:)'),  # a document's title
    re.compile(r"\$\$.*?\$\$", re.DOTALL),
    re.compile(r"(?P<kept>\{term\}`[^`]*`)|(?:\{[a-z:]+\})?`[^`]*`"),  # roles and code in one go: both end with a tick
    re.compile(r"\$[^$\n]+\$"),
    re.compile(r"!?\[[^\]]*\]\([^)]*\)"),
]
LINK = re.compile(r"\{term\}`([^`<]*?)(?:\s*<([^>]*)>)?`")


def pattern(term):
    """Return the regular expression of a term: its first letter may be a capital."""
    form = FORMS.get(term) or re.escape(term) + ("(?:s|es)?" if term[-1] != "s" else "")
    first = form[0]
    return f"[{first}{first.upper()}]{form[1:]}" if first.islower() and first.isalpha() and term != "d-prime" else form


NAMED = {f"t{k}": term for k, term in enumerate(sorted(TERMS, key=len, reverse=True))}
WORD = re.compile(
    r"(?<![\w-])(?:" + "|".join(f"(?P<{name}>{pattern(term)})" for name, term in NAMED.items()) + r")(?![\w-])"
)


def blank(match):
    """Return spaces for what is no prose, so that places stay what they are."""
    return match.groupdict().get("kept") or re.sub(r"[^\n]", " ", match[0])


def prose(text):
    """Return the prose of Markdown, at its places: headings, code, tables, formulas, links and other roles left out."""
    for hidden in HIDDEN:
        text = hidden.sub(blank, text)
    return text


def mentions(text):
    """Return the place, the end, the term and whether it is linked, of each mention in Markdown, in order."""
    text, found = prose(text), []
    for link in LINK.finditer(text):
        named = next(
            (term for term in TERMS if term.lower() == (link[2] or link[1]).strip().lower()), link[2] or link[1]
        )
        found.append((link.start(), link.end(), named, True))
    text = LINK.sub(blank, text)
    for words in OTHERWISE.values():
        text = re.sub(rf"(?<!\w)(?:{words})(?!\w)", blank, text, flags=re.IGNORECASE)
    for word in WORD.finditer(text):
        found.append((word.start(), word.end(), NAMED[word.lastgroup], False))
    return sorted(found)


def unlinked(text):
    """Return the first mention of each term that is no link: place, end, term."""
    first = {}
    for start, end, term, linked in mentions(text):
        first.setdefault(term, (start, end, term, linked))
    return [(start, end, term) for start, end, term, linked in first.values() if not linked]


def chapter(path):
    """Return the Markdown of a chapter."""
    return "\n\n".join(cell.source for cell in percent.read(path) if cell.kind == "markdown")


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_word_of_the_glossary_is_a_link_where_a_chapter_first_mentions_it(path):
    text = chapter(path)
    other = ELSEWHERE.get(path.stem, set())
    found = [
        f"{term}: ...{' '.join(text[max(0, start - 50) : end + 20].split())}..."
        for start, end, term in unlinked(text)
        if term not in other
    ]
    assert not found, "\n".join(found)


def test_every_link_names_a_term():
    for path in CHAPTERS:
        strange = {term for _, _, term, linked in mentions(chapter(path)) if linked} - set(TERMS)
        assert not strange, (path.stem, strange)


def test_terms_stand_once_and_in_order():
    assert len(TERMS) > 50
    letters = [re.sub("[^a-z]", "", term.lower()) for term in TERMS]
    assert letters == sorted(set(letters))


def test_every_letter_of_the_notation_is_used_in_a_formula_or_a_shape():
    table = (ROOT / "book" / "notation.md").read_text(encoding="utf-8")
    letters = [letter for row in re.findall(r"^\| \$(.+?)\$ \|", table, re.MULTILINE) for letter in row.split(", ")]
    assert len(letters) > 15
    formulas = " ".join(re.findall(r"\$([^$\n]+)\$", "\n".join(map(chapter, CHAPTERS))))
    shapes = " ".join(
        re.findall(r'Tensor, "([^"]+)"', "\n".join(p.read_text() for p in (ROOT / "actlib").glob("*.py")))
    )
    lost = [x for x in letters if x.replace("W x", "Wx").partition("(")[0] not in formulas and x not in shapes.split()]
    assert not lost


FIRST = "A {term}`unit` has {term}`activation maps <activation map>`, and the unit's activation map is high.\n"


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        (FIRST, []),
        (FIRST.replace("{term}`unit`", "unit"), ["unit"]),
        ("Units, and then {term}`units <unit>`.", ["unit"]),
        ("Two spectra of inradii.", ["inradius", "spectrum"]),
        ("An activation map is no bare word of another term.", ["activation map"]),
        ("## A unit\n\n`unit`, $unit$, {numref}`unit`, [a unit](#unit)\n\n```python\nunit\n```\n", []),
        ("{cite:p}`r` is one, {glue:text}`r/unit` another; a *unit* is a mention.", ["unit"]),
        ("```{exercise}\n:label: ex-unit\nA unit.\n```\n", ["unit"]),
        ("```{literalinclude} ../actlib/unit.py\n:pyobject: unit\n```\n", []),
        ('The "Study on Activation Patterns" {cite:p}`s` says: "activation".', ["activation"]),
        ("Ten units of length in units of their spread, and unit variance.", []),
        ("The unit-free number, a pre-activation and an activation.", ["pre-activation", "activation"]),
    ],
)
def test_a_first_mention_without_its_link_is_found(text, terms):
    assert sorted(term for _, _, term in unlinked(text)) == sorted(terms)
