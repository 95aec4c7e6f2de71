"""Measured bars: their twelve features bar by bar, and splits in time that overlap nowhere."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from goldmark.case import UsageError
from goldmark.cases.expansion.bars import FEATURES, LOOKBACK, bar_features, split_in_time
from goldmark.training import draws

N_BARS = 200


@pytest.fixture(scope="module")
def bars():
    """A random walk (200, 4): open, high, low, close, at prices about 1."""
    path = 1 + (draws.normal(draws.key(0, 0, "bars"), (N_BARS, 8)) * 1e-3).flatten().cumsum(dim=0).reshape(N_BARS, 8)
    return torch.stack([path[:, 0], path.amax(dim=1), path.amin(dim=1), path[:, -1]], dim=1)


def test_features_are_those_of_plain_loops(bars):
    """Bar by bar, from the names: a second implementation, so that each name stands at its column."""
    rows = bars.tolist()
    actual = bar_features(bars)
    for place in range(LOOKBACK, N_BARS, 17):
        opened, high, low, closed = rows[place]
        past = rows[place - LOOKBACK : place]
        ranges = torch.tensor([bar[1] - bar[2] for bar in past], dtype=torch.float64)
        highs, lows = [bar[1] for bar in past], [bar[2] for bar in past]
        mean_range = float(ranges.mean())
        expected = {
            "open_position": (opened - low) / (high - low),
            "close_position": (closed - low) / (high - low),
            "body": abs(closed - opened) / (high - low),
            "upper_wick": (high - max(opened, closed)) / (high - low),
            "lower_wick": (min(opened, closed) - low) / (high - low),
            "range_z": (high - low - mean_range) / float(ranges.std()),
            "swing_high_distance": (max(highs) - closed) / mean_range,
            "swing_low_distance": (closed - min(lows)) / mean_range,
            "bars_since_swing_high": (LOOKBACK - highs.index(max(highs))) / LOOKBACK,
            "bars_since_swing_low": (LOOKBACK - lows.index(min(lows))) / LOOKBACK,
            "expansion": (high - low) / mean_range,
            "consolidation": (max(highs) - min(lows)) / (LOOKBACK * mean_range),
        }
        row = dict(zip(FEATURES, actual[place - LOOKBACK].tolist(), strict=True))
        assert pytest.approx(expected, rel=1e-9) == row  # differences of prices about 1 lose some digits


def test_features_need_a_past(bars):
    """Twenty bars have no bar with twenty before it; flat bars are divided by no zero."""
    with pytest.raises(UsageError, match="20 bars; features look 20 bars back, so pass at least 21"):
        bar_features(bars[:LOOKBACK])
    assert bar_features(torch.ones(30, 4)).isfinite().all()


def test_features_look_at_no_later_bar(bars):
    """Other bars from number 100 on leave the features of all bars before as they are."""
    changed = torch.cat([bars[:100], bars[100:] * 1.1])
    assert torch.equal(bar_features(bars)[: 100 - LOOKBACK], bar_features(changed)[: 100 - LOOKBACK])
    assert not torch.equal(bar_features(bars)[100 - LOOKBACK :], bar_features(changed)[100 - LOOKBACK :])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 400), min_size=2, max_size=30), st.integers(1, 60), st.integers(1, 29), st.integers(0, 40)
)
def test_split_keeps_its_gap_and_loses_no_window_without_reason(starts, window, n_val, gap):
    """Whatever the starts: the last ones validate, all that end a gap before them train, and none is in both."""
    try:
        train, val = split_in_time(starts, window, n_val, gap)
    except UsageError:
        first = sorted(starts)[max(len(starts) - n_val, 0)]
        assert all(start + window + gap > first for start in starts)
        return
    first = min(starts[place] for place in val)
    rest = set(range(len(starts))) - set(val)
    assert sorted(starts)[-n_val:] == [starts[place] for place in val]
    assert {place for place in rest if starts[place] + window + gap <= first} == set(train)


def test_more_windows_to_validate_than_there_are_is_refused():
    """Nothing would be left to train on, and the message says what to do."""
    with pytest.raises(UsageError, match="none of 3 windows ends 20 bars before the 5 that validate; take fewer"):
        split_in_time([0, 100, 200], 10, 5)
