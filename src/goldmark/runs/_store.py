"""A run as a JSON file, written whole or not at all; NaN and infinities are null."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from goldmark.case import Baseline, Case, Finding, Run
from goldmark.runs._jobs import Job


def run_path(folder: Path, job: Job) -> Path:
    """Return the file of a job's run."""
    return run_file(folder, job.case, job.variant, job.seed)


def run_file(folder: Path, case: Case[Any], variant: str, seed: int) -> Path:
    """Return the file of a run of a case of any kind."""
    return folder / case.scale / case.name / variant / f"{seed}.json"


def checkpoint_path(folder: Path, job: Job, which: Literal["last", "best"]) -> Path:
    """Return the file of a job's last or best checkpoint, beside that of its run."""
    return run_path(folder, job).with_suffix(f".{which}.safetensors")


def write_run(path: Path, run: Run) -> None:
    """Write a run as JSON, whole or not at all. NaN and infinities become null."""
    write_whole(path, json.dumps(finite(asdict(run)), allow_nan=False).encode())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file in one step: whoever reads it, and whenever the writer dies, sees all of it or what was before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        staged.write_bytes(content)
        staged.replace(path)
    except OSError:  # the disk is full, say
        staged.unlink(missing_ok=True)
        raise


def read_run(path: Path) -> Run:
    """Read a run; null metrics become NaN."""
    stored = json.loads(path.read_text())
    baselines = tuple(Baseline(**b | {"metrics": _numbers(b["metrics"])}) for b in stored["baselines"])
    findings = tuple(Finding(**f | {"numbers": _numbers(f["numbers"])}) for f in stored["findings"])
    return Run(
        **stored
        | {
            "metrics": _numbers(stored["metrics"]),
            "history": tuple(_numbers(row) for row in stored["history"]),
            "learning_rates": tuple(map(tuple, stored["learning_rates"])),
            "baselines": baselines,
            "findings": findings,
            "evaluations": {name: _numbers(section) for name, section in stored.get("evaluations", {}).items()},
        }
    )


def finite(value: Any) -> Any:
    """Return nested lists and dicts with None in the place of every float that is not finite."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _numbers(row: dict[str, Any]) -> dict[str, Any]:
    return {name: math.nan if value is None else value for name, value in row.items()}
