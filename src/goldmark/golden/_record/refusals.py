"""Reasons against recording: results that break a rule, and results that weaken the golden they would replace."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import chain
from typing import Any

from goldmark.golden._files.entries import Close, Golden, Result, Statistical
from goldmark.golden._files.plain import plain
from goldmark.statistics import compare_values, why_too_few

MOST_GUARDED = 2  # metrics of one golden that gate: each spends its own alpha


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
    odd = sorted({seed for group in (entry.values, guard_values) for seed, x in group.items() if math.isnan(x)})
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
    shift = compare_values(
        entry.guard_values or {},
        entry.values,
        scale=entry.scale,
        margin=entry.margin,
        alpha=entry.alpha,
        test=entry.test,
        paired=paired,
    )
    return None if shift.alarm else f"{cannot}: the guard's own values pass (p {shift.p:.2g}); add seeds or budget"


def weakenings(old: Golden, new: Result) -> list[str]:
    """Return what a result would check less strictly than the golden it replaces: an empty list where nothing."""
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
        return [*lost, *(gone for name in kept for gone in _lost_keys(before[name], after[name], f"{key}{name}."))]
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
    """Return what the rule or the values of one metric would check less strictly; only a guarded metric has a rule."""
    before, after = old.statistical[metric], new.statistical[metric]
    weaker = []
    if set(before.values) - set(after.values):
        weaker.append(f"seeds {', '.join(sorted(set(before.values) - set(after.values)))} are gone")
    nan = [seed for seed, x in after.values.items() if math.isnan(x) and not math.isnan(before.values.get(seed, 0.0))]
    if nan:
        weaker.append(f"NaN at seed {', '.join(nan)}")
    if before.guard is not None:
        weaker += _weaker_rule(before, after)
    return [f"{metric}: {what}" for what in weaker]


def _weaker_rule(before: Statistical, after: Statistical) -> list[str]:
    weaker = []
    if after.guard is None:
        return [f"the guard '{before.guard}' is dropped"]
    if before.guard != after.guard:
        weaker.append(f"the guard changes from '{before.guard}' to '{after.guard}'")
    if before.first_values and not after.first_values:
        weaker.append("a frozen model is no longer tried: the values after the first epoch are gone")
    if before.test != after.test:
        weaker.append(f"the test changes from {before.test} to {after.test}")
    if before.scale != after.scale:
        weaker.append(f"the scale changes from {before.scale} to {after.scale}, so margins cannot be compared")
    elif after.margin > before.margin:
        weaker.append(f"the margin grows from {before.margin:.3g} to {after.margin:.3g}")
    if after.alpha != before.alpha:
        price = "alarms need more evidence" if after.alpha < before.alpha else "false alarms become more frequent"
        weaker.append(f"alpha changes from {before.alpha:g} to {after.alpha:g}: {price}")
    effects = [math.nan if after.effect is None else after.effect]
    if before.scale == after.scale and before.effect is not None:
        effects.append(before.effect)  # a bug that has grown does not excuse a golden that sees less
    if not all(after.detectable <= effect for effect in effects):
        weaker.append(f"it detects {after.detectable:.3g} or more, past the guard's effect of {min(effects):.3g}")
    return weaker
