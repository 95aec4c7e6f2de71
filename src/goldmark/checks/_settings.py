"""Settings: whether each of them changes anything, as an ablation takes for granted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TypeVar

from goldmark.case import Finding

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    S = TypeVar("S", bound=DataclassInstance)


def check_unread_setting(trace: Callable[[S], Iterable[float]], settings: S, others: Mapping[str, Any]) -> Finding:
    """Find out which settings change nothing: with and without them the same data, weights and losses.

    `trace` returns the numbers of a short run with settings (a dataclass) and the same seed, such as sums of data and
    of initial weights and the losses of a few steps; `others` gives every setting that is tried another value. The
    numbers of the finding are how many of the trace's changed. Raises `ValueError` where a value is no other one, and
    where the same settings give two traces: then any setting would seem to change something.
    """
    before = _bits(trace(settings))
    if before != _bits(trace(settings)):
        raise ValueError("two traces of the same settings differ; seed all that is random in them")
    changed = {}
    for name, value in others.items():
        if getattr(settings, name) == value:
            raise ValueError(f"setting '{name}' is {value!r} already; give it another value")
        after = _bits(trace(replace(settings, **{name: value})))
        changed[name] = float(sum(one != other for one, other in zip_longest(before, after)))
    unread = [name for name, count in changed.items() if not count]
    return Finding(
        name="unread_setting",
        trouble=bool(unread),
        numbers=changed,
        threshold=0.0,
        advice=f"no run is another one for {', '.join(unread) or 'any other setting'}: nothing reads it, and 'with' "
        "against 'without' compares two seeds of one configuration",
    )


def _bits(numbers: Iterable[float]) -> list[str]:
    """Return numbers as texts that are equal where all bits are, so that a NaN equals itself."""
    return [float(number).hex() for number in numbers]
