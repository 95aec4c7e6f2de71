"""`goldmark run`: train the variants of cases, and say whether everything is as it should be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from goldmark.case import Case, UsageError
from goldmark.cases import CASES, find_case
from goldmark.cli._json_file import json_option, write_json
from goldmark.cli._outcome import Outcome, as_json, finish, outcome_of, show
from goldmark.cli._progress import training_progress
from goldmark.cli._tables import before_and_after, wide_console
from goldmark.golden import check_case
from goldmark.golden._project import find_project
from goldmark.runs import n_runs
from goldmark.training import default_jobs, resolve_device, train


@click.command("run")
@click.argument("names", metavar="[CASE]...", nargs=-1)
@click.option("--seeds", type=click.IntRange(min=1), help="Train with seeds 0 ... N-1 instead of each variant's own.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes.  [default: the cores; on a GPU: 1]")
@json_option
@click.option("--data", type=click.Path(path_type=Path), help="Run one case on your own data (roast: JSON Lines).")
@click.option("--device", type=click.Choice(["cpu", "cuda", "auto"]), default="cpu", show_default=True)
@click.option(
    "--golden-dir",
    type=click.Path(file_okay=False, path_type=Path),
    show_default="the project's",
    help="Where goldens lie.",
)
def run_command(
    names: tuple[str, ...],
    seeds: int | None,
    jobs: int | None,
    json_file: Path | None,
    data: Path | None,
    device: str,
    golden_dir: Path | None,
) -> None:
    """Train the variants of cases (all by default) and judge their claims and goldens.

    \b
    goldmark run
    goldmark run roast eeg --jobs 2 --json results.json
    goldmark run roast --data profiles.jsonl
    """
    cases = [find_case(name) for name in dict.fromkeys(names) or CASES]
    if data is not None:
        cases = [_on_file(cases, data)]
    if golden_dir is not None and not golden_dir.is_dir():
        raise UsageError(f"--golden-dir {golden_dir}: there is no such folder; without the option none is needed")
    resolved = resolve_device(device)
    processes = jobs or default_jobs(resolved)
    console = wide_console()
    outcomes = []
    for case in cases:
        outcomes.append(_outcome(case, seeds, processes, resolved, golden_dir))
        show(console, outcomes[-1])
    console.print()
    for line in before_and_after([(outcome.case, outcome.runs) for outcome in outcomes]):
        console.print(Text(line), soft_wrap=True)
    if json_file is not None:
        write_json(json_file, **as_json(outcomes))
    finish(console, outcomes)


def _on_file(cases: Sequence[Case[Any]], path: Path) -> Case[Any]:
    if len(cases) != 1 or not cases[0].reads:
        able = ", ".join(f"{name} ({case.reads})" for name, case in CASES.items() if case.reads)
        raise UsageError(
            f"--data takes one case that reads a file: {able}; for example: goldmark run roast --data {path}"
        )
    return cases[0].on_file(path)


def _outcome(case: Case[Any], seeds: int | None, jobs: int, device: str, golden_dir: Path | None) -> Outcome:
    """Train and judge a case; who names the seeds asks for fewer than the goldens have."""
    chosen = None if seeds is None else range(seeds)
    with training_progress(case.name, n_runs(case, chosen)) as on_run:
        runs = train(case, seeds=chosen, device=device, jobs=jobs, on_run=on_run)
    default = find_project().folder_from_here
    return outcome_of(case, runs, check_case(runs, golden_dir, default=default, allow_fewer=seeds is not None))
