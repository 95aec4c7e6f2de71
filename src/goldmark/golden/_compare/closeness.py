"""The close tier of the comparator: numbers within their tolerance, entry by entry or in the norm of a vector."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from goldmark.golden._compare.curve import Curve, curve_of
from goldmark.golden._compare.drift import Drift, difference, percent, rule_drift, show
from goldmark.golden._compare.summaries import summary_drifts
from goldmark.golden._compare.walk import differing, vectors
from goldmark.golden._files.arrays import is_summary
from goldmark.golden._files.entries import CLOSE_RULE, Close
from goldmark.golden._files.plain import is_complex

_Entry = tuple[str, Any, Any]  # key, golden, got


def close_drifts(name: str, golden: Close, got: Close) -> Iterator[Drift]:
    """Yield what differs between two close entries by more than the golden's tolerance; plain values are compared."""
    for rule in CLOSE_RULE:
        old, new = getattr(golden, rule), getattr(got, rule)
        if old != new:
            yield rule_drift(name, rule, old, new)
    for key, a, b in vectors(golden.value, got.value, name):
        if is_summary(a) and is_summary(b):
            yield from summary_drifts(key, a, b, golden)
        else:
            yield from _vector_drifts(key, a, b, golden)


def _vector_drifts(key: str, golden: Any, got: Any, rule: Close) -> Iterator[Drift]:
    entries = list(differing(golden, got, key))
    if not entries:
        return
    numbers = [entry for entry in entries if is_pair(entry)]
    for place, a, b in (entry for entry in entries if not is_pair(entry)):
        yield difference("close", place, a, b)
    if rule.norm is None:
        yield from _entry_drifts(numbers, rule, curve_of(key, golden, got))
    elif len(numbers) == len(entries):  # of one structure
        yield from _norm_drift(key, golden, numbers, rule)


def _entry_drifts(entries: Sequence[_Entry], rule: Close, curve: Curve | None) -> Iterator[Drift]:
    """Yield the entries outside; in a curve the first of them, and the farthest away, say so."""
    sizes = [in_tolerances(a, b, rule) for _, a, b in entries]
    outside = [(entry, size) for entry, size in zip(entries, sizes, strict=True) if size > 1]
    curve = curve if len(outside) > 1 else None
    largest = max(range(len(outside)), key=lambda i: outside[i][1], default=0)
    for i, ((key, a, b), size) in enumerate(outside):
        words = [f"the first of {len(outside)} outside"] * (i == 0) + ["the farthest"] * (i == largest)
        yield difference(
            "close",
            key,
            a,
            b,
            size=size,
            in_tolerances=f"{size:.3g} tolerances of {tolerance(rule)}",
            note=", ".join(words) if curve else "",
            curve=curve,
            named=bool(words) or curve is None,
        )


def _norm_drift(key: str, golden: Any, entries: Sequence[_Entry], rule: Close) -> Iterator[Drift]:
    """Yield the drift of a vector whose change is too large in its norm, with the entry that changed the most."""
    apart = [_apart(a, b, equal_nan=rule.equal_nan) for _, a, b in entries]
    moved, size = norm_of(apart, rule.norm), norm_of(_finite(golden), rule.norm)
    allowed = rule.rel * size + rule.abs
    if moved <= allowed:
        return
    sizes = moved / allowed if allowed and math.isfinite(moved) else math.inf
    place, a, b = entries[apart.index(max(apart, key=lambda x: math.inf if math.isnan(x) else x))]
    notes = [f"{sizes:.3g} tolerances of {tolerance(rule)}"] if math.isfinite(sizes) else []
    change = percent(a, b)
    most = f"most at {place}: golden {show(a)}, got {show(b)}{f' ({change})' if change else ''}"
    words = "; ".join([", ".join([f"apart {moved:.3g}", *notes]), most])
    text = f"close {key}: {rule.norm} norm of the golden {size:.6g}, {words}"
    yield Drift(tier="close", key=key, golden=a, got=b, size=sizes, text=text)


def tolerance(rule: Close) -> str:
    """Return the tolerance of an entry in words."""
    if not rule.abs:
        return f"{rule.rel:g}"
    return f"{rule.rel:g} + {rule.abs:g} absolute" if rule.rel else f"{rule.abs:g} absolute"


def is_pair(entry: _Entry) -> bool:
    """Tell whether both sides of a difference are numbers; true and false are not."""
    return all(type(value) in (int, float, complex) for value in entry[1:])


def in_tolerances(golden: Any, got: Any, rule: Close) -> float:
    """Return how many tolerances two numbers lie apart; infinitely many where one is NaN or nothing is allowed."""
    apart = _apart(golden, got, equal_nan=rule.equal_nan)
    if apart == 0:  # 1 and 1.0
        return 0.0
    allowed = rule.rel * abs(golden) + rule.abs
    return apart / allowed if allowed and math.isfinite(apart) else math.inf


def norm_of(numbers: Sequence[float], norm: str | None) -> float:
    """Return the norm of the sizes of some numbers, "max" or "l2"; infinite where one of them is NaN."""
    sizes = [abs(number) for number in numbers]
    if any(map(math.isnan, sizes)):
        return math.inf
    return math.hypot(*sizes) if norm == "l2" else max(sizes, default=0.0)


def _apart(golden: Any, got: Any, *, equal_nan: bool) -> float:
    if equal_nan and golden != golden and got != got:  # noqa: PLR0124 (NaN, of complex numbers too)
        return 0.0
    apart = abs(got - golden)
    return math.inf if math.isnan(apart) else float(apart)


def _finite(value: Any) -> list[float]:
    """Return the sizes of all numbers of a vector at any depth; NaN, which only equals itself, has none."""
    if isinstance(value, list):
        return [size for entry in value for size in _finite(entry)]
    number = complex(**value) if is_complex(value) else value
    return [abs(number)] if type(number) in (int, float, complex) and number == number else []  # noqa: PLR0124
