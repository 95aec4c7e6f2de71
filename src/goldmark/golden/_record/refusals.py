"""Reasons against recording: results that break a rule, and results that weaken the golden they would replace."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from statistics import fmean
from typing import Any

from goldmark.case import LOOKS, Scale
from goldmark.golden._compare.drift import show_shift
from goldmark.golden._compare.rounding import repeats
from goldmark.golden._compare.shift import deciding_shift, in_pairs, rule_of
from goldmark.golden._files.arrays import is_summary
from goldmark.golden._files.entries import Close, Golden, Result, Statistical
from goldmark.golden._files.settle import settled
from goldmark.golden._record.entry import bug_distance
from goldmark.statistics import null_bound, on_scale, seeds_that_detect, why_too_few


def refusals(result: Result) -> list[str]:
    """Return why a result may not be recorded: an empty list where it may.

    A metric that gates needs enough seeds that reach its values, a number from each, and of a guard that it lies on the
    worse side and far enough away to be seen. A metric without a margin is only shown, and may be anything.
    """
    if result.failures:
        return [f"seed {seed} failed: {error}" for seed, error in result.failures.items()]
    reasons = [_refusal(metric, entry, result.stream) for metric, entry in result.statistical.items()]
    return [reason for reason in reasons if reason]


def _refusal(metric: str, entry: Statistical, stream: Mapping[str, str] | None) -> str | None:
    """Return the first reason against one metric."""
    if entry.margin is None:
        return None
    paired = stream is not None
    reason = _no_comparison(entry, paired=paired)
    if reason is None and entry.guard is not None:
        reason = _blind(entry, entry.margin, paired=paired)
    return reason and f"{metric}: {reason}"


def _no_comparison(entry: Statistical, *, paired: bool) -> str | None:
    """Return why the rule of a metric that gates cannot be applied at all."""
    if not 0 < entry.alpha < 1:
        return f"alpha {entry.alpha:g} is not a false-alarm rate; take one between 0 and 1, such as 0.001"
    odd = sorted(seed for seed, x in entry.values.items() if math.isnan(x))
    if odd:
        return f"NaN or infinity at seed {', '.join(odd)}; a metric with a margin needs a number from every seed"
    return (
        _no_looks(entry)
        or why_too_few(entry.required_seeds, rule_of(entry), paired=paired, n_golden=len(entry.values))
        or _no_logarithm(entry)
        or _constant(entry)
        or _within_the_null(entry)
    )


def _no_looks(entry: Statistical) -> str | None:
    """Return why a sequential check cannot look at a metric, and what to do instead."""
    if not entry.sequential:
        return None
    looks, most, way_out = ", ".join(map(str, LOOKS)), LOOKS[-1], "or leave sequential=True out"
    if entry.test != "t":
        return f"a sequential check looks at t tests only, and its test is {entry.test!r}; take test='t', {way_out}"
    if entry.dead_below is not None:
        return f"a sequential check looks at t tests only, and dead_below={entry.dead_below:g} counts seeds; {way_out}"
    if entry.check_seeds is not None:
        return (
            f"check_seeds is {entry.check_seeds}, and a sequential check looks at {looks} seeds; leave check_seeds out"
        )
    if len(entry.values) < most:
        return f"{len(entry.values)} seeds, and a sequential check looks at {looks}; record {most} or more, {way_out}"
    return None


def _no_logarithm(entry: Statistical) -> str | None:
    """Return why values have no place on the scale of their margin; NaN is not for the scale to judge."""
    if entry.scale == "log" and any(x <= 0 for x in chain(entry.values.values(), (entry.guard_values or {}).values())):
        return "a log scale or a margin in percent needs positive values; give the margin in the metric's unit"
    return None


def _constant(entry: Statistical) -> str | None:
    """Return why values without any spread are no metric of several seeds: a t test would take them for certain."""
    first, *others = entry.values.values()
    if entry.test == "permutation" or not all(repeats(first, other) for other in others):
        return None
    return (
        f"all {len(entry.values)} seeds give {first:.6g}: the seed reaches nothing; "
        "pass it on to what draws at random, and a constant belongs in `exact`"
    )


def _within_the_null(entry: Statistical) -> str | None:
    """Return which innocent change moves the metric by more than its margin, or may do so, and the margin to take."""
    odd = [seed for moved in (entry.null_values or {}).values() for seed in moved if seed not in entry.values]
    if odd:
        return f"null has a value at seed {odd[0]}, which the golden has not; train some of the golden's seeds"
    bounds = {change: _bound(entry, moved) for change, moved in (entry.null_values or {}).items()}
    change = max(bounds, key=lambda name: bounds[name], default="")
    margin = entry.margin or 0.0
    if not bounds or bounds[change] <= margin:
        return None
    if math.isinf(bounds[change]):
        return f"null '{change}' bounds nothing: give values of two seeds or more, each with a place on the scale"
    moved = f"'{change}', an innocent change, moves it by {show_shift(bounds[change], entry.scale)} (95 % bound of "
    moved += (
        f"{len((entry.null_values or {})[change])} seeds), more than the margin of {show_shift(margin, entry.scale)}"
    )
    return f"{moved}; take a margin of {_margin_for(bounds[change], entry.scale)}, or more seeds"


def _bound(entry: Statistical, moved: Mapping[str, float]) -> float:
    known = all(math.isfinite(x) and (entry.scale == "identity" or x > 0) for x in moved.values())
    return null_bound(moved, entry.values, entry.scale) if known else math.inf


def _margin_for(bound: float, scale: Scale) -> str:
    """Return a margin of two digits that takes a bound in, as a test states it."""
    return f"{_rounded_up(100 * math.expm1(bound)):g} %" if scale == "log" else f"{_rounded_up(bound):g}"


def _rounded_up(number: float) -> float:
    """Return a number at least as large, of two digits."""
    digits = 1 - math.floor(math.log10(number))
    return math.ceil(number * 10.0**digits) / 10.0**digits


def _blind(entry: Statistical, margin: float, *, paired: bool) -> str | None:
    """Return why a guard proves nothing, or why the golden would let its bug pass."""
    guard_values = entry.guard_values or {}
    if set(guard_values) != set(entry.values):
        return f"guard '{entry.guard}' has {len(guard_values)} seeds, the golden {len(entry.values)}; train the same"
    distance = bug_distance(entry)
    if math.isinf(distance):  # NaN in any seed fails
        return None
    if _is_better(entry):
        before, guarded = (fmean(values.values()) for values in (entry.values, guard_values))
        return (
            f"the guard '{entry.guard}' is better than the golden ({guarded:.4g} against {before:.4g}, better: "
            f"{entry.better}); a guard is the broken variant, so check which is which and what `better` says"
        )
    effect = show_shift(distance, entry.scale)
    cannot = f"this golden cannot see its bug '{entry.guard}', an effect of {effect} on the {entry.scale} scale"
    if margin >= distance:
        return (
            f"{cannot}: the margin is {show_shift(margin, entry.scale)}; take a smaller margin or more training budget"
        )
    if entry.detectable > distance:
        detects = show_shift(entry.detectable, entry.scale)
        return f"{cannot}: with {entry.required_seeds} seeds it detects {detects} or more; {_way_out(entry, distance)}"
    shift = deciding_shift(entry, {seed: guard_values[seed] for seed in entry.checked_seeds}, paired=paired)
    passed = shift and not shift.alarm and f"p {shift.p:.2g}, {shift.n} seeds"
    return f"{cannot}: the guard's own values pass ({passed}); add seeds or budget" if passed else None


def _way_out(entry: Statistical, effect: float) -> str:
    """Return how many seeds would see an effect, on the golden's own spread."""
    enough = seeds_that_detect(effect, entry.sd, rule_of(entry), paired=in_pairs(entry))
    if enough is None:
        return "no number of seeds would do: take a smaller margin, another scale or more training budget"
    return f"{'without sequential=True ' * entry.sequential}about {enough} seeds would do"


