"""What can change the numbers of a run that the engine trained, and what of it has changed since, in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from goldmark.case import ModelCase, Run, recipe_of
from goldmark.fingerprint import fingerprint
from goldmark.fingerprint._libraries import switches
from goldmark.runs._jobs import Engine, Job
from goldmark.runs._sources import sources_of, versions_of

_UNKNOWN = "cannot be compared"


def ingredients_of(case: ModelCase[Any], engine: Engine) -> dict[str, dict[str, str]]:
    """Return what a run on this machine follows from, besides what its fingerprint, sources and recipe tell."""
    return {"environment": {**versions_of(case, engine), **switches()}, "fields": _own_fields(case)}


def what_changed(run: Run, job: Job) -> str | None:
    """Return what has changed since a run was trained on this machine or another, None where nothing has.

    As in "roast/model.py changed" or "torch 2.12.0 -> 2.13.0"; of several changes the first, and how many more.
    """
    case, now = job.case, ingredients_of(job.case, job.engine)
    here = fingerprint(job.device, job.dtype) | {"threads": str(case.threads), "engine": job.engine}
    environment = {**run.fingerprint, **run.ingredients.get("environment", {})}
    other_engine = run.fingerprint["engine"] != job.engine  # which has other files
    changes = [
        *(["other data"] if run.data != case.data_source else []),
        *([] if other_engine else _changed_files(run.sources, sources_of(case, job.engine))),
        *_moved(run.exact["recipe"], recipe_of(case.settings_of(job.variant))),
        *(["other metrics"] if set(run.metrics) != {metric.name for metric in case.metrics} else []),
        *_moved(run.ingredients.get("fields", {}), now["fields"]),
        *(f"field '{name}' {_UNKNOWN}" for name, value in now["fields"].items() if value == _UNKNOWN),
        *_moved(environment, {**here, **now["environment"]}),
    ]
    return _listed(changes)


def _own_fields(case: ModelCase[Any]) -> dict[str, str]:
    """Return the class of a case, and the values, as JSON, of the fields that it adds to those of every case.

    A class that a function made may hold whatever that was called with.
    """
    kind, declared = type(case), {field.name for field in fields(ModelCase)}
    name = _UNKNOWN if "<locals>" in kind.__qualname__ else kind.__qualname__
    added = {field.name: getattr(case, field.name) for field in fields(case) if field.name not in declared}
    return {"class": name} | {name: _as_json(value) for name, value in added.items()}


def _as_json(value: object) -> str:
    try:
        return json.dumps(value, sort_keys=True)
    except (TypeError, ValueError):
        return _UNKNOWN


def _changed_files(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    changed = sorted(path for path in {*then, *now} if then.get(path) != now.get(path))
    return [f"{'/'.join(path.split('/')[-2:])} changed" for path in changed]


def _moved(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    changed = [name for name in sorted({*then, *now}) if then.get(name) != now.get(name)]
    return [f"{name} {then.get(name, 'none')} -> {now.get(name, 'none')}" for name in changed]


def _listed(changes: Sequence[str]) -> str | None:
    if len(changes) < 2:
        return next(iter(changes), None)
    return f"{changes[0]} and {len(changes) - 1} more"
