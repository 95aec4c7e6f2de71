"""The statistical rule: its values against scipy, its error rates and power by simulation, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from goldmark import statistics
from goldmark.case import UsageError
from goldmark.statistics import (
    allows_percent,
    compare_values,
    detectable_effect,
    fewest_dead_seeds,
    paired_lower_p,
    read_margin,
    seeds_needed,
)

DRAWS = 100_000
ALPHA = 1e-3
LIMIT = ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / DRAWS)  # alpha and 3 standard errors of the simulated rate
SEEDS = (5, 10, 20)
ONE_APART = np.array([[1.0], [0.0]])  # added to (new, golden)
SHAPES = {
    "normal": lambda generator, size: generator.normal(size=size),
    "log-normal": lambda generator, size: np.exp(0.8 * generator.normal(size=size)),
    "laplace": lambda generator, size: generator.laplace(size=size),
}


def alarm_rate(p):
    """Return the share of simulated comparisons that alarm."""
    return float((p <= ALPHA).mean())


def by_seed(values):
    """Return values as a golden stores them."""
    return {str(seed): float(value) for seed, value in enumerate(values)}


def compare(new, golden, **rule):
    """Compare values by seed, without a margin and paired by t unless the rule says otherwise."""
    defaults = {"scale": "identity", "margin": 0.0, "alpha": ALPHA, "test": "t", "paired": True}
    return compare_values(by_seed(new), by_seed(golden), **(defaults | rule))


@pytest.mark.parametrize("n", SEEDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_unchanged_code_alarms_no_more_often_than_alpha(shape, n):
    """Golden and new values from one distribution alarm in at most alpha of comparisons, by Welch and paired t."""
    new, golden = SHAPES[shape](np.random.default_rng(n), (2, DRAWS, n))
    rates = {core.__name__: alarm_rate(core(new, golden, 0.0)[2]) for core in (statistics.welch, statistics.paired_t)}
    assert {} == {name: rate for name, rate in rates.items() if rate > LIMIT}


@pytest.mark.parametrize("n", SEEDS)
def test_a_shift_of_exactly_the_margin_alarms_in_half_of_alpha(n):
    """At the edge of the margin one direction is left, so the rate is at most alpha / 2 for normal values."""
    new, golden = np.random.default_rng(n).normal(size=(2, DRAWS, n))
    limit = ALPHA / 2 + 3 * math.sqrt(ALPHA / 2 / DRAWS)  # 3 standard errors of the simulated rate
    cores = (statistics.welch, statistics.paired_t)
    assert [] == [core.__name__ for core in cores if alarm_rate(core(new + 0.5, golden, 0.5)[2]) > limit]


@pytest.mark.parametrize("n", SEEDS)
def test_a_log_scale_keeps_the_false_alarm_rate(n):
    """Log-normal values compared on the log scale, as a margin in percent does, alarm in at most alpha."""
    values = np.exp(0.8 * np.random.default_rng(n).normal(size=(2, DRAWS, n)))
    new, golden = statistics.on_scale(values, "log")
    assert LIMIT >= alarm_rate(statistics.welch(new, golden, math.log(1.02))[2])


@pytest.mark.parametrize("margin", [0.0, 0.05])
@pytest.mark.parametrize("n", [12, 16, 20])
def test_seeds_that_die_alarm_no_more_often_than_alpha(n, margin):
    """Two-point data, an F1 of .9 or of 0 in 30 % of seeds, keep alpha under both permutation tests."""
    generator = np.random.default_rng(n)
    dead = generator.binomial(n, 0.3, size=(DRAWS, 2))
    differing = generator.multinomial(n, [0.21, 0.58, 0.21], size=DRAWS)  # died now, the same, died in the golden
    assert LIMIT >= rate_by_counts(dead, lambda counts: split_p(counts, n, margin))
    assert LIMIT >= rate_by_counts(differing, lambda counts: flip_p(counts, margin))


def rate_by_counts(counts, p_of):
    """Return the alarm rate, each different sample compared once: the order of seeds does not matter to it."""
    samples, times = np.unique(counts, axis=0, return_counts=True)
    return sum(k for sample, k in zip(samples, times, strict=True) if p_of(sample) <= ALPHA) / len(counts)


def split_p(dead, n, margin):
    """Return the p-value of two groups with so many dead seeds each."""
    new, golden = (np.where(np.arange(n) < k, 0.0, 0.9) for k in dead)
    return float(statistics.permutation(new, golden, margin)[2])


def flip_p(counts, margin):
    """Return the p-value of so many paired differences of -.9, 0 and .9."""
    d = np.repeat([-0.9, 0.0, 0.9], counts)
    return float(statistics.sign_flip(d, np.zeros_like(d), margin)[2])


def stated_power(shape, n, margin, core):
    """Return the power against the effect stated at recording, the spread estimated from as many seeds."""
    generator, paired = np.random.default_rng(n), core is statistics.paired_t
    draw = SHAPES[shape]
    golden, new = draw(generator, (2, DRAWS, n))
    recorded = draw(generator, (DRAWS, n)) - draw(generator, (DRAWS, n)) if paired else golden
    per_sd = detectable_effect(1.0, n, margin=0.0, alpha=ALPHA, paired=paired)  # the effect is linear in the sd
    stated = margin + per_sd * recorded.std(axis=-1, ddof=1, keepdims=True)
    return alarm_rate(core(new + stated, golden, margin)[2])


@pytest.mark.parametrize("core", [statistics.paired_t, statistics.welch])
@pytest.mark.parametrize("n", SEEDS)
def test_the_stated_effect_is_found_with_the_stated_power(n, core):
    """A shift of the stated detectable effect is found in at least .88 of comparisons of normal values."""
    assert stated_power("normal", n, 0.5, core) >= 0.88  # .9 by construction, less what an estimated spread may cost


DEAD_RULE = {"margin": 0.05, "alpha": ALPHA, "paired": True}


def stated_dead_seeds(n):
    """Return how many dead seeds, .9 off each, the stated effect of a permutation test is worth, and their noise."""
    stated = detectable_effect(0.03, n, test="permutation", guard_effect=0.9, **DEAD_RULE)
    return stated / 0.9 * n, np.random.default_rng(n).normal(scale=0.03, size=(300, n))


@pytest.mark.parametrize("n", [12, 16, 20])
def test_so_many_dead_seeds_as_stated_are_found(n):
    """As many as the stated effect is worth alarm in at least .88 of runs, one fewer hardly ever; t promises 2."""
    dead, noise = stated_dead_seeds(n)
    k = round(dead)
    assert pytest.approx(k) == dead  # a whole number of seeds but for rounding
    powers = [
        alarm_rate(np.array([float(statistics.sign_flip(d, np.zeros(n), 0.05)[2]) for d in killed(noise, number)]))
        for number in (k, k - 1)
    ]
    assert powers[0] >= 0.88  # measured 1.0
    assert powers[1] <= 0.1  # by noise of the others in one direction; measured .01 with 12 seeds


def killed(differences, number):
    """Return differences of which so many a row are dead seeds."""
    return differences - 0.9 * (np.arange(differences.shape[-1]) < number)


def test_the_power_for_seeds_that_die_by_chance_is_printed(capsys):
    """A bug that kills each seed with the stated share as its probability does not always leave so many of them."""
    powers = {}
    for n in (12, 16, 20):
        dead, noise = stated_dead_seeds(n)
        dies = np.random.default_rng(n + 1).random(noise.shape) < dead / n
        p = [float(statistics.sign_flip(d, np.zeros(n), 0.05)[2]) for d in noise - 0.9 * dies]
        powers[n] = alarm_rate(np.array(p))
    with capsys.disabled():
        shown = ", ".join(f"n {n}: {power:.2f}" for n, power in powers.items())
        print(f"\npower for seeds that die by chance: {shown}")
    assert min(powers.values()) > 0.5  # the chance that at least np of n seeds die; measured .60 to .78


@pytest.mark.parametrize(
    ("expected", "n", "rule"),
    [
        (11, 16, {}),
        (10, 16, {"alpha": 2e-3}),
        (11, 12, {"margin": 0.05}),
        (12, 16, {"margin": 0.16}),
        (9, 16, {"paired": False}),
        (17, 16, {"margin": 0.9}),
        (11, 10, {}),
    ],
)
def test_the_fewest_dead_seeds_are_those_that_the_test_needs(expected, n, rule):
    """ceil(log2(2 / alpha)) in pairs; more where the margin eats into each, n + 1 where all of them do not suffice."""
    assert expected == fewest_dead_seeds(n, 0.9, **({"margin": 0.0, "alpha": ALPHA, "paired": True} | rule))


@pytest.mark.parametrize("core", [statistics.paired_t, statistics.welch])
def test_the_power_for_values_that_are_not_normal_is_printed(core, capsys):
    """Tails cost power; the printed numbers say how much, and it stays above .8."""
    powers = {(shape, n): stated_power(shape, n, 0.0, core) for shape in ("log-normal", "laplace") for n in SEEDS}
    with capsys.disabled():
        shown = ", ".join(f"{shape} n {n}: {power:.3f}" for (shape, n), power in powers.items())
        print(f"\npower at the stated effect, {core.__name__}: {shown}")
    assert min(powers.values()) > 0.8  # measured .82 at least, on seeds not used here


def test_skewed_paired_differences_alarm_as_often_as_the_documentation_says():
    """The module's text gives 1.2, 2.1 and 1.9 % for centered log-normal differences with 5, 10 and 20 seeds."""
    rates = []
    for n in SEEDS:
        d = np.exp(0.8 * np.random.default_rng(n).normal(size=(DRAWS, n))) - math.exp(0.32)
        rates.append(alarm_rate(statistics.paired_t(d, np.zeros_like(d), 0.0)[2]))
    assert pytest.approx([0.012, 0.021, 0.019], abs=0.0015) == rates  # rounding .0005, 3 standard errors .0014 at most


