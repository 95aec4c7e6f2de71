"""Runs of the catalogue: which tier of its golden each part of them belongs to, and whether they agree with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from goldmark.case import Baseline, Case, Metric, Run, Runs, UsageError
from goldmark.cases import case_at
from goldmark.golden._compare.drift import Comparison
from goldmark.golden._compare.rounding import repeats
from goldmark.golden._compare.tiers import compare
from goldmark.golden._files.entries import BadGolden, Close, Golden, Result, Statistical
from goldmark.golden._files.folder import find_golden
from goldmark.golden._record.entry import statistical_entry
from goldmark.runs import by_variant


def check_case(runs: Sequence[Run], folder: Path) -> list[Comparison]:
    """Compare runs of a catalogue case with the goldens in a folder: a comparison per variant.

    Seeds that a golden does not have are left out. `ok` is None, with the reason, where there is nothing to compare
    with: no folder, no golden, fewer seeds than the golden, another kind of device, a user's data. A file that cannot
    be trusted fails, with what is wrong with it as the reason.
    """
    return [_check_variant(runs, variant, folder) for variant in dict.fromkeys(run.variant for run in runs)]


def _check_variant(runs: Sequence[Run], variant: str, folder: Path) -> Comparison:
    name = f"{runs[0].case}/{variant}"
    if runs[0].data != "generated":
        return Comparison(name=name, ok=None, reason="a user's data")
    if not folder.is_dir():
        return Comparison(name=name, ok=None, reason=f"no folder '{folder}'")
    try:
        golden = find_golden(folder, name)
    except BadGolden as error:
        return Comparison(name=name, ok=False, reason=str(error))
    if golden is None:
        return Comparison(name=name, ok=None, reason=f"no golden in '{folder}'")
    known = [run for run in runs if golden.stream is None or str(run.seed) in golden.stream]
    if variant not in {run.variant for run in known}:
        return Comparison(name=name, ok=None, reason="none of the golden's seeds was run")
    return compare(golden, result_of(known, variant))


def results_of(runs: Sequence[Run]) -> list[Result]:
    """Return a result per variant of the runs of one case."""
    return [result_of(runs, variant) for variant in by_variant(runs)]


def result_of(runs: Sequence[Run], variant: str) -> Result:
    """Return the result of one variant; the values of its guards are taken from their own runs, where those are given.

    Exact entries and learning rates are the first run's: they do not depend on the seed.
    """
    case, grouped = case_at(runs[0].case, runs[0].scale), by_variant(runs)
    own = grouped[variant]
    first = own[0]
    per_seed = {key: Close({str(run.seed): run.close[key] for run in own}) for key in first.close}
    return Result(
        name=f"{case.name}/{variant}",
        exact=first.exact,
        close={"learning_rates": Close([list(rates) for rates in first.learning_rates]), **per_seed},
        statistical={metric.name: _statistical(case, variant, metric, grouped) for metric in case.metrics},
        stream={str(run.seed): run.stream for run in own},
        fingerprint=first.fingerprint,
        sources=first.sources,
    )


def _statistical(case: Case[Any], variant: str, metric: Metric, runs: Runs) -> Statistical:
    own, guard = runs[variant], case.variant(variant).guards.get(metric.name)
    if guard not in runs:
        guard = None
    streams = [run.stream for run in own]
    return statistical_entry(
        _values(own, metric.name),
        scale=metric.scale,
        margin=metric.margin,
        alpha=case.variant(variant).alpha,
        test="permutation" if metric.dead_seeds else "t",
        better=metric.better,
        guard=guard,
        guard_values=_values(runs[guard], metric.name) if guard else None,
        first_values=_first_values(case, own, metric.name) if guard else None,
        paired=guard is not None and streams == [run.stream for run in runs[guard]],
    )


def _values(runs: Sequence[Run], metric: str) -> dict[str, float]:
    return {str(run.seed): run.metrics[metric] for run in runs}


def _first_values(case: Case[Any], runs: Sequence[Run], metric: str) -> dict[str, float] | None:
    """Return what a model that stops learning after the first epoch would score; None for a metric taken only once."""
    first = {str(run.seed): {**run.history[0], **case.finish(run.history[:1])} for run in runs}
    if any(metric not in row for row in first.values()):
        return None
    return {seed: row[metric] for seed, row in first.items()}


def approved_runs(case: Case[Any], folder: Path) -> Runs:
    """Return the runs of a case as far as its goldens hold them: metrics, baselines and numbers that follow from data.

    A variant without a golden that can be read is left out, and so is all of them where there is no folder.
    """
    goldens = {variant.name: _readable(folder, f"{case.name}/{variant.name}") for variant in case.variants}
    return {name: _runs_of(case, name, golden) for name, golden in goldens.items() if golden is not None}


def _readable(folder: Path, name: str) -> Golden | None:
    try:
        return find_golden(folder, name) if folder.is_dir() else None
    except UsageError:
        return None


def _runs_of(case: Case[Any], variant: str, golden: Golden) -> list[Run]:
    close = {key: entry.value for key, entry in golden.close.items() if key != "learning_rates"}
    return [
        Run(
            case=case.name,
            scale=case.scale,
            variant=variant,
            seed=int(seed),
            metrics={metric: entry.values[seed] for metric, entry in golden.statistical.items()},
            history=(),
            learning_rates=(),
            baselines=tuple(
                Baseline(name=name, says="", metrics=scores) for name, scores in close["baselines"][seed].items()
            ),
            findings=(),
            exact=golden.exact,
            close={key: values[seed] for key, values in close.items()},
            stream=stream,
            fingerprint={},
            sources={},
            data="generated",
            seconds=math.nan,
        )
        for seed, stream in (golden.stream or {}).items()
    ]


def differing_repetitions(runs: Sequence[Run], again: Sequence[Run]) -> list[str]:
    """Return the metrics in which a second training of the same runs differs by more than relative 1e-6."""
    return [
        f"{run.case}/{run.variant} seed {run.seed}: {metric} {value!r}, then {second.metrics[metric]!r}"
        for run, second in zip(runs, again, strict=True)
        for metric, value in run.metrics.items()
        if not repeats(value, second.metrics[metric])
    ]
