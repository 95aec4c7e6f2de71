"""What margin, seeds and power go together, from values at hand: those of a golden, or of any seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from goldmark.case import LOOKS, Scale
from goldmark.golden._compare.shift import in_pairs, rule_of
from goldmark.golden._files.entries import Statistical
from goldmark.statistics import (
    detectable_effect,
    power_at,
    seeds_needed,
    seeds_that_detect,
    sequential_effect,
    sequential_power,
)

SEEDS = (5, 8, 12, 16, 24, 32)


@dataclass(frozen=True, kw_only=True)
class PlannedCheck:
    """One metric with so many seeds, in golden and check alike, and one margin: what it would detect."""

    metric: str
    scale: Scale
    test: str
    alpha: float
    seeds: int
    margin: float
    detectable: float  # NaN where so few seeds admit no test
    effect: float | None  # a shift of interest, by default that of the guard
    power: float | None  # against it, by t
    enough: int | None  # the fewest seeds that detect it with power .9; None: no number, or no effect
    sequential: bool = False  # looks after 5, 10 and 20 seeds, and may end at any


def planned(
    entries: Mapping[str, Statistical],
    *,
    seeds: Sequence[int] = SEEDS,
    margins: Sequence[float] | None = None,
    effect: float | None = None,
) -> list[PlannedCheck]:
    """Return what each metric would detect with each number of seeds and each margin, on its scale.

    By default the margins are half of its own, its own and twice that, and the effect is its guard's. Of a metric that
    is checked sequentially, each margin ends with what that detects.
    """
    checks = []
    for metric, entry in sorted(entries.items()):
        for margin in margins or [factor * (entry.margin or 0.0) for factor in (0.5, 1.0, 2.0)]:
            of_interest = entry.effect if effect is None else effect
            checks += [_planned(metric, entry, n, margin, of_interest) for n in seeds]
            if entry.sequential:
                checks.append(_planned_looks(entry, _planned(metric, entry, LOOKS[-1], margin, of_interest)))
    return checks


def _planned_looks(entry: Statistical, fixed: PlannedCheck) -> PlannedCheck:
    """Return the sequential check beside one of as many seeds as its last look asks for."""
    rule = replace(rule_of(entry), margin=fixed.margin)
    paired, n_golden = in_pairs(entry), len(entry.values)
    power = None
    if fixed.effect is not None:
        power = sequential_power(fixed.effect, entry.sd, rule, paired=paired, n_golden=n_golden)
    return replace(
        fixed,
        detectable=sequential_effect(entry.sd, rule, paired=paired, n_golden=n_golden),
        power=power,
        sequential=True,
    )


def _planned(metric: str, entry: Statistical, n: int, margin: float, effect: float | None) -> PlannedCheck:
    rule = replace(rule_of(entry), margin=margin)
    paired = in_pairs(entry)
    testable = n >= seeds_needed(rule, paired=paired)
    return PlannedCheck(
        metric=metric,
        scale=entry.scale,
        test=entry.test,
        alpha=entry.alpha,
        seeds=n,
        margin=margin,
        detectable=detectable_effect(entry.sd, n, rule, paired=paired, guard_effect=effect) if testable else math.nan,
        effect=effect,
        power=None if effect is None or not testable else power_at(effect, entry.sd, n, rule, paired=paired),
        enough=None if effect is None else seeds_that_detect(effect, entry.sd, rule, paired=paired),
    )
