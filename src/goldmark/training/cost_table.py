"""The costs of the catalogue at every scale, counted once and kept in `costs.json`.

A cost is found there by a hash of all that it follows from, so that one that is no longer true is not found.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable
from dataclasses import asdict
from functools import cache
from pathlib import Path

from goldmark.case import Case
from goldmark.fingerprint import sha256
from goldmark.training import batchnorm, cells, cost, draws, recurrent
from goldmark.training.cost import Cost, counted_cost
from goldmark.training.plan import Job, shape_of

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
        key: {"run": f"{job.case.scale} {job.case.name}/{job.variant}", **asdict(its)}
        for key, (job, its) in costs.items()
    }
    TABLE.write_text(json.dumps(rows, indent=0) + "\n")
    _rows.cache_clear()


@cache
def _rows(path: Path) -> dict[str, dict[str, int]]:
    rows: dict[str, dict[str, int]] = json.loads(path.read_text()) if path.exists() else {}
    return rows


def _key(job: Job) -> str:
    """Return a hash of the settings, of the case's functions by name, and of the code of the case and its parts."""
    case = job.case
    functions = [f"{f.__module__}.{f.__qualname__}" for f in (case.make_data, case.make_model, case.loss)]
    return sha256(repr((case.name, shape_of(job), functions, _code(case))).encode())


def _code(case: Case) -> str:
    return _hash_of(Path(inspect.getsourcefile(case.make_model) or "").parent)


@cache
def _hash_of(folder: Path) -> str:
    """Hash the files beside a case's, those of the parts that cases are made of, and the one that counts."""
    parts = [Path(module.__file__ or "") for module in (batchnorm, cells, cost, draws, recurrent)]
    return sha256(b"".join(path.read_bytes() for path in (*sorted(folder.glob("*.py")), *parts)))
