"""Prove on numbers alone that a golden still tells its bug from its fix."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from goldmark.case import LOOKS
from goldmark.golden._compare.drift import Comparison
from goldmark.golden._compare.rounding import REPEAT
from goldmark.golden._compare.tiers import compare
from goldmark.golden._files.entries import Close, Golden, Result, Statistical
from goldmark.golden._record.entry import statistical_entry
from goldmark.statistics import Array, on_scale, spread

_STATED = ("sd", "detectable", "effect")
_EPSILON = 1e-12  # of a value: what its logarithm and sums over seeds differ by from one system to another
_WILD = 5000.0  # of the golden's spread: beyond what any alpha asks of a single seed
_LARGEST_LOG = 700.0  # of a float
_ROUNDING = 1e-9  # of a number of seeds that went through a division and back


def self_test(golden: Golden) -> list[str]:
    """Return what the comparator gets wrong on this golden: an empty list where it can be trusted.

    With the metrics alone, the recipe ignored: identical values must pass; of every metric with a margin the guard's
    values, a shift of twice the detectable effect with the guard's residuals, one wild seed, a frozen model, NaN, and a
    dropped or added key must fail, and for a permutation test as many dead seeds as the detectable effect is worth. All
    of it with as many seeds as a check must have; of a sequential check at the look that decides.
    """
    same = _result(golden)
    problems = [] if compare(golden, same).ok is True else ["identical values do not pass"]
    for what, damaged in _damaged_arithmetic(same):
        if compare(golden, damaged).ok is not False:
            problems.append(f"{what} passes")
    return [*problems, *blind_spots(golden), *misstated(golden)]


def blind_spots(golden: Golden) -> list[str]:
    """Return which wrong metrics the comparator would let pass, with the metrics alone, the recipe ignored."""
    return [
        f"{what} passes" for what, damaged in _damages(_result(golden)) if _decided(golden, damaged).ok is not False
    ]


def _decided(golden: Golden, result: Result) -> Comparison:
    """Return how the metrics of a result compare, of a sequential check after the look that decides on all of them."""
    for n in LOOKS:
        comparison = compare(golden, _first_seeds(golden, result, n), statistical_only=True)
        if not comparison.next_seeds:
            break
    return comparison


def _first_seeds(golden: Golden, result: Result, n: int) -> Result:
    """Return a result as a look at n seeds has it: all of the values of metrics that are not sequential."""
    looked = {metric: entry.first_seeds(n) for metric, entry in golden.statistical.items() if entry.sequential}
    return replace(
        result,
        statistical={
            metric: replace(entry, values=_of(looked[metric], entry.values)) if metric in looked else entry
            for metric, entry in result.statistical.items()
        },
    )


def misstated(golden: Golden) -> list[str]:
    """Return the metrics that state a spread, an effect or what they detect otherwise than their values give it."""
    return [
        f"{metric}: {', '.join(_STATED)} are not what its values give"
        for metric, entry in golden.statistical.items()
        if not any(_states(entry, _again(entry, paired=paired)) for paired in (True, False))
    ]


def _again(entry: Statistical, *, paired: bool) -> Statistical:
    """Return a metric with what it states computed anew from its values, in pairs with its guard or not."""
    return statistical_entry(
        entry.values,
        scale=entry.scale,
        margin=entry.margin,
        alpha=entry.alpha,
        test=entry.test,
        dead_below=entry.dead_below,
        guard=entry.guard,
        guard_values=entry.guard_values,
        check_seeds=entry.check_seeds,
        sequential=entry.sequential,
        paired=paired,
    )


def _states(entry: Statistical, again: Statistical) -> bool:
    """Tell whether two entries state the same but for rounding, which is of the size of the values."""
    rounding = _EPSILON * max((abs(value) for value in entry.values.values() if math.isfinite(value)), default=0.0)
    numbers = [[_number(getattr(side, name)) for name in _STATED] for side in (entry, again)]
    return all(
        math.isclose(stated, computed, rel_tol=REPEAT, abs_tol=rounding)
        or (math.isnan(stated) and math.isnan(computed))
        for stated, computed in zip(*numbers, strict=True)
    )


def _number(stated: float | None) -> float:
    return math.nan if stated is None else stated


def _result(golden: Golden) -> Result:
    return Result(
        name=golden.name,
        exact=golden.exact,
        close=golden.close,
        statistical=golden.statistical,
        stream=golden.stream,
        arrays=golden.arrays,
    )


def _damages(same: Result) -> Iterator[tuple[str, Result]]:
    """Yield results whose metrics are wrong, each with what is wrong about it."""
    for metric, entry in same.statistical.items():
        yield f"{metric}: a dropped metric", replace(same, statistical=_without(same.statistical, metric))
        yield f"{metric}: an added metric", replace(same, statistical={**same.statistical, f"{metric} added": entry})
        for what, values in _wrong_values(entry) if entry.margin is not None else ():
            damaged = {**same.statistical, metric: replace(entry, values=values)}
            yield f"{metric}: {what}", replace(same, statistical=damaged)


def _wrong_values(entry: Statistical) -> Iterator[tuple[str, Mapping[str, float]]]:
    """Yield values by seed, of as many seeds as a check must have, that a metric with a margin must refuse."""
    seeds = entry.checked_seeds
    if entry.guard is not None:
        yield f"the guard '{entry.guard}'", _of(seeds, entry.guard_values or {})
    for direction in (1, -1):
        yield "a shift of twice the detectable effect", _of(seeds, _shifted(entry, 2 * direction * entry.detectable))
    if entry.test == "permutation" and entry.effect:
        dead = min(len(seeds), math.ceil(len(seeds) * entry.detectable / entry.effect - _ROUNDING))
        yield f"{dead} dead seeds", _with_dead_seeds(entry, seeds, dead)
    if entry.test == "t" and entry.dead_below is None:
        yield "one wild seed", {**_of(seeds, entry.values), seeds[0]: _wild(entry)}
    if entry.first_values is not None:
        yield "a frozen model", _of(seeds, entry.first_values)
    for seed in seeds[: LOOKS[0]] if entry.sequential else seeds:  # a look sees no later seeds
        yield f"NaN at seed {seed}", {**_of(seeds, entry.values), seed: math.nan}


def _of(seeds: list[str], values: Mapping[str, float]) -> dict[str, float]:
    return {seed: values[seed] for seed in seeds if seed in values}


def _wild(entry: Statistical) -> float:
    """Return a value that lies thousands of the golden's spreads, and of its margins, from its mean."""
    old = on_scale(list(entry.values.values()), entry.scale)
    far = float(old.mean() + _WILD * (spread(old) + (entry.margin or 0.0)))
    return math.exp(min(far, _LARGEST_LOG)) if entry.scale == "log" else far


