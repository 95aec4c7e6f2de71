"""The table of an update: old, new and change of every entry that differs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from goldmark.golden._compare.drift import is_number
from goldmark.golden._files.entries import Close, Golden, Statistical

_HEADER = ("golden", "entry", "old", "new", "change")
_WIDTH = 40  # of a value in the table; a recipe can be longer than a line


@dataclass(frozen=True, kw_only=True)
class Row:
    """One entry that an update changes, as text."""

    golden: str
    entry: str
    old: str
    new: str
    change: str


@dataclass(frozen=True, kw_only=True)
class Review:
    """What an update wrote, what it left alone because nothing changed, and the entries that changed."""

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    rounded: tuple[str, ...]  # those of the unchanged whose new numbers differ by rounding alone
    rows: tuple[Row, ...]

    def counts(self) -> str:
        """Return how many goldens were written and how many left alone, in words."""
        rounding = f" ({len(self.rounded)} but for rounding)" if self.rounded else ""
        return f"{len(self.written)} written, {len(self.unchanged)} unchanged{rounding}"


def changes(old: Golden | None, new: Golden) -> list[Row]:
    """Return a row for every entry that differs, or one row for a golden that is new."""
    if old is None:
        return [Row(golden=new.name, entry="(new)", old="", new=_contents(new), change="")]
    rows = [*_tier(new.name, old.exact, new.exact), *_tier(new.name, old.close, new.close)]
    rows += _tier(new.name, old.statistical, new.statistical)
    if old.stream != new.stream:
        rows.append(
            Row(
                golden=new.name,
                entry="stream",
                old=_count(old.stream),
                new=_count(new.stream),
                change="other order of examples or draws",
            )
        )
    return rows or [Row(golden=new.name, entry="(rules)", old="", new="", change="the same values")]


def terminal_table(rows: Sequence[Row]) -> list[str]:
    """Return the rows as lines with aligned columns."""
    cells = [_HEADER, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADER))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def _tier(golden: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Row]:
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if key not in new:
            yield Row(golden=golden, entry=key, old=_show(before), new="", change="dropped")
        elif key not in old:
            yield Row(golden=golden, entry=key, old="", new=_show(after), change="added")
        elif before != after:
            yield Row(golden=golden, entry=key, old=_show(before), new=_show(after), change=_change(before, after))


def _change(old: Any, new: Any) -> str:
    if isinstance(old, Statistical) and isinstance(new, Statistical):
        rules = [f"{name} {_show(getattr(old, name))} -> {_show(getattr(new, name))}" for name in _rules(old, new)]
        return ", ".join([_relative(_mean(old.values), _mean(new.values)), *rules])
    if isinstance(old, Close) and isinstance(new, Close):
        rel = [] if old.rel == new.rel else [f"rel {old.rel:g} -> {new.rel:g}"]
        return ", ".join([*_largest(old.value, new.value), *rel])
    return _relative(old, new) if is_number(old) and is_number(new) else "changed"


def _rules(old: Statistical, new: Statistical) -> list[str]:
    names = ("scale", "margin", "alpha", "test", "better", "guard")
    return [name for name in names if getattr(old, name) != getattr(new, name)]


def _largest(old: Any, new: Any) -> list[str]:
    """Name the largest relative change among the numbers of two values of equal structure."""
    pairs = list(zip(_numbers(old), _numbers(new), strict=False))
    moved = [(a, b) for a, b in pairs if a != b]
    if not moved or len(_numbers(old)) != len(_numbers(new)):
        return [] if old == new else ["other structure"]
    worst = max(moved, key=lambda pair: abs(pair[1] - pair[0]) / (abs(pair[0]) or 1.0))
    return [_relative(*worst) + (f" at most, {len(moved)} of {len(pairs)} moved" if len(pairs) > 1 else "")]


def _numbers(value: Any) -> list[float]:
    if isinstance(value, Mapping):
        return [number for key in sorted(value) for number in _numbers(value[key])]
    if isinstance(value, list | tuple):
        return [number for entry in value for number in _numbers(entry)]
    return [float(value)] if is_number(value) else []


def _relative(old: float, new: float) -> str:
    if not old or not math.isfinite(old) or not math.isfinite(new):
        return f"{new - old:+.4g}"
    return f"{(new - old) / abs(old):+.2%}"


def _mean(values: Mapping[str, float | None]) -> float:
    known = [value for value in values.values() if value is not None]
    return fmean(known) if known else math.nan


def _show(value: Any) -> str:
    if isinstance(value, Statistical):
        return f"{_mean(value.values):.6g} (mean of {len(value.values)})"
    if isinstance(value, Close):
        return _show(value.value)
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."


def _contents(golden: Golden) -> str:
    tiers = {"exact": golden.exact, "close": golden.close, "statistical": golden.statistical}
    return ", ".join(f"{len(entries)} {tier}" for tier, entries in tiers.items() if entries)


def _count(stream: Mapping[str, str] | None) -> str:
    return "none" if stream is None else f"{len(stream)} seeds"


def _cells(row: Row) -> tuple[str, ...]:
    return row.golden, row.entry, row.old, row.new, row.change