def test_paired_t_and_welch_agree_with_scipy():
    """Without a margin the p-values are those of scipy's tests."""
    new, golden = np.random.default_rng(1).normal(size=(2, 9)) + ONE_APART
    # rel: both evaluate the same incomplete beta function in float64
    assert pytest.approx(stats.ttest_rel(new, golden).pvalue, rel=1e-9) == compare(new, golden).p
    welch = compare(new, golden, paired=False)
    assert pytest.approx(stats.ttest_ind(new, golden, equal_var=False).pvalue, rel=1e-9) == welch.p


@pytest.mark.parametrize(("kind", "paired"), [("samples", True), ("independent", False)])
def test_permutation_tests_agree_with_scipy(kind, paired):
    """Counting subsets from two halves gives what scipy's full enumeration gives."""
    new, golden = np.random.default_rng(2).normal(size=(2, 8)) + ONE_APART
    expected = stats.permutation_test(
        (new, golden), lambda a, b, axis: a.mean(axis) - b.mean(axis), permutation_type=kind, n_resamples=np.inf
    )
    core = statistics.sign_flip if paired else statistics.permutation
    assert pytest.approx(expected.pvalue, rel=1e-12) == float(core(new, golden, 0.0)[2])  # counts over powers: exact


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
    new, golden = np.array([3, 5, 4, 6, 2, 7, 3, 8, 6, 1.0]), np.array([2, 3, 5, 4, 2, 4, 4, 5, 3, 1.0])
    # rel: the same counts over the same number of arrangements
    assert pytest.approx(float(core(new, golden, 1.0)[2]), rel=1e-12) == float(core(new / 10, golden / 10, 0.1)[2])


