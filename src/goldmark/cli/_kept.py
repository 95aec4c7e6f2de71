"""What one case comes to where every finished run is kept in a folder: the same for `run --out` and `matrix`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from goldmark._session import Machines
from goldmark.case import Case, Run
from goldmark.cli._outcome import Outcome, outcome_of, show
from goldmark.cli._progress import training_progress
from goldmark.golden import Comparison
from goldmark.runs import Job, stored_runs
from goldmark.training._matrix import train_matrix

_INTERRUPTED = 130  # the exit status of a program that Ctrl-C stopped


@dataclass(frozen=True, kw_only=True)
class Means:
    """Where and how runs are trained, where they are kept, and which command goes on where it was stopped."""

    device: str
    machines: Machines
    jobs: int
    folder: Path
    goes_on: str


def kept_outcome(
    console: Console,
    case: Case[Any],
    jobs: Sequence[Job],
    means: Means,
    goldens_of: Callable[[Sequence[Run]], list[Comparison]],
) -> Outcome:
    """Train what is not there yet, and judge the whole."""
    progress, pending = stored_runs(means.folder, jobs)
    for reason, n in progress.outdated.items():
        console.print(Text(f"{case.name}: {n} runs are trained again: {reason}"))
    if progress.kept:
        console.print(Text(f"{case.name}: {progress.kept} of {len(jobs)} runs are there already"))
    _tell_checkpoints(console, case, pending)
    with training_progress(case.name, len(jobs), done=progress.kept) as on_run, _kept_on_interrupt(means):
        train_matrix(means.folder, pending, progress, machines=means.machines, processes=means.jobs, on_run=on_run)
    runs = [progress.runs[job.variant, job.seed] for job in jobs if (job.variant, job.seed) in progress.runs]
    outcome = outcome_of(case, runs, goldens_of(runs), sorted(progress.failures, key=lambda f: (f.variant, f.seed)))
    show(console, outcome)
    return outcome


def _tell_checkpoints(console: Console, case: Case[Any], jobs: Sequence[Job]) -> None:
    """Say how many runs go on from a checkpoint, and how many have one that they cannot go on from."""
    if all(job.keep is None for job in jobs):
        return
    from goldmark.training._checkpoint import kept_states

    n, refused = kept_states(jobs)
    if n:
        console.print(Text(f"{case.name}: {n} runs go on from their last checkpoint"))
    for reason, n_refused in refused.items():
        console.print(Text(f"{case.name}: {n_refused} runs start anew, their checkpoint is of no use: {reason}"))


@contextmanager
def _kept_on_interrupt(means: Means) -> Iterator[None]:
    """Say on Ctrl-C that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"\nstopped; finished runs are kept in {means.folder}, and {means.goes_on} goes on", err=True)
        raise SystemExit(_INTERRUPTED) from None
