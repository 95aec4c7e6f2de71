"""RoastFormer: a transformer for coffee-roast temperature curves that predicted a constant.

What happened. Ten models were trained on bean temperatures in degrees Fahrenheit; all of them answered every curve with
one number between 3.8 and 16.2 F, at a teacher-forced error of 291-297 F.

The documented cause. Temperatures were not normalized; mapping [100, 500] F to [0, 1] on inputs and targets fixed it.

What the evidence says. Confirmed, for the targets: raw inputs do no harm by themselves, raw targets do. The last
LayerNorm bounds the output, and Adam moves it by about 0.8 * lr * width a step, so that 300 F lie out of reach of the
budget. The reported fixed score, 79 F, is worse than predicting the global mean (71 F), and no documented model beats
"the next temperature is the last one". Variance and distinct values of a generated curve are no signs of health where
the start value is counted: a collapsed model that starts at 420 F and answers 100 varies.

Two tempting fixes are controls here: starting the output bias at the mean of the targets removes the error of the mean
and learns nothing; predicting the change on raw temperatures scores well teacher-forced, because it copies the input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor, nn

from goldmark.case import Case, Data, Finding, Metric
from goldmark.cases.roast.curves import generate
from goldmark.cases.roast.fast import CLAIMS, VARIANTS
from goldmark.cases.roast.profiles import on_measured
from goldmark.cases.roast.scores import (
    baselines,
    fahrenheit,
    next_steps,
    scaled,
    score,
    score_generation,
    valid_next_steps,
)
from goldmark.cases.roast.transformer import Positions, RoastFormer
from goldmark.checks import collapsed_output, no_skill, target_scale
from goldmark.training.draws import Draws
from goldmark.training.schedule import cosine_factor

TemperatureScale = Literal["raw", "range", "zscore"]


@dataclass(frozen=True)
class RoastSettings:
    """A run of the case; the defaults are the fixed recipe at fast scale."""

    n_train: int = 24  # profiles
    n_val: int = 12
    length: int = 48  # steps
    shortest: int = 36  # the fewest valid steps of a profile
    grid_s: int = 15  # seconds between two steps
    vocabulary: tuple[int, int, int, int] = (4, 3, 3, 4)  # origins, processes, roast levels, varieties
    n_flavors: int = 8
    use_flavors: bool = True  # False leaves them out; in the record nothing read this setting
    generated_steps: int = 0  # of a free-running curve; 0: to the end
    input_scale: TemperatureScale = "range"
    target_scale: TemperatureScale = "range"
    width: int = 16
    heads: int = 2
    layers: int = 2
    feedforward: int = 32
    embedding: int = 8  # of each condition
    dropout: float = 0.0
    positions: Positions = "sinusoidal"
    residual: bool = False  # predict the change to the input
    mean_bias: bool = False  # start the output bias at the mean of the training targets
    lr: float = 3e-3
    lr_min: float | None = 1e-6
    weight_decay: float = 0.01
    clip: float | None = 1.0
    steps: int = 81
    cosine_steps: int = 0  # in which the learning rate would fall to its end; 0: in all steps
    batch: int = 8


def make_model(settings: RoastSettings, data: Data) -> RoastFormer:
    """Build the model for the conditions that the data have."""
    model = RoastFormer(
        vocabulary=data["vocabulary"].tolist(),
        n_flavors=data["train_flavors"].shape[1] if settings.use_flavors else 0,
        n_continuous=data["train_continuous"].shape[1],
        width=settings.width,
        heads=settings.heads,
        layers=settings.layers,
        feedforward=settings.feedforward,
        embedding=settings.embedding,
        dropout=settings.dropout,
        residual=settings.residual,
        positions=settings.positions,
        length=data["train_temp_f"].shape[1],
    )
    if settings.mean_bias:
        nn.init.constant_(model.output.bias, float(scaled(data["temp_mean_f"], data, "target")))
    return model


def loss(model: nn.Module, data: Data, rows: Tensor, draws: Draws, settings: RoastSettings) -> Tensor:
    """Return the mean squared error of the next step over the valid cells of some training profiles."""
    predictions, targets = next_steps(model, data, "train", rows, draws)
    valid = data["train_valid"][rows][:, 1:]
    return ((predictions - targets).square() * valid).sum() / valid.sum()


def rate_factor(settings: RoastSettings, step: int) -> float:
    """Return the learning rate of a step over its peak: a cosine, which a run that is stopped early does not end."""
    return cosine_factor(replace(settings, steps=settings.cosine_steps or settings.steps), step)


def finish(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the loss reduction from validation to validation; the record divided validation by training."""
    return {"val_loss_reduction": 1 - history[-1]["val_loss"] / history[0]["val_loss"]}


def examine(fresh: nn.Module, trained: nn.Module, data: Data, settings: RoastSettings) -> tuple[Finding, ...]:
    """Look for raw targets before training, and afterwards for collapse and for no skill over the mean."""
    fresh_predictions, targets = valid_next_steps(fresh, data, "train")
    predictions, val_targets = valid_next_steps(trained, data, "val")
    errors_f = fahrenheit(predictions, data) - fahrenheit(val_targets, data)
    mean = next(baseline for baseline in baselines(data, settings) if baseline.name == "mean")
    return (
        target_scale(fresh_predictions, targets),
        collapsed_output(predictions, val_targets),
        no_skill(float(errors_f.double().square().mean().sqrt()), mean.metrics["rmse_f"]),
    )


METRICS = (
    Metric("val_loss_reduction", "1 - last / first epoch's validation loss", better="higher", margin=0.01),
    Metric("rmse_f", "root mean square error, teacher-forced, valid cells", "F", "lower", "log", 0.05),
    Metric("teacher_forced_mae_f", "mean absolute error, teacher-forced, valid cells", "F", "lower", "log", 0.05),
    Metric("skill_vs_mean", "1 - RMSE / RMSE of the global training mean", better="higher", margin=0.03),
    Metric("skill_vs_mean_curve", "1 - RMSE / RMSE of the mean training curve", better="higher", margin=0.1),
    Metric("skill_vs_persistence", "1 - RMSE / RMSE of 'next is as now'", better="higher", margin=0.1),
    Metric(
        "generated_variance", "variance of a free-running curve, start excluded, mean over curves", "F^2", "neither"
    ),
    Metric(
        "distinct_values", "values of a free-running curve that differ by 0.1 F, start excluded", "count", "neither"
    ),
    Metric("generation_mae_f", "mean absolute error of the free-running curves", "F", "lower", "log", 0.1),
    Metric("prediction_sd_f", "sd of the teacher-forced predictions", "F", "neither"),
)

CASE = Case(
    name="roast",
    title="RoastFormer, a transformer for coffee-roast temperature curves",
    says="trained on raw degrees Fahrenheit, it answered every roast with one constant, 300 F off",
    settings=RoastSettings(),
    seeds=5,
    variants=VARIANTS,
    metrics=METRICS,
    claims=CLAIMS,
    make_data=generate,
    make_model=make_model,
    loss=loss,
    evaluate=score,
    evaluate_trained=score_generation,
    baselines=baselines,
    examine=examine,
    finish=finish,
    rate_factor=rate_factor,
    stackable=frozenset({"input_scale", "target_scale", "dropout", "cosine_steps"}),
    fixtures={"roast": "normalized"},
    stacks_on_cpu=True,
    from_file=on_measured,
)