def test_a_sampled_p_value_is_never_zero():
    """The observed arrangement counts as one of the sample, so that the test keeps its level."""
    assert statistics.sign_flip(np.arange(45.0) + 100, np.zeros(45), 0.0)[2] == 2 / 50_001


@pytest.mark.parametrize("paired", [True, False])
def test_many_seeds_with_different_values_can_be_permuted(paired):
    """45 seeds exceed what can be counted, and still a clear shift alarms while none passes."""
    golden = np.random.default_rng(4).normal(size=45)
    rule = {"test": "permutation", "paired": paired}
    assert (True, False) == (compare(golden + 1, golden, **rule).alarm, compare(golden[::-1], golden, **rule).alarm)


def test_a_shift_within_the_margin_never_alarms():
    """A change that nobody would mind passes, however certain it is."""
    golden = np.linspace(1, 2, 12)
    certain = golden + 0.1 + np.linspace(-1e-6, 1e-6, 12)
    assert not compare(certain, golden, margin=0.11).alarm
    assert compare(certain, golden, margin=0.09).alarm


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("rule", [{}, {"paired": False}, {"test": "permutation"}])
def test_a_shift_alarms_in_both_directions(rule, direction):
    """An unexplained improvement may be a leak, so it alarms like a loss."""
    golden = np.random.default_rng(5).normal(size=12)
    new = golden + direction * 5 + np.random.default_rng(6).normal(size=12)
    seen = compare(new, golden, margin=0.5, **rule)
    assert (True, direction) == (seen.alarm, np.sign(seen.shift))


@pytest.mark.parametrize(("shift", "alarm"), [(0.25, False), (0.5, False), (0.75, True)])
def test_equal_differences_alarm_beyond_the_margin_alone(shift, alarm):
    """Without any spread the margin alone decides; binary fractions keep the differences exactly equal."""
    golden = np.arange(5.0)
    seen = compare(golden + shift, golden, margin=0.5)
    assert (alarm, "equal", 0.0) == (seen.alarm, seen.test, seen.sd)


