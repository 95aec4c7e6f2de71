"""Curves in the shape of the record's profiles, and what naive predictors score on them, in float64."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from goldmark.case import Data
from goldmark.cases.roast.data import RISES_F_PER_MIN, generate, rise_f_per_min
from goldmark.cases.roast.full import FULL
from goldmark.checks import check_clipped_targets, check_rejected_data


@cache
def stand_in() -> Data:
    """Return generated profiles of the documented size: 123 to train on and 21 to validate, read once a second."""
    return generate(FULL.settings, 0)


@cache
def curves() -> tuple[Tensor, ...]:
    """Return the valid temperatures of all 144 profiles, in degrees Fahrenheit."""
    data = stand_in()
    return tuple(
        curve[valid]
        for half in ("train", "val")
        for curve, valid in zip(data[f"{half}_temp_f"], data[f"{half}_valid"], strict=True)
    )


@cache
def naive_errors_f() -> dict[str, Tensor]:
    """Return the errors of naive predictors of the next temperature, over the valid validation cells."""
    data = stand_in()
    train_f, val_f, valid = data["train_temp_f"], data["val_temp_f"], data["val_valid"][:, 1:]
    known = torch.where(data["train_valid"], train_f, torch.nan)
    mean_f = known.nanmean()
    curve_f = torch.nan_to_num(known.nanmean(dim=0), nan=float(mean_f))
    errors = {"mean": mean_f - val_f, "mean curve": curve_f - val_f, "persistence": -val_f.diff(dim=1)}
    return {name: error[:, -valid.shape[1] :][valid] for name, error in errors.items()} | {"AR(2)": _ar2_errors_f()}


def _ar2_errors_f() -> Tensor:
    """Return the errors of a linear predictor of the next temperature from the last two, fitted by least squares."""

    def steps(half: str) -> tuple[Tensor, Tensor]:
        temp_f, valid = stand_in()[f"{half}_temp_f"], stand_in()[f"{half}_valid"][:, 2:]
        before, now, after = (part[valid] for part in (temp_f[:, :-2], temp_f[:, 1:-1], temp_f[:, 2:]))
        return torch.stack([before, now, torch.ones_like(now)], dim=1), after

    features, targets = steps("train")
    weights = torch.linalg.lstsq(features, targets[:, None]).solution[:, 0]
    val_features, val_targets = steps("val")
    errors: Tensor = val_features @ weights - val_targets
    return errors


def rmse_f(name: str) -> float:
    """Return the root mean square error of a naive predictor."""
    return float(naive_errors_f()[name].square().mean().sqrt())


def mae_f(name: str) -> float:
    """Return the mean absolute error of a naive predictor."""
    return float(naive_errors_f()[name].abs().mean())


def rejected_by_a_rate_per(seconds: int) -> float:
    """Return the share of profiles that limits in F/min reject where the rise is computed per so many seconds."""
    slowest, fastest = RISES_F_PER_MIN

    def accepts(curve: Tensor) -> bool:
        return slowest <= rise_f_per_min(curve.tolist()) * seconds / 60 <= fastest

    return check_rejected_data(accepts, curves()).numbers["rejected_share"]


def share_below(clamp_f: float) -> float:
    """Return the share of temperatures that a clamp from below changes."""
    return check_clipped_targets(lambda temp_f: temp_f.clamp_min(clamp_f), torch.cat(curves())).numbers["share"]
