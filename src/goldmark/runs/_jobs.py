"""Expand a matrix, variants x seeds of a case, into jobs, and put the runs that they become back in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from goldmark.case import ModelCase, Run

Engine = Literal["single", "stacked"]


@dataclass(frozen=True, kw_only=True)
class Keep:
    """Where the state of a run is kept while it trains, and how often."""

    folder: Path
    every: int  # epochs


@dataclass(frozen=True)
class Job:
    """One run to be trained."""

    case: ModelCase[Any]
    variant: str
    seed: int
    device: str = "cpu"
    dtype: str = "float32"  # of the weights and the data; float64 shows that two ways of training are the same
    keep: Keep | None = None  # None keeps no state, and a run that is stopped starts anew
    evaluate: bool = False  # the trained model by the record's evaluations too

    @property
    def engine(self) -> Engine:
        """Return what trains it: a stack on a GPU always, and on a CPU where the case was measured to gain.

        On a user's file only with seeds whose halves have the sizes that the settings state.
        """
        if not (self.device == "cuda" or self.case.stacks_on_cpu):
            return "single"
        stacks = self.case.has_stated_sizes(self.case.settings_of(self.variant), self.seed)
        return "stacked" if stacks else "single"


Task = tuple[Job, ...]  # jobs that are trained together


def plan_jobs(
    case: ModelCase[Any],
    variants: Sequence[str] | None,
    seeds: Iterable[int] | None,
    device: str,
    *,
    keep: Keep | None = None,
    evaluate: bool = False,
) -> list[Job]:
    """Return the jobs of a matrix, variant by variant; raise `UsageError` for a variant that the case has not."""
    names = [variant.name for variant in case.variants] if variants is None else list(variants)
    fixed = None if seeds is None else list(seeds)
    return [
        Job(case, case.variant(name).name, seed, device, keep=keep, evaluate=evaluate)
        for name in names
        for seed in (case.seeds_of(name) if fixed is None else fixed)
    ]


def n_runs(case: ModelCase[Any], seeds: Sequence[int] | None = None) -> int:
    """Return how many runs all variants of a case make, with their own seeds or with the given ones."""
    return len(plan_jobs(case, None, seeds, "cpu"))


def by_variant(runs: Iterable[Run]) -> Mapping[str, list[Run]]:
    """Return runs grouped by the name of their variant, in the order given."""
    grouped: dict[str, list[Run]] = {}
    for run in runs:
        grouped.setdefault(run.variant, []).append(run)
    return grouped
