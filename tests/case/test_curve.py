"""Metrics of a curve: steps to a threshold and the area, and what a frozen model would make of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from goldmark import UsageError, area_under, steps_to
from goldmark.case import Metric, Run, first_values, with_curves


def run_of(values, **metrics):
    """A run whose loss takes these values, an epoch each."""
    history = tuple({"epoch": epoch, "loss": value} for epoch, value in enumerate(values, 1))
    nothing = {"scale": "fast", "learning_rates": (), "baselines": (), "findings": (), "exact": {}, "close": {}}
    origin = {"stream": "seed 0", "fingerprint": {}, "sources": {}, "data": "generated", "seconds": 0.0}
    metrics = metrics or {"loss": values[-1] if values else 0.0}
    return Run(case="line", variant="default", seed=0, metrics=metrics, history=history, **nothing, **origin)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (steps_to("loss", below=0.5), 3),
        (steps_to("loss", below=0.4), 4),
        (steps_to("loss", above=1.0), 1),
        (steps_to("loss", below=0.1), 5),  # one more than there are
    ],
)
def test_steps_to_a_threshold(metric, expected):
    """The first epoch at which the curve is there, equality included, and one more than it has where it never is."""
    assert expected == with_curves(run_of([1.0, 0.75, 0.5, 0.4]), [metric]).metrics[metric.name]


def test_area_is_that_of_trapezoids():
    """As numpy has it."""
    values = [1.0, 0.7, 0.2, 0.4, 0.1]
    metric = area_under("loss")
    area = with_curves(run_of(values), [metric]).metrics["area under loss"]
    assert np.trapezoid(values) == pytest.approx(area, rel=1e-12)  # one sum, in another order
    assert 3.0 == with_curves(run_of([3.0]), [metric]).metrics["area under loss"]


def test_frozen_model_keeps_its_first_row():
    """It never gets to a threshold that it has not reached at once, and its area is flat."""
    metrics = [Metric("loss"), steps_to("loss", below=0.5), area_under("loss")]
    frozen = first_values(run_of([1.0, 0.5, 0.0]), metrics)
    assert (1.0, 4.0, 2.0) == (frozen["loss"], frozen["steps to loss <= 0.5"], frozen["area under loss"])
    assert {} == first_values(run_of([]), metrics)


def test_metric_that_no_row_has_is_no_number():
    """A misspelt name gates on nothing that anybody could take for a value."""
    metric = area_under("accuracy")
    assert math.isnan(with_curves(run_of([1.0, 0.5]), [metric]).metrics[metric.name])


def test_rule_is_as_of_any_metric():
    """Margin, guard and better are given on; fewer steps are better unless said otherwise."""
    metric = steps_to("accuracy", above=0.9, margin=2, guard="slow")
    assert ("steps to accuracy >= 0.9", 2, "slow", "lower") == (
        metric.name,
        metric.margin,
        metric.guard,
        metric.better,
    )


@pytest.mark.parametrize("given", [{}, {"below": 1.0, "above": 0.0}])
def test_one_threshold(given):
    """Neither or both is no question."""
    with pytest.raises(UsageError, match=r"steps_to\('loss'\) takes below=... or above=..."):
        steps_to("loss", **given)
