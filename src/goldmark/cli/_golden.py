"""`goldmark golden`: what the goldens hold and can detect, and how they change."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from goldmark.case import Case, Run, UsageError
from goldmark.cases import CASES, find_case
from goldmark.cli._json_file import json_option, write_json
from goldmark.cli._progress import training_progress
from goldmark.cli._tables import wide_console
from goldmark.golden._ask.confirm import FRESH_FROM, Confirmation, confirm
from goldmark.golden._ask.status import GuardedMetric, age_days, doubts, false_alarm_rate, guarded_metrics
from goldmark.golden._catalogue import differing_repetitions, results_of
from goldmark.golden._files.entries import BadGolden, Golden, Result
from goldmark.golden._files.folder import find_golden, golden_names
from goldmark.golden._record.entry import golden_from
from goldmark.golden._update.apply import apply_update, would_write
from goldmark.golden._update.migrate import migrate
from goldmark.golden._update.review import changes, terminal_table
from goldmark.runs import by_variant, n_runs
from goldmark.training import train

_FOLDER = click.option(
    "--golden-dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("golden"),
    show_default=True,
)
_JOBS = click.option("--jobs", type=click.IntRange(min=1), default=os.cpu_count(), show_default="the cores")


@click.group("golden")
def golden_group() -> None:
    """Look at goldens, and change them when a change is meant.

    \b
    goldmark golden status
    goldmark golden diff roast
    goldmark golden update --reason "wider validation half"
    goldmark golden confirm roast/normalized
    goldmark golden prune
    goldmark golden migrate
    """


@golden_group.command("status")
@json_option
@_FOLDER
def status_command(json_file: Path | None, folder: Path) -> None:
    """Show every golden: tiers, age, versions, seeds, margin, detectable effect, and the bug that it guards against.

    Exit status 1 where a golden is in doubt: damaged, edited by hand, or blind to what it must see.

    \b
    goldmark golden status
    goldmark golden status --json status.json
    """
    names, doubtful = _names(folder), doubts(folder)
    goldens = [golden for golden in (_readable(folder, name) for name in names) if golden is not None]
    guarded = [metric for golden in goldens for metric in guarded_metrics(golden)]
    console = wide_console()
    console.print(_contents(goldens))
    console.print(_guards(guarded))
    console.print(
        Text(
            f"{len(goldens)} goldens, {len(guarded)} guarded metrics. After a change that moves no metric by more than "
            f"its margin, at least one alarms in {100 * false_alarm_rate(guarded):.2g} % of cases at most."
        )
    )
    for doubt in doubtful:
        console.print(Text(f"in doubt: {doubt}", style="bold red"), soft_wrap=True)
    if json_file is not None:
        contents = [_as_json(golden) for golden in goldens]
        write_json(json_file, goldens=contents, false_alarm_rate=false_alarm_rate(guarded), doubts=doubtful)
    raise SystemExit(1 if doubtful else 0)


def _readable(folder: Path, name: str) -> Golden | None:
    try:
        return find_golden(folder, name)
    except BadGolden:  # said among the doubts
        return None


def _as_json(golden: Golden) -> dict[str, Any]:
    last = golden.provenance[-1] if golden.provenance else None
    return {
        "name": golden.name,
        **{tier: len(getattr(golden, tier)) for tier in ("exact", "close", "statistical")},
        "seeds": _n_seeds(golden),
        "age_days": age_days(golden),
        "written": last and {"date": last.date, "reason": last.reason, "commit": last.commit},
        "versions": last and dict(last.versions),
        "guarded": [{**asdict(metric), "effects_away": metric.effects_away} for metric in guarded_metrics(golden)],
    }


def _n_seeds(golden: Golden) -> int:
    return max((len(entry.values) for entry in golden.statistical.values()), default=0)


def _contents(goldens: Sequence[Golden]) -> Table:
    table = Table(
        "golden", "exact", "close", "statistical", "seeds", "age", "versions", title="goldens", title_justify="left"
    )
    for golden in goldens:
        last = golden.provenance[-1] if golden.provenance else None
        table.add_row(
            Text(golden.name),
            str(len(golden.exact)),
            str(len(golden.close)),
            str(len(golden.statistical)),
            str(_n_seeds(golden) or ""),
            f"{age_days(golden):.0f} d",
            Text(", ".join(f"{name} {version}" for name, version in sorted(last.versions.items())) if last else ""),
        )
    return table


def _guards(metrics: Sequence[GuardedMetric]) -> Table:
    columns = ("golden", "metric", "n", "test", "margin", "detects", "guards against", "away")
    table = Table(*columns, title="what they can see", title_justify="left")
    for metric in metrics:
        table.add_row(
            Text(metric.golden),
            Text(metric.metric),
            str(metric.n_seeds),
            metric.test,
            _amount(metric.margin, metric.scale),
            _amount(metric.detectable, metric.scale),
            Text(f"{metric.guard}, {_amount(metric.effect, metric.scale)} off"),
            f"{metric.effects_away:.1f} detectable effects",
        )
    return table


def _amount(shift: float, scale: str) -> str:
    """Return a shift in the metric's unit, or in percent on the log scale."""
    return f"{100 * math.expm1(shift):.3g} %" if scale == "log" else f"{shift:.3g}"


