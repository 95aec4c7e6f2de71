"""What a project on numpy has of goldmark without torch: run by `nox -s light`, where the wheel has no extras."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from goldmark.cli import program

FIT = """
import numpy as np

RATE = 0.1


def fit(seed, rate=RATE):
    x, noise = np.random.default_rng(seed).normal(size=(2, 64))
    y = 2 * x + 0.1 * noise
    slope = 0.0
    for _ in range(60):
        slope += rate * np.mean(x * (y - slope * x))
    return float(np.sqrt(np.mean((y - slope * x) ** 2)))
"""
TEST = """
from fit import RATE, fit

from goldmark import Metric


def test_fit(golden):
    golden.exact({"rate": RATE})
    golden.close({"decay": [(1 - RATE) ** step for step in range(5)]})
    guarded = Metric("rmse", margin="5%", better="lower", guard=lambda: [fit(seed, 0.01) for seed in range(12)])
    golden.statistical({"rmse": [fit(seed) for seed in range(12)]}, seeds=range(12), metrics=[guarded])
"""
EXPERIMENT = """
import sys

from fit import fit

from goldmark import Metric, experiment


@experiment(seeds=12, metrics=[Metric("rmse", margin="5%", better="lower", guard="slow"), Metric("torch", margin=None)])
def line(seed, *, rate=0.1):
    return {"rmse": fit(seed, rate), "torch": "torch" in sys.modules}


slow = line.variant("slow", rate=0.01)


def test_line(golden):
    golden.runs(line)
    assert [0.0] * 12 == [run.metrics["torch"] for run in line.runs()]
"""
NEEDS = "which is not installed: pip install 'goldmark[torch]'"
GIT = ("git", "-c", "user.name=goldmark", "-c", "user.email=goldmark@localhost", "-c", "commit.gpgsign=false")
COMMANDS = [
    [],
    *([name] for name in program.commands),
    *(["golden", name] for name in program.commands["golden"].commands),
]


def run(*command, cwd):
    """Run a command of this environment in a folder."""
    place = Path(sys.executable).with_name(command[0])
    command = (str(place), *command[1:]) if place.exists() else command
    wide = {**os.environ, "COLUMNS": "300"}  # so that no line of a table wraps
    return subprocess.run(command, cwd=cwd, env=wide, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with a golden, committed."""
    folder = tmp_path_factory.mktemp("project")
    for name, text in {"pytest.ini": "[pytest]\npythonpath = .\n", "fit.py": FIT, "test_fit.py": TEST}.items():
        (folder / name).write_text(text)
    recorded = run("pytest", "--golden-update", "--golden-reason", "first results", cwd=folder)
    assert 0 == recorded.returncode, recorded.stdout
    for command in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message", "Start")):
        subprocess.run([*GIT, *command], cwd=folder, check=True)
    return folder


def test_goldmark_alone_is_light():
    """Neither torch nor what comes with it is here, and the wheel asks for six libraries."""
    assert [None] * 3 == [find_spec(name) for name in ("torch", "safetensors", "ray")]
    alone = {line.partition(">=")[0] for line in requires("goldmark") if "extra ==" not in line}
    assert {"click", "filelock", "numpy", "pytest", "rich", "scipy"} == alone


def test_golden_is_held_in_every_tier(project):
    """The same code passes; another learning rate fails in the recipe, in its trace and in the error of the fit."""
    assert 0 == run("pytest", cwd=project).returncode
    (project / "fit.py").write_text(FIT.replace("RATE = 0.1", "RATE = 0.01"))
    changed = run("pytest", "-vv", cwd=project)
    (project / "fit.py").write_text(FIT)
    assert 1 == changed.returncode
    for line in (
        "exact rate: golden 0.1, got 0.01",
        "close decay[1]: golden 0.9, got 0.99",
        "statistical rmse: golden",
    ):
        assert line in changed.stdout


def test_experiment_is_trained_read_and_trained_again(project):
    """Its processes have no torch either; a change of the training code is seen."""
    test = project / "test_line.py"
    test.write_text(EXPERIMENT)
    recorded = run("pytest", "test_line.py", "--golden-update", "--golden-reason", "a line", cwd=project)
    held = run("pytest", "test_line.py", cwd=project)
    (project / "fit.py").write_text(FIT.replace("range(60)", "range(6)"))
    changed = run("pytest", "test_line.py", cwd=project)
    (project / "fit.py").write_text(FIT)
    test.unlink()
    shutil.rmtree(project / "golden" / "line")
    assert (0, 0, 1) == (recorded.returncode, held.returncode, changed.returncode), recorded.stdout
    assert "line: 24 trained (no run yet)" in recorded.stdout
    assert "line: 12 runs read" in held.stdout
    assert "line: 12 trained (fit.py changed)" in changed.stdout


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: " ".join(["goldmark", *arguments]))
def test_help_of_every_command(arguments):
    """What a command is for can be read before its extra is installed."""
    done = CliRunner().invoke(program, [*arguments, "--help"], prog_name="goldmark")
    assert (0, True) == (done.exit_code, done.output.startswith("Usage: goldmark"))


