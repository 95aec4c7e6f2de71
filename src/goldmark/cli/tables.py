"""Tables of a case's runs for a terminal: variants and baselines, claims, goldens."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from rich.console import Console
from rich.table import Table
from rich.text import Text

from goldmark.case import Case, Claim, Metric, Run, Runs, Verdict, find_variant
from goldmark.golden.compare import Comparison

_NAME_COLUMNS = 34  # characters that the columns of names and roles take
_METRIC_COLUMN = 14  # and a column of numbers
_STYLES = {True: "green", False: "bold red", None: "yellow"}


def wide_console() -> Console:
    """Return a console as wide as the terminal, or wide enough for tables where the output goes to a file."""
    return Console() if sys.stdout.isatty() or "COLUMNS" in os.environ else Console(width=140)


def variant_tables(case: Case, runs: Runs, width: int) -> Iterator[Table]:
    """Yield tables with a row per variant and baseline: as many metrics side by side as the width takes."""
    count = max(1, (width - _NAME_COLUMNS) // _METRIC_COLUMN)
    for start in range(0, len(case.metrics), count):
        yield _variant_table(case, runs, case.metrics[start : start + count])


def _variant_table(case: Case, runs: Runs, metrics: Sequence[Metric]) -> Table:
    table = Table("variant", "role", title=f"{case.name}: mean [min, max] over seeds", title_justify="left")
    for metric in metrics:
        table.add_column(Text(_folded(metric)), justify="right", no_wrap=True)
    for name, its_runs in runs.items():
        role = f"{find_variant(case, name).role} ({len(its_runs)})"
        table.add_row(Text(name), role, *(_spread([run.metrics[m.name] for run in its_runs]) for m in metrics))
    table.add_section()
    for name, scores in mean_baselines(runs).items():
        table.add_row(Text(name), "baseline", *(_number(scores.get(m.name)) for m in metrics))
    return table


def mean_baselines(runs: Runs) -> dict[str, dict[str, float]]:
    """Return {baseline: {metric: mean over all runs that have it}}."""
    collected: dict[str, dict[str, list[float]]] = {}
    for baseline in (baseline for its_runs in runs.values() for run in its_runs for baseline in run.baselines):
        for metric, value in baseline.metrics.items():
            collected.setdefault(baseline.name, {}).setdefault(metric, []).append(value)
    return {name: {metric: fmean(values) for metric, values in row.items()} for name, row in collected.items()}


def claims_table(case: Case, verdicts: Sequence[tuple[Claim, Verdict]]) -> Table:
    """Return a table with a row per claim: verdict, value, limit, seeds, documented number and source."""
    columns = ("claim", "verdict", "value", "limit", "seeds", "recorded", "says", "source")
    table = Table(*columns, title=f"{case.name}: claims", title_justify="left")
    for claim, verdict in verdicts:
        says = {True: "holds", False: "FAILS", None: "not judged"}[verdict.ok]
        table.add_row(
            Text(claim.name),
            Text(says, style=_STYLES[verdict.ok]),
            _number(verdict.value),
            _number(verdict.limit),
            str(verdict.n_seeds),
            _number(claim.documented),
            Text(claim.says),
            Text(claim.source),
        )
    return table


def golden_lines(comparisons: Sequence[Comparison]) -> Iterator[Text]:
    """Yield a line that counts the goldens, then one for each that fails and each reason not to check."""
    counts = {ok: sum(comparison.ok is ok for comparison in comparisons) for ok in (True, False, None)}
    counted = f"goldens: {counts[True]} hold, {counts[False]} fail, {counts[None]} not checked"
    yield Text(counted, style=_STYLES[False if counts[False] else None if counts[None] else True])
    unchecked: Mapping[str, list[str]] = {}
    for comparison in comparisons:
        if comparison.ok is False:
            yield Text(f"  {comparison.name} fails: {comparison.reason}", style=_STYLES[False])
        elif comparison.ok is None:
            unchecked = {**unchecked, comparison.reason: [*unchecked.get(comparison.reason, []), comparison.name]}
    for reason, names in unchecked.items():
        yield Text(f"  not checked ({reason}): {', '.join(names)}")


def slowest_line(runs: Sequence[Run]) -> str:
    """Return how long the runs took, and the slowest of them."""
    slowest = max(runs, key=lambda run: run.seconds)
    total = sum(run.seconds for run in runs)
    which = f"{slowest.variant} seed {slowest.seed}"
    return f"{len(runs)} runs, {total:.0f} s of training; the slowest is {which}, {slowest.seconds:.1f} s"


def _spread(values: Sequence[float]) -> str:
    return f"{_number(fmean(values))}\n[{_number(min(values))}, {_number(max(values))}]"


def _number(value: float | None) -> str:
    if value is None or math.isnan(value):
        return ""
    return f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def _folded(metric: Metric) -> str:
    """Break a long name at its underscores, and put the unit below it."""
    lines = [""]
    for part in metric.name.replace("_", "_ ").split():
        if len(lines[-1]) + len(part) > _METRIC_COLUMN - 3 and lines[-1]:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)
