"""Metrics of a response-time model on held-out subjects, its baseline, and what the checks see of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from goldmark.case import Baseline, Data, Finding, Metric
from goldmark.cases.eeg.augmentation import augmented
from goldmark.cases.eeg.mixup import N_PROBES, mix_batch, share_mixed
from goldmark.cases.eeg.model import members_of
from goldmark.checks import (
    check_collapsed_output,
    check_idle_average,
    check_no_skill,
    check_unmoved_by_augmentation,
    check_wrong_mixup,
    skill,
    spread_ratio,
)
from goldmark.training.draws import Draws

if TYPE_CHECKING:
    from goldmark.cases.eeg import EegSettings

SHIFT = 3  # samples by which test-time augmentation rolls a window, either way
FACTORS = (1.02, 0.98)  # by which it scales one

# margins on the log scale as numbers: seeds differ too much for a percentage of their mean, pairs of them do not
METRICS = (
    Metric(
        name="val_mse",
        says="mean squared error on held-out subjects",
        unit="s^2",
        better="lower",
        scale="log",
        margin=0.01,
    ),
    Metric(
        name="nrmse",
        says="RMSE / sd of the validation targets; a constant at their mean scores 1",
        better="lower",
        scale="log",
        margin=0.01,
    ),
    Metric(name="skill_vs_mean", says="1 - RMSE / RMSE of the training mean", better="higher", margin=0.01),
    Metric(
        name="train_mse",
        says="mean squared error on the training windows, not mixed",
        unit="s^2",
        scale="log",
        margin="10%",
    ),
    Metric(name="prediction_sd_ratio", says="sd of predictions / sd of the validation targets", margin=0.02),
    Metric(
        name="tta_change_s",
        says="mean absolute change of predictions by test-time augmentation",
        unit="s",
        margin=0.002,
    ),
)
# what the record's losses and its average of five models are read in, at the documented size
FULL_METRICS = (
    *METRICS,
    Metric(
        name="val_smooth_l1",
        says="SmoothL1 loss on held-out subjects",
        unit="s^2",
        better="lower",
        scale="log",
        margin=0.01,
    ),
    Metric(
        name="tta_mse",
        says="mean squared error with test-time augmentation",
        unit="s^2",
        better="lower",
        scale="log",
        margin=0.01,
    ),
    Metric(name="gain_of_average", says="1 - MSE of the averaged predictions / mean MSE of the members", margin=0.01),
)


def evaluate(model: nn.Module, data: Data) -> dict[str, float]:
    """Return the metrics of a model, an ensemble's of its averaged predictions."""
    eeg, target_s = data["val_eeg"], data["val_response_s"].double()
    by_member_s = torch.stack([member(eeg).double() for member in members_of(model)])
    predicted_s, augmented_s = by_member_s.mean(dim=0), augmented_prediction_s(model, eeg)
    val_mse = mse(predicted_s, target_s)
    return {
        "val_mse": val_mse,
        "val_smooth_l1": smooth_l1(predicted_s - target_s),
        "nrmse": nrmse(predicted_s, target_s),
        "skill_vs_mean": skill(val_mse**0.5, mse(mean_response_s(data), target_s) ** 0.5),
        "train_mse": mse(model(data["train_eeg"]), data["train_response_s"]),
        "prediction_sd_ratio": spread_ratio(predicted_s, target_s),
        "tta_change_s": float((augmented_s - predicted_s).abs().mean()),
        "tta_mse": mse(augmented_s, target_s),
        "gain_of_average": skill(val_mse, mse(by_member_s, target_s)),
    }


def mse(predicted_s: Tensor, target_s: Tensor) -> float:
    """Return the mean squared error (s^2), summed in float64."""
    return float((predicted_s.double() - target_s.double()).square().mean())


def nrmse(predicted_s: Tensor, target_s: Tensor) -> float:
    """Return RMSE / sd of the targets: 1 is a constant at their mean. Over their range the same error reads as 0.2."""
    return float(mse(predicted_s, target_s) ** 0.5 / target_s.double().std(correction=0))


def augmented_prediction_s(model: nn.Module, eeg: Tensor) -> Tensor:
    """Return predictions (N,) averaged over test-time augmentation: the window, rolled and scaled either way."""
    return torch.stack([model(view).double() for view in views_of(eeg).values()]).mean(dim=0)


def views_of(eeg: Tensor) -> dict[str, Tensor]:
    """Return the five views of test-time augmentation by name: windows as they are, rolled and scaled either way."""
    rolled = {f"roll_{shift:+d}": eeg.roll(shift, dims=-1) for shift in (SHIFT, -SHIFT)}
    return {"identity": eeg} | rolled | {f"times_{factor:g}": eeg * factor for factor in FACTORS}


