"""The statistics of one metric: values against scipy, and what is refused; error rates are in test_rates.py."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from goldmark import statistics
from goldmark.case import UsageError
from goldmark.statistics import (
    MetricRule,
    compare_values,
    detectable_effect,
    fisher,
    group_shift,
    null_bound,
    paired_lower_p,
    paired_shift,
    read_margin,
    seeds_needed,
    split_alpha,
)

ALPHA = 1e-3
ONE_APART = np.array([[1.0], [0.0]])  # added to (new, golden)


def rule(**changes):
    """Return the rule without a margin at alpha .001, with changes."""
    return MetricRule(**({"margin": 0.0, "alpha": ALPHA} | changes))


def by_seed(values):
    """Return values as a golden stores them."""
    return {str(seed): float(value) for seed, value in enumerate(values)}


def compare(new, golden, *, paired=True, **changes):
    """Compare values by seed, without a margin and paired by t unless the rule says otherwise."""
    return compare_values(by_seed(new), by_seed(golden), rule(**changes), paired=paired)


@pytest.mark.parametrize("n_golden", [9, 14])
def test_tests_of_the_mean_agree_with_scipy(n_golden):
    """Without a margin p is scipy's: paired, Welch's of two groups of one size, Student's against a larger golden."""
    generator = np.random.default_rng(1)
    new, golden = 1 + generator.normal(size=9), generator.normal(size=n_golden)
    # rel: both evaluate the same incomplete beta function in float64
    expected = stats.ttest_ind(new, golden, equal_var=n_golden != 9).pvalue
    assert pytest.approx(expected, rel=1e-9) == float(group_shift(new, golden).p(0.0))
    pairs = stats.ttest_rel(new, golden[:9]).pvalue
    assert pytest.approx(pairs, rel=1e-9) == float(paired_shift(new, golden[:9]).p(0.0))


def test_beside_a_margin_p_is_the_chance_of_both_sides():
    """Of a mean as far out, above or below, where the true shift is the margin; within the margin p is 1."""
    d = np.array([1.1, 0.9, 1.4, 1.2, 0.8, 1.3])
    error = d.std(ddof=1) / math.sqrt(6)
    expected = stats.t.sf((d.mean() - 0.5) / error, 5) + stats.t.sf((d.mean() + 0.5) / error, 5)
    assert pytest.approx(expected, rel=1e-9) == float(paired_shift(d, np.zeros(6)).p(0.5))  # the same function
    assert 1.0 == float(paired_shift(d, np.zeros(6)).p(d.mean()))


def test_the_interval_is_that_of_scipy():
    """99 % by t, of pairs and of two groups of different size."""
    new, golden = np.random.default_rng(2).normal(size=(2, 8)) + ONE_APART
    expected = stats.ttest_rel(new, golden).confidence_interval(0.99)
    assert pytest.approx(tuple(expected), rel=1e-9) == compare(new, golden).interval  # quantiles of one distribution
    more = np.append(golden, [0.3, -0.2, 0.1])
    pooled = stats.ttest_ind(new, more).confidence_interval(0.99)
    fewer = compare_values(by_seed(new), by_seed(more), rule(), paired=False)
    assert pytest.approx(tuple(pooled), rel=1e-9) == fewer.interval


@pytest.mark.parametrize(("kind", "paired"), [("samples", True), ("independent", False)])
def test_permutation_tests_agree_with_scipy(kind, paired):
    """Counting subsets from two halves gives what scipy's full enumeration gives."""
    new, golden = np.random.default_rng(2).normal(size=(2, 8)) + ONE_APART
    expected = stats.permutation_test(
        (new, golden), lambda a, b, axis: a.mean(axis) - b.mean(axis), permutation_type=kind, n_resamples=np.inf
    )
    core = statistics.sign_flip if paired else statistics.permutation
    assert pytest.approx(expected.pvalue, rel=1e-12) == float(core(new, golden, 0.0)[2])  # counts over powers: exact


