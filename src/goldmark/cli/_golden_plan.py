"""`goldmark golden plan`: what margin, seeds and power go together, from values at hand."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

import click
from rich.table import Table
from rich.text import Text

from goldmark.case import LOOKS, Scale, UsageError
from goldmark.cli._golden_project import need_golden, project_option
from goldmark.cli._json_file import json_option, write_json
from goldmark.cli._tables import amount, wide_console
from goldmark.golden._ask.plan import SEEDS, PlannedCheck, planned
from goldmark.golden._files.entries import Statistical
from goldmark.golden._project import Project
from goldmark.golden._record.entry import statistical_entry
from goldmark.statistics import read_margin


@click.command("plan")
@click.argument("name", required=False)
@click.option(
    "--values",
    "values_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='Instead of a golden: JSON with values of some seeds, {"metric": [0.21, 0.19, ...]}.',
)
@click.option("--margin", "margins", multiple=True, help="A margin, in the unit or such as 2%; several may be given.")
@click.option("--seeds", type=click.IntRange(min=2), multiple=True, help="A number of seeds; several may be given.")
@click.option("--effect", help="A shift of interest, in the unit or such as 10%; by default the guard's.")
@click.option("--scale", type=click.Choice(get_args(Scale)), default="identity", help="With --values: the scale.")
@click.option("--alpha", type=float, default=1e-3, show_default=True, help="With --values: the false-alarm rate.")
@json_option
@project_option
def plan_command(
    name: str | None,
    values_file: Path | None,
    margins: tuple[str, ...],
    seeds: tuple[int, ...],
    effect: str | None,
    scale: Scale,
    alpha: float,
    json_file: Path | None,
    project: Project,
) -> None:
    """Show which shift is detected with which margin and how many seeds, from the values of a golden or of a file.

    Values of a golden keep their rule: scale, alpha, test, and pairs with their guard. Values of a file are taken for
    those of one group, to be compared with another. The spread is that of the values: from few seeds it is a guess,
    and its 80 % upper bound counts.

    \b
    goldmark golden plan roast/normalized
    goldmark golden plan --values rmse.json --margin 1% --margin 2% --effect 10%
    """
    if (name is None) == (values_file is None):
        raise UsageError("plan takes the name of a golden or --values FILE; `goldmark golden status` has the names")
    first = margins[0] if margins else "0"
    entries = _of_golden(project, name) if name else _of_file(values_file, first, scale, alpha)
    checks = [
        check
        for metric, entry in entries.items()
        for check in planned(
            {metric: entry},
            seeds=sorted(set(seeds)) or SEEDS,
            margins=[_on_scale(margin, entry) for margin in margins] or None,
            effect=None if effect is None else _on_scale(effect, entry),
        )
    ]
    console = wide_console()
    for metric, of_metric in groupby(checks, lambda check: check.metric):
        console.print(_table(metric, entries[metric], list(of_metric)))
    if json_file is not None:
        write_json(json_file, checks=[asdict(check) for check in checks])


def _of_golden(project: Project, name: str) -> dict[str, Statistical]:
    entries = need_golden(project, name).gating
    if not entries:
        raise UsageError(f"golden '{name}' has no metric with a margin; write its values to a file: --values FILE")
    return entries


def _of_file(path: Path | None, margin: str, scale: Scale, alpha: float) -> dict[str, Statistical]:
    """Return the values of a JSON file as metrics; raise `UsageError` for anything but numbers by metric."""
    try:
        content = json.loads((path or Path()).read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict) or not content:
        raise UsageError(f'{path} holds no values by metric; write {{"val_rmse": [0.21, 0.19, 0.2]}}')
    if not 0 < alpha < 1:
        raise UsageError(f"alpha is {alpha!r}; give a false-alarm rate between 0 and 1, such as 0.001")
    return {metric: _entry(metric, values, margin, scale, alpha) for metric, values in sorted(content.items())}


def _entry(metric: str, values: Any, margin: str, scale: Scale, alpha: float) -> Statistical:
    listed: Mapping[Any, Any] = dict(enumerate(values)) if isinstance(values, list) else values
    numbers = isinstance(listed, dict) and all(type(value) in (int, float) for value in listed.values())
    if not numbers or len(listed) < 2:
        raise UsageError(f"'{metric}' is {values!r}; give the values of two seeds or more, such as [0.21, 0.19]")
    entry = statistical_entry(
        {str(seed): value for seed, value in listed.items()},
        scale=scale,
        margin=margin if margin.endswith("%") else _number(margin),
        alpha=alpha,
    )
    if math.isnan(entry.sd):
        raise UsageError(f"'{metric}' has values without a place on the {entry.scale} scale; give them in the unit")
    return entry


def _on_scale(text: str, entry: Statistical) -> float:
    """Return a margin or an effect on the scale of a metric; raise `UsageError` for one of another scale."""
    scale, number = read_margin(text if text.endswith("%") else _number(text), entry.scale)
    if scale != entry.scale:
        raise UsageError(f"{text} is a percentage, on the log scale; this metric is on the {entry.scale} scale")
    return number


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"'{text}' is no number; give one in the metric's unit, or a percentage such as 2%") from None


def _table(metric: str, entry: Statistical, checks: list[PlannedCheck]) -> Table:
    """Return a row for each number of seeds: with each margin the effect that is found nine times in ten."""
    effect = checks[0].effect
    of_interest = "" if effect is None else f"; power against a shift of {amount(effect, entry.scale)} in brackets"
    title = f"{metric}: {entry.test}, {entry.scale} scale, alpha {entry.alpha:g}, detects{of_interest}"
    by_margin = {margin: list(group) for margin, group in groupby(checks, lambda check: check.margin)}
    table = Table("seeds", title=Text(title), title_justify="left")
    for margin in by_margin:
        table.add_column(f"margin {amount(margin, entry.scale)}")
    for row in zip(*by_margin.values(), strict=True):
        looks = ", ".join(map(str, LOOKS))
        table.add_row(f"looks at {looks}" if row[0].sequential else str(row[0].seeds), *map(_cell, row))
    if effect is not None:
        needed = (str(group[0].enough or "none") for group in by_margin.values())
        table.add_section()
        table.add_row("enough for power .9", *needed)
    return table


def _cell(check: PlannedCheck) -> str:
    if math.isnan(check.detectable):
        return "too few"
    power = "" if check.power is None else f" ({check.power:.2f})"
    return f"{amount(check.detectable, check.scale)}{power}"