def _shifted(entry: Statistical, shift: float) -> dict[str, float]:
    """Return golden values moved by a shift on their scale, with the residuals that the guard has from seed to seed.

    Without a guard, or where it diverged, every seed moves alike.
    """
    old = on_scale(list(entry.values.values()), entry.scale)
    moved: Array = old + shift
    guard_values = [(entry.guard_values or {}).get(seed, math.nan) for seed in entry.values]
    if all(map(math.isfinite, guard_values)):
        guard = on_scale(guard_values, entry.scale)
        moved += guard - old - np.mean(guard - old)
    if entry.scale == "log":
        moved = np.exp(moved)
    return dict(zip(entry.values, moved.tolist(), strict=True))


def _with_dead_seeds(entry: Statistical, seeds: list[str], dead: int) -> dict[str, float]:
    """Return golden values with those of the guard at so many seeds, where the guard lies farthest away."""
    guard = entry.guard_values or {}
    farthest = sorted(seeds, key=lambda seed: -abs(guard[seed] - entry.values[seed]))
    return {**_of(seeds, entry.values), **_of(farthest[:dead], guard)}


def _damaged_arithmetic(same: Result) -> Iterator[tuple[str, Result]]:
    """Yield results with a wrong exact or close entry."""
    for key in same.exact:
        yield f"exact {key}: a dropped key", replace(same, exact=_without(same.exact, key))
    yield "exact: an added key", replace(same, exact={**same.exact, "an added key": 0})
    for key, entry in same.close.items():
        yield f"close {key}: a dropped key", replace(same, close=_without(same.close, key))
        if not _is_nan(entry.value):
            yield f"close {key}: NaN", replace(same, close={**same.close, key: replace(entry, value=math.nan)})
    yield "close: an added key", replace(same, close={**same.close, "an added key": Close(0.0)})


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _without(entries: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: entry for name, entry in entries.items() if name != key}
