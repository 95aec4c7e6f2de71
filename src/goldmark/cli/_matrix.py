"""`goldmark matrix`: the record's experiments at their documented size, or a miniature of them, kept run by run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatch
from itertools import chain
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from goldmark._session import Machines
from goldmark.case import MatrixScale, ModelCase, Run, UsageError
from goldmark.cases import CASES, case_at
from goldmark.cli._json_file import write_json
from goldmark.cli._kept import Means, kept_outcome
from goldmark.cli._known_cases import to_name
from goldmark.cli._outcome import Outcome, as_json, finish
from goldmark.cli._plan import no_gpu_line, plan_table
from goldmark.cli._tables import wide_console
from goldmark.golden import Comparison, check_case
from goldmark.golden._catalogue import results_of
from goldmark.golden._files.devices import name_to_record
from goldmark.golden._project import find_project
from goldmark.golden._record.repetition import with_repetition
from goldmark.golden._update.apply import apply_update
from goldmark.runs import Job, alone, plan_jobs
from goldmark.training import default_jobs, resolve_device
from goldmark.training._plan import group_jobs, miniature


@click.command("matrix")
@click.argument("names", metavar="[CASE]...", nargs=-1)
@click.option("--scale", type=click.Choice(["smoke", "fast", "full"]), default="full", show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--machines", type=click.Choice(["here", "processes", "ray"]), help="[default: processes; on a GPU: here]"
)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes, or tasks on one GPU.  [default: the cores; 1]")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default="matrix", show_default=True)
@click.option("--only", metavar="PATTERN", help="Train variants that match, as in 'roast/*' or '*/*_raw'.")
@click.option("--seeds", type=click.IntRange(min=1), help="Train with seeds 0 ... N-1 instead of each variant's own.")
@click.option(
    "--golden-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where goldens lie.  [default: the project's; golden-matrix at scale full]",
)
@click.option("--reason", help="Record the goldens of a full matrix; say why.")
@click.option("--plan", is_flag=True, help="Print runs, parameters, operations and memory, and train nothing.")
def matrix_command(
    names: tuple[str, ...],
    scale: MatrixScale,
    device: str,
    machines: Machines | None,
    jobs: int | None,
    out: Path,
    only: str | None,
    seeds: int | None,
    golden_dir: Path | None,
    reason: str | None,
    *,
    plan: bool,
) -> None:
    """Train whole matrices, variants x seeds, and keep every run in --out: stopped, the same command goes on.

    \b
    goldmark matrix                                all cases at their documented size, on a GPU
    goldmark matrix --scale smoke --device cpu     every shape of that in miniature
    goldmark matrix eeg --only '*/v8*' --seeds 4   a part of one case
    goldmark matrix --machines ray                 on the cluster at RAY_ADDRESS, or one of this machine
    goldmark matrix --plan                         what it would cost
    goldmark matrix --reason "first run on a GPU"  record its goldens

    Exit status: 0 all as it should be; 1 a run, claim or golden fails; 2 wrong use, or no GPU for scale full.
    """
    console, means = wide_console(), _means(device, machines, jobs, out)
    matrices = _matrices(names, scale, means.device, only, seeds)
    if reason is not None and scale != "full":
        raise UsageError("--reason records scale full; for scale fast: goldmark golden update --reason ...")
    if plan:
        console.print(plan_table(matrices))
        return
    if scale == "full" and device == "auto" and means.device == "cpu":
        raise UsageError(no_gpu_line([job for _, jobs_of_case in matrices for job in jobs_of_case]))
    project = find_project()
    default = Path("golden-matrix") if scale == "full" else project.folder_from_here

    def goldens_of(runs: Sequence[Run]) -> list[Comparison]:
        if scale == "smoke" or reason is not None:  # of no golden's size, or about to be recorded
            return []
        unnamed = to_name(runs[0].case, project) if scale == "fast" else ""
        return check_case(runs, golden_dir, default=default, allow_fewer=seeds is not None, to_name=unnamed)

    with alone(out):
        outcomes = [kept_outcome(console, case, jobs_of_case, means, goldens_of) for case, jobs_of_case in matrices]
        write_json(out / "matrix.json", scale=scale, **as_json(outcomes))  # no times: equal runs give equal files
    if reason is not None:
        _record(console, outcomes, golden_dir or default, reason)
    finish(console, outcomes)


def _means(device: str, machines: Machines | None, jobs: int | None, folder: Path) -> Means:
    """Fill in what was not asked for; whether another machine of a cluster has a GPU cannot be seen from here."""
    resolved = device if (machines, device) == ("ray", "cuda") else resolve_device(device)
    return Means(
        device=resolved,
        machines=machines or ("here" if resolved == "cuda" else "processes"),
        jobs=jobs or default_jobs(resolved),
        folder=folder,
        goes_on="the same command",
    )


def _matrices(
    names: Sequence[str], scale: MatrixScale, device: str, only: str | None, seeds: int | None
) -> list[tuple[ModelCase[Any], list[Job]]]:
    """Return the cases with the jobs that are asked for; at scale smoke two of every shape, unless seeds are named."""
    matrices = []
    for name in dict.fromkeys(names) or CASES:
        case = case_at(name, scale)
        chosen = [v.name for v in case.variants if only is None or fnmatch(f"{name}/{v.name}", only)]
        jobs = plan_jobs(case, chosen, None if seeds is None else range(seeds), device)
        if scale == "smoke" and seeds is None:
            jobs = [job for task in miniature(group_jobs(jobs)) for job in task]
        if jobs:
            matrices.append((case, jobs))
    if not matrices:
        raise UsageError(f"--only '{only}' matches no variant; patterns look like 'roast/*' or '*/*_raw'")
    return matrices


def _record(console: Console, outcomes: Sequence[Outcome], folder: Path, reason: str) -> None:
    """Write the goldens of all cases in one transaction; a run or a claim that fails, or is not judged, forbids it.

    The runs are not repeated, as the catalogue's are: on a GPU sums differ in order from one training to the next.
    """
    failing = [f"{o.case.name}/{claim.name}" for o in outcomes for claim, verdict in o.verdicts if not verdict.ok]
    failing += [f"{f.case}/{f.variant} seed {f.seed}" for outcome in outcomes for f in outcome.failures]
    if failing:
        raise UsageError(f"no golden written: these fail or were not judged: {', '.join(failing)}")
    results = [result for outcome in outcomes for result in results_of(list(chain(*outcome.runs.values())))]
    names = [name_to_record(folder, result.name, result.fingerprint.get("device", "cpu")) for result in results]
    untried = [with_repetition(result, None) for result in results]
    named = {name: replace(result, name=name) for name, result in zip(names, untried, strict=True)}
    review = apply_update(folder, named, reason)
    console.print(Text(f"{review.counts()} in {folder}"))
