"""Scores of a roast model and of its trivial baselines, in degrees Fahrenheit, over valid cells only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from goldmark.case import Baseline, Data, Finding, Metric
from goldmark.cases.roast.data import fahrenheit, scaled
from goldmark.cases.roast.model import Bean, IncrementalDecoder, RoastFormer
from goldmark.checks import check_collapsed_output, check_no_skill, check_target_scale, skill
from goldmark.training.draws import Draws

if TYPE_CHECKING:
    from goldmark.cases.roast import RoastSettings

_ROWS_AT_ONCE = 32  # of an evaluation: attention takes rows x heads x steps^2

METRICS = (
    Metric(name="val_loss_reduction", says="1 - last / first epoch's validation loss", better="higher", margin=0.01),
    Metric(
        name="rmse_f",
        says="root mean square error, teacher-forced, valid cells",
        unit="F",
        better="lower",
        scale="log",
        margin=0.05,
    ),
    Metric(
        name="teacher_forced_mae_f",
        says="mean absolute error, teacher-forced, valid cells",
        unit="F",
        better="lower",
        scale="log",
        margin=0.05,
    ),
    Metric(name="skill_vs_mean", says="1 - RMSE / RMSE of the global training mean", better="higher", margin=0.03),
    Metric(name="skill_vs_mean_curve", says="1 - RMSE / RMSE of the mean training curve", better="higher", margin=0.1),
    Metric(name="skill_vs_persistence", says="1 - RMSE / RMSE of 'next is as now'", better="higher", margin=0.1),
    Metric(
        name="generated_variance",
        says="variance of a free-running curve, start excluded, mean over curves",
        unit="F^2",
    ),
    Metric(
        name="distinct_values",
        says="values of a free-running curve that differ by 0.1 F, start excluded",
        unit="count",
    ),
    Metric(
        name="generation_mae_f",
        says="mean absolute error of the free-running curves",
        unit="F",
        better="lower",
        scale="log",
        margin=0.1,
    ),
    Metric(name="prediction_sd_f", says="sd of the teacher-forced predictions", unit="F"),
    Metric(
        name="prediction_mean_f",
        says="mean of the teacher-forced predictions: of a collapsed model, its constant",
        unit="F",
    ),
)


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


def valid_next_steps(model: nn.Module, data: Data, half: str, rows: slice = slice(None)) -> tuple[Tensor, Tensor]:
    """Return (predictions, targets) of a half as `next_steps` does, but flat and of the valid cells alone."""
    valid = data[f"{half}_valid"][rows, 1:]
    chosen = range(len(data[f"{half}_valid"]))[rows]
    starts = range(chosen.start, chosen.stop, _ROWS_AT_ONCE)
    parts = [next_steps(model, data, half, slice(start, min(start + _ROWS_AT_ONCE, chosen.stop))) for start in starts]
    predictions, targets = (torch.cat(side) for side in zip(*parts, strict=True))
    return predictions[valid], targets[valid]


def generate_f(model: RoastFormer, data: Data, settings: RoastSettings, at_least_f: float | None = None) -> Tensor:
    """Return free-running validation curves (N, 1 + steps) from the true first temperature: outputs become inputs.

    With `at_least_f` outputs are clamped there from below before they are fed back, as the record did.
    """
    n_steps = settings.generated_steps or data["val_temp_f"].shape[1] - 1
    decoder = IncrementalDecoder(model, bean_of(data, "val"), n_steps)
    curve_f = [data["val_temp_f"][:, :1]]
    for _ in range(n_steps):
        outputs = decoder.decode(scaled(curve_f[-1], data, "input"))
        made_f = fahrenheit(outputs, data)
        curve_f.append(made_f if at_least_f is None else made_f.clamp_min(at_least_f))
    return torch.cat(curve_f, dim=1)


def score(model: nn.Module, data: Data) -> dict[str, float]:
    """Return the teacher-forced metrics of a model on the validation half, and its loss there."""
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
        "prediction_mean_f": float(predicted_f.mean()),
    }


def score_generation(curves_f: Tensor, data: Data) -> dict[str, float]:
    """Return the metrics of free-running validation curves (N, 1 + steps) in F, their given start left out."""
    generated_f = curves_f.double()[:, 1:]
    true_f, valid = (data[f"val_{name}"][:, 1 : 1 + generated_f.shape[1]] for name in ("temp_f", "valid"))
    curves = [curve[cells] for curve, cells in zip(generated_f, valid, strict=True)]
    return {
        "generated_variance": float(torch.stack([curve.var() for curve in curves]).mean()),
        "distinct_values": sum(len((curve * 10).round().unique()) for curve in curves) / len(curves),
        "generation_mae_f": float((generated_f - true_f)[valid].abs().mean()),
    }


def baseline_rmses_f(data: Data) -> dict[str, float]:
    """Return the validation RMSE of the training mean, of the training mean curve and of 'next is as now'."""
    valid = data["val_valid"][:, 1:]
    return {name: float(error[valid].square().mean().sqrt()) for name, error in baseline_errors_f(data).items()}


def baseline_errors_f(data: Data) -> dict[str, Tensor]:
    """Return the errors (N, T - 1) in F of the same three on the validation half, in all cells, valid or not."""
    train_f, train_valid = data["train_temp_f"].double(), data["train_valid"]
    mean_f = train_f[train_valid].mean()
    counts = train_valid.sum(dim=0)
    curve_f = torch.where(counts > 0, (train_f * train_valid).sum(dim=0) / counts.clamp_min(1), mean_f)
    val_f = data["val_temp_f"].double()
    return {
        "mean": mean_f - val_f[:, 1:],
        "mean_curve": curve_f[1:] - val_f[:, 1:],
        "persistence": -val_f.diff(dim=1),
    }


def baselines(data: Data) -> tuple[Baseline, ...]:
    """Return the naive predictors of the next temperature."""
    says = {
        "mean": "the mean temperature of the training half, always",
        "mean_curve": "the mean training curve at that second, whatever the bean",
        "persistence": "the temperature of the step before",
    }
    rmses_f = baseline_rmses_f(data)
    return tuple(
        Baseline(
            name=name,
            says=says[name],
            metrics={"rmse_f": rmse_f}
            | {f"skill_vs_{other}": skill(rmse_f, value) for other, value in rmses_f.items()},
        )
        for name, rmse_f in rmses_f.items()
    )


def examine(fresh: nn.Module, trained: nn.Module, data: Data) -> tuple[Finding, ...]:
    """Look for raw targets before training, and afterwards for collapse and for no skill over the mean."""
    fresh_predictions, targets = valid_next_steps(fresh, data, "train")
    predictions, val_targets = valid_next_steps(trained, data, "val")
    errors_f = fahrenheit(predictions, data) - fahrenheit(val_targets, data)
    return (
        check_target_scale(fresh_predictions, targets),
        check_collapsed_output(predictions, val_targets),
        check_no_skill(float(errors_f.double().square().mean().sqrt()), baseline_rmses_f(data)["mean"]),
    )


def loss_reduction(history: Sequence[Mapping[str, float]]) -> float:
    """Return by which share the validation loss falls from the first epoch to the last one.

    Both losses are validation losses of evaluated epochs. The record's "76.9 %" divides the validation loss of one
    epoch by the training loss of another: from validation to validation it is 56.7 %.
    """
    return 1 - history[-1]["val_loss"] / history[0]["val_loss"]


def travel_unit_f(settings: RoastSettings, data: Data, rate_factors: Iterable[float]) -> float:
    """Return learning rate * width, summed over steps with these rate factors, in degrees Fahrenheit.

    It is the unit in which Adam moves an output while all gradients keep their signs, whatever the loss: a weight
    moves by the learning rate a step (Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015,
    section 2.1), and the output layer adds up `width` entries that its LayerNorm keeps at a mean square of 1.
    """
    return settings.lr * settings.width * sum(rate_factors) * float(data["target_unit"])
