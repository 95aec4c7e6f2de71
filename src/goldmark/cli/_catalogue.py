"""`goldmark list`: cases, variants and claims with their sources, and how far the approved runs lie from the limits."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from goldmark.case import Case, Check, Runs, installed
from goldmark.cases import CASES
from goldmark.cli._known_cases import cases_named, every_case
from goldmark.cli._tables import number_text, wide_console
from goldmark.golden._catalogue import approved_runs
from goldmark.golden._project import find_project


@click.command("list")
@click.argument("names", metavar="[CASE]...", nargs=-1)
@click.option(
    "--golden-dir",
    type=click.Path(file_okay=False, path_type=Path),
    show_default="the project's",
    help="Where goldens lie.",
)
def list_command(names: tuple[str, ...], golden_dir: Path | None) -> None:
    """Show cases, variants and claims with their sources: the catalogue's, those of packages, and the project's own.

    Every limit of a claim stands with its distance from the worst seed of the approved runs (the goldens), in sd over
    seeds: a limit that is near alarms by chance, one that is far away sees little.

    \b
    goldmark list
    goldmark list roast poetry
    """
    console = wide_console()
    project = find_project()
    for case in cases_named(names, project) if names else every_case(project):
        console.print(Text(f"\n{case.name}: {case.title}", style="bold"))
        console.print(Text(case.says))
        console.print(_variants(case))
        if case.claims:
            console.print(_claims(case, approved_runs(case, golden_dir or project.folder)))
    if not names and not installed("torch"):
        console.print(Text(_stories()))


def _stories() -> str:
    """Return the name and the first sentence of every case, read from its file: what needs torch is not loaded."""
    room, lines = files("goldmark.cases"), []
    for name in CASES:
        story = ast.get_docstring(ast.parse(room.joinpath(name, "__init__.py").read_text(encoding="utf-8")))
        lines.append(f"{name}: {(story or '').partition(chr(10))[0]}")
    return "\n".join([*lines, "Their variants and claims need torch: pip install 'goldmark[torch]'"])


def _variants(case: Case[Any]) -> Table:
    table = Table("variant", "role", "of", "seeds", "says", title=f"{case.name}: variants", title_justify="left")
    for variant in case.variants:
        seeds = str(len(case.seeds_of(variant.name)))
        table.add_row(*map(Text, (variant.name, variant.role, variant.of or "", seeds, variant.says)))
    return table


def _claims(case: Case[Any], runs: Runs) -> Table:
    """Return a table with a row per claim and one per limit: its distance from the worst seed, where runs tell it."""
    columns = ("claim", "says", "limit", "worst seed", "sd away", "documented", "source")
    table = Table(*columns, title=f"{case.name}: claims", title_justify="left")
    for claim in case.claims:
        documented = number_text(claim.documented)
        table.add_row(*map(Text, (claim.name, claim.says, "", "", "", documented, claim.source)))
        for part in claim.check.parts:
            limit = f"{part.relation} {number_text(part.limit)}"
            table.add_row("", Text(f"  {part.says}"), limit, *_worst_seed(part, runs), "", "")
    return table


def _worst_seed(part: Check, runs: Runs) -> Iterable[str]:
    """Return what the worst seed has and how far that is on the right side of the limit; nothing where it is unknown.

    A golden holds metrics, baselines and what follows from the data, but no findings.
    """
    try:
        verdict = part(runs)
    except (KeyError, ValueError):
        return "", ""
    if verdict.worst_seed is None or not part.one_unit:
        return "", ""
    distance = verdict.distance_sd
    worst = part.measure(runs)[verdict.worst_seed]
    return number_text(worst), "" if math.isnan(distance) else number_text(distance)
