"""Labels: placeholders among measured numbers, on data where their share is known."""

from __future__ import annotations

import math

import pytest
import torch

from goldmark.checks import check_placeholder_labels


def measured(n=100):
    """Labels of which none repeats."""
    return torch.randn(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("value", [0.0, -1.0, 999.0])
def test_a_number_that_many_labels_share_is_a_placeholder(value):
    """A tenth of them and all of them; its value and share are told, whatever lies between the others."""
    for n_missing in (10, 100):
        labels = measured()
        labels[:n_missing] = value
        finding = check_placeholder_labels(labels)
        assert finding.trouble
        assert (value, n_missing / 100) == (finding.numbers["value"], finding.numbers["share"])
        assert f"{value:g} is no measurement" in finding.advice


def test_measured_labels_are_no_trouble():
    """Two of few that are equal by rounding, or a share at the threshold, are none either."""
    assert not check_placeholder_labels(measured()).trouble
    assert not check_placeholder_labels(torch.tensor([1.5, 1.5, 1.2])).trouble
    labels = measured()
    labels[:5] = 0.0
    assert not check_placeholder_labels(labels).trouble
    assert check_placeholder_labels(labels, threshold=0.04).trouble


def test_missing_and_absent_labels_are_trouble():
    """One NaN or inf, NaN alone, and no label at all."""
    for value in (math.nan, math.inf):
        labels = measured()
        labels[7] = value
        assert check_placeholder_labels(labels).trouble
        assert 1 == check_placeholder_labels(labels).numbers["n_not_finite"]
        assert check_placeholder_labels(torch.full((4,), value)).trouble
    assert check_placeholder_labels(torch.zeros(0)).trouble
