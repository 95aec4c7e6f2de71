"""A matrix that can be stopped at any moment: finished runs are kept in a folder, and only the others are trained."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from goldmark.case import Failure, Run, UsageError, recipe_of, settings_of
from goldmark.training.machines import Machines, Outcome, outcomes
from goldmark.training.plan import Job, Task
from goldmark.training.runs import read_run, run_path, write_run
from goldmark.training.sources import sources_of
from goldmark.training.tasks import plan_tasks, stacks


@dataclass
class Progress:
    """What has become of one case's matrix: it grows while the matrix is trained."""

    kept: int = 0  # runs that were there already
    outdated: Counter[str] = field(default_factory=Counter)  # why runs that were there are trained again -> how many
    runs: dict[tuple[str, int], Run] = field(default_factory=dict)  # by variant and seed
    failures: list[Failure] = field(default_factory=list)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder of runs: two matrices in one would train each other's runs. Raises `UsageError` where one does."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout:
        raise UsageError(f"another goldmark matrix is at work in '{folder}'; wait, or name another folder") from None


def stored_runs(folder: Path, jobs: Iterable[Job]) -> tuple[Progress, list[Job]]:
    """Return what the folder holds of a matrix, and the jobs that are still to be trained."""
    progress, pending = Progress(), []
    for job in jobs:
        path = run_path(folder, job)
        run = _read_whole(path)
        reason = _outdated(run, job) if run else "half-written" if path.exists() else None
        if run and not reason:
            progress.kept += 1
            _note(progress, run)
        else:
            pending.append(job)
        if reason:
            progress.outdated[reason] += 1
    return progress, pending


def train_matrix(
    folder: Path,
    jobs: Sequence[Job],
    progress: Progress,
    *,
    machines: Machines,
    processes: int,
    on_run: Callable[[Run | Failure], None],
) -> None:
    """Train jobs and write each run into the folder as it finishes; only this process writes.

    Of a stack that fails, the first and the last job are tried alone. Where both fail as the stack did, all the others
    count as failed, until the next command tries again; else these are trained in halves, and no good run is lost.
    """
    tasks = plan_tasks(jobs, processes)
    while tasks:
        failed: list[tuple[Task, BaseException]] = []
        for task, outcome in outcomes(tasks, machines, processes):
            if isinstance(outcome, BaseException) and len(task) > 1:
                failed.append((task, outcome))
            else:
                _keep(folder, task, outcome, progress, on_run)
        ends = [(job,) for task, _ in failed for job in (task[0], task[-1])]
        for task, outcome in outcomes(ends, machines, processes):
            _keep(folder, task, outcome, progress, on_run)
        tasks = []
        for task, error in failed:
            tasks += _left(task, error, progress, on_run)


def _left(task: Task, error: BaseException, progress: Progress, on_run: Callable[[Run | Failure], None]) -> list[Task]:
    """Return what is to be tried of a stack that failed, and whose first and last job were tried alone."""
    between, half = task[1:-1], (len(task) - 1) // 2
    told = {(failure.variant, failure.seed): failure.error for failure in progress.failures}
    if {_told(error)} != {told.get((job.variant, job.seed)) for job in (task[0], task[-1])}:
        return [part for part in (between[:half], between[half:]) if part]
    _fail(between, f"{_told(error)} (as its stack did, and the first and the last of it alone)", progress, on_run)
    return []


def _keep(
    folder: Path, task: Task, outcome: Outcome, progress: Progress, on_run: Callable[[Run | Failure], None]
) -> None:
    if isinstance(outcome, BaseException):
        _fail(task, _told(outcome), progress, on_run)
        return
    for job, run in zip(task, outcome, strict=True):
        path = run_path(folder, job)
        write_run(path, run)
        _note(progress, read_run(path))  # as the next command will see it, infinities included
        on_run(run)


def _fail(task: Task, error: str, progress: Progress, on_run: Callable[[Run | Failure], None]) -> None:
    for job in task:
        progress.failures.append(Failure(job.case.name, job.variant, job.seed, error))
        on_run(progress.failures[-1])


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _note(progress: Progress, run: Run) -> None:
    """Count a run among the results, or among the failures where it diverged."""
    diverged = next((row["epoch"] for row in run.history if not math.isfinite(row["train_loss"])), None)
    if diverged is None:
        progress.runs[run.variant, run.seed] = run
    else:
        error = f"diverged: the training loss of epoch {diverged:.0f} is not finite"
        progress.failures.append(Failure(run.case, run.variant, run.seed, error))


def _read_whole(path: Path) -> Run | None:
    """Return a run, or None where there is no file, or one that is cut off or of another version."""
    try:
        return read_run(path)
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _outdated(run: Run, job: Job) -> str | None:
    """Return what has changed since a run was trained: settings, code, data or device; None where nothing has."""
    sources = sources_of(job.case, "stacked" if stacks((job,)) else "single")
    now = {
        "settings": (run.exact["recipe"], recipe_of(settings_of(job.case, job.variant))),
        "code": (run.sources, sources),
        "data": (run.data, job.case.data_source),
        "device": (run.fingerprint["device"], job.device),
        "dtype": (run.fingerprint["dtype"], job.dtype),
    }
    changed = [name for name, (then, wanted) in now.items() if then != wanted]
    return f"other {' and '.join(changed)}" if changed else None
