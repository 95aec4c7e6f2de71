"""Build a golden from new numbers, and say why some numbers must not become one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np

from goldmark.case import Better, Scale
from goldmark.golden.store import Close, Golden, Provenance, Result, Statistical, Test, plain
from goldmark.statistics import (
    allows_percent,
    compare_values,
    read_margin,
    spread,
    stated_effect,
    why_too_few,
)

MOST_GUARDED = 2  # metrics of one golden that gate: each spends its own alpha


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
    same_stream: bool = True,
) -> Statistical:
    """Return a metric's values by seed with its rule; `same_stream`: the guard trained on the same stream.

    Values are never refused here (few seeds, NaN, a percentage that means nothing), because a result is also built to
    be compared: `detectable` is then NaN, and `refusals` gives the reason. Values that are not finite become NaN.
    """
    scale, limit = read_margin(margin, scale)
    found, guarded = _scaled(values, scale), _scaled(guard_values or {}, scale)
    paired = same_stream and set(guarded) == set(found)
    sd = spread([guarded[seed] - found[seed] for seed in found]) if paired else _pooled(found, guarded)
    if isinstance(margin, str) and guard is not None and not allows_percent(list(values.values())):
        sd = math.nan  # the margin has no meaning, so nothing is known to be detectable
    bug = None if guard is None else _finite_or_nan(guard_values or {})
    effect = None if guard is None else abs(_mean(guarded) - _mean(found))
    detectable = stated_effect(
        sd, len(values), margin=limit, alpha=alpha, test=test, paired=paired, guard_effect=effect
    )
    first, rule = first_values and _finite_or_nan(first_values), (scale, limit, alpha, test, better)
    return Statistical(_finite_or_nan(values), *rule, guard, bug, first, sd, detectable, effect)


def _pooled(found: Mapping[str, float], guarded: Mapping[str, float]) -> float:
    """Return the sd over seeds, that of both groups where a guard is there: a bug is often noisier than its fix."""
    groups = [spread(list(group.values())) for group in (found, guarded) if group]
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
        result.name,
        plain(result.exact, "exact"),
        {key: Close(plain(close.value, key), close.rel) for key, close in result.close.items()},
        dict(result.statistical),
        None if result.stream is None else dict(result.stream),
        provenance,
    )


def refusals(result: Result) -> list[str]:
    """Return why a result may not be recorded: an empty list where it may.

    A golden that cannot see its bug is refused, as are too few seeds, values that are not finite in a guarded metric,
    and more than two guarded metrics.
    """
    guarded = [metric for metric, entry in result.statistical.items() if entry.guard is not None]
    reasons = [_refusal(metric, entry, result.stream) for metric, entry in result.statistical.items()]
    if len(guarded) > MOST_GUARDED:
        reasons.append(
            f"{len(guarded)} metrics have a guard ({', '.join(guarded)}); each adds false alarms: keep {MOST_GUARDED}"
        )
    return [reason for reason in reasons if reason]


def _refusal(metric: str, entry: Statistical, stream: Mapping[str, str] | None) -> str | None:
    """Return the first reason against one metric: without a guard only too few seeds are one."""
    if entry.guard is None:
        reason = why_too_few(len(entry.values), "t", entry.alpha, paired=False) or _no_logarithm(entry)
    else:
        reason = _no_comparison(entry, paired=stream is not None) or _blind(entry, paired=stream is not None)
    return reason and f"{metric}: {reason}"


def _no_comparison(entry: Statistical, *, paired: bool) -> str | None:
    """Return why the rule of a guarded metric cannot be applied at all."""
    guard_values = entry.guard_values or {}
    if not 0 < entry.alpha < 1:
        return f"alpha {entry.alpha:g} is not a false-alarm rate; take one between 0 and 1, such as 0.001"
    if set(guard_values) != set(entry.values):
        return f"guard '{entry.guard}' has {len(guard_values)} seeds, the golden {len(entry.values)}; train the same"
    odd = sorted({seed for found in (entry.values, guard_values) for seed, x in found.items() if math.isnan(x)})
    if odd:
        return f"NaN or infinity at seed {', '.join(odd)}; a guarded metric needs a number from every seed"
    few = why_too_few(len(entry.values), entry.test, entry.alpha, paired=paired)
    return few or _no_logarithm(entry)


def _no_logarithm(entry: Statistical) -> str | None:
    """Return why values have no place on the scale of their margin; NaN is not for the scale to judge."""
    if entry.scale == "log" and any(x <= 0 for x in chain(entry.values.values(), (entry.guard_values or {}).values())):
        return "a log scale or a margin in percent needs positive values; give the margin in the metric's unit"
    return None


def _blind(entry: Statistical, *, paired: bool) -> str | None:
    """Return why a golden would let its bug pass."""
    effect = entry.effect or 0.0
    cannot = f"this golden cannot see its bug '{entry.guard}', an effect of {effect:.3g}"
    if math.isnan(entry.detectable):
        return "a margin in percent needs values whose mean exceeds 3 sd; give it as a number in the metric's unit"
    if entry.margin >= effect:
        return f"{cannot}: the margin is {entry.margin:.3g}; take a smaller margin or more training budget"
    if entry.detectable > effect:
        return f"{cannot}: it detects {entry.detectable:.3g} or more; add seeds or budget"
    seen = compare_values(
        entry.guard_values or {},
        entry.values,
        scale=entry.scale,
        margin=entry.margin,
        alpha=entry.alpha,
        test=entry.test,
        same_stream=paired,
    )
    return None if seen.alarm else f"{cannot}: the guard's own values pass (p {seen.p:.2g}); add seeds or budget"


def weakenings(old: Golden, new: Result) -> list[str]:
    """Return in what a result would hold less than the golden it is to replace: an empty list where in nothing."""
    return [
        *_lost_entries(old, new),
        *_looser_tolerances(old, new),
        *(weaker for metric in old.statistical if metric in new.statistical for weaker in _weaker(metric, old, new)),
        *(["the stream is gone: seeds would no longer be paired"] if old.stream and not new.stream else []),
    ]


def _lost_entries(old: Golden, new: Result) -> list[str]:
    lost = []
    for tier in ("exact", "close", "statistical"):
        before, after = getattr(old, tier), getattr(new, tier)
        if before and not after:
            lost.append(f"the {tier} tier is gone: {len(before)} entries")
        else:
            lost += [f"{tier} {key} is gone" for key in _lost_keys(_values(before), plain(_values(after)), "")]
    return lost


def _values(tier: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a tier without their rules; of a metric the name alone, its seeds are looked at later."""
    whole = {key: entry.value if isinstance(entry, Close) else entry for key, entry in tier.items()}
    return {key: None if isinstance(entry, Statistical) else entry for key, entry in whole.items()}


