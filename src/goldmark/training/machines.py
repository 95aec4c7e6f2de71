"""Where jobs run: in this process, or in processes of one thread each."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace

from goldmark.case import Run, UsageError
from goldmark.training.plan import Job


def finished_runs(jobs: Sequence[Job], processes: int) -> Iterator[Run]:
    """Yield the run of every job as it finishes; a failing job raises, and jobs not yet started are dropped."""
    if processes <= 1 or len(jobs) <= 1:
        yield from map(_train, jobs)
        return
    travelling = [_portable(job) for job in jobs]
    with ProcessPoolExecutor(min(processes, len(jobs)), process_context()) as pool:
        futures = [pool.submit(_train, job) for job in travelling]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _portable(job: Job) -> Job:
    """Return a job that can be sent to another process: without its claims, which are closures and train nothing.

    Raises `UsageError` for a case that cannot travel: found out here, where the pool would hang on it.
    """
    portable = replace(job, case=replace(job.case, claims=()))
    try:
        pickle.dumps(portable)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UsageError(
            f"case '{job.case.name}' cannot be sent to another process ({error}); "
            "define its functions at the top of a module, or train in one process"
        ) from None
    return portable


def _train(job: Job) -> Run:
    from goldmark.training.single import train_single  # torch loads where runs are trained, not where they are planned

    return train_single(job)


def process_context() -> multiprocessing.context.BaseContext:
    """Return a start method that does not fork a process with threads: such a child can hang in OpenMP.

    A fork server has none, and loads torch once for all its children; `torch._dynamo` is what every optimiser imports.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["goldmark.training.single", "torch._dynamo"])
    return context
