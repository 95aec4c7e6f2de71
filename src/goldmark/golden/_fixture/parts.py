"""Results of one test put together: what one check adds, what part of a golden it covers, what is shown by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from goldmark.case import UsageError
from goldmark.golden._compare.drift import show_shift
from goldmark.golden._files.entries import Golden, Result, Statistical


def unproved(entries: Mapping[str, Statistical], *, power: bool) -> list[str]:
    """Return in words which metrics are only shown, and which gate without any proof that they see a bug."""
    shown = [metric for metric, entry in entries.items() if entry.margin is None]
    gating = {metric: entry for metric, entry in entries.items() if entry.margin is not None}
    unguarded = {metric: entry for metric, entry in gating.items() if not (entry.guard or entry.first_values)}
    detects = [f"{metric} (detects {show_shift(e.detectable, e.scale)})" for metric, e in unguarded.items()]
    return [
        *([f"shown only, without a margin: {', '.join(shown)}"] if shown else []),
        *([f"no guard, shown to see: nothing: {', '.join(detects if power else unguarded)}"] if unguarded else []),
    ]


def part(golden: Golden, new: Result) -> Golden:
    """Return the golden's entries that one check covers; those it lacks are the comparator's to report."""
    return replace(
        golden,
        exact={key: golden.exact[key] for key in new.exact if key in golden.exact},
        close={key: golden.close[key] for key in new.close if key in golden.close},
        statistical={key: golden.statistical[key] for key in new.statistical if key in golden.statistical},
        stream=golden.stream if new.statistical else None,
        arrays={place: text for place, text in golden.arrays.items() if _is_of(place, new)},
    )


def _is_of(place: str, new: Result) -> bool:
    """Tell whether an array is part of an entry that a check covers."""
    tier, _, key = place.partition(" ")
    return any(key == name or key.startswith((f"{name}.", f"{name}[")) for name in getattr(new, tier))


def merged(before: Result, new: Result) -> Result:
    """Add the entries of one check to those of the test; raise `UsageError` for a key that was checked before."""
    for tier in ("exact", "close", "statistical"):
        twice = set(getattr(before, tier)) & set(getattr(new, tier))
        if twice:
            raise UsageError(
                f"golden '{before.name}': '{min(twice)}' is checked twice as {tier}; give each its own key"
            )
    if before.statistical and new.statistical and (before.stream, _seeds(before)) != (new.stream, _seeds(new)):
        raise UsageError(
            f"golden '{before.name}': a second call of statistical has other seeds or another stream; "
            "one stream a golden: use golden(name) for the other"
        )
    if new.statistical:
        before = replace(before, stream=new.stream)
    return replace(
        before,
        exact={**before.exact, **new.exact},
        close={**before.close, **new.close},
        arrays={**before.arrays, **new.arrays},
        statistical={**before.statistical, **new.statistical},
    )


def _seeds(result: Result) -> set[str]:
    return {seed for entry in result.statistical.values() for seed in entry.values}
