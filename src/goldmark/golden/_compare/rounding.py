"""Whether numbers repeat: what one machine, one code and one seed give twice, and what an update leaves alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from goldmark.golden._compare.closeness import close_drifts
from goldmark.golden._compare.drift import is_number
from goldmark.golden._files.entries import Close, Golden, Result, Statistical
from goldmark.golden._files.settle import settled

REPEAT = 1e-6  # relative; one machine, one code and one seed stay nearer than this, whatever the load
_SAME = 1e-12  # relative: what a logarithm differs by from one system to another
_RULE = ("scale", "margin", "alpha", "test", "better", "guard", "check_seeds", "dead_below", "sequential")
_BY_SEED = ("values", "guard_values", "first_values")


def repeats(golden: float, got: float) -> bool:
    """Tell whether a number repeats to relative 1e-6; NaN repeats NaN, because a diverged run diverges again."""
    return _near(golden, got, REPEAT)


def moved(golden: Golden, result: Result) -> bool:
    """Tell whether a metric that was recorded to repeat does not: only then it matters what else has changed."""
    return any(
        entry.repeats and not repeats(entry.values[seed], value)
        for metric, entry in golden.statistical.items()
        if metric in result.statistical
        for seed, value in result.statistical[metric].values.items()
        if seed in entry.values
    )


def same_rule(golden: Any, got: Any) -> bool:
    """Tell whether two values of a rule are the same: equal, or a number that another system's logarithm made."""
    return golden == got or (is_number(golden) and is_number(got) and math.isclose(golden, got, rel_tol=_SAME))


def same_but_for_rounding(golden: Golden, result: Result) -> bool:
    """Tell whether a result equals its golden: keys, rules, stream and test, exact entries to the bit, numbers to 1e-6.

    Close numbers also stay within their own tolerance. What follows from the values (the detectable effect) is left
    out: that a golden states it rightly is asked by its self-test.
    """
    new = settled(result)
    return (
        _alike(golden.exact, new.exact, 0.0)
        and golden.arrays == new.arrays
        and golden.stream == (None if result.stream is None else dict(result.stream))
        and golden.recorded_by == result.recorded_by
        and _each(golden.close, new.close, _same_close)
        and _each(golden.statistical, result.statistical, _same_metric)
    )


def _each(golden: Mapping[str, Any], got: Mapping[str, Any], same: Any) -> bool:
    return set(golden) == set(got) and all(same(entry, got[key]) for key, entry in golden.items())


def strict(entry: Close) -> Close:
    """Return a close entry that allows relative 1e-6 at most, and less where its tolerance is smaller.

    Of an absolute tolerance 1e-6 of the largest number is left, but all of it where no number is larger than it: such
    an entry is a zero.
    """
    size = max(_sizes(entry.value), default=0.0)
    absolute = entry.abs if size <= entry.abs else min(entry.abs, REPEAT * size)
    return replace(entry, rel=min(REPEAT, entry.rel), abs=absolute)


def _sizes(value: Any) -> list[float]:
    if isinstance(value, Mapping | list):
        return [size for part in (value.values() if isinstance(value, Mapping) else value) for size in _sizes(part)]
    return [abs(value)] if is_number(value) and math.isfinite(value) else []


def _same_close(golden: Close, got: Close) -> bool:
    if not golden.same_rule(got):
        return False
    rule = strict(golden)
    return not any(close_drifts("", rule, replace(rule, value=got.value)))


def _same_metric(golden: Statistical, got: Statistical) -> bool:
    rules = all(same_rule(getattr(golden, name), getattr(got, name)) for name in _RULE)
    known = got.repeats in (None, golden.repeats)  # who did not try has nothing to say about it
    known = known and (got.null_values is None or _alike(golden.null_values, got.null_values, REPEAT))
    return rules and known and all(_alike(getattr(golden, name), getattr(got, name), REPEAT) for name in _BY_SEED)


def _alike(golden: Any, got: Any, rel: float) -> bool:
    """Tell whether two plain values are equal, numbers to a relative tolerance; 1 and 1.0 and true are three values."""
    if isinstance(golden, Mapping) and isinstance(got, Mapping):
        return _each(golden, got, lambda old, new: _alike(old, new, rel))
    if isinstance(golden, list) and isinstance(got, list):
        return len(golden) == len(got) and all(_alike(*pair, rel) for pair in zip(golden, got, strict=True))
    if type(golden) is not type(got):
        return False
    return _near(golden, got, rel) if is_number(golden) else bool(golden == got)


def _near(golden: float, got: float, rel: float) -> bool:
    if math.isnan(golden) or math.isnan(got):
        return math.isnan(golden) and math.isnan(got)
    return golden == got or abs(got - golden) <= rel * abs(golden)
