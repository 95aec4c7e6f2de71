"""The statistical tier of the comparator: metrics of trained models, seed by seed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from statistics import fmean

from goldmark.golden._compare.drift import MISSING, Drift, difference, percent, rule_drift, show
from goldmark.golden._compare.rounding import REPEAT, repeats, same_rule
from goldmark.golden._files.entries import Golden, Result, Statistical
from goldmark.statistics import Shift, compare_values, detectable_effect, on_scale, spread

_RULE = ("scale", "margin", "alpha", "test", "better")


def why_not_checked(golden: Golden, result: Result, metric: str) -> str | None:
    """Return why a metric cannot be compared without anything being wrong: fewer seeds, or another kind of device."""
    made_on = golden.provenance[-1].fingerprint.get("device") if golden.provenance else None
    run_on = result.fingerprint.get("device", made_on)
    if made_on not in (None, run_on):
        return f"the golden was made on {made_on}, this ran on {run_on}"
    seeds, run = golden.statistical[metric].values, result.statistical[metric].values
    if run and set(run) < set(seeds):
        return f"{len(run)} of the golden's {len(seeds)} seeds were run"
    return None


def key_drifts(golden: Golden, result: Result) -> Iterator[Drift]:
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
    """Yield what the result says otherwise than the golden, where it has a guard.

    A guard without values is one that a test states; a result with values may be of runs that are not the golden's.
    """
    names = [*(_RULE if old.guard else ()), *(["guard"] if new.guard and new.guard_values is None else [])]
    for name in names:
        before, now = getattr(old, name), getattr(new, name)
        if not same_rule(before, now):
            yield rule_drift(metric, name, before, now)


def metric_drifts(golden: Golden, result: Result, metric: str, *, repeat: bool) -> Iterator[Drift]:
    """Yield the drift of a metric whose seeds are the golden's: of its mean if it has a guard, else of its repetition.

    Values that repeat in every seed pass without a test: a shift of rounding errors is no news, whatever the margin.
    """
    old, new = golden.statistical[metric], result.statistical[metric].values
    moved = [seed for seed in old.values if not repeats(old.values[seed], new[seed])]
    if not moved:
        return
    drift = _shift_drift(golden, result, metric) if old.guard else None
    if drift:
        yield drift
    elif repeat and old.repeats:
        yield _repeat_drift(metric, old.values, new, moved)


def _repeat_drift(metric: str, golden: Mapping[str, float], new: Mapping[str, float], moved: list[str]) -> Drift:
    def relative(seed: str) -> float:
        size = abs(new[seed] - golden[seed]) / (REPEAT * abs(golden[seed]) or math.nan)
        return size if math.isfinite(size) else math.inf

    worst = max(moved, key=relative)
    note = f"{len(moved)} of {len(golden)} seeds moved; unchanged code must repeat to {REPEAT:g}"
    return difference(
        "repeat", f"{metric}, seed {worst}", golden[worst], new[worst], size=relative(worst), in_tolerances=note
    )


def _shift_drift(golden: Golden, result: Result, metric: str) -> Drift | None:
    """Return the drift of a guarded metric: an impossible value, a shift beyond the margin, or a golden gone blind."""
    entry, new = golden.statistical[metric], result.statistical[metric].values
    for seed, value in new.items():
        if not math.isfinite(value) or (entry.scale == "log" and value <= 0):
            wanted = "a finite number" if entry.scale == "identity" else "a positive number"
            text = (
                f"statistical {metric}, seed {seed}: golden {show(entry.values[seed])}, got {show(value)}, not {wanted}"
            )
            return Drift(tier="statistical", key=metric, golden=entry.values[seed], got=value, size=math.inf, text=text)
    paired = golden.stream is not None and golden.stream == result.stream
    shift = compare_values(
        new,
        entry.values,
        scale=entry.scale,
        margin=entry.margin,
        alpha=entry.alpha,
        test=entry.test,
        paired=paired,
    )
    if not shift.alarm:
        return None if paired else _blind_drift(metric, entry, shift)
    before, now = _mean(entry, entry.values), _mean(entry, new)
    size = abs(shift.shift) / (entry.margin or shift.detectable or math.nan)
    notes = [percent(before, now), _direction(entry, shift), _in_margins(entry, shift), _test(entry, shift)]
    notes.append(_pairing(golden, entry, new, shift))
    text = f"statistical {metric}: golden {before:.4g}, got {now:.4g} ({', '.join(note for note in notes if note)})"
    return Drift(
        tier="statistical",
        key=metric,
        golden=before,
        got=now,
        size=size if math.isfinite(size) else math.inf,
        text=text,
    )


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
    return f"{abs(shift.shift) / entry.margin:.3g} margins of {_amount(entry, entry.margin)}" if entry.margin else ""


def _amount(entry: Statistical, shift: float) -> str:
    """Return a shift in the metric's unit, or in percent on the log scale."""
    return f"{100 * math.expm1(shift):.3g} %" if entry.scale == "log" else f"{shift:.3g}"


def _test(entry: Statistical, shift: Shift) -> str:
    detectable = entry.detectable if shift.paired else _detectable(entry, shift.sd, shift.n, paired=False)
    name = "no spread" if shift.test == "equal" else f"{shift.test}, p {shift.p:.2g}"
    return f"{name}, {shift.n} seeds, detects shifts of {_amount(entry, detectable)}"


def _pairing(golden: Golden, entry: Statistical, new: Mapping[str, float], shift: Shift) -> str:
    """Say why seeds were not paired, and what a common stream would buy."""
    if shift.paired:
        return ""
    if golden.stream is not None:
        return "the stream moved"
    old = on_scale(list(entry.values.values()), entry.scale)
    sd = spread(on_scale([new[seed] for seed in entry.values], entry.scale) - old)
    return f"with stream hashes, and so pairs, {_amount(entry, _detectable(entry, sd, shift.n, paired=True))}"


def _detectable(entry: Statistical, sd: float, n: int, *, paired: bool) -> float:
    return detectable_effect(
        sd, n, margin=entry.margin, alpha=entry.alpha, test=entry.test, paired=paired, guard_effect=entry.effect
    )
