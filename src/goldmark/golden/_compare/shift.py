"""One metric of a golden and its new values: changed, equal or undecided, and what a person reads of it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from statistics import fmean

from goldmark.case import LOOKS
from goldmark.golden._compare.drift import Drift, percent, show, show_interval, show_shift
from goldmark.golden._compare.rounding import REPEAT
from goldmark.golden._files.entries import Statistical
from goldmark.statistics import (
    MetricRule,
    Shift,
    compare_values,
    detectable_effect,
    look_decision,
    look_rule,
    on_scale,
    seeds_needed,
    sequential_effect,
    spread,
)


def rule_of(entry: Statistical) -> MetricRule:
    """Return the rule by which a metric that gates is compared."""
    return MetricRule(
        scale=entry.scale,
        margin=entry.margin or 0.0,
        alpha=entry.alpha,
        test=entry.test,
        dead_below=entry.dead_below,
    )


def detectable(entry: Statistical, sd: float, n: int, *, paired: bool) -> float:
    """Return the shift that n seeds, or a sequential check, detect against all of the golden's, for a spread."""
    if entry.sequential:
        return sequential_effect(sd, rule_of(entry), paired=paired, n_golden=len(entry.values))
    return detectable_effect(
        sd, n, rule_of(entry), paired=paired, n_golden=max(n, len(entry.values)), guard_effect=entry.effect
    )


def in_pairs(entry: Statistical) -> bool:
    """Tell whether the spread that a metric states is that of pairs with its guard."""
    guard = entry.guard_values or {}
    if set(guard) != set(entry.values) or not all(map(math.isfinite, guard.values())):
        return False
    own, broken = (on_scale([side[seed] for seed in entry.values], entry.scale) for side in (entry.values, guard))
    return math.isclose(spread(broken - own), entry.sd, rel_tol=REPEAT)


def fewest_seeds(entry: Statistical, *, paired: bool) -> int:
    """Return with how many seeds a test is possible at all: two for t, for permutations as many as alpha asks."""
    return 2 if entry.test == "t" else seeds_needed(rule_of(entry), paired=paired, n_golden=len(entry.values))


def shift_drift(
    metric: str, entry: Statistical, new: Mapping[str, float], *, paired: bool, stream_known: bool
) -> tuple[Drift | None, bool]:
    """Return what is to be said of a metric's new values, if anything, and whether they pass all the same: undecided.

    An alarm, an impossible value and a golden that has gone blind do not pass.
    """
    shift = shift_of(entry, new, paired=paired)
    if shift is None:
        return _impossible(metric, entry, new), False
    if shift.alarm:
        return _alarm(metric, entry, new, shift, stream_known=stream_known), False
    few = len(new) < entry.required_seeds and entry.look(new) is None
    blind = None if paired or few else _blind_drift(metric, entry, shift)
    if blind or shift.judgement == "equal":
        return blind, False
    return _undecided(metric, entry, new, shift), True


def shift_of(entry: Statistical, new: Mapping[str, float], *, paired: bool) -> Shift | None:
    """Return how far new values lie from the golden's, None where they, or the seeds that are there, admit no test.

    At a look of a sequential check the rule has the part of alpha that belongs to this look.
    """
    if _impossible("", entry, new) or len(new) < fewest_seeds(entry, paired=paired):
        return None
    rule = rule_of(entry)
    if entry.look(new) is not None:
        rule = look_rule(rule, len(new), paired=paired, n_golden=len(entry.values))
    few = len(new) < entry.required_seeds
    return compare_values(new, entry.values, rule, paired=paired, allow_few=few)


def deciding_shift(entry: Statistical, new: Mapping[str, float], *, paired: bool) -> Shift | None:
    """Return the shift of new values of all seeds, of a sequential check at the look that decides on them."""
    if not entry.sequential:
        return shift_of(entry, new, paired=paired)
    shift = None
    for n in LOOKS:
        shift = shift_of(entry, {seed: new[seed] for seed in entry.first_seeds(n)}, paired=paired)
        if shift is None or look_decision(shift.p, n, shift.rule.alpha) != "go on":
            break
    return shift


def in_looks(entry: Statistical, seeds: Collection[str]) -> str:
    """Return in words at which look so many seeds are, and their number where there are no looks."""
    look = entry.look(seeds)
    if look is None:
        return f"{len(seeds)} seeds"
    return f"look {look + 1} of {len(LOOKS)}, {len(seeds)} of {max(len(seeds), LOOKS[-1])} seeds"


def _alarm(metric: str, entry: Statistical, new: Mapping[str, float], shift: Shift, *, stream_known: bool) -> Drift:
    old = _compared(entry, new, shift)
    before, now = _mean(entry, old), _mean(entry, new)
    size = abs(shift.shift) / (shift.margin or shift.detectable or math.nan)
    notes = [percent(before, now), _direction(entry, shift), _in_margins(entry, shift), _test(entry, new, shift)]
    notes.append(_pairing(entry, new, shift, stream_known=stream_known))
    text = f"statistical {metric}: golden {before:.4g}, got {now:.4g} ({', '.join(note for note in notes if note)})"
    return Drift(
        tier="statistical",
        key=metric,
        golden=before,
        got=now,
        size=size if math.isfinite(size) else math.inf,
        text=text,
    )


