"""The command line: goldmark list | run | runs | audit | matrix | golden | bisect."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import Any

import click

from goldmark.case import UsageError, naming_extras
from goldmark.cli._audit import audit_command
from goldmark.cli._bisect import bisect_command
from goldmark.cli._catalogue import list_command
from goldmark.cli._golden import golden_group
from goldmark.cli._matrix import matrix_command
from goldmark.cli._run import run_command
from goldmark.cli._runs import runs_group

_ASKED = "goldmark.asked"  # key of the command line as it was written


class _Program(click.Group):
    """A group that answers wrong use, bad input and a missing extra with one line and exit status 2."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_ASKED] = shlex.join(["goldmark", *args])
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with naming_extras(f"'{ctx.meta[_ASKED]}'"):
                return super().invoke(ctx)
        except UsageError as error:
            click.echo(f"goldmark: {error}", err=True)
            ctx.exit(2)


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="goldmark")
def program() -> None:
    """Regression tests for training code, with golden results.

    \b
    goldmark run                  train the four documented bugs and their fixes, and judge them
    goldmark run roast --seeds 2  one case, two seeds
    goldmark list                 what there is: cases, variants, claims with their sources
    goldmark audit                every statement of the records beside what is measured here
    goldmark matrix               the record's experiments at their documented size, on a GPU
    goldmark golden status        what the goldens hold and what they can see
    goldmark bisect A B NAME      which commit between two moved the metrics of a golden
    goldmark runs list            the finished runs that tests and commands share

    Exit status: 0 all as it should be; 1 a claim or golden fails; 2 wrong use or bad input; 3 undecided.
    """


program.add_command(list_command)
program.add_command(run_command)
program.add_command(audit_command)
program.add_command(matrix_command)
program.add_command(golden_group)
program.add_command(bisect_command)
program.add_command(runs_group)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and exit with its status."""
    sys.exit(program.main(arguments, prog_name="goldmark"))
