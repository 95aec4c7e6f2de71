"""RoastFormer's tiers of the teacher-forced error: below 10 F is "excellent", and persistence has less than 1 F.

Once a second, "the next temperature is the last one" errs by .8 F. A bar in degrees says nothing without it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from goldmark.cases.roast import CASE
from goldmark.cases.roast.scores import baseline_rmses_f, score
from goldmark.checks import check_no_skill

EXCELLENT_F = 10.0


def record_s_tier(scores, data):
    """The record's: the error in degrees alone."""
    return scores["teacher_forced_mae_f"] < EXCELLENT_F


def skill_over_persistence(scores, data):
    """Goldmark's: what is left of persistence's error."""
    return scores["skill_vs_persistence"] > 0


def no_skill_check(scores, data):
    """The same question, asked by the check."""
    return not check_no_skill(scores["rmse_f"], baseline_rmses_f(data)["persistence"]).trouble


@pytest.fixture
def persistence_and_data(small):
    """The scores of a model that answers its input, on curves read once a second, and these."""
    _, data, model = small(grid_s=1, length=300, shortest=250, residual=True, input_scale="raw", target_scale="raw")
    torch.nn.init.zeros_(model.output.weight)
    torch.nn.init.zeros_(model.output.bias)
    with torch.no_grad():
        return score(model, data), data


@pytest.fixture
def excellent(persistence_and_data):
    """`excellent(judge)`: whether a judge praises persistence, and a model that halves its error."""
    persistence, data = persistence_and_data
    half = {"rmse_f": persistence["rmse_f"] / 2, "teacher_forced_mae_f": persistence["teacher_forced_mae_f"] / 2}
    half |= {"skill_vs_persistence": 1 - half["rmse_f"] / baseline_rmses_f(data)["persistence"]}
    return lambda judge: (judge(persistence, data), judge(half, data))


@pytest.mark.parametrize("judge", [skill_over_persistence, no_skill_check])
def test_persistence_has_no_skill(excellent, judge):
    """A model that copies its input is as good as persistence, which is not praised; half its error is."""
    assert (False, True) == excellent(judge), "a score that persistence reaches counts as skill"


def test_persistence_is_excellent_in_the_record(excellent):
    """The record's best tier is open to a model that has learnt nothing."""
    assert (True, True) == excellent(record_s_tier)


def test_a_bar_is_worth_what_it_leaves_of_persistence(persistence_and_data):
    """The bar itself, asked as if it were a score: 10 F has no skill on curves read once a second."""
    _, data = persistence_and_data
    assert check_no_skill(EXCELLENT_F, baseline_rmses_f(data)["persistence"]).trouble


def test_persistence_passes_no_claim_of_skill(runs_of, persistence_and_data):
    """Z-scores beat naive predictors; were their models persistence, the claim would fail, the tier would not."""
    claim, runs = CASE.claim("zscore_beats_naive_predictors"), runs_of("roast", ["zscore"])["zscore"]
    assert claim.verdict({"zscore": runs})
    persistence, data = persistence_and_data
    copying = [replace(run, metrics={**run.metrics, **persistence}) for run in runs]
    assert all(record_s_tier(run.metrics, data) for run in copying)
    assert claim.verdict({"zscore": copying}).ok is False, "a score that persistence reaches counts as skill"


def test_copying_models_reach_the_tier(runs_of):
    """A control, trained for real: predicting raw changes is "excellent" on every seed, by copying."""
    assert all(record_s_tier(run.metrics, None) for run in runs_of("roast", ["raw_residual"])["raw_residual"])
