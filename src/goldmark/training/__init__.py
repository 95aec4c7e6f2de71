"""Many variants x seeds -> runs; how they are executed is hidden behind `train`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from goldmark.case import ModelCase, Run, UsageError
from goldmark.runs import plan_jobs, read_run, run_path, trained_by_one
from goldmark.training._innocent import INNOCENT_CHANGES, with_innocent_change
from goldmark.training._machines import Machines, outcomes
from goldmark.training._tasks import plan_tasks, train_task

__all__ = [
    "INNOCENT_CHANGES",
    "default_jobs",
    "resolve_device",
    "train",
    "trained_once",
    "with_innocent_change",
]

_SHARERS = 2  # tasks that a stack of a variant is cut into, so that two processes can share it


def train(
    case: ModelCase[Any],
    variants: Sequence[str] | None = None,
    seeds: Iterable[int] | None = None,
    *,
    device: str = "cpu",
    machines: Machines = "processes",
    jobs: int = 1,
    evaluate: bool = False,
    on_run: Callable[[Run], None] = lambda run: None,
) -> list[Run]:
    """Train variants (all by default) with seeds (each variant's own by default) and return the runs in that order.

    `machines` says where: `here`, in `processes` of one thread each, `jobs` of them, or on a Ray cluster (`ray`);
    `evaluate` adds the record's evaluations of each trained model; `on_run` sees every run as it finishes. Raises
    `UsageError` for an unknown variant and for a device that is not there, and whatever stops a run.
    """
    planned = plan_jobs(case, variants, seeds, resolve_device(device), evaluate=evaluate)
    runs: dict[tuple[str, int], Run] = {}
    for _, outcome in outcomes(plan_tasks(planned, jobs), machines, jobs):
        if isinstance(outcome, BaseException):
            raise outcome
        for run in outcome:
            runs[run.variant, run.seed] = run
            on_run(run)
    return [runs[job.variant, job.seed] for job in planned]


def trained_once(
    folder: Path, case: ModelCase[Any], variants: Sequence[str] | None = None, device: str = "cpu"
) -> list[Run]:
    """Return the runs of variants (all by default) with their own seeds, trained once for all who share the folder.

    A task is part of one variant, so that all who ask for that one mean the same tasks.
    """
    jobs = plan_jobs(case, variants, None, device)
    by_name = [list(jobs_of_variant) for _, jobs_of_variant in groupby(jobs, lambda job: job.variant)]
    tasks = [task for jobs_of_variant in by_name for task in plan_tasks(jobs_of_variant, _SHARERS)]
    trained_by_one(folder, tasks, train_task)
    return [read_run(run_path(folder, job)) for job in jobs]


def default_jobs(device: str) -> int:
    """Return how many processes train where nothing is said: as many as there are cores, or one for a GPU."""
    return 1 if device == "cuda" else os.cpu_count() or 1


def resolve_device(device: str) -> str:
    """Return `cpu` or `cuda` for a device name or `auto`; raise `UsageError` where there is no such device."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("device 'cuda' is not there: torch sees no CUDA GPU; use --device cpu or --device auto")
    if device not in ("cpu", "cuda"):
        raise UsageError(f"device '{device}' is unknown; it is one of: cpu, cuda, auto")
    return device