def test_values_are_paired_by_seed_and_not_by_place():
    """The order in which seeds are listed does not matter."""
    golden = by_seed(range(6))
    new = dict(reversed(golden.items()))
    seen = compare_values(new, golden, scale="identity", margin=0.0, alpha=ALPHA, test="t", paired=True)
    assert (False, 0.0) == (seen.alarm, seen.sd)


def test_the_comparison_states_what_it_could_have_detected():
    """The detectable effect of a comparison follows from its own spread."""
    golden = np.random.default_rng(7).normal(size=8)
    seen = compare(golden[::-1], golden, margin=0.1)
    assert detectable_effect(seen.sd, 8, margin=0.1, alpha=ALPHA) == seen.detectable


@pytest.mark.parametrize("paired", [True, False])
def test_the_detectable_effect_follows_the_noncentral_t(paired):
    """At the stated effect, with the upper bound as the true spread, scipy's noncentral t gives power .9."""
    n, sd, margin = 7, 0.3, 0.2
    effect = detectable_effect(sd, n, margin=margin, alpha=ALPHA, paired=paired)
    bound = sd * math.sqrt((n - 1) / stats.chi2.ppf(0.2, n - 1))
    df, error = (n - 1, bound / math.sqrt(n)) if paired else (2 * n - 2, bound * math.sqrt(2 / n))
    power = stats.nct.sf(stats.t.isf(ALPHA / 2, df), df, (effect - margin) / error)
    assert pytest.approx(0.9, abs=1e-5) == power  # two implementations of the noncentral t agree to 1e-6


def test_an_unknown_spread_detects_nothing_known():
    """One seed has no spread, and no effect can be stated; equal values leave the margin."""
    assert math.isnan(detectable_effect(0.1, 1, margin=0.1, alpha=ALPHA))
    assert detectable_effect(0.0, 5, margin=0.1, alpha=ALPHA) == 0.1


@pytest.mark.parametrize(
    ("expected", "test", "alpha", "paired"),
    [
        (5, "t", 1e-3, True),
        (11, "permutation", 1e-3, True),
        (7, "permutation", 1e-3, False),
        (8, "permutation", 1e-2, True),
        (5, "permutation", 1e-2, False),
    ],
)
def test_seeds_needed_let_the_test_alarm_at_all(expected, test, alpha, paired):
    """A permutation test needs so many seeds that the clearest shift of all alarms; t needs 5."""
    assert expected == seeds_needed(test, alpha, paired=paired)
    golden = np.arange(float(expected))
    rule = {"test": test, "alpha": alpha, "paired": paired}
    assert compare(golden + 100, golden, **rule).alarm


@pytest.mark.parametrize(
    ("n", "rule", "reason"),
    [
        (4, {}, "4 seeds are too few"),
        (10, {"test": "permutation"}, "10 paired seeds cannot reach alpha 0.001 in a permutation test; train 11"),
        (6, {"test": "permutation", "paired": False}, "6 unpaired seeds .* train 7"),
    ],
)
def test_too_few_seeds_are_refused_with_the_number_needed(n, rule, reason):
    """A comparison that could never alarm, or whose spread is a guess, is not made."""
    with pytest.raises(UsageError, match=reason):
        compare(range(n), range(n), **rule)


def test_other_seeds_and_impossible_values_are_refused():
    """Seeds must be the golden's, values finite, and positive on a log scale."""
    rule = {"scale": "identity", "margin": 0.0, "alpha": ALPHA, "test": "t", "paired": True}
    with pytest.raises(UsageError, match="train the same seeds"):
        compare_values(by_seed(range(6)), by_seed(range(5)), **rule)
    with pytest.raises(UsageError, match="not finite"):
        compare([1, 2, 3, 4, math.nan], range(5))
    with pytest.raises(UsageError, match="positive values, not -1"):
        compare([1, 2, 3, 4, -1], range(1, 6), scale="log")


def test_a_margin_in_percent_is_a_margin_on_the_log_scale():
    """2 percent means a factor of 1.02; a number stays on the scale that was given."""
    assert read_margin("2%", "identity") == ("log", math.log1p(0.02))
    assert read_margin("2 %", "identity") == ("log", math.log1p(0.02))
    assert read_margin(0.02, "identity") == ("identity", 0.02)
    assert read_margin(0.02, "log") == ("log", 0.02)


@pytest.mark.parametrize("values", [[1, 2, 0], [1, 2, -3], [1, 5, 9], [1, 2, math.nan]])
def test_a_margin_in_percent_means_something_for_positive_values_of_little_spread(values):
    """Values that are not all positive, or whose mean is within 3 sd, have no meaningful percentage."""
    assert not allows_percent(values)
    assert allows_percent([10, 11, 12])


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
