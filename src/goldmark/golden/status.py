"""What the goldens of a folder hold, what they can see, how often they alarm without cause, and which are in doubt."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from goldmark.golden.folder import find_golden, golden_names
from goldmark.golden.review import heading
from goldmark.golden.seals import SEALS, listed_seals
from goldmark.golden.selftest import self_test
from goldmark.golden.store import BadGolden, Golden
from goldmark.golden.update import LOG


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


def doubts(folder: Path) -> list[str]:
    """Return why goldens of a folder cannot be trusted: an empty list where all can.

    Files that are damaged or that no update wrote, goldens that would let a wrong value pass, updates that `UPDATES.md`
    does not tell of, and goldens that were deleted by hand.
    """
    names = golden_names(folder)
    try:
        listed = listed_seals(folder)
    except BadGolden as error:
        return [str(error)]
    if listed is None:
        unlisted = [f"{folder / SEALS} is missing: an edit by hand would not be seen; the next update writes it"]
    else:
        gone = sorted(set(listed) - set(names))
        unlisted = [f"{name} is in {folder / SEALS}, and its file is gone" for name in gone]
    log = folder / LOG
    sections = log.read_text(encoding="utf-8").split("\n## ")[1:] if log.exists() else []
    return [*unlisted, *(f"{name}: {doubt}" for name in names for doubt in _doubts(folder, name, sections))]


def _doubts(folder: Path, name: str, sections: Sequence[str]) -> Iterator[str]:
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
    for said in golden.provenance:
        told = (section for section in sections if f"## {section}".startswith(f"{heading(said)}\n"))
        if not any(f"| {name} |" in section for section in told):
            yield f"{folder / LOG} does not tell of its update of {said.date}"
