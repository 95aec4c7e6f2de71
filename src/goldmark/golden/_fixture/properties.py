"""What the goldens of a test came to, as properties of the test, which JUnit's XML shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from goldmark.golden._compare.drift import is_number
from goldmark.golden._files.entries import Golden, Result, Statistical
from goldmark.golden._fixture.session import Outcome

_OURS = "golden "  # begins the name of each property
_WORDS = {True: "holds", False: "fails", None: "not checked in full"}

Compared = tuple[Outcome, Result, Golden | None]


def replace_properties(item: pytest.Item, compared: Iterable[Compared]) -> None:
    """Give a test the properties of its goldens, instead of those of an earlier run of it."""
    others = [(name, value) for name, value in item.user_properties if not name.startswith(_OURS)]
    own = [(f"{_OURS}{name}", value) for each in compared for name, value in _properties(*each)]
    item.user_properties[:] = [*others, *own]


def _properties(outcome: Outcome, result: Result, golden: Golden | None) -> Iterator[tuple[str, str]]:
    """Yield (name, text): what became of a golden, its single close numbers, and of metrics values, seeds and p."""
    yield outcome.name, "recorded" if outcome.recorded else _WORDS[outcome.ok]
    for key, close in result.close.items():
        if is_number(close.value):
            yield f"{outcome.name} {key}", repr(close.value)
    for metric, entry in result.statistical.items():
        yield f"{outcome.name} {metric} seeds", " ".join(entry.values)
        yield f"{outcome.name} {metric} values", " ".join(map(repr, entry.values.values()))
        p = None if golden is None else _p(metric, entry, result, golden)
        if p is not None:
            yield f"{outcome.name} {metric} p", f"{p:.3g}"


def _p(metric: str, entry: Statistical, result: Result, golden: Golden) -> float | None:
    """Return the p value of a metric against its golden, None where there is no test of its seeds."""
    from goldmark.golden._compare.metrics import p_value  # numpy comes with it

    approved = golden.statistical.get(metric)
    known = approved is not None and approved.margin is not None and set(entry.values) <= set(approved.values)
    return p_value(golden, result, metric) if known else None
