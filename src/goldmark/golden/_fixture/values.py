"""What users pass to `golden.exact` and `golden.close`, as entries: values as they are now, tolerances by key."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from goldmark.case import UsageError
from goldmark.golden._defaults import Defaults
from goldmark.golden._files.arrays import Array
from goldmark.golden._files.entries import Close, Norm, Result
from goldmark.golden._files.plain import is_complex, noting, plain


def exact_result(name: str, values: Mapping[str, Any]) -> Result:
    """Return the exact entries of one check; raise `UsageError` for values that no golden holds."""
    notes: dict[str, str] = {}
    return Result(name=name, exact=_copied("exact", values, notes), arrays=notes)


def close_result(name: str, values: Mapping[str, Any], defaults: Defaults, given: Mapping[str, Any]) -> Result:
    """Return the close entries of one check by tolerances that are one value, or a dict by key.

    Raise `UsageError` for values that no golden holds, and for a tolerance that is none or that is of another key.
    """
    notes: dict[str, str] = {}
    copies = _copied("close", values, notes)
    _known_keys(copies, given)
    return Result(
        name=name, close={key: _close(key, value, defaults, given) for key, value in copies.items()}, arrays=notes
    )


def need_dict(check: str, values: Any) -> None:
    """Raise `UsageError` unless a check was given values by name."""
    if not isinstance(values, Mapping):
        raise UsageError(
            f"{check} takes a dict of named values, not {type(values).__name__}: golden.{check}({{'x': ...}})"
        )


def _copied(check: str, values: Mapping[str, Any], notes: dict[str, str]) -> dict[str, Any]:
    """Return values as they are now: they are compared when the test ends."""
    need_dict(check, values)
    arrays = noting(check, notes)
    try:
        return {str(key): plain(value, str(key), arrays) for key, value in values.items()}
    except RecursionError:
        raise UsageError(f"{check} was given values that hold themselves; pass numbers, text or arrays") from None


def _known_keys(values: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise `UsageError` for a tolerance of a key that the call does not have: a misspelt one would allow nothing."""
    for argument, by_key in given.items():
        unknown = sorted({str(key) for key in by_key} - set(values)) if isinstance(by_key, Mapping) else []
        if unknown:
            raise UsageError(f"{argument} names '{unknown[0]}'; the keys of this call: {', '.join(values) or 'none'}")


def _close(key: str, value: Any, defaults: Defaults, given: Mapping[str, Any]) -> Close:
    rel, absolute, norm, equal_nan = (_of_key(given[name], key) for name in ("rel", "abs", "norm", "equal_nan"))
    close = Close(
        value,
        rel=defaults.rel if rel is None else _tolerance("rel", rel),
        abs=0.0 if absolute is None else _tolerance("abs", absolute),
        norm=norm,
        equal_nan=bool(equal_nan),
    )
    if close.rel >= 1:
        raise UsageError(f"rel is {rel!r}; give a relative tolerance of at least 0 and below 1, such as 1e-9")
    if norm is not None and not (isinstance(norm, str) and norm in get_args(Norm)):
        raise UsageError(f"norm is {norm!r}; give one of {', '.join(map(repr, get_args(Norm)))}")
    if equal_nan not in (None, True, False):
        raise UsageError(f"equal_nan is {equal_nan!r}; give True where NaN in the same place is no change")
    if norm or equal_nan:
        _need_numbers(key, value, "norm" if norm else "equal_nan")
    return close


def _of_key(given: Any, key: str) -> Any:
    return given.get(key) if isinstance(given, Mapping) else given


def _tolerance(argument: str, given: Any) -> float:
    number = plain(given, argument)
    if not (type(number) in (int, float) and 0 <= number < math.inf):
        what = "a relative" if argument == "rel" else "an absolute"
        below = " and below 1" if argument == "rel" else ""
        raise UsageError(f"{argument} is {given!r}; give {what} tolerance of at least 0{below}, such as 1e-9")
    return float(number)


def _need_numbers(key: str, value: Any, argument: str) -> None:
    """Raise `UsageError` for anything but numbers where these are taken together, or null stands for NaN."""
    odd = next((leaf for leaf in _leaves(value) if isinstance(leaf, bool) or not isinstance(leaf, int | float)), 0)
    if odd != 0:
        raise UsageError(f"'{key}' holds {odd!r}, and {argument} is for numbers; check it under a key of its own")


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping | list) and not is_complex(value):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _leaves(part)
    elif not is_complex(value) and not isinstance(value, Array):
        yield value
