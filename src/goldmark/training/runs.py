"""The folder of runs: a JSON file a run, written whole or not at all, trained by whoever holds its lock."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from goldmark.case import Baseline, Case, Finding, Run
from goldmark.training.plan import Job, Task, plan_jobs
from goldmark.training.tasks import plan_tasks, train_task

_SHARERS = 2  # tasks that a stack of a variant is cut into, so that two processes can share it


def trained_once(folder: Path, case: Case, variants: Sequence[str] | None = None, device: str = "cpu") -> list[Run]:
    """Return the runs of variants (all by default) with their own seeds, trained once for all who share the folder.

    Tasks that nobody else is training are trained here first; only then are the others waited for. A task is part of
    one variant, so that all who ask for that one mean the same tasks.
    """
    jobs = plan_jobs(case, variants, None, device)
    pending = [task for _, its in groupby(jobs, lambda job: job.variant) for task in plan_tasks(list(its), _SHARERS)]
    for timeout_s in (0, -1):  # -1 waits for as long as it takes
        pending = [task for task in pending if not _trained(folder, task, timeout_s)]
    return [read_run(run_path(folder, job)) for job in jobs]


def run_path(folder: Path, job: Job) -> Path:
    """Return the file of a job's run."""
    return folder / job.case.scale / job.case.name / job.variant / f"{job.seed}.json"


def _trained(folder: Path, task: Task, timeout_s: float) -> bool:
    """Train a task unless its runs are there; return False where another process holds its lock for too long."""
    paths = [run_path(folder, job) for job in task]
    if all(path.exists() for path in paths):
        return True
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(paths[0].with_suffix(".lock"), timeout=timeout_s):
            if not all(path.exists() for path in paths):
                for path, run in zip(paths, train_task(task), strict=True):
                    write_run(path, run)
    except Timeout:
        return False
    return True


def write_run(path: Path, run: Run) -> None:
    """Write a run as JSON in one step: a reader sees the whole file or none. NaN and infinities become null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(f".{os.getpid()}.tmp")
    staged.write_text(json.dumps(finite(asdict(run)), allow_nan=False))
    staged.replace(path)


def read_run(path: Path) -> Run:
    """Read a run; null metrics become NaN."""
    stored = json.loads(path.read_text())
    return Run(
        **stored
        | {
            "metrics": _numbers(stored["metrics"]),
            "history": tuple(_numbers(row) for row in stored["history"]),
            "learning_rates": tuple(map(tuple, stored["learning_rates"])),
            "baselines": tuple(Baseline(b["name"], b["says"], _numbers(b["metrics"])) for b in stored["baselines"]),
            "findings": tuple(Finding(**f | {"numbers": _numbers(f["numbers"])}) for f in stored["findings"]),
        }
    )


def finite(value: Any) -> Any:
    """Return nested lists and dicts with None in the place of every float that is not finite."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _numbers(row: dict[str, float | None]) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in row.items()}
