"""Where tasks run: in this process, in processes of one thread each, or on the machines of a Ray cluster."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from typing import Any

from goldmark._session import Machines
from goldmark.case import Run, UsageError, naming_extras
from goldmark.runs import Task
from goldmark.training._tasks import train_task

Train = Callable[[Task], list[Run]]
Outcome = list[Run] | BaseException  # the runs of a task, or what stopped it
_ATTEMPTS = 3  # of a task whose process dies


class WorkerDiedError(RuntimeError):
    """A task's process was killed, each time it was tried."""


def outcomes(
    tasks: Sequence[Task], machines: Machines, jobs: int, train: Train | None = None
) -> Iterator[tuple[Task, Outcome]]:
    """Yield every task as it finishes, with its runs or what stopped it; a task that fails stops no other.

    `jobs` is the number of processes, or of tasks that share a GPU of a cluster; `train`, a function of a module, is
    what each of them calls, `train_task` where it is None. A killed process is replaced and its task repeated.
    """
    train = train or train_task
    if not tasks:
        return
    if machines == "here" or (machines == "processes" and min(jobs, len(tasks)) <= 1):
        yield from ((task, _attempt(task, train)) for task in tasks)
    elif machines == "processes":
        yield from _in_processes([_portable(task) for task in tasks], jobs, train)
    else:
        yield from _on_ray([_portable(task) for task in tasks], jobs, train)


def _attempt(task: Task, train: Train) -> Outcome:
    try:
        return train(task)
    except Exception as error:  # noqa: BLE001 - whatever stops a task is told with it, and the rest goes on
        return error


def _portable(task: Task) -> Task:
    """Return a task that can be sent to another process: without its claims, which are closures and train nothing.

    An error while sending would leave the pool waiting for ever, so it is looked for here.
    """
    portable = tuple(replace(job, case=replace(job.case, claims=())) for job in task)
    try:
        pickle.dumps(portable)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UsageError(
            f"case '{task[0].case.name}' cannot be sent to another process ({error}); "
            "define its class at the top of a module, or train in one process"
        ) from None
    return portable


def _in_processes(tasks: Sequence[Task], processes: int, train: Train) -> Iterator[tuple[Task, Outcome]]:
    """Train in a pool; a broken pool is built anew for the tasks that are left, and at last for each one alone."""
    pending, attempts = dict(enumerate(tasks)), dict.fromkeys(range(len(tasks)), 0)
    while pending:
        suspects = [place for place in pending if attempts[place] == _ATTEMPTS - 1]
        chosen = suspects[:1] or list(pending)
        with ProcessPoolExecutor(min(processes, len(chosen)), process_context(), _end_with_parent) as pool:
            futures: dict[Future[list[Run]], int] = {}
            try:
                for place in chosen:
                    futures[pool.submit(train, pending[place])] = place
                for future in as_completed(futures):
                    outcome = _outcome(future)
                    yield pending.pop(futures[future]), outcome
            except BrokenProcessPool:  # seen in a task, or while tasks are still being handed out
                attempts |= {place: attempts[place] + 1 for place in _in_hand(futures, pending, processes)}
            finally:
                pool.shutdown(cancel_futures=True)
        for place in [place for place in pending if attempts[place] == _ATTEMPTS]:
            yield pending.pop(place), WorkerDiedError(f"its process was killed {_ATTEMPTS} times")


def _in_hand(futures: dict[Future[Any], int], pending: dict[int, Task], processes: int) -> list[int]:
    """Return the tasks that the processes of a broken pool may have been at: the first of those not yet finished."""
    return [place for place in futures.values() if place in pending][: processes + 1]


def _outcome(future: Future[list[Run]]) -> Outcome:
    """Return the runs of a task or what stopped it; raise where it was not the task but the pool."""
    error = future.exception()
    if isinstance(error, BrokenProcessPool):
        raise error
    return future.result() if error is None else error


def _end_with_parent() -> None:
    """Have this process end when its parent does: a pool's process would wait for ever for one that was killed.

    By Ctrl-C, which a terminal sends to all, it ends at once: what there is to say of it, the parent says.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    def wait() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def process_context() -> multiprocessing.context.BaseContext:
    """Return a start method that does not fork a process with threads: such a child can hang in OpenMP.

    A fork server has none, and loads torch once for all its children.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["goldmark.training._single", "goldmark.training._stacked"])
    return context


def _on_ray(tasks: Sequence[Task], jobs: int, train: Train) -> Iterator[tuple[Task, Outcome]]:
    """Train on the cluster at RAY_ADDRESS, or on one of this machine; Ray repeats what a dead worker or node had."""
    ray = _joined()
    gpu_share = 1 / jobs if tasks[0][0].device == "cuda" else 0
    remote = ray.remote(num_cpus=1, num_gpus=gpu_share, max_retries=_ATTEMPTS - 1)(train)
    references = {remote.remote(task): task for task in tasks}
    while references:
        for done in ray.wait(list(references))[0]:
            yield references.pop(done), _ray_outcome(ray, done)


def _ray_outcome(ray: Any, reference: Any) -> Outcome:
    try:
        runs: list[Run] = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        return error.cause or error  # type: ignore[no-any-return]
    except ray.exceptions.RayError as error:
        return WorkerDiedError(f"its worker died {_ATTEMPTS} times: {error}")
    return runs


class OnRay:
    """An object on some machine of the cluster, with a core of its own, whose methods are called as if it were here."""

    def __init__(self, make: type, *arguments: Any) -> None:
        """Ask for one that `make` makes of arguments; it is made anew where its machine dies."""
        self._ray = _joined()
        remote = self._ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=_ATTEMPTS - 1)(make)
        self._object = remote.remote(*arguments)

    def call(self, method: str, *arguments: Any) -> Any:
        """Return what a method returns; raise what it raises, and `WorkerDiedError` for an object that dies anew."""
        outcome = _ray_outcome(self._ray, getattr(self._object, method).remote(*arguments))
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def close(self) -> None:
        """End it, also in the middle of a call."""
        self._ray.kill(self._object)


def ray_cores() -> int:
    """Return how many cores the cluster has."""
    return int(_joined().cluster_resources().get("CPU", 1))


def _joined() -> Any:
    """Return Ray, connected to the cluster at RAY_ADDRESS or to one of this machine, until this process ends."""
    ray = _ray()
    if not ray.is_initialized():
        ray.init(address=os.environ.get("RAY_ADDRESS"), log_to_driver=False, include_dashboard=False)
    return ray


def _ray() -> Any:
    with naming_extras("a run on machines 'ray'"):
        import ray
    return ray
