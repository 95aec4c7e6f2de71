"""Evaluation: constants, moving yardsticks and unscored baselines, on both sides of every threshold."""

from __future__ import annotations

import math

import pytest

from goldmark.checks import check_constant_scores, check_moving_validation, check_unscored_baseline


def test_constants_are_named_and_counted():
    """A score that follows the model is none; two that do not are named."""
    finding = check_constant_scores(lambda model: {"loss": model / 3, "accuracy": 0.95, "f1": 0.9}, [1.0, 2.0, 3.0])
    assert (True, {"constant": 2.0, "scores": 3.0}) == (finding.trouble, finding.numbers)
    assert "accuracy, f1;" in finding.advice
    assert not check_constant_scores(lambda model: {"loss": model / 3}, [1.0, 1.0 + 1e-15]).trouble


def test_one_model_is_refused():
    """There is nothing to compare."""
    with pytest.raises(ValueError, match="1 model has nothing"):
        check_constant_scores(lambda model: {"loss": 1.0}, [1])


@pytest.mark.parametrize(("step", "trouble"), [(0.0, False), (1e-9, False), (1e-3, True), (math.nan, True)])
def test_moved_is_the_range_over_the_largest_value(step, trouble):
    """Rounding is no movement; a thousandth is; NaN is trouble."""
    finding = check_moving_validation(lambda epoch: {"still": 5.0, "loss": 2.0 + step * epoch}, [0, 1, 2])
    assert trouble == finding.trouble
    expected = math.inf if math.isnan(step) else 2 * step / (2 + 2 * step)
    assert expected == pytest.approx(finding.numbers["moved"], rel=1e-6)  # 2 + 2e-9 keeps 7 digits of the step
    assert ("'loss'" in finding.advice) or not trouble


def test_zeros_do_not_move_and_one_epoch_is_refused():
    """A score of 0 in every epoch has no range; one epoch has nothing beside it."""
    assert not check_moving_validation(lambda epoch: {"f1": 0.0}, [0, 1]).trouble
    with pytest.raises(ValueError, match="1 epochs"):
        check_moving_validation(lambda epoch: {"f1": 0.0}, [0])


@pytest.mark.parametrize(
    ("old", "unscored"),
    [
        ({"a": 0.5, "b": 0.0}, 0),
        ({"a": 0.0, "b": 0.0}, 2),
        ({"a": math.nan, "b": 0.5}, 1),
        ({"b": 0.5}, 1),
        ({}, 2),
    ],
)
def test_what_was_not_scored_is_counted(old, unscored):
    """A zero beside other scores is one; all zeros, NaN and a missing score are not."""
    finding = check_unscored_baseline(old, {"a": 0.6, "b": 0.7})
    assert (unscored > 0, float(unscored)) == (finding.trouble, finding.numbers["unscored"])
