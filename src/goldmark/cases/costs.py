"""Count the costs of the catalogue at every scale into the table that stacks and plans are made from.

`python -m goldmark.cases.costs` counts what is not known, which is a minute where everything has changed.
"""

from __future__ import annotations

from goldmark.cases import CASES, case_at
from goldmark.runs import Job, plan_jobs
from goldmark.training._cost_table import write_table
from goldmark.training._plan import group_jobs


def first_jobs() -> list[Job]:
    """Return the first job of every shape at every scale."""
    cases = [case_at(name, scale) for name in CASES for scale in ("fast", "full", "smoke")]
    return [task[0] for case in cases for task in group_jobs(plan_jobs(case, None, [0], "cpu"))]


if __name__ == "__main__":
    write_table(first_jobs())
