"""What the goldens of a folder hold, what they can see, and how often they alarm without cause."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from goldmark.golden.store import Golden


@dataclass(frozen=True)
class GuardedMetric:
    """A metric that gates, and how many detectable effects away the bug is that it is there to see."""

    golden: str
    metric: str
    n_seeds: int
    test: str
    scale: str
    margin: float
    detectable: float
    guard: str
    effect: float
    alpha: float

    @property
    def effects_away(self) -> float:
        """The guard's effect over the detectable one: at 1 the bug is seen nine times in ten."""
        return self.effect / self.detectable if self.detectable else math.inf


def guarded_metrics(golden: Golden) -> list[GuardedMetric]:
    """Return the metrics of a golden that gate."""
    return [
        GuardedMetric(
            golden.name,
            metric,
            len(entry.values),
            entry.test,
            entry.scale,
            entry.margin,
            entry.detectable,
            entry.guard,
            math.nan if entry.effect is None else entry.effect,
            entry.alpha,
        )
        for metric, entry in sorted(golden.statistical.items())
        if entry.guard is not None
    ]


def false_alarm_rate(metrics: Iterable[GuardedMetric]) -> float:
    """Return how often at least one of several metrics alarms after a change that moves none by more than its margin.

    Each alarms with probability alpha or less; metrics are taken as independent, which overstates the rate where they
    are not. A change of no code and no environment cannot alarm: then every seed repeats.
    """
    return 1 - math.prod(1 - metric.alpha for metric in metrics)


def age_days(golden: Golden, now: datetime | None = None) -> float:
    """Return the days since a golden was last written, NaN where it does not say."""
    if not golden.provenance:
        return math.nan
    written = datetime.fromisoformat(golden.provenance[-1].date)
    return ((now or datetime.now(UTC)) - written).total_seconds() / 86400
