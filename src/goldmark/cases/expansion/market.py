"""A user's market bars and the spans in them, read from CSV files."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch

from goldmark.case import UsageError
from goldmark.cases.expansion.bars import LOOKBACK, Span, expansion_spans
from goldmark.cases.expansion.model import N_KINDS

PRICES = ("open", "high", "low", "close")
BARS_HOLD = "CSV of market bars: time, open, high, low, close"
SPANS_HOLD = "CSV of expansions: start, end, type; times of their first and last bars"
LARGEST_PRICE = 1e12  # above it, and below its negative, a number is taken for a slip


@dataclass(frozen=True, kw_only=True)
class Market:
    """Bars in order of time, each open, high, low, close, and the spans in which price expands."""

    bars: tuple[tuple[float, ...], ...]
    spans: tuple[Span, ...]


class _Row(NamedTuple):
    """A row of a table: file and line number, and its cells by column."""

    where: str
    cells: Mapping[str, str]


def read_market(path: Path, spans: Path | None = None) -> Market:
    """Return a user's bars and spans; spans that no file names are those of `expansion_spans`.

    Times are ISO 8601, in UTC where they name no zone. Raises `UsageError` with file and line number where one is bad.
    """
    rows = _table(path, ("time", *PRICES), BARS_HOLD)
    if len(rows) <= LOOKBACK:
        raise UsageError(f"{path}: {len(rows)} bars; features look {LOOKBACK} bars back, more than that are needed")
    bars = tuple(_bar(row) for row in rows)
    times = _times(rows)
    if spans is not None:
        return Market(bars=bars, spans=_spans(spans, times, path))
    return Market(bars=bars, spans=expansion_spans(torch.tensor(bars, dtype=torch.float64)))


def _table(path: Path, columns: Sequence[str], holds: str) -> list[_Row]:
    """Return the rows of a CSV file with a header that names at least the columns, in any order."""
    lines = _lines(path, holds)
    if not lines:
        raise UsageError(f"{path}: empty; a {holds} is expected")
    number, header = lines[0]
    names = [name.strip().lower() for name in header]
    for column in columns:
        if names.count(column) != 1:
            trouble = "is missing" if column not in names else "stands more than once"
            raise UsageError(f"{path}:{number}: column '{column}' {trouble}; the header has: {', '.join(names):.200}")
    rows = []
    for number, cells in lines[1:]:
        if len(cells) != len(names):
            raise UsageError(f"{path}:{number}: {len(cells)} cells in a row; the header has {len(names)} columns")
        rows.append(_Row(f"{path}:{number}", {name: cell.strip() for name, cell in zip(names, cells, strict=True)}))
    return rows


def _lines(path: Path, holds: str) -> list[tuple[int, list[str]]]:
    """Return the rows of a CSV file that are not empty, each with the number of its last line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"{path}: cannot be read ({reason}); give a {holds}") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise UsageError(f"{path}:{reader.line_num}: not CSV that can be read ({error})") from None


def _bar(row: _Row) -> tuple[float, ...]:
    """Return open, high, low, close of a bar whose high is its highest and whose low is its lowest price."""
    opened, high, low, closed = (_price(row, column) for column in PRICES)
    if high < low:
        raise UsageError(f"{row.where}: high {high} is below low {low}")
    for column, price in (("open", opened), ("close", closed)):
        if not low <= price <= high:
            raise UsageError(f"{row.where}: {column} {price} is outside its bar, from low {low} to high {high}")
    return opened, high, low, closed


def _price(row: _Row, column: str) -> float:
    try:
        price = float(row.cells[column])
    except ValueError:
        price = math.nan
    if not abs(price) <= LARGEST_PRICE:
        raise UsageError(f"{row.where}: column '{column}' is {row.cells[column]!r:.40}; a finite price is expected")
    return price


def _times(rows: Sequence[_Row]) -> list[datetime]:
    """Return the times of bars, each later than the one before."""
    times = [_time(row, "time") for row in rows]
    for (before, earlier), (row, later) in pairwise(zip(rows, times, strict=True)):
        if later <= earlier:
            trouble = "is that of" if later == earlier else "is earlier than"
            raise UsageError(
                f"{row.where}: time {row.cells['time']} {trouble} the bar before, {before.cells['time']}; "
                "one bar a time is expected, the latest last"
            )
    return times


def _time(row: _Row, column: str) -> datetime:
    cell = row.cells[column]
    try:
        time = datetime.fromisoformat(cell)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        like = "a time such as 2024-01-31 09:00:00"
        raise UsageError(f"{row.where}: column '{column}' is {cell!r:.40}; {like} is expected") from None


def _spans(path: Path, times: Sequence[datetime], bars: Path) -> tuple[Span, ...]:
    """Return the spans of a file in order of time, which end with or after their first bar and do not overlap."""
    number_of = {time: number for number, time in enumerate(times)}
    placed = []
    kinds: set[str] = set()
    for row in _table(path, ("start", "end", "type"), SPANS_HOLD):
        first, last = (_bar_number(row, column, number_of, bars) for column in ("start", "end"))
        if last < first:
            raise UsageError(f"{row.where}: end {row.cells['end']} is before start {row.cells['start']}")
        placed.append((Span(first=first, last=last, kind=_kind(row, kinds)), row.where))
    placed.sort(key=lambda pair: (pair[0].first, pair[0].last))
    for (earlier, other), (later, where) in pairwise(placed):
        if later.first <= earlier.last:
            raise UsageError(f"{where}: this span overlaps that of {other}; each bar is in one span at most")
    return tuple(span for span, _ in placed)


def _bar_number(row: _Row, column: str, number_of: Mapping[datetime, int], bars: Path) -> int:
    time = _time(row, column)
    if time not in number_of:
        raise UsageError(f"{row.where}: {column} {row.cells[column]} is the time of no bar in {bars}")
    return number_of[time]


def _kind(row: _Row, kinds: set[str]) -> str:
    """Return the type of a span and note it among the kinds, of which the model has so many classes."""
    kind = row.cells["type"]
    if not kind:
        raise UsageError(f"{row.where}: column 'type' is empty; a word is expected, such as up or down")
    if kind not in kinds and len(kinds) == N_KINDS:
        known = ", ".join(sorted(kinds))
        raise UsageError(f"{row.where}: type '{kind:.40}' is one too many; {N_KINDS} are told apart, here {known:.150}")
    kinds.add(kind)
    return kind
