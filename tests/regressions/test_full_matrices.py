"""The full matrices as plans: every architecture has the parameters that were approved, the record's among them."""

from __future__ import annotations

import pytest

from goldmark.cases import CASES, case_at
from goldmark.runs import plan_jobs
from goldmark.training._cost import n_parameters
from goldmark.training._plan import group_jobs


@pytest.mark.parametrize("name", CASES)
def test_parameter_counts_are_the_approved_ones(name, golden):
    """One golden a case: the first variant of every shape with its exact count; tests/cases hold the record's own."""
    groups = group_jobs(plan_jobs(case_at(name, "full"), None, [0], "cpu"))
    golden(f"parameters/{name}").exact({group[0].variant: n_parameters(group[0]) for group in groups})
