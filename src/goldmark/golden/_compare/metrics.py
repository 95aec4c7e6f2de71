"""The statistical tier of the comparator: metrics of trained models, seed by seed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from goldmark.case import LOOKS
from goldmark.golden._compare.drift import MISSING, ComparedMetrics, Drift, difference, rule_drift, show, show_shift
from goldmark.golden._compare.rounding import REPEAT, repeats, same_rule
from goldmark.golden._compare.shift import detectable, fewest_seeds, in_looks, shift_drift, shift_of
from goldmark.golden._files.devices import device_of
from goldmark.golden._files.entries import Golden, Result, Statistical
from goldmark.statistics import ENOUGH_P, look_decision

_RULE = ("scale", "margin", "alpha", "test", "better", "check_seeds", "dead_below", "sequential")


def metrics_compared(
    golden: Golden, result: Result, *, repeat: bool, allow_fewer: bool, strict: bool = False
) -> ComparedMetrics:
    """Return which metrics drift, are undecided, were run on too few seeds, or have to be looked at again.

    Fewer seeds drift unless they are allowed; those that are there are compared either way. `repeat`: nothing has
    changed, so that every seed must repeat. A golden of another kind of device is compared with nothing. `strict`: a
    sequential check goes on where it is undecided.
    """
    drifts = list(_key_drifts(golden, result))
    device = _device_drift(golden, result)
    if device is not None:
        return ComparedMetrics(drifts=(device, *drifts))
    left_out = {drift.key for drift in drifts}
    metrics = [metric for metric in golden.statistical if metric not in left_out]
    few = {metric: _fewer_seeds(golden, result, metric) for metric in metrics}
    partial = {metric: why for metric, why in few.items() if why}
    undecided: list[Drift] = []
    going_on: list[Drift] = []
    for metric in metrics:
        drift, passes = _metric_drift(golden, result, metric, repeat=repeat)
        again = _again_drift(golden, result, metric, strict=strict)
        if drift and not passes:
            drifts.append(drift)
        elif again:
            going_on.append(again)
        elif drift:
            undecided.append(drift)
    if partial and not allow_fewer:
        drifts.append(_fewer_drift(next(iter(partial.values()))))
        partial = {}
    pairs = [(golden.statistical[metric], result.statistical[metric].values) for metric in metrics]
    looks = [in_looks(entry, new) for entry, new in pairs if entry.look(new) is not None]
    return ComparedMetrics(
        drifts=tuple(drifts),
        undecided=tuple(undecided),
        partial=partial,
        going_on=tuple(going_on),
        next_seeds=tuple(dict.fromkeys(seed for drift in going_on for seed in drift.got)),
        looks=tuple(dict.fromkeys(looks)),
    )


def _device_drift(golden: Golden, result: Result) -> Drift | None:
    """Return the drift of a golden that another kind of device has made: its numbers say nothing about this one's."""
    made_on = device_of(golden)
    run_on = result.fingerprint.get("device", made_on)
    if made_on in (None, run_on) or not golden.statistical:
        return None
    text = f"statistical: none recorded for {run_on}; this golden was made on {made_on}"
    return Drift(tier="key", key="device", golden=made_on, got=run_on, size=math.inf, text=text)


def _key_drifts(golden: Golden, result: Result) -> Iterator[Drift]:
    """Yield a drift for every metric that one side lacks, for seeds that differ, and for a rule that was changed."""
    for metric in sorted({*golden.statistical, *result.statistical}):
        old, new = golden.statistical.get(metric), result.statistical.get(metric)
        if old is None or new is None:
            sides = ["a metric" if side else MISSING for side in (old, new)]
            yield difference("statistical", metric, sides[0], sides[1])
            continue
        if not new.values or not set(new.values) <= set(old.values):
            text = f"statistical {metric}: golden has the seeds {_seeds(old)}, got {_seeds(new)}; train the same"
            yield Drift(tier="key", key=metric, golden=_seeds(old), got=_seeds(new), size=math.inf, text=text)
        if new.values:
            yield from _rule_drifts(metric, old, new)


def _seeds(entry: Statistical) -> str:
    return show(" ".join(entry.values)) if entry.values else "none"


def _rule_drifts(metric: str, old: Statistical, new: Statistical) -> Iterator[Drift]:
    """Yield what the result says otherwise than the golden, where either gates.

    A guard is judged when it is recorded: a check may leave it out. One that is new in the check guards nothing yet; a
    guard with values is no statement, because a result with values may be of runs that are not the golden's.
    """
    if old.margin is None or new.margin is None:
        names = ["margin"]
    else:
        names = [*_RULE, *(["guard"] if new.guard and new.guard_values is None and not old.guard else [])]
    for name in names:
        before, now = getattr(old, name), getattr(new, name)
        if not same_rule(before, now):
            yield rule_drift(metric, name, before, now)


