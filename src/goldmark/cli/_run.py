"""`goldmark run`: train the variants of cases, and say whether everything is as it should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from click.core import ParameterSource
from rich.console import Console
from rich.text import Text

from goldmark._session import Session, is_project, trained_in_words
from goldmark.case import Case, ModelCase, Run, UsageError, installed
from goldmark.cases import CASES
from goldmark.cli._companions import CommandWithCompanions, given_companions, need_takers
from goldmark.cli._jobs import jobs_option
from goldmark.cli._json_file import json_option, write_json
from goldmark.cli._kept import Means, kept_outcome
from goldmark.cli._known_cases import cases_named, to_name
from goldmark.cli._outcome import Outcome, as_json, failures_of, finish, outcome_of, show
from goldmark.cli._preset import at_preset, preset_option, preset_runs
from goldmark.cli._progress import training_progress
from goldmark.cli._run_folder import RunOptions, need_new_folder, read_options, start_folder
from goldmark.cli._tables import before_and_after, wide_console
from goldmark.experiments import Obtained, obtain
from goldmark.golden import Comparison, check_case
from goldmark.golden._catalogue import held_variants
from goldmark.golden._project import Project, find_project
from goldmark.runs import Keep, alone, n_runs, plan_jobs
from goldmark.training import default_jobs, resolve_device, train

_OF_THE_ENGINE = ("data", "preset", "device", "evaluate", "out", "checkpoint_every", "resume")
_BESIDE_RESUME = {"resume", "jobs", "json_file"}  # what may be other than it was: no result follows from it


@click.command("run", cls=CommandWithCompanions)
@click.argument("names", metavar="[CASE]...", nargs=-1)
@click.option("--seeds", type=click.IntRange(min=1), help="Train with seeds 0 ... N-1 instead of each variant's own.")
@jobs_option
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
@click.option("--fresh", is_flag=True, help="Train all runs, read none that is kept.")
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
    *,
    jobs: int | None,
    json_file: Path | None,
    out: Path | None,
    resume: Path | None,
    fresh: bool,
    **asked: Any,
) -> None:
    """Train the variants of cases (all by default) and judge their claims and goldens.

    In a project, runs are kept in its folder .goldmark (ini option goldmark_runs_dir), and trained again only where
    code, settings, libraries or the machine have changed; with --data, --preset, --evaluate and --out all are trained.

    \b
    goldmark run
    goldmark run roast eeg --jobs 2 --json results.json
    goldmark run roast --fresh                     train every run, whatever is kept
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
    project = find_project()
    named = cases_named(options.cases, project)
    _need_engine(context, named)
    cases, resolved = _cases(options, named), _device(options.device)
    if out is not None:
        need_new_folder(out)
    elif _given(context, "checkpoint_every"):
        raise UsageError("--checkpoint-every says how often a run of --out is kept; name a new folder with --out DIR")
    processes, folder, console = jobs or default_jobs(resolved), resume or out, wide_console()
    with nullcontext() if folder is None else alone(folder):
        if out is not None:
            start_folder(out, replace(options, device=resolved, cases=tuple(case.name for case in cases)))
        session = None if folder is not None else _session(options, project, processes, fresh=fresh)
        means = _Asked(options=options, project=project, device=resolved, processes=processes)
        outcomes = [_outcome(console, case, means, folder or session) for case in cases]
    _show_end(console, outcomes, json_file)


