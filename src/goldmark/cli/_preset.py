"""`goldmark run --preset`: one model of a named size on a user's data, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from goldmark.case import ModelCase, Run, UsageError
from goldmark.cli._progress import training_progress
from goldmark.runs import Job, plan_jobs

preset_option = click.option(
    "--preset",
    metavar="NAME",
    help="Train one model of a named size on --data; auto: one for the size of the data (poetry).",
)


def at_preset(cases: Sequence[ModelCase[Any]], name: str) -> list[ModelCase[Any]]:
    """Return the case at a preset; raise `UsageError` where there is not one case, or it has no such preset."""
    if len(cases) != 1:
        raise UsageError(f"--preset takes one case; for example: goldmark run poetry --data poems.json --preset {name}")
    return [cases[0].with_preset(name)]


def preset_runs(case: ModelCase[Any], seeds: Sequence[int] | None, device: str, *, evaluate: bool) -> list[Run]:
    """Train the model of a preset with each seed, by default with one, and show its epochs as they pass."""
    return [_trained(job) for job in plan_jobs(case, None, seeds, device, evaluate=evaluate)]


def _trained(job: Job) -> Run:
    from goldmark.training._schedule import n_epochs, train_size
    from goldmark.training._single import train_model

    settings = job.case.settings_of(job.variant)
    epochs = n_epochs(settings, train_size(job.case.make_data(settings, job.seed)))
    with training_progress(f"{job.case.name} {job.variant} seed {job.seed}, epochs", epochs) as on_epoch:
        return train_model(job, lambda epoch, n, train_loss: on_epoch(epoch))[0]
