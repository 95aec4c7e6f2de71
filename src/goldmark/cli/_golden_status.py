"""`goldmark golden status`: what the goldens of a project hold, what they can see, and which are in doubt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from goldmark.cli._golden_project import need_names, project_option
from goldmark.cli._json_file import json_option, write_json
from goldmark.cli._tables import amount, wide_console
from goldmark.golden._ask.status import (
    GatingMetric,
    HeldHere,
    age_days,
    doubts,
    false_alarm_rate,
    gating_metrics,
    held_here,
    held_in_words,
    over_budget,
)
from goldmark.golden._files.entries import BadGolden, Golden
from goldmark.golden._files.folder import find_golden
from goldmark.golden._project import Project

_NAMED = ("goldmark", "numpy", "torch")  # of the versions in a golden, those that a table has room for


@click.command("status")
@json_option
@project_option
def status_command(json_file: Path | None, project: Project) -> None:
    """Show every golden: tiers, age, versions, seeds, margins, detectable effects, and the bug that it is shown to see.

    Exit status 1 where a golden is in doubt (damaged, edited by hand, blind to what it must see), and where the alphas
    of all metrics that gate add up to more than the ini option golden_budget.

    \b
    goldmark golden status
    goldmark golden status --json status.json
    """
    names, doubtful = need_names(project), doubts(project.folder)
    goldens = [golden for golden in (_readable(project.folder, name) for name in names) if golden is not None]
    gating = [metric for golden in goldens for metric in gating_metrics(golden)]
    spent, excess = math.fsum(metric.alpha for metric in gating), over_budget(gating, project.budget)
    console = wide_console()
    held = [held_here(golden) for golden in goldens]
    console.print(_contents(goldens, held))
    if gating:
        console.print(_powers(gating))
    console.print(Text(_rates(len(goldens), gating, spent, project.budget)), soft_wrap=True)
    console.print(Text(held_in_words(held)), soft_wrap=True)
    for doubt in doubtful:
        console.print(Text(f"in doubt: {doubt}", style="bold red"), soft_wrap=True)
    if excess:
        console.print(Text(f"over budget: {excess}", style="bold red"), soft_wrap=True)
    if json_file is not None:
        write_json(
            json_file,
            goldens=[_as_json(*pair) for pair in zip(goldens, held, strict=True)],
            false_alarm_rate=false_alarm_rate(gating),
            alphas=spent,
            budget=project.budget,
            over_budget=excess,
            doubts=doubtful,
        )
    raise SystemExit(1 if doubtful or excess else 0)


def _rates(n_goldens: int, gating: Sequence[GatingMetric], spent: float, budget: float | None) -> str:
    limit = "" if budget is None else f" of golden_budget = {budget:g}"
    return (
        f"{n_goldens} goldens, {len(gating)} gating metrics, alphas of {spent:.3g} in all{limit}. After a change that "
        f"moves no metric by more than its margin, at least one alarms in {100 * false_alarm_rate(gating):.2g} % of "
        "cases at most."
    )


def _readable(folder: Path, name: str) -> Golden | None:
    try:
        return find_golden(folder, name)
    except BadGolden:  # said among the doubts
        return None


def _as_json(golden: Golden, held: HeldHere) -> dict[str, Any]:
    last = golden.origin
    return {
        "name": golden.name,
        **{tier: len(getattr(golden, tier)) for tier in ("exact", "close", "statistical")},
        "seeds": _n_seeds(golden),
        "age_days": age_days(golden),
        "written": last and {"date": last.date, "reason": last.reason, "commit": last.commit},
        "versions": last and dict(last.versions),
        "held_here": {"gating": held.gating, "repeating": held.repeating, "changed": list(held.changed)},
        "gating": [{**asdict(metric), "effects_away": metric.effects_away} for metric in gating_metrics(golden)],
    }


def _n_seeds(golden: Golden) -> int:
    return max((len(entry.values) for entry in golden.statistical.values()), default=0)


def _contents(goldens: Sequence[Golden], held: Sequence[HeldHere]) -> Table:
    columns = ("golden", "exact", "close", "statistical", "seeds", "age", "versions", "held here")
    table = Table(*columns, title="goldens", title_justify="left")
    for golden, here in zip(goldens, held, strict=True):
        last = golden.origin
        table.add_row(
            Text(golden.name),
            str(len(golden.exact)),
            str(len(golden.close)),
            str(len(golden.statistical)),
            str(_n_seeds(golden) or ""),
            f"{age_days(golden):.0f} d",
            Text(
                ", ".join(f"{name} {last.versions[name]}" for name in _NAMED if name in last.versions) if last else ""
            ),
            _held(here),
        )
    return table


def _held(here: HeldHere) -> str:
    """Return how many metrics of a golden are held on this machine: to each seed, or by their margin alone."""
    by_margin = here.gating - here.repeating
    parts = [f"{here.repeating} repeat"] * bool(here.repeating) + [f"{by_margin} margin"] * bool(by_margin)
    return ", ".join(parts) or ("none" if here.n_metrics else "")


def _powers(metrics: Sequence[GatingMetric]) -> Table:
    columns = ("golden", "metric", "n", "test", "alpha", "margin", "detects", "shown to see", "away")
    table = Table(*columns, title="what they can see", title_justify="left")
    for metric in metrics:
        away = metric.effects_away
        table.add_row(
            Text(metric.golden),
            Text(metric.metric),
            str(metric.n_seeds),
            f"{metric.test}, sequential" if metric.sequential else metric.test,
            f"{metric.alpha:g}",
            amount(metric.margin, metric.scale),
            amount(metric.detectable, metric.scale),
            Text(_bug(metric)),
            "" if away is None else f"{away:.1f} detectable effects",
        )
    return table


def _bug(metric: GatingMetric) -> str:
    """Return the bug that a metric is shown to see, in the words of its guard."""
    if metric.guard is None:
        return "nothing"
    if metric.effect is None:
        return f"{metric.guard}, which diverges"
    return f"{metric.guard}, {amount(metric.effect, metric.scale)} off"
