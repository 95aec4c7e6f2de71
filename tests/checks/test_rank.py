"""Low rank of representations, on both sides of its threshold."""

from __future__ import annotations

import math

import pytest
import torch

from goldmark.checks import check_low_rank


@pytest.mark.parametrize(("rank", "trouble"), [(1, True), (2, False), (8, False)])
def test_low_rank_is_a_share_of_the_dimensions(rank, trouble):
    """Equal variance along r of 8 directions is a share of r / 8, beside a threshold of a quarter."""
    axes = torch.eye(8, dtype=torch.float64)[:rank]
    finding = check_low_rank(torch.cat([axes, -axes]))
    assert (rank / 8, trouble) == (pytest.approx(finding.numbers["share"]), finding.trouble)


@pytest.mark.parametrize("states", [torch.ones(5, 3), torch.full((5, 3), math.nan)])
def test_constants_and_nan_are_trouble(states):
    """A code that says nothing, and a diverged one."""
    assert check_low_rank(states).trouble


def test_copies_of_one_dimension_are_one_dimension():
    """Sixteen equal entries of variance 1 hold the variance of one."""
    states = torch.randn(100, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64).expand(-1, 16)
    finding = check_low_rank(states)
    assert finding.trouble
    assert finding.numbers["participation_ratio"] == pytest.approx(1.0, rel=1e-9)  # float64 rounding
