"""Runs of the engine that are read from the store where nothing has changed that can change them, else trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from goldmark._session import Session
from goldmark.case import ModelCase, Run
from goldmark.runs import (
    Job,
    Task,
    is_of_catalogue,
    locked,
    open_store,
    plan_jobs,
    read_run,
    reusable,
    store_path,
    write_run,
)
from goldmark.training._devices import default_jobs, resolve_device
from goldmark.training._machines import outcomes
from goldmark.training._tasks import plan_tasks, train_task

_SHARERS = 2  # processes that have work wherever several ask for the same runs at once
Place = tuple[str, int]  # variant and seed of a run


def stored_or_trained(
    case: ModelCase[Any],
    variants: Sequence[str] | None = None,
    seeds: Iterable[int] | None = None,
    *,
    session: Session,
    device: str = "cpu",
    on_run: Callable[[Run], None] = lambda run: None,
) -> tuple[list[Run], dict[Place, str]]:
    """Return runs of variants (all by default) with seeds (each variant's own by default), and why some were trained.

    What is trained is written into the session's store, run by run; other processes that ask for it meanwhile wait.
    Raise `UsageError` for an unknown variant and for a device that is not there, and whatever stops a run.
    """
    jobs = {_place(job): job for job in plan_jobs(case, variants, seeds, resolve_device(device))}
    runs: dict[Place, Run] = {}
    reasons: dict[Place, str] = {}
    for place, job in jobs.items():
        run, why = _stored(session, job)
        if run is None:
            reasons[place] = why
        else:
            runs[place] = run
            on_run(run)
    for run in _trained(session, [jobs[place] for place in reasons]):
        runs[run.variant, run.seed] = run
        on_run(run)
    return [runs[place] for place in jobs], reasons


def _place(job: Job) -> Place:
    return job.variant, job.seed


def _stored(session: Session, job: Job) -> tuple[Run | None, str]:
    """Return a run that is there, or None and why it has to be trained.

    What a user's case makes of files, or of anything else that no source shows, is made again and compared.
    """
    run, why = reusable(session, job.case, job.variant, job.seed, device=job.device)
    if run is None or run.session == session.token or is_of_catalogue(job.case):
        return run, why
    from goldmark.training._prepare import exact_arithmetic, prepare, start_of

    with exact_arithmetic(job.case):
        same = start_of(prepare(job))["start"] == run.ingredients.get("start")
    return (run, "") if same else (None, "other data or initial weights")


def _trained(session: Session, jobs: Sequence[Job]) -> Iterator[Run]:
    """Yield the runs of jobs as they finish. What another process is training is waited for at the end."""
    if not jobs:
        return
    open_store(session.folder)
    processes = session.jobs or default_jobs(jobs[0].device)
    if session.machines == "ray":
        yield from _on_cluster(session, plan_tasks(jobs, processes), processes)
        return
    # processes that train here share the variants that they all ask for
    pending = plan_tasks(jobs, _SHARERS, by_variant=True) if session.machines == "here" else plan_tasks(jobs, processes)
    # what it says and counts stays here: a terminal cannot be sent
    sent = Session(root=session.root, folder=session.folder, token=session.token, fresh=session.fresh)
    for wait in (False, True):
        train = partial(_train_once, session=sent, wait=wait)
        taken: list[Task] = []
        for task, outcome in outcomes(pending, session.machines, processes, train):
            if isinstance(outcome, BaseException):
                raise outcome
            yield from outcome
            if not outcome:
                taken.append(task)
        pending = taken


def _on_cluster(session: Session, tasks: Sequence[Task], jobs: int) -> Iterator[Run]:
    """Yield runs that other machines train, which have no access to the store: this process alone writes them."""
    for task, outcome in outcomes(tasks, "ray", jobs):
        if isinstance(outcome, BaseException):
            raise outcome
        for job, run in zip(task, outcome, strict=True):
            yield _written(session, job, run)


def _written(session: Session, job: Job, run: Run) -> Run:
    """Return a run as it is read from the store: who trains it and who reads it see the same."""
    path = store_path(session, job.case, job.variant, job.seed)
    write_run(path, replace(run, session=session.token))
    return read_run(path)


def _train_once(task: Task, *, session: Session, wait: bool) -> list[Run]:
    """Return the runs of a task, trained unless another process did meanwhile.

    Without `wait` none are returned where another process is at it.
    """
    with locked([store_path(session, job.case, job.variant, job.seed) for job in task], wait=wait) as free:
        if not free:
            return []
        there = {_place(job): _stored(session, job)[0] for job in task}
        missing = tuple(job for job in task if there[_place(job)] is None)
        trained = train_task(missing) if missing else []
        written = {_place(job): _written(session, job, run) for job, run in zip(missing, trained, strict=True)}
        return [there[_place(job)] or written[_place(job)] for job in task]
