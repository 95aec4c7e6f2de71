"""Early stopping: the age of the best loss, and rules that stop elsewhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldmark.checks import check_wrong_stopping, stale_epochs


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_stale_epochs_is_the_distance_to_the_first_lowest_loss(losses):
    """Without a min_delta: numpy's argmin, which takes the first of equal ones."""
    assert len(losses) - 1 - int(np.argmin(losses)) == stale_epochs(losses)


def test_stale_epochs_counts_from_the_last_improvement():
    """Gains below min_delta add up before they count; NaN is no improvement; no losses are none."""
    assert 0 == stale_epochs([])
    assert 2 == stale_epochs([1.0, 0.95, 0.92], min_delta=0.1)
    assert 0 == stale_epochs([1.0, 0.95, 0.89], min_delta=0.1)
    assert 3 == stale_epochs([1.0, math.nan, 2.0, math.nan])


def rule_of(late=0, **options):
    """A maker of rules that stop at patience 4, or some epochs later."""

    def rule():
        losses = []
        return lambda loss: losses.append(loss) or stale_epochs(losses, **options) >= 4 + late

    return rule


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_stopping_a_moment_early_or_late_is_wrong(late):
    """The finding says by how many epochs."""
    finding = check_wrong_stopping(rule_of(late), patience=4)
    assert bool(late) == finding.trouble
    assert {float(late)} == set(finding.numbers.values())


def test_rules_that_never_or_always_stop_are_wrong():
    """Never is infinitely late."""
    assert {math.inf} == set(check_wrong_stopping(lambda: lambda loss: False, patience=4).numbers.values())
    assert check_wrong_stopping(lambda: lambda loss: True, patience=4).trouble
    assert check_wrong_stopping(lambda: lambda loss: math.isnan(loss), patience=4).trouble