def mean_response_s(data: Data) -> Tensor:
    """Return the constant predictor's answers (N,) on the validation half: the mean of the training half."""
    return data["train_response_s"].double().mean().expand_as(data["val_response_s"])


def baselines(data: Data) -> tuple[Baseline, ...]:
    """Return what the constant predictor scores."""
    target_s, constant_s = data["val_response_s"], mean_response_s(data)
    metrics = {
        "val_mse": mse(constant_s, target_s),
        "val_smooth_l1": smooth_l1(constant_s - target_s),
        "nrmse": nrmse(constant_s, target_s),
        "skill_vs_mean": 0.0,
        "train_mse": float(data["train_response_s"].double().var(correction=0)),
        "prediction_sd_ratio": 0.0,
        "tta_change_s": 0.0,
        "tta_mse": mse(constant_s, target_s),
        "gain_of_average": 0.0,
    }
    return (Baseline(name="mean", says="the mean response time of the training half, always", metrics=metrics),)


def close(data: Data) -> dict[str, float]:
    """Return what the constant predictor scores in the units that the record mixed up; a factor of 2 is no progress."""
    target_s = data["val_response_s"]
    error_s = mean_response_s(data) - target_s
    below_1_s = error_s[error_s.abs() < 1]
    zero = torch.zeros_like(error_s)
    return {
        "mean_smooth_l1": smooth_l1(error_s),
        "mean_mse_over_smooth_l1": mse(error_s, zero) / smooth_l1(error_s),
        "mean_mse_over_smooth_l1_below_1_s": float(below_1_s.square().mean()) / smooth_l1(below_1_s),
        "mean_rmse_over_range": mse(error_s, zero) ** 0.5 / float(target_s.max() - target_s.min()),
    }


def smooth_l1(error: Tensor) -> float:
    """Return the mean SmoothL1 loss of errors, beta 1: e^2 / 2 below 1, |e| - 1/2 from there."""
    return float(nn.functional.smooth_l1_loss(error, torch.zeros_like(error)))


def examine(model: nn.Module, data: Data, settings: EegSettings) -> tuple[Finding, ...]:
    """Return whether a trained model has collapsed or has no skill, and whether noise or a wrong mixup is to blame.

    Its test-time augmentation and the average of an ensemble must have something to work on, or nothing comes of them.
    """
    eeg, target_s = data["val_eeg"], data["val_response_s"]
    predicted_s, members = model(eeg), members_of(model)
    averages = [check_idle_average(torch.stack([net(eeg) for net in members]), target_s)] if len(members) > 1 else []
    return (
        check_collapsed_output(predicted_s, target_s),
        # the best constant in hindsight: a collapsed model beats the training mean by luck, this one never
        check_no_skill(mse(predicted_s, target_s), mse(target_s.mean(), target_s), threshold=0.01),
        _examine_mixup(data["step_mix_weight"], settings),
        _drowned_windows(model, data, settings),
        check_unmoved_by_augmentation(predicted_s, augmented_prediction_s(model, eeg), target_s),
        *averages,
    )


def _examine_mixup(weights: Tensor, settings: EegSettings) -> Finding:
    """Return whether mixup keeps its contract on batches of probes, with the weights (S, M, 1 or B) of the run."""
    probes = enumerate(weights.flatten(0, 1).cpu().repeat(1, N_PROBES)[:64, :N_PROBES])

    def mix(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        step, weight = next(probes)
        return mix_batch(x, y, weight, Draws.at(0, step), settings)

    return check_wrong_mixup(mix, share_mixed(settings), n_batches=min(64, settings.steps * settings.members))


def _drowned_windows(model: nn.Module, data: Data, settings: EegSettings) -> Finding:
    """Return whether less than half of the variance that the first layer normalizes by is that of the windows."""
    shares = torch.tensor([window_share(member, data, settings) for member in members_of(model)])
    share = float(shares.min())  # a NaN is the smallest
    return Finding(
        name="drowned_windows",
        trouble=not share >= 0.5,
        numbers={"window_share": share},
        threshold=0.5,
        advice="the first layer is scaled by something else than the windows: z-score them, and augment in their unit",
    )


def window_share(net: nn.Module, data: Data, settings: EegSettings) -> float:
    """Return the windows' share of the variance that the first layer of a net normalizes by, over a training batch.

    BatchNorm divides by the variance of what training shows it, augmentation noise included, plus eps (Ioffe and
    Szegedy, "Batch normalization", ICML 2015, algorithm 1). Mean over channels.
    """
    convolution, eps = net.get_submodule("convolutions.0"), net.get_submodule("norms.0").eps
    eeg = data["train_eeg"][: settings.batch]
    shown = augmented(eeg, data["noise_sd"], Draws.at(0, 0, eeg.device), settings)
    variance, shown_variance = (convolution(x).double().var(dim=(0, 2), correction=0) for x in (eeg, shown))
    return float((variance / (shown_variance + eps)).mean())
