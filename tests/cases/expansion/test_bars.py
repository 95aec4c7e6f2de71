"""Measured bars: their twelve features, spans by a rule, windows, and splits in time that overlap nowhere."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from goldmark.case import UsageError
from goldmark.cases.expansion.bars import (
    FEATURES,
    LABEL_GAP,
    LOOKBACK,
    Span,
    bar_features,
    expansion_spans,
    measured_windows,
    split_in_time,
    window_starts,
)
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


def flat(*heights):
    """Bars (N, 4) of these ranges about 100 that close where they open, after 20 of range 1."""
    rows = [(100.0, 100 + height / 2, 100 - height / 2, 100.0) for height in (*[1.0] * LOOKBACK, *heights)]
    return torch.tensor(rows, dtype=torch.float64)


def test_rule_finds_the_planted_spans(made_market):
    """First and last bar and kind of all 15, of 4 to 11 bars, up and down, and nothing else."""
    assert made_market.spans == expansion_spans(made_market.bars)


@pytest.mark.parametrize(
    ("heights", "expected"),
    [
        ([2.5, 1, 1, 1, 0.9], [(20, 23)]),  # both limits are reached
        ([2.4, 1, 1, 1, 0.9], []),  # the first bar does not expand
        ([2.5, 1, 1, 0.9, 1], []),  # three bars are none
        ([2.5, *[1] * 20], [(20, 30)]),  # eleven at most
        ([2.5, 1, 1, 1], [(20, 23)]),  # to the end of the file
        ([9, 0.5, 4, 2, 2, 2, 0.5], [(22, 25)]),  # a bar that starts none may come before one that does
    ],
)
def test_rule_of_a_span_is_the_stated_one(heights, expected):
    """2.5 mean ranges of the 20 bars before to start, one to go on, 4 to 11 bars; no close above the open is down."""
    spans = expansion_spans(flat(*heights))
    assert expected == [(span.first, span.last) for span in spans]
    assert {"down"} >= {span.kind for span in spans}


def test_kind_of_a_span_is_told_by_its_last_close():
    """A span that falls in its first bar and ends above its first open is up, whatever lies between."""
    bars = flat(2.5, 1, 1, 1, 0.9)
    bars[LOOKBACK, 3], bars[LOOKBACK + 3, 3] = 99.0, 100.4
    assert ["up"] == [span.kind for span in expansion_spans(bars)]
    bars[LOOKBACK, 3], bars[LOOKBACK + 3, 3] = 101.0, 99.6
    assert ["down"] == [span.kind for span in expansion_spans(bars)]


def test_rule_sees_one_bar_past_a_span_and_no_more(made_market):
    """Which is why a gap of the 20 bars of the features and one more keeps labels of both halves apart."""
    last = made_market.spans[6].last
    changed = made_market.bars.clone()
    changed[last + 2 :] = torch.tensor([1000.0, 1001.0, 999.0, 1000.0], dtype=torch.float64)
    assert made_market.spans[:7] == expansion_spans(changed)[:7]
    assert LOOKBACK + 1 == LABEL_GAP


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), max_size=12), st.integers(10, 60), st.integers(0, 60)
)
def test_windows_hold_one_span_each_wherever_there_is_a_place(steps, window, rest):
    """Against every place there is, one by one: each span that has one gets one of them, and no other does."""
    spans, bar = [], 0
    for gap, length in steps:
        spans.append(Span(first=bar + gap, last=bar + gap + length - 1, kind="up"))
        bar += gap + length
    n_bars = bar + rest
    inside = {number for span in spans for number in range(span.first, span.last + 1)}
    places = {}
    for start in range(LOOKBACK, n_bars - window + 1):
        held = inside & set(range(start, start + window))
        for span in spans:
            if held == set(range(span.first, span.last + 1)):
                places.setdefault(span, set()).add(start)
    placed = window_starts(spans, n_bars, window)
    assert sorted(places, key=lambda span: span.first) == [span for _, span in placed]
    assert all(start in places[span] for start, span in placed)


def test_place_of_a_span_in_its_window_is_drawn():
    """With room on both sides, first bars lie all over the window, so that no place tells where the span is."""
    spans = [Span(first=200 * i, last=200 * i + 5, kind="up") for i in range(1, 400)]
    firsts = torch.tensor([span.first - start for start, span in window_starts(spans, 80_000, 72)]).double()
    assert (0, 66) == (int(firsts.min()), int(firsts.max()))
    # of 399 draws from 0 to 66 the mean lies within 4 standard errors of 33
    assert pytest.approx(33, abs=4 * (67**2 / 12 / 399) ** 0.5) == float(firsts.mean())


@pytest.fixture(scope="module")
def windows(made_market):
    """Windows of 72 bars of the made market."""
    return measured_windows(made_market.bars, made_market.spans, 72)


def test_windows_are_features_and_labels_of_their_bars(made_market, windows):
    """Window by window, from the bars: scaled features, mask, countdown, centre and length, kind; in order of time."""
    features = bar_features(made_market.bars)
    placed = window_starts(made_market.spans, len(made_market.bars), 72)
    train, val = split_in_time([start for start, _ in placed], 72, 3, LABEL_GAP)
    assert (15, 3) == (len(placed), len(val))
    for half, rows in (("train", train), ("val", val)):
        assert len(rows) == len(windows[f"{half}_kind"])
        for row, (start, span) in enumerate(placed[place] for place in rows):
            bars = torch.arange(start, start + 72)
            unscaled = windows[f"{half}_features"][row] * windows["feature_sd"] + windows["feature_mean"]
            # scaled and back: two roundings of numbers below 100
            torch.testing.assert_close(features[bars - LOOKBACK], unscaled, rtol=0, atol=1e-12)
            assert [span.first <= bar <= span.last for bar in bars] == windows[f"{half}_span"][row].bool().tolist()
            countdown = [max(-20, min(20, span.first - int(bar))) for bar in bars]
            assert countdown == windows[f"{half}_countdown"][row].tolist()
            centre, length = (span.first + span.last + 1) / 2 - start, span.last - span.first + 1
            assert pytest.approx([centre / 72, length / 72], rel=1e-15) == windows[f"{half}_pointers"][row].tolist()
            assert ["down", "up"].index(span.kind) == windows[f"{half}_kind"][row]


def test_nothing_of_the_training_half_comes_from_later_bars(made_market, windows):
    """Other prices from the first bar that validation looks back at leave features, labels and scale as they are."""
    first = max(start for start, _ in window_starts(made_market.spans, len(made_market.bars), 72)[:-2]) - LOOKBACK
    later = made_market.bars.clone()
    later[first:] = later[first:] * 3 - 2000
    changed = measured_windows(later, made_market.spans, 72)
    for name in [*(name for name in windows if name.startswith("train")), "feature_mean", "feature_sd"]:
        assert torch.equal(windows[name], changed[name]), name
    assert not torch.equal(windows["val_features"], changed["val_features"])


def test_features_are_scaled_by_the_training_windows(windows):
    """Mean 0 and sd 1 over their bars; other bars have other means."""
    train = windows["train_features"].reshape(-1, len(FEATURES))
    torch.testing.assert_close(train.mean(dim=0), torch.zeros(12, dtype=torch.float64), rtol=0, atol=1e-9)  # rounding
    torch.testing.assert_close(train.std(dim=0), torch.ones(12, dtype=torch.float64), rtol=1e-9, atol=0)  # rounding
    assert (windows["val_features"].mean(dim=(0, 1)).abs() > 1e-3).all()


def test_feature_that_does_not_vary_stays_finite(made_market):
    """Flat bars have features of sd 0, which divides nothing."""
    flat_bars = torch.full_like(made_market.bars, 1000.0)
    data = measured_windows(flat_bars, made_market.spans, 72)
    assert data["train_features"].isfinite().all()
    assert not data["train_features"].any()


def test_too_few_bars_or_windows_are_refused(made_market):
    """With what there is, and what would be enough."""
    with pytest.raises(UsageError, match="91 bars; a window of 72 with 20 before it needs 92"):
        measured_windows(made_market.bars[:91], made_market.spans[:1], 72)
    with pytest.raises(UsageError, match="9 of 9 spans stand alone in a window of 72 bars .* at least 10 are needed"):
        measured_windows(made_market.bars, made_market.spans[:9], 72)
