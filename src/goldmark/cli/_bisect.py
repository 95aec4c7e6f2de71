"""`goldmark bisect`: which commit moved a golden's metrics."""

from __future__ import annotations

import click

from goldmark.cli._golden_project import need_golden, need_no_seeds, project_option
from goldmark.cli._jobs import jobs_option
from goldmark.golden._ask.behind import device_behind, nodeid_behind
from goldmark.golden._ask.bisect import bisect
from goldmark.golden._project import Project
from goldmark.training import default_jobs

_NOT_TOLD = 3  # exit status


@click.command("bisect")
@click.argument("good")
@click.argument("bad")
@click.argument("name")
@click.option(
    "--seeds",
    type=click.IntRange(min=5),
    metavar="N",
    help="Train the seeds 0 ... N - 1; by default those of the golden.",
)
@jobs_option
@project_option
def bisect_command(good: str, bad: str, name: str, seeds: int | None, jobs: int | None, project: Project) -> None:
    """Find the commit between GOOD and BAD that moved the metrics of a golden.

    NAME is the golden of a case, of an experiment, or of a test, which trains the seeds that it has. GOOD is trained
    once; every commit that git asks about trains the same seeds, and is compared with it in pairs: bad where a metric
    moved by more than the golden's margin, good where the 99 % interval of its shift lies within it. What is undecided,
    or does not run, is skipped. All this happens in temporary worktrees, with ignored data files linked in: the working
    tree is left as it is.

    Exit status 0 where the commit is told, 3 where only skipped commits are left, 2 where BAD is not bad.

    \b
    goldmark bisect v1.2 HEAD digits/default
    goldmark bisect main HEAD eeg/mixup --seeds 40
    """
    golden = need_golden(project, name)
    test, processes = nodeid_behind(project, golden), jobs or default_jobs(device_behind(golden))
    if test is not None:
        need_no_seeds(name, seeds)
    ends = (good, bad)
    bisected = bisect(
        project.root, project.folder, golden, ends, test=test, count=seeds, jobs=processes, say=click.echo
    )
    if bisected.first_bad is None:
        click.echo("one of these commits is the first bad one; more seeds may tell:")
        for title in bisected.candidates:
            click.echo(f"  {title}")
        raise SystemExit(_NOT_TOLD)
    click.echo(f"first bad commit: {bisected.first_bad.title}")
    for line in bisected.first_bad.metrics:
        click.echo(f"  {line}")
