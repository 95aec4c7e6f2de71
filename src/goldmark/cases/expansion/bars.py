"""Measured market bars: the record's twelve features of a bar, spans by a rule, and windows split in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from goldmark.case import Data, UsageError
from goldmark.cases.expansion.data import countdown_bars, span_labels
from goldmark.training import draws

LOOKBACK = 20  # bars before a bar that its features look at
LABEL_GAP = LOOKBACK + 1  # bars between training and validation: the rule sees one bar past the end of a span
VALIDATION_SHARE = 0.2  # of the windows, as in the record: 42 of 210
FEWEST_WINDOWS = 10
EXPANDS, GOES_ON = 2.5, 1.0  # ranges of a span's first bar and of the others, in mean ranges of the bars before it
SHORTEST, LONGEST = 4, 11  # bars of a span by the rule, as in the record
_FLAT = 1e-9  # sd of a feature that varies by rounding alone, which must not be scaled up; features are of order 1
FEATURES = (
    "open_position",
    "close_position",
    "body",
    "upper_wick",
    "lower_wick",
    "range_z",
    "swing_high_distance",
    "swing_low_distance",
    "bars_since_swing_high",
    "bars_since_swing_low",
    "expansion",
    "consolidation",
)


def bar_features(bars: Tensor) -> Tensor:
    """Return the features (N - 20, 12), named in `FEATURES`, of all bars (N, 4) that have 20 bars before them.

    Bars are open, high, low, close. Positions, body and wicks are shares of the bar's range; a swing is the extreme of
    the 20 bars before, its distance counted in their mean range, bars since it as a share of 20. The record names
    these features; their formulas are ours, and none looks ahead. Raises `UsageError` where there are too few bars.
    """
    if len(bars) <= LOOKBACK:
        raise UsageError(f"{len(bars)} bars; features look {LOOKBACK} bars back, so pass at least {LOOKBACK + 1}")
    past = bars[:-1].double().unfold(0, LOOKBACK, 1)  # (N - 20, 4, 20): the bars before each
    opened, high, low, closed = bars[LOOKBACK:].double().unbind(dim=1)
    past_high, past_low = past[:, 1], past[:, 2]
    past_range = past_high - past_low
    mean_range = past_range.mean(dim=1).clamp_min(_tiny(bars))
    span = (high - low).clamp_min(_tiny(bars))
    swing_high, high_place = past_high.max(dim=1)
    swing_low, low_place = past_low.min(dim=1)
    columns = {
        "open_position": (opened - low) / span,
        "close_position": (closed - low) / span,
        "body": (closed - opened).abs() / span,
        "upper_wick": (high - torch.maximum(opened, closed)) / span,
        "lower_wick": (torch.minimum(opened, closed) - low) / span,
        "range_z": (high - low - past_range.mean(dim=1)) / past_range.std(dim=1).clamp_min(_tiny(bars)),
        "swing_high_distance": (swing_high - closed) / mean_range,
        "swing_low_distance": (closed - swing_low) / mean_range,
        "bars_since_swing_high": (LOOKBACK - high_place).double() / LOOKBACK,
        "bars_since_swing_low": (LOOKBACK - low_place).double() / LOOKBACK,
        "expansion": (high - low) / mean_range,
        "consolidation": (swing_high - swing_low) / (LOOKBACK * mean_range),
    }
    return torch.stack([columns[name] for name in FEATURES], dim=1)


def _tiny(bars: Tensor) -> float:
    """Return a range below any tick of these prices, by which flat bars are divided."""
    return float(bars.double().abs().mean()) * 1e-9


def split_in_time(starts: Sequence[int], window: int, n_val: int, gap: int = LOOKBACK) -> tuple[list[int], list[int]]:
    """Return the places of training and validation windows among their starts, in bars: the last `n_val` validate.

    A training window ends at least `gap` bars before the first validation window starts, so that neither windows nor
    what their features look back at overlap; windows between are in neither part. Raises `UsageError` where no window
    is left to train on.
    """
    in_time = sorted(range(len(starts)), key=lambda place: starts[place])
    n_before = max(len(starts) - n_val, 0)
    val = in_time[n_before:]
    border = starts[val[0]] - gap if val else max(starts) + window
    train = [place for place in in_time[:n_before] if starts[place] + window <= border]
    if not train:
        raise UsageError(f"none of {len(starts)} windows ends {gap} bars before the {n_val} that validate; take fewer")
    return train, val


def kind_numbers(labels: Sequence[str], kinds: Sequence[str]) -> Tensor:
    """Return the place (N,) int64 of each label among the kinds; raise `UsageError` for one that is none of them."""
    unknown = sorted(set(labels) - set(kinds))
    if unknown:
        raise UsageError(f"labels {unknown} are no kind of span; the kinds are: {', '.join(kinds)}")
    return torch.tensor([kinds.index(label) for label in labels])


@dataclass(frozen=True, kw_only=True)
class Span:
    """An expansion: the numbers of its first and last bar, and what kind it is of."""

    first: int
    last: int
    kind: str


def expansion_spans(bars: Tensor) -> tuple[Span, ...]:
    """Return the spans of bars (N, 4) in which the range expands, in order of time; none overlap.

    A span starts at a bar whose range, high - low, is at least 2.5 times the mean range of the 20 bars before it, and
    goes on while ranges are at least that mean, for 11 bars at most; with fewer than 4 bars it is none. It is `up`
    where its last close is above its first open, else `down`. The rule and its numbers are ours, as the record does
    not say how its spans were marked: with them, spans of hourly currency bars have the record's mean of 7 bars.
    What is marked so can be told from the features of the span's own bars, as the rule tells it: a model that finds
    these spans has learned the rule, which is no forecast.
    """
    ranges = (bars[:, 1] - bars[:, 2]).double()
    means = ranges[:-1].unfold(0, LOOKBACK, 1).mean(dim=1).clamp_min(_tiny(bars)).tolist()
    heights = ranges.tolist()
    spans, bar = [], LOOKBACK
    while bar < len(heights):
        mean = means[bar - LOOKBACK]
        end = bar
        if heights[bar] >= EXPANDS * mean:
            end = _first_below(heights, bar + 1, bar + LONGEST, GOES_ON * mean)
        if end - bar >= SHORTEST:
            up = bool(bars[end - 1, 3] > bars[bar, 0])
            spans.append(Span(first=bar, last=end - 1, kind="up" if up else "down"))
            bar = end
        else:
            bar += 1
    return tuple(spans)


def _first_below(heights: Sequence[float], start: int, stop: int, limit: float) -> int:
    """Return the first bar from `start` that is lower than the limit, or where the search stops."""
    stop = min(stop, len(heights))
    return next((bar for bar in range(start, stop) if heights[bar] < limit), stop)


def window_starts(spans: Sequence[Span], n_bars: int, window: int) -> list[tuple[int, Span]]:
    """Return the first bar of a window for each span that has one, with its span; spans are in order of time.

    A window holds its span whole, no bar of another span, and has 20 bars before it: as in generated windows, there is
    one span in each. Where several places are left one is drawn from the span's number, so that no place in the window
    tells where the span is.
    """
    uniform = draws.uniform(draws.key(0, 0, "expansion place"), (max(len(spans), 1),)).tolist()
    placed = []
    for number, span in enumerate(spans):
        free_from = spans[number - 1].last + 1 if number else 0
        free_to = spans[number + 1].first if number + 1 < len(spans) else n_bars
        lowest = max(LOOKBACK, span.last - window + 1, free_from)
        highest = min(span.first, free_to - window)
        if lowest <= highest:
            placed.append((lowest + int(uniform[number] * (highest - lowest + 1)), span))
    return placed


def measured_windows(bars: Tensor, spans: Sequence[Span], window: int) -> Data:
    """Return windows of measured bars (N, 4) as `data.generate` names and labels them, with 12 features a bar.

    The last fifth validates, see `split_in_time`; features are scaled to mean 0 and sd 1 of the training windows,
    `feature_mean` and `feature_sd` (12,). Raises `UsageError` where there are too few bars or windows.
    """
    if len(bars) < LOOKBACK + window:
        raise UsageError(f"{len(bars)} bars; a window of {window} with {LOOKBACK} before it needs {LOOKBACK + window}")
    placed = window_starts(spans, len(bars), window)
    if len(placed) < FEWEST_WINDOWS:
        raise UsageError(
            f"{len(placed)} of {len(spans)} spans stand alone in a window of {window} bars with {LOOKBACK} before it; "
            f"at least {FEWEST_WINDOWS} are needed to train and validate"
        )
    starts = [start for start, _ in placed]
    n_val = round(VALIDATION_SHARE * len(placed))
    train, val = split_in_time(starts, window, n_val, LABEL_GAP)
    whole = _labelled(bar_features(bars), placed, sorted({span.kind for span in spans}), window)
    mean = whole["features"][train].mean(dim=(0, 1))
    sd = whole["features"][train].std(dim=(0, 1))
    sd = torch.where(sd > _FLAT, sd, torch.ones_like(sd))
    whole["features"] = (whole["features"] - mean) / sd
    halves = {f"{half}_{name}": x[rows] for half, rows in (("train", train), ("val", val)) for name, x in whole.items()}
    return halves | {"feature_mean": mean, "feature_sd": sd}


def _labelled(
    features: Tensor, placed: Sequence[tuple[int, Span]], kinds: Sequence[str], window: int
) -> dict[str, Tensor]:
    """Return features (N, T, 12) and labels of all windows; row 0 of `features` is bar 20."""
    starts = torch.tensor([start for start, _ in placed])
    first = torch.tensor([span.first for _, span in placed]) - starts
    length = torch.tensor([span.last - span.first + 1 for _, span in placed])
    return {
        "features": features[starts[:, None] - LOOKBACK + torch.arange(window)],
        "span": span_labels(first, length, window),
        "countdown": countdown_bars(first, window),
        "pointers": torch.stack([first + length / 2, length], dim=1).double() / window,
        "kind": kind_numbers([span.kind for _, span in placed], kinds),
    }
