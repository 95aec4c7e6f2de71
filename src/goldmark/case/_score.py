"""Scores: values that carry the definition of their metric, and rules of what to do about one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from goldmark.case._case import Metric
from goldmark.case._run import UsageError

Decision = Literal["go on", "marginal", "stop"]


@dataclass(frozen=True, kw_only=True)
class Score:
    """A value and the metric that it is of; it compares with scores of that metric alone.

    Neither a name nor a unit tells metrics apart: a "validation loss" in s^2 is a SmoothL1 loss here and a mean square
    there, and an NRMSE is over the range or over the sd. Their definitions do (`Metric.says`).
    """

    metric: Metric
    value: float

    def over(self, other: Score) -> float:
        """Return this value over that of another score; raise `UsageError` where the metrics differ."""
        self._same_metric(other)
        return self.value / other.value

    def minus(self, other: Score) -> float:
        """Return this value less that of another score; raise `UsageError` where the metrics differ."""
        self._same_metric(other)
        return self.value - other.value

    def _same_metric(self, other: Score) -> None:
        mine, theirs = ((score.metric.name, score.metric.says, score.metric.unit) for score in (self, other))
        if mine != theirs:
            raise UsageError(
                f"{self} and {other} are of two metrics and do not compare; measure both by one function,"
                " on the predictions of both models"
            )

    def __str__(self) -> str:
        return f"{self.metric.name} {self.value:g} ({self.metric.says})"


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """A decision rule that knows the metric of its thresholds: better than `go_on`, worse than `stop`, or marginal."""

    go_on: Score
    stop: Score

    def __post_init__(self) -> None:
        """Raise `UsageError` where it is not said which way is better, or the thresholds are the wrong way round."""
        if self.go_on.metric.better == "neither":
            raise UsageError(f"{self.go_on}: a decision needs a metric of which it is said what is better")
        if self._worse(self.stop, self.go_on) < 0:
            raise UsageError(f"to stop at {self.stop} and go on at {self.go_on} is one rule the wrong way round")

    def decide(self, score: Score) -> Decision:
        """Return what to do about a score; raise `UsageError` where its metric is not that of the thresholds."""
        if self._worse(score, self.go_on) < 0:
            return "go on"
        # a NaN is no better than the worst
        return "marginal" if self._worse(score, self.stop) <= 0 else "stop"

    def _worse(self, score: Score, bar: Score) -> float:
        return score.minus(bar) * (-1 if bar.metric.better == "higher" else 1)
