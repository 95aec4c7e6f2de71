"""Tables of a case's runs for a terminal: variants and baselines, claims, goldens."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from statistics import fmean, stdev
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from goldmark.case import Case, Claim, Failure, Metric, Run, Runs, Verdict
from goldmark.golden._compare.drift import Comparison

_HEADER = 11  # characters of a line of a folded metric name
_STYLES = {True: "green", False: "bold red", None: "yellow"}


def wide_console() -> Console:
    """Return a console as wide as the terminal, or wide enough for tables where the output goes to a file."""
    return Console() if sys.stdout.isatty() or "COLUMNS" in os.environ else Console(width=140)


def variant_tables(case: Case[Any], runs: Runs, width: int) -> Iterator[Table]:
    """Yield tables with a row per variant and baseline: as many metrics side by side as the width takes."""
    baselines = mean_baselines(runs)
    names = [*runs, *baselines]
    roles = [f"{case.variant(name).role} ({len(trained)})" for name, trained in runs.items()]
    roles += ["baseline"] * len(baselines)
    columns = [_metric_column(case, metric, runs, baselines) for metric in case.metrics]
    title, left = f"{case.name}: mean (sd), [min, max] over seeds", {"variant": names, "role": roles}
    yield from side_by_side(title, left, columns, width, end_section=len(runs) - 1)


def side_by_side(
    title: str,
    left: Mapping[str, Sequence[str]],
    columns: Sequence[Sequence[str]],
    width: int,
    end_section: int | None = None,
) -> Iterator[Table]:
    """Yield tables of the columns `left`, by header, and as many others, header first, as the width takes."""
    taken = sum(map(_width, left.values())) + 1
    while columns:
        fitting = max(1, sum(total <= width for total in accumulate(map(_width, columns), initial=taken)) - 1)
        table = Table(*left, title=Text(title, style="table.title"), title_justify="left")
        for header, *_ in columns[:fitting]:
            table.add_column(Text(header), justify="right", no_wrap=True)
        rows = zip(*left.values(), *(column[1:] for column in columns[:fitting]), strict=True)
        for place, cells in enumerate(rows):
            table.add_row(*map(Text, cells), end_section=place == end_section)
        yield table
        columns = columns[fitting:]


def _metric_column(
    case: Case[Any], metric: Metric, runs: Runs, baselines: Mapping[str, Mapping[str, float]]
) -> list[str]:
    """Return a header and a cell per variant, with the record's own number where it has one, and per baseline."""
    cells = []
    for name, trained in runs.items():
        values, recorded = [run.metrics[metric.name] for run in trained], case.documented.get(name, {}).get(metric.name)
        mean, sd, low, high = map(number_text, summary(values).values())
        cells.append(
            f"{mean} ({sd})\n[{low}, {high}]" + (f"\nrecorded {number_text(recorded)}" if recorded is not None else "")
        )
    return [
        folded(metric.name, metric.unit),
        *cells,
        *(number_text(scores.get(metric.name)) for scores in baselines.values()),
    ]


def _width(cells: Sequence[str]) -> int:
    """Return the characters that a column takes, its border and padding included."""
    return max(len(line) for cell in cells for line in cell.splitlines() or [""]) + 3


def mean_baselines(runs: Runs) -> dict[str, dict[str, float]]:
    """Return {baseline: {metric: mean over seeds}}, with a set of baselines for each kind of data.

    Variants with other data than the first one have other baselines: these carry the name of the first such variant,
    as in `predict_every_bar (weak_clipped)`. Of the variants on the same data the one with the most seeds counts.
    """
    by_data: dict[str, list[str]] = {}
    for name, trained in runs.items():
        by_data.setdefault(repr(trained[0].baselines), []).append(name)
    means = {}
    for place, names in enumerate(by_data.values()):
        most = max((runs[name] for name in names), key=len)
        for same in zip(*(run.baselines for run in most), strict=True):
            name = same[0].name if place == 0 else f"{same[0].name} ({names[0]})"
            means[name] = {metric: fmean(baseline.metrics[metric] for baseline in same) for metric in same[0].metrics}
    return means


def before_and_after(cases: Sequence[tuple[Case[Any], Runs]]) -> Iterator[str]:
    """Yield the lines of a Markdown table: for every guarded metric the bug, the fix and what baselines score."""
    yield "| case | metric | bug | before | fix | after | baselines |"
    yield "|---|---|---|---|---|---|---|"
    for case, runs in cases:
        for fixed in case.variants:
            for metric, broken in fixed.guards.items():
                if fixed.name in runs and broken in runs:
                    yield f"| {' | '.join(_before_and_after(case, runs, metric, broken, fixed.name))} |"


