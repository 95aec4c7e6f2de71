"""Compare new numbers with a golden: every entry by its rule, the worst first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from goldmark.golden._compare.drift import MISSING, Comparison, Drift, Length, difference, is_number, rule_drift
from goldmark.golden._compare.messages import attribution, nothing_changed
from goldmark.golden._files.entries import Golden, Result
from goldmark.golden._files.plain import plain


def compare(golden: Golden, result: Result, *, statistical_only: bool = False, allow_fewer: bool = False) -> Comparison:
    """Return how a result compares with its golden; where nothing has changed, its metrics must repeat as well.

    Fewer seeds than a check must have fail; with `allow_fewer` those that are there are compared, and `ok` is None
    where they hold. `statistical_only` leaves out the exact and close tiers and repeat, to show that the metrics alone
    tell a bug. Raise `UsageError` for a golden whose seeds are too few for its own test.
    """
    drifts = [] if statistical_only else [*_exact(golden, result), *_close(golden, result)]
    partial: dict[str, str] = {}
    if golden.statistical or result.statistical:
        # numpy comes with it, which a test of exact and close numbers does not pay for
        from goldmark.golden._compare.metrics import metrics_compared

        repeat = not statistical_only and nothing_changed(golden, result)
        moved, partial = metrics_compared(golden, result, repeat=repeat, allow_fewer=allow_fewer)
        drifts += moved
    drifts.sort(key=lambda drift: -drift.size)
    arithmetic = [] if statistical_only else [dict(golden.exact), *(entry.value for entry in golden.close.values())]
    n_entries = len(golden.statistical) + _count(arithmetic)
    why = "; ".join(dict.fromkeys(partial.values()))
    ok = False if drifts else (None if partial else True)
    reason = drifts[0].text if drifts else why or f"{n_entries} entries hold"
    cause = attribution(golden, result) if drifts else ""
    return Comparison(
        name=golden.name,
        ok=ok,
        reason=reason,
        drifts=tuple(drifts),
        not_checked=tuple(partial),
        cause=cause,
        n_entries=n_entries,
        unchecked=why,
    )


def _exact(golden: Golden, result: Result) -> Iterator[Drift]:
    for key, old, new in _differing(golden.exact, plain(result.exact, "exact"), ""):
        yield difference("exact", key, old, new)


def _close(golden: Golden, result: Result) -> Iterator[Drift]:
    for name in sorted({*golden.close, *result.close}):
        old, new = golden.close.get(name), result.close.get(name)
        if old is None or new is None:
            yield difference("close", name, old.value if old else MISSING, new.value if new else MISSING)
            continue
        if new.rel != old.rel:
            yield rule_drift(name, "rel", old.rel, new.rel)
        value = _of_common_seeds(old.value, golden, result)
        for key, a, b in _differing(value, plain(new.value, name), name):
            size = _tolerances(a, b, old.rel)
            if size > 1:
                note = f"{size:.3g} tolerances of {old.rel:g}"
                yield difference("close", key, a, b, size=size, in_tolerances=note)


def _differing(golden: Any, got: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield (key, golden, got) for plain values at any depth that are not identical; `MISSING` stands for no entry."""
    if isinstance(golden, dict) and isinstance(got, dict):
        for name in sorted({*golden, *got}):
            yield from _differing(golden.get(name, MISSING), got.get(name, MISSING), f"{key}.{name}" if key else name)
    elif isinstance(golden, list) and isinstance(got, list):
        if len(golden) != len(got):
            yield key, Length(len(golden)), Length(len(got))
        for i, (old, new) in enumerate(zip(golden, got, strict=False)):
            if isinstance(old, dict | list):
                yield from _differing(old, new, f"{key}[{i}]")
            elif not _identical(old, new):  # what most entries are not, at the price of a comparison
                yield f"{key}[{i}]", old, new
    elif not _identical(golden, got):
        yield key, golden, got


def _identical(golden: Any, got: Any) -> bool:
    """Tell whether two plain values are equal and of one type: 1, 1.0 and true are three values."""
    return type(golden) is type(got) and bool(golden == got)


def _of_common_seeds(value: Any, golden: Golden, result: Result) -> Any:
    """Return an entry of one value per seed for the seeds that were run, where those are fewer than the golden's."""
    seeds, run = set(golden.stream or ()), set(result.stream or ())
    if isinstance(value, dict) and set(value) == seeds and run and run < seeds:
        return {seed: value[seed] for seed in run}
    return value


def _tolerances(golden: Any, got: Any, rel: float) -> float:
    """Return how many relative tolerances two differing values lie apart; what is no number, infinitely many."""
    if not (is_number(golden) and is_number(got)):
        return math.inf
    apart = abs(got - golden)
    if apart == 0:  # 1 and 1.0
        return 0.0
    tolerance = rel * abs(golden)
    return apart / tolerance if tolerance and math.isfinite(apart) else math.inf


def _count(value: Any) -> int:
    """Return the number of plain values at any depth."""
    if isinstance(value, dict | list):
        return sum(map(_count, value.values() if isinstance(value, dict) else value))
    return 1
