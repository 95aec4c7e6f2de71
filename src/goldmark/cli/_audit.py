"""`goldmark audit`: what the records say beside what is measured or computed here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from goldmark.audit import Answer, Row, audit, variants_of
from goldmark.case import MatrixScale, Runs
from goldmark.cases import CASES, case_at, find_case
from goldmark.cli._json_file import json_option, need_folder, write_json
from goldmark.cli._progress import training_progress
from goldmark.cli._tables import number_text, wide_console
from goldmark.runs import by_variant, plan_jobs, stored_runs
from goldmark.training import default_jobs, train

_ANSWERS: Mapping[Answer, str] = {
    "confirmed": "green",
    "refuted": "bold red",
    "partly": "yellow",
    "not testable here": "dim",
}


@click.command("audit")
@click.argument("names", metavar="[CASE]...", nargs=-1)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes.  [default: the cores]")
@json_option
@click.option(
    "--markdown",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=need_folder,
    help="Write the table here as Markdown.",
)
@click.option(
    "--matrix",
    type=click.Path(file_okay=False, path_type=Path),
    default="matrix",
    show_default=True,
    help="Where runs of the documented size are kept, as `goldmark matrix --out` leaves them.",
)
def audit_command(
    names: tuple[str, ...], jobs: int | None, json_file: Path | None, markdown: Path | None, matrix: Path
) -> None:
    """Hold every statement of the records against what is measured or computed here.

    Arithmetic is computed again; what the records say of training is judged on runs of the catalogue, which are trained
    for it; what holds at the documented size alone is read from --matrix. A verdict follows from a number and the range
    that the statement asks for: confirmed, refuted, partly (some of its parts hold), or not testable here.

    \b
    goldmark audit
    goldmark audit eeg --json audit.json --markdown AUDIT.md

    Exit status: 0 whatever the verdicts are; 2 wrong use.
    """
    cases = list(dict.fromkeys(names) or CASES)
    for name in cases:
        find_case(name)
    console = wide_console()
    rows: list[Row] = []
    for name in cases:
        of_case = audit(name, _runs(name, jobs, matrix))
        console.print(_table(name, of_case))
        rows += of_case
    console.print(Text(counts(rows)))
    if json_file is not None:
        write_json(json_file, statements=[_as_json(row) for row in rows])
    if markdown is not None:
        markdown.write_text("\n".join([*_markdown(rows), "", counts(rows), ""]), encoding="utf-8")


def counts(rows: Sequence[Row]) -> str:
    """Return how many statements there are, and how many of each verdict."""
    by_answer = Counter(row.answer for row in rows)
    return f"{len(rows)} statements: {', '.join(f'{by_answer[name]} {name}' for name in _ANSWERS)}"


def _runs(name: str, jobs: int | None, matrix: Path) -> Mapping[MatrixScale, Runs]:
    """Train the variants that a case's statements read, and read what is stored of the documented size."""
    case, variants = find_case(name), variants_of(name)
    n = len(plan_jobs(case, variants, None, "cpu"))
    with training_progress(name, n) as on_run:
        fast = train(case, variants, jobs=jobs or default_jobs("cpu"), on_run=on_run)
    return {"fast": by_variant(fast), "full": _stored(name, matrix)}


def _stored(name: str, matrix: Path) -> Runs:
    """Return the stored runs of the documented size that settings and code of today would give again."""
    variants = variants_of(name, "full")
    if not variants or not matrix.is_dir():
        return {}
    full = case_at(name, "full")
    for device in ("cuda", "cpu"):
        progress, _ = stored_runs(matrix, plan_jobs(full, variants, None, device))
        if progress.runs:
            return by_variant(progress.runs.values())
    return {}


def _table(name: str, rows: Sequence[Row]) -> Table:
    table = Table(title=f"{name}: what the record says, and what is measured here", title_justify="left")
    for column in ("statement", "source", "documented", "measured", "verdict", "why"):
        table.add_column(column, no_wrap=column in ("documented", "measured"))
    for row in rows:
        statement = row.statement
        numbers = (number_text(statement.documented), number_text(row.measured))
        verdict = Text(row.answer, style=_ANSWERS[row.answer])
        table.add_row(Text(statement.says), Text(statement.source), *numbers, verdict, Text(row.why))
    return table


def _as_json(row: Row) -> dict[str, Any]:
    return {
        "case": row.case,
        "source": row.statement.source,
        "statement": row.statement.says,
        "documented": row.statement.documented,
        "measured": row.measured,
        "verdict": row.answer,
        "why": row.why,
    }


def _markdown(rows: Sequence[Row]) -> list[str]:
    lines = ["| case | source | statement | documented | measured | verdict | why |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        statement = row.statement
        numbers = (number_text(statement.documented), number_text(row.measured))
        cells = (row.case, statement.source, statement.says, *numbers, row.answer, row.why)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return lines
