"""A run that was killed and goes on is the run that nobody disturbed, bit for bit, for every case and both engines.

The record's resume lost the scheduler and the best metric. Whatever else a resume may lose, the moments of the
optimiser, its count of steps, the place in the order of the rows, the running statistics of BatchNorm, is lost here on
purpose, and the same comparison sees it.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import fields, replace
from functools import cache
from itertools import count
from pathlib import Path

import pytest
from killing import kill_once
from torch import nn

from goldmark.case import UsageError
from goldmark.cases import CASES
from goldmark.runs import Job, Keep
from goldmark.training import _checkpoint as checkpoint
from goldmark.training import _single as single
from goldmark.training import _stacked as stacked
from goldmark.training._adamw import bias_corrections
from goldmark.training._tasks import train_task

SMALL = {  # four epochs of two steps, with draws in each
    "roast": {"n_train": 8, "n_val": 4, "length": 12, "batch": 4, "dropout": 0.1, "layers": 1},
    "eeg": {"n_train": 8, "n_val": 8, "train_subjects": 2, "val_subjects": 2, "channels": 4, "batch": 4},
    "expansion": {"n_train": 8, "n_val": 8, "bars": 24, "hidden": 8, "batch": 4, "input_dropout": 0.3},
    "poetry": {"n_train": 16, "n_val": 8, "length": 6, "encoder_hidden": 8, "decoder_hidden": 8, "batch": 8},
}
ENGINES = {"single": single, "stacked": stacked}
BOTH = pytest.mark.parametrize("engine", ENGINES)
EVERY_CASE = pytest.mark.parametrize("name", CASES)


class Killed(BaseException):
    """What a killed process sees: nothing after it is done, not even what `except Exception` would do."""


def jobs_of(name, engine, folder=None):
    """A run of the fixed variant, or a stack of two, a few steps long, kept in a folder after every epoch."""
    case = replace(CASES[name], settings=replace(CASES[name].settings, steps=8, **SMALL[name]))
    case = replace(case, stacks_on_cpu=engine == "stacked")
    fixed = next(variant.name for variant in case.variants if variant.role == "fixed")
    keep = None if folder is None else Keep(folder=folder, every=1)
    return tuple(Job(case, fixed, seed, keep=keep) for seed in range(2 if engine == "stacked" else 1))


def untimed(runs):
    """Runs without the only thing that may differ."""
    return [replace(run, seconds=0.0) for run in runs]


@cache
def undisturbed(name, engine):
    """The runs that keep nothing and that nothing stops."""
    return untimed(train_task(jobs_of(name, engine)))


@cache
def undisturbed_logs(name, engine):
    """The logs of the runs that are kept, and that nothing stops."""
    with tempfile.TemporaryDirectory() as folder:
        train_task(jobs_of(name, engine, Path(folder)))
        return logs(Path(folder))


def logs(folder):
    """Every log of a folder by its place, without the only column that is a time."""
    read = {path.relative_to(folder): path.read_text() for path in folder.rglob("*.logs/*.csv")}
    for path, text in read.items():
        if path.name == "epoch_metrics.csv":
            read[path] = [line.rpartition(",")[0] for line in text.splitlines()]
    return read


def killed_and_resumed(monkeypatch, name, engine, folder, moments, lose=lambda *_: None):
    """The runs after a process died at each of some moments, steps counted and files written, and went on.

    `lose` breaks the resume: it gets the patcher, the module of the engine and the run as a resume left it.
    """
    jobs, runs = jobs_of(name, engine, folder), None
    for moment in (*moments, None):
        with monkeypatch.context() as patch:
            calls = count()
            for module, function in ((ENGINES[engine], "update_stream"), (checkpoint, "write_whole")):
                patch.setattr(module, function, dying(getattr(module, function), calls, moment))
            breaking(patch, ENGINES[engine], lose)
            with pytest.raises(Killed) if moment is not None else nullcontext():
                runs = train_task(jobs)
    return untimed(runs)


def dying(function, calls, moment):
    """A function that kills at one of the calls that it counts with others, before it has done anything."""

    def call(*arguments):
        if next(calls) == moment:
            raise Killed
        return function(*arguments)

    return call


def breaking(patch, module, lose):
    """Have the engine begin with what `lose` leaves of a run that goes on."""
    begin = module.begin

    def begin_broken(job):
        run = begin(job)
        if run.n_steps:
            lose(patch, module, run)
        return run

    patch.setattr(module, "begin", begin_broken)


def without_moments(patch, module, run):
    """Adam starts with moments of 0."""
    run.moments = {name: 0 * tensor if "exp_avg" in name else tensor for name, tensor in run.moments.items()}


def without_step_count(patch, module, run):
    """Adam's correction of its moments starts anew."""
    run.moments = {name: 0 * tensor if name.endswith(".step") else tensor for name, tensor in run.moments.items()}
    if module is stacked:
        late = bias_corrections(run.settings.steps).roll(run.n_steps, dims=0)
        patch.setattr(module, "bias_corrections", lambda steps: late)


def without_place_in_order(patch, module, run):
    """The rows start anew with those of the first epoch."""
    batches = module.batches

    def again(settings, n_train, seed):
        whole = list(batches(settings, n_train, seed))
        return iter([replace(b, rows=whole[max(0, b.step - run.n_steps)].rows) for b in whole])

    patch.setattr(module, "batches", again)


def without_running_statistics(patch, module, run):
    """BatchNorm keeps the mean and the variance of a fresh model."""
    fresh = copy.deepcopy(run.fresh)
    for own, new in zip(run.model.modules(), fresh.modules(), strict=True):
        if isinstance(own, nn.BatchNorm1d):
            own.load_state_dict({**own.state_dict(), **dict(new.named_buffers())})


