"""Print what a step of every shape takes on a GPU, and what all runs would: python tests/gpu/seconds_a_step.py.

Each shape is timed first as the matrix would train it, which is what the total follows from, then in stacks of 1, 16
and 64 for as long as the budget lasts. The largest shapes come first, so that what is left out is small. Beside them
stands a step of one run in the plain loop, and how many times as fast as that loop the stack trains its runs.
"""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import dataclass, field

import click
import torch
from rich.console import Console
from rich.table import Table

from goldmark.cases import CASES, case_at
from goldmark.runs import Task, ingredients_of, plan_jobs, sources_of
from goldmark.training import _prepare as prepare
from goldmark.training import _single as single
from goldmark.training import _stacked as stacked
from goldmark.training import draws
from goldmark.training._cost import Cost, largest_stack
from goldmark.training._cost_table import cost_of
from goldmark.training._graph import replayed
from goldmark.training._plan import cut, group_jobs
from goldmark.training._schedule import batches, train_size

SIZES = (1, 16, 64)  # runs of a stack
REPLAYS = 5  # timed, after one that is not
COLUMNS = (
    *("case", "first variant", "runs", "stack", "alone s", "eager s", "recorded s", "gain", "record s"),
    *("GB", "estimated GB"),
)


@dataclass
class Shape:
    """A group of runs, what one of them costs, and what was found."""

    task: Task
    cost: Cost
    around_s: float = 0.0  # of a run: data and weights, three evaluations, the result
    generating_s: float = 0.0  # of a stack at the size that the matrix would train
    alone_s: float = math.nan  # a step of the plain loop
    steps_s: dict[int, float] = field(default_factory=dict)  # size of the stack -> seconds of a recorded step

    @property
    def size(self) -> int:
        """Runs of the largest stack that the matrix would train."""
        return max(len(part) for part in cut(self.task, largest_stack(self.cost, self.task[0].device)))

    @property
    def operations(self) -> float:
        """Of all runs."""
        return len(self.task) * self.cost.n_steps * self.cost.flops_per_step

    @property
    def n_stacks(self) -> int:
        """Stacks that the matrix would cut the runs into."""
        return math.ceil(len(self.task) / self.size)

    @property
    def in_steps_s(self) -> float:
        """Of the steps of all runs, from what was timed at the size that the matrix would train."""
        return self.n_stacks * self.cost.n_steps * self.steps_s[self.size]

    @property
    def total_s(self) -> float:
        """Of all runs, one stack after another."""
        return self.in_steps_s + self.n_stacks * self.generating_s + len(self.task) * self.around_s


def seconds(work, n):
    """Seconds a call, after one that is not counted."""
    work()
    synchronized()
    started = time.perf_counter()
    for _ in range(n):
        work()
    return (synchronized() - started) / n


def synchronized():
    """The time at which the device has done all that it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def prepared(shape):
    """A run of a shape, with the time that is spent on a run outside its steps."""
    started = synchronized()
    run = prepare.prepare(shape.task[0])
    ready = synchronized()
    prepare.end_epoch(run, 0, 1.0, ())
    evaluated = synchronized()
    generated = stacked.generated([run] * shape.size)
    made = synchronized()
    prepare.as_run(run, "stacked", 0.0, generated[0])
    shape.around_s = (ready - started) + 3 * (evaluated - ready) + (synchronized() - made)
    shape.generating_s, shape.alone_s = made - evaluated, seconds_alone(run)
    return run


def few_batches(run):
    """As many batches as are timed, with some to warm up."""
    return list(itertools.islice(batches(run.settings, train_size(run.data), run.job.seed), REPLAYS + 2))


def seconds_alone(run):
    """Time a step of the plain loop."""
    run.model.train()
    optimizer, left = single.AdamW(run), itertools.cycle(few_batches(run))

    def step():
        batch = next(left)
        single.take_step(run, optimizer, batch, draws.Draws.at(run.job.seed, batch.step, run.job.device))

    return seconds(step, REPLAYS)


def timed(shape, run, size):
    """Time a stack of copies of a run; return the cells of its row."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    few = few_batches(run)
    stack = stacked.lay_out([run] * size, [few] * size)

    def step():
        stacked.take_step(stack)

    eager_s = seconds(step, 1)
    stack.step.zero_()
    started = synchronized()
    take_step = replayed(step, stack.state)
    record_s = synchronized() - started
    shape.steps_s[size] = seconds(take_step, min(REPLAYS, len(few) - 1))
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else math.nan
    times = (f"{s:.4f}" for s in (shape.alone_s, eager_s, shape.steps_s[size]))
    gain = size * shape.alone_s / shape.steps_s[size]
    return *times, f"{gain:.1f}", f"{record_s:.4f}", f"{peak / 1e9:.2f}", f"{size * shape.cost.n_bytes / 1e9:.2f}"


def rows(shapes, until):
    """Yield the cells of every row that there is time for."""
    runs = {}
    for size in (None, *SIZES):
        for place, shape in enumerate(shapes):
            n = size or shape.size
            if time.perf_counter() > until:
                return
            if n in shape.steps_s or n > largest_stack(shape.cost, shape.task[0].device):
                continue
            try:
                runs[place] = runs.get(place) or prepared(shape)
                cells = timed(shape, runs[place], n)
            except RuntimeError as error:
                cells = (f"{type(error).__name__}: {str(error).splitlines()[0][:60]}", *[""] * 6)
            yield shape.task[0].case.name, shape.task[0].variant, str(len(shape.task)), str(n), *cells


@click.command()
@click.argument("names", metavar="[CASE]...", nargs=-1, type=click.Choice(list(CASES)))
@click.option("--device", type=click.Choice(["cuda", "cpu"]), default="cuda", show_default=True)
@click.option("--scale", type=click.Choice(["full", "smoke"]), default="full", show_default=True)
@click.option("--budget", type=float, default=120.0, show_default=True, help="Seconds after which no more is timed.")
def main(names, device, scale, budget):
    """Print the table and the extrapolated total, of all cases by default."""
    cases = [case_at(name, scale) for name in names or CASES]
    groups = [group for case in cases for group in group_jobs(plan_jobs(case, None, None, device))]
    for case in cases:  # what a process finds out once is no run's
        sources_of(case, "stacked")
        ingredients_of(case, "stacked")
    until = time.perf_counter() + budget
    shapes = sorted((Shape(group, cost_of(group[0])) for group in groups), key=lambda s: s.operations, reverse=True)
    card = torch.cuda.get_device_name() if device == "cuda" else "a CPU"
    console, table = Console(width=140), Table(*COLUMNS, title=f"torch {torch.__version__} on {card}")
    for row in rows(shapes, until):
        table.add_row(*row)
    console.print(table)
    console.print(summary(shapes), soft_wrap=True)


def summary(shapes):
    """What all runs of the shapes that were timed would take, and all others at that speed."""
    done = [shape for shape in shapes if shape.size in shape.steps_s]
    n_done, n_all = (sum(len(shape.task) for shape in some) for some in (done, shapes))
    share = sum(shape.operations for shape in done) / sum(shape.operations for shape in shapes)
    if not done:
        return "nothing was timed"
    total_s, steps_s = (sum(times) for times in zip(*((s.total_s, s.in_steps_s) for s in done), strict=True))
    return (
        f"{n_done} of {n_all} runs, {share:.0%} of all operations: {total_s:.0f} s in one process, "
        f"{total_s - steps_s:.0f} s of it outside the steps; all runs, at that speed: {total_s / share:.0f} s"
    )


if __name__ == "__main__":
    main()