def _fewer_seeds(golden: Golden, result: Result, metric: str) -> str | None:
    """Return how many of the needed seeds were run, where those are too few, and what they can still detect."""
    entry, n = golden.statistical[metric], len(result.statistical[metric].values)
    if n >= entry.required_seeds or entry.look(result.statistical[metric].values) is not None:
        return None
    if entry.sequential:
        looks = ", ".join(map(str, LOOKS))
        return (
            f"{n} of the golden's {len(entry.values)} seeds were run, and a sequential check looks at the first {looks}"
        )
    needed = "" if entry.check_seeds is None else f", and a check needs {entry.check_seeds}"
    ran = f"{n} of the golden's {len(entry.values)} seeds were run{needed}"
    if entry.margin is None:
        return ran
    paired = _paired(golden, result, metric)
    if n < fewest_seeds(entry, paired=paired):
        return f"{ran}: too few for a test"
    in_pairs = paired and entry.effect is not None  # the spread of pairs is known of a guard alone
    smallest = show_shift(detectable(entry, entry.sd, n, paired=in_pairs), entry.scale)
    return f"{ran}: they detect shifts of {smallest} instead of {show_shift(entry.detectable, entry.scale)}"


def _fewer_drift(why: str) -> Drift:
    text = f"statistical: {why}; run the others too, or say allow_fewer=True or --golden-partial"
    return Drift(tier="key", key="seeds", golden=MISSING, got=MISSING, size=math.inf, text=text)


def _paired(golden: Golden, result: Result, metric: str) -> bool:
    """Tell whether the seeds of both sides were trained on the same stream."""
    if golden.stream is None or result.stream is None:
        return False
    return all(golden.stream.get(seed) == result.stream.get(seed) for seed in result.statistical[metric].values)


def _metric_drift(golden: Golden, result: Result, metric: str, *, repeat: bool) -> tuple[Drift | None, bool]:
    """Return the drift of a metric that gates, of its mean or else of its repetition, and whether it passes undecided.

    Values that repeat in every seed pass without a test: a shift of rounding errors is no news, whatever the margin.
    """
    entry, new = golden.statistical[metric], result.statistical[metric].values
    moved = [seed for seed in new if not repeats(entry.values[seed], new[seed])]
    if entry.margin is None or not moved:
        return None, False
    paired = _paired(golden, result, metric)
    drift, passes = shift_drift(metric, entry, new, paired=paired, stream_known=golden.stream is not None)
    if (drift is None or passes) and repeat and entry.repeats:
        return _repeat_drift(metric, entry.values, new, moved), False
    return drift, passes


def _again_drift(golden: Golden, result: Result, metric: str, *, strict: bool) -> Drift | None:
    """Return what a look of a sequential check says of a metric on which it has to go on, with the seeds as `got`.

    It goes on where p is neither an alarm nor larger than what is enough to end; `strict`: also where it is undecided.
    """
    entry, new = golden.statistical[metric], result.statistical[metric].values
    look = entry.look(new)
    if look is None or entry.margin is None or all(repeats(entry.values[seed], new[seed]) for seed in new):
        return None
    shift = shift_of(entry, new, paired=_paired(golden, result, metric))
    if shift is None or len(new) >= LOOKS[-1]:
        return None
    unclear = strict and shift.judgement == "undecided"
    if not unclear and look_decision(shift.p, len(new), shift.rule.alpha) != "go on":
        return None
    seeds = [seed for seed in entry.first_seeds(LOOKS[look + 1]) if seed not in new]
    limits = f"an alarm is {shift.rule.alpha:.2g} or less, enough to end more than {ENOUGH_P[look]:g}"
    limits += " and an interval within the margin" * strict
    text = f"statistical {metric}: {in_looks(entry, new)}: p {shift.p:.2g}, {limits}"
    return Drift(tier="key", key=metric, golden=MISSING, got=seeds, size=math.inf, text=text)


def _repeat_drift(metric: str, golden: Mapping[str, float], new: Mapping[str, float], moved: list[str]) -> Drift:
    def relative(seed: str) -> float:
        size = abs(new[seed] - golden[seed]) / (REPEAT * abs(golden[seed]) or math.nan)
        return size if math.isfinite(size) else math.inf

    worst = max(moved, key=relative)
    note = f"{len(moved)} of {len(new)} seeds moved; unchanged code must repeat to {REPEAT:g}"
    return difference(
        "repeat", f"{metric}, seed {worst}", golden[worst], new[worst], size=relative(worst), in_tolerances=note
    )


def p_value(golden: Golden, result: Result, metric: str) -> float | None:
    """Return the p value of a metric that gates, None where its values, or the seeds that are there, admit no test."""
    new = result.statistical[metric].values
    shift = shift_of(golden.statistical[metric], new, paired=_paired(golden, result, metric))
    return None if shift is None else shift.p
