"""Processes give the same runs as this process, and a failing job is heard of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from goldmark.case import UsageError, find_metric
from goldmark.cases import find_case
from goldmark.training import train


def brief():
    """The roast case cut down to three steps."""
    roast = find_case("roast")
    return replace(roast, settings=replace(roast.settings, steps=3, n_train=8, n_val=4, length=12))


def test_processes_train_the_same_runs_as_one():
    """Two processes, four runs: equal to the last bit but for the time taken."""
    here, there = (train(brief(), ["normalized", "zscore"], [0, 1], processes=n) for n in (1, 2))
    assert [replace(run, seconds=0.0) for run in here] == [replace(run, seconds=0.0) for run in there]


def test_error_in_a_process_reaches_the_caller():
    """A case that cannot be trained raises its own error, not a broken pool."""
    wrong = replace(brief(), metrics=(*brief().metrics, replace(find_metric(brief(), "rmse_f"), name="missing")))
    with pytest.raises(KeyError, match="missing"):
        train(wrong, ["normalized"], [0, 1], processes=2)


def test_case_that_cannot_travel_is_said_at_once():
    """A function defined inside another cannot be sent: an error with the way out, not a pool that hangs."""
    local = replace(brief(), finish=lambda history: {})
    with pytest.raises(UsageError, match="case 'roast' cannot be sent to another process .*; define its functions"):
        train(local, ["normalized"], [0, 1], processes=2)
