"""Finished runs: jobs and the runs that they become, as files of a folder that is shared, locked and resumed."""

from __future__ import annotations

from goldmark.runs._folder import Progress, alone, keep, stored_runs, trained_by_one
from goldmark.runs._jobs import Engine, Job, Task, by_variant, n_runs, plan_jobs
from goldmark.runs._sources import files_of, sources_of
from goldmark.runs._store import finite, read_run, run_path, write_run

__all__ = [
    "Engine",
    "Job",
    "Progress",
    "Task",
    "alone",
    "by_variant",
    "files_of",
    "finite",
    "keep",
    "n_runs",
    "plan_jobs",
    "read_run",
    "run_path",
    "sources_of",
    "stored_runs",
    "trained_by_one",
    "write_run",
]
