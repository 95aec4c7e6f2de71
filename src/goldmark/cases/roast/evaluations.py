"""The record's evaluations of a trained model, each beside naive predictors: tiers, generation, a decision rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from goldmark.case import Data, Score, Thresholds, UsageError
from goldmark.cases.roast.data import fahrenheit
from goldmark.cases.roast.model import RoastFormer
from goldmark.cases.roast.scores import METRICS, baseline_errors_f, baseline_rmses_f, generate_f, valid_next_steps
from goldmark.checks import check_collapsed_output, check_no_skill, skill

if TYPE_CHECKING:
    from goldmark.cases.roast import RoastSettings

Section = dict[str, float | str]
Tier = Literal["excellent", "good", "moderate", "poor"]
Spread = Literal["COLLAPSED", "LOW", "VARYING"]
RmseDecision = Literal["success", "acceptable", "fall back to micro"]

TIERS_F: dict[Tier, float] = {"excellent": 10.0, "good": 50.0, "moderate": 150.0}  # teacher-forced MAE, below
COLLAPSED_F2, LOW_F2 = 1.0, 100.0  # variances of a generated curve, below which it is called so
CLAMP_F = 250.0  # from below, as in the record: real roasts turn at 130 to 174 F
SHOWN_STEPS = 10  # after the start, of the record's diagnostic
_RMSE = next(metric for metric in METRICS if metric.name == "rmse_f")
DECISION_RULE = Thresholds(go_on=Score(metric=_RMSE, value=60.0), stop=Score(metric=_RMSE, value=100.0))


def every_evaluation(model: RoastFormer, data: Data, settings: RoastSettings) -> dict[str, Section]:
    """Return all evaluations of a model by name; it generates to the end of its curves, or as far as settings say."""
    return {
        "teacher_forced": teacher_forced(model, data),
        **generation_diagnostic(model, data, settings),
        "decision": decision(model, data),
    }


def tier(mae_f: float) -> Tier:
    """Return the record's tier of a teacher-forced mean absolute error in degrees Fahrenheit; NaN is poor."""
    return next((name for name, below_f in TIERS_F.items() if mae_f < below_f), "poor")


def spread_word(variance_f2: float) -> Spread:
    """Return the record's word for the variance of a generated curve in F^2; NaN is collapsed."""
    if variance_f2 >= LOW_F2:
        return "VARYING"
    return "LOW" if variance_f2 >= COLLAPSED_F2 else "COLLAPSED"


def decide(rmse_f: float) -> RmseDecision:
    """Return what the record's rule decides about a teacher-forced RMSE: below 60 F, to 100 F, beyond or NaN."""
    words: dict[str, RmseDecision] = {"go on": "success", "marginal": "acceptable", "stop": "fall back to micro"}
    return words[DECISION_RULE.decide(Score(metric=_RMSE, value=rmse_f))]


def teacher_forced(model: RoastFormer, data: Data) -> Section:
    """Return the teacher-forced MAE (F) on the validation half with its tier, beside what persistence scores.

    Once a second, "the next temperature is the last one" errs by less than 1 F, and is excellent.
    """
    mae_f = float(_next_step_errors_f(model, data).abs().mean())
    valid = data["val_valid"][:, 1:]
    persistence_f = float(baseline_errors_f(data)["persistence"][valid].abs().mean())
    return {
        "mae_f": mae_f,
        "tier": tier(mae_f),
        "persistence_mae_f": persistence_f,
        "persistence_tier": tier(persistence_f),
        "skill_vs_persistence": skill(mae_f, persistence_f),
    }


def decision(model: RoastFormer, data: Data) -> Section:
    """Return the teacher-forced RMSE (F) and what the record's rule decides, for the model and naive predictors."""
    rmses_f = {"model": float(_next_step_errors_f(model, data).square().mean().sqrt()), **baseline_rmses_f(data)}
    numbers: Section = {}
    for name, rmse_f in rmses_f.items():
        prefix = "" if name == "model" else f"{name}_"
        numbers |= {f"{prefix}rmse_f": rmse_f, f"{prefix}decision": decide(rmse_f)}
    return numbers


