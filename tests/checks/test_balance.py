"""Class weights that balance, against counts."""

from __future__ import annotations

import math

import pytest
import torch

from goldmark.checks import check_unbalanced_weight


@pytest.mark.parametrize("positives", [1, 71, 500, 900])
def test_negatives_over_positives_balance(positives):
    """Of 1,000 labels; 1 / p, one more, does not, and neither do no weight and NaN, save where classes are even."""
    labels = (torch.arange(1000) < positives).double()
    weight = (1000 - positives) / positives
    assert not check_unbalanced_weight(weight, labels).trouble
    assert check_unbalanced_weight(weight + 1, labels).trouble or weight > 100  # within a percent there
    assert check_unbalanced_weight(1.0, labels).trouble == (positives != 500)
    assert check_unbalanced_weight(math.nan, labels).trouble
