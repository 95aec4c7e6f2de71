"""Try an alarm again on fresh seeds: whether the shift is real, and whether it is the guarded bug."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from goldmark.case import ModelCase, Run, Scale, UsageError
from goldmark.golden._compare.shift import rule_of
from goldmark.golden._files.entries import Golden, Statistical
from goldmark.runs import by_variant
from goldmark.statistics import Shift, compare_values
from goldmark.training import train

FRESH_FROM = 1000  # first of the fresh seeds: no golden is made with so many


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """One gating metric on fresh seeds: against the golden's values, and against its guard on the same seeds."""

    metric: str
    scale: Scale
    guard: str | None
    from_golden: Shift  # the variant on fresh seeds against the golden, unpaired
    from_guard: Shift | None  # the variant against its guard, both on the fresh seeds and paired

    @property
    def real(self) -> bool:
        """Whether the shift is there on seeds that the golden has never seen."""
        return self.from_golden.alarm

    @property
    def bug(self) -> bool:
        """Whether the variant cannot be told from the variant whose bug the golden guards against."""
        return self.from_guard is not None and not self.from_guard.alarm


def confirm(
    case: ModelCase[Any],
    golden: Golden,
    *,
    processes: int = 1,
    device: str = "cpu",
    on_run: Callable[[Run], None] = lambda run: None,
) -> list[Confirmation]:
    """Train a golden's variant and its guards on as many fresh seeds as it has, and compare each gating metric.

    The golden's own code is not needed: its values stand for it. Raise `UsageError` for a golden without such metrics.
    """
    variant = case.variant(golden.name.partition("/")[2]).name
    entries = {metric: entry for metric, entry in golden.statistical.items() if entry.margin is not None}
    if not entries:
        raise UsageError(
            f"golden '{golden.name}' has no metric with a margin, so it raises no alarm that could be confirmed"
        )
    guards = sorted({entry.guard for entry in entries.values() if entry.guard is not None})
    n_seeds = max(len(entry.values) for entry in entries.values())
    fresh = range(FRESH_FROM, FRESH_FROM + n_seeds)
    runs = by_variant(train(case, [variant, *guards], fresh, device=device, jobs=processes, on_run=on_run))
    return [
        _confirmation(metric, entry, runs[variant], runs[entry.guard] if entry.guard else None)
        for metric, entry in sorted(entries.items())
    ]


def _confirmation(metric: str, entry: Statistical, runs: Sequence[Run], guards: Sequence[Run] | None) -> Confirmation:
    new = [run.metrics[metric] for run in runs]
    return Confirmation(
        metric=metric,
        scale=entry.scale,
        guard=entry.guard,
        from_golden=_shift(new, list(entry.values.values()), entry, paired=False),
        from_guard=_shift(new, [run.metrics[metric] for run in guards], entry, paired=True) if guards else None,
    )


def _shift(new: Sequence[float], old: Sequence[float], entry: Statistical, *, paired: bool) -> Shift:
    """Compare by place: the seeds of the two sides need not be the same."""
    return compare_values(
        dict(zip(map(str, range(len(new))), new, strict=True)),
        dict(zip(map(str, range(len(old))), old, strict=True)),
        rule_of(entry),
        paired=paired,
    )
