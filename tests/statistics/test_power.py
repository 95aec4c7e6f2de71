"""What a metric's tests can detect: power, detectable effects, and the seeds that it takes."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from goldmark.statistics import (
    MetricRule,
    detectable_effect,
    fewest_dead_seeds,
    power_at,
    seeds_that_detect,
)

ALPHA = 1e-3


def rule(**changes):
    """Return the rule without a margin at alpha .001, with changes."""
    return MetricRule(**({"margin": 0.0, "alpha": ALPHA} | changes))


def noncentral_power(beyond, df, share):
    """Return scipy's power of the two-sided t test without a margin."""
    return stats.nct.sf(stats.t.isf(share / 2, df), df, beyond)


@pytest.mark.parametrize("paired", [True, False])
def test_without_a_margin_the_detectable_effect_follows_the_noncentral_t(paired):
    """At the stated effect, with the upper bound as the true spread, scipy's noncentral t gives power .9."""
    n, sd = 7, 0.3
    effect = detectable_effect(sd, n, rule(), paired=paired)
    bound = sd * math.sqrt((n - 1) / stats.chi2.ppf(0.2, n - 1))
    df, error = (n - 1, bound / math.sqrt(n)) if paired else (2 * n - 2, bound * math.sqrt(2 / n))
    assert pytest.approx(0.9, abs=1e-6) == noncentral_power(effect / error, df, 0.98 * ALPHA)  # an integral of 64 nodes


def test_with_a_wide_margin_the_detectable_effect_is_that_of_a_one_sided_test():
    """The other side is then out of reach, and alpha need not be halved."""
    n, sd, margin = 7, 0.3, 50.0
    error = sd * math.sqrt((n - 1) / stats.chi2.ppf(0.2, n - 1) / n)
    beyond = (detectable_effect(sd, n, rule(margin=margin)) - margin) / error
    assert pytest.approx(0.9, abs=1e-6) == stats.nct.sf(stats.t.isf(0.98 * ALPHA, n - 1), n - 1, beyond)  # 64 nodes


def test_a_larger_golden_detects_less():
    """Against 40 seeds five see 2.3 sd, against five 4.4, where the spread is known and not only estimated."""
    known = math.sqrt(stats.chi2.ppf(0.2, 4) / 4), math.sqrt(stats.chi2.ppf(0.2, 39) / 39)
    five, forty = (
        detectable_effect(sd, 5, rule(), paired=False, n_golden=n) for sd, n in zip(known, (5, 40), strict=True)
    )
    assert pytest.approx([4.4, 2.3], abs=0.05) == [five, forty]  # as rounded


def test_an_unknown_spread_detects_nothing_known():
    """One seed has no spread, and no effect can be stated; equal values leave the margin."""
    assert math.isnan(detectable_effect(0.1, 1, rule(margin=0.1)))
    assert detectable_effect(0.0, 5, rule(margin=0.1)) == 0.1


def test_power_grows_with_seeds_and_reaches_nine_tenths_at_the_detectable_effect():
    """Where the true spread is the bound of the estimated one."""
    bound = math.sqrt(11 / stats.chi2.ppf(0.2, 11))
    effect = detectable_effect(1.0, 12, rule(margin=0.2))
    assert pytest.approx(0.9, abs=1e-6) == power_at(effect, bound, 12, rule(margin=0.2))  # one root of one function
    powers = [power_at(effect, bound, n, rule(margin=0.2)) for n in (6, 9, 12, 20)]
    assert sorted(powers) == powers
    assert (1.0, 0.0) == (power_at(0.3, 0.0, 5, rule(margin=0.2)), power_at(0.1, 0.0, 5, rule(margin=0.2)))


def test_the_fewest_seeds_that_detect_an_effect_are_given():
    """One fewer does not; no number sees an effect within the margin."""
    n = seeds_that_detect(1.0, 0.8, rule(margin=0.1))
    assert detectable_effect(0.8, n, rule(margin=0.1)) <= 1.0 < detectable_effect(0.8, n - 1, rule(margin=0.1))
    assert seeds_that_detect(0.1, 0.8, rule(margin=0.1)) is None


@pytest.mark.parametrize(
    ("expected", "n", "changes"),
    [
        (11, 16, {}),
        (10, 16, {"alpha": 2e-3}),
        (10, 12, {"margin": 0.05}),
        (11, 16, {"margin": 0.16}),
        (9, 16, {"paired": False}),
        (17, 16, {"margin": 0.9}),
        (11, 10, {}),
        (9, 16, {"alpha": 2e-3, "dead_below": 0.1}),
        (5, 16, {"alpha": 2e-3, "dead_below": 0.1, "n_golden": 48}),
    ],
)
def test_the_fewest_dead_seeds_are_those_that_the_test_needs(expected, n, changes):
    """ceil(log2(2 / alpha)) in pairs; one fewer beside a margin; n + 1 where all do not suffice; Fisher needs fewer."""
    how = {"paired": True, "n_golden": None}
    how |= {name: changes[name] for name in how if name in changes}
    only = {name: value for name, value in changes.items() if name not in how}
    assert expected == fewest_dead_seeds(n, 0.9, rule(test="permutation", **only), **how)
