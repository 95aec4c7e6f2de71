"""Ensembles: what an average saves, against the two errors that it lies between."""

from __future__ import annotations

import math

import pytest
import torch

from goldmark.checks import check_idle_average


def predictions(spread):
    """Five members (5, 200), right on average but for one error that they share, and their targets."""
    generator = torch.Generator().manual_seed(0)
    targets, shared = torch.randn(2, 200, generator=generator, dtype=torch.float64)
    own = torch.randn(5, 200, generator=generator, dtype=torch.float64)
    return targets + shared + spread * own, targets


@pytest.mark.parametrize("spread", [0.0, 0.01, 0.5, 2.0])
def test_gain_is_what_the_average_saves(spread):
    """1 - MSE of the average / mean MSE of the members, computed so; rounding of float64 only."""
    by_member, targets = predictions(spread)
    of_average = (by_member.mean(dim=0) - targets).square().mean()
    of_members = (by_member - targets).square().mean()
    finding = check_idle_average(by_member, targets)
    assert pytest.approx(float(1 - of_average / of_members), rel=1e-9, abs=1e-12) == finding.numbers["gain"]
    assert finding.trouble == (spread < 0.5)


def test_members_that_differ_by_an_offset_save_by_that_alone():
    """Each has a mean of its own and agrees about every example: a gain, and none that counts; numpy's variance."""
    by_member, targets = predictions(0.0)
    offsets = torch.tensor([-0.4, -0.1, 0.0, 0.2, 0.3], dtype=torch.float64)
    finding = check_idle_average(by_member + offsets[:, None], targets)
    assert finding.trouble
    assert finding.numbers["gain"] > 0.01
    assert pytest.approx(offsets.numpy().var() / finding.numbers["mse_of_members"]) == finding.numbers["by_offsets"]
    assert pytest.approx(finding.numbers["gain"], rel=1e-9) == finding.numbers["by_offsets"]


def test_members_without_an_error_or_with_nan_are_trouble():
    """There is nothing to save, and nothing to see."""
    targets = torch.randn(5)
    assert check_idle_average(targets.expand(3, 5), targets).trouble
    assert check_idle_average(torch.full((3, 5), math.nan), targets).trouble
