"""Scores of a roast model and of its trivial baselines, in degrees Fahrenheit, over valid cells only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor, nn

from goldmark.case import Baseline, Data
from goldmark.cases.roast.transformer import Bean, Continuation, RoastFormer
from goldmark.checks import skill
from goldmark.training.draws import Draws

if TYPE_CHECKING:
    from goldmark.cases.roast import RoastSettings

Side = Literal["input", "target"]

_ROWS_AT_ONCE = 32  # of an evaluation: attention takes rows x heads x steps^2


def scaled(temp_f: Tensor, data: Data, side: Side) -> Tensor:
    """Bring degrees Fahrenheit to the scale of the inputs or of the targets."""
    return (temp_f - data[f"{side}_offset"]) / data[f"{side}_unit"]


def fahrenheit(temp: Tensor, data: Data) -> Tensor:
    """Bring temperatures on the scale of the targets back to degrees Fahrenheit."""
    return temp * data["target_unit"] + data["target_offset"]


def bean_of(data: Data, half: str, rows: Tensor | slice = slice(None)) -> Bean:
    """Return the conditions of some rows of a half."""
    return data[f"{half}_categories"][rows], data[f"{half}_flavors"][rows], data[f"{half}_continuous"][rows]


def next_steps(
    model: nn.Module, data: Data, half: str, rows: Tensor | slice = slice(None), draws: Draws | None = None
) -> tuple[Tensor, Tensor]:
    """Return (predictions, targets) (B, T - 1) of the next step, teacher-forced, on the target scale."""
    temp_f = data[f"{half}_temp_f"][rows]
    predictions = model(scaled(temp_f[:, :-1], data, "input"), bean_of(data, half, rows), draws)
    return predictions, scaled(temp_f[:, 1:], data, "target")


def valid_next_steps(model: nn.Module, data: Data, half: str) -> tuple[Tensor, Tensor]:
    """Return (predictions, targets) of a half as `next_steps` does, but flat and of the valid cells alone."""
    valid = data[f"{half}_valid"][:, 1:]
    starts = range(0, len(valid), _ROWS_AT_ONCE)
    parts = [next_steps(model, data, half, slice(start, start + _ROWS_AT_ONCE)) for start in starts]
    predictions, targets = (torch.cat(side) for side in zip(*parts, strict=True))
    return predictions[valid], targets[valid]


def generate_f(model: RoastFormer, data: Data, settings: RoastSettings) -> Tensor:
    """Return free-running validation curves (N, 1 + steps) from the true first temperature: outputs become inputs."""
    steps = settings.generated_steps or data["val_temp_f"].shape[1] - 1
    continuation = Continuation(model, bean_of(data, "val"), steps)
    curve_f = [data["val_temp_f"][:, :1]]
    for _ in range(steps):
        outputs = continuation.answer(scaled(curve_f[-1], data, "input"))
        curve_f.append(fahrenheit(outputs, data))
    return torch.cat(curve_f, dim=1)


def score(model: nn.Module, data: Data, settings: RoastSettings) -> dict[str, float]:
    """Return the teacher-forced metrics of a model on the validation half."""
    predictions, targets = valid_next_steps(model, data, "val")
    predicted_f = fahrenheit(predictions.double(), data)
    true_f = fahrenheit(targets.double(), data)
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
    generated_f = generate_f(cast("RoastFormer", model), data, settings).double()[:, 1:]
    true_f, valid = (data[f"val_{name}"][:, 1 : 1 + generated_f.shape[1]] for name in ("temp_f", "valid"))
    curves = [curve[cells] for curve, cells in zip(generated_f, valid, strict=True)]
    return {
        "generated_variance": float(torch.stack([curve.var() for curve in curves]).mean()),
        "distinct_values": sum(len((curve * 10).round().unique()) for curve in curves) / len(curves),
        "generation_mae_f": float((generated_f - true_f)[valid].abs().mean()),
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
