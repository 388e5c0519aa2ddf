"""GitHub's workflows: pinned actions, little permission, an end in time, and only commands and files that exist."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in WORKFLOWS}
FLOWS = {name: yaml.safe_load(text) for name, text in TEXTS.items()}
JOBS = [(name, job) for name, flow in FLOWS.items() for job in flow["jobs"]]
# Who may do more than read, and what for.
RIGHTS = {
    ("book", "notebooks"): {"contents": "write"},
    ("book", "publish"): {"pages": "write", "id-token": "write"},
    ("weekly", "issue"): {"issues": "write"},
}
PINNED = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*")

every = pytest.mark.parametrize("name", TEXTS)
every_job = pytest.mark.parametrize(("name", "job"), JOBS, ids="-".join)


def test_there_are_workflows_for_tests_the_book_and_every_week():
    assert list(TEXTS) == ["book", "tests", "weekly"]


@every
def test_actions_are_pinned_by_commit_and_say_their_version(name):
    lines = re.findall(r"uses: .*", TEXTS[name])
    assert lines
    assert [line for line in lines if not PINNED.fullmatch(line)] == []


def test_an_action_has_one_commit_in_all_workflows():
    found = {}
    for action, commit in re.findall(r"uses: (\S+)@(.*)", "\n".join(TEXTS.values())):
        found.setdefault(action, set()).add(commit)
    assert {action: commits for action, commits in found.items() if len(commits) > 1} == {}


@pytest.mark.parametrize("line", ["uses: actions/checkout@v6", "uses: a/b@main # v1", f"uses: a/b@{'0' * 40}"])
def test_a_version_without_commit_or_a_commit_without_version_is_seen(line):
    assert not PINNED.fullmatch(line)


@every
def test_a_workflow_may_read_and_its_runs_do_not_pile_up(name):
    # YAML 1.1 reads the key `on` as true
    assert FLOWS[name][True]
    assert FLOWS[name]["permissions"] == {"contents": "read"}
    assert FLOWS[name]["concurrency"]["group"]


@every_job
def test_a_job_has_an_end_and_only_the_rights_that_it_needs(name, job):
    made = FLOWS[name]["jobs"][job]
    assert made["runs-on"]
    assert all(int(minutes) > 0 for minutes in re.findall(r"\d+", str(made["timeout-minutes"])))
    assert made.get("permissions") == RIGHTS.get((name, job))
    assert all(("run" in step) != ("uses" in step) for step in made["steps"])


@every_job
def test_a_job_that_checks_out_leaves_no_token_behind(name, job):
    for step in FLOWS[name]["jobs"][job]["steps"]:
        if "actions/checkout@" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False


@every_job
def test_text_from_outside_reaches_a_command_only_as_a_variable(name, job):
    commands = [step["run"] for step in FLOWS[name]["jobs"][job]["steps"] if "run" in step]
    assert not any("${{" in command for command in commands)


def test_a_pull_request_never_reaches_a_machine_of_ours():
    build = FLOWS["book"]["jobs"]["build"]
    assert "vars.GPU_RUNNER && github.event_name == 'push' &&" in build["runs-on"]
    assert build["runs-on"].count("self-hosted") == 1
    assert all("self-hosted" not in TEXTS[name] for name in ("tests", "weekly"))
    for job in ("notebooks", "publish"):
        assert FLOWS["book"]["jobs"][job]["if"] == "github.event_name == 'push'"


def test_the_pythons_are_those_that_the_package_takes():
    (found,) = re.findall(r"python: \[(.*)\]", TEXTS["tests"])
    assert found == '"3.11", "3.12", "3.13"'


@every
def test_the_files_that_are_called_exist(name):
    called = re.findall(r"python (\w+/[\w/]+\.py)", TEXTS[name])
    assert [path for path in called if not (ROOT / path).is_file()] == []


def test_colabs_versions_are_read_and_not_written():
    text = TEXTS["weekly"]
    assert not re.search(r"(torch|numpy)\S*==\d", text)
    assert "pip-freeze.txt" in text


def test_an_issue_is_opened_only_where_none_is():
    (step,) = FLOWS["weekly"]["jobs"]["issue"]["steps"]
    assert FLOWS["weekly"]["jobs"]["issue"]["if"] == "failure()"
    assert set(FLOWS["weekly"]["jobs"]["issue"]["needs"]) == set(FLOWS["weekly"]["jobs"]) - {"issue"}
    assert step["run"].index('if [ "$open" = 0 ]') < step["run"].index("gh issue create")
    assert "--state open" in step["run"]
