"""Whether a result came again when its tests or trainings ran once more: what may be recorded, and as what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from goldmark.golden._compare.drift import show
from goldmark.golden._compare.rounding import repeats, strict
from goldmark.golden._compare.tiers import compare
from goldmark.golden._files.entries import Close, Golden, Result, Statistical
from goldmark.golden._files.settle import settled
from goldmark.golden._record.entry import golden_from


def unrepeated(first: Result, second: Result) -> list[str]:
    """Return what must repeat and did not: exact and close entries, the stream, the metrics and seeds that are there.

    Close numbers repeat to relative 1e-6, or to their own tolerance where that is smaller.
    """
    rules = {key: strict(entry) for key, entry in settled(first).close.items()}
    golden = golden_from(replace(first, close=rules, statistical={}, stream=None), ())
    again = replace(second, close=_by_rules(rules, first, second), statistical={}, stream=None)
    drifts = compare(golden, again).drifts
    reasons = [f"{drift.tier} {drift.key}: {show(drift.golden)}, then {show(drift.got)}" for drift in drifts]
    for what, one, other in (
        ("metrics", set(first.statistical), set(second.statistical)),
        ("seeds", _seeds(first), _seeds(second)),
        ("stream", dict(first.stream or {}), dict(second.stream or {})),
    ):
        if one != other:
            reasons.append(f"{what}: {_shown(one)}, then {_shown(other)}")
    return reasons


def with_repetition(first: Result, second: Result | None) -> Result:
    """Return a result whose metrics say whether every seed repeated to relative 1e-6, or that nobody has tried."""
    return replace(
        first,
        statistical={
            metric: replace(entry, repeats=None if second is None else _repeats(entry, second.statistical[metric]))
            for metric, entry in first.statistical.items()
        },
    )


def keep_repetition(old: Golden | None, result: Result) -> Result:
    """Return a result with what its golden says of the metrics whose values came again and which nobody tried anew.

    That is whether they repeat, and their values after innocent changes.
    """
    stored = old.statistical if old else {}
    return replace(
        result,
        statistical={
            metric: _known(stored[metric], entry) if metric in stored and _repeats(stored[metric], entry) else entry
            for metric, entry in result.statistical.items()
        },
    )


def _known(stored: Statistical, entry: Statistical) -> Statistical:
    return replace(
        entry,
        repeats=stored.repeats if entry.repeats is None else entry.repeats,
        null_values=stored.null_values if entry.null_values is None else entry.null_values,
    )


def not_repeating(result: Result) -> list[str]:
    """Return the metrics of a result that did not repeat, which their margin alone will hold."""
    return [metric for metric, entry in result.statistical.items() if entry.repeats is False]


def _repeats(first: Statistical, second: Statistical) -> bool:
    return set(first.values) == set(second.values) and all(
        repeats(value, second.values[seed]) for seed, value in first.values.items()
    )


def _by_rules(rules: Mapping[str, Close], first: Result, second: Result) -> dict[str, Close]:
    """Return the close entries of a second result by the rules of the first, where it states the same."""
    return {
        key: replace(rules[key], value=entry.value) if key in rules and entry.same_rule(first.close[key]) else entry
        for key, entry in second.close.items()
    }


def _seeds(result: Result) -> set[str]:
    return {seed for entry in result.statistical.values() for seed in entry.values}


def _shown(value: set[str] | dict[str, str]) -> str:
    return show(sorted(value) if isinstance(value, set) else dict(sorted(value.items())))
