"""A resume that forgets the best metric so far overwrites the best model with the first one that comes after it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from goldmark.cases.poetry import CASE
from goldmark.runs import Job, Keep, checkpoint_path
from goldmark.training import _checkpoint as checkpoint
from goldmark.training import _single as single
from goldmark.training.checkpoint_file import load_checkpoint

LR, SEED = 0.3, 2  # far too large a rate: .283 after two epochs, and never more than .15 after the stop
STOP = 8  # epochs


def job_in(folder):
    """A run that gets worse: 16 epochs of one step each."""
    small = {"n_train": 32, "n_val": 16, "length": 6, "encoder_hidden": 8, "decoder_hidden": 8, "batch": 32}
    settings = replace(CASE.settings, **small, steps=16, lr=LR, lr_min=None)
    return Job(replace(CASE, settings=settings, stacks_on_cpu=False), "wide", SEED, keep=Keep(folder=folder, every=1))


def best_of(folder, begin=None):
    """What the best checkpoint says of itself after a run that was killed in its 8th epoch and went on."""
    job = job_in(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(single, "is_kept", stop_at(STOP))
        with pytest.raises(KeyboardInterrupt):
            single.train_single(job)
    with pytest.MonkeyPatch.context() as patch:
        if begin is not None:
            patch.setattr(single, "begin", begin)
        single.train_single(job)
    return load_checkpoint(checkpoint_path(folder, job, "best")).metadata["best"]


def stop_at(epoch):
    """A process that dies before it keeps the state after an epoch."""
    is_kept = single.is_kept

    def stopping(run, at):
        if at == epoch:
            raise KeyboardInterrupt
        return is_kept(run, at)

    return stopping


def forgetful(job):
    """The record's resume: all but the best metric."""
    run = checkpoint.begin(job)
    run.best = None
    return run


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The best checkpoint of a run without a stop: one from before the stop."""
    folder = tmp_path_factory.mktemp("whole")
    single.train_single(job_in(folder))
    best = load_checkpoint(checkpoint_path(folder, job_in(folder), "best")).metadata["best"]
    assert best["epoch"] < STOP
    return best


def loss_of_best(best, uninterrupted):
    """By how much the best model that a resumed run leaves behind is worse than that of an uninterrupted one."""
    return uninterrupted["value"] - best["value"]


def test_resumed_run_keeps_the_best_model(tmp_path, uninterrupted):
    """Its best checkpoint is the one that a run without a stop has, from before the stop."""
    best = best_of(tmp_path)
    assert uninterrupted == best, (
        f"best metric lost on resume: the best checkpoint is of epoch {best['epoch']:.0f}, {CASE.best_by} "
        f"{best['value']:.4f}, and overwrote that of epoch {uninterrupted['epoch']:.0f}, {uninterrupted['value']:.4f}"
    )
    assert loss_of_best(best, uninterrupted) == 0


def test_forgotten_metric_overwrites_the_best_model(tmp_path, uninterrupted):
    """The broken form, through the same comparison: a worse model has taken its place."""
    best = best_of(tmp_path, forgetful)
    assert uninterrupted != best
    assert loss_of_best(best, uninterrupted) > 0