def test_a_permutation_test_with_a_margin_counts_both_sides():
    """The share of arrangements, the margin taken off, that bring the means as far apart, above or below."""
    generator = np.random.default_rng(3)
    new, golden, margin = 1 + generator.normal(size=6), generator.normal(size=9), 0.2
    moved = np.concatenate([new - margin, golden])
    masks = (np.arange(2**15)[:, None] >> np.arange(15)) % 2
    masks = masks[masks.sum(axis=1) == 6]
    shifts = masks @ moved / 6 - (1 - masks) @ moved / 9 + margin
    shift = new.mean() - golden.mean()
    expected = np.mean(np.abs(shifts) >= shift - 1e-12)  # ties count, as rounding of the sums would have it
    assert pytest.approx(expected, rel=1e-12) == float(statistics.permutation(new, golden, margin)[2])  # counts
    d = new + 0.4
    flips = 1 - 2 * ((np.arange(2**6)[:, None] >> np.arange(6)) % 2)
    means = flips @ (d - margin) / 6 + margin
    flipped = np.mean(np.abs(means) >= d.mean() - 1e-12)
    assert pytest.approx(flipped, rel=1e-12) == float(statistics.sign_flip(d, np.zeros(6), margin)[2])


@pytest.mark.parametrize("core", [statistics.sign_flip, statistics.permutation])
def test_sampled_subsets_agree_with_counted_ones(core, monkeypatch):
    """Where subsets are too many to count, a fixed sample gives the same p-value to its standard error."""
    new, golden = np.random.default_rng(3).normal(size=(2, 14)) + ONE_APART / 2
    counted = float(core(new, golden, 0.1)[2])
    monkeypatch.setattr("goldmark.statistics._permutation._LARGEST_GRID", 1)
    error = 2 * math.sqrt(counted / 2 / 50_000)  # of twice a share of 50,000 subsets
    assert pytest.approx(counted, abs=4 * error) == float(core(new, golden, 0.1)[2])


@pytest.mark.parametrize("core", [statistics.sign_flip, statistics.permutation])
def test_sums_that_are_equal_but_for_rounding_are_ties(core):
    """Tenths have the ties of integers, though .1 + .2 is not .3 in floating point: ties count against an alarm."""
    new, golden = np.array([3, 5, 4, 6, 2, 7, 3, 8, 6, 1.0]), np.array([2, 3, 5, 4, 2, 4, 4, 5, 1, 1.0])
    # rel: the same counts over the same number of arrangements
    assert pytest.approx(float(core(new, golden, 0.5)[2]), rel=1e-12) == float(core(new / 10, golden / 10, 0.05)[2])


def test_a_sampled_p_value_is_never_zero():
    """The observed arrangement counts as one of the sample, so that the test keeps its level."""
    assert statistics.sign_flip(np.arange(45.0) + 100, np.zeros(45), 0.0)[2] == 2 / 50_001


@pytest.mark.parametrize("paired", [True, False])
def test_many_seeds_with_different_values_can_be_permuted(paired):
    """45 seeds exceed what can be counted, and still a clear shift alarms while none passes."""
    golden = np.random.default_rng(4).normal(size=45)
    how = {"test": "permutation", "paired": paired}
    assert (True, False) == (compare(golden + 1, golden, **how).alarm, compare(golden[::-1], golden, **how).alarm)


@pytest.mark.parametrize(("dead", "golden_dead", "n_golden"), [(9, 0, 16), (3, 2, 40), (0, 5, 16), (16, 16, 16)])
def test_dead_seeds_are_counted_as_by_scipy(dead, golden_dead, n_golden):
    """Fisher's exact test, two-sided, against a golden of as many or more seeds."""
    table = [[dead, 16 - dead], [golden_dead, n_golden - golden_dead]]
    assert pytest.approx(stats.fisher_exact(table).pvalue, rel=1e-9) == fisher(
        dead, golden_dead, 16, n_golden
    )  # counts


def test_a_wild_seed_lies_outside_what_the_golden_predicts():
    """The worst of n, n times counted, by t with 3 degrees of freedom at most."""
    golden = np.random.default_rng(5).normal(size=12)
    new = np.append(np.full(7, golden.mean()), golden.mean() + 9)
    far = (9 - 0.5) / (golden.std(ddof=1) * math.sqrt(1 + 1 / 12))
    expected = 2 * 8 * stats.t.sf(far, 3)
    assert pytest.approx(expected, rel=1e-9) == float(statistics.wild_seed(new, golden, 0.5))  # the same function


