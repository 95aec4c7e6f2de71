"""Runs of a case: which tier of its golden each part of them belongs to, and whether they agree with it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from goldmark.case import Baseline, Case, Failure, Metric, ModelCase, Run, Runs, UsageError, first_values
from goldmark.cases import case_at
from goldmark.golden._compare.drift import Comparison
from goldmark.golden._compare.tiers import compare
from goldmark.golden._files.devices import golden_on
from goldmark.golden._files.entries import BadGolden, Close, Golden, Result, Statistical
from goldmark.golden._files.folder import find_golden, golden_path
from goldmark.golden._record.entry import statistical_entry
from goldmark.runs import by_variant


def check_case(
    runs: Sequence[Run],
    folder: Path | None = None,
    *,
    case: Case[Any] | None = None,
    default: Path = Path("golden"),
    allow_fewer: bool = False,
    strict: bool = False,
    to_name: str = "",
) -> list[Comparison]:
    """Compare runs of a case with the goldens in a folder: a comparison per variant.

    Without a case the catalogue's of that name is meant. Seeds that a golden does not have are left out. `ok` is None,
    with the reason, where nobody named a folder and the default one is not there, for a user's data, and for fewer
    seeds than a check must have where `allow_fewer` asks for it and those hold. `strict`: a metric that is undecided
    fails. A golden that is missing, of another kind of device, or that cannot be trusted fails. `to_name` is what
    `goldmark_cases` must name before `goldmark golden update` records the case: said where a golden is missing.
    """
    variants = dict.fromkeys(run.variant for run in runs)
    how = {"allow_fewer": allow_fewer, "strict": strict}
    case = case or case_at(runs[0].case, runs[0].scale)
    return [_check_variant(case, runs, variant, folder, default, how, to_name) for variant in variants]


def held_variants(case: Case[Any], folder: Path) -> set[str]:
    """Return the variants that have goldens, or ought to: of an experiment its own, and those that tests recorded."""
    names = {variant.name for variant in case.variants}
    if isinstance(case, ModelCase):
        return names
    return {name for name in names if name == case.variants[0].name or _path(folder, case, name).exists()}


def _path(folder: Path, case: Case[Any], variant: str) -> Path:
    return golden_path(folder, f"{case.name}/{variant}")


def _check_variant(
    case: Case[Any],
    runs: Sequence[Run],
    variant: str,
    named: Path | None,
    default: Path,
    how: Mapping[str, bool],
    to_name: str,
) -> Comparison:
    name, folder = f"{runs[0].case}/{variant}", named or default
    if runs[0].data != "generated":
        return Comparison(name=name, ok=None, reason="a user's data")
    if not folder.is_dir():
        return Comparison(name=name, ok=None if named is None else False, reason=f"no folder '{folder}'")
    try:
        golden = golden_on(folder, name, runs[0].fingerprint.get("device", "cpu"))
    except BadGolden as error:
        return Comparison(name=name, ok=False, reason=str(error))
    if golden is None:
        return Comparison(name=name, ok=False, reason=f"no golden in '{folder}'{_way_out(runs[0], named, to_name)}")
    known = [run for run in runs if golden.stream is None or str(run.seed) in golden.stream]
    if variant not in {run.variant for run in known}:
        return Comparison(
            name=name, ok=None if how["allow_fewer"] else False, reason="none of the golden's seeds was run"
        )
    return compare(golden, result_of(known, variant, case), **how)


def _way_out(run: Run, named: Path | None, to_name: str) -> str:
    """Return how a golden that is missing is recorded; nothing for a miniature, which has none."""
    if run.scale == "smoke":
        return ""
    command = f"goldmark golden update {run.case}" if run.scale == "fast" else f"goldmark matrix {run.case}"
    where = "" if named is None else f" --golden-dir {named}"
    first = f"name '{to_name}' in goldmark_cases of the project, and " if to_name and run.scale == "fast" else ""
    return f'; {first}create it: {command}{where} --reason "..."'


def results_of(runs: Sequence[Run], case: Case[Any] | None = None) -> list[Result]:
    """Return a result per variant of the runs of one case, by default the catalogue's case of that name."""
    return [result_of(runs, variant, case) for variant in by_variant(runs)]


