"""Build goldens from new numbers: metrics with what they can detect, and the other tiers as plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from goldmark.case import Better, Scale
from goldmark.golden._files.entries import Close, Golden, Provenance, Result, Statistical, Test
from goldmark.golden._files.plain import plain
from goldmark.statistics import allows_percent, detectable_effect, read_margin, spread


def statistical_entry(
    values: Mapping[str, float],
    *,
    scale: Scale,
    margin: float | str,
    alpha: float = 1e-3,
    test: Test = "t",
    better: Better = "neither",
    guard: str | None = None,
    guard_values: Mapping[str, float] | None = None,
    first_values: Mapping[str, float] | None = None,
    paired: bool = True,
) -> Statistical:
    """Return a metric's values by seed with its rule; `paired`: the guard was trained on the same stream.

    Values are never refused here (few seeds, NaN, a percentage that means nothing), because a result is also built to
    be compared: `detectable` is then NaN, and `refusals` gives the reason. Values that are not finite become NaN.
    """
    scale, limit = read_margin(margin, scale)
    own, guarded = _scaled(values, scale), _scaled(guard_values or {}, scale)
    in_pairs = paired and set(guarded) == set(own)
    sd = spread([guarded[seed] - own[seed] for seed in own]) if in_pairs else _pooled(own, guarded)
    if isinstance(margin, str) and guard is not None and not allows_percent(list(values.values())):
        sd = math.nan  # the margin has no meaning, so nothing is known to be detectable
    effect = None if guard is None else abs(_mean(guarded) - _mean(own))
    detectable = detectable_effect(
        sd, len(values), margin=limit, alpha=alpha, test=test, paired=in_pairs, guard_effect=effect
    )
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
        detectable=detectable,
        effect=effect,
    )


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


def golden_from(result: Result, provenance: tuple[Provenance, ...]) -> Golden:
    """Return a result as a golden: plain values, its rules, its origin; raise `UsageError` for odd types."""
    return Golden(
        name=result.name,
        exact=plain(result.exact, "exact"),
        close={key: Close(plain(close.value, key), rel=close.rel) for key, close in result.close.items()},
        statistical=dict(result.statistical),
        stream=None if result.stream is None else dict(result.stream),
        recorded_by=result.recorded_by,
        provenance=provenance,
    )