def test_a_noisy_bug_alarms_in_spite_of_its_own_scatter():
    """A hundred times the loss in 12 of 12 seeds: t divides by the scatter of the bug, a single seed does not."""
    golden = np.array([0.07, 0.08, 0.06, 0.075, 0.07, 0.065, 0.08, 0.07, 0.06, 0.07, 0.075, 0.068])
    new = golden * np.array([40, 300, 20, 90, 10, 250, 60, 30, 15, 80, 200, 100.0])
    shift = compare(new, golden)
    assert (True, "wild seed") == (shift.alarm, shift.test)
    assert float(paired_shift(new, golden).p(0.0)) > ALPHA  # t alone would let it pass


def test_a_noisy_bug_among_seeds_that_differ_alarms_by_its_signs():
    """18 seeds that differ much from each other all move up, by very different amounts."""
    golden = np.linspace(1, 100, 18)
    moves = np.array([30, 1, 1, 1, 2, 1, 1, 1, 1, 90, 1, 1, 1, 1, 2, 1, 1, 1.0])
    shift = compare(golden + moves, golden)
    assert (True, "sign flip") == (shift.alarm, shift.test)
    assert float(paired_shift(golden + moves, golden).p(0.0)) > ALPHA


@pytest.mark.parametrize("paired", [True, False])
def test_one_wild_seed_alarms(paired):
    """One of eight goes from 1 to 1000 while the others stay where they were."""
    golden = 1 + 0.1 * np.random.default_rng(6).normal(size=8)
    new = np.append(golden[:7], 1000.0)
    shift = compare(new, golden, paired=paired, margin=0.05)
    assert (True, "wild seed") == (shift.alarm, shift.test)


def test_a_leak_alarms_on_the_log_scale():
    """A loss of .07 that falls to .0006 is a factor of a hundred, in pairs and in groups, whatever the spread."""
    golden = 0.07 * np.exp(0.5 * np.random.default_rng(7).normal(size=8))
    scale, margin = read_margin("2%", "identity")
    new = 0.0006 * np.exp(0.5 * np.random.default_rng(8).normal(size=8))
    for paired in (True, False):
        assert compare(new, golden, paired=paired, scale=scale, margin=margin).alarm


@pytest.mark.parametrize(
    ("parts", "changes", "n"),
    [
        ({"mean": 0.98, "wild seed": 0.02}, {}, 12),
        ({"mean": 0.96, "wild seed": 0.02, "sign flip": 0.02}, {}, 17),
        ({"mean": 0.98, "wild seed": 0.02}, {}, 16),
        ({"mean": 0.98, "wild seed": 0.02}, {}, 41),
        ({"mean": 1.0}, {"test": "permutation"}, 12),
        ({"mean": 0.5, "dead seeds": 0.5}, {"test": "permutation", "dead_below": 0.1}, 12),
        ({"mean": 1.0}, {"dead_below": 0.1}, 5),
    ],
)
def test_a_test_has_a_share_of_alpha_only_where_it_could_alarm(parts, changes, n):
    """2 / 2^16 exceeds a fiftieth of .001, 2 / 2^17 does not; 5 of 5 dead seeds have p .008, 12 of 12 have 7e-7.

    The arrangements of more than 40 seeds are sampled, and their p-values no smaller than 4e-5.
    """
    split = split_alpha(rule(**changes), n, n, paired=True)
    assert pytest.approx({part: share * ALPHA for part, share in parts.items()}, rel=1e-9) == split  # one difference


def test_dead_seeds_alarm_by_their_number():
    """Six of 16 seeds fail outright where one of the golden's 48 did: the mean alone is not sure of it."""
    golden = np.append(0.8 + 0.05 * np.random.default_rng(9).normal(size=47), 0.0)
    new = np.append(golden[:10], np.zeros(6))
    shift = compare(new, golden, paired=True, test="permutation", dead_below=0.1, margin=0.05, alpha=2e-3)
    assert (True, "dead seeds", 16) == (shift.alarm, shift.test, shift.n)
    assert not compare(new, golden, test="permutation", margin=0.05, alpha=2e-3).alarm


