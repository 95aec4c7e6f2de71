"""`goldmark matrix`: what is trained, what is kept, what is printed and written, and the exit status."""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from killing import kill_once

from goldmark.cases import CASES, case_at
from goldmark.cli import program
from goldmark.golden._files.folder import golden_names
from goldmark.runs import alone, plan_jobs
from goldmark.training._cost import counted_cost
from goldmark.training._plan import group_jobs


def brief(scale="fast", **settings):
    """The roast case cut down to two variants and two steps, with numbers from the record."""
    roast = CASES["roast"]
    small = {"steps": 2, "n_train": 8, "n_val": 4, "length": 12} | settings
    return replace(
        roast,
        settings=replace(roast.settings, **small),
        variants=tuple(replace(v, seeds=None) for v in roast.variants if v.name in ("normalized", "raw_fahrenheit")),
        claims=tuple(claim for claim in roast.claims if claim.name == "raw_loss_hardly_falls"),
        documented={"raw_fahrenheit": {"rmse_f": 272.25}},
        scale=scale,
    )


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    """Run the program in an empty folder on the shortened case, in one process."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, case=None):
        for room in ("cli._matrix", "golden._catalogue"):
            monkeypatch.setattr(f"goldmark.{room}.case_at", lambda name, scale: case or brief(scale))
        options = ("matrix", "roast", "--jobs", "1", *arguments)
        return CliRunner(env={"COLUMNS": "200"}).invoke(program, [*options], catch_exceptions=False)

    return run


def test_matrix_shows_and_writes_every_variant_beside_the_record(invoke, tmp_path):
    """Mean, sd and extremes over seeds, baselines, the record's number, claims; the same in matrix.json."""
    done = invoke("--scale", "fast", "--seeds", "2")
    assert 0 == done.exit_code, done.output
    for text in ("raw_fahrenheit", "broken (2)", "persistence", "recorded 272", "raw_loss_hardly_falls", "holds"):
        assert text in done.output
    whole = json.loads((tmp_path / "matrix" / "matrix.json").read_text(), parse_constant=pytest.fail)
    assert (1, "fast", ["roast"]) == (whole["schema"], whole["scale"], list(whole["cases"]))
    variant = whole["cases"]["roast"]["variants"]["raw_fahrenheit"]
    assert {"rmse_f": 272.25} == variant["documented"]
    found = variant["metrics"]["rmse_f"]
    assert {"mean", "sd", "min", "max", "values"} == set(found)
    assert pytest.approx(sum(found["values"]) / 2) == found["mean"]
    assert pytest.approx(abs(found["values"][0] - found["values"][1]) / 2**0.5) == found["sd"]


@pytest.mark.slow
def test_same_command_goes_on_and_says_what_was_there(invoke, tmp_path):
    """A second seed trains two runs more; the table is that of all four, as if trained at once."""
    invoke("--scale", "fast", "--seeds", "1")
    done = invoke("--scale", "fast", "--seeds", "2")
    assert "roast: 2 of 4 runs are there already" in done.output
    resumed = (tmp_path / "matrix" / "matrix.json").read_text()
    invoke("--scale", "fast", "--seeds", "2", "--out", "fresh")
    assert (tmp_path / "fresh" / "matrix.json").read_text() == resumed


def test_changed_settings_are_said(invoke):
    """Runs of another recipe are trained again, with the reason and the count."""
    invoke("--scale", "fast", "--seeds", "1")
    done = invoke("--scale", "fast", "--seeds", "1", case=brief(lr=0.1))
    assert "roast: 2 runs are trained again: other settings" in done.output