def _lost_keys(before: Any, after: Any, key: str) -> list[str]:
    """Return the keys, at any depth, that are no longer there, and the lists that became shorter."""
    if isinstance(before, dict) and isinstance(after, dict):
        lost = [f"{key}{name}" for name in before if name not in after]
        kept = (name for name in before if name in after)
        return [*lost, *(found for name in kept for found in _lost_keys(before[name], after[name], f"{key}{name}."))]
    if isinstance(before, list) and (not isinstance(after, list) or len(after) < len(before)):
        return [f"{key.rstrip('.')}[{len(after) if isinstance(after, list) else 0}:]"]
    return []


def _looser_tolerances(old: Golden, new: Result) -> list[str]:
    return [
        f"close {key}: the tolerance grows from {close.rel:g} to {new.close[key].rel:g}"
        for key, close in old.close.items()
        if key in new.close and new.close[key].rel > close.rel
    ]


def _weaker(metric: str, old: Golden, new: Result) -> list[str]:
    """Return in what the rule or the values of one metric would hold less; a metric without a guard has no rule."""
    before, after = old.statistical[metric], new.statistical[metric]
    found = []
    if set(before.values) - set(after.values):
        found.append(f"seeds {', '.join(sorted(set(before.values) - set(after.values)))} are gone")
    nan = [seed for seed, x in after.values.items() if math.isnan(x) and not math.isnan(before.values.get(seed, 0.0))]
    if nan:
        found.append(f"NaN at seed {', '.join(nan)}")
    if before.guard is not None:
        found += _weaker_rule(before, after)
    return [f"{metric}: {weaker}" for weaker in found]


def _weaker_rule(before: Statistical, after: Statistical) -> list[str]:
    found = []
    if after.guard is None:
        return [f"the guard '{before.guard}' is dropped"]
    if before.guard != after.guard:
        found.append(f"the guard changes from '{before.guard}' to '{after.guard}'")
    if before.first_values and not after.first_values:
        found.append("a frozen model is no longer tried: the values after the first epoch are gone")
    if before.test != after.test:
        found.append(f"the test changes from {before.test} to {after.test}")
    if before.scale != after.scale:
        found.append(f"the scale changes from {before.scale} to {after.scale}, so margins cannot be compared")
    elif after.margin > before.margin:
        found.append(f"the margin grows from {before.margin:.3g} to {after.margin:.3g}")
    if after.alpha != before.alpha:
        price = "alarms need more evidence" if after.alpha < before.alpha else "false alarms become more frequent"
        found.append(f"alpha changes from {before.alpha:g} to {after.alpha:g}: {price}")
    effects = [math.nan if after.effect is None else after.effect]
    if before.scale == after.scale and before.effect is not None:
        effects.append(before.effect)  # a bug that has grown does not excuse a golden that sees less
    if not all(after.detectable <= effect for effect in effects):
        found.append(f"it detects {after.detectable:.3g} or more, past the guard's effect of {min(effects):.3g}")
    return found
