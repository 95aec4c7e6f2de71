"""Which jobs train together, and how: stacked where that is faster and fits into memory, else one by one."""

from __future__ import annotations

from collections.abc import Sequence

from goldmark.case import Run
from goldmark.runs import Job, Task
from goldmark.training._plan import cut, group_jobs

_LARGEST_ON_CPU = 16  # runs of a stack, beyond which a CPU gains nothing


def plan_tasks(jobs: Sequence[Job], processes: int = 1, *, by_variant: bool = False) -> list[Task]:
    """Return the tasks of some jobs: single jobs, or stacks that fit into memory, of one variant each if asked for.

    On a CPU no stack is larger than the share of each process, so that all of them have work; but two runs, or three,
    stay together, as a single one is trained beside a copy of itself.
    """
    share = -(-len(jobs) // processes)
    tasks: list[Task] = []
    for group in group_jobs(jobs, by_variant=by_variant):
        tasks += cut(group, _largest(group, share, processes) if group[0].engine == "stacked" else 1)
    return tasks


def _largest(group: Task, share: int, processes: int) -> int:
    from goldmark.training._cost import largest_stack
    from goldmark.training._cost_table import cost_of

    fitting = largest_stack(cost_of(group[0]), group[0].device, processes)
    least = 2 + len(group) % 2  # which leave no single run
    return fitting if group[0].device == "cuda" else min(fitting, _LARGEST_ON_CPU, max(share, least))


def train_task(task: Task) -> list[Run]:
    """Train the jobs of a task and return their runs in order."""
    from goldmark.training._single import train_single

    return _within_memory(task) if task[0].engine == "stacked" else [train_single(job) for job in task]


def _within_memory(task: Task) -> list[Run]:
    """Train a stack, in two halves where the device's memory does not hold it."""
    import torch

    from goldmark.training._stacked import train_stacked

    try:
        return train_stacked(task)
    except torch.cuda.OutOfMemoryError:
        if len(task) == 1:
            raise
    torch.cuda.empty_cache()
    middle = len(task) // 2
    return _within_memory(task[:middle]) + _within_memory(task[middle:])
