"""`goldmark golden`: what the goldens of a project hold and can detect, and how they change."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, astuple, replace
from pathlib import Path
from typing import Any, NoReturn

import click

from goldmark._session import Session
from goldmark.case import Case, ModelCase, Run, UsageError
from goldmark.cli._golden_confirm import confirm_command
from goldmark.cli._golden_plan import plan_command
from goldmark.cli._golden_project import need_names, project_option, shown
from goldmark.cli._golden_status import status_command
from goldmark.cli._json_file import json_option, write_json
from goldmark.cli._progress import training_progress
from goldmark.experiments import obtain
from goldmark.fingerprint import imported_versions
from goldmark.golden._ask.between import Difference, between
from goldmark.golden._catalogue import healthy_gating, held_variants, results_of, with_null
from goldmark.golden._files.entries import Result, listed
from goldmark.golden._files.folder import find_golden
from goldmark.golden._project import Project
from goldmark.golden._record.claims import WAY_OUT, failing_claims
from goldmark.golden._record.entry import golden_from
from goldmark.golden._record.repetition import unrepeated, with_repetition
from goldmark.golden._update.apply import apply_update, move, would_confirm, would_write
from goldmark.golden._update.migrate import migrate
from goldmark.golden._update.review import HEADER, Row, changes, markdown_table, terminal_table
from goldmark.training import INNOCENT_CHANGES, train, with_innocent_change

_FEW = 5  # seeds of an innocent change that is slow to train
_JOBS = click.option("--jobs", type=click.IntRange(min=1), default=os.cpu_count(), show_default="the cores")


@click.group("golden")
def golden_group() -> None:
    """Look at the goldens of a project, and change them when a change is meant.

    The project is the one whose pytest configuration is found upwards from here: its ini options golden_dir and
    golden_budget count, and its cases are those of goldmark_cases.

    \b
    goldmark golden status
    goldmark golden plan roast/normalized
    goldmark golden diff --against main --markdown
    goldmark golden diff roast
    goldmark golden update --reason "wider validation half"
    goldmark golden confirm roast/normalized
    goldmark golden mv test_train/test_loss test_train/test_val_loss
    goldmark golden prune
    goldmark golden migrate
    """


golden_group.add_command(status_command)
golden_group.add_command(plan_command)
golden_group.add_command(confirm_command)


@golden_group.command("diff")
@click.argument("names", metavar="[CASE]...", nargs=-1)
@click.option(
    "--against",
    metavar="REV",
    help="Train nothing: compare the golden files with those of a revision of git, or of two: OLD..NEW, OLD...NEW.",
)
@click.option("--markdown", is_flag=True, help="With --against: write tables for a pull request.")
@json_option
@_JOBS
@project_option
def diff_command(
    names: tuple[str, ...],
    against: str | None,
    markdown: bool,  # noqa: FBT001
    json_file: Path | None,
    jobs: int,
    project: Project,
) -> None:
    """Train cases (all by default) and show what an update would change; exit status 1 where anything differs.

    With --against nothing is trained: old, new and change come from the files of a revision and those of now.

    \b
    goldmark golden diff
    goldmark golden diff roast --json diff.json
    goldmark golden diff --against main
    goldmark golden diff --against origin/main...HEAD --markdown
    """
    if against is None:
        if markdown:
            raise UsageError("--markdown goes with --against REV")
        _diff_trained(project, names, json_file, jobs)
    if names:
        raise UsageError(f"--against compares all goldens of the folder; leave {listed(names)} out")
    difference = between(project.folder, against)
    for line in _in_markdown(difference) if markdown else _in_plain(difference):
        click.echo(line)
    if json_file is not None:
        write_json(
            json_file,
            changes=[asdict(row) for row in difference.rows],
            weaker=difference.weaker,
            reasons=difference.reasons,
            confirmed=difference.confirmed,
        )
    raise SystemExit(1 if difference.rows else 0)


def _diff_trained(project: Project, names: Sequence[str], json_file: Path | None, jobs: int) -> NoReturn:
    """Train, show what an update would change, and exit."""
    rows: list[Row] = []
    unchanged, confirmed = [], []
    for case in project.cases(names):
        runs = _trained(case, project, jobs)
        for trained in _recorded(case, runs, project.folder):
            result = with_repetition(trained, None)
            old = find_golden(project.folder, result.name) if project.folder.is_dir() else None
            if would_write(old, result):
                rows += changes(old, golden_from(result, old.provenance if old else ()))
            else:
                unchanged.append(result.name)
                confirmed += [result.name] if old is not None and would_confirm(old, result) else []
    for line in terminal_table(rows) if rows else ["nothing would change"]:
        click.echo(line)
    if confirmed:
        click.echo(f"{len(confirmed)} would be confirmed as they are, their sources noted: {listed(confirmed)}")
    if json_file is not None:
        write_json(json_file, changes=[asdict(row) for row in rows], unchanged=unchanged, confirmed=confirmed)
    raise SystemExit(1 if rows else 0)


def _in_plain(difference: Difference) -> list[str]:
    if not difference.rows:
        return ["no golden differs", *_confirmed(difference)]
    reasons = [f"reason: {reason}: {listed(names)}" for reason, names in difference.reasons.items()]
    weaker = [f"weaker: {what}" for what in difference.weaker]
    return [*terminal_table(difference.rows), *weaker, *reasons, *_confirmed(difference)]


def _confirmed(difference: Difference) -> list[str]:
    """Return a line that names the goldens whose values were seen again, where there are some."""
    names = difference.confirmed
    return [f"confirmed as they are, from other sources: {listed(names)}"] if names else []


def _in_markdown(difference: Difference) -> list[str]:
    """Return the tables of a difference, with blank lines between what Markdown would join."""
    lines = markdown_table(HEADER, map(astuple, difference.rows)) if difference.rows else ["No golden differs."]
    if difference.confirmed:
        lines += ["", *_confirmed(difference)]
    if difference.weaker:
        lines += ["", *markdown_table(("checked less strictly",), [(what,) for what in difference.weaker])]
    if difference.reasons:
        reasons = [(reason, listed(names)) for reason, names in difference.reasons.items()]
        lines += ["", *markdown_table(("reason", "goldens"), reasons)]
    return lines


@golden_group.command("update")
@click.argument("names", metavar="[CASE]...", nargs=-1)
@click.option("--reason", default="", help="Why the results are meant to change; without it nothing is written.")
@click.option(
    "--weaken", is_flag=True, help="Allow fewer keys or seeds, wider margins, less power; the reason says why."
)
@_JOBS
@project_option
def update_command(names: tuple[str, ...], reason: str, weaken: bool, jobs: int, project: Project) -> None:  # noqa: FBT001
    """Write the goldens of cases (all by default) anew: all of them or none.

    A golden whose values came again keeps them, with their date and reason, and notes the code that gave them now.

    Every claim is judged first and every variant is trained twice, the fixed ones that gate also with innocent changes
    (one ulp in one weight, two threads). A failing claim, numbers that do not repeat, a golden that could not see its
    bug, a margin that an innocent change exceeds, or a weaker golden without --weaken: nothing is written. A metric
    that does not repeat is held by its margin alone.

    \b
    goldmark golden update --reason "cosine schedule down to 1e-6 instead of 0"
    """
    if not reason.strip():
        raise UsageError('nothing written: no reason was given; say why the results change: --reason "..."')
    results: dict[str, Result] = {}
    for case in project.cases(names):
        runs = _trained(case, project, jobs)
        _need_claims(case, runs)
        again = _trained(case, project, jobs)
        first, second = (_recorded(case, which, project.folder) for which in (runs, again))
        repeated = _repeated(first, second)
        results |= with_null(repeated, _innocently_trained(case, jobs)) if isinstance(case, ModelCase) else repeated
    review = apply_update(project.folder, results, reason, weaken=weaken)
    for line in terminal_table(review.rows) if review.rows else []:
        click.echo(line)
    click.echo(f"{review.counts()} in {shown(project.folder)}")


def _need_claims(case: Case[Any], runs: Sequence[Run]) -> None:
    failing, unjudged = failing_claims(case, runs)
    if failing or unjudged:
        what = "fail" if failing else "are not judged"
        _refuse(f"claims of case '{case.name}' {what}", [*failing, *unjudged], WAY_OUT)


def _repeated(first: Sequence[Result], second: Sequence[Result]) -> dict[str, Result]:
    """Return results with what a second training says about each metric; refuse other exact and close entries."""
    pairs = list(zip(first, second, strict=True))
    differing = [f"{one.name}: {why}" for one, other in pairs for why in unrepeated(one, other)]
    if differing:
        _refuse("a second training gives other results", differing)
    return {one.name: with_repetition(one, other) for one, other in pairs}


def _refuse(why: str, reasons: Sequence[str], *way_out: str) -> None:
    lines = [f"goldmark: nothing written: {why}:", *(f"  {reason}" for reason in reasons), *way_out]
    click.echo("\n".join(lines), err=True)
    raise SystemExit(1)


@golden_group.command("mv")
@click.argument("old")
@click.argument("new")
@project_option
def mv_command(old: str, new: str, project: Project) -> None:
    """Give the golden OLD the name NEW, as the test was given another, and keep its history.

    Where NEW was recorded already, with the same entries, OLD takes its place.

    \b
    goldmark golden mv test_train/test_loss test_train/test_val_loss
    """
    need_names(project)
    move(project.folder, old, new, project.root)
    click.echo(f"{old} is {new} now, in {shown(project.folder)}")


@golden_group.command("prune", context_settings={"ignore_unknown_options": True})
@click.argument("pytest_arguments", metavar="[PYTEST ARGUMENTS]...", nargs=-1, type=click.UNPROCESSED)
@project_option
def prune_command(pytest_arguments: tuple[str, ...], project: Project) -> None:
    """Run all tests of the project, and delete the goldens that none uses if they passed.

    Goldens of tests that were skipped, deselected or not collected are in use.

    \b
    goldmark golden prune
    goldmark golden prune -n 2
    """
    options = ("--golden-prune", f"--golden-dir={project.folder}")
    command = [sys.executable, "-m", "pytest", *options, *pytest_arguments]
    raise SystemExit(subprocess.run(command, cwd=project.root, check=False).returncode)  # noqa: S603 (our own command)


@golden_group.command("migrate")
@project_option
def migrate_command(project: Project) -> None:
    """Rewrite goldens of schema 1 as schema 2, every value untouched, and delete the lists that schema 1 shared.

    \b
    goldmark golden migrate
    """
    names = need_names(project)
    click.echo(f"{len(migrate(project.folder))} of {len(names)} goldens migrated in {shown(project.folder)}")


def _innocently_trained(case: ModelCase[Any], jobs: int) -> dict[str, list[Run]]:
    """Return runs of the fixed variants that gate, by innocent change.

    With two threads there are half as many processes and a few seeds: small models train in them many times slower.
    """
    names = healthy_gating(case)
    all_seeds = [case.seeds_of(name) for name in names]
    changed = {}
    for change in INNOCENT_CHANGES if names else ():
        slow = "threads" in change
        seeds = range(min(_FEW, *map(len, all_seeds))) if slow else None
        total = len(names) * len(seeds) if seeds else sum(map(len, all_seeds))
        with training_progress(f"{case.name}, {change}", total) as on_run:
            changed[change] = train(
                with_innocent_change(case, change),
                names,
                seeds,
                jobs=max(1, jobs // 2) if slow else jobs,
                on_run=on_run,
            )
    return changed


def _trained(case: Case[Any], project: Project, jobs: int) -> list[Run]:
    """Return the runs of all variants, trained now, whatever the run store holds."""
    session = Session(root=project.root, folder=project.root / project.runs_dir, fresh=True, jobs=jobs)
    total = sum(len(case.seeds_of(variant.name)) for variant in case.variants)
    with training_progress(case.name, total) as on_run:
        return obtain(case, session=session, on_run=on_run).runs


def _recorded(case: Case[Any], runs: Sequence[Run], folder: Path) -> list[Result]:
    """Return the results of the variants that have goldens, or ought to."""
    held, versions = held_variants(case, folder), imported_versions({"goldmark"})
    results = [result for result in results_of(runs, case) if result.name.partition("/")[2] in held]
    return [replace(result, versions=result.versions or versions) for result in results]
