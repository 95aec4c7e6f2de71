"""What a matrix would cost, printed before it is trained."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from goldmark.case import Case
from goldmark.training.plan import Job, Task, group_jobs

_GPU_FLOPS = 67e12  # float32 operations a second of an H200 without tensor cores, by its data sheet
_SHARE_REACHED = 0.5  # of a CPU's speed in a matrix product, by a training step at best


def plan_table(matrices: Sequence[tuple[Case, Sequence[Job]]]) -> Table:
    """Return a table with a row a shape: runs, parameters, operations, memory and the time floor on one GPU."""
    from goldmark.training.cost import cost_of

    table = Table(title="runs by shape; floor: operations at 67 TFLOP/s", title_justify="left")
    for name in ("case", "first variant", "variants", "runs", "steps", "parameters", "GFLOP/step", "MB/run", "floor s"):
        table.add_column(name, justify="left" if name in ("case", "first variant") else "right")
    n_runs, flops = 0, 0.0
    for case, jobs in matrices:
        for task in group_jobs(jobs):
            cost = cost_of(task[0])
            its = float(len(task) * cost.n_steps * cost.flops_per_step)
            n_runs, flops = n_runs + len(task), flops + its
            numbers = (len({job.variant for job in task}), len(task), cost.n_steps, cost.n_parameters)
            measures = (cost.flops_per_step / 1e9, cost.n_bytes / 1e6, its / _GPU_FLOPS)
            cells = [f"{n:,}" for n in numbers] + [f"{x:.3g}" for x in measures]
            table.add_row(case.name, Text(task[0].variant), *cells)
    table.add_section()
    table.add_row("all", "", "", f"{n_runs:,}", "", "", "", "", f"{flops / _GPU_FLOPS:.3g}")
    return table


def no_gpu_line(jobs: Sequence[Job]) -> str:
    """Return the one line for a full matrix without a GPU: how long this CPU would take, and what to do instead."""
    tasks: list[Task] = group_jobs(jobs)
    hours = _cpu_hours(tasks)
    return (
        f"torch sees no CUDA GPU; on this CPU the {len(jobs)} runs of scale full would take at least {hours:,.0f} h "
        "(--device cpu if that is meant); every shape in miniature: goldmark matrix --scale smoke --device cpu"
    )


def _cpu_hours(tasks: Sequence[Task]) -> float:
    """Return the least time that the operations of some groups take here, on all cores."""
    import os

    from goldmark.training.cost import cpu_flops_per_s, total_flops

    speed = cpu_flops_per_s() * (os.cpu_count() or 1) * _SHARE_REACHED
    return total_flops(tasks) / speed / 3600
