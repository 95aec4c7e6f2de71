"""What is written twice about the project agrees: versions, Python versions, sessions."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BY_HAND = {"gpu_check", "oldest", "costs", "zoo", "update", "fixtures", "bench"}  # a GPU, gigabytes, or files written
REMOTE = {"examples"}  # of the workflow alone: its libraries take minutes to install


@pytest.fixture(scope="module")
def workflow():
    """The jobs of continuous integration."""
    return yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]


def test_version_is_the_same_everywhere():
    """Package, citation and the newest heading of the changelog name one version."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    newest = re.search(r"^## \[([^]]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert PROJECT["version"] == citation["version"] == newest[1]


def test_citation_has_what_the_format_asks_for():
    """The required fields of the Citation File Format 1.2.0, and the licence of the package."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert ("1.2.0", "software", PROJECT["license"]) == tuple(
        citation[key] for key in ("cff-version", "type", "license")
    )


def test_python_versions_are_those_of_the_workflow(workflow):
    """Every version that the package promises is tried on Linux and macOS, and no other."""
    prefix = "Programming Language :: Python :: "
    promised = [line.removeprefix(prefix) for line in PROJECT["classifiers"] if re.fullmatch(rf"{prefix}3\.\d+", line)]
    matrix = workflow["fast"]["strategy"]["matrix"]
    assert promised == matrix["python"]
    assert f">={promised[0]}" == PROJECT["requires-python"]
    assert ["ubuntu-latest", "macos-latest"] == matrix["os"]


def test_every_session_is_run_on_a_change(workflow):
    """A session is part of `.ci/run` and of the workflow, or is named above as one of the workflow, or for hands."""
    tree = ast.parse((ROOT / "noxfile.py").read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    sessions = {
        node.name for node in functions if any("nox.session" in ast.unparse(mark) for mark in node.decorator_list)
    }
    locally = " ".join(re.findall(r"^\w+=\(([^)]*)\)", (ROOT / ".ci" / "run").read_text(), re.MULTILINE))
    named = {name.strip('"').partition(" ")[0] for name in re.findall(r'"[^"]*"|\S+', locally)}
    commands = [step["run"] for job in workflow.values() for step in job["steps"] if "nox -s" in step.get("run", "")]
    remote = {command.split()[2] for command in commands if "$" not in command}
    remote |= set(workflow["session"]["strategy"]["matrix"]["session"])
    assert sessions - BY_HAND - REMOTE == named == remote - REMOTE
    assert REMOTE <= remote


def test_pre_commit_has_the_pinned_versions():
    """The hooks judge as `nox -s lint` does: with the versions of constraints.txt."""
    pinned = set((ROOT / "constraints.txt").read_text().splitlines())
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = {hook["id"]: hook for hook in repository["hooks"]}
    assert ["ruff", "ruff-format", "mypy"] == list(hooks)
    asked = {line for hook in hooks.values() for line in hook.get("additional_dependencies", ())}
    assert asked
    assert asked <= pinned
