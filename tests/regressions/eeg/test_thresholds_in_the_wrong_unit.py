"""Thresholds from SmoothL1 losses (go on below 0.085, stop above 0.095) were held against mean squared errors.

All retraining was stopped by a number that the accepted model would have had too. And in its own unit the rule goes on
with a constant, which scores 0.0803: a threshold has to lie below the trivial baseline.
"""

from __future__ import annotations

import pytest
import torch

from goldmark.case import Score, Thresholds, UsageError
from goldmark.cases.eeg.full import FULL
from goldmark.cases.eeg.scores import mse, smooth_l1
from goldmark.checks import check_no_skill

SMOOTH_L1, MSE = FULL.metric("val_smooth_l1"), FULL.metric("val_mse")
RULE = Thresholds(go_on=Score(metric=SMOOTH_L1, value=0.085), stop=Score(metric=SMOOTH_L1, value=0.095))


def by_number(score):
    """The record's rule: the thresholds are numbers, and so is the score."""
    if score.value < 0.085:
        return "go on"
    return "marginal" if score.value <= 0.095 else "stop"


@pytest.fixture
def scores():
    """One constant, under both criteria, on response times of mean 1.56 s and sd 0.4 s: the quantiles of a normal."""
    quantiles = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    target_s = 1.56 + 0.4 * torch.special.ndtri(quantiles)
    constant_s = torch.full_like(target_s, 1.56)
    loss, error = smooth_l1(constant_s - target_s), mse(constant_s, target_s)
    return {"smooth_l1": Score(metric=SMOOTH_L1, value=loss), "mse": Score(metric=MSE, value=error)}


def contradicts_itself(decide, scores):
    """Whether a rule decides differently about the same predictions; what it refuses is no decision."""
    decisions = set()
    for score in scores.values():
        try:
            decisions.add(decide(score))
        except UsageError:
            continue
    assert decisions, "the rule decides nothing"
    return len(decisions) > 1


def test_thresholds_are_held_against_their_own_metric(scores):
    """By numbers alone one constant is kept and stopped; with its metric the rule takes one score and no other."""
    assert contradicts_itself(by_number, scores)
    assert ("go on", "stop") == (by_number(scores["smooth_l1"]), by_number(scores["mse"]))
    assert not contradicts_itself(RULE.decide, scores), "thresholds are in the wrong unit: SmoothL1 against MSE"


def test_documented_losses_get_the_documented_decisions_by_number_alone():
    """V8 goes on and every ensemble stops, as the record has it; nothing of that is left once units are known."""
    v8, ensemble = Score(metric=SMOOTH_L1, value=0.079314), Score(metric=MSE, value=0.160783)
    assert ("go on", "stop") == (by_number(v8), by_number(ensemble))
    assert "go on" == RULE.decide(v8)
    with pytest.raises(UsageError, match="do not compare"):
        RULE.decide(ensemble)


def test_the_right_unit_alone_is_no_fix(scores):
    """The control: half the error is the loss, and a rule in that unit goes on with a model that has learnt nothing."""
    halved = Score(metric=SMOOTH_L1, value=scores["mse"].value / 2)
    assert "go on" == RULE.decide(halved) == RULE.decide(scores["smooth_l1"])
    assert check_no_skill(scores["smooth_l1"].value, scores["smooth_l1"].value).trouble
    below = Thresholds(go_on=Score(metric=SMOOTH_L1, value=0.9 * scores["smooth_l1"].value), stop=scores["smooth_l1"])
    assert "go on" != below.decide(scores["smooth_l1"])
