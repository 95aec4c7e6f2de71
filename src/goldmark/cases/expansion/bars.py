"""Measured market bars: the record's twelve features of a bar, and a split of windows in time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from goldmark.case import UsageError

LOOKBACK = 20  # bars before a bar that its features look at
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