@golden_group.command("diff")
@click.argument("names", metavar="[CASE]...", nargs=-1)
@json_option
@_JOBS
@_FOLDER
def diff_command(names: tuple[str, ...], json_file: Path | None, jobs: int, folder: Path) -> None:
    """Train cases (all by default) and show what an update would change; exit status 1 where it would.

    \b
    goldmark golden diff
    goldmark golden diff roast --json diff.json
    """
    rows, unchanged = [], []
    for result in (result for case in _cases(names) for result in results_of(_trained(case, jobs))):
        old = find_golden(folder, result.name)
        if would_write(old, result):
            rows += changes(old, golden_from(result, old.provenance if old else ()))
        else:
            unchanged.append(result.name)
    for line in terminal_table(rows) if rows else ["nothing would change"]:
        click.echo(line)
    if json_file is not None:
        write_json(json_file, changes=[asdict(row) for row in rows], unchanged=unchanged)
    raise SystemExit(1 if rows else 0)


@golden_group.command("update")
@click.argument("names", metavar="[CASE]...", nargs=-1)
@click.option("--reason", default="", help="Why the results are meant to change; without it nothing is written.")
@click.option(
    "--weaken", is_flag=True, help="Allow fewer keys or seeds, wider margins, less power; the reason says why."
)
@_JOBS
@_FOLDER
def update_command(names: tuple[str, ...], reason: str, weaken: bool, jobs: int, folder: Path) -> None:  # noqa: FBT001
    """Write the goldens of cases (all by default) anew: all of them or none.

    Every claim is judged first and every variant is trained twice. A failing claim, a run that does not repeat, a
    golden that could not see its bug, or a weaker one without --weaken: nothing is written.

    \b
    goldmark golden update --reason "cosine schedule down to 1e-6 instead of 0"
    """
    if not reason.strip():
        raise UsageError('nothing written: no reason was given; say why the results change: --reason "..."')
    results: dict[str, Result] = {}
    for case in _cases(names):
        runs = _trained(case, jobs)
        _need_claims(case, runs)
        _need_repetition(runs, _trained(case, jobs))
        results |= {result.name: result for result in results_of(runs)}
    review = apply_update(folder, results, reason, weaken=weaken)
    for line in terminal_table(review.rows) if review.rows else []:
        click.echo(line)
    click.echo(f"{review.counts()} in {folder}")


def _need_claims(case: Case[Any], runs: Sequence[Run]) -> None:
    failing = [
        f"{claim.name}: {claim.says}\n  {verdict}" for claim, verdict in case.judge(by_variant(runs)) if not verdict.ok
    ]
    if failing:
        _refuse(f"claims of case '{case.name}' fail", failing)


def _need_repetition(runs: Sequence[Run], again: Sequence[Run]) -> None:
    differing = differing_repetitions(runs, again)
    if differing:
        _refuse("a second training gives other results", differing)