def _before_and_after(case: Case[Any], runs: Runs, metric: str, broken: str, fixed: str) -> tuple[str, ...]:
    before, after = (_spread([run.metrics[metric] for run in runs[name]]) for name in (broken, fixed))
    baselines = mean_baselines({fixed: runs[fixed]})
    trivial = [f"{name} {number_text(scores[metric])}" for name, scores in baselines.items() if metric in scores]
    seeds = f"({len(runs[fixed])} seeds)"
    return (case.name, metric, broken, before, fixed, f"{after} {seeds}", ", ".join(trivial))


def claims_table(case: Case[Any], verdicts: Sequence[tuple[Claim, Verdict]]) -> Table:
    """Return a table with a row per claim, and per part where it has several: verdict, value, limit and seeds."""
    table = Table(title=f"{case.name}: claims", title_justify="left")
    for column in ("claim", "verdict", "value", "limit", "seeds", "recorded", "says"):
        table.add_column(column, no_wrap=column != "says")
    for claim, verdict in verdicts:
        parts = verdict.parts if len(verdict.parts) > 1 else ()
        numbers = ("", "") if parts else _value_and_limit(verdict)
        cells = (*numbers, str(verdict.n_seeds), number_text(claim.documented))
        table.add_row(Text(claim.name), _judgement(verdict), *cells, Text(claim.says))
        for part in parts:
            table.add_row("", _judgement(part), *_value_and_limit(part), str(part.n_seeds), "", Text(f"  {part.says}"))
    return table


def _judgement(verdict: Verdict) -> Text:
    return Text({True: "holds", False: "FAILS", None: "not judged"}[verdict.ok], style=_STYLES[verdict.ok])


def _value_and_limit(verdict: Verdict) -> tuple[str, str]:
    limit = "" if verdict.ok is None else f"{verdict.relation} {number_text(verdict.limit)}"
    return number_text(verdict.value), limit


def golden_lines(comparisons: Sequence[Comparison]) -> Iterator[Text]:
    """Yield a line that counts the goldens, then one for each that fails and each reason not to check."""
    counts = {ok: sum(comparison.ok is ok for comparison in comparisons) for ok in (True, False, None)}
    counted = f"goldens: {counts[True]} hold, {counts[False]} fail, {counts[None]} not checked"
    yield Text(counted, style=_STYLES[False if counts[False] else None if counts[None] else True])
    unchecked: dict[str, list[str]] = {}
    for comparison in comparisons:
        if comparison.ok is False:
            reason = comparison.reason.partition("\n")[0]  # what a run that failed has printed is shown with that run
            yield Text(f"  {comparison.name} fails: {reason}", style=_STYLES[False])
        elif comparison.ok is None:
            unchecked.setdefault(comparison.reason, []).append(comparison.name)
    for reason, names in unchecked.items():
        yield Text(f"  not checked ({reason}): {', '.join(names)}")


def failure_lines(failures: Sequence[Failure]) -> Iterator[Text]:
    """Yield a line for each run that came to nothing, and of the first of a variant the end of what it printed."""
    printed = set()
    for failure in failures:
        name = f"{failure.case}/{failure.variant}"
        yield Text(f"  {name} seed {failure.seed} fails: {failure.error}", style=_STYLES[False])
        if name not in printed:
            printed.add(name)
            yield from (Text(f"    {line}") for line in failure.last_lines)


def slowest_line(runs: Sequence[Run]) -> str:
    """Return how long the runs took, and the slowest of them."""
    slowest = max(runs, key=lambda run: run.seconds)
    total = sum(run.seconds for run in runs)
    which = f"{slowest.variant} seed {slowest.seed}"
    return f"{len(runs)} runs, {total:.0f} s of training; the slowest is {which}, {slowest.seconds:.1f} s"


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return mean, sd, min and max; all of them NaN where one value is, whatever its place, the sd for one value."""
    if any(math.isnan(value) for value in values):
        return dict.fromkeys(("mean", "sd", "min", "max"), math.nan)
    sd = stdev(values) if len(values) > 1 else math.nan
    return {"mean": fmean(values), "sd": sd, "min": min(values), "max": max(values)}


def _spread(values: Sequence[float]) -> str:
    mean, _, low, high = map(number_text, summary(values).values())
    return f"{mean} [{low}, {high}]"


def number_text(value: float | None) -> str:
    """Return a number as tables show it, three digits or whole; nothing for None."""
    if value is None:
        return ""
    return f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def folded(name: str, unit: str = "1") -> str:
    """Return a name, broken at its underscores and spaces where it is long, with a unit below it."""
    lines = [""]
    for part in re.findall(r"[^_ ]*[_ ]?", name):
        if len(lines[-1]) + len(part.rstrip()) > _HEADER and lines[-1]:
            lines.append("")
        lines[-1] += part
    lines = [line.rstrip() for line in lines]
    return "\n".join(lines if unit == "1" else [*lines, unit])


def amount(shift: float, scale: str) -> str:
    """Return a shift in the metric's unit, or in percent on the log scale."""
    return f"{100 * math.expm1(shift):.3g} %" if scale == "log" else f"{shift:.3g}"
