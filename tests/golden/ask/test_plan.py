"""What margin, seeds and power go together, from the values of a golden."""

from __future__ import annotations

import math

import numpy as np
import pytest

from goldmark.golden._ask.plan import planned
from goldmark.golden._record.entry import statistical_entry
from goldmark.statistics import (
    MetricRule,
    detectable_effect,
    power_at,
    seeds_that_detect,
    sequential_effect,
    sequential_power,
)

GENERATOR = np.random.default_rng(0)
HEALTHY = 3 + 0.1 * GENERATOR.normal(size=12)
BROKEN = HEALTHY + 0.5 + 0.1 * GENERATOR.normal(size=12)


def by_seed(values):
    """Return values as a golden stores them."""
    return {str(seed): float(value) for seed, value in enumerate(values)}


def entry(**rule):
    """Return a metric in pairs with its guard."""
    guard = {"guard": "broken", "guard_values": by_seed(BROKEN)}
    return statistical_entry(by_seed(HEALTHY), **({"scale": "identity", "margin": 0.1} | guard | rule))


def test_half_its_margin_its_own_and_twice_that_are_planned_with_each_number_of_seeds():
    """Each with what it detects and its power against the guard's effect, in the pairs that the golden knows."""
    metric = entry()
    checks = planned({"rmse": metric}, seeds=(5, 8))
    assert [(0.05, 5), (0.05, 8), (0.1, 5), (0.1, 8), (0.2, 5), (0.2, 8)] == [(c.margin, c.seeds) for c in checks]
    rule = MetricRule(margin=0.1, alpha=1e-3)
    assert detectable_effect(metric.sd, 8, rule) == checks[3].detectable
    assert power_at(metric.effect, metric.sd, 8, rule) == checks[3].power
    assert seeds_that_detect(metric.effect, metric.sd, rule) == checks[3].enough


def test_without_a_guard_two_groups_are_planned_and_an_effect_may_be_given():
    """The spread is then that of one group; without an effect there is no power to state."""
    metric = entry(guard=None)
    (check,) = planned({"rmse": metric}, seeds=(8,), margins=(0.1,), effect=0.4)
    assert power_at(0.4, metric.sd, 8, MetricRule(margin=0.1, alpha=1e-3), paired=False) == check.power
    (silent,) = planned({"rmse": metric}, seeds=(8,), margins=(0.1,))
    assert (None, None) == (silent.power, silent.enough)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "known"), [(9, False), (10, True)])
def test_too_few_seeds_for_a_test_detect_nothing_known(n, known):
    """A permutation test in pairs needs ten at alpha .001, beside a margin."""
    (check,) = planned({"f1": entry(test="permutation")}, seeds=(n,), margins=(0.1,))
    assert known == (not math.isnan(check.detectable))


def test_a_sequential_metric_is_planned_with_its_looks_as_well():
    """Each margin ends with the check that may stop: it detects less than one of its twenty seeds."""
    healthy = 3 + 0.1 * np.random.default_rng(1).normal(size=20)
    broken = healthy + 0.5 + 0.1 * np.random.default_rng(2).normal(size=20)
    guard = {"guard": "broken", "guard_values": by_seed(broken)}
    metric = statistical_entry(by_seed(healthy), scale="identity", margin=0.1, sequential=True, **guard)
    checks = planned({"rmse": metric}, seeds=(20,), margins=(0.1, 0.2))
    assert [(0.1, False), (0.1, True), (0.2, False), (0.2, True)] == [(c.margin, c.sequential) for c in checks]
    rule = MetricRule(margin=0.1, alpha=1e-3)
    assert sequential_effect(metric.sd, rule, paired=True, n_golden=20) == checks[1].detectable > checks[0].detectable
    assert sequential_power(metric.effect, metric.sd, rule, paired=True, n_golden=20) == checks[1].power
