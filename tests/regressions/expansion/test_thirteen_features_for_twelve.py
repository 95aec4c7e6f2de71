"""The record's data had 13 features where its model and its own list had 12."""

from __future__ import annotations

import pytest
import torch

from goldmark.case import Finding
from goldmark.cases.expansion.bars import FEATURES, LOOKBACK, bar_features
from goldmark.cases.expansion.full import FULL
from goldmark.training import draws

N_BARS = 200


@pytest.fixture(scope="module")
def bars():
    """A random walk (200, 4): open, high, low, close, at prices about 1."""
    path = 1 + (draws.normal(draws.key(0, 0, "bars"), (N_BARS, 8)) * 1e-3).flatten().cumsum(dim=0).reshape(N_BARS, 8)
    return torch.stack([path[:, 0], path.amax(dim=1), path.amin(dim=1), path[:, -1]], dim=1)


def with_volume(bars):
    """The broken form: a thirteenth feature that no list names."""
    features = bar_features(bars)
    return torch.cat([features, torch.ones(len(features), 1, dtype=features.dtype)], dim=1)


def of_another_width(features):
    """Find out whether features are as many as are named, and as the model at its documented size reads."""
    width, read = features.shape[1], FULL.settings.features
    return Finding(
        name="of_another_width",
        trouble=not width == len(FEATURES) == read,
        numbers={"made": width, "named": len(FEATURES), "read": read},
        threshold=0.0,
        advice=f"{width} features are made, {len(FEATURES)} named and {read} read by the model: make them one number",
    )


def test_features_are_as_many_as_are_named_and_read(bars):
    """The right form: twelve, of every bar that has a past."""
    features = bar_features(bars)
    finding = of_another_width(features)
    assert not finding.trouble, finding.advice
    assert (N_BARS - LOOKBACK, 12) == tuple(features.shape)


def test_a_thirteenth_feature_is_seen(bars):
    """The broken form."""
    assert of_another_width(with_volume(bars)).trouble


def test_cutting_off_the_last_feature_is_no_fix(bars):
    """The control: where 13 are made and the last of the list is cut off, the width is right and a column is wrong."""
    features = torch.cat([torch.ones(N_BARS - LOOKBACK, 1), bar_features(bars)], dim=1)[:, :12]
    assert not of_another_width(features).trouble
    assert (features[:, 1:] == bar_features(bars)[:, :-1]).all()  # every name stands one column off
