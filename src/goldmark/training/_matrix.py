"""A matrix that can be stopped at any moment: finished runs are kept in a folder, and only the others are trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from goldmark._session import Machines
from goldmark.case import Failure, Run
from goldmark.runs import Job, Progress, Task, keep
from goldmark.training._machines import Outcome, outcomes
from goldmark.training._tasks import plan_tasks


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
        progress.add(keep(folder, job, run))
        on_run(run)


def _fail(task: Task, error: str, progress: Progress, on_run: Callable[[Run | Failure], None]) -> None:
    for job in task:
        failure = Failure(case=job.case.name, variant=job.variant, seed=job.seed, error=error)
        progress.failures.append(failure)
        on_run(failure)


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
