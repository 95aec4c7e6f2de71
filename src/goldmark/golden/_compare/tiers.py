"""Compare new numbers with a golden: every entry by its rule, the worst first."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from goldmark.golden._compare.closeness import close_drifts
from goldmark.golden._compare.drift import MISSING, ComparedMetrics, Comparison, Drift, Form, Tier, difference
from goldmark.golden._compare.messages import attribution, nothing_changed
from goldmark.golden._compare.summaries import other_entries
from goldmark.golden._compare.walk import differing
from goldmark.golden._files.arrays import is_summary
from goldmark.golden._files.entries import Close, Golden, Result
from goldmark.golden._files.settle import comparable


def compare(
    golden: Golden,
    result: Result,
    *,
    statistical_only: bool = False,
    allow_fewer: bool = False,
    strict: bool = False,
) -> Comparison:
    """Return how a result compares with its golden; where nothing has changed, its metrics must repeat as well.

    Fewer seeds than a check must have fail; with `allow_fewer` those that are there are compared, and `ok` is None
    where they hold. A sequential check may end after 5 or 10 seeds; where it may not, it fails with the seeds to train
    as `next_seeds`. `statistical_only` leaves out the exact and close tiers and repeat, to show that the metrics alone
    tell a bug. `strict`: a metric whose interval is wider than its margin fails instead of being named as undecided.
    Raise `UsageError` for a golden whose seeds are too few for its own test.
    """
    drifts = [] if statistical_only else list(_arithmetic(golden, result))
    drifts += _failed_seeds(result)
    repeat = not statistical_only and nothing_changed(golden, result)
    metrics = _metrics(golden, result, repeat=repeat, allow_fewer=allow_fewer, strict=strict)
    drifts += [*metrics.drifts, *(metrics.undecided if strict else ())]
    going_on = () if drifts else metrics.going_on  # what has failed is not looked at again
    drifts += () if allow_fewer else going_on
    partial = {**metrics.partial, **{drift.key: drift.text for drift in going_on if allow_fewer}}
    drifts.sort(key=lambda drift: (not drift.is_structure, -drift.size))
    arithmetic = [] if statistical_only else [dict(golden.exact), *(entry.value for entry in golden.close.values())]
    n_entries = len(golden.statistical) + _count(arithmetic)
    why = "; ".join(dict.fromkeys(partial.values()))
    ok = False if drifts else (None if partial else True)
    undecided = [f"{len(metrics.undecided)} undecided"] if metrics.undecided else []
    held = ", ".join([f"{n_entries} entries hold", *metrics.looks, *undecided])
    reason = drifts[0].text if drifts else why or held
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
        undecided=tuple(drift.text.removeprefix("statistical ") for drift in metrics.undecided),
        next_seeds=metrics.next_seeds if going_on else (),
    )


def _failed_seeds(result: Result) -> list[Drift]:
    """Return a drift for every seed that came to nothing; the output of the first is enough."""
    texts = [f"seed {seed} failed: {error}" for seed, error in result.failures.items()]
    texts[1:] = [text.partition("\n")[0] for text in texts[1:]]
    return [
        Drift(tier="key", key=f"seed {seed}", golden="metrics", got="a failure", size=math.inf, text=text)
        for seed, text in zip(result.failures, texts, strict=True)
    ]


def _metrics(golden: Golden, result: Result, *, repeat: bool, allow_fewer: bool, strict: bool) -> ComparedMetrics:
    if result.failures or not (golden.statistical or result.statistical):
        return ComparedMetrics()
    # numpy comes with it, which a test of exact and close numbers does not pay for
    from goldmark.golden._compare.metrics import metrics_compared

    return metrics_compared(golden, result, repeat=repeat, allow_fewer=allow_fewer, strict=strict)


def _arithmetic(golden: Golden, result: Result) -> Iterator[Drift]:
    """Yield the drifts of the exact and close tiers; of an array of another shape no entry is looked at."""
    exact, close, forms = comparable(result)
    drifts = [*_exact(golden, exact), *_close(golden, close, result)]
    missing = {drift.key for drift in drifts if drift.tier == "key"} | _seeds_left_out(golden, result)
    reshaped = set()
    for place, old in golden.arrays.items():
        tier, _, key = place.partition(" ")
        new = forms.get(place, "no array")
        if new != old and not _is_within(key, missing):
            form = difference(cast("Tier", tier), key, Form(old), Form(new))
            reshaped |= {key} if Form(old).shape != Form(new).shape else set()
            yield form
    yield from (drift for drift in drifts if drift.tier == "key" or not _is_within(drift.key, reshaped))


def _is_within(key: str, places: Collection[str]) -> bool:
    """Tell whether a key is one of some others, or lies within one of them."""
    return any(key == place or key.startswith((f"{place}.", f"{place}[", f"{place},")) for place in places)


def _exact(golden: Golden, exact: Mapping[str, Any]) -> Iterator[Drift]:
    for key, old, new in differing(golden.exact, exact, ""):
        if is_summary(old) and is_summary(new):
            if old["n"] == new["n"]:
                yield other_entries("exact", key, old, new)
        else:
            yield difference("exact", key, old, new)


def _close(golden: Golden, close: Mapping[str, Close], result: Result) -> Iterator[Drift]:
    for name in sorted({*golden.close, *close}):
        old, new = golden.close.get(name), close.get(name)
        if old is None or new is None:
            yield difference("close", name, old.value if old else MISSING, new.value if new else MISSING)
        else:
            yield from close_drifts(name, replace(old, value=_of_common_seeds(old.value, golden, result)), new)


def _of_common_seeds(value: Any, golden: Golden, result: Result) -> Any:
    """Return an entry of one value per seed for the seeds that were run, where those are fewer than the golden's."""
    seeds, run = set(golden.stream or ()), set(result.stream or ())
    if isinstance(value, dict) and set(value) == seeds and run and run < seeds:
        return {seed: value[seed] for seed in run}
    return value


def _seeds_left_out(golden: Golden, result: Result) -> set[str]:
    """Return the keys, in close entries of one value per seed, of seeds that were not run."""
    pairs = ((name, old.value, _of_common_seeds(old.value, golden, result)) for name, old in golden.close.items())
    return {f"{name}.{seed}" for name, old, run in pairs if run is not old for seed in set(old) - set(run)}


def _count(value: Any) -> int:
    """Return the number of plain values at any depth; the summary of an array is one."""
    if isinstance(value, dict | list) and not is_summary(value):
        return sum(map(_count, value.values() if isinstance(value, dict) else value))
    return 1
