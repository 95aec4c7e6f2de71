"""What needs an extra says so in one line; everything else loads without it."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from goldmark.case import UsageError, naming_extras
from goldmark.case._extras import _EXTRAS

ROOT = Path(__file__).parents[2]
# A process of its own, in which torch is not there: every room that must do without is loaded, and commands are given.
WITHOUT_TORCH = """
import importlib, json, pkgutil, sys
sys.modules |= dict.fromkeys(("torch", "safetensors", "ray"))  # None: an import of it misses it

import goldmark
from click.testing import CliRunner
from goldmark.cli import program

rooms = ("case", "fingerprint", "statistics", "claims", "runs", "experiment", "golden", "plugin", "cli")
for module in pkgutil.walk_packages(goldmark.__path__, "goldmark."):
    if module.name.split(".")[1] in rooms and not module.name.endswith("__main__"):
        importlib.import_module(module.name)

def answer(*arguments):
    done = CliRunner().invoke(program, arguments, prog_name="goldmark")
    return done.exit_code, done.output

def missed(name):
    try:
        getattr(goldmark, name)
    except goldmark.UsageError as error:
        return str(error)

answers = {" ".join(arguments): answer(*arguments) for arguments in (("list",), ("run", "roast"), ("run", "--help"))}
names = {name: missed(name) for name in goldmark.__all__}
print(json.dumps({"answers": answers, "names": {name: line for name, line in names.items() if line}}))
"""


@pytest.fixture(scope="module")
def without_torch():
    """What commands and public names answer where torch is missing."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    return json.loads(done.stdout)


def test_commands_say_what_they_need(without_torch):
    """The catalogue is told and not trained, and how a command is used can be read."""
    line = "goldmark: 'goldmark run roast' needs torch, which is not installed: pip install 'goldmark[torch]'\n"
    assert [2, line] == without_torch["answers"]["run roast"]
    code, output = without_torch["answers"]["list"]
    assert (0, True) == (code, output.rstrip().endswith("pip install 'goldmark[torch]'"))
    assert "roast: RoastFormer: a transformer for coffee-roast" in output
    assert 0 == without_torch["answers"]["run --help"][0]


def test_public_names_say_what_they_need(without_torch):
    """The engine and the checks need torch; words, goldens and the names of the catalogue do not."""
    names = without_torch["names"]
    assert {"assert_healthy", "preflight", "train", "watch"} == set(names)
    assert "goldmark.train needs torch, which is not installed: pip install 'goldmark[torch]'" == names["train"]


def test_other_missing_modules_are_left_alone():
    """A module that no extra brings, such as one of the user's own, keeps its error."""
    with pytest.raises(ModuleNotFoundError, match="No module named 'no_such_module'"), naming_extras("it"):
        import no_such_module  # noqa: F401


def test_module_is_looked_for_before_the_body(monkeypatch):
    """What a body would load late is missed at once, and in the subject's name."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match="^'x' needs ray, "), naming_extras("'x'", "sys", "ray"):
        raise AssertionError("the body ran")


def test_extras_are_those_of_the_package():
    """Each library that a line names comes with the extra that it names; no extra is empty; alone there is no torch."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    brought = {extra: {_name(line) for line in lines} for extra, lines in project["optional-dependencies"].items()}
    assert set() == {module for module, extra in _EXTRAS.items() if module not in brought[extra]}
    assert {"torch", "ray", "dev"} == set(brought)
    assert all(brought.values())
    assert {"click", "filelock", "numpy", "pytest", "rich", "scipy"} == set(map(_name, project["dependencies"]))


def _name(requirement):
    return requirement.partition(">")[0]
