"""Windows that overlap across a split, against the intervals that they were cut from."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from goldmark.checks import check_overlapping_windows, continued_share, overlap_share

SERIES = torch.arange(600, dtype=torch.float64).reshape(300, 2).sin()
LENGTH, RUN = 10, 4


def cut(starts):
    """Windows (N, 10, 2) of the series from these starts."""
    return torch.stack([SERIES[start : start + LENGTH] for start in starts])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 290), min_size=1, max_size=6), st.lists(st.integers(0, 290), min_size=1, max_size=6))
def test_share_is_that_of_intervals(train, val):
    """Second implementation: two windows overlap where their starts are less than length - run apart, or just that."""
    near = [any(abs(start - other) <= LENGTH - RUN for other in train) for start in val]
    assert sum(near) / len(val) == overlap_share(cut(train), cut(val), run=RUN)


def test_threshold_is_a_share_of_validation_windows():
    """One window in four overlaps: trouble, unless a quarter is allowed."""
    train, val = cut([0, 20]), cut([23, 40, 60, 80])
    assert check_overlapping_windows(train, val).trouble
    assert not check_overlapping_windows(train, val, threshold=0.25).trouble
    assert not check_overlapping_windows(train, val[1:]).trouble


def test_windows_of_other_features_are_refused():
    """So are windows that are shorter than a stretch."""
    with pytest.raises(ValueError, match=r"windows \(1, 10, 2\) and \(1, 10, 1\): both are \(N, T, F\)"):
        overlap_share(cut([0]), cut([0])[..., :1])
    with pytest.raises(ValueError, match="T >= 4"):
        overlap_share(cut([0])[:, :3], cut([0])[:, :3])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 290), min_size=1, max_size=6), st.lists(st.integers(0, 290), min_size=1, max_size=6))
def test_continued_share_is_that_of_intervals(train, val):
    """Second implementation, where no step comes twice; a window is no continuation of itself.

    Steps that twelve windows at most have in common tell log(10) each, and needed are up to log(100 * 2 * 6 * 6 * 10):
    five of them are no chance.
    """
    series = torch.rand(300, 2, generator=torch.Generator().manual_seed(0))
    halves = [torch.stack([series[start : start + LENGTH] for start in starts]) for starts in (train, val)]
    for_sure, at_most = (
        sum(any(0 < abs(start - other) <= LENGTH - steps for other in train) for start in val) for steps in (5, RUN)
    )
    assert for_sure / len(val) <= continued_share(*halves, run=RUN) <= at_most / len(val)


def test_what_agrees_by_chance_continues_nothing():
    """Rows of three levels have every stretch in common; readings of a hundred levels that were shuffled overlap."""
    generator = torch.Generator().manual_seed(0)
    table = torch.randint(0, 3, (300, 12, 1), generator=generator) / 2
    assert (1.0, 0.0) == (overlap_share(table[:200], table[200:], run=2), continued_share(table[:200], table[200:]))
    readings = torch.randint(0, 100, (311,), generator=generator).div(100).unfold(0, 12, 1)[..., None]
    order = torch.randperm(300, generator=generator)
    assert continued_share(readings[order[:200]], readings[order[200:]]) > 0.9
    assert continued_share(readings[:200], readings[200:]) < 0.1


def test_windows_of_another_length_continue_nothing():
    """They are refused."""
    with pytest.raises(ValueError, match="windows of 10 and 8 steps"):
        continued_share(cut([0]), cut([0])[:, :8])
