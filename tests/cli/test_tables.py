"""What the tables of a run say of several seeds."""

from __future__ import annotations

import math

from goldmark.cli._tables import summary


def test_one_diverged_seed_makes_the_summary_nan():
    """Mean and extremes do not depend on where the NaN stands."""
    for values in ([1.0, math.nan], [math.nan, 1.0]):
        assert all(math.isnan(value) for value in summary(values).values())
    assert {"mean": 2.0, "sd": 2**0.5, "min": 1.0, "max": 3.0} == summary([3.0, 1.0])
