"""Expand a matrix, variants x seeds of a case, into jobs, and put the runs back in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from goldmark.case import Case, Run, find_variant, seeds_of


@dataclass(frozen=True)
class Job:
    """One run to be trained."""

    case: Case
    variant: str
    seed: int
    device: str = "cpu"
    dtype: str = "float32"  # of the weights and the data; float64 shows that two ways of training are the same


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


def by_variant(runs: Iterable[Run]) -> Mapping[str, list[Run]]:
    """Return runs grouped by the name of their variant, in the order given."""
    grouped: dict[str, list[Run]] = {}
    for run in runs:
        grouped.setdefault(run.variant, []).append(run)
    return grouped
