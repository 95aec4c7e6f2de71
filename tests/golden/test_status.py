"""What goldens can see and how often they alarm, as plain arithmetic."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from goldmark.golden.record import statistical_entry
from goldmark.golden.status import age_days, false_alarm_rate, guarded_metrics
from goldmark.golden.store import Golden, Provenance

VALUES = {str(seed): 1.0 + 0.01 * seed for seed in range(8)}
ENTRY = statistical_entry(
    VALUES,
    scale="identity",
    margin=0.05,
    alpha=0.01,
    guard="broken",
    guard_values={seed: value + 2 + 0.001 * int(seed) for seed, value in VALUES.items()},
)
GOLDEN = Golden(
    "a/b",
    statistical={"loss": ENTRY, "shown": replace(ENTRY, guard=None, guard_values=None, effect=None)},
    provenance=(Provenance("2026-01-01T00:00:00+00:00", "first", None, {}, {}, {}),),
)


def test_only_guarded_metrics_gate():
    """The shown metric is left out; the guarded one tells its distance from the bug."""
    (metric,) = guarded_metrics(GOLDEN)
    assert ("loss", 8, "broken", 0.01) == (metric.metric, metric.n_seeds, metric.guard, metric.alpha)
    assert pytest.approx(2.0035) == metric.effect
    assert pytest.approx(metric.effect / metric.detectable) == metric.effects_away
    assert metric.effects_away > 1


def test_false_alarms_add_up_over_metrics():
    """Three metrics at 1 % alarm in 1 - .99^3 of innocent changes at most; none never."""
    assert pytest.approx(1 - 0.99**3) == false_alarm_rate(guarded_metrics(GOLDEN) * 3)
    assert 0.0 == false_alarm_rate([])


def test_age_counts_from_the_last_writing():
    """A day and a half; without provenance it is not known."""
    assert 1.5 == age_days(GOLDEN, datetime(2026, 1, 2, 12, tzinfo=UTC))
    assert math.isnan(age_days(replace(GOLDEN, provenance=())))
