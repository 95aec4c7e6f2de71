"""Build goldens from new numbers: metrics with what they can detect, and the other tiers as plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from goldmark.case import Better, MeanTest, Scale
from goldmark.golden._files.arrays import KEPT_WHOLE
from goldmark.golden._files.entries import Golden, Provenance, Result, Statistical
from goldmark.golden._files.settle import settled
from goldmark.statistics import MetricRule, detectable_effect, read_margin, sequential_effect, spread


def statistical_entry(
    values: Mapping[str, float],
    *,
    scale: Scale,
    margin: float | str | None,
    alpha: float = 1e-3,
    test: MeanTest = "t",
    dead_below: float | None = None,
    better: Better = "neither",
    guard: str | None = None,
    guard_values: Mapping[str, float] | None = None,
    first_values: Mapping[str, float] | None = None,
    null_values: Mapping[str, Mapping[str, float]] | None = None,
    check_seeds: int | None = None,
    sequential: bool = False,
    repeats: bool | None = True,
    paired: bool = True,
) -> Statistical:
    """Return a metric's values by seed with its rule; `paired`: the guard was trained on the same stream.

    A metric with a margin gates, with a guard or without; one without a margin is only shown. Values are never refused
    here (few seeds, NaN, no logarithm), because a result is also built to be compared: `detectable` is then NaN, and
    `refusals` gives the reason. Values that are not finite become NaN.
    """
    scale, limit = (scale, None) if margin is None else read_margin(margin, scale)
    rule = MetricRule(margin=limit or 0.0, alpha=alpha, scale=scale, test=test, dead_below=dead_below)
    own, guarded = _scaled(values, scale), _scaled({} if guard is None else guard_values or {}, scale)
    n = None if sequential else check_seeds or len(values)
    sd, detectable, effect = _power(own, guarded, rule, n, paired=paired)
    return Statistical(
        values=_finite_or_nan(values),
        scale=scale,
        margin=limit,
        alpha=alpha,
        test=test,
        better=better,
        guard=guard,
        guard_values=None if guard is None else _finite_or_nan(guard_values or {}),
        first_values=first_values and _finite_or_nan(first_values),
        sd=sd,
        detectable=math.nan if limit is None else detectable,
        effect=effect,
        check_seeds=check_seeds,
        repeats=repeats,
        dead_below=dead_below,
        null_values=null_values and {change: _finite_or_nan(moved) for change, moved in null_values.items()},
        sequential=sequential,
    )


def _power(
    own: Mapping[str, float], guarded: Mapping[str, float], rule: MetricRule, n: int | None, *, paired: bool
) -> tuple[float, float, float | None]:
    """Return the spread, the effect that n seeds detect, and the guard's effect, of values on their scale.

    Without n it is the effect that a sequential check detects.
    A guard that diverges has no distance and no spread: the golden's own spread decides, as without a guard.
    """
    known = guarded if all(map(math.isfinite, guarded.values())) else {}
    in_pairs = paired and set(known) == set(own)
    sd = spread([known[seed] - own[seed] for seed in own]) if in_pairs else _pooled(own, known)
    effect = abs(_mean(known) - _mean(own)) if known else None
    if n is None:
        return sd, sequential_effect(sd, rule, paired=in_pairs, n_golden=len(own)), effect
    detectable = detectable_effect(sd, n, rule, paired=in_pairs, n_golden=max(n, len(own)), guard_effect=effect)
    return sd, detectable, effect


def bug_distance(entry: Statistical) -> float:
    """Return how far a guard lies from the golden on its scale: infinitely where it diverges, NaN without a guard."""
    if entry.guard_values and not all(map(math.isfinite, entry.guard_values.values())):
        return math.inf
    return math.nan if entry.effect is None else entry.effect


def _pooled(own: Mapping[str, float], guarded: Mapping[str, float]) -> float:
    """Return the sd over seeds, that of both groups where a guard is there: a bug is often noisier than its fix."""
    groups = [spread(list(group.values())) for group in (own, guarded) if group]
    return math.sqrt(sum(sd**2 for sd in groups) / len(groups))


def _scaled(values: Mapping[str, float], scale: Scale) -> dict[str, float]:
    """Return values on the scale; NaN where there is no logarithm or the value is not finite."""
    numbers = _finite_or_nan(values)
    if scale == "identity":
        return numbers
    return {seed: math.log(number) if number > 0 else math.nan for seed, number in numbers.items()}


def _finite_or_nan(values: Mapping[str, float]) -> dict[str, float]:
    return {str(seed): float(value) if math.isfinite(value) else math.nan for seed, value in values.items()}


def _mean(values: Mapping[str, float]) -> float:
    return float(np.mean(list(values.values()))) if values else math.nan


def golden_from(result: Result, provenance: tuple[Provenance, ...], *, whole: int = KEPT_WHOLE) -> Golden:
    """Return a result as a golden: plain values, its rules, its origin; raise `UsageError` for odd types.

    An array of more entries than `whole` becomes its summary.
    """
    stored = settled(result, whole)
    return Golden(
        name=stored.name,
        exact=stored.exact,
        close=stored.close,
        statistical=dict(stored.statistical),
        stream=None if stored.stream is None else dict(stored.stream),
        arrays=stored.arrays,
        recorded_by=stored.recorded_by,
        provenance=provenance,
    )
