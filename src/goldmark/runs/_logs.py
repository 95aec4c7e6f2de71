"""The logs of a run: CSV files that grow while it trains, and that a run which goes on cuts to where it stood."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from goldmark.runs._jobs import Job
from goldmark.runs._store import finite, run_path, write_whole

_METADATA = "metadata.json"


def log_folder(folder: Path, job: Job) -> Path:
    """Return the folder of a job's logs, beside its run and checkpoints."""
    return run_path(folder, job).with_suffix(".logs")


def append_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append rows to a CSV file in one write; the first row of a new file names its columns.

    A column that a later row lacks stays empty, as does None; one that the first row did not have is a `ValueError`.
    """
    text = io.StringIO()
    new = not path.exists()
    columns = list(rows[0]) if new else _columns(path)
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    if new:
        writer.writeheader()
    writer.writerows(rows)
    with path.open("ab", buffering=0) as file:
        file.write(text.getvalue().encode())


def _columns(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file))


def log_sizes(folder: Path) -> dict[str, int]:
    """Return the bytes of each log: a checkpoint holds them, and a run that goes on from it cuts what came after."""
    return {path.name: path.stat().st_size for path in sorted(folder.glob("*.csv"))}


def has_logs(folder: Path, sizes: Mapping[str, int]) -> bool:
    """Return whether the logs are as long as they were, or longer."""
    there = log_sizes(folder)
    return all(there.get(name, -1) >= size for name, size in sizes.items())


def start_logs(folder: Path, sizes: Mapping[str, int], metadata: Mapping[str, Any]) -> None:
    """Cut the logs to the sizes that they had, delete those that were not there yet, and write the metadata."""
    for name in log_sizes(folder):
        if name in sizes:
            os.truncate(folder / name, sizes[name])
        else:
            (folder / name).unlink()
    text = json.dumps(finite(dict(metadata)), indent=1, allow_nan=False)
    write_whole(folder / _METADATA, f"{text}\n".encode())