def result_of(runs: Sequence[Run], variant: str, case: Case[Any] | None = None) -> Result:
    """Return the result of one variant; the values of its guards are taken from their own runs, where those are given.

    Exact entries and learning rates are the first run's: they do not depend on the seed. Without a case the catalogue's
    of that name is meant.
    """
    case, grouped = case or case_at(runs[0].case, runs[0].scale), by_variant(runs)
    own = grouped[variant]
    first = own[0]
    per_seed = {key: Close({str(run.seed): run.close[key] for run in own}) for key in first.close}
    return Result(
        name=f"{case.name}/{variant}",
        exact=first.exact,
        close={**_learning_rates(first), **per_seed},
        statistical={metric.name: _statistical(case, variant, metric, grouped) for metric in case.metrics},
        stream={str(run.seed): run.stream for run in own},
        fingerprint=first.fingerprint,
        sources=first.sources,
        versions={} if isinstance(case, ModelCase) else first.ingredients.get("versions", {}),
        failures={str(run.seed): _in_words(failure) for run in own if (failure := run.failure) is not None},
    )


def _learning_rates(run: Run) -> dict[str, Close]:
    """Return the entry of the learning rates; an experiment has its own ways with them."""
    rates = [list(rates) for rates in run.learning_rates]
    return {"learning_rates": Close(rates)} if rates else {}


def _in_words(failure: Failure) -> str:
    """Return what stopped a run, with the end of what it printed."""
    return "\n".join([failure.error, *(f"    {line}" for line in failure.last_lines)])


def _statistical(case: Case[Any], variant: str, metric: Metric, runs: Runs) -> Statistical:
    """Return a metric's entry: with its margin where the variant declares that it gates, and else only shown."""
    declared = case.variant(variant)
    own, guard, gates = runs[variant], declared.guards.get(metric.name), metric.name in declared.gating
    if gates and metric.own_margin is None:
        raise UsageError(f"variant '{variant}' gates on '{metric.name}', which has no margin; give Metric.margin")
    if guard not in runs:
        guard = None
    streams = [run.stream for run in own]
    return statistical_entry(
        _values(own, metric.name),
        scale=metric.scale,
        margin=metric.own_margin if gates else None,
        alpha=metric.alpha or declared.alpha,
        test=metric.test,
        dead_below=metric.dead_below,
        better=metric.better,
        guard=guard,
        guard_values=_values(runs[guard], metric.name) if guard else None,
        first_values=_first_values(case, own, metric.name) if guard else None,
        sequential=case.sequential,
        paired=guard is not None and streams == [run.stream for run in runs[guard]],
    )


def with_null(results: Mapping[str, Result], changed: Mapping[str, Sequence[Run]]) -> dict[str, Result]:
    """Return results whose gating metrics know their values after innocent changes: runs by the name of the change."""
    return {name: replace(result, statistical=_with_null(result, changed)) for name, result in results.items()}


def _with_null(result: Result, changed: Mapping[str, Sequence[Run]]) -> dict[str, Statistical]:
    variant = result.name.partition("/")[2]
    own = {change: [run for run in runs if run.variant == variant] for change, runs in changed.items()}
    return {
        metric: entry
        if entry.margin is None or not all(own.values())
        else replace(entry, null_values={change: _values(runs, metric) for change, runs in own.items()} or None)
        for metric, entry in result.statistical.items()
    }


def healthy_gating(case: Case[Any]) -> list[str]:
    """Return the variants whose margins are measured against innocent changes: the fixed ones that gate."""
    return [variant.name for variant in case.variants if variant.role == "fixed" and variant.gating]


def _values(runs: Sequence[Run], metric: str) -> dict[str, float]:
    return {str(run.seed): run.metrics.get(metric, math.nan) for run in runs}  # a run that was stopped has none


def _first_values(case: Case[Any], runs: Sequence[Run], metric: str) -> dict[str, float] | None:
    """Return what a model that stops learning after the first epoch would score; None for a metric taken only once."""
    first = {str(run.seed): {**first_values(run, case.metrics), **case.finish(run.history[:1])} for run in runs}
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
                Baseline(name=name, says="", metrics=scores)
                for name, scores in close.get("baselines", {}).get(seed, {}).items()
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
