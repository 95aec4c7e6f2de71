"""`goldmark golden confirm`: whether an alarm is real, and whether it is the guarded bug."""

from __future__ import annotations

import click

from goldmark.cli._golden_project import need_golden, need_no_seeds, project_option
from goldmark.cli._jobs import jobs_option
from goldmark.cli._progress import training_progress
from goldmark.cli._tables import amount
from goldmark.golden._ask.behind import device_behind, nodeid_behind
from goldmark.golden._ask.confirm import Confirmation, Confirmed, confirm, confirm_test, fresh_seeds, guards_of
from goldmark.golden._compare.drift import show_interval
from goldmark.golden._project import Project
from goldmark.statistics import Shift
from goldmark.training import default_jobs

_UNDECIDED = 3  # exit status


@click.command("confirm")
@click.argument("name")
@click.option(
    "--against",
    metavar="REV",
    help="Compare with the code of this revision of git; by default with that of the commit that last wrote the "
    "golden's file.",
)
@click.option(
    "--seeds", type=click.IntRange(min=5), metavar="N", help="Train so many fresh seeds; by default as many as it has."
)
@jobs_option
@project_option
def confirm_command(name: str, against: str | None, seeds: int | None, jobs: int | None, project: Project) -> None:
    """Try an alarm again, to find out whether the shift is real and whether it is the guarded bug.

    Trains the code that wrote the golden, from git, and the code of now on the same seeds, which the golden has never
    seen, and compares them in pairs. Where the old code is not there, the golden's stored values stand for it, which
    sees less. The golden of a test is tried on the seeds that the test has, and one of a GPU (NAME@cuda) on a GPU.

    Exit status 1 where a shift is real, 0 where there is none, and 3 where more seeds would be needed to tell.

    \b
    goldmark golden confirm roast/normalized
    goldmark golden confirm roast/normalized --against main --seeds 40
    """
    golden = need_golden(project, name)
    test, processes = nodeid_behind(project, golden), jobs or default_jobs(device_behind(golden))
    if test is not None:
        need_no_seeds(name, seeds)
        confirmed = confirm_test(project, golden, test, against=against)
    else:
        total = len(fresh_seeds(golden, seeds)) * (2 + len(guards_of(golden)))
        with training_progress(name, total) as on_run:
            confirmed = confirm(project, golden, against=against, count=seeds, jobs=processes, on_run=on_run)
    for line in _lines(name, confirmed):
        click.echo(line)
    judgements = {confirmation.judgement for confirmation in confirmed.metrics}
    raise SystemExit(1 if "changed" in judgements else _UNDECIDED if "undecided" in judgements else 0)


def _lines(name: str, confirmed: Confirmed) -> list[str]:
    head = f"{name} on {confirmed.seeds}: the working tree against {confirmed.against}"
    return [f"{head}:", *(f"  {_sentence(confirmation)}" for confirmation in confirmed.metrics)]


def _sentence(confirmation: Confirmation) -> str:
    """Return what is to be said of one metric."""
    words = {"changed": _real, "equal": _not_there, "undecided": _undecided}[confirmation.judgement](confirmation)
    unpaired = f"; not paired: {confirmation.unpaired}" if confirmation.unpaired else ""
    return f"{confirmation.metric}: {words}{unpaired}"


def _real(confirmation: Confirmation) -> str:
    scale, shift, distance = confirmation.scale, confirmation.shift, confirmation.distance
    if confirmation.failed:
        return f"REAL: {confirmation.failed}"
    if shift is not None and shift.alarm:
        words = f"{amount(shift.shift, scale)}, {_evidence(shift, scale)}"
    elif distance is not None:
        words = f"its distance from '{confirmation.guard}' moved by {amount(distance.shift, scale)}, "
        words += _evidence(distance, scale)
    return f"REAL: {words}; {_bug(confirmation)}"


def _bug(confirmation: Confirmation) -> str:
    """Say whether it is the bug that the golden guards against."""
    guard = confirmation.from_guard
    if confirmation.guard is None:
        return "it has no guard"
    if guard is None:
        return f"its guard '{confirmation.guard}' was not trained"
    against = f"'{confirmation.guard}' (p {guard.p:.2g}, n {guard.n})"
    return f"not told from {against}" if confirmation.bug else f"not {against}"


def _evidence(shift: Shift, scale: str) -> str:
    margin = amount(shift.margin, scale)
    return f"{show_interval(shift.interval, scale)} (99 %), margin {margin}, p {shift.p:.2g}, {shift.n} seeds"


def _not_there(confirmation: Confirmation) -> str:
    shift = confirmation.shift
    if shift is None or shift.interval == (0.0, 0.0):
        return "not there: every seed comes again"
    interval, margin = show_interval(shift.interval, confirmation.scale), amount(shift.margin, confirmation.scale)
    return f"not there: a shift of {interval} (99 %) lies within the margin of {margin}, {shift.n} seeds"


def _undecided(confirmation: Confirmation) -> str:
    shift, seeds = confirmation.shift, confirmation.deciding_seeds
    if shift is None:
        return "undecided: fewer than two seeds came to a value"
    margin = amount(shift.margin, confirmation.scale)
    interval = show_interval(shift.interval, confirmation.scale)
    would = f"about {seeds} seeds would decide: --seeds {seeds}" if seeds else "no number of seeds would decide"
    return f"undecided: a shift of {interval} (99 %), margin {margin}, {shift.n} seeds; {would}"
