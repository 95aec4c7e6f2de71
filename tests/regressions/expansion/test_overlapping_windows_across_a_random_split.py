"""Windows that start every few bars of one series were split at random: most of validation had been trained on."""

from __future__ import annotations

import pytest
import torch

from goldmark.cases.expansion import CASE
from goldmark.cases.expansion.bars import LOOKBACK, bar_features, split_in_time
from goldmark.checks import check_overlapping_windows
from goldmark.training import draws

WINDOW, EVERY, N_VAL = 60, 12, 15  # bars, bars, windows
STARTS = [EVERY * place for place in draws.permutation(draws.key(0, 0, "order of windows"), 90).tolist()]  # any order


def series():
    """A random walk of 1,200 bars (open, high, low, close)."""
    steps = draws.normal(draws.key(0, 0, "bars"), (1200, 8)) * 1e-3
    path = (1 + steps.flatten().cumsum(dim=0)).reshape(1200, 8)
    return torch.stack([path[:, 0], path.amax(dim=1), path.amin(dim=1), path[:, -1]], dim=1)


@pytest.fixture(scope="module")
def windows():
    """All windows (90, 60, 12) of the series' features."""
    features = bar_features(series())
    return torch.stack([features[start : start + WINDOW] for start in STARTS])


def at_random(starts, window, n_val):
    """The record's split: any windows validate."""
    order = draws.permutation(draws.key(0, 0, "random split"), len(starts)).tolist()
    return order[n_val:], order[:n_val]


def last_of_all(starts, window, n_val):
    """Looks like a fix: the last windows validate, and all others train, also those that reach into them."""
    order = sorted(range(len(starts)), key=lambda place: starts[place])
    return order[:-n_val], order[-n_val:]


def overlap(split, windows):
    """Find out whether a way of splitting leaves windows that overlap across the split."""
    train, val = split(STARTS, WINDOW, N_VAL)
    return check_overlapping_windows(windows[train], windows[val])


def test_split_in_time_with_a_gap_overlaps_nowhere(windows):
    """The right form: 15 windows validate, and what trains ends a gap before the first of them."""
    finding = overlap(split_in_time, windows)
    assert not finding.trouble, f"{finding.advice}; {dict(finding.numbers)}"
    train, val = split_in_time(STARTS, WINDOW, N_VAL)
    assert N_VAL == len(val)
    in_the_gap = (WINDOW + LOOKBACK) // EVERY  # windows that reach into it are in neither part
    assert len(STARTS) - N_VAL - in_the_gap == len(train), "windows that reach into the gap of the split train"


def test_a_random_split_of_overlapping_windows_leaks(windows):
    """The broken form: nearly every validation window has bars that were trained on."""
    finding = overlap(at_random, windows)
    assert finding.trouble
    assert finding.numbers["share"] > 0.9


def test_the_last_windows_without_a_gap_leak_too(windows):
    """The control: split in time, but windows on the border reach over it."""
    assert overlap(last_of_all, windows).trouble


@pytest.mark.parametrize(("gap", "moves"), [(LOOKBACK, False), (0, True)])
def test_the_gap_is_what_features_look_back_at(gap, moves):
    """Other bars in training windows leave validation features as they are; without the gap they do not."""
    train, val = split_in_time(STARTS, WINDOW, N_VAL, gap=gap)
    bars = series()
    first_val = min(STARTS[place] for place in val)
    trained = max(STARTS[place] for place in train) + WINDOW + LOOKBACK  # window i is of bars i + LOOKBACK onwards
    changed = torch.cat([bars[:trained] * 1.01, bars[trained:]])
    moved = bool((bar_features(bars)[first_val:] != bar_features(changed)[first_val:]).any())
    assert moves == moved, "validation features look back at bars that were trained on: widen the gap of the split"


def test_generated_windows_overlap_nowhere():
    """The case's own windows are drawn one by one: no stretch of a training window is in validation."""
    data = CASE.make_data(CASE.settings, 0)
    finding = check_overlapping_windows(data["train_features"], data["val_features"])
    assert not finding.trouble, f"{finding.advice}; {dict(finding.numbers)}"
