"""Find the commit that moved the metrics of a golden: `git bisect run`, each commit judged against a good one.

The good commit is trained once. Every other one trains the same seeds, and is bad where a metric moved by more than the
golden's margin, good where the 99 % interval of its shift lies within it, and skipped otherwise.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from goldmark.case import UsageError
from goldmark.golden._ask.behind import device_behind, variant_behind
from goldmark.golden._ask.confirm import failure, gating_entries, paired_shift
from goldmark.golden._ask.repository import Repository, environment
from goldmark.golden._ask.trees import DoesNotRunError, TrainedRun, started, tree_of
from goldmark.golden._compare.drift import show_interval, show_shift
from goldmark.golden._compare.shift import rule_of
from goldmark.golden._files.entries import Golden, Statistical
from goldmark.golden._files.folder import find_golden
from goldmark.statistics import Shift

State = Literal["good", "bad", "undecided", "does not run"]
_STATUS: Mapping[State, int] = {"good": 0, "bad": 1, "undecided": 125, "does not run": 125}  # as `git bisect run` reads
_PATIENCE_S = 20.0  # until a commit's process that was interrupted is killed: it has a worktree to remove
_SCRIPT = Path(__file__).with_name("judge_here.py")
_ONLY_SKIPPED = "only 'skip'ped commits left"  # what git says of a bisection that ends without an answer


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a commit's runs say against those of the good commit."""

    commit: str
    title: str
    state: State
    metrics: tuple[str, ...]  # a line each: how far it moved; or why the commit does not run

    def __str__(self) -> str:
        """Return the verdict in one line."""
        return f"{self.title}: {self.state}: {'; '.join(self.metrics)}"


@dataclass(frozen=True, kw_only=True)
class Bisected:
    """Where a bisection ended: at the first bad commit, or at several of which none can be told."""

    first_bad: Judged | None
    candidates: tuple[str, ...] = ()  # titles of commits, one of which is the first bad one


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What every commit is judged by, as the processes of a bisection hand it on in a file."""

    root: str  # of the project
    folder: str  # of the goldens
    name: str  # of the golden
    test: str | None  # that trains it; None: the variant of a case does, with these seeds
    seeds: list[int]
    jobs: int
    good: list[dict[str, Any]]  # runs of the good commit


def bisect(
    root: Path,
    folder: Path,
    golden: Golden,
    ends: tuple[str, str],
    *,
    test: str | None = None,
    count: int | None = None,
    jobs: int = 1,
    say: Callable[[str], None] = lambda line: None,
) -> Bisected:
    """Return the first commit between a good and a bad revision whose runs do not hold against those of the good one.

    The runs are those of the variant that the golden is of, on its own seeds or on the first `count`, or of a `test`,
    on the seeds that it has. The working tree, its index and HEAD are left as they are. Raise `UsageError` for unknown
    revisions, a good one that does not run, a bad one that holds, and where git cannot go on.
    """
    repository = Repository.around(root)
    good, bad = (repository.commit(revision) for revision in ends)
    with TemporaryDirectory(prefix="goldmark-bisect-", ignore_cleanup_errors=True) as temporary:
        seeds = _seeds(golden, count) if test is None else []
        task = _Task(root=str(root), folder=str(folder), name=golden.name, test=test, seeds=seeds, jobs=jobs, good=[])
        with_seeds = f"{len(seeds)} seeds" if test is None else "the seeds of the test"
        say(f"training {repository.title(good)}, the good commit, with {with_seeds}")
        task = replace(task, good=[asdict(run) for run in _good_runs(repository, task, golden, good)])
        judged = _judged(repository, task, golden, bad)
        say(str(judged))
        if judged.state != "bad":
            raise UsageError(f"there is nothing to bisect: the bad commit is not bad: {judged}")
        file = Path(temporary) / "task.json"
        file.write_text(json.dumps(asdict(task)))
        (Path(temporary) / bad).write_text(json.dumps(asdict(judged)))
        return _bisected(repository, file, (good, bad), say)


def _seeds(golden: Golden, count: int | None) -> list[int]:
    """Return the seeds of a golden, or so many from 0 on."""
    own = max((entry.values for entry in gating_entries(golden).values()), key=len)
    return list(range(count)) if count else sorted(map(int, own))


def _good_runs(repository: Repository, task: _Task, golden: Golden, commit: str) -> list[TrainedRun]:
    """Return the runs that others are judged by; raise `UsageError` where one of them came to nothing."""
    runs = _trained(repository, task, golden, commit)
    for run in runs:
        for metric, entry in gating_entries(golden).items():
            why = failure(run, metric, entry.scale)
            if why:
                title = repository.title(commit)
                raise UsageError(f"the good commit {title} is not good: seed {run.seed}: {why}; name another one")
    return runs


def _trained(repository: Repository, task: _Task, golden: Golden, commit: str) -> list[TrainedRun]:
    case, variant = variant_behind(golden)
    with tree_of(repository, Path(task.root), commit) as tree:
        if task.test is None:
            return tree.train(case, [variant], task.seeds, device=device_behind(golden), jobs=task.jobs)
        return tree.run_test(task.test, golden.name, variant)


def _judged(repository: Repository, task: _Task, golden: Golden, commit: str) -> Judged:
    """Return what a commit's runs say; one that cannot be trained, or some of whose seeds crash, does not run."""
    title = repository.title(commit)
    try:
        runs = _trained(repository, task, golden, commit)
    except DoesNotRunError as error:
        return Judged(commit=commit, title=title, state="does not run", metrics=(str(error).splitlines()[-1].strip(),))
    crashed = [f"seed {run.seed}: {run.error}" for run in runs if run.error is not None and not run.metrics]
    if crashed:
        return Judged(commit=commit, title=title, state="does not run", metrics=tuple(crashed[:1]))
    good = [TrainedRun(**row) for row in task.good]
    each = [_judged_metric(metric, entry, runs, good) for metric, entry in gating_entries(golden).items()]
    worst = max((state for state, _ in each), key=("good", "undecided", "bad").index)
    return Judged(
        commit=commit, title=title, state=worst, metrics=tuple(line for state, line in each if state == worst)
    )


