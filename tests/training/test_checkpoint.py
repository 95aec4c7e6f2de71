"""The state of a run: when it is kept, which is the best, and when one that was kept is of no use."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from goldmark.case import UsageError
from goldmark.cases import CASES
from goldmark.runs import Job, Keep, checkpoint_path
from goldmark.training import _checkpoint as checkpoint
from goldmark.training._single import train_single
from goldmark.training._stacked import train_stacked
from goldmark.training.checkpoint_file import load_checkpoint, save_checkpoint


def case_of(**settings):
    """The roast case cut down to five epochs of one step."""
    small = {"n_train": 4, "n_val": 2, "length": 12, "batch": 4, "layers": 1, "steps": 5} | settings
    return replace(CASES["roast"], settings=replace(CASES["roast"].settings, **small), stacks_on_cpu=False)


def job_in(folder, every=2, case=None, **others):
    """One run of that case."""
    return Job(case or case_of(), "normalized", 0, keep=Keep(folder=folder, every=every), **others)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a run's checkpoints, of which nothing may be changed."""
    folder = tmp_path_factory.mktemp("trained")
    train_single(job_in(folder))
    return folder


@pytest.fixture
def copied(trained, tmp_path):
    """The same folder, to be changed."""
    return shutil.copytree(trained, tmp_path, dirs_exist_ok=True)


def test_state_is_kept_every_so_many_epochs_and_at_the_end(monkeypatch, tmp_path):
    """Every two of five epochs, and the fifth; each write is of a whole file."""
    kept = []
    monkeypatch.setattr(
        "goldmark.training._single.keep_state", lambda run, moments: kept.append((run.n_steps, len(run.history)))
    )
    train_single(job_in(tmp_path))
    assert [(2, 2), (4, 4), (5, 5)] == kept


def test_keeping_state_changes_no_run(trained):
    """The evaluations that choose the best checkpoint are in no history, and a finished state trains nothing."""
    plain = train_single(replace(job_in(trained), keep=None))
    assert ["rmse_f" in row for row in plain.history] == [True, False, True, False, True]
    again = train_single(job_in(trained))
    assert replace(plain, seconds=0.0) == replace(again, seconds=0.0)


def test_best_checkpoint_is_that_of_the_best_metric(monkeypatch, tmp_path):
    """The lowest or the highest, as the metric's better side says; NaN is never the best."""
    for better, scores, best in (
        ("lower", [3.0, 1.0, 2.0], {"value": 1.0, "epoch": 4.0}),
        ("higher", [float("nan"), 1.0, 2.0], {"value": 2.0, "epoch": 5.0}),
    ):
        metrics = tuple(replace(m, better=better) if m.name == "rmse_f" else m for m in CASES["roast"].metrics)
        case = replace(case_of(), metrics=metrics, best_by="rmse_f")
        values = iter(scores)
        monkeypatch.setattr(checkpoint, "evaluate", lambda run, values=values: {"rmse_f": next(values)})
        monkeypatch.setattr("goldmark.training._prepare.evaluated_epochs", lambda recipe, n_train: {0})
        monkeypatch.setattr("goldmark.training._single.as_run", lambda *_: None)
        job = job_in(tmp_path / better, case=case)
        train_single(job)
        states = {which: load_checkpoint(checkpoint_path(job.keep.folder, job, which)) for which in ("best", "last")}
        assert [best, best] == [state.metadata["best"] for state in states.values()]
        assert [best["epoch"], 5] == [state.metadata["n_steps"] for state in states.values()]


def test_best_metric_is_one_that_is_evaluated(tmp_path):
    """A metric of a whole history, or of the trained model alone, cannot be known in between."""
    late = replace(case_of(), best_by="val_loss_reduction")
    with pytest.raises(UsageError, match="case 'roast': best_by is 'val_loss_reduction', and `evaluate` returns: val_"):
        train_single(job_in(tmp_path, case=late))


def test_case_without_a_best_metric_keeps_the_last_state_alone(tmp_path):
    """Nothing is evaluated for it, and no best file appears."""
    job = job_in(tmp_path, case=replace(case_of(), best_by=None))
    train_single(job)
    assert [True, False] == [checkpoint_path(tmp_path, job, which).exists() for which in ("last", "best")]


def test_state_of_other_settings_code_data_or_run_is_of_no_use(copied, monkeypatch):
    """Each reason is told with its count, and the run starts anew."""
    job = job_in(copied)
    assert (1, {}) == checkpoint.kept_states([job])
    for reason, other in (
        ("other settings", replace(job, case=case_of(lr=0.1))),
        ("other data", replace(job, case=replace(case_of(), data_source="0" * 64))),
        ("other dtype and environment", replace(job, dtype="float64")),
    ):
        assert (0, {reason: 1}) == checkpoint.kept_states([other])
        assert 0 == checkpoint.begin(other).n_steps
    other = replace(job, seed=1)
    checkpoint_path(copied, job, "last").rename(checkpoint_path(copied, other, "last"))
    assert (0, {"other run": 1}) == checkpoint.kept_states([job, other])
    monkeypatch.setattr(checkpoint, "made_from", lambda job: {"code": {"a.py": "1"}})
    assert (0, {"other run and code": 1}) == checkpoint.kept_states([other])


def test_damaged_state_is_of_no_use(copied):
    """A file that is cut off, as a broken disk leaves it: the run starts anew."""
    path = checkpoint_path(copied, job_in(copied), "last")
    path.write_bytes(path.read_bytes()[:-1])
    assert (0, {"damaged": 1}) == checkpoint.kept_states([job_in(copied)])
    assert 0 == checkpoint.begin(job_in(copied)).n_steps


def test_state_that_leads_to_another_stream_is_refused(copied):
    """Rows and draws are hashed anew from their counters: they must be those that were trained on."""
    path = checkpoint_path(copied, job_in(copied), "last")
    state = load_checkpoint(path)
    save_checkpoint(path, state.tensors, {**state.metadata, "draws_from": [[0, "[('other', (1,))]"]]})
    with pytest.raises(UsageError, match="checkpoint of 'normalized', seed 0: its rows or draws are not the run's"):
        checkpoint.begin(job_in(copied))


def test_single_run_that_is_padded_to_a_stack_writes_once(monkeypatch, tmp_path):
    """The copy that pads it keeps nothing."""
    kept = []
    monkeypatch.setattr("goldmark.training._stacked.keep_state", lambda run, moments: kept.append(run.job.keep))
    train_stacked([job_in(tmp_path, every=5)])
    assert [True, False] == [keep is not None for keep in kept]
