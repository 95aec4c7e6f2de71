"""Walk through two plain values side by side: where they differ, and which vectors they are made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from goldmark.golden._compare.drift import MISSING, Length
from goldmark.golden._files.arrays import Array, is_summary
from goldmark.golden._files.plain import is_complex


def differing(golden: Any, got: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield (key, golden, got) for plain values at any depth that are not identical; `MISSING` stands for no entry.

    Two complex numbers are one value each, and so are two summaries of arrays, which differ by their hash.
    """
    got = as_stored(golden, got)
    if is_summary(golden) and is_summary(got):
        if golden["sha256"] != got["sha256"]:
            yield key, golden, got
    elif is_complex(golden) and is_complex(got):
        if golden != got:
            yield key, complex(**golden), complex(**got)
    elif isinstance(golden, dict) and isinstance(got, dict):
        for name in sorted({*golden, *got}):
            yield from differing(golden.get(name, MISSING), got.get(name, MISSING), f"{key}.{name}" if key else name)
    elif isinstance(golden, list) and isinstance(got, list):
        yield from _differing_lists(golden, got, key)
    elif not _identical(golden, got):
        yield key, golden, got


def _differing_lists(golden: list[Any], got: list[Any], key: str) -> Iterator[tuple[str, Any, Any]]:
    if len(golden) != len(got):
        yield key, Length(len(golden)), Length(len(got))
    for i, (old, new) in enumerate(zip(golden, got, strict=False)):
        if isinstance(old, dict | list):
            yield from differing(old, new, f"{key}[{i}]")
        elif not _identical(old, new):  # what most entries are not, at the price of a comparison
            yield f"{key}[{i}]", old, new


def vectors(golden: Any, got: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield (key, golden, got) for the values of dicts at any depth: lists, numbers, summaries of arrays."""
    got = as_stored(golden, got)
    if _is_branch(golden) and _is_branch(got):
        for name in sorted({*golden, *got}):
            yield from vectors(golden.get(name, MISSING), got.get(name, MISSING), f"{key}.{name}")
    else:
        yield key, golden, got


def as_stored(golden: Any, got: Any) -> Any:
    """Return a new value in the form in which the golden holds it: of a large array all entries, or their summary."""
    if not isinstance(got, Array):
        return got
    return got.summary() if is_summary(golden) else got.listed()


def _is_branch(value: Any) -> bool:
    return isinstance(value, dict) and not is_complex(value) and not is_summary(value)


def _identical(golden: Any, got: Any) -> bool:
    """Tell whether two plain values are equal and of one type: 1, 1.0 and true are three values."""
    return type(golden) is type(got) and bool(golden == got)