def test_golden_commands(project):
    """Those on the files of goldens work: status, plan, diff of revisions, mv, migrate."""
    status = run("goldmark", "golden", "status", cwd=project)
    assert (0, True) == (status.returncode, "test_fit/test_fit" in status.stdout), status.stderr
    plan = run("goldmark", "golden", "plan", "test_fit/test_fit", cwd=project)
    assert (0, True) == (plan.returncode, "enough for power .9" in plan.stdout), plan.stderr
    moved = run("goldmark", "golden", "mv", "test_fit/test_fit", "test_fit/test_line", cwd=project)
    assert (0, "") == (moved.returncode, moved.stderr)
    difference = run("goldmark", "golden", "diff", "--against", "HEAD", cwd=project)
    assert (1, True) == (difference.returncode, "test_fit/test_line" in difference.stdout), difference.stderr
    back = run("goldmark", "golden", "mv", "test_fit/test_line", "test_fit/test_fit", cwd=project)
    assert (0, "") == (back.returncode, back.stderr)
    migrated = run("goldmark", "golden", "migrate", cwd=project)
    assert (0, "0 of 1 goldens migrated in golden\n") == (migrated.returncode, migrated.stdout)


def test_diff_without_cases_is_one_line(project):
    """A project without cases of its own has nothing to train, with torch or without."""
    done = run("goldmark", "golden", "diff", cwd=project)
    assert (2, 1) == (done.returncode, done.stderr.count("\n"))
    assert "has no cases: name them in its pytest configuration" in done.stderr


def test_list_has_the_stories(project):
    """The catalogue is told, and what its details need is said."""
    done = run("goldmark", "list", cwd=project)
    assert (0, "") == (done.returncode, done.stderr)
    names = [line.partition(":")[0] for line in done.stdout.splitlines()]
    assert ["roast", "eeg", "expansion", "poetry"] == names[:4]
    assert "pip install 'goldmark[torch]'" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("arguments", ["run roast", "run", "list roast", "matrix", "audit eeg"])
def test_command_that_needs_torch_is_one_line(project, arguments):
    """It says what needs which extra, and the exit status is that of wrong use."""
    done = run("goldmark", *arguments.split(), cwd=project)
    assert (2, "") == (done.returncode, done.stdout)
    assert f"goldmark: 'goldmark {arguments}' needs torch, {NEEDS}\n" == done.stderr


@pytest.mark.parametrize("name", ["train", "preflight", "watch", "assert_healthy"])
def test_name_that_needs_torch_says_so(project, name):
    """A program that imports what needs torch ends with the same line."""
    done = run("python", "-c", f"from goldmark import {name}", cwd=project)
    assert 1 == done.returncode
    assert f"goldmark.case._run.UsageError: goldmark.{name} needs torch, {NEEDS}" == done.stderr.splitlines()[-1]


def test_preflight_fixture_says_so(project):
    """A test that asks for the checks before training has that line, and no traceback through goldmark."""
    (project / "test_looks.py").write_text("def test_looks(preflight): ...\n")
    done = run("pytest", "test_looks.py", cwd=project)
    (project / "test_looks.py").unlink()
    assert (1, True) == (done.returncode, f"the fixture 'preflight' needs torch, {NEEDS}" in done.stdout)
    assert "Traceback" not in done.stdout
    assert "_extras.py" not in done.stdout


def test_case_that_needs_torch_names_its_entry(project):
    """A configuration that names a case of the catalogue says which entry cannot be had, and why."""
    ini = project / "pytest.ini"
    before = ini.read_text()
    ini.write_text(f"{before}goldmark_cases = goldmark.cases.roast:CASE\n")
    done = run("goldmark", "golden", "diff", cwd=project)
    ini.write_text(before)
    assert (2, 1) == (done.returncode, done.stderr.count("\n"))
    assert f"'goldmark.cases.roast:CASE' of goldmark_cases needs torch, {NEEDS}" in done.stderr
