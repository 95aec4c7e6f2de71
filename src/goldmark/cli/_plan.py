"""What a matrix would cost, printed before it is trained."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from goldmark.case import ModelCase
from goldmark.cli._progress import training_progress
from goldmark.runs import Job, Task
from goldmark.training._plan import group_jobs

if TYPE_CHECKING:
    from goldmark.training._cost import Cost

_GPU_FLOPS = 67e12  # float32 operations a second of an H200 without tensor cores, by its data sheet
_SHARE_REACHED = 0.5  # of a CPU's speed in a matrix product, by a training step at best


def plan_table(matrices: Sequence[tuple[ModelCase[Any], Sequence[Job]]]) -> Table:
    """Return a table with a row a shape: runs, parameters, operations, memory and the time floor on one GPU."""
    table = Table(title="runs by shape; floor: operations at 67 TFLOP/s", title_justify="left")
    for name in ("case", "first variant", "variants", "runs", "steps", "parameters", "GFLOP/step", "MB/run", "floor s"):
        table.add_column(name, justify="left" if name in ("case", "first variant") else "right")
    n_runs, flops = 0, 0.0
    for task, cost in _costs([job for _, jobs in matrices for job in jobs]):
        operations = _flops(task, cost)
        n_runs, flops = n_runs + len(task), flops + operations
        numbers = (len({job.variant for job in task}), len(task), cost.n_steps, cost.n_parameters)
        measures = (cost.flops_per_step / 1e9, cost.n_bytes / 1e6, operations / _GPU_FLOPS)
        cells = [f"{n:,}" for n in numbers] + [f"{x:.3g}" for x in measures]
        table.add_row(task[0].case.name, Text(task[0].variant), *cells)
    table.add_section()
    table.add_row("all", "", "", f"{n_runs:,}", "", "", "", "", f"{flops / _GPU_FLOPS:.3g}")
    return table


def no_gpu_line(jobs: Sequence[Job]) -> str:
    """Return the one line for a full matrix without a GPU: how long this CPU would take, and what to do instead.

    The time is left out where a cost is not known: counting it would keep the answer back for a minute.
    """
    from goldmark.training._cost import cpu_flops_per_s
    from goldmark.training._cost_table import known_cost

    costs = [(task, known_cost(task[0])) for task in group_jobs(jobs)]
    flops = sum(_flops(task, cost) for task, cost in costs if cost)
    hours = flops / (cpu_flops_per_s() * (os.cpu_count() or 1) * _SHARE_REACHED) / 3600
    takes = f"would take at least {hours:,.2g} h" if all(cost for _, cost in costs) else "would take many hours"
    return (
        f"torch sees no CUDA GPU; on this CPU the {len(jobs)} runs of scale full {takes} "
        "(--device cpu if that is meant); every shape in miniature: goldmark matrix --scale smoke --device cpu"
    )


def _costs(jobs: Sequence[Job]) -> Iterator[tuple[Task, Cost]]:
    """Yield the groups of some jobs, each with the cost of one of its runs."""
    from goldmark.training._cost_table import cost_of

    groups = group_jobs(jobs)
    with training_progress("costs by shape", len(groups), transient=True) as on_shape:
        for task in groups:
            yield task, cost_of(task[0])
            on_shape(task)


def _flops(task: Task, cost: Cost) -> float:
    """Return the operations of all runs of a group."""
    return float(len(task) * cost.n_steps * cost.flops_per_step)
