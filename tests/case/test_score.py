"""Scores compare only within a metric, and a decision rule knows the metric of its thresholds."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from goldmark.case import Metric, Score, Thresholds, UsageError

LOSS = Metric(name="val_loss", says="SmoothL1 loss", unit="s^2", better="lower")
SQUARE = replace(LOSS, says="mean squared error")


def score(value, metric=LOSS):
    """A score of a metric."""
    return Score(metric=metric, value=value)


def test_scores_of_one_metric_compare():
    """As a ratio and as a difference; how a metric is gated is no part of its definition."""
    assert (2.0, 0.08) == (score(0.16).over(score(0.08)), score(0.16).minus(score(0.08)))
    assert 2.0 == score(0.16).over(score(0.08, replace(LOSS, margin=0.01, scale="log")))


@pytest.mark.parametrize("other", [SQUARE, replace(LOSS, unit="ms^2"), replace(LOSS, name="train_loss")])
def test_scores_of_two_metrics_are_refused(other):
    """Another definition, another unit, another name: the error tells both and what to do instead."""
    for compare in (Score.over, Score.minus):
        with pytest.raises(UsageError) as refused:
            compare(score(0.16), score(0.08, other))
        assert f"val_loss 0.16 (SmoothL1 loss) and {other.name} 0.08 ({other.says}) are of two" in str(refused.value)
        assert "measure both by one function" in str(refused.value)


@pytest.mark.parametrize(
    ("better", "bars", "values"),
    [
        ("lower", (0.085, 0.095), {"go on": [0.08], "marginal": [0.085, 0.09, 0.095], "stop": [0.1, math.nan]}),
        ("higher", (0.9, 0.7), {"go on": [0.95], "marginal": [0.9, 0.8, 0.7], "stop": [0.6, math.nan]}),
    ],
)
def test_rule_decides_by_its_thresholds(better, bars, values):
    """Beyond one threshold, between both and on them, beyond the other; NaN stops."""
    metric = replace(LOSS, better=better)
    rule = Thresholds(go_on=score(bars[0], metric), stop=score(bars[1], metric))
    for decision, of_decision in values.items():
        assert [decision] * len(of_decision) == [rule.decide(score(value, metric)) for value in of_decision]


def test_rule_refuses_scores_of_another_metric():
    """A mean square is not held to thresholds of a SmoothL1 loss."""
    rule = Thresholds(go_on=score(0.085), stop=score(0.095))
    with pytest.raises(UsageError, match="of two metrics"):
        rule.decide(score(0.16, SQUARE))


def test_rules_that_decide_nothing_are_refused():
    """Thresholds of two metrics, the wrong way round, or of a metric without a better end."""
    with pytest.raises(UsageError, match="of two metrics"):
        Thresholds(go_on=score(0.085), stop=score(0.095, SQUARE))
    with pytest.raises(UsageError, match="the wrong way round"):
        Thresholds(go_on=score(0.095), stop=score(0.085))
    neither = replace(LOSS, better="neither")
    with pytest.raises(UsageError, match="what is better"):
        Thresholds(go_on=score(0.085, neither), stop=score(0.095, neither))
