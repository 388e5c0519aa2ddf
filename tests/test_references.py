"""The bibliography holds what chapters, pages and docstrings cite, and nothing that nobody cites."""

import re
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
BIB = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
# No papers: data sets and competitions by their year, and a standard.
NO_PAPERS = {
    ("Vision", "2018"),
    ("Challenge", "2018"),
    ("University", "2015"),
    ("Toronto", "2009"),
    ("Repository", "1998"),
}


def keys(bib):
    """Return the keys of all entries."""
    return re.findall(r"^@\w+\{([^,\s]+),", bib, re.MULTILINE)


def cited(text):
    """Return the keys that roles of a page name."""
    return {key.strip() for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", text) for key in keys.split(",")}


def named(source):
    """Return first author and year of each paper that a docstring or a comment names: "Chan, Golub and Roe 1983"."""
    name = r"[A-Z][\w'’-]*[a-zà-ÿ]"
    others = rf"(?:(?:, {name})*,? and {name}| et al\.)?"
    prose = " ".join(" ".join(pair) for pair in re.findall(r'"""(.*?)"""|#([^\n]*)', source, re.DOTALL))
    found = re.findall(rf"({name}){others},? \(?((?:19|20)\d\d)\b", " ".join(prose.split()))
    return set(found) - NO_PAPERS


def authors(bib):
    """Return, with its year, the surname of each entry's first author, and how its key writes that, without accents."""
    found = set()
    for entry in re.split(r"^@\w+", bib, flags=re.MULTILINE)[1:]:
        author, year = re.search(r"author = \{+([^,}]+)", entry), re.search(r"year = \{(\d+)\}", entry)
        if author and year:
            names = author[1].split()[-1], re.match(r"\{(\w+)", entry)[1].title()
            found |= {(name, year[1]) for name in names}
    return found


@cache
def pages():
    """Return the text of everything that may cite."""
    return {path.name: path.read_text(encoding="utf-8") for folder, ending in (("nbs", "py"), ("book", "md"))
            for path in sorted((ROOT / folder).glob(f"*.{ending}"))}  # fmt: skip


def documents():
    """Return the keys of the documents that the book rebuilds."""
    table = yaml.safe_load((ROOT / "book" / "published.yml").read_text(encoding="utf-8"))
    return {entry["reference"] for entry in table.values()}


@cache
def modules():
    """Return the papers that each module of the package names."""
    return {path.stem: named(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "actlib").glob("*.py"))}


@pytest.mark.parametrize("page", pages())
def test_what_a_page_cites_is_in_the_bibliography(page):
    assert not cited(pages()[page]) - set(keys(BIB))


def test_every_document_is_in_the_bibliography_and_cited_by_its_chapters():
    table = yaml.safe_load((ROOT / "book" / "published.yml").read_text(encoding="utf-8"))
    assert documents() <= set(keys(BIB))
    for entry in table.values():
        assert entry["reference"] in cited(pages()[f"{entry['chapter']}.py"]), entry["chapter"]


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_paper_that_a_docstring_names_is_in_the_bibliography(module):
    assert not modules()[module] - authors(BIB)


def test_no_reference_is_left_over():
    used = set().union(*map(cited, pages().values()), documents())
    by_package = set().union(*modules().values())
    entries = dict(zip(keys(BIB), re.findall(r"^@[^@]*", BIB, re.MULTILINE), strict=True))
    free = {key for key, entry in entries.items() if key not in used and not authors(entry) & by_package}
    assert free == {key for key, entry in entries.items() if "keywords = {background}" in entry}


def test_a_missing_and_a_forgotten_paper_would_be_found():
    bib = "@misc{roe-2001,\n  author = {van Roe, R.},\n  year = {2001},\n}\n"
    source = '"""Return it (Roe and Doe 2001; Poe et al. 1999)."""  # as Moe (1970) has it\nx = "Noe 1980"\n'
    assert named(source) == {("Roe", "2001"), ("Poe", "1999"), ("Moe", "1970")}
    assert named(source) - authors(bib) == {("Poe", "1999"), ("Moe", "1970")}
    assert cited("{cite:p}`roe-2001, poe-1999` and {cite}`moe`") == {"roe-2001", "poe-1999", "moe"}
