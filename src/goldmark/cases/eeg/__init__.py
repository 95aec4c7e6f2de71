"""CompactRT: a convolutional net for response times from EEG, said to need mixup, that answered with a constant.

What happened. Retrained models reached a validation loss of 0.16 where an earlier one had 0.079. Twice as bad, it
seemed, and the retraining had left out mixup, which the earlier training had applied to every batch.

The documented cause. Missing mixup. Restored with five seeds, it changed nothing: 0.1607 to 0.1610.

What the evidence says. The factor of two is a unit: 0.079 was SmoothL1, 0.16 was mean squared error, and below an error
of 1 s SmoothL1 is half the square. In one unit all models score the same, 0.1606, the variance of the targets: each of
them is a constant predictor. The likely reason is that windows were left in volts (1e-5) under noise augmentation of sd
0.01, so that the first layer saw the noise. Mixup cannot rescue that.

What mixup is worth on a model that learns is measured here, in pairs of runs of one seed. With alpha 1 in every batch
it saves about a fifth of the squared error, on these data; the record's recipe saves less; neither is a factor of two.
A wrong mixup, inputs without their targets, beats the constant by as much as training without mixup: no threshold on a
score gives it away, the contract does (`checks.wrong_mixup`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from torch import Tensor, nn

from goldmark.case import Case, Claim, Data, Finding, Metric, Runs, Variant, Verdict
from goldmark.cases.eeg.augmentation import add_noise, mix_batch
from goldmark.cases.eeg.compact_rt import CompactRT
from goldmark.cases.eeg.scores import baselines, mse, score, units
from goldmark.cases.eeg.windows import generate
from goldmark.checks import collapsed_output, no_skill
from goldmark.checks.mixup import wrong_mixup
from goldmark.claims import Check, all_of, every_difference, every_seed, found, mean, mean_difference, paired_lower
from goldmark.training.draws import Draws


@dataclass(frozen=True)
class EegSettings:
    """A run of the case; the defaults are the fixed recipe at fast scale."""

    n_train: int = 32  # windows
    n_val: int = 64
    channels: int = 16
    samples: int = 100  # of a window of 2 s
    amplitude: float = 0.22  # of the evoked response for a response time 1 sd late, in sd of the noise
    topography_sd: float = 0.5  # of a subject's own topography, over the common one
    gain_sd: float = 0.3  # of the log of a subject's gain
    rhythm: float = 1.0  # amplitude of the alpha rhythm, in sd of the noise
    input_scale: Literal["zscore", "volts"] = "zscore"
    noise_sd: float = 0.0  # of the noise added in training, in the unit of the inputs
    mixup_fraction: float = 1.0  # of the batches
    mixup_alpha: float = 1.0  # of the Beta distribution of the mixing weight
    mix_targets: bool = True
    width: int = 16  # of the first convolution and of the head; the second convolution is twice as wide
    dropout: float = 0.0
    lr: float = 3e-3
    lr_min: float | None = None
    weight_decay: float = 0.05
    clip: float | None = None
    steps: int = 40
    batch: int = 32


def make_model(settings: EegSettings, data: Data) -> CompactRT:
    """Build the model with its output at the mean response, which 40 steps from 0 would spend themselves on."""
    model = CompactRT(
        channels=settings.channels,
        widths=(settings.width, 2 * settings.width),
        kernels=(7, 5),
        head=(settings.width,),
        dropout=settings.dropout,
    )
    nn.init.constant_(model.output.bias, float(data["train_response_s"].mean()))
    return model


def loss(model: nn.Module, data: Data, rows: Tensor, draws: Draws, settings: EegSettings) -> Tensor:
    """Return the mean squared error of some training windows, augmented and mixed as the settings say."""
    x = add_noise(data["train_eeg"][rows], draws, settings.noise_sd)
    x, y = mix_batch(x, data["train_response_s"][rows], draws, settings)
    return nn.functional.mse_loss(model(x, draws), y)


def examine(fresh: nn.Module, trained: nn.Module, data: Data, settings: EegSettings) -> tuple[Finding, ...]:
    """Look for collapse, for no skill over the best constant, and for a mixup that is not what the settings say."""
    predicted_s, target_s = trained(data["val_eeg"]), data["val_response_s"]
    steps = iter(range(settings.steps))
    return (
        collapsed_output(predicted_s, target_s),
        # the best constant in hindsight: a collapsed model beats the training mean by luck, this one never
        no_skill(mse(predicted_s, target_s), mse(target_s.mean(), target_s), threshold=0.01),
        wrong_mixup(
            lambda x, y: mix_batch(x, y, Draws.at(0, next(steps)), settings), settings.mixup_fraction, settings.steps
        ),
    )


def ratio_between(variant: str, other: str, metric: str, low: float, high: float) -> Check:
    """Hold the geometric mean over common seeds of variant / other between two limits."""

    def check(runs: Runs) -> Verdict:
        others = {run.seed: run.metrics[metric] for run in runs[other]}
        logs = [math.log(run.metrics[metric] / others[run.seed]) for run in runs[variant] if run.seed in others]
        return _between([math.exp(fmean(logs))], low, high, len(logs))

    return check


def close_between(variant: str, entry: str, low: float, high: float) -> Check:
    """Hold a number that follows from the data of every seed between two limits."""

    def check(runs: Runs) -> Verdict:
        values = [run.close[entry] for run in runs[variant]]
        return _between(values, low, high, len(values))

    return check


def _between(values: Sequence[float], low: float, high: float, n_seeds: int) -> Verdict:
    """Judge the value that is nearest to a limit or beyond it, and show that limit."""
    value = min(values, key=lambda v: min(v - low, high - v))
    return Verdict(low <= value <= high, value, low if value - low < high - value else high, n_seeds)


METRICS = (
    # margins on the log scale as numbers: seeds differ too much for a percentage of their mean, pairs of them do not
    Metric("val_mse", "mean squared error on held-out subjects", "s^2", "lower", "log", 0.01),
    Metric(
        "nrmse", "RMSE / sd of the validation targets; a constant at their mean scores 1", "1", "lower", "log", 0.01
    ),
    Metric("skill_vs_mean", "1 - RMSE / RMSE of the training mean", better="higher", margin=0.01),
    Metric("train_mse", "mean squared error on the training windows, not mixed", "s^2", "neither", "log", "10%"),
    Metric("prediction_sd_ratio", "sd of predictions / sd of the validation targets", better="neither", margin=0.02),
    Metric("tta_change_s", "mean absolute change of predictions by test-time augmentation", "s", margin=0.002),
)

VARIANTS = (
    Variant(
        "mixup",
        "mixup in every batch, its weight uniform (alpha 1)",
        "fixed",
        guards={"val_mse": "no_mixup"},
        alpha=0.01,
    ),
    Variant("no_mixup", "no mixup", "broken", "mixup", {"mixup_fraction": 0.0}, "val_mse", alpha=0.01),
    Variant(
        "mixup_documented",
        "the record's mixup: alpha 0.2, in half of the batches",
        "option",
        "mixup",
        {"mixup_alpha": 0.2, "mixup_fraction": 0.5},
        seeds=8,
    ),
    Variant(
        "inputs_only_mixup",
        "windows are mixed, their response times are not",
        "broken",
        "mixup",
        {"mix_targets": False},
        "contract",
        seeds=8,
    ),
    Variant(
        "scaled_noise",
        "no mixup, noise of sd 0.01 on z-scored windows",
        "option",
        "no_mixup",
        {"noise_sd": 0.01},
        seeds=8,
    ),
    Variant(
        "volts",
        "the same noise of sd 0.01 on windows in volts, at 1e-5",
        "broken",
        "scaled_noise",
        {"input_scale": "volts"},
        "prediction_sd_ratio",
        seeds=8,
    ),
    Variant(
        "volts_mixup",
        "windows in volts, with noise and mixup",
        "control",
        "volts",
        {"mixup_fraction": 1.0},
        "prediction_sd_ratio",
        seeds=8,
    ),
)

# Limits were set on the seeds of the case and confirmed on as many from 1000, which nothing here was chosen on.
CLAIMS = (
    Claim(
        "mixup_lowers_error",
        "mixup lowers the validation MSE: one-sided paired t on its log, alpha .01, 32 pairs of seeds fixed in advance",
        "EEG record, mixup as the cause; the effect is measured by the project",
        ("mixup", "no_mixup"),
        paired_lower("mixup", "no_mixup", "val_mse", 0.01, "log"),
        fewest_seeds=32,
    ),
    Claim(
        "mixup_is_no_factor_of_two",
        "without mixup the MSE is higher by far less than the documented factor of two (geometric mean)",
        "EEG record, validation loss 0.16 against 0.079",
        ("no_mixup", "mixup"),
        ratio_between("no_mixup", "mixup", "val_mse", 0.0, 1.6),
        documented=2.027,
        fewest_seeds=8,
    ),
    Claim(
        "documented_recipe_is_weak",
        "the record's recipe changes the MSE by less than a fifth, and is worth less than mixup in every batch",
        "EEG record, ensemble with mixup in half of the batches; the effect is measured by the project",
        ("mixup_documented", "no_mixup", "mixup"),
        all_of(
            ratio_between("mixup_documented", "no_mixup", "val_mse", 0.8, 1.05),
            ratio_between("mixup_documented", "mixup", "val_mse", 1.05, 1.6),
        ),
        fewest_seeds=8,
    ),
    Claim(
        "factor_two_is_a_unit",
        "a constant's MSE is twice its SmoothL1: exactly so for errors below 1 s, and nearly so with the rest",
        "EEG record, SmoothL1 of one model against MSE of the others",
        ("mixup",),
        all_of(
            close_between("mixup", "mean_mse_over_smooth_l1_below_1_s", 2 - 1e-9, 2 + 1e-9),
            close_between("mixup", "mean_mse_over_smooth_l1", 1.8, 2.2),
        ),
        documented=2.027,
    ),
    Claim(
        "mixup_beats_mean",
        "with mixup every model beats the constant, and none has collapsed",
        "project",
        ("mixup",),
        all_of(
            found("mixup", "collapsed_output", 0),
            found("mixup", "no_skill", 0),
            every_seed("mixup", "skill_vs_mean", ">=", 0.05),
            mean("mixup", "skill_vs_mean", ">=", 0.3),
        ),
    ),
    Claim(
        "no_mixup_learns_too",
        "without mixup the models do learn: missing mixup makes no constant predictor",
        "EEG record, all retrained models score the variance of the targets",
        ("no_mixup",),
        all_of(found("no_mixup", "collapsed_output", 0), mean("no_mixup", "skill_vs_mean", ">=", 0.15)),
    ),
    Claim(
        "mixup_keeps_its_contract",
        "inputs and targets are mixed with one weight and one order, in as many batches as meant",
        "EEG record, mixup of data set and loop at once",
        ("mixup", "mixup_documented", "no_mixup"),
        all_of(
            found("mixup", "wrong_mixup", 0),
            found("mixup_documented", "wrong_mixup", 0),
            found("no_mixup", "wrong_mixup", 0),
        ),
    ),
    Claim(
        "inputs_only_mixup_breaks_the_contract",
        "mixing inputs without their targets is found by the contract, in every run",
        "project",
        ("inputs_only_mixup",),
        found("inputs_only_mixup", "wrong_mixup", 1),
    ),
    Claim(
        "inputs_only_mixup_looks_fine",
        "by its score it is one more healthy model: it beats the constant, with an MSE near that without mixup",
        "project",
        ("inputs_only_mixup", "no_mixup"),
        all_of(
            found("inputs_only_mixup", "collapsed_output", 0),
            mean("inputs_only_mixup", "skill_vs_mean", ">=", 0.15),
            ratio_between("inputs_only_mixup", "no_mixup", "val_mse", 0.75, 1.5),
        ),
        fewest_seeds=8,
    ),
    Claim(
        "volts_collapse",
        "windows in volts under noise end in a constant: no better than the best constant, whatever the input",
        "EEG record, batch-norm statistics of the checkpoints",
        ("volts",),
        all_of(
            found("volts", "collapsed_output", 1),
            found("volts", "no_skill", 1),
            every_seed("volts", "prediction_sd_ratio", "<=", 1e-3),
            every_seed("volts", "nrmse", ">=", 0.99),
        ),
        documented=1.0,
    ),
    Claim(
        "scaling_is_the_fix",
        "the same noise on z-scored windows does no harm: every model beats the constant, and its twin in volts",
        "project",
        ("scaled_noise", "volts"),
        all_of(
            found("scaled_noise", "collapsed_output", 0),
            every_seed("scaled_noise", "skill_vs_mean", ">=", 0.05),
            every_difference("scaled_noise", "volts", "nrmse", "<=", -0.05),
            mean_difference("scaled_noise", "volts", "nrmse", "<=", -0.2),
        ),
    ),
    Claim(
        "mixup_does_not_rescue_volts",
        "mixup leaves the constant where it was, as in the record's retraining with five seeds",
        "EEG record, retraining with mixup (0.1607 to 0.1610)",
        ("volts_mixup", "volts"),
        all_of(
            found("volts_mixup", "collapsed_output", 1),
            found("volts_mixup", "no_skill", 1),
            every_seed("volts_mixup", "nrmse", ">=", 0.99),
            ratio_between("volts_mixup", "volts", "val_mse", 0.85, 1.15),
        ),
        documented=1.0,
    ),
    Claim(
        "augmentation_moves_a_healthy_model",
        "test-time augmentation moves the predictions of a model that learns by tens of ms, a constant's by none",
        "EEG record, test-time augmentation: equal errors, because one module was compared with itself",
        ("mixup", "volts"),
        all_of(
            every_seed("mixup", "tta_change_s", ">=", 5e-3),
            every_seed("volts", "tta_change_s", "<=", 1e-4),
        ),
        documented=0.0,
    ),
)

CASE = Case(
    name="eeg",
    title="CompactRT, a convolutional net for response times from EEG",
    says="retrained models scored 'twice as bad', which was a unit; all of them were constants, and mixup was blamed",
    settings=EegSettings(),
    seeds=32,
    variants=VARIANTS,
    metrics=METRICS,
    claims=CLAIMS,
    make_data=generate,
    make_model=make_model,
    loss=loss,
    evaluate=score,
    baselines=baselines,
    examine=examine,
    close=units,
    fixtures={"eeg": "mixup"},
)
