"""The table of an update: old, new and change of every entry that differs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from statistics import fmean
from typing import Any, TypeGuard

from goldmark.golden._compare.drift import is_number
from goldmark.golden._files.arrays import is_summary
from goldmark.golden._files.entries import CLOSE_RULE, Close, Golden, Statistical

HEADER = ("golden", "entry", "old", "new", "change")
_RULES = ("scale", "margin", "alpha", "test", "better", "guard", "check_seeds", "dead_below", "sequential")
_REPEATS = {True: "seen", False: "not seen", None: "not tried"}
_WIDTH = 40  # of a value in the table; a list can be longer than a line


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
    confirmed: tuple[str, ...]  # those of the unchanged that note other code than before
    rounded: tuple[str, ...]  # those of the unchanged whose new numbers differ by rounding alone
    rows: tuple[Row, ...]

    def counts(self) -> str:
        """Return how many goldens were written and how many left alone, in words."""
        rounding = f" ({len(self.rounded)} but for rounding)" if self.rounded else ""
        confirmed = f", {len(self.confirmed)} of these confirmed as they are: sources noted" if self.confirmed else ""
        return f"{len(self.written)} written, {len(self.unchanged)} unchanged{rounding}{confirmed}"


def changes(old: Golden | None, new: Golden | None) -> list[Row]:
    """Return a row for every entry that differs, or one row for a golden that is new or gone."""
    if old is None or new is None:
        return [_whole(golden, is_new=golden is new) for golden in (old, new) if golden is not None]
    rows = [*_tier(new.name, old.exact, new.exact), *_tier(new.name, old.close, new.close)]
    rows += _tier(new.name, old.statistical, new.statistical)
    rows += _origin(old, new)
    return rows or [Row(golden=new.name, entry="(rules)", old="", new="", change="the same values")]


def _origin(old: Golden, new: Golden) -> Iterator[Row]:
    """Yield a row where examples or draws come in another order, and where another test has recorded the golden."""
    if old.stream != new.stream:
        before, after = _count(old.stream), _count(new.stream)
        yield Row(golden=new.name, entry="stream", old=before, new=after, change="other order of examples or draws")
    for place in sorted({*old.arrays, *new.arrays}):
        form = [_show(golden.arrays.get(place, "no array")) for golden in (old, new)]
        if form[0] != form[1] and _is_there(old, new, place):
            yield Row(golden=new.name, entry=place, old=form[0], new=form[1], change="dtype or shape")
    if old.recorded_by != new.recorded_by:
        before, after = _show(old.recorded_by), _show(new.recorded_by)
        yield Row(golden=new.name, entry="(recorded by)", old=before, new=after, change="another test")


def _is_there(old: Golden, new: Golden, place: str) -> bool:
    """Tell whether the entry that an array belongs to is on both sides: one that is new or gone has a row."""
    key = place.partition(" ")[2]
    names = [{*golden.exact, *golden.close} for golden in (old, new)]
    return any(key == name or key.startswith((f"{name}.", f"{name}[")) for name in names[0] & names[1])


def _whole(golden: Golden, *, is_new: bool) -> Row:
    old, new = ("", _contents(golden)) if is_new else (_contents(golden), "")
    return Row(golden=golden.name, entry="(new)" if is_new else "(deleted)", old=old, new=new, change="")


def terminal_table(rows: Sequence[Row]) -> list[str]:
    """Return the rows as lines with aligned columns."""
    cells = [HEADER, *map(astuple, rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADER))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table in Markdown, line by line; cells are shown as they are."""
    lines = [header, ["---"] * len(header), *([_escaped(cell) for cell in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def _escaped(text: str) -> str:
    """Return text that Markdown shows as it is, in one cell."""
    return re.sub(r"[\\`*<|]|(?<!\w)_|_(?!\w)", r"\\\g<0>", text).replace("\n", " ")


def _tier(golden: str, old: Mapping[str, Any], new: Mapping[str, Any], within: str = "") -> Iterator[Row]:
    """Yield a row for every entry that differs; of a dict, such as a recipe, for each of its keys that does."""
    for name in sorted({*old, *new}):
        key, before, after = f"{within}{name}", old.get(name), new.get(name)
        if name not in new:
            yield Row(golden=golden, entry=key, old=_show(before), new="", change="dropped")
        elif name not in old:
            yield Row(golden=golden, entry=key, old="", new=_show(after), change="added")
        elif _is_dict(before) and _is_dict(after):
            yield from _tier(golden, before, after, f"{key}.")
        elif before != after and repr(before) != repr(after):  # NaN differs from itself
            yield Row(golden=golden, entry=key, old=_show(before), new=_show(after), change=_change(before, after))


def _is_dict(value: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping) and not is_summary(value)


def _change(old: Any, new: Any) -> str:
    if isinstance(old, Statistical) and isinstance(new, Statistical):
        return ", ".join([*_moved(old, new), *_rules(old, new)])
    if isinstance(old, Close) and isinstance(new, Close):
        rules = ((name, getattr(old, name), getattr(new, name)) for name in CLOSE_RULE)
        changed = [f"{name} {_show(before)} -> {_show(after)}" for name, before, after in rules if before != after]
        return ", ".join([*_largest(old.value, new.value), *changed])
    return _relative(old, new) if is_number(old) and is_number(new) else "changed"


def _moved(old: Statistical, new: Statistical) -> Iterator[str]:
    """Yield how far the mean moved, of how many seeds the value did, and which other values moved."""
    if old.values != new.values:
        seeds = {*old.values, *new.values}
        moved = sum(old.values.get(seed) != new.values.get(seed) for seed in seeds)
        yield f"{_relative(_mean(old.values), _mean(new.values))}, {moved} of {len(seeds)} seeds moved"
    if old.guard_values != new.guard_values:
        yield "the guard's values moved"
    if old.first_values != new.first_values:
        yield "the values after the first epoch moved"
    if old.null_values != new.null_values:
        yield "the values after innocent changes moved" if old.null_values else "values after innocent changes are new"


def _rules(old: Statistical, new: Statistical) -> Iterator[str]:
    """Yield the rules that differ, and what the golden says that it detects where the values do not give the reason."""
    names = [*_RULES, *(["sd", "detectable", "effect"] if old.values == new.values else [])]
    for name in names:
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            yield f"{name} {_show(before)} -> {_show(after)}"
    if old.repeats != new.repeats:
        yield f"exact repetition {_REPEATS[old.repeats]} -> {_REPEATS[new.repeats]}"


def _largest(old: Any, new: Any) -> list[str]:
    """Name the largest relative change among the numbers of two values of equal structure."""
    pairs = list(zip(_numbers(old), _numbers(new), strict=False))
    moved = [(a, b) for a, b in pairs if a != b]
    if not moved or len(_numbers(old)) != len(_numbers(new)):
        return [] if repr(old) == repr(new) else ["other structure"]
    worst = max(moved, key=lambda pair: abs(pair[1] - pair[0]) / (abs(pair[0]) or 1.0))
    return [_relative(*worst) + (f" at most, {len(moved)} of {len(pairs)} moved" if len(pairs) > 1 else "")]


def _numbers(value: Any) -> list[float]:
    if isinstance(value, Mapping):
        return [number for key in sorted(value) for number in _numbers(value[key])]
    if isinstance(value, list | tuple):
        return [number for entry in value for number in _numbers(entry)]
    return [float(value)] if is_number(value) and not math.isnan(value) else []


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
    if is_summary(value):
        return f"{value['n']} entries, mean {value['mean']:.6g}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]  # as in the file
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."


def _contents(golden: Golden) -> str:
    tiers = {"exact": golden.exact, "close": golden.close, "statistical": golden.statistical}
    return ", ".join(f"{len(entries)} {tier}" for tier, entries in tiers.items() if entries)


def _count(stream: Mapping[str, str] | None) -> str:
    return "none" if stream is None else f"{len(stream)} seeds"