def _refuse(why: str, reasons: Sequence[str]) -> None:
    click.echo("\n".join([f"goldmark: nothing written: {why}:", *(f"  {reason}" for reason in reasons)]), err=True)
    raise SystemExit(1)


@golden_group.command("confirm")
@click.argument("name")
@_JOBS
@_FOLDER
def confirm_command(name: str, jobs: int, folder: Path) -> None:
    """Try an alarm again on fresh seeds, to find out whether the shift is real and whether it is the guarded bug.

    Trains the variant and its guard on seeds that the golden has never seen. Exit status 1 where a shift is real.

    \b
    goldmark golden confirm roast/normalized
    """
    golden = _need_golden(folder, name)
    case = find_case(name.partition("/")[0])
    total = max((len(entry.values) for entry in golden.statistical.values() if entry.guard), default=0)
    guards = {entry.guard for entry in golden.statistical.values() if entry.guard}
    with training_progress(name, total * (1 + len(guards))) as on_run:
        confirmations = confirm(case, golden, processes=jobs, on_run=on_run)
    click.echo(f"{name} on the fresh seeds {FRESH_FROM} ... {FRESH_FROM + total - 1}:")
    for confirmation in confirmations:
        click.echo(f"  {_sentence(confirmation)}")
    raise SystemExit(1 if any(confirmation.real for confirmation in confirmations) else 0)


def _sentence(confirmation: Confirmation) -> str:
    shift, guard = confirmation.from_golden, confirmation.from_guard
    amount = _amount(shift.shift, confirmation.scale)
    distance = (
        f"{amount} from the golden (margin {_amount(shift.margin, confirmation.scale)}, p {shift.p:.2g}, n {shift.n})"
    )
    if not confirmation.real:
        detectable = _amount(shift.detectable, confirmation.scale)
        power = "" if "permutation" in shift.test else f"; a shift of {detectable} would be seen nine times in ten"
        return f"{confirmation.metric}: not confirmed: {distance}{power}"
    against = f"'{confirmation.guard}' (p {guard.p:.2g}, n {guard.n})"
    bug = f"not told from {against}" if confirmation.bug else f"not {against}"
    return f"{confirmation.metric}: REAL: {distance}; {bug}"


@golden_group.command("prune", context_settings={"ignore_unknown_options": True})
@click.argument("pytest_arguments", metavar="[PYTEST ARGUMENTS]...", nargs=-1, type=click.UNPROCESSED)
def prune_command(pytest_arguments: tuple[str, ...]) -> None:
    """Run all tests, and delete the goldens that none of them used if the run was complete and green.

    \b
    goldmark golden prune -n 2
    """
    command = [sys.executable, "-m", "pytest", "--golden-prune", *pytest_arguments]
    raise SystemExit(subprocess.run(command, check=False).returncode)  # noqa: S603 (our own command)


@golden_group.command("migrate")
@_FOLDER
def migrate_command(folder: Path) -> None:
    """Rewrite goldens of schema 1 as schema 2, every value untouched, and delete the lists that schema 1 shared.

    \b
    goldmark golden migrate
    """
    migrated = migrate(folder) if folder.is_dir() else []
    click.echo(f"{len(migrated)} of {len(_names(folder))} goldens migrated in {folder}")


def _cases(names: Sequence[str]) -> list[Case[Any]]:
    return [find_case(name) for name in dict.fromkeys(names) or CASES]


def _trained(case: Case[Any], jobs: int) -> list[Run]:
    with training_progress(case.name, n_runs(case)) as on_run:
        return train(case, jobs=jobs, on_run=on_run)


def _names(folder: Path) -> list[str]:
    names = golden_names(folder) if folder.is_dir() else []
    if not names:
        raise UsageError(f"no goldens in '{folder}'; name their folder with --golden-dir, or write them with 'update'")
    return names


def _need_golden(folder: Path, name: str) -> Golden:
    golden = find_golden(folder, name) if folder.is_dir() else None
    if golden is None:
        raise UsageError(f"there is no golden '{name}' in '{folder}'; it has: {', '.join(_names(folder))}")
    return golden
