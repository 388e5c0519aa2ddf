"""One environment, stated in several files: they must agree, and none may point at one machine or one server."""

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from checkout import tracked
from distributions import closure
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8")
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
REQUIREMENTS = PROJECT["dependencies"] + [line for extra in PROJECT["optional-dependencies"].values() for line in extra]

# Put together here, so that this file does not hold what it forbids.
SERVERS = [
    "pypi" + ".org", "python" + "hosted.org", "conda.ana" + "conda.org", "download.py" + "torch.org/whl",
    "npm" + "js.org", "index-" + "url", "find-" + "links",
]  # fmt: skip
# An absolute path below a folder that belongs to one machine or user; a web address has a letter before its slash.
PLACE = re.compile(r"(?<![\w.~}-])/(?:home|Users|root|work|opt|mnt)/\w|\b[A-Z]:\\Users\\")


def pinned(text):
    """Return canonical name -> version of constraints; a line that is no exact version is an error."""
    pins = {}
    for line in text.splitlines():
        if line := line.split("#")[0].strip():
            requirement = Requirement(line)
            name = canonicalize_name(requirement.name)
            assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), f"{line}: not an exact version"
            assert name not in pins, f"{name} is pinned twice"
            pins[name] = next(iter(requirement.specifier)).version
    return pins


def disagreements(requirements, pins):
    """Return a sentence for each requirement without exactly one pinned version inside its range."""
    found = []
    for line in requirements:
        requirement = Requirement(line)
        version = pins.get(canonicalize_name(requirement.name))
        if version is None:
            found.append(f"{line}: not pinned")
        elif not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{line}: {version} is pinned")
    return found


def faults(text):
    """Return the servers and the machine's paths that a text names."""
    return [server for server in SERVERS if server in text] + PLACE.findall(text)


def test_every_requirement_has_one_pinned_version_inside_its_range():
    assert disagreements(REQUIREMENTS, pinned(CONSTRAINTS)) == []


def test_a_pin_outside_its_range_or_missing_is_seen():
    pins = pinned("numpy==2.4.6\nscikit_learn==1.5.2  # too old")
    assert disagreements(["numpy>=2.0,<3"], pins) == []
    assert disagreements(["scikit-learn>=1.6,<2"], pins) == ["scikit-learn>=1.6,<2: 1.5.2 is pinned"]
    assert disagreements(["torch>=2.11,<3"], pins) == ["torch>=2.11,<3: not pinned"]


@pytest.mark.parametrize(
    ("line", "message"),
    [("numpy>=2.0", "not an exact version"), ("numpy==2.*", "not an exact version"), ("NumPy==1.26.4", "pinned twice")],
)
def test_constraints_take_exact_versions_once_only(line, message):
    with pytest.raises(AssertionError, match=message):
        pinned(f"numpy==2.4.6\n{line}")


def test_each_requirement_has_a_lower_bound():
    loose = [line for line in REQUIREMENTS if not re.search(r"(>=|==)\d", line)]
    assert loose == []


def test_conda_has_a_python_that_the_package_takes():
    (version,) = [entry.split("=")[1] for entry in CONDA["dependencies"] if str(entry).startswith("python=")]
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert allowed.contains(f"{version}.0")
    assert not allowed.contains("3.10.0")
    assert not allowed.contains("3.14.0")


def test_conda_and_make_install_the_same():
    (lines,) = [entry["pip"] for entry in CONDA["dependencies"] if isinstance(entry, dict)]
    assert "pip" in CONDA["dependencies"]
    (made,) = re.findall(r"-m pip install .*(-c \S+) (-e) \"(\S+)\"", MAKEFILE)
    assert lines == [made[0], " ".join(made[1:])]
    extras = set(re.search(r"\[(.*)\]", made[2])[1].split(","))
    assert extras <= set(PROJECT["optional-dependencies"])


def test_make_looks_for_the_pythons_that_the_package_takes():
    allowed = SpecifierSet(PROJECT["requires-python"])
    (candidates,) = re.findall(r"for candidate in python3 (.*?);", MAKEFILE)
    minors = [minor for minor in range(30) if allowed.contains(f"3.{minor}.0")]
    assert sorted(candidates.split()) == sorted(f"python3.{minor}" for minor in minors)
    assert f"(3, {minors[0]}) <= sys.version_info[:2] <= (3, {minors[-1]})" in MAKEFILE


@pytest.mark.skipif(sys.platform != "linux", reason="constraints.txt is complete for Linux")
def test_what_the_requirements_bring_is_pinned_too():
    pins = pinned(CONSTRAINTS)
    installed, absent = closure(REQUIREMENTS)
    if any(metadata.version(name).split("+")[0] != pins[name] for name in installed & set(pins)):
        pytest.skip("other versions than those of constraints.txt are installed")
    assert (installed | absent) - set(pins) == set()
    # torch needs it only through another requirement of its own
    assert "mpmath" in installed


def test_no_file_names_a_server_of_packages_or_a_place_on_one_machine():
    found = {name: hits for name, text in tracked().items() if (hits := faults(text))}
    assert found == {}


@pytest.mark.parametrize(
    "text",
    ["pip install --index-" + "url x", "https://" + "pypi" + ".org/simple", "open('/" + "home/ann/x.npy')",
     '"path": "/' + 'Users/ann"', "C:" + "\\Users\\ann"],
)  # fmt: skip
def test_a_server_or_a_place_is_seen(text):
    assert faults(text)


@pytest.mark.parametrize("text", ["https://example.org/home/ann", "~/.cache/actlib", "$HOME/work/x", "frame/work/x"])
def test_a_web_page_and_a_relative_path_are_no_place(text):
    assert not faults(text)


def test_the_version_is_the_same_everywhere():
    version = re.search(r'__version__ = "(.*)"', (ROOT / "actlib/__init__.py").read_text(encoding="utf-8"))[1]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == version
    assert f"\n## {version}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
