"""What follows from the losses on record by arithmetic: units, constants, thresholds, and what came with them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from statistics import fmean

import torch
from torch import Tensor, nn

from goldmark.audit._statement import Statement, checked, computed, measured, of_metric
from goldmark.case import Runs, Score
from goldmark.cases.eeg import CASE
from goldmark.cases.eeg.evaluations import DECISION_RULE
from goldmark.cases.eeg.full import FULL
from goldmark.cases.eeg.scores import augmented_prediction_s, mse, nrmse, smooth_l1
from goldmark.checks import check_unmoved_by_augmentation, skill
from goldmark.claims import finding_in_every_seed

RESULTS, RULE, TTA = "EEG record, results", "EEG record, decision rule", "EEG record, test-time augmentation"
SMOOTH_L1, MSE = FULL.metric("val_smooth_l1"), FULL.metric("val_mse")

MEAN_S, SD_S, VARIANCE, RANGE_S = 1.56, 0.4007, 0.160597, 2.498  # of the competition's targets
V8, AGGRESSIVE = (Score(metric=SMOOTH_L1, value=value) for value in (0.079314, 0.079508))
V8_NRMSE_OVER_RANGE = 0.160418
ENSEMBLE = Score(metric=MSE, value=0.160783)  # of v1 and v2 alike
V3 = tuple(Score(metric=MSE, value=value) for value in (0.160919, 0.160764, 0.160983, 0.160740, 0.160780))
CHALLENGE = 1.0002


def v8_squared() -> Score:
    """Return V8's mean squared error, which its NRMSE over the range gives away: (NRMSE x range)^2."""
    return Score(metric=MSE, value=(V8_NRMSE_OVER_RANGE * RANGE_S) ** 2)


def as_smooth_l1(error: Score) -> Score:
    """Return the SmoothL1 loss that goes with a constant's MSE, by the factor between V8's two numbers."""
    return Score(metric=SMOOTH_L1, value=V8.value * error.over(v8_squared()))


def targets_s(sd: float = SD_S) -> Tensor:
    """Return response times (10,000,) of the competition's mean and an sd: the quantiles of a normal."""
    quantiles = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000
    normal: Tensor = torch.special.ndtri(quantiles)
    return MEAN_S + sd * normal


def constant_smooth_l1() -> float:
    """Return the SmoothL1 loss of the mean on normal response times."""
    return smooth_l1(targets_s() - MEAN_S)


def constant_mse() -> float:
    """Return the mean squared error of the mean on normal response times."""
    return mse(torch.full_like(targets_s(), MEAN_S), targets_s())


def factor(largest_s: float) -> float:
    """Return MSE over SmoothL1 of errors that are spread evenly from 0 to `largest_s`."""
    error_s = torch.linspace(0, largest_s, 1001, dtype=torch.float64)
    return mse(error_s, torch.zeros_like(error_s)) / smooth_l1(error_s)


def of_constant(statistic: Callable[[list[float]], float]) -> Callable[[Runs], float]:
    """Return the measure of MSE over SmoothL1 of the constant predictor, by a statistic over the seeds' data."""
    return lambda runs: statistic([run.close["mean_mse_over_smooth_l1"] for run in runs["no_mixup"]])


def nrmse_spread() -> float:
    """Return the largest over the smallest of the three NRMSE for one constant: over 1, over the sd, over the range."""
    constant_s, answers_s = torch.full_like(targets_s(), MEAN_S), targets_s()
    rmse = math.sqrt(mse(constant_s, answers_s))
    three = (rmse, nrmse(constant_s, answers_s), rmse / RANGE_S)
    return max(three) / min(three)


def decision(score: Score) -> float:
    """Return what the record's rule decides: 0 go on, 1 marginal, 2 stop."""
    return float(("go on", "marginal", "stop").index(DECISION_RULE.decide(score)))


def decision_in_unit(error: Score) -> float:
    """Return what the rule decides about a constant's MSE once it is in the unit of its thresholds."""
    return decision(as_smooth_l1(error))


def variance_share(volts: float, noise_sd: float = 0.01) -> float:
    """Return the variance of windows over that of the noise on them."""
    return (volts / noise_sd) ** 2


def gain_bound() -> float:
    """Return what an average of the five v3 models can gain at most, where they are constants.

    The MSE of a constant is the targets' variance and its distance from their mean, squared; the variance of constants
    about their average is no more than the mean of those squares.
    """
    return (fmean(score.value for score in V3) - VARIANCE) / fmean(score.value for score in V3)


