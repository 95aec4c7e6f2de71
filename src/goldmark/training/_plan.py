"""Group jobs of equal shapes, and cut groups to size."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from goldmark.runs import Job, Task

_STACKABLE = frozenset({"lr", "lr_min", "weight_decay", "clip"})  # what the optimiser of a stack takes run by run


def group_jobs(jobs: Iterable[Job], *, by_variant: bool = False) -> list[Task]:
    """Return jobs by what has to be equal in a stack: the case, and settings but for those that reach it as tensors.

    A setting that does is compared only by whether it is there at all: dropout 0 leaves an operation out. Runs of a
    user's file whose sizes are those of their seed alone do not stack (`Job.engine`), and are kept apart; so are
    variants, if asked for.
    """
    groups: dict[Any, list[Job]] = {}
    shapes: dict[Any, Any] = {}  # a variant's, once for all its seeds
    for job in jobs:
        variant = (id(job.case), job.variant)
        shape = shapes[variant] = shapes.get(variant) or shape_of(job)
        apart = job.variant if by_variant else None
        key = (job.case.name, job.case.scale, job.device, job.dtype, job.engine, shape, apart)
        groups.setdefault(key, []).append(job)
    return [tuple(group) for group in groups.values()]


def shape_of(job: Job) -> tuple[tuple[str, Any], ...]:
    """Return the settings that jobs of one stack share; of those that reach it as tensors, whether they are there."""
    stackable = job.case.stackable | _STACKABLE
    settings = asdict(job.case.settings_of(job.variant))
    return tuple((name, _is_there(value) if name in stackable else value) for name, value in settings.items())


def _is_there(value: Any) -> Any:
    return tuple(map(bool, value)) if isinstance(value, tuple) else bool(value)


def cut(group: Task, largest: int) -> list[Task]:
    """Return a group cut into as few tasks as can be, none larger than `largest`; their sizes differ by one at most."""
    n = math.ceil(len(group) / largest)
    bounds = [len(group) * i // n for i in range(n + 1)]
    return [group[start:end] for start, end in pairwise(bounds)]


def miniature(groups: Iterable[Task]) -> list[Task]:
    """Return the first and the last job of every group: each shape once, with two variants where it has them."""
    return [group if len(group) < 2 else (group[0], group[-1]) for group in groups]
