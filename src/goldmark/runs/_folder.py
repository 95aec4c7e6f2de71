"""A folder of finished runs, shared by whoever trains: what it holds of a matrix, what is outdated, and its locks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from goldmark.case import Failure, Run, UsageError, recipe_of
from goldmark.runs._jobs import Job
from goldmark.runs._sources import sources_of
from goldmark.runs._store import read_run, run_path, write_run


@dataclass
class Progress:
    """What has become of one case's matrix: it grows while the matrix is trained."""

    kept: int = 0  # runs that were there already
    outdated: Counter[str] = field(default_factory=Counter)  # why runs that were there are trained again -> how many
    runs: dict[tuple[str, int], Run] = field(default_factory=dict)  # by variant and seed
    failures: list[Failure] = field(default_factory=list)

    def add(self, run: Run) -> None:
        """Count a run among the results, or among the failures where it diverged."""
        diverged = next((row["epoch"] for row in run.history if not math.isfinite(row["train_loss"])), None)
        if diverged is None:
            self.runs[run.variant, run.seed] = run
        else:
            error = f"diverged: the training loss of epoch {diverged:.0f} is not finite"
            self.failures.append(Failure(case=run.case, variant=run.variant, seed=run.seed, error=error))


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Lock a folder of runs: two commands in one would train each other's. Raise `UsageError` where another has it."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout:
        raise UsageError(f"another goldmark command is at work in '{folder}'; wait, or name another folder") from None


def stored_runs(folder: Path, jobs: Iterable[Job]) -> tuple[Progress, list[Job]]:
    """Return what the folder holds of a matrix, and the jobs that are still to be trained."""
    progress, pending = Progress(), []
    for job in jobs:
        path = run_path(folder, job)
        run = read_whole(path)
        reason = changed_since(run, job) if run else "half-written" if path.exists() else None
        if run and not reason:
            progress.kept += 1
            progress.add(run)
        else:
            pending.append(job)
        if reason:
            progress.outdated[reason] += 1
    return progress, pending


def keep(folder: Path, job: Job, run: Run) -> Run:
    """Write a finished run and return it as it will be read again, infinities included."""
    path = run_path(folder, job)
    write_run(path, run)
    return read_run(path)


@contextmanager
def locked(paths: Iterable[Path], *, wait: bool) -> Iterator[bool]:
    """Lock the files of some runs and yield True; without `wait` False where another process has one of them."""
    with ExitStack() as held:
        try:
            for path in sorted(paths):  # in one order, so that no two processes wait for each other
                path.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(FileLock(path.with_suffix(".lock"), timeout=-1 if wait else 0))
        except Timeout:
            free = False
        else:
            free = True
        yield free


def read_whole(path: Path) -> Run | None:
    """Return a run, or None where no file can be read, or one that is cut off or of another version."""
    try:
        return read_run(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def changed_since(run: Run, job: Job) -> str | None:
    """Return what has changed since the engine trained a run; None where nothing has."""
    then = {
        "settings": run.exact["recipe"],
        "code": run.sources,
        "data": run.data,
        "device": run.fingerprint["device"],
        "dtype": run.fingerprint["dtype"],
    }
    return difference(then, made_from(job))


def made_from(job: Job) -> dict[str, Any]:
    """Return what the numbers of a job follow from, besides its seed, in the words in which a change is told."""
    return {
        "settings": recipe_of(job.case.settings_of(job.variant)),
        "code": sources_of(job.case, job.engine),
        "data": job.case.data_source,
        "device": job.device,
        "dtype": job.dtype,
    }


def difference(then: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Return which entries are others now, as in "other settings and code"; None where none is."""
    changed = [name for name, wanted in now.items() if then.get(name) != wanted]
    return f"other {' and '.join(changed)}" if changed else None