def generation_diagnostic(model: RoastFormer, data: Data, settings: RoastSettings) -> dict[str, Section]:
    """Return what free-running validation curves look like: as in the record, step by step, and corrected.

    `generation` is the record's: variance (F^2) and values of the given start and ten steps, raw and with outputs
    clamped at 250 F from below before they are fed back. `steps_raw`, `steps_clamped` and `steps_true` are these
    temperatures, the mean over curves. `generation_corrected` leaves the start out and has the errors of naive
    predictors beside the model's (`corrected`).
    """
    _need_evaluation(model)
    with torch.no_grad():
        raw_f = generate_f(model, data, settings).double()
        clamped_f = generate_f(model, data, settings, at_least_f=CLAMP_F).double()
    curves = {"raw": raw_f, "clamped": clamped_f, "true": data["val_temp_f"][:, : raw_f.shape[1]].double()}
    shown = {name: curve_f[:, : 1 + SHOWN_STEPS] for name, curve_f in curves.items()}
    valid = data["val_valid"][:, : shown["raw"].shape[1]]
    record: Section = {}
    for name, curve_f in shown.items():
        record |= {f"{name}_{key}": value for key, value in _record_numbers(curve_f, valid).items()}
    return {
        "generation": record,
        **{f"steps_{name}": _by_step(curve_f, valid) for name, curve_f in shown.items()},
        "generation_corrected": corrected(raw_f, data),
    }


def corrected(generated_f: Tensor, data: Data) -> Section:
    """Return what generated curves (N, 1 + T) in F, start first, are worth once the start is left out.

    Variance, its word and distinct values (0.1 F) are those of valid generated cells, with those of the real curves
    beside; the MAE (F) stands beside those of the training mean, of the training mean curve and of the start held. The
    word is "collapsed", "no skill" where the mean is as good, or "skill".
    """
    made_f, steps = generated_f.double()[:, 1:], generated_f.shape[1] - 1
    true_f, valid = (data[f"val_{name}"][:, 1 : 1 + steps] for name in ("temp_f", "valid"))
    made, real = made_f[valid], true_f.double()[valid]
    errors_f = baseline_errors_f(data) | {"start": data["val_temp_f"][:, :1].double() - data["val_temp_f"][:, 1:]}
    maes_f = {name: float(errors_f[name][:, :steps][valid].abs().mean()) for name in ("mean", "mean_curve", "start")}
    variance_f2, mae_f = _variance_f2(made_f, valid), float((made - real).abs().mean())
    dead = check_collapsed_output(made, real).trouble
    return {
        "variance_f2": variance_f2,
        "spread": spread_word(variance_f2),
        "true_variance_f2": _variance_f2(true_f.double(), valid),
        "distinct_values": _distinct_values(made_f, valid),
        "mae_f": mae_f,
        **{f"{name}_mae_f": value for name, value in maes_f.items()},
        **{f"skill_vs_{name}": skill(mae_f, value) for name, value in maes_f.items()},
        "judged": "collapsed" if dead else "no skill" if check_no_skill(mae_f, maes_f["mean"]).trouble else "skill",
    }


def _record_numbers(curve_f: Tensor, valid: Tensor) -> Section:
    variance_f2 = _variance_f2(curve_f, valid)
    return {
        "variance_f2": variance_f2,
        "spread": spread_word(variance_f2),
        "distinct_values": _distinct_values(curve_f, valid),
        "lowest_f": float(curve_f[valid].min()),
        "highest_f": float(curve_f[valid].max()),
    }


def _by_step(curve_f: Tensor, valid: Tensor) -> Section:
    """Return the mean over curves at the start and after each step; a step that no curve reaches is left out."""
    reached = [step for step in range(curve_f.shape[1]) if valid[:, step].any()]
    means = {step: float(curve_f[:, step][valid[:, step]].mean()) for step in reached}
    return {"start_f" if step == 0 else f"step_{step}_f": mean for step, mean in means.items()}


def _variance_f2(curve_f: Tensor, valid: Tensor) -> float:
    """Return the variance over a curve's valid cells, divided by their number as in the record, mean over curves."""
    return float(torch.stack([c[cells].var(correction=0) for c, cells in zip(curve_f, valid, strict=True)]).mean())


def _distinct_values(curve_f: Tensor, valid: Tensor) -> float:
    """Return how many valid cells of a curve differ by 0.1 F, mean over curves."""
    return sum(len((c[v] * 10).round().unique()) for c, v in zip(curve_f, valid, strict=True)) / len(curve_f)


def _next_step_errors_f(model: RoastFormer, data: Data) -> Tensor:
    _need_evaluation(model)
    with torch.no_grad():
        predictions, targets = valid_next_steps(model, data, "val")
    return fahrenheit(predictions.double(), data) - fahrenheit(targets.double(), data)


def _need_evaluation(model: RoastFormer) -> None:
    if model.training:
        raise UsageError("the model is in training; call model.eval() first")
