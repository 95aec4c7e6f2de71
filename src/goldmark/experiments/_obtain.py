"""The runs of a case of either kind: read where nothing has changed that can change them, and trained otherwise."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from goldmark._session import EVERY_S, SILENT_S, Session, current
from goldmark.case import Case, ModelCase, Run, UsageError, with_curves
from goldmark.experiments._results import not_finite, results_of, run_of
from goldmark.experiments._schedule import Finished, Schedule
from goldmark.experiments._worker import NOTES
from goldmark.fingerprint import fingerprint
from goldmark.runs import open_store, reusable

if TYPE_CHECKING:
    from goldmark.experiments._declare import Experiment

OnRun = Callable[[Run], None]


@dataclass(frozen=True, kw_only=True)
class Obtained:
    """The runs that were asked for, in that order, and where they come from."""

    runs: list[Run]
    n_read: int = 0  # of them were there already
    trained: Counter[str] = field(default_factory=Counter)  # why the others were trained -> how many


def obtain(
    case: Case[Any],
    variants: Sequence[str] | None = None,
    seeds: Iterable[int] | None = None,
    *,
    session: Session | None = None,
    device: str = "cpu",
    on_run: OnRun = lambda run: None,
) -> Obtained:
    """Return runs of variants (all by default) with seeds (each variant's own by default), in that order.

    Each is trained once, whoever asks for it and from however many processes, and never in more processes than the
    machine has cores; `device` is what the engine trains its cases on. A seed that fails is a run with its error; only
    with `jobs=0`, where the function runs in this process, its error is raised, as that of a case of the engine is.
    Raise `UsageError` for a variant that the case has not, and within a worker: it would wait for one that waits for
    it.
    """
    session = session or current()
    names = [variant.name for variant in (case.variants if variants is None else map(case.variant, variants))]
    if isinstance(case, ModelCase):
        return _of_engine(case, names, seeds, session, device, on_run)
    fixed = None if seeds is None else list(seeds)
    wanted = [(name, seed) for name in names for seed in (case.seeds_of(name) if fixed is None else fixed)]
    experiment = cast("Experiment", case)
    if NOTES in os.environ:
        raise UsageError(
            f"the runs of experiment '{case.name}' are asked for where an experiment is imported or trained; "
            "ask for them in a test, or below: if __name__ == '__main__'"
        )
    if session.jobs == 0 or session.machines == "here":
        return _trained_here(experiment, wanted, on_run)
    return _read_or_trained(experiment, wanted, session, on_run)


def _of_engine(
    case: ModelCase[Any],
    variants: Sequence[str],
    seeds: Iterable[int] | None,
    session: Session,
    device: str,
    on_run: OnRun,
) -> Obtained:
    """Return the runs of a case that the engine trains."""
    from goldmark.training import stored_or_trained, train

    if session.jobs == 0:
        runs = train(case, variants, seeds, device=device, machines="here", on_run=on_run)
        return Obtained(runs=runs, trained=Counter({"in this process": len(runs)}))
    runs, reasons = stored_or_trained(case, variants, seeds, session=session, device=device, on_run=on_run)
    for run in runs:
        _count(session, Finished(run=run, why=reasons.get((run.variant, run.seed), "")))
    return Obtained(runs=runs, n_read=len(runs) - len(reasons), trained=Counter(reasons.values()))


def _read_or_trained(case: Experiment, wanted: Sequence[tuple[str, int]], session: Session, on_run: OnRun) -> Obtained:
    runs: dict[tuple[str, int], Run] = {}
    missing, trained = [], Counter[str]()

    def take(finished: Finished) -> None:
        run = with_curves(finished.run, case.metrics)
        runs[run.variant, run.seed] = run
        _count(session, finished)
        on_run(run)

    for variant, seed in dict.fromkeys(wanted):
        run, why = reusable(session, case, variant, seed)
        if run is None:
            missing.append((variant, seed, why))
        else:
            take(Finished(run=run))
    with closing(_finished(case, missing, session)) as all_finished:  # it ends with this loop, however that ends
        for finished in all_finished:
            take(finished)
            trained.update([finished.why] if finished.why else [])
    return Obtained(runs=[runs[address] for address in wanted], n_read=len(runs) - trained.total(), trained=trained)


def _finished(case: Experiment, missing: Sequence[tuple[str, int, str]], session: Session) -> Generator[Finished]:
    """Yield the missing runs as they are finished, and tell how far it is where that takes its time."""
    if not missing:
        return
    try:
        open_store(session.folder)
        yield from _trained(case, missing, session)
    except OSError as error:  # of the store, or of the folder of temporary files: whatever fails in a run is the run's
        raise UsageError(
            f"runs cannot be kept in '{session.folder}' ({error}); let it be a folder that can be written, or name "
            "another one: ini option goldmark_runs_dir"
        ) from error


def _trained(case: Experiment, missing: Sequence[tuple[str, int, str]], session: Session) -> Generator[Finished]:
    schedule, n_finished = Schedule(case, session, missing), 0
    started = time.monotonic()
    due = started + SILENT_S
    with schedule.training():
        while n_finished < len(missing):
            finished = schedule.next(max(due - time.monotonic(), 0))
            if finished is not None:
                n_finished += 1
                yield finished
            if time.monotonic() >= due:
                due = time.monotonic() + EVERY_S
                seconds = time.monotonic() - started
                session.say(f"training {case.name}: {n_finished} of {len(missing)} runs after {seconds:.0f} s")


def _count(session: Session, finished: Finished) -> None:
    """Count a run, once a session: what it has trained itself, in whichever of its processes, is not read."""
    run, tally = finished.run, session.tally
    address = (run.case, run.variant, run.seed)
    if finished.why:
        tally.trained[address] = finished.why
    elif run.session != session.token:
        tally.read.add(address)
    if run.error is not None:
        tally.failed[address] = run.error


def _trained_here(case: Experiment, wanted: Sequence[tuple[str, int]], on_run: OnRun) -> Obtained:
    """Run an experiment in this process, where a debugger sees it; nothing is read and nothing is stored."""
    runs = []
    for variant, seed in wanted:
        runs.append(with_curves(_here(case, variant, seed), case.metrics))
        on_run(runs[-1])
    return Obtained(runs=runs, trained=Counter({"in this process": len(runs)}))


def _here(case: Experiment, variant: str, seed: int) -> Run:
    started = time.perf_counter()
    result = case.function(seed, **case.settings_of(variant))
    metrics, history = results_of(result, case.returned, case.followed)
    return run_of(
        case,
        variant,
        seed,
        metrics,
        history,
        fingerprint=fingerprint(),
        sources={},
        seconds=time.perf_counter() - started,
        error=not_finite(metrics),
    )