class Counting(nn.Module):
    """Predict 0, and count how often that was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, eeg: Tensor) -> Tensor:
        """Return (B,) for (B, C, T)."""
        self.calls += 1
        return eeg.new_zeros(len(eeg))


def passes() -> float:
    """Return how many forward passes test-time augmentation takes for one plain prediction."""
    model = Counting()
    augmented_prediction_s(model, torch.zeros(1, 1, 10))
    return float(model.calls)


def moved_against_itself() -> float:
    """Return how far predictions move where plain ones are compared with themselves."""
    answers_s = targets_s()
    return check_unmoved_by_augmentation(answers_s, answers_s, answers_s).numbers["moved"]


def _constant(name: str, whose: str, score: Score) -> Statement:
    """Return the statement that a model's loss, SmoothL1 or MSE, is that of the mean."""
    squared = score.metric == MSE
    return Statement(
        name=name,
        source=RESULTS,
        says=f"{whose}: {'MSE' if squared else 'SmoothL1'} {score.value} is what the mean response time scores",
        documented=score.value,
        why="a constant at the mean has the targets' variance as its MSE, and half of that, nearly, as its SmoothL1",
        parts=(
            # response times are not quite normal: beyond 1 s, where SmoothL1 is linear, the tails count
            computed("the mean on normal response times", constant_mse, near=score.value, rel=0.005)
            if squared
            else computed("the mean on normal response times", constant_smooth_l1, near=score.value, rel=0.02),
        ),
    )