def _is_better(entry: Statistical) -> bool:
    """Tell whether a guard's mean lies on the better side of the golden's."""
    guard, own = (
        float(on_scale(list(values.values()), entry.scale).mean())
        for values in (entry.guard_values or {}, entry.values)
    )
    return (entry.better == "higher" and guard > own) or (entry.better == "lower" and guard < own)


def name_clashes(new: Iterable[str], stored: Iterable[str]) -> list[str]:
    """Return which new names differ from another golden's by case alone: some file systems would take them for one."""
    known = {name.casefold(): name for name in stored}
    clashes = []
    for name in sorted(new):
        other = known.setdefault(name.casefold(), name)
        if other != name:
            clashes.append(f"'{name}' and '{other}' differ by case alone; rename one of the tests, or say golden(name)")
    return clashes


def weakenings(old: Golden, new: Result) -> list[str]:
    """Return what a result would check less strictly than the golden it replaces: an empty list where nothing."""
    return [
        *_lost_entries(old, settled(new)),
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
            lost += [f"{tier} {key} is gone" for key in _lost_keys(_values(before), _values(after), "")]
    forms = (place for place in old.arrays if place not in new.arrays and not _has_lost(place, lost))
    return [*lost, *(f"{place}: the dtype and shape of {old.arrays[place]} are gone" for place in forms)]


def _has_lost(place: str, lost: Iterable[str]) -> bool:
    return any(f"{place} ".startswith(f"{gone.removesuffix('is gone')}") for gone in lost)


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
    if is_summary(after) and not is_summary(before):
        return [f"{key.rstrip('.')}: all but a summary of {after['n']} entries (golden_whole = {after['n']} keeps all)"]
    if isinstance(before, list) and (not isinstance(after, list) or len(after) < len(before)):
        return [f"{key.rstrip('.')}[{len(after) if isinstance(after, list) else 0}:]"]
    return []


def _looser_tolerances(old: Golden, new: Result) -> list[str]:
    pairs = {key: (before, new.close[key]) for key, before in old.close.items() if key in new.close}
    return [f"close {key}: {looser}" for key, (before, after) in pairs.items() for looser in _looser(before, after)]


def _looser(before: Close, after: Close) -> Iterator[str]:
    """Yield which parts of a tolerance allow more than before, or other changes."""
    for name, what in (("rel", "tolerance"), ("abs", "absolute tolerance")):
        old, new = getattr(before, name), getattr(after, name)
        if new > old:
            yield f"the {what} grows from {old:g} to {new:g}"
    if after.norm not in (None, before.norm):
        of = "every entry" if before.norm is None else f"the {before.norm} norm"
        yield f"the {after.norm} norm of a vector is compared instead of {of}"
    if after.equal_nan and not before.equal_nan:
        yield "NaN equals NaN"


def _weaker(metric: str, old: Golden, new: Result) -> list[str]:
    """Return what the rule or the values of one metric would check less strictly; only one with a margin has a rule."""
    before, after = old.statistical[metric], new.statistical[metric]
    weaker = []
    if set(before.values) - set(after.values):
        weaker.append(f"seeds {', '.join(sorted(set(before.values) - set(after.values)))} are gone")
    nan = [seed for seed, x in after.values.items() if math.isnan(x) and not math.isnan(before.values.get(seed, 0.0))]
    if nan:
        weaker.append(f"NaN at seed {', '.join(nan)}")
    if before.margin is not None:
        weaker += _weaker_rule(before, after)
    return [f"{metric}: {what}" for what in weaker]


def _weaker_rule(before: Statistical, after: Statistical) -> list[str]:
    if after.margin is None:
        return [f"the margin of {before.margin:.3g} is dropped: it would only be shown"]
    if before.guard is not None and after.guard is None:
        return [f"the guard '{before.guard}' is dropped"]
    return [*_weaker_evidence(before, after), *_looser_rule(before, after), *_less_power(before, after)]


def _weaker_evidence(before: Statistical, after: Statistical) -> Iterator[str]:
    if before.guard is not None and before.guard != after.guard:
        yield f"the guard changes from '{before.guard}' to '{after.guard}'"
    if before.first_values and not after.first_values:
        yield "a frozen model is no longer tried: the values after the first epoch are gone"
    if after.required_seeds < min(before.required_seeds, len(after.values)):
        yield f"a check needs {after.required_seeds} seeds instead of {before.required_seeds}"
    if before.null_values and not after.null_values:
        yield "its margin is no longer measured against innocent changes: the values under `null` are gone"
    if before.dead_below is not None and after.dead_below != before.dead_below:
        yield f"other seeds are taken for dead: dead_below was {before.dead_below:g} and is {after.dead_below}"
    if before.repeats and after.repeats is False:
        yield "it repeats no longer, so that its margin alone would hold it"


def _looser_rule(before: Statistical, after: Statistical) -> Iterator[str]:
    if before.test != after.test:
        yield f"the test changes from {before.test} to {after.test}"
    if before.scale != after.scale:
        yield f"the scale changes from {before.scale} to {after.scale}, so margins cannot be compared"
    elif (after.margin or 0.0) > (before.margin or 0.0):
        yield f"the margin grows from {before.margin:.3g} to {after.margin:.3g}"
    if after.alpha != before.alpha:
        price = "alarms need more evidence" if after.alpha < before.alpha else "false alarms become more frequent"
        yield f"alpha changes from {before.alpha:g} to {after.alpha:g}: {price}"


def _less_power(before: Statistical, after: Statistical) -> Iterator[str]:
    if after.guard is None:
        if after.sequential and not before.sequential and not after.detectable <= before.detectable:
            yield f"a sequential check detects {after.detectable:.3g} or more instead of {before.detectable:.3g}"
        return
    effects = [bug_distance(after)]
    if before.scale == after.scale and before.guard is not None:
        effects.append(bug_distance(before))  # a bug that has grown does not excuse a golden that sees less
    if not all(after.detectable <= effect for effect in effects):
        yield f"it detects {after.detectable:.3g} or more, past the guard's effect of {min(effects):.3g}"
