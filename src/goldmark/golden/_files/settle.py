"""Results as they are stored: plain values, dtype and shape of arrays, summaries of the large ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from goldmark.golden._files.arrays import KEPT_WHOLE, SAMPLED, Array
from goldmark.golden._files.entries import Close, Result
from goldmark.golden._files.plain import noting, plain


def settled(result: Result, limit: int = KEPT_WHOLE) -> Result:
    """Return a result with plain values, in which an array of more entries than the limit is its summary."""
    notes = dict(result.arrays)
    exact = {key: plain(value, key, noting("exact", notes, limit)) for key, value in result.exact.items()}
    read = noting("close", notes, limit)
    close = {key: replace(entry, value=plain(entry.value, key, read)) for key, entry in result.close.items()}
    return replace(result, exact=exact, close=close, arrays=notes)


def comparable(result: Result) -> tuple[dict[str, Any], dict[str, Close], dict[str, str]]:
    """Return exact and close entries as plain values, and dtype and shape of their arrays by tier and key.

    Large arrays stay as they are: a golden says whether it holds all of their entries.
    """
    notes = dict(result.arrays)
    exact = {key: plain(value, key, noting("exact", notes)) for key, value in result.exact.items()}
    read = noting("close", notes)
    close = {key: replace(entry, value=plain(entry.value, key, read)) for key, entry in result.close.items()}
    return exact, close, notes


def said_of_large_arrays(result: Result, limit: int) -> list[str]:
    """Return a line for each array of a result that a golden would hold as a summary."""
    values: dict[str, Any] = {**result.exact, **{key: close.value for key, close in result.close.items()}}
    return [
        f"'{key}' has {len(array.numbers)} entries, of which the golden holds hash, dtype, shape, statistics and "
        f"{SAMPLED} entries (golden_whole = {len(array.numbers)} keeps all)"
        for key, array in _arrays(values, "")
        if len(array.numbers) > limit
    ]


def _arrays(value: Any, key: str) -> Iterator[tuple[str, Array]]:
    if isinstance(value, Array):
        yield key, value
    elif isinstance(value, Mapping):
        for name, entry in value.items():
            yield from _arrays(entry, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for i, entry in enumerate(value):
            if isinstance(entry, Array | dict | list):
                yield from _arrays(entry, f"{key}[{i}]")