def _undecided(metric: str, entry: Statistical, new: Mapping[str, float], shift: Shift) -> Drift:
    """Return the drift of a metric that passes although its interval is wider than its margin."""
    before, now = _mean(entry, _compared(entry, new, shift)), _mean(entry, new)
    seeds = shift.deciding_seeds
    would = "no number of seeds would decide" if seeds is None else f"about {seeds} seeds would decide"
    margin, where = show_shift(shift.margin, entry.scale), in_looks(entry, new)
    text = f"statistical {metric}: undecided: shift {_interval(entry, shift)}, margin {margin}, {where}; {would}"
    return Drift(tier="statistical", key=metric, golden=before, got=now, size=0.0, text=text)


def _compared(entry: Statistical, new: Mapping[str, float], shift: Shift) -> Mapping[str, float]:
    """Return the golden's values that were compared: those of the same seeds in pairs, and else all."""
    return {seed: entry.values[seed] for seed in new} if shift.paired else entry.values


def _impossible(metric: str, entry: Statistical, new: Mapping[str, float]) -> Drift | None:
    """Return the drift of the first seed whose value is no number, or has no place on the scale."""
    for seed, value in new.items():
        if not math.isfinite(value) or (entry.scale == "log" and value <= 0):
            wanted = "a finite number" if entry.scale == "identity" else "a positive number"
            text = (
                f"statistical {metric}, seed {seed}: golden {show(entry.values[seed])}, got {show(value)}, not {wanted}"
            )
            return Drift(tier="statistical", key=metric, golden=entry.values[seed], got=value, size=math.inf, text=text)
    return None


def _blind_drift(metric: str, entry: Statistical, shift: Shift) -> Drift | None:
    """Return the drift of a golden that, unpaired, would no longer see its bug; its own spread decides."""
    sd = spread(on_scale(list(entry.values.values()), entry.scale))
    smallest = detectable(entry, sd, shift.n, paired=False)
    if entry.effect is None or smallest <= entry.effect:
        return None
    text = (
        f"statistical {metric}: this golden is blind now: re-record. The stream moved, and unpaired it detects "
        f"{smallest:.3g} or more, but its bug '{entry.guard}' is {entry.effect:.3g} away"
    )
    return Drift(tier="statistical", key=metric, golden=entry.effect, got=smallest, size=math.inf, text=text)


def _mean(entry: Statistical, values: Mapping[str, float]) -> float:
    """Return the mean on the entry's scale, in the metric's own unit: the geometric mean on the log scale."""
    mean = fmean(on_scale(list(values.values()), entry.scale))
    return math.exp(mean) if entry.scale == "log" else mean


def _direction(entry: Statistical, shift: Shift) -> str:
    """Say whether the shift is for the better, which without an explanation may be a leak."""
    if entry.better == "neither":
        return ""
    return "better: a leak?" if (shift.shift > 0) == (entry.better == "higher") else "worse"


def _in_margins(entry: Statistical, shift: Shift) -> str:
    return (
        f"{abs(shift.shift) / entry.margin:.3g} margins of {show_shift(entry.margin, entry.scale)}"
        if entry.margin
        else ""
    )


def _interval(entry: Statistical, shift: Shift) -> str:
    return f"{show_interval(shift.interval, entry.scale)} (99 %)"


def _test(entry: Statistical, new: Mapping[str, float], shift: Shift) -> str:
    stated = shift.paired and (shift.n == entry.required_seeds or entry.look(new) is not None)
    smallest = entry.detectable if stated else detectable(entry, shift.sd, shift.n, paired=shift.paired)
    name = "no spread" if shift.test == "equal" else f"{_evidence(entry, new, shift)}, p {shift.p:.2g}"
    against = "" if shift.n == shift.n_golden else f" against {shift.n_golden}"
    seeds = f"{in_looks(entry, new).removesuffix(' seeds')}{against} seeds"
    return f"shift {_interval(entry, shift)}, {name}, {seeds}, detects shifts of {show_shift(smallest, entry.scale)}"


def _evidence(entry: Statistical, new: Mapping[str, float], shift: Shift) -> str:
    """Return the name of the test that gave the alarm, and of single seeds which they are."""
    if shift.test == "dead seeds" and entry.dead_below is not None:
        counts = [sum(value < entry.dead_below for value in side.values()) for side in (new, entry.values)]
        return f"dead seeds: {counts[0]} of {len(new)}, golden {counts[1]} of {len(entry.values)}"
    if shift.test != "wild seed":
        return shift.test
    old = on_scale(list(entry.values.values()), entry.scale)
    seed = max(new, key=lambda name: abs(float(on_scale(new[name], entry.scale)) - old.mean()))
    far = abs(float(on_scale(new[seed], entry.scale)) - old.mean()) / (spread(old) or math.nan)
    return f"wild seed {seed}: {show(new[seed])}, {far:.3g} sd of the golden off"


def _pairing(entry: Statistical, new: Mapping[str, float], shift: Shift, *, stream_known: bool) -> str:
    """Say why seeds were not paired, and what a common stream would buy."""
    if shift.paired:
        return ""
    if stream_known:
        return "the stream moved"
    before = on_scale([entry.values[seed] for seed in new], entry.scale)
    sd = spread(on_scale(list(new.values()), entry.scale) - before)
    return f"with stream hashes, and so pairs, {show_shift(detectable(entry, sd, shift.n, paired=True), entry.scale)}"
