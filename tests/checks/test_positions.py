"""Relative positions: scores by distance pass, scores by place and scores without positions do not."""

from __future__ import annotations

import pytest
import torch

from goldmark.checks import check_not_relative


@pytest.mark.parametrize(
    ("attend", "trouble"),
    [
        (lambda places: torch.cos((places[:, None] - places).double()), False),
        (lambda places: torch.cos((places[:, None] + places).double()), True),
        (lambda places: torch.ones(len(places), len(places)), True),
        (lambda places: places * torch.nan, True),
    ],
    ids=["distances", "places", "none", "nan"],
)
def test_positions_are_relative_where_scores_depend_on_distances(attend, trouble):
    """The cosine of differences is relative, that of sums is not, nor is what knows no positions."""
    assert trouble == check_not_relative(attend, 6).trouble


def test_numbers_are_relative_changes():
    """Places themselves, moved by 100 at most: recomputed with torch."""
    steps = torch.arange(4)
    numbers = check_not_relative(lambda places: places.double(), 4).numbers
    assert pytest.approx(100 * 2 / float(steps.double().norm())) == numbers["shift_change"]
    assert pytest.approx(1.0) == numbers["stretch_change"]