def test_failing_run_is_a_row_and_the_status_is_1(invoke, tmp_path):
    """A diverged run is named with its error on the terminal and in the file; the others are trained."""
    case = brief()
    broken = replace(case.variants[1], changes={**case.variants[1].changes, "lr": 1e30, "lr_min": None, "clip": None})
    done = invoke("--scale", "fast", "--seeds", "1", case=replace(case, variants=(case.variants[0], broken)))
    assert 1 == done.exit_code
    assert "roast/raw_fahrenheit seed 0 fails: diverged: the training loss of epoch 2 is not finite" in done.output
    assert "fails: roast" in done.output
    roast = json.loads((tmp_path / "matrix" / "matrix.json").read_text())["cases"]["roast"]
    assert ["normalized"] == list(roast["variants"])
    assert ["raw_fahrenheit"] == [failure["variant"] for failure in roast["failures"]]
    assert [None] == [claim["ok"] for claim in roast["claims"]]


def test_only_chooses_variants_and_none_is_an_error(invoke):
    """A pattern over case/variant; one that matches nothing is said, with what a pattern looks like."""
    done = invoke("--scale", "fast", "--seeds", "1", "--only", "*/norm*")
    assert "normalized" in done.output
    assert "raw_fahrenheit" not in done.output
    done = invoke("--scale", "fast", "--only", "nope")
    assert 2 == done.exit_code
    assert "--only 'nope' matches no variant; patterns look like 'roast/*'" in done.stderr


def test_full_scale_without_a_gpu_says_so_in_one_line(invoke, monkeypatch):
    """Exit 2, how long this CPU would take, and the command for the miniature; nothing is trained."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("goldmark.training._cost_table.known_cost", counted_cost)
    done = invoke()
    assert 2 == done.exit_code
    line = done.stderr.strip()
    assert "\n" not in line, line
    for text in (
        "torch sees no CUDA GPU",
        "the 10 runs",
        "would take at least",
        "goldmark matrix --scale smoke --device cpu",
    ):
        assert text in line
    assert "" == done.stdout
    monkeypatch.setattr("goldmark.training._cost_table.known_cost", lambda job: None)
    monkeypatch.setattr("goldmark.training._cost_table.counted_cost", None)
    assert "would take many hours" in invoke().stderr


@pytest.mark.slow
def test_refusal_waits_for_nothing_but_torch():
    """No cost is counted for it, and of what is slow to import torch alone is (`nox -s bench` has the seconds)."""
    code = (
        "import atexit, sys; from goldmark.cli import main; slow = {'scipy', 'sympy', 'torch._dynamo', 'ray'}; "
        "atexit.register(lambda: print(sorted(slow & set(sys.modules)), 'torch' in sys.modules)); "
        "import goldmark.training._cost as cost; cost.counted_cost = None; main()"
    )
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", code, "matrix"], env=hidden, capture_output=True, text=True, check=False
    )
    assert (2, "[] True\n") == (done.returncode, done.stdout), done.stderr
    assert "would take at least" in done.stderr


def test_source_tree_that_is_not_installed_is_enough(invoke, tmp_path, monkeypatch):
    """With goldmark's entry points hidden, as where it lies on PYTHONPATH alone, a matrix is trained and judged."""
    others = [one for one in importlib.metadata.distributions() if one.metadata["Name"] != "goldmark"]
    monkeypatch.setattr("importlib.metadata.distributions", lambda **given: iter(others))
    done = invoke("--scale", "fast", "--only", "*/normalized", "--seeds", "1")
    assert 0 == done.exit_code, done.output
    assert (tmp_path / "matrix" / "matrix.json").exists()


@pytest.mark.slow
def test_reason_records_goldens_that_the_next_matrix_is_held_to(invoke, tmp_path):
    """They lie in golden-matrix/, apart from those of scale fast; another learning rate does not hold to them."""
    full = replace(brief("full"), seeds=5)
    done = invoke("--device", "cpu", "--reason", "first run", case=full)
    assert 0 == done.exit_code, done.output
    assert 2 == len(list((tmp_path / "golden-matrix" / "roast").iterdir()))
    assert not (tmp_path / "golden").exists()
    assert ["roast/normalized", "roast/raw_fahrenheit"] == golden_names(tmp_path / "golden-matrix")
    assert "2 hold" in invoke("--device", "cpu", case=full).output
    changed = invoke("--device", "cpu", case=replace(full, settings=replace(full.settings, lr=0.1)))
    assert (1, True) == (changed.exit_code, "2 fail" in changed.output)


