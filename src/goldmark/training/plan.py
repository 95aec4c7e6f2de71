"""Expand a matrix, variants x seeds of a case, into jobs, group jobs of equal shapes, and put runs back in order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from goldmark.case import Case, Run, find_variant, seeds_of, settings_of

_STACKABLE = frozenset({"lr", "lr_min", "weight_decay", "clip"})  # what the optimiser of a stack takes run by run


@dataclass(frozen=True)
class Job:
    """One run to be trained."""

    case: Case
    variant: str
    seed: int
    device: str = "cpu"
    dtype: str = "float32"  # of the weights and the data; float64 shows that two ways of training are the same


Task = tuple[Job, ...]  # jobs that are trained together


def plan_jobs(case: Case, variants: Sequence[str] | None, seeds: Iterable[int] | None, device: str) -> list[Job]:
    """Return the jobs of a matrix, variant by variant."""
    names = [variant.name for variant in case.variants] if variants is None else list(variants)
    fixed = None if seeds is None else list(seeds)
    return [
        Job(case, find_variant(case, name).name, seed, device)
        for name in names
        for seed in (seeds_of(case, name) if fixed is None else fixed)
    ]


def n_runs(case: Case, seeds: Sequence[int] | None = None) -> int:
    """Return how many runs all variants of a case make, with their own seeds or with the given ones."""
    return len(plan_jobs(case, None, seeds, "cpu"))


def group_jobs(jobs: Iterable[Job]) -> list[Task]:
    """Return jobs by what has to be equal in a stack: the case, and settings but for those that reach it as tensors.

    A setting that does is compared only by whether it is there at all: dropout 0 leaves an operation out.
    """
    groups: dict[Any, list[Job]] = {}
    shapes: dict[Any, Any] = {}  # a variant's, once for all its seeds
    for job in jobs:
        variant = (id(job.case), job.variant)
        shape = shapes[variant] = shapes.get(variant) or shape_of(job)
        groups.setdefault((job.case.name, job.case.scale, job.device, job.dtype, shape), []).append(job)
    return [tuple(group) for group in groups.values()]


def shape_of(job: Job) -> tuple[tuple[str, Any], ...]:
    """Return the settings that jobs of one stack share; of those that reach it as tensors, whether they are there."""
    stackable = job.case.stackable | _STACKABLE
    settings = asdict(settings_of(job.case, job.variant))
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


def by_variant(runs: Iterable[Run]) -> Mapping[str, list[Run]]:
    """Return runs grouped by the name of their variant, in the order given."""
    grouped: dict[str, list[Run]] = {}
    for run in runs:
        grouped.setdefault(run.variant, []).append(run)
    return grouped