LOSSES: dict[str, Callable[..., None]] = {
    "Adam's moments were dropped": without_moments,
    "Adam's step count was restarted": without_step_count,
    "the order of the epoch was restarted": without_place_in_order,
    "BatchNorm's running statistics were left out": without_running_statistics,
}


def difference(runs, expected):
    """What differs first between runs that must be equal, or nothing."""
    for run, whole in zip(runs, expected, strict=True):
        for row, other in zip(run.history, whole.history, strict=False):
            for metric in (metric for metric in other if row.get(metric) != other[metric]):
                return (
                    f"seed {run.seed}, epoch {other['epoch']:.0f}: {metric} is {row.get(metric)}, not {other[metric]}"
                )
        for field in fields(run):
            if getattr(run, field.name) != getattr(whole, field.name):
                return f"seed {run.seed}: another {field.name}"
    return ""


MOMENTS = {"single": (5, 7), "stacked": (9, 13)}  # calls: within the second epoch, and between two files later


def after_kills(monkeypatch, name, engine, folder, moments, lose=lambda *_: None):
    """The runs that were killed and went on, or why they could not go on."""
    try:
        return killed_and_resumed(monkeypatch, name, engine, folder, moments, lose)
    except UsageError as error:
        return str(error)


@BOTH
@EVERY_CASE
def test_killed_run_ends_as_the_undisturbed_one(monkeypatch, tmp_path, name, engine):
    """Killed twice, once between two files of one epoch; a resume that loses something known is told by name."""
    expected = undisturbed(name, engine)
    runs = after_kills(monkeypatch, name, engine, tmp_path / "right", MOMENTS[engine])
    what = f"a resumed run of '{name}' ({engine}) is not the undisturbed one"
    if isinstance(runs, str):
        pytest.fail(f"{what}: the order of the epoch or the draws of its steps were restarted; {runs}")
    if told := difference(runs, expected):
        asked = (monkeypatch, name, engine)
        known = [
            loss for loss, lose in LOSSES.items() if runs == after_kills(*asked, tmp_path / loss, MOMENTS[engine], lose)
        ]
        pytest.fail(f"{what}: {' or '.join(known) or 'something that a run needs was lost'}; {told}")
    assert undisturbed_logs(name, engine) == logs(tmp_path / "right"), f"the logs of {what}"


def losses_of(name):
    """What a resume of a case can lose: a case without BatchNorm has no running statistics."""
    normalizes = name in ("eeg", "poetry")
    return [loss for loss in LOSSES if normalizes or "BatchNorm" not in loss]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "loss"), [(name, loss) for name in CASES for loss in losses_of(name)])
def test_resume_that_loses_something_is_another_run(monkeypatch, tmp_path, name, loss):
    """Each loss alone, on the engine that the case trains with: the comparison that the right resume passes, fails."""
    engine = "stacked" if CASES[name].stacks_on_cpu else "single"
    runs = after_kills(monkeypatch, name, engine, tmp_path, MOMENTS[engine][-1:], LOSSES[loss])
    assert isinstance(runs, str) or difference(runs, undisturbed(name, engine))


SHORT = '''"""Variants of the EEG and the expansion case with half of the steps, which end soon after a kill."""

from dataclasses import replace

from goldmark.cases import CASES


def short(name, n_variants):
    """A case of the catalogue with half of the steps, and nothing that is claimed of them."""
    case = CASES[name]
    settings = replace(case.settings, steps=case.settings.steps // 2)
    return replace(case, name=f"short_{name}", settings=settings, variants=case.variants[:n_variants], claims=())


EEG, EXPANSION = short("eeg", 3), short("expansion", 4)
'''


def command(*arguments):
    """The program in a process of its own."""
    code = "from goldmark.cli import main; main()"
    return [sys.executable, "-c", code, "run", *map(str, arguments)]


def stored(folder):
    """Every finished run of a folder, without its time."""
    runs = {path.relative_to(folder): json.loads(path.read_text()) for path in folder.rglob("fast/*/*/*.json")}
    return {path: run | {"seconds": 0.0} for path, run in runs.items()}


@pytest.mark.slow(minutes=1)
def test_sigkilled_program_goes_on_to_the_same_results(tmp_path, monkeypatch):
    """SIGKILL in each case, with two processes at work: a stack and the plain loop end as if nothing had been."""
    monkeypatch.chdir(tmp_path)
    Path("short.py").write_text(SHORT)
    Path("pytest.ini").write_text("[pytest]\ngoldmark_cases =\n    short:EEG\n    short:EXPANSION\n")
    names, whole, killed = ("short_eeg", "short_expansion"), Path("whole"), Path("killed")
    options = (*names, "--seeds", 1, "--jobs", 2)
    subprocess.run(command(*options, "--out", whole, "--json", "whole.json"), capture_output=True, check=False)
    for name in names:
        asked = ("--resume", killed) if killed.exists() else (*options, "--checkpoint-every", 1, "--out", killed)
        kill_once(command(*asked), lambda name=name: any(killed.glob(f"fast/{name}/*/*.last.safetensors")))
    assert 3 <= len(stored(killed)) < len(stored(whole)) == 7
    resume = command("--resume", killed, "--jobs", 2, "--json", "killed.json")
    done = subprocess.run(resume, capture_output=True, text=True, check=False)
    assert "short_eeg: 3 of 3 runs are there already" in done.stdout, done.stderr
    assert stored(whole) == stored(killed)
    assert logs(whole) == logs(killed)
    assert Path("whole.json").read_bytes() == Path("killed.json").read_bytes()
