"""What every chapter's source must hold, read without running it."""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book"))
from driver import percent  # noqa: E402

from actlib import published  # noqa: E402

CHAPTERS = sorted((ROOT / "nbs").glob("[0-9]*.py"))
PUBLISHED = yaml.safe_load((ROOT / "book" / "published.yml").read_text())
PROFILES = {
    name: yaml.safe_load((ROOT / "nbs" / "profiles" / f"{name}.yaml").read_text()) for name in ("real", "paper")
}
TAGS = {
    "parameters", "remove-cell", "remove-input", "hide-input", "hide-output", "hide-cell", "exercise", "solution",
    "raises-exception",
}  # fmt: skip
HIDDEN = {"remove-cell", "remove-input", "hide-input", "hide-cell", "solution", "exercise", "parameters"}
ROLE = re.compile(r"\{[a-z:]+\}`[^`]*`|\$[^$]*\$|`[^`]*`|```.*?```", re.DOTALL)
TYPED = re.compile(r"(?<![\w`§.=^_-])\d+\.\d+|(?<![\w`.])\d+\s?%")

every = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
# A how-to rebuilds no experiment: its numbers have ids of their own, and nothing published to stand beside.
HOW_TOS = {"19_own_network": "own/"}


def cells(path, kind):
    return [cell for cell in percent.read(path) if cell.kind == kind]


def prose(path):
    return "\n".join(cell.source for cell in cells(path, "markdown"))


def calls(path, name):
    """Return the call nodes of ``report.<name>`` in a chapter."""
    trees = [ast.parse(cell.source) for cell in cells(path, "code")]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [node for node in nodes if ast.unparse(node.func) == f"report.{name}"]


def figures(path):
    """Return the calls that show a figure: a picture, or a slider over frames."""
    return calls(path, "figure") + calls(path, "frames")


def reported(path):
    """Return a pattern for each id that a chapter reports; what is computed in an f-string matches anything."""
    patterns = []
    for call in calls(path, "number"):
        parts = call.args[0].values if isinstance(call.args[0], ast.JoinedStr) else [call.args[0]]
        patterns.append("".join(re.escape(p.value) if isinstance(p, ast.Constant) else ".+" for p in parts))
    return patterns


def test_there_are_chapters():
    assert "01_maps" in {path.stem for path in CHAPTERS}


@every
def test_cells_are_short_and_carry_known_tags(path):
    long = [cell.name for cell in cells(path, "code") if len([x for x in cell.source.splitlines() if x.strip()]) > 30]
    unknown = {tag for cell in percent.read(path) for tag in cell.tags} - TAGS
    assert not long
    assert not unknown


@every
def test_a_reader_sees_at_most_150_lines_of_code_before_the_exercises(path):
    shown = [cell.source for cell in cells(path, "code") if not HIDDEN & set(cell.tags)]
    assert len([line for source in shown for line in source.splitlines() if line.strip()]) <= 150


@every
def test_the_length_is_that_of_a_chapter(path):
    words = len(re.findall(r"\w[\w'-]*", ROLE.sub(" ", prose(path))))
    assert 1200 <= words <= 2800, f"{words} words"
    assert 20 <= len(percent.read(path)) <= 70
    assert 5 <= len(figures(path)) <= 9


@every
def test_no_result_is_typed_into_prose(path):
    assert TYPED.findall(ROLE.sub(" ", prose(path))) == []


def test_a_typed_result_would_be_found():
    assert TYPED.findall(ROLE.sub(" ", "about 56 % of units, or 0.79, but not `1.5` or {glue:text}`a:.2f`")) == [
        "56 %",
        "0.79",
    ]


@every
def test_every_number_in_the_text_is_reported(path):
    quoted, patterns = set(re.findall(r"\{glue:text\}`([^`:]+)", prose(path))), reported(path)
    lost = {id for id in quoted if not any(re.fullmatch(pattern, id) for pattern in patterns)}
    assert not lost