def _judged_metric(
    metric: str, entry: Statistical, runs: Sequence[TrainedRun], good: Sequence[TrainedRun]
) -> tuple[State, str]:
    """Return the state of a metric, and how far it moved in words; a seed that diverged is bad."""
    for run in runs:
        why = failure(run, metric, entry.scale)
        if why:
            return "bad", f"seed {run.seed}: {why}"
    new, old = ({str(run.seed): run.metrics[metric] for run in side} for side in (runs, good))
    shift = paired_shift(new, old, rule_of(entry))
    if shift is None:
        return "undecided", f"{metric} has one seed"
    states: Mapping[str, State] = {"changed": "bad", "equal": "good", "undecided": "undecided"}
    return states[shift.judgement], f"{metric} {_moved(entry, shift)}"


def _moved(entry: Statistical, shift: Shift) -> str:
    if shift.interval == (0.0, 0.0):
        return "comes again in every seed"
    margin, interval = show_shift(shift.margin, entry.scale), show_interval(shift.interval, entry.scale)
    seeds = shift.deciding_seeds if shift.judgement == "undecided" else None
    more = f"; about {seeds} seeds would decide" if seeds else ""
    return f"moved by {show_shift(shift.shift, entry.scale)} ({interval}, 99 %; margin {margin}){more}"


def _bisected(repository: Repository, file: Path, ends: tuple[str, str], say: Callable[[str], None]) -> Bisected:
    """Let git bisect in a worktree that has no files: each commit is judged in a worktree of its own."""
    good, bad = ends
    lines = []
    with repository.worktree(bad, checkout=False) as place:
        here = Repository(root=place)
        here.git("bisect", "start", "--no-checkout", bad, good)
        command = [sys.executable, "-P", str(_SCRIPT), str(file)]
        env = {**environment(), "LC_ALL": "C"}  # what git says is read here
        options: dict[str, Any] = {"cwd": place, "env": env, "patience_s": _PATIENCE_S}
        with started(["git", "bisect", "run", *command], stdout=subprocess.PIPE, **options) as process:
            for raw in process.stdout or ():
                lines.append(raw.decode(errors="replace").rstrip())
                say(lines[-1])
            process.wait()
        first_bad = here.commit("refs/bisect/bad")
    if process.returncode == 0 and any(line.startswith(f"{first_bad} is the first bad commit") for line in lines):
        return Bisected(first_bad=_read(file.parent / first_bad))
    if not any(_ONLY_SKIPPED in line for line in lines):
        raise UsageError(f"git cannot bisect: {lines[-1] if lines else f'exit status {process.returncode}'}")
    hashes = [line for line in lines if len(line) == len(bad) and set(line) <= set("0123456789abcdef")]
    return Bisected(first_bad=None, candidates=tuple(map(repository.title, hashes)))


def _read(file: Path) -> Judged:
    row = json.loads(file.read_text())
    return Judged(**{**row, "metrics": tuple(row["metrics"])})


def judge_head(file: str) -> int:
    """Judge the commit that git is at in a bisection, and return the exit status by which it goes on."""
    task = _Task(**json.loads(Path(file).read_text()))
    golden = find_golden(Path(task.folder), task.name)
    if golden is None:
        raise UsageError(f"golden '{task.name}' is gone from '{task.folder}'")
    commit = Repository(root=Path.cwd()).commit("BISECT_HEAD")
    judged = _judged(Repository.around(Path(task.root)), task, golden, commit)
    Path(file).with_name(commit).write_text(json.dumps(asdict(judged)))
    sys.stdout.write(f"{judged}\n")
    sys.stdout.flush()
    return _STATUS[judged.state]
