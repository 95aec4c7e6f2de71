"""What a comparison leaves behind: one drift per entry that does not hold, and how its values are shown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from goldmark.golden._compare.curve import Curve
from goldmark.golden._files.arrays import is_summary

Tier = Literal["exact", "close", "statistical", "repeat", "key", "rule"]

_LARGEST_LOG = 700.0  # of a float
_WIDTH = 32  # characters of one value in a message


class _Missing:
    """Stands for an entry that one side does not have."""

    def __repr__(self) -> str:
        return "nothing"


MISSING = _Missing()


@dataclass(frozen=True)
class Length:
    """Stands for two lists whose lengths are their difference."""

    n_values: int

    def __repr__(self) -> str:
        return f"{self.n_values} values"


@dataclass(frozen=True)
class Form:
    """Stands for two arrays whose dtypes or shapes are their difference."""

    text: str

    def __repr__(self) -> str:
        return self.text

    @property
    def shape(self) -> str:
        """Return the part of the text that is not the dtype."""
        return self.text.partition(" ")[2]


@dataclass(frozen=True, kw_only=True)
class Drift:
    """One entry that does not hold: what was golden, what came, and how far away that is."""

    tier: Tier
    key: str
    golden: Any
    got: Any
    size: float  # in tolerances or margins; infinite where it is not a number
    text: str
    curve: Curve | None = None  # the list of numbers that it is an entry of, where several of them drift
    named: bool = True  # not one of those entries of a curve that are neither the first nor the farthest off

    @property
    def is_structure(self) -> bool:
        """Whether lengths, shapes or dtypes differ, which is said before what their entries are."""
        return isinstance(self.golden, Length | Form)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Whether a result holds against its golden; `ok` is None where it does on fewer seeds than a check must have."""

    name: str
    ok: bool | None
    reason: str  # why `ok` is None, the worst drift where it is False, how much was checked where it is True
    drifts: tuple[Drift, ...] = ()  # worst first
    not_checked: tuple[str, ...] = ()  # names of metrics that were compared on fewer seeds than they need
    cause: str = ""  # which code or environment changed, where something drifted
    n_entries: int = 0  # numbers, texts, flags and metrics that were compared
    unchecked: str = ""  # how many seeds those were, and what they detect
    undecided: tuple[str, ...] = ()  # metrics that hold although their interval is wider than their margin, in words
    next_seeds: tuple[str, ...] = ()  # that a sequential check still has to train; empty where it has decided


@dataclass(frozen=True, kw_only=True)
class ComparedMetrics:
    """What is to be said of all metrics of a golden."""

    drifts: tuple[Drift, ...] = ()  # of those that do not hold
    undecided: tuple[Drift, ...] = ()  # of those that hold although their interval is wider than their margin
    partial: Mapping[str, str] = field(default_factory=dict)  # why, by metric, of those on too few seeds
    going_on: tuple[Drift, ...] = ()  # of those that a sequential check has to look at again
    next_seeds: tuple[str, ...] = ()  # which that look needs, beside those that were run
    looks: tuple[str, ...] = ()  # at which looks sequential checks are, in words


def difference(
    tier: Tier,
    key: str,
    golden: Any,
    got: Any,
    *,
    size: float = math.inf,
    in_tolerances: str = "",
    note: str = "",
    curve: Curve | None = None,
    named: bool = True,
) -> Drift:
    """Return the drift of one entry; an entry that one side lacks is a drift of its key."""
    if golden is MISSING or got is MISSING:
        there = "only in the result" if golden is MISSING else "only in the golden"
        value = got if golden is MISSING else golden
        return Drift(
            tier="key", key=key, golden=golden, got=got, size=math.inf, text=f"{tier} {key}: {there}, {show(value)}"
        )
    sized = in_tolerances if math.isfinite(size) else ""
    remark = ", ".join(part for part in (percent(golden, got), sized, note, _types(golden, got)) if part)
    text = f"{tier} {key}: golden {show(golden)}, got {show(got)}{f' ({remark})' if remark else ''}"
    return Drift(tier=tier, key=key, golden=golden, got=got, size=size, text=text, curve=curve, named=named)


def rule_drift(key: str, name: str, golden: Any, got: Any) -> Drift:
    """Return the drift of a rule that the code states otherwise than the golden."""
    text = f"rule {key}.{name}: golden {show(golden)}, now {show(got)}; a rule changes by an update of the golden"
    return Drift(tier="rule", key=f"{key}.{name}", golden=golden, got=got, size=math.inf, text=text)


def is_number(value: Any) -> bool:
    """Tell whether a plain value is a number; true and false are not."""
    return type(value) in (int, float)


def percent(golden: Any, got: Any) -> str:
    """Return the change in percent of the golden value; nothing where that has no meaning."""
    if not (is_number(golden) and is_number(got)) or not golden:
        return ""
    change = 100 * (got - golden) / abs(golden)
    if not change or not math.isfinite(change):
        return ""
    return f"{change:+.0f} %" if 1e3 <= abs(change) < 1e6 else f"{change:+.3g} %"


def show(value: Any) -> str:
    """Return a value in few characters: numbers to 9 digits, because close values differ late."""
    text = f"{value:.9g}" if isinstance(value, float) else repr(value)
    if is_summary(value):
        text = f"a summary of {value['n']} entries"
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."


def show_shift(shift: float, scale: str) -> str:
    """Return a shift on a metric's scale in its unit, or in percent on the log scale."""
    return f"{100 * math.expm1(min(shift, _LARGEST_LOG)):.3g} %" if scale == "log" else f"{shift:.3g}"


def show_interval(interval: tuple[float, float], scale: str) -> str:
    """Return an interval of a shift in its unit, or in percent on the log scale."""
    return f"{show_shift(interval[0], scale)} to {show_shift(interval[1], scale)}"


def _types(golden: Any, got: Any) -> str:
    """Name the types where they are the difference, or are hard to see."""
    if isinstance(golden, Length):
        return "the lengths differ"
    if isinstance(golden, Form):
        return "the dtypes differ" if isinstance(got, Form) and golden.shape == got.shape else "the shapes differ"
    return "" if type(golden) is type(got) else f"{type(golden).__name__} became {type(got).__name__}"
