"""SmoothL1 of one model was compared with the MSE of another, and NRMSE over the range with NRMSE over the sd.

Both printed "Val Loss", both in s^2: one constant was twice as bad as itself. A score carries its metric's definition,
and is compared with scores of that definition alone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from goldmark.case import Score, UsageError
from goldmark.cases.eeg import CASE
from goldmark.cases.eeg.full import FULL


def by_number(one, other):
    """The record's comparison: a number over a number."""
    return one.value / other.value


def by_name(one, other):
    """A control, which looks like a fix: it asks for one name, and two definitions may share that."""
    if one.metric.name != other.metric.name:
        raise UsageError(f"{one.metric.name} and {other.metric.name}")
    return one.value / other.value


def finds_a_difference(compare, one, other):
    """Whether a comparison of two scores of the same predictions says that one is better than the other by a tenth."""
    try:
        return abs(compare(one, other) - 1) > 0.1
    except UsageError:
        return False


@pytest.fixture(scope="module")
def scores():
    """One constant predictor under the criteria of the record, as the case scores it."""
    data = CASE.make_data(CASE.settings, 0)
    (constant,) = CASE.baselines(data, CASE.settings)
    own = {name: Score(metric=FULL.metric(name), value=constant.metrics[name]) for name in FULL_NAMES}
    over_range = replace(FULL.metric("nrmse"), says="RMSE / range of the validation targets")
    return own | {"range": Score(metric=over_range, value=CASE.close(data, CASE.settings)["mean_rmse_over_range"])}


FULL_NAMES = ("val_mse", "val_smooth_l1", "nrmse")
PAIRS = [("val_mse", "val_smooth_l1"), ("nrmse", "range")]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_scores_of_two_criteria_are_refused(scores, one, other):
    """The record's comparison finds one constant worse than itself; a score refuses to be compared so."""
    assert finds_a_difference(by_number, scores[one], scores[other]), f"{one} and {other} are one criterion by now"
    misled = f"metrics are compared across criteria: {scores[one]} and {scores[other]} are of the same predictions"
    assert not finds_a_difference(Score.over, scores[one], scores[other]), misled
    with pytest.raises(UsageError, match="do not compare; measure both by one function"):
        scores[one].over(scores[other])


def test_a_name_does_not_tell_criteria_apart(scores):
    """The control refuses a loss against an error, and is misled by two definitions of NRMSE."""
    assert not finds_a_difference(by_name, scores["val_mse"], scores["val_smooth_l1"])
    assert finds_a_difference(by_name, scores["nrmse"], scores["range"])


@pytest.mark.parametrize("name", FULL_NAMES)
def test_scores_of_one_criterion_compare(scores, name):
    """A refusal of everything would be no fix: an error twice as large is found so."""
    twice = replace(scores[name], value=2 * scores[name].value)
    assert finds_a_difference(Score.over, twice, scores[name])
    assert 2.0 == twice.over(scores[name])


class Late(nn.Module):
    """Predict each response time of the validation half, late by up to 1.6 s."""

    def __init__(self, response_s):
        super().__init__()
        self.predicted_s = response_s + torch.linspace(0, 1.6, len(response_s), dtype=torch.float64)

    def forward(self, eeg):
        """Return (B,) for (B, C, T)."""
        return self.predicted_s[: len(eeg)]


def test_each_metric_of_the_case_is_the_criterion_that_it_says():
    """MSE is no SmoothL1, and NRMSE is over the sd: errors on both sides of 1 s, in numpy; rounding of float64."""
    data = CASE.make_data(CASE.settings, 0)
    model, target = Late(data["val_response_s"]), data["val_response_s"].numpy()
    error = np.linspace(0, 1.6, len(target))
    expected = {
        "val_mse": (error**2).mean(),
        "val_smooth_l1": np.where(error < 1, error**2 / 2, error - 0.5).mean(),
        "nrmse": (error**2).mean() ** 0.5 / target.std(),
    }
    measured = CASE.evaluate(model, data, CASE.settings)
    for name, value in expected.items():
        other_criterion = f"{name} is computed by another criterion than '{FULL.metric(name).says}'"
        assert pytest.approx(value, rel=1e-12) == measured[name], other_criterion
