"""The statistical tier of the comparator: metrics of trained models, seed by seed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from statistics import fmean

from goldmark.golden._compare.drift import MISSING, Drift, difference, percent, rule_drift, show, show_shift
from goldmark.golden._compare.rounding import REPEAT, repeats, same_rule
from goldmark.golden._files.entries import Golden, Result, Statistical
from goldmark.statistics import Shift, compare_values, detectable_effect, on_scale, seeds_needed, spread

_RULE = ("scale", "margin", "alpha", "test", "better", "check_seeds")


def metrics_compared(
    golden: Golden, result: Result, *, repeat: bool, allow_fewer: bool
) -> tuple[list[Drift], dict[str, str]]:
    """Return the drifts of all metrics, and {metric: why} for those that were compared on fewer seeds than they need.

    Fewer seeds drift unless they are allowed; those that are there are compared either way. `repeat`: nothing has
    changed, so that every seed must repeat. A golden of another kind of device is compared with nothing.
    """
    drifts = list(_key_drifts(golden, result))
    device = _device_drift(golden, result)
    if device is not None:
        return [device, *drifts], {}
    left_out, partial = {drift.key for drift in drifts}, {}
    for metric in golden.statistical:
        if metric not in left_out:
            fewer = _fewer_seeds(golden, result, metric)
            if fewer:
                partial[metric] = fewer
            drifts += _metric_drifts(golden, result, metric, repeat=repeat)
    if partial and not allow_fewer:
        drifts.append(_fewer_drift(next(iter(partial.values()))))
        partial = {}
    return drifts, partial


def _device_drift(golden: Golden, result: Result) -> Drift | None:
    """Return the drift of a golden that another kind of device has made: its numbers say nothing about this one's."""
    made_on = golden.provenance[-1].fingerprint.get("device") if golden.provenance else None
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
    if n >= entry.required_seeds:
        return None
    needed = "" if entry.check_seeds is None else f", and a check needs {entry.check_seeds}"
    ran = f"{n} of the golden's {len(entry.values)} seeds were run{needed}"
    if entry.margin is None:
        return ran
    paired = _paired(golden, result, metric)
    if _no_test(entry, n, paired=paired):
        return f"{ran}: too few for a test"
    in_pairs = paired and entry.effect is not None  # the spread of pairs is known of a guard alone
    detectable = show_shift(_detectable(entry, entry.sd, n, paired=in_pairs), entry.scale)
    return f"{ran}: they detect shifts of {detectable} instead of {show_shift(entry.detectable, entry.scale)}"


def _fewer_drift(why: str) -> Drift:
    text = f"statistical: {why}; run the others too, or say allow_fewer=True or --golden-partial"
    return Drift(tier="key", key="seeds", golden=MISSING, got=MISSING, size=math.inf, text=text)


def _no_test(entry: Statistical, n: int, *, paired: bool) -> bool:
    """Tell whether so few seeds admit no test at all: a t test takes two, a permutation test as many as alpha asks."""
    return n < (2 if entry.test == "t" else seeds_needed(entry.test, entry.alpha, paired=paired))


def _paired(golden: Golden, result: Result, metric: str) -> bool:
    """Tell whether the seeds of both sides were trained on the same stream."""
    if golden.stream is None or result.stream is None:
        return False
    return all(golden.stream.get(seed) == result.stream.get(seed) for seed in result.statistical[metric].values)


def _metric_drifts(golden: Golden, result: Result, metric: str, *, repeat: bool) -> Iterator[Drift]:
    """Yield the drift of a metric that gates: of its mean, or else of its repetition.

    Values that repeat in every seed pass without a test: a shift of rounding errors is no news, whatever the margin.
    """
    entry, new = golden.statistical[metric], result.statistical[metric].values
    moved = [seed for seed in new if not repeats(entry.values[seed], new[seed])]
    if entry.margin is None or not moved:
        return
    drift = _shift_drift(golden, result, metric, entry.margin)
    if drift:
        yield drift
    elif repeat and entry.repeats:
        yield _repeat_drift(metric, entry.values, new, moved)