def test_golden_is_not_recorded_from_a_failing_claim_or_another_scale(invoke, tmp_path):
    """Nothing is written, and the message names the claim or the right command."""
    full = replace(brief("full", lr=1.0, lr_min=None, steps=30), seeds=5)
    done = invoke("--device", "cpu", "--reason", "no", case=full)
    assert 2 == done.exit_code
    assert "no golden written: these fail or were not judged: roast/raw_loss" in done.stderr
    done = invoke("--scale", "fast", "--reason", "no")
    assert (2, True) == (done.exit_code, "for scale fast: goldmark golden update" in done.stderr)
    assert not (tmp_path / "golden").exists()


def test_plan_trains_nothing(invoke, tmp_path):
    """Runs, parameters and operations by shape."""
    done = invoke("--plan")
    assert 0 == done.exit_code
    for text in ("7,769", "GFLOP/step", "MB/run", "10"):
        assert text in done.output
    assert [] == list(tmp_path.iterdir())


def test_folder_in_use_is_said(invoke, tmp_path):
    """Two matrices do not share a folder."""
    with alone(tmp_path / "matrix"):
        done = invoke("--scale", "fast")
    assert 2 == done.exit_code
    assert "another goldmark command is at work in 'matrix'" in done.stderr


@pytest.mark.parametrize("name", CASES)
def test_miniature_keeps_every_shape(name):
    """Smoke has the groups of full, all widths in place; two steps of two examples."""
    full, smoke = (case_at(name, scale) for scale in ("full", "smoke"))
    short = replace(full, variants=tuple(replace(v, changes={**v.changes, "steps": 2}) for v in full.variants))
    assert len(group_jobs(plan_jobs(short, None, [0], "cpu"))) == len(group_jobs(plan_jobs(smoke, None, [0], "cpu")))
    assert (2, 2) == (smoke.settings.batch, smoke.settings.steps)


def command(out):
    """The command that is killed: 16 runs of the EEG matrix in miniature, on two processes."""
    options = ("--only", "*/v8*", "--scale", "smoke", "--device", "cpu", "--seeds", "2", "--jobs", "2")
    options += ("--out", str(out))
    return [sys.executable, "-c", "from goldmark.cli import main; main()", "matrix", "eeg", *options]


def finished(out):
    """Every run's file with the time at which it was written."""
    return {path: path.stat().st_mtime_ns for path in out.rglob("smoke/*/*/*.json")}


@pytest.mark.slow(minutes=1)
def test_killed_matrix_goes_on_where_it_stopped(tmp_path):
    """SIGKILL at two moments: the table is that of an undisturbed matrix to the bit; nothing is trained twice."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(whole), check=True, capture_output=True)
    assert 16 == len(finished(whole))
    kill_once(command(killed), killed.exists)
    assert {} == finished(killed)
    kill_once(command(killed), lambda: bool(finished(killed)))
    before = finished(killed)
    assert len(before) < 16
    subprocess.run(command(killed), check=True, capture_output=True)
    assert before.items() <= finished(killed).items()
    assert (killed / "matrix.json").read_bytes() == (whole / "matrix.json").read_bytes()


@pytest.mark.slow
def test_processes_end_with_a_killed_matrix(tmp_path):
    """No process of the pool outlives its parent: each ends by itself, after what it imports on a busy machine."""
    process = subprocess.Popen(command(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (pids := children(process.pid)):
        time.sleep(0.1)
    time.sleep(3)
    pids |= children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 120
    while alive := [pid for pid in pids if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.2)


def children(pid):
    """The process ids of all descendants."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    own = {int(line) for line in found.stdout.split()}
    return own.union(*map(children, own))