def _options(asked: Mapping[str, Any]) -> RunOptions:
    """Return what the command line asks for."""
    data, golden_dir = asked["data"], asked["golden_dir"]
    return RunOptions(
        cases=tuple(dict.fromkeys(asked["names"])),
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


def _cases(options: RunOptions, cases: Sequence[Case[Any]]) -> list[Case[Any]]:
    """Return the cases as they are asked for; raise `UsageError` where a file or the goldens are not there."""
    companions = {name: Path(path) for name, path in options.companions.items()}
    need_takers(cases, companions, data=options.data is not None)
    if options.data is not None:
        cases = [_on_file(cases, Path(options.data), companions)]
    if options.preset is not None:
        cases = at_preset([case for case in cases if isinstance(case, ModelCase)], options.preset)
    if options.golden_dir is not None and not Path(options.golden_dir).is_dir():
        raise UsageError(
            f"--golden-dir {options.golden_dir}: there is no such folder; without the option none is needed"
        )
    return list(cases)


def _need_engine(context: click.Context, cases: Sequence[Case[Any]]) -> None:
    """Raise `UsageError` where an option of the engine is given for an experiment, which a function trains."""
    experiment = next((case.name for case in cases if not isinstance(case, ModelCase)), None)
    of_engine = [name for name in _OF_THE_ENGINE if _given(context, name)]
    if experiment is not None and of_engine:
        raise UsageError(
            f"case '{experiment}' is an experiment, whose function says itself what it reads and where it trains; "
            f"leave out: --{of_engine[0].replace('_', '-')}"
        )


def _on_file(cases: Sequence[Case[Any]], path: Path, companions: Mapping[str, Path]) -> ModelCase[Any]:
    case = cases[0]
    if len(cases) != 1 or not isinstance(case, ModelCase) or not case.reads:
        able = ", ".join(f"{name} ({case.reads})" for name, case in CASES.items() if case.reads)
        raise UsageError(
            f"--data takes one case that reads a file: {able}; for example: goldmark run roast --data {path}"
        )
    return case.on_file(path, companions)


def _device(device: str) -> str:
    """Return the device that the engine trains on; without torch nothing but experiments is trained."""
    return resolve_device(device) if installed("torch") or device != "cpu" else "cpu"


def _session(options: RunOptions, project: Project, processes: int, *, fresh: bool) -> Session | None:
    """Return the session that reads and writes the project's runs, or None where these are none of its runs."""
    if not is_project(project.root) or options.data or options.preset or options.evaluate:
        return None
    return Session(root=project.root, folder=project.root / project.runs_dir, fresh=fresh, jobs=processes)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What is asked for of every case, and where."""

    options: RunOptions
    project: Project
    device: str
    processes: int

    @property
    def seeds(self) -> range | None:
        """The seeds that are named; who names them asks for fewer than the goldens have."""
        return None if self.options.seeds is None else range(self.options.seeds)

    def goldens_of(self, case: Case[Any], runs: Sequence[Run]) -> list[Comparison]:
        """Return how runs compare with the goldens; of an experiment only some variants have one."""
        named = None if self.options.golden_dir is None else Path(self.options.golden_dir)
        default = self.project.folder_from_here
        held = held_variants(case, named or default)
        runs = [run for run in runs if run.variant in held]
        fewer, unnamed = self.seeds is not None, to_name(case.name, self.project)
        return check_case(runs, named, case=case, default=default, allow_fewer=fewer, to_name=unnamed)


def _outcome(console: Console, case: Case[Any], asked: _Asked, store: Path | Session | None) -> Outcome:
    """Train, judge and show a case."""
    if isinstance(store, Path) and isinstance(case, ModelCase):
        options = asked.options
        keep = Keep(folder=store, every=options.checkpoint_every)
        planned = plan_jobs(case, None, asked.seeds, asked.device, keep=keep, evaluate=options.evaluate)
        goes_on = f"goldmark run --resume {store}"
        means = Means(device=asked.device, machines="processes", jobs=asked.processes, folder=store, goes_on=goes_on)
        return kept_outcome(console, case, planned, means, partial(asked.goldens_of, case))
    session = store if isinstance(store, Session) else None
    obtained = _obtained(case, asked, session)
    good = [run for run in obtained.runs if run.error is None]
    outcome = outcome_of(case, good, asked.goldens_of(case, obtained.runs), failures_of(obtained.runs))
    show(console, outcome)
    if session is not None:
        line = f"{case.name}: {obtained.n_read} runs read, {trained_in_words(obtained.trained)}"
        console.print(Text(line))
    return outcome


def _obtained(case: Case[Any], asked: _Asked, session: Session | None) -> Obtained:
    """Return the runs of a case, read where the session has them, and show how far their training is."""
    if isinstance(case, ModelCase) and session is None:
        return Obtained(runs=_by_engine(case, asked))
    total = sum(len(case.seeds_of(variant.name) if asked.seeds is None else asked.seeds) for variant in case.variants)
    with training_progress(case.name, total) as on_run, TemporaryDirectory() as nowhere:
        session = session or Session(root=Path.cwd(), folder=Path(nowhere), jobs=asked.processes)
        return obtain(case, seeds=asked.seeds, session=session, device=asked.device, on_run=on_run)


def _by_engine(case: ModelCase[Any], asked: _Asked) -> list[Run]:
    options = asked.options
    if options.preset is not None:
        return preset_runs(case, asked.seeds, asked.device, evaluate=options.evaluate)
    with training_progress(case.name, n_runs(case, asked.seeds)) as on_run:
        return train(
            case,
            seeds=asked.seeds,
            device=asked.device,
            jobs=asked.processes,
            evaluate=options.evaluate,
            on_run=on_run,
        )


def _show_end(console: Console, outcomes: Sequence[Outcome], json_file: Path | None) -> None:
    """Show the table of before and after, write what is asked for, and exit."""
    console.print()
    for line in before_and_after([(outcome.case, outcome.runs) for outcome in outcomes]):
        console.print(Text(line), soft_wrap=True)
    if json_file is not None:
        write_json(json_file, **as_json(outcomes))
    finish(console, outcomes)