def _repeat_drift(metric: str, golden: Mapping[str, float], new: Mapping[str, float], moved: list[str]) -> Drift:
    def relative(seed: str) -> float:
        size = abs(new[seed] - golden[seed]) / (REPEAT * abs(golden[seed]) or math.nan)
        return size if math.isfinite(size) else math.inf

    worst = max(moved, key=relative)
    note = f"{len(moved)} of {len(new)} seeds moved; unchanged code must repeat to {REPEAT:g}"
    return difference(
        "repeat", f"{metric}, seed {worst}", golden[worst], new[worst], size=relative(worst), in_tolerances=note
    )


def _shift_drift(golden: Golden, result: Result, metric: str, margin: float) -> Drift | None:
    """Return the drift of a metric's mean: an impossible value, a shift beyond the margin, or a golden gone blind."""
    entry, new = golden.statistical[metric], result.statistical[metric].values
    impossible = _impossible(metric, entry, new)
    paired = _paired(golden, result, metric)
    if impossible or _no_test(entry, len(new), paired=paired):
        return impossible
    old = {seed: entry.values[seed] for seed in new}
    shift = _shift(entry, new, paired=paired)
    if not shift.alarm:
        return None if paired or len(new) < entry.required_seeds else _blind_drift(metric, entry, shift)
    before, now = _mean(entry, old), _mean(entry, new)
    size = abs(shift.shift) / (margin or shift.detectable or math.nan)
    notes = [percent(before, now), _direction(entry, shift), _in_margins(entry, shift), _test(entry, shift)]
    notes.append(_pairing(golden, entry, old, new, shift))
    text = f"statistical {metric}: golden {before:.4g}, got {now:.4g} ({', '.join(note for note in notes if note)})"
    return Drift(
        tier="statistical",
        key=metric,
        golden=before,
        got=now,
        size=size if math.isfinite(size) else math.inf,
        text=text,
    )


def _shift(entry: Statistical, new: Mapping[str, float], *, paired: bool) -> Shift:
    """Return how far new values lie from those of the golden's same seeds."""
    return compare_values(
        new,
        {seed: entry.values[seed] for seed in new},
        scale=entry.scale,
        margin=entry.margin or 0.0,
        alpha=entry.alpha,
        test=entry.test,
        paired=paired,
        allow_few=len(new) < entry.required_seeds,
    )


def p_value(golden: Golden, result: Result, metric: str) -> float | None:
    """Return the p value of a metric that gates, None where its values, or the seeds that are there, admit no test."""
    entry, new = golden.statistical[metric], result.statistical[metric].values
    paired = _paired(golden, result, metric)
    if _impossible(metric, entry, new) or _no_test(entry, len(new), paired=paired):
        return None
    return _shift(entry, new, paired=paired).p


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
    detectable = _detectable(entry, sd, shift.n, paired=False)
    if entry.effect is None or detectable <= entry.effect:
        return None
    text = (
        f"statistical {metric}: this golden is blind now: re-record. The stream moved, and unpaired it detects "
        f"{detectable:.3g} or more, but its bug '{entry.guard}' is {entry.effect:.3g} away"
    )
    return Drift(tier="statistical", key=metric, golden=entry.effect, got=detectable, size=math.inf, text=text)


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


def _test(entry: Statistical, shift: Shift) -> str:
    stated = shift.paired and shift.n == entry.required_seeds
    detectable = entry.detectable if stated else _detectable(entry, shift.sd, shift.n, paired=shift.paired)
    name = "no spread" if shift.test == "equal" else f"{shift.test}, p {shift.p:.2g}"
    return f"{name}, {shift.n} seeds, detects shifts of {show_shift(detectable, entry.scale)}"


def _pairing(
    golden: Golden, entry: Statistical, old: Mapping[str, float], new: Mapping[str, float], shift: Shift
) -> str:
    """Say why seeds were not paired, and what a common stream would buy."""
    if shift.paired:
        return ""
    if golden.stream is not None:
        return "the stream moved"
    before = on_scale(list(old.values()), entry.scale)
    sd = spread(on_scale([new[seed] for seed in old], entry.scale) - before)
    return f"with stream hashes, and so pairs, {show_shift(_detectable(entry, sd, shift.n, paired=True), entry.scale)}"


def _detectable(entry: Statistical, sd: float, n: int, *, paired: bool) -> float:
    return detectable_effect(
        sd,
        n,
        margin=entry.margin or 0.0,
        alpha=entry.alpha,
        test=entry.test,
        paired=paired,
        guard_effect=entry.effect,
    )
