"""`goldmark run`: train the variants of cases, and say whether everything is as it should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from rich.console import Console
from rich.text import Text

from goldmark.case import ModelCase, Run, UsageError
from goldmark.cases import CASES, find_case
from goldmark.cli._companions import CommandWithCompanions, given_companions, need_takers
from goldmark.cli._json_file import json_option, write_json
from goldmark.cli._kept import Means, kept_outcome
from goldmark.cli._outcome import Outcome, as_json, finish, outcome_of, show
from goldmark.cli._preset import at_preset, preset_option, preset_runs
from goldmark.cli._progress import training_progress
from goldmark.cli._run_folder import RunOptions, need_new_folder, read_options, start_folder
from goldmark.cli._tables import before_and_after, wide_console
from goldmark.golden import Comparison, check_case
from goldmark.golden._project import find_project
from goldmark.runs import Keep, alone, n_runs, plan_jobs
from goldmark.training import default_jobs, resolve_device, train

_BESIDE_RESUME = {"resume", "jobs", "json_file"}  # what may be other than it was: no result follows from it


@click.command("run", cls=CommandWithCompanions)
@click.argument("names", metavar="[CASE]...", nargs=-1)
@click.option("--seeds", type=click.IntRange(min=1), help="Train with seeds 0 ... N-1 instead of each variant's own.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes.  [default: the cores; on a GPU: 1]")
@json_option
@click.option("--data", type=click.Path(path_type=Path), help="Run one case on your own data.")
@preset_option
@click.option("--device", type=click.Choice(["cpu", "cuda", "auto"]), default="cpu", show_default=True)
@click.option(
    "--golden-dir",
    type=click.Path(file_okay=False, path_type=Path),
    show_default="the project's",
    help="Where goldens lie.",
)
@click.option("--evaluate", is_flag=True, help="Evaluate trained models as the records did, beside baselines.")
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep finished runs, checkpoints and logs in a new folder.",
)
@click.option(
    "--checkpoint-every",
    metavar="N",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Epochs from one checkpoint of --out to the next.",
)
@click.option(
    "--resume",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Go on with the run of --out DIR, to the result that it would have had.",
)
@click.pass_context
def run_command(
    context: click.Context,
    /,
    jobs: int | None,
    json_file: Path | None,
    out: Path | None,
    resume: Path | None,
    **asked: Any,
) -> None:
    """Train the variants of cases (all by default) and judge their claims and goldens.

    \b
    goldmark run
    goldmark run roast eeg --jobs 2 --json results.json
    goldmark run roast --data profiles.jsonl --evaluate
    goldmark run poetry --data poems.json --preset auto
    goldmark run --out runs --checkpoint-every 5   keep runs, checkpoints and logs in runs/
    goldmark run --resume runs                     killed at any moment, go on
    """
    if resume is None:
        options = _options(asked)
    else:
        _need_alone(context, resume)
        options = read_options(resume)
    cases, resolved = _cases(options), resolve_device(options.device)
    if out is not None:
        need_new_folder(out)
    elif _given(context, "checkpoint_every"):
        raise UsageError("--checkpoint-every says how often a run of --out is kept; name a new folder with --out DIR")
    processes, folder, console = jobs or default_jobs(resolved), resume or out, wide_console()
    with nullcontext() if folder is None else alone(folder):
        if out is not None:
            start_folder(out, replace(options, device=resolved))
        outcomes = [_outcome(console, case, options, resolved, processes, folder) for case in cases]
    _show_end(console, outcomes, json_file)


def _options(asked: Mapping[str, Any]) -> RunOptions:
    """Return what the command line asks for."""
    data, golden_dir = asked["data"], asked["golden_dir"]
    return RunOptions(
        cases=tuple(dict.fromkeys(asked["names"])) or tuple(CASES),
        seeds=asked["seeds"],
        data=None if data is None else str(data),
        companions={name: str(path) for name, path in given_companions(asked).items()},
        device=asked["device"],
        golden_dir=None if golden_dir is None else str(golden_dir),
        checkpoint_every=asked["checkpoint_every"],
        evaluate=asked["evaluate"],
        preset=asked["preset"],
    )


def _given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) == ParameterSource.COMMANDLINE


def _need_alone(context: click.Context, folder: Path) -> None:
    """Raise `UsageError` where something is asked for beside --resume that the folder says already."""
    given = [
        "CASE" if isinstance(parameter, click.Argument) else parameter.opts[0]
        for parameter in context.command.get_params(context)
        if parameter.name not in _BESIDE_RESUME and _given(context, str(parameter.name))
    ]
    if given:
        raise UsageError(f"--resume {folder} goes on with what that run was asked for; leave out: {', '.join(given)}")


def _cases(options: RunOptions) -> list[ModelCase[Any]]:
    """Return the cases that are asked for; raise `UsageError` where one, its file or the goldens are not there."""
    cases = [find_case(name) for name in options.cases]
    companions = {name: Path(path) for name, path in options.companions.items()}
    need_takers(cases, companions, data=options.data is not None)
    if options.data is not None:
        cases = [_on_file(cases, Path(options.data), companions)]
    if options.preset is not None:
        cases = at_preset(cases, options.preset)
    if options.golden_dir is not None and not Path(options.golden_dir).is_dir():
        raise UsageError(
            f"--golden-dir {options.golden_dir}: there is no such folder; without the option none is needed"
        )
    return cases


def _on_file(cases: Sequence[ModelCase[Any]], path: Path, companions: Mapping[str, Path]) -> ModelCase[Any]:
    if len(cases) != 1 or not cases[0].reads:
        able = ", ".join(f"{name} ({case.reads})" for name, case in CASES.items() if case.reads)
        raise UsageError(
            f"--data takes one case that reads a file: {able}; for example: goldmark run roast --data {path}"
        )
    return cases[0].on_file(path, companions)


def _outcome(
    console: Console, case: ModelCase[Any], options: RunOptions, device: str, processes: int, folder: Path | None
) -> Outcome:
    """Train, judge and show a case; who names the seeds asks for fewer than the goldens have."""
    chosen = None if options.seeds is None else range(options.seeds)
    golden_dir = None if options.golden_dir is None else Path(options.golden_dir)

    def goldens_of(runs: Sequence[Run]) -> list[Comparison]:
        default = find_project().folder_from_here
        return check_case(runs, golden_dir, default=default, allow_fewer=options.seeds is not None)

    if folder is not None:
        keep = Keep(folder=folder, every=options.checkpoint_every)
        planned = plan_jobs(case, None, chosen, device, keep=keep, evaluate=options.evaluate)
        goes_on = f"goldmark run --resume {folder}"
        means = Means(device=device, machines="processes", jobs=processes, folder=folder, goes_on=goes_on)
        return kept_outcome(console, case, planned, means, goldens_of)
    if options.preset is not None:
        runs = preset_runs(case, chosen, device, evaluate=options.evaluate)
    else:
        with training_progress(case.name, n_runs(case, chosen)) as on_run:
            runs = train(case, seeds=chosen, device=device, jobs=processes, evaluate=options.evaluate, on_run=on_run)
    outcome = outcome_of(case, runs, goldens_of(runs))
    show(console, outcome)
    return outcome


def _show_end(console: Console, outcomes: Sequence[Outcome], json_file: Path | None) -> None:
    """Show the table of before and after, write what is asked for, and exit."""
    console.print()
    for line in before_and_after([(outcome.case, outcome.runs) for outcome in outcomes]):
        console.print(Text(line), soft_wrap=True)
    if json_file is not None:
        write_json(json_file, **as_json(outcomes))
    finish(console, outcomes)
