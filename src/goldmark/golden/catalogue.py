"""Catalogue runs as results: what of a variant's runs goes into which tier of its golden."""

from __future__ import annotations

from collections.abc import Sequence

from goldmark.case import Case, Metric, Run, Runs, find_variant
from goldmark.cases import case_at
from goldmark.golden.record import statistical_entry
from goldmark.golden.rounding import repeats
from goldmark.golden.store import Close, Result, Statistical
from goldmark.training import by_variant


def results_of(runs: Sequence[Run]) -> list[Result]:
    """Return a result per variant of the runs of one case."""
    return [result_of(runs, variant) for variant in by_variant(runs)]


def result_of(runs: Sequence[Run], variant: str) -> Result:
    """Return the result of one variant; the values of its guards are taken from their own runs, where those are given.

    Exact entries and learning rates are the first run's: they do not depend on the seed.
    """
    case, grouped = case_at(runs[0].case, runs[0].scale), by_variant(runs)
    its = grouped[variant]
    first = its[0]
    per_seed = {key: Close({str(run.seed): run.close[key] for run in its}) for key in first.close}
    return Result(
        name=f"{case.name}/{variant}",
        exact=first.exact,
        close={"learning_rates": Close([list(rates) for rates in first.learning_rates]), **per_seed},
        statistical={metric.name: _statistical(case, variant, metric, grouped) for metric in case.metrics},
        stream={str(run.seed): run.stream for run in its},
        fingerprint=first.fingerprint,
        sources=first.sources,
    )


def _statistical(case: Case, variant: str, metric: Metric, runs: Runs) -> Statistical:
    its, guard = runs[variant], find_variant(case, variant).guards.get(metric.name)
    if guard not in runs:
        guard = None
    streams = [run.stream for run in its]
    return statistical_entry(
        _values(its, metric.name),
        scale=metric.scale,
        margin=metric.margin,
        alpha=find_variant(case, variant).alpha,
        test="permutation" if metric.dead_seeds else "t",
        better=metric.better,
        guard=guard,
        guard_values=_values(runs[guard], metric.name) if guard else None,
        first_values=_first_values(case, its, metric.name) if guard else None,
        same_stream=guard is not None and streams == [run.stream for run in runs[guard]],
    )


def _values(runs: Sequence[Run], metric: str) -> dict[str, float]:
    return {str(run.seed): run.metrics[metric] for run in runs}


def _first_values(case: Case, runs: Sequence[Run], metric: str) -> dict[str, float] | None:
    """Return what a model that stops learning after the first epoch would score; None for a metric taken only once."""
    first = {str(run.seed): {**run.history[0], **case.finish(run.history[:1])} for run in runs}
    if any(metric not in row for row in first.values()):
        return None
    return {seed: row[metric] for seed, row in first.items()}


def differing_repetitions(runs: Sequence[Run], again: Sequence[Run]) -> list[str]:
    """Return what a second training of the same runs gave otherwise, beyond relative 1e-6."""
    return [
        f"{run.case}/{run.variant} seed {run.seed}: {metric} {value!r}, then {second.metrics[metric]!r}"
        for run, second in zip(runs, again, strict=True)
        for metric, value in run.metrics.items()
        if not repeats(value, second.metrics[metric])
    ]
