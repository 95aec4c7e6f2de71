"""What the goldens of a folder hold, what they can see, how often they alarm without cause, and which are in doubt."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from goldmark.fingerprint import fingerprint, installed_version
from goldmark.golden._compare.messages import changed_parts
from goldmark.golden._files.devices import device_of
from goldmark.golden._files.entries import BadGolden, Golden, Result
from goldmark.golden._files.folder import find_golden, golden_names
from goldmark.golden._record.selftest import self_test

_ROUNDING = 1e-9  # of a sum of alphas: ten of 0.004 fit a budget of 4 %


@dataclass(frozen=True, kw_only=True)
class GatingMetric:
    """A metric with a margin, and how many detectable effects away the bug is that it is shown to see, if any."""

    golden: str
    metric: str
    n_seeds: int
    test: str
    scale: str
    margin: float
    detectable: float
    guard: str | None  # None: shown to see nothing
    effect: float | None
    alpha: float
    sequential: bool  # a check may end after 5 or 10 seeds

    @property
    def effects_away(self) -> float | None:
        """The guard's effect over the detectable one, at 1 the bug is seen nine times in ten; None without a guard.

        Infinite for a guard that diverges.
        """
        if self.guard is None:
            return None
        return math.inf if self.effect is None or not self.detectable else self.effect / self.detectable


@dataclass(frozen=True, kw_only=True)
class HeldHere:
    """What of a golden's metrics is held on this machine; exact and close entries are, on any."""

    golden: str
    n_metrics: int
    gating: int  # held by their margin
    repeating: int  # of those: held to every seed as well, for as long as no code changes
    changed: tuple[str, ...]  # parts of the environment that are not those of the recording: nothing can repeat


def held_here(golden: Golden) -> HeldHere:
    """Return what of a golden is held on this machine.

    Its metrics repeat only where it was recorded in an environment like this one. What only torch could tell (threads,
    vector capability, GPU) is left out: it is not loaded for this.
    """
    gating = golden.gating.values()
    changed = _changed_here(golden)
    return HeldHere(
        golden=golden.name,
        n_metrics=len(golden.statistical),
        gating=len(gating),
        repeating=0 if changed else sum(bool(entry.repeats) for entry in gating),
        changed=changed,
    )


def _changed_here(golden: Golden) -> tuple[str, ...]:
    last = golden.origin
    if last is None:
        return ("origin not recorded",)
    device = device_of(golden) or "cpu"
    if device != "cpu":
        return (f"recorded on {device}",)
    here = {**fingerprint(device), "torch": installed_version("torch")}
    versions = {name: installed_version(name) for name in last.versions} if golden.recorded_by else {}
    parts = changed_parts(last, Result(name=golden.name, fingerprint=here, versions=versions))
    return tuple(f"{part} {before} -> {now}" for part, (before, now) in parts.items())


def held_in_words(all_held: Sequence[HeldHere]) -> str:
    """Return in a sentence on how many goldens a repetition is asked here, and what holds the others."""
    with_metrics = [held for held in all_held if held.n_metrics]
    elsewhere = [held for held in with_metrics if held.changed]
    shown = sum(held.n_metrics - held.gating for held in with_metrics)
    causes = Counter(change.partition(" ")[0] for held in elsewhere for change in held.changed)
    why = f" ({', '.join(f'{part}: {count}' for part, count in causes.most_common())})" if causes else ""
    return (
        f"Held on this machine: of {len(with_metrics)} goldens with metrics {len(elsewhere)} were recorded in another "
        f"environment{why} and cannot repeat here: their {sum(held.gating for held in elsewhere)} gating metrics are "
        f"held by their margins alone. {sum(held.repeating for held in with_metrics)} metrics must repeat in every "
        f"seed until code changes; {shown} are only shown, and held by nothing."
    )


def gating_metrics(golden: Golden) -> list[GatingMetric]:
    """Return the metrics of a golden that gate: those with a margin."""
    return [
        GatingMetric(
            golden=golden.name,
            metric=metric,
            n_seeds=len(entry.values),
            test=entry.test,
            scale=entry.scale,
            margin=entry.margin or 0.0,
            detectable=entry.detectable,
            guard=entry.guard,
            effect=entry.effect,
            alpha=entry.alpha,
            sequential=entry.sequential,
        )
        for metric, entry in golden.gating.items()
    ]


def over_budget(metrics: Sequence[GatingMetric], budget: float | None) -> str | None:
    """Return what is wrong where the alphas of metrics add up to more than a budget, with the alpha that would fit.

    Each golden keeps its own alpha: nothing is redistributed.
    """
    spent = math.fsum(metric.alpha for metric in metrics)
    if budget is None or spent <= budget * (1 + _ROUNDING):
        return None
    fits = budget / len(metrics)
    digits = 1 - math.floor(math.log10(fits))  # the second that counts
    return (
        f"the alphas of {len(metrics)} gating metrics add up to {spent:.3g}, more than golden_budget = {budget:g}; "
        f"an alpha of {math.floor(fits * 10**digits) / 10**digits:.2g} for each would fit, or gate fewer metrics"
    )


def false_alarm_rate(metrics: Iterable[GatingMetric]) -> float:
    """Return how often at least one of several metrics alarms after a change that moves none by more than its margin.

    Each alarms with probability alpha or less; metrics are taken as independent, which overstates the rate where they
    are not. A change of no code and no environment cannot alarm: then every seed repeats.
    """
    return 1 - math.prod(1 - metric.alpha for metric in metrics)


def age_days(golden: Golden, now: datetime | None = None) -> float:
    """Return the days since a golden was last written, NaN where it does not say."""
    if golden.origin is None:
        return math.nan
    written = datetime.fromisoformat(golden.origin.date)
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
    if golden.origin is None:
        yield "it does not say when and why it was written"
