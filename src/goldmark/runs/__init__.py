"""Finished runs: jobs and the runs that they become, as files of a folder that is shared, locked and resumed."""

from __future__ import annotations

from goldmark.runs._folder import Progress, alone, difference, keep, locked, made_from, read_whole, stored_runs
from goldmark.runs._jobs import Engine, Job, Keep, Task, by_variant, n_runs, plan_jobs
from goldmark.runs._logs import append_rows, has_logs, log_folder, log_sizes, start_logs
from goldmark.runs._outputs import note_outputs, trim_outputs
from goldmark.runs._reuse import NEW, outdated, reusable, store_path
from goldmark.runs._since import ingredients_of
from goldmark.runs._slots import Lock, is_store, lock_now, n_cores, open_store, take_slot
from goldmark.runs._sources import files_of, is_of_catalogue, sources_of
from goldmark.runs._store import checkpoint_path, finite, read_run, run_file, run_path, write_run, write_whole

__all__ = [
    "NEW",
    "Engine",
    "Job",
    "Keep",
    "Lock",
    "Progress",
    "Task",
    "alone",
    "append_rows",
    "by_variant",
    "checkpoint_path",
    "difference",
    "files_of",
    "finite",
    "has_logs",
    "ingredients_of",
    "is_of_catalogue",
    "is_store",
    "keep",
    "lock_now",
    "locked",
    "log_folder",
    "log_sizes",
    "made_from",
    "n_cores",
    "n_runs",
    "note_outputs",
    "open_store",
    "outdated",
    "plan_jobs",
    "read_run",
    "read_whole",
    "reusable",
    "run_file",
    "run_path",
    "sources_of",
    "start_logs",
    "store_path",
    "stored_runs",
    "take_slot",
    "trim_outputs",
    "write_run",
    "write_whole",
]
