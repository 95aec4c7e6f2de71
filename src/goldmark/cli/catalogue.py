"""`goldmark list`: cases, variants and claims with their sources."""

from __future__ import annotations

import click
from rich.table import Table
from rich.text import Text

from goldmark.case import Case, seeds_of
from goldmark.cases import CASES, find_case
from goldmark.cli.tables import wide_console


@click.command("list")
@click.argument("names", metavar="[CASE]...", nargs=-1)
def list_command(names: tuple[str, ...]) -> None:
    """Show cases, variants and claims with their sources.

    \b
    goldmark list
    goldmark list roast poetry
    """
    console = wide_console()
    for case in [find_case(name) for name in names or CASES]:
        console.print(Text(f"\n{case.name}: {case.title}", style="bold"))
        console.print(Text(case.says))
        console.print(_variants(case))
        console.print(_claims(case))


def _variants(case: Case) -> Table:
    table = Table("variant", "role", "of", "seeds", "says", title=f"{case.name}: variants", title_justify="left")
    for variant in case.variants:
        seeds = str(len(seeds_of(case, variant.name)))
        table.add_row(*map(Text, (variant.name, variant.role, variant.of or "", seeds, variant.says)))
    return table


def _claims(case: Case) -> Table:
    table = Table("claim", "says", "documented", "source", title=f"{case.name}: claims", title_justify="left")
    for claim in case.claims:
        documented = "" if claim.documented is None else f"{claim.documented:g}"
        table.add_row(*map(Text, (claim.name, claim.says, documented, claim.source)))
    return table
