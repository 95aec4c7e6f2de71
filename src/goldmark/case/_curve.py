"""Metrics of a whole curve: how many steps it takes to a threshold, and the area under it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from goldmark.case._case import Metric
from goldmark.case._run import Run, UsageError


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A number of a metric's values over the rows of a history, a row an epoch."""

    of: str  # the metric
    below: float | None = None  # counts rows until it is there or lower
    above: float | None = None  # counts rows until it is there or higher; without either it is the area

    def value(self, history: Sequence[Mapping[str, float]]) -> float:
        """Return the number for a history: rows with no value of the metric are left out; NaN where none has one."""
        values = [row[self.of] for row in history if self.of in row]
        if not values:
            return math.nan
        if self.below is None and self.above is None:
            return _area(values)
        return float(next((n for n, value in enumerate(values, 1) if self._is_there(value)), len(values) + 1))

    def _is_there(self, value: float) -> bool:
        return value <= self.below if self.below is not None else value >= (self.above or 0.0)


def _area(values: Sequence[float]) -> float:
    """Return the area under a curve by the trapezoidal rule, an epoch wide each; a single value is its own area."""
    if len(values) == 1:
        return values[0]
    return sum((one + other) / 2 for one, other in pairwise(values))


def steps_to(metric: str, *, below: float | None = None, above: float | None = None, **rule: Any) -> Metric:
    """Return the metric that counts the epochs until another one is at a threshold, for functions that yield.

    A curve that never gets there counts one more than it has. `rule` is as of `Metric`: `steps_to("val_loss",
    below=0.3, margin=2, guard="slow")`. Raise `UsageError` unless one of `below` and `above` is given.
    """
    if (below is None) == (above is None):
        raise UsageError(f"steps_to('{metric}') takes below=... or above=..., the value that the curve must reach")
    threshold = f"<= {below:g}" if below is not None else f">= {above:g}"
    curve = Curve(of=metric, below=below, above=above)
    better = rule.pop("better", "lower")
    return Metric(f"steps to {metric} {threshold}", unit="epochs", better=better, curve=curve, **rule)


def area_under(metric: str, **rule: Any) -> Metric:
    """Return the metric that is the area under another one's curve over epochs, for functions that yield.

    It sees a training that gets to the same end more slowly. `rule` is as of `Metric`: `area_under("val_loss",
    margin="3%", better="lower")`.
    """
    return Metric(f"area under {metric}", curve=Curve(of=metric), **rule)


def with_curves(run: Run, metrics: Sequence[Metric]) -> Run:
    """Return a run with those metrics that follow from its history."""
    curves = {metric.name: metric.curve.value(run.history) for metric in metrics if metric.curve is not None}
    return replace(run, metrics={**run.metrics, **curves}) if curves and run.metrics else run


def first_values(run: Run, metrics: Sequence[Metric]) -> dict[str, float]:
    """Return what a model that learns no more after the first epoch would score, as far as the history tells."""
    if not run.history:
        return {}
    flat = [run.history[0]] * len(run.history)
    curves = {metric.name: metric.curve.value(flat) for metric in metrics if metric.curve is not None}
    return {**run.history[0], **{name: value for name, value in curves.items() if math.isfinite(value)}}
