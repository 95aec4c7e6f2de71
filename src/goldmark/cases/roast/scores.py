"""Scores of a roast model and of its trivial baselines, in degrees Fahrenheit, over valid cells only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from goldmark.case import Baseline, Data
from goldmark.checks import skill
from goldmark.training.draws import Draws

if TYPE_CHECKING:
    from goldmark.cases.roast import RoastSettings

RANGE_F = (100.0, 500.0)  # what the documented fix maps to [0, 1]


def scaled(temp_f: Tensor, scale: str, data: Data) -> Tensor:
    """Bring degrees Fahrenheit to a scale: `raw`, `range` ([100, 500] F to [0, 1]) or `zscore` of the training half."""
    offset, unit = _offset_and_unit(scale, data)
    return (temp_f - offset) / unit


def fahrenheit(temp: Tensor, scale: str, data: Data) -> Tensor:
    """Bring temperatures on a scale back to degrees Fahrenheit."""
    offset, unit = _offset_and_unit(scale, data)
    return temp * unit + offset


def _offset_and_unit(scale: str, data: Data) -> tuple[float | Tensor, float | Tensor]:
    if scale == "raw":
        return 0.0, 1.0
    if scale == "range":
        return RANGE_F[0], RANGE_F[1] - RANGE_F[0]
    return data["temp_mean_f"], data["temp_sd_f"]


def bean_of(data: Data, half: str, rows: Tensor | slice = slice(None)) -> tuple[Tensor, Tensor, Tensor]:
    """Return the conditions (categories, flavors, continuous) of some rows of a half."""
    return data[f"{half}_categories"][rows], data[f"{half}_flavors"][rows], data[f"{half}_continuous"][rows]


def next_steps(
    model: nn.Module,
    data: Data,
    settings: RoastSettings,
    half: str,
    rows: Tensor | slice = slice(None),
    draws: Draws | None = None,
) -> tuple[Tensor, Tensor]:
    """Return (predictions, targets) (B, T - 1) of the next step, teacher-forced, on the target scale."""
    temp_f = data[f"{half}_temp_f"][rows]
    inputs = scaled(temp_f[:, :-1], settings.input_scale, data)
    predictions = model(inputs, bean_of(data, half, rows), draws)
    return predictions, scaled(temp_f[:, 1:], settings.target_scale, data)


def valid_next_steps(model: nn.Module, data: Data, settings: RoastSettings, half: str) -> tuple[Tensor, Tensor]:
    """Return (predictions, targets) of a half as `next_steps` does, but flat and of the valid cells alone."""
    valid = data[f"{half}_valid"][:, 1:]
    predictions, targets = next_steps(model, data, settings, half)
    return predictions[valid], targets[valid]


def generate_f(model: nn.Module, data: Data, settings: RoastSettings) -> Tensor:
    """Return free-running validation curves (N, T) from the true first temperature: each output is the next input."""
    curve_f = data["val_temp_f"][:, :1]
    bean = bean_of(data, "val")
    for _ in range(data["val_temp_f"].shape[1] - 1):
        outputs = model(scaled(curve_f, settings.input_scale, data), bean)[:, -1:]
        curve_f = torch.cat([curve_f, fahrenheit(outputs, settings.target_scale, data)], dim=1)
    return curve_f


def score(model: nn.Module, data: Data, settings: RoastSettings) -> dict[str, float]:
    """Return the teacher-forced metrics of a model on the validation half."""
    predictions, targets = valid_next_steps(model, data, settings, "val")
    predicted_f = fahrenheit(predictions.double(), settings.target_scale, data)
    true_f = fahrenheit(targets.double(), settings.target_scale, data)
    rmse_f = float((predicted_f - true_f).square().mean().sqrt())
    return {
        "val_loss": float((predictions - targets).double().square().mean()),
        "rmse_f": rmse_f,
        "teacher_forced_mae_f": float((predicted_f - true_f).abs().mean()),
        **{f"skill_vs_{name}": skill(rmse_f, value) for name, value in baseline_rmses_f(data).items()},
        "prediction_sd_f": float(predicted_f.std()),
    }


def score_generation(model: nn.Module, data: Data, settings: RoastSettings) -> dict[str, float]:
    """Return the metrics of free-running validation curves, their given start left out."""
    generated_f, valid = generate_f(model, data, settings).double()[:, 1:], data["val_valid"][:, 1:]
    curves = [curve[cells] for curve, cells in zip(generated_f, valid, strict=True)]
    return {
        "generated_variance": float(torch.stack([curve.var() for curve in curves]).mean()),
        "distinct_values": sum(len((curve * 10).round().unique()) for curve in curves) / len(curves),
        "generation_mae_f": float((generated_f - data["val_temp_f"][:, 1:])[valid].abs().mean()),
    }


def baseline_rmses_f(data: Data) -> dict[str, float]:
    """Return the validation RMSE of the training mean, of the training mean curve and of 'next is as now'."""
    train_f, train_valid = data["train_temp_f"].double(), data["train_valid"]
    mean_f = train_f[train_valid].mean()
    counts = train_valid.sum(dim=0)
    curve_f = torch.where(counts > 0, (train_f * train_valid).sum(dim=0) / counts.clamp_min(1), mean_f)
    val_f, valid = data["val_temp_f"].double(), data["val_valid"][:, 1:]
    errors = {
        "mean": mean_f - val_f[:, 1:],
        "mean_curve": curve_f[1:] - val_f[:, 1:],
        "persistence": -val_f.diff(dim=1),
    }
    return {name: float(error[valid].square().mean().sqrt()) for name, error in errors.items()}


def baselines(data: Data, settings: RoastSettings) -> tuple[Baseline, ...]:
    """Return the naive predictors of the next temperature."""
    says = {
        "mean": "the mean temperature of the training half, always",
        "mean_curve": "the mean training curve at that second, whatever the bean",
        "persistence": "the temperature of the step before",
    }
    rmses_f = baseline_rmses_f(data)
    return tuple(
        Baseline(
            name,
            says[name],
            {"rmse_f": rmse_f} | {f"skill_vs_{other}": skill(rmse_f, value) for other, value in rmses_f.items()},
        )
        for name, rmse_f in rmses_f.items()
    )
