"""Means over batches of unequal size, against numpy's mean over samples."""

from __future__ import annotations

import math

import numpy as np
import pytest

from goldmark.checks import check_uneven_batches

LOSSES = np.random.default_rng(0).gamma(2.0, size=42)


def in_batches(size, weights):
    """A validation in batches of a size, averaged plainly or by numbers of samples."""

    def evaluate(rows):
        parts = np.split(LOSSES[list(rows)], range(size, len(rows), size))
        return float(np.average([part.mean() for part in parts], weights=[weights(len(part)) for part in parts]))

    return evaluate


@pytest.mark.parametrize("size", [1, 5, 32, 100])
def test_batches_weighted_by_their_samples_are_no_trouble(size):
    """Whatever the batches, and the mean is numpy's."""
    finding = check_uneven_batches(in_batches(size, weights=lambda n: n), 42)
    assert not finding.trouble
    assert pytest.approx(LOSSES.mean(), rel=1e-12) == finding.numbers["mean_over_samples"]


@pytest.mark.parametrize(("size", "trouble"), [(5, True), (32, True), (21, False), (42, False)])
def test_plain_means_over_batches_are_trouble_where_sizes_differ(size, trouble):
    """42 samples are not in batches of 5 or 32, and are in batches of 21."""
    assert trouble == check_uneven_batches(in_batches(size, weights=lambda n: 1), 42).trouble


def test_sums_and_nan_are_trouble():
    """A sum grows with the samples, and NaN is no number; losses of 0 are a mean of 0."""
    assert check_uneven_batches(lambda rows: float(LOSSES[list(rows)].sum()), 42).trouble
    assert check_uneven_batches(lambda rows: math.nan, 3).trouble
    assert not check_uneven_batches(lambda rows: 0.0, 3).trouble
