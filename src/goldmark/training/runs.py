"""The folder of runs: a JSON file a run, written whole or not at all, trained by whoever holds its lock."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from goldmark.case import Baseline, Case, Finding, Run
from goldmark.training.plan import Job, plan_jobs


def trained_once(folder: Path, case: Case, variants: Sequence[str] | None = None, device: str = "cpu") -> list[Run]:
    """Return the runs of variants (all by default) with their own seeds, trained once for all who share the folder.

    Runs that nobody else is training are trained here first; only then are the others waited for.
    """
    jobs = plan_jobs(case, variants, None, device)
    pending = jobs
    for timeout_s in (0, -1):  # -1 waits for as long as it takes
        pending = [job for job in pending if not _trained(folder, job, timeout_s)]
    return [read_run(run_path(folder, job)) for job in jobs]


def run_path(folder: Path, job: Job) -> Path:
    """Return the file of a job's run."""
    return folder / job.case.scale / job.case.name / job.variant / f"{job.seed}.json"


def _trained(folder: Path, job: Job, timeout_s: float) -> bool:
    """Train a job unless its run is there; return False where another process holds its lock for too long."""
    path = run_path(folder, job)
    if path.exists():
        return True
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path.with_suffix(".lock"), timeout=timeout_s):
            if not path.exists():
                write_run(path, _train(job))
    except Timeout:
        return False
    return True


def _train(job: Job) -> Run:
    from goldmark.training.single import train_single  # torch loads where runs are trained, not where they are read

    return train_single(job)


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
