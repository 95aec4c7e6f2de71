"""Test-time augmentation: whether what it is judged by has moved."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from goldmark.checks import check_unmoved_by_augmentation


def test_measure_is_the_mean_change_in_sd_of_the_targets():
    """Against numpy; rounding of float64 only."""
    plain, moved, targets = np.random.default_rng(0).normal(size=(3, 50))
    finding = check_unmoved_by_augmentation(*map(torch.from_numpy, (plain, moved, targets)))
    expected = np.abs(moved - plain).mean() / targets.std(ddof=1)
    assert pytest.approx(expected, rel=1e-12) == finding.numbers["moved"]
    assert not finding.trouble


@pytest.mark.parametrize(
    ("moved", "advice"), [(0.0, "compared with itself"), (1e-5, "collapsed"), (math.nan, "collapsed")]
)
def test_predictions_that_do_not_move_are_trouble(moved, advice):
    """Exactly equal is one function twice; next to equal is a constant model; NaN is trouble."""
    plain, targets = torch.ones(50), torch.linspace(-2, 2, 50)
    finding = check_unmoved_by_augmentation(plain.double(), plain.double() + moved, targets)
    assert finding.trouble
    assert advice in finding.advice


def test_predictions_of_two_sets_are_refused():
    """Nothing is broadcast."""
    with pytest.raises(ValueError, match=r"predictions \(3,\) and, augmented, \(1,\) differ in shape"):
        check_unmoved_by_augmentation(torch.zeros(3), torch.zeros(1), torch.zeros(3))