def test_a_shift_within_the_margin_never_alarms():
    """A change that nobody would mind passes, however certain it is."""
    golden = np.linspace(1, 2, 12)
    certain = golden + 0.1 + np.linspace(-1e-6, 1e-6, 12)
    assert not compare(certain, golden, margin=0.11).alarm
    assert compare(certain, golden, margin=0.09).alarm


@pytest.mark.parametrize(
    ("judgement", "shift", "noise"), [("equal", 0.01, 0.01), ("undecided", 0.05, 0.2), ("changed", 0.5, 0.01)]
)
def test_a_comparison_is_changed_equal_or_undecided(judgement, shift, noise):
    """Equal needs an interval within the margin; undecided says how many seeds would make it so, or make an alarm."""
    golden = np.linspace(1, 2, 10)
    new = golden + shift + noise * np.resize([1.0, -1.0], 10)
    result = compare(new, golden, margin=0.1)
    assert judgement == result.judgement
    assert (10 < result.deciding_seeds) == (judgement == "undecided")


def test_so_many_seeds_as_said_would_decide():
    """With the same shift and spread their interval lies within the margin, and that of one seed fewer does not."""
    golden = np.linspace(1, 2, 10)
    result = compare(golden + 0.05 + 0.2 * np.resize([1.0, -1.0], 10), golden, margin=0.1)
    n = result.deciding_seeds
    half = [result.sd / math.sqrt(k) * stats.t.isf(0.005, k - 1) for k in (n - 1, n)]
    assert half[0] > 0.05 >= half[1]


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("changes", [{}, {"paired": False}, {"test": "permutation"}])
def test_a_shift_alarms_in_both_directions(changes, direction):
    """An unexplained improvement may be a leak, so it alarms like a loss."""
    golden = np.random.default_rng(5).normal(size=12)
    new = golden + direction * 5 + np.random.default_rng(6).normal(size=12)
    shift = compare(new, golden, margin=0.5, **changes)
    assert (True, direction) == (shift.alarm, np.sign(shift.shift))


@pytest.mark.parametrize(("shift", "alarm"), [(0.25, False), (0.5, False), (0.75, True)])
def test_equal_differences_alarm_beyond_the_margin_alone(shift, alarm):
    """Without any spread the margin alone decides; binary fractions keep the differences exactly equal."""
    golden = np.arange(5.0)
    result = compare(golden + shift, golden, margin=0.5)
    assert (alarm, "equal", 0.0) == (result.alarm, result.test, result.sd)


def test_values_are_paired_by_seed_and_not_by_place():
    """The order in which seeds are listed does not matter, nor do seeds that only the golden has."""
    golden = by_seed([*range(6), 100, 200])
    new = {seed: golden[seed] for seed in reversed([*golden][:6])}
    shift = compare_values(new, golden, rule(), paired=True)
    assert (False, 0.0, 6) == (shift.alarm, shift.sd, shift.n_golden)


def test_a_larger_golden_is_used_whole_where_seeds_are_not_paired():
    """Five new values against forty: a shift shows that five against five would not."""
    generator = np.random.default_rng(10)
    golden, new = by_seed(generator.normal(size=40)), by_seed(1.5 + generator.normal(size=5))
    few = {seed: golden[seed] for seed in new}
    many, fewer = (compare_values(new, values, rule(), paired=False) for values in (golden, few))
    assert (True, "pooled t", 40) == (many.alarm, many.test, many.n_golden)
    assert (False, "Welch", 5) == (fewer.alarm, fewer.test, fewer.n_golden)


def test_the_comparison_states_what_it_could_have_detected():
    """The detectable effect of a comparison follows from its own spread."""
    golden = np.random.default_rng(7).normal(size=8)
    shift = compare(golden[::-1], golden, margin=0.1)
    assert detectable_effect(shift.sd, 8, rule(margin=0.1)) == shift.detectable


