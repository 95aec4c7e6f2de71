"""The costs of the catalogue at every scale, counted once and kept in `costs.json`.

A cost is found there by a hash of all that it follows from, so that one that is no longer true is not found.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from functools import cache
from pathlib import Path

from goldmark.fingerprint import sha256
from goldmark.runs import Job, files_of
from goldmark.training import _cost as cost
from goldmark.training import batchnorm, cells, convolution, draws, recurrent
from goldmark.training._cost import Cost, counted_cost
from goldmark.training._plan import shape_of

TABLE = Path(__file__).with_name("costs.json")


def cost_of(job: Job) -> Cost:
    """Return the cost of a run: the known one, else counted."""
    return known_cost(job) or counted_cost(job)


def known_cost(job: Job) -> Cost | None:
    """Return the cost of a run from the table; None where its settings or its code are not those of a cost there."""
    row = _rows(TABLE).get(_key(job))
    return None if row is None else Cost(*(row[name] for name in Cost.__dataclass_fields__))


def write_table(jobs: Iterable[Job]) -> None:
    """Write the table anew, with the cost of each job; what is known already is not counted again."""
    costs = {_key(job): (job, cost_of(job)) for job in jobs}
    rows = {
        key: {"run": f"{job.case.scale} {job.case.name}/{job.variant}", **asdict(known)}
        for key, (job, known) in costs.items()
    }
    TABLE.write_text(json.dumps(rows, indent=0) + "\n")
    _rows.cache_clear()


@cache
def _rows(path: Path) -> dict[str, dict[str, int]]:
    rows: dict[str, dict[str, int]] = json.loads(path.read_text()) if path.exists() else {}
    return rows


def _key(job: Job) -> str:
    """Return a hash of the settings, of the case's class by name, and of the code of the case and its parts."""
    kind = type(job.case)
    code = _hash_of(tuple(files_of(job.case)))
    return sha256(repr((job.case.name, shape_of(job), f"{kind.__module__}.{kind.__qualname__}", code)).encode())


@cache
def _hash_of(files: tuple[Path, ...]) -> str:
    """Hash the files of a case, those of the parts that cases are made of, and the one that counts."""
    parts = [Path(module.__file__ or "") for module in (batchnorm, cells, convolution, cost, draws, recurrent)]
    return sha256(b"".join(path.read_bytes() for path in (*files, *parts)))
