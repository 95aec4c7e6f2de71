"""Train variants with seeds: what a caller sees of all the ways in which that is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from goldmark._session import Machines
from goldmark.case import ModelCase, Run
from goldmark.runs import plan_jobs
from goldmark.training._devices import resolve_device
from goldmark.training._machines import outcomes
from goldmark.training._tasks import plan_tasks


def train(
    case: ModelCase[Any],
    variants: Sequence[str] | None = None,
    seeds: Iterable[int] | None = None,
    *,
    device: str = "cpu",
    machines: Machines = "processes",
    jobs: int = 1,
    evaluate: bool = False,
    on_run: Callable[[Run], None] = lambda run: None,
) -> list[Run]:
    """Train variants (all by default) with seeds (each variant's own by default) and return the runs in that order.

    `machines` says where: `here`, in `processes` of one thread each, `jobs` of them, or on a Ray cluster (`ray`);
    `evaluate` adds the record's evaluations of each trained model; `on_run` sees every run as it finishes. Raises
    `UsageError` for an unknown variant and for a device that is not there, and whatever stops a run.
    """
    planned = plan_jobs(case, variants, seeds, resolve_device(device), evaluate=evaluate)
    runs: dict[tuple[str, int], Run] = {}
    for _, outcome in outcomes(plan_tasks(planned, jobs), machines, jobs):
        if isinstance(outcome, BaseException):
            raise outcome
        for run in outcome:
            runs[run.variant, run.seed] = run
            on_run(run)
    return [runs[job.variant, job.seed] for job in planned]