@every
def test_every_published_number_in_the_text_exists(path):
    for id in re.findall(r"\{published\}`([^`]+)`", prose(path)):
        experiment, _, key = id.partition("/")
        assert (key or PUBLISHED[experiment]["headline"]) in PUBLISHED[experiment]["values"], id


@every
def test_every_experiment_of_the_chapter_has_a_number(path):
    own = {id for id, entry in PUBLISHED.items() if entry["chapter"] == path.stem}
    if path.stem in HOW_TOS:
        assert not own
        assert not [id for id in reported(path) if not id.startswith(HOW_TOS[path.stem])]
        return
    assert own
    silent = {id for id in own if not any(pattern.startswith(re.escape(id) + "/") for pattern in reported(path))}
    assert not silent
    foreign = {p for p in reported(path) if not any(p.startswith(re.escape(id)) for id in own)}
    assert not foreign


def test_only_a_how_to_has_ids_of_its_own():
    strangers = [path.stem for path in CHAPTERS if any(id.startswith(f"{published.OWN}/") for id in reported(path))]
    assert strangers == list(HOW_TOS)
    assert published.OWN not in PUBLISHED
    assert all(id == f"{published.OWN}/" for id in HOW_TOS.values())


@every
def test_every_figure_has_a_caption_an_alt_text_and_a_name_of_its_own(path):
    names = []
    for call in figures(path):
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        # A slider has an alternative for each frame, which report.Frame cannot be made without.
        needed = {"name", "caption"} if ast.unparse(call.func) == "report.frames" else {"name", "caption", "alt"}
        assert needed <= set(given)
        names.append(given["name"].value)
    assert len(set(names)) == len(names)
    assert all(name.startswith("fig-") for name in names)


@every
def test_exercises_come_with_stub_and_solution(path):
    labels = re.findall(r"^:label: (ex-[\w-]+)$", prose(path), re.MULTILINE)
    assert 3 <= len(labels) <= 5
    for tag in ("exercise", "solution"):
        texts = [cell.source for cell in cells(path, "code") if tag in cell.tags]
        assert [re.findall(r'report\.check\(\s*"([\w-]+)"', text) for text in texts] == [[label] for label in labels]


@every
def test_the_parts_of_a_chapter_are_there(path):
    text = prose(path)
    for part in ("Guess first", "What to notice", "When it breaks", "What we learned", "## Exercises", "## Go further"):
        assert part in text, part
    assert calls(path, "table")
    assert "report.provenance()" in cells(path, "code")[-1].source


@every
@pytest.mark.parametrize("profile", ["real", "paper"])
def test_profiles_set_parameters_that_exist_and_can_be_made_small(path, profile):
    (parameters,) = [cell.source for cell in cells(path, "code") if "parameters" in cell.tags]
    names = {node.id for node in ast.walk(ast.parse(parameters)) if isinstance(node, ast.Name)}
    settings = PROFILES[profile][path.stem]
    assert set(settings) - {"smoke"} <= names
    assert set(settings["smoke"]) <= names


@every
def test_chapters_are_referred_to_by_name_not_by_number(path):
    assert not re.findall(r"[Cc]hapter \d", prose(path))


def test_the_front_shows_every_chapter_with_a_recorded_picture_of_its_own():
    front = (ROOT / "book/intro.md").read_text(encoding="utf-8")
    picture = r":img-top: \.\./results/real/(\w+)/([\w-]+\.webp)\n:img-alt: (.+)\n"
    card = rf":::\{{grid-item-card\}}\n{picture}\n\*\*\{{ref\}}`([\w-]+)`"
    cards = re.findall(card, front)
    labels = [re.search(r"^\((ch-[\w-]+)\)=", prose(path), re.MULTILINE)[1] for path in CHAPTERS]
    assert [(slug, label) for slug, _, _, label in cards] == list(
        zip([path.stem for path in CHAPTERS], labels, strict=True)
    )
    assert all((ROOT / "results/real" / slug / name).is_file() for slug, name, _, _ in cards)
    assert len({alt for _, _, alt, _ in cards if 40 <= len(alt) <= 250}) == len(CHAPTERS)