@pytest.mark.parametrize(
    ("expected", "test", "alpha", "paired", "margin"),
    [
        (5, "t", 1e-3, True, 0.0),
        (11, "permutation", 1e-3, True, 0.0),
        (10, "permutation", 1e-3, True, 0.1),
        (7, "permutation", 1e-3, False, 0.0),
        (8, "permutation", 1e-2, True, 0.0),
        (5, "permutation", 1e-2, False, 0.0),
    ],
)
def test_seeds_needed_let_the_test_alarm_at_all(expected, test, alpha, paired, margin):
    """A permutation test needs so many seeds that the clearest shift of all alarms; t needs 5."""
    how = {"test": test, "alpha": alpha, "margin": margin}
    assert expected == seeds_needed(rule(**how), paired=paired)
    golden = np.arange(float(expected))
    assert compare(golden + 100, golden, paired=paired, **how).alarm


@pytest.mark.parametrize(
    ("n", "changes", "reason"),
    [
        (4, {}, "4 seeds are too few"),
        (10, {"test": "permutation"}, "10 paired seeds cannot reach alpha 0.001 in a permutation test; train 11"),
        (6, {"test": "permutation", "paired": False}, "6 unpaired seeds .* train 7"),
    ],
)
def test_too_few_seeds_are_refused_with_the_number_needed(n, changes, reason):
    """A comparison that could never alarm, or whose spread is a guess, is not made."""
    with pytest.raises(UsageError, match=reason):
        compare(range(n), range(n), **changes)


def test_other_seeds_and_impossible_values_are_refused():
    """Seeds must be the golden's, values finite, and positive on a log scale."""
    with pytest.raises(UsageError, match="train the same seeds"):
        compare_values(by_seed(range(6)), by_seed(range(5)), rule(), paired=True)
    with pytest.raises(UsageError, match="not finite"):
        compare([1, 2, 3, 4, math.nan], range(5))
    with pytest.raises(UsageError, match="positive values, not -1"):
        compare([1, 2, 3, 4, -1], range(1, 6), scale="log")


def test_the_bound_of_an_innocent_change_is_that_of_its_mean():
    """|mean difference| + t_{.95} error, in pairs of the seeds that were tried; one seed bounds nothing."""
    golden = by_seed([1.0, 2.0, 3.0, 4.0, 5.0])
    moved = {"1": 1.9, "2": 3.0, "4": 4.7}
    expected = 0.4 / 3 + stats.t.isf(0.05, 2) * np.std([-0.1, 0.0, -0.3], ddof=1) / math.sqrt(3)
    assert pytest.approx(expected, rel=1e-9) == null_bound(moved, golden, "identity")  # the same quantile
    assert math.inf == null_bound({"1": 1.9}, golden, "identity")


def test_a_margin_in_percent_is_a_margin_on_the_log_scale():
    """2 percent means a factor of 1.02; a number stays on the scale that was given."""
    assert read_margin("2%", "identity") == ("log", math.log1p(0.02))
    assert read_margin("2 %", "identity") == ("log", math.log1p(0.02))
    assert read_margin(0.02, "identity") == ("identity", 0.02)
    assert read_margin(0.02, "log") == ("log", 0.02)


@pytest.mark.parametrize("margin", ["2", "%", "two %", "-1%", -0.1, math.nan, math.inf])
def test_anything_but_a_margin_is_refused(margin):
    """A margin is a number of at least 0 or a percentage."""
    with pytest.raises(UsageError, match="a margin is"):
        read_margin(margin, "identity")


def test_the_paired_p_value_is_one_sided():
    """It is small where differences lie below 0, large where they lie above, and agrees with scipy."""
    a, b = np.random.default_rng(8).normal(size=(2, 32)) * 0.1 - [[0.1], [0.0]]
    expected = stats.ttest_rel(a, b, alternative="less").pvalue
    assert pytest.approx(expected, rel=1e-9) == paired_lower_p(a - b)  # one function of float64
    assert paired_lower_p(a - b) < 0.01
    assert paired_lower_p(b - a) > 0.99
    assert (0.0, 1.0) == (paired_lower_p([-1.0] * 5), paired_lower_p([0.0] * 5))


def test_the_paired_p_value_of_nan_proves_nothing():
    """A diverged run gives NaN, which no limit accepts; fewer than 5 pairs are refused."""
    assert not paired_lower_p([math.nan] * 5) <= 1.0
    with pytest.raises(UsageError, match="too few"):
        paired_lower_p([-1.0] * 4)
