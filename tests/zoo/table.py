"""The table of the zoo: every pair and every healthy program, caught, missed, false alarms and seconds.

    python tests/zoo/table.py [--markdown]

The exit status is 1 where a bug was missed or a healthy program alarmed.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from zoo import (
    pairs_constants,
    pairs_data,
    pairs_flows,
    pairs_graphs,
    pairs_keeping,
    pairs_layers,
    pairs_loop,
    pairs_loss,
    pairs_measured,
    pairs_model,
    pairs_numbers,
    pairs_optimizer,
    pairs_places,
    pairs_placing,
    pairs_reading,
    pairs_reduction,
    pairs_results,
    pairs_risks,
    pairs_sequences,
    pairs_shapes,
    pairs_terms,
    pairs_views,
    pairs_weights,
)
from zoo.healthy import losses, metric, plain, unusual, widths
from zoo.healthy.register import HEALTHY
from zoo.loops import PAIRS

_FILES = (
    *(pairs_data, pairs_model, pairs_layers, pairs_loss, pairs_optimizer, pairs_loop, pairs_results),
    *(pairs_measured, pairs_reading, pairs_reduction, pairs_placing, pairs_terms, pairs_shapes, pairs_keeping),
    *(pairs_numbers, pairs_sequences, pairs_views, pairs_graphs, pairs_risks, pairs_flows, pairs_places, pairs_weights),
    pairs_constants,
)
GROUPS = {file.__name__.rpartition("_")[2]: file.__name__ for file in _FILES}
_HEALTHY = {
    "plain": plain,
    "unusual": unusual,
    "unusual losses": losses,
    "unusual labels": metric,
    "narrow layers": widths,
}
HEALTHY_GROUPS = {f"healthy, {name}": file.__name__ for name, file in _HEALTHY.items()}


@dataclass(kw_only=True)
class Row:
    """What came of the programs of one file."""

    group: str
    caught: int = 0
    programs: int = 0  # with a bug
    healthy: int = 0
    seconds: float = 0.0
    missed: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()


def seeded(program, *arguments):
    """Run a program from seed 0, and return the names of its findings."""
    torch.manual_seed(0)
    return program(*arguments)


def row_of_pairs(group, module):
    """Run the pairs of one file."""
    row, started = Row(group=group), time.process_time()
    for pair in (pair for pair in PAIRS if pair.program.__module__ == module):
        names = seeded(pair.program, True)
        row.programs += 1
        row.healthy += 1
        if set(names) & set(pair.expected):
            row.caught += 1
        else:
            row.missed += (f"{pair.name}: {names}",)
        if alarms := seeded(pair.program, False):
            row.alarms += (f"{pair.name}: {alarms}",)
    row.seconds = time.process_time() - started
    return row


def row_of_healthy(group, module):
    """Run the healthy programs of one file, or of one folder."""
    row, started = Row(group=group), time.process_time()
    for program in (program for program in HEALTHY if f"{program.__module__}.".startswith(f"{module}.")):
        row.healthy += 1
        if alarms := seeded(program):
            row.alarms += (f"{program.__name__}: {alarms}",)
    row.seconds = time.process_time() - started
    return row


def rows():
    """Run the whole zoo."""
    of_pairs = [row_of_pairs(group, module) for group, module in GROUPS.items()]
    return [*of_pairs, *(row_of_healthy(group, module) for group, module in HEALTHY_GROUPS.items())]


def main():
    """Print the table, and leave with 1 where something was missed or alarmed."""
    torch.set_num_threads(1)
    print("| programs | bugs caught | bugs missed | healthy | false alarms | CPU s |")
    print("|---|---|---|---|---|---|")
    all_rows = rows()
    total = Row(group="all")
    for row in all_rows:
        for name in ("caught", "programs", "healthy", "seconds", "missed", "alarms"):
            setattr(total, name, getattr(total, name) + getattr(row, name))
    for row in (*all_rows, total):
        bugs = f"{row.caught} of {row.programs} | {len(row.missed)}" if row.programs else " | "
        print(f"| {row.group} | {bugs} | {row.healthy} | {len(row.alarms)} | {row.seconds:.1f} |")
    for line in total.missed:
        print("missed", line)
    for line in total.alarms:
        print("alarmed", line)
    return 1 if total.missed or total.alarms else 0


if __name__ == "__main__":
    sys.exit(main())