STATEMENTS = (
    Statement(
        name="retraining_is_twice_as_bad",
        source=RESULTS,
        says="all retraining failed: a validation loss of 0.16 against V8's 0.079",
        documented=2.027,
        why="V8's loss is SmoothL1, the ensemble's MSE; V8's own NRMSE gives its MSE, and both are in one unit",
        parts=(
            computed("MSE of the ensemble over V8's", lambda: ENSEMBLE.over(v8_squared()), near=2.027, rel=0.1),
            measured("MSE over SmoothL1 of one constant, mean over seeds", ("no_mixup",), of_constant(fmean), high=1.9),
        ),
    ),
    Statement(
        name="printed_losses_differ_by_two",
        source=RESULTS,
        says="0.160783 / 0.079314 = 2.027, as two numbers printed under one name",
        documented=2.027,
        why="the quotient is right and compares two criteria",
        parts=(computed("the quotient of both numbers", lambda: ENSEMBLE.value / V8.value, near=2.027, rel=5e-4),),
    ),
    _constant("v8_is_a_constant", "V8", V8),
    _constant("aggressive_is_a_constant", "the aggressive recipe", AGGRESSIVE),
    _constant("ensemble_v1_is_a_constant", "the ensemble's v1", ENSEMBLE),
    _constant("ensemble_v2_is_a_constant", "the ensemble's v2", ENSEMBLE),
    *(_constant(f"v3_seed_{i}_is_a_constant", f"v3 with mixup, seed {i}", score) for i, score in enumerate(V3, 1)),
    Statement(
        name="restored_mixup_is_the_fix",
        source=RESULTS,
        says="v3, with mixup restored, will be back at V8's loss",
        documented=0.5,
        why="five seeds with mixup scored what the ensemble scored without",
        parts=(
            computed(
                "mean MSE of v3 over the ensemble's", lambda: fmean(s.over(ENSEMBLE) for s in V3), near=0.5, rel=0.1
            ),
        ),
    ),
    Statement(
        name="smooth_l1_is_half_the_mse",
        source=RESULTS,
        says="for errors below 1 s, SmoothL1 is half the MSE",
        documented=2.0,
        why="SmoothL1 with beta 1 is e^2 / 2 there",
        parts=(computed("MSE / SmoothL1 of errors up to 1 s", lambda: factor(1.0), near=2.0, rel=1e-12),),
    ),
    Statement(
        name="factor_of_a_constant",
        source=RESULTS,
        says="for a constant predictor the factor is 2.000 to 2.012",
        documented=2.012,
        why="few response times lie more than 1 s from their mean, and on those SmoothL1 is linear",
        parts=(
            measured("MSE / SmoothL1 of the mean, largest", ("no_mixup",), of_constant(max), high=2.012),
            measured("MSE / SmoothL1 of the mean, smallest", ("no_mixup",), of_constant(min), low=2.0 - 1e-9),
        ),
    ),
    Statement(
        name="v8_mse_follows_from_its_nrmse",
        source=RESULTS,
        says="V8's NRMSE of 0.160418 over the range of 2.498 s is an MSE of 0.16058",
        documented=0.16058,
        why="(NRMSE x range)^2",
        parts=(computed("(0.160418 x 2.498 s)^2", lambda: v8_squared().value, near=0.16058, rel=1e-4),),
    ),
    Statement(
        name="target_variance",
        source="EEG record, data",
        says="response times have an sd of 0.4007 s, a variance of 0.160597",
        documented=0.160597,
        why="one is the square of the other, to the digits given",
        parts=(computed("0.4007^2", lambda: SD_S**2, near=VARIANCE, rel=3e-4),),
    ),
    Statement(
        name="three_nrmse_agree",
        source="EEG record, printed NRMSE: RMSE / range, RMSE, RMSE / sd",
        says="the NRMSE of the three scripts can be compared",
        documented=1.0,
        why="three definitions under one name: the same constant is 0.16, 0.40 and 1.0",
        parts=(computed("largest over smallest for one constant", nrmse_spread, near=1.0, rel=0.05),),
    ),
    Statement(
        name="nrmse_of_one_is_perfect",
        source="EEG record, challenge",
        says="an NRMSE of 1.0 was read as perfect",
        documented=1.0,
        why="over the sd, 1 is what a constant scores: its skill is none",
        parts=(computed("skill at an NRMSE of 1.0002", lambda: skill(CHALLENGE, 1.0), near=1.0, rel=0.05),),
    ),
    Statement(
        name="challenge_score_is_that_of_the_mean",
        source="EEG record, challenge",
        says="the challenge score of 1.0002 is the mean predictor's",
        documented=CHALLENGE,
        why="a constant scores 1, and what it is off the mean of the validation targets",
        parts=(
            of_metric("volts", "nrmse", near=CHALLENGE, rel=0.05),
            *checked(finding_in_every_seed("volts", "no_skill")),
        ),
    ),
    Statement(
        name="leaders_of_the_challenge",
        source="EEG record, challenge",
        says="the leaders had scores of 0.89 to 0.92",
        why="the challenge's hidden windows and others' models are not here",
    ),
    Statement(
        name="v8_goes_on",
        source=RULE,
        says="below 0.085 go on: V8, at 0.079314",
        documented=0.0,
        why="thresholds and loss are both SmoothL1",
        parts=(computed("0 go on, 1 marginal, 2 stop", lambda: decision(V8), near=0.0, rel=0.0),),
    ),
    *(
        Statement(
            name=f"{name}_is_stopped",
            source=RULE,
            says=f"above 0.095 stop: {whose}, at {score.value}",
            documented=2.0,
            why="thresholds are SmoothL1, the loss is MSE: V8, of which both are known, brings it into their unit",
            parts=(computed("0 go on, 1 marginal, 2 stop", partial(decision_in_unit, score), near=2.0, rel=0.0),),
        )
        for name, whose, score in (
            ("ensemble", "the ensemble", ENSEMBLE),
            *((f"v3_seed_{i}", f"v3, seed {i}", score) for i, score in enumerate(V3, 1)),
        )
    ),
    *(
        Statement(
            name=name,
            source=RULE,
            says=says,
            documented=bar.value,
            why="a threshold lies below the trivial baseline, or a model that has learnt nothing passes",
            parts=(computed("SmoothL1 of the mean", constant_smooth_l1, low=bar.value),),
        )
        for name, says, bar in (
            ("going_on_takes_learning", "a model below 0.085 is worth going on with", DECISION_RULE.go_on),
            ("learning_nothing_is_stopped", "a model that has learnt nothing is above 0.095", DECISION_RULE.stop),
        )
    ),
    Statement(
        name="v8_mse_in_the_augmentation_test",
        source=TTA,
        says="V8's MSE is 0.098634, without augmentation",
        documented=0.098634,
        why="V8's NRMSE on the validation release gives its MSE there; the test may have had other windows",
        parts=(computed("(NRMSE x range)^2", lambda: v8_squared().value, near=0.098634, rel=0.05),),
    ),
    Statement(
        name="augmentation_is_of_no_benefit",
        source=TTA,
        says="augmentation changes nothing: an MSE of 0.098634 with and without",
        documented=0.0,
        why="predictions of a model that learns move; equal ones are one module that was imported under two names",
        parts=(of_metric("mixup", "tta_change_s", statistic=min, high=1e-6),),
    ),
    Statement(
        name="augmentation_costs_nothing",
        source=TTA,
        says="2.4 ms with augmentation against 2.6 ms without",
        documented=2.4 / 2.6,
        why="five views are five forward passes, so that equal times tell of one function timed twice",
        parts=(computed("forward passes with augmentation per one without", passes, near=2.4 / 2.6, rel=0.1),),
    ),
    Statement(
        name="one_module_twice_does_not_move",
        source="EEG record, trials on a small stand-in",
        says="the same module twice: predictions move by exactly 0",
        documented=0.0,
        why="there is nothing that could move",
        parts=(computed("mean change, in sd of the targets", moved_against_itself, near=0.0),),
    ),
    Statement(
        name="average_gains_a_few_percent",
        source="EEG record, average of five seeds",
        says="the average of five seeds gains 1 to 3 %",
        documented=0.02,
        why="five constants differ by where they lie, which is all that their average can gain",
        parts=(computed("most that an average of v3's five constants gains", gain_bound, low=0.01, high=0.03),),
    ),
    *(
        Statement(
            name=f"noise_drowns_windows_of_{volts:g}_v",
            source="EEG record, batch-norm statistics of the checkpoints",
            says=f"windows of {volts:g} V under noise of sd 0.01: the first layer saw the noise",
            documented=volts,
            why="BatchNorm divides by the variance of what it is shown, noise included",
            parts=(
                computed("variance of the windows over that of the noise", partial(variance_share, volts), high=0.05),
            ),
        )
        for volts in (1e-5, 1e-3)
    ),
    Statement(
        name="first_layer_saw_the_noise",
        source="EEG record, batch-norm statistics of the checkpoints",
        says="inputs were left in volts, and noise of sd 0.01 drowned them",
        why="measured on the first layer of trained models; z-scored windows under the same noise are its other side",
        parts=checked(CASE.claim("noise_drowns_windows_in_volts").check),
    ),
)
