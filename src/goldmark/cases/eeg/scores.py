"""Scores of a response-time model and of the constant predictor, in seconds, on subjects held out of training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from goldmark.case import Baseline, Data
from goldmark.cases.eeg.compact_rt import members_of
from goldmark.checks import skill, spread_ratio

if TYPE_CHECKING:
    from goldmark.cases.eeg import EegSettings

SHIFT = 3  # samples by which test-time augmentation rolls a window, either way
FACTORS = (1.02, 0.98)  # by which it scales one


def score(model: nn.Module, data: Data, settings: EegSettings) -> dict[str, float]:
    """Return the metrics of a model."""
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
    views = [eeg, eeg.roll(SHIFT, dims=-1), eeg.roll(-SHIFT, dims=-1), *(eeg * factor for factor in FACTORS)]
    return torch.stack([model(view).double() for view in views]).mean(dim=0)


def mean_response_s(data: Data) -> Tensor:
    """Return the constant predictor's answers (N,) on the validation half: the mean of the training half."""
    return data["train_response_s"].double().mean().expand_as(data["val_response_s"])


def baselines(data: Data, settings: EegSettings) -> tuple[Baseline, ...]:
    """Return the constant predictor."""
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
    return (Baseline("mean", "the mean response time of the training half, always", metrics),)


def units(data: Data, settings: EegSettings) -> dict[str, float]:
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
