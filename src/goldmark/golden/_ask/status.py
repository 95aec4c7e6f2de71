"""What the goldens of a folder hold, what they can see, how often they alarm without cause, and which are in doubt."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from goldmark.golden._files.entries import BadGolden, Golden
from goldmark.golden._files.folder import find_golden, golden_names
from goldmark.golden._record.selftest import self_test


@dataclass(frozen=True, kw_only=True)
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
            golden=golden.name,
            metric=metric,
            n_seeds=len(entry.values),
            test=entry.test,
            scale=entry.scale,
            margin=entry.margin,
            detectable=entry.detectable,
            guard=entry.guard,
            effect=math.nan if entry.effect is None else entry.effect,
            alpha=entry.alpha,
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


def doubts(folder: Path) -> list[str]:
    """Return why goldens of a folder cannot be trusted: an empty list where all can.

    Files that are damaged, goldens that would let a wrong value pass or that state what their values do not give, and
    goldens without an origin.
    """
    return [f"{name}: {doubt}" for name in golden_names(folder) for doubt in _doubts(folder, name)]


def _doubts(folder: Path, name: str) -> Iterator[str]:
    try:
        golden = find_golden(folder, name)
    except BadGolden as error:
        yield str(error)
        return
    if golden is None:
        return
    yield from self_test(golden)
    if not golden.provenance:
        yield "it does not say when and why it was written"
