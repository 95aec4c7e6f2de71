"""Looks at 5, 10 and 20 seeds: their levels, how often they are wrong, how many seeds they train, what they miss.

`pytest -s` prints the table of docs/statistics.md.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

from goldmark.case import LOOKS
from goldmark.statistics import (
    ENOUGH_P,
    MetricRule,
    decided,
    detectable_effect,
    group_shift,
    look_alphas,
    look_decision,
    look_rule,
    paired_shift,
    sequential_effect,
    sequential_power,
    split_alpha,
    weighed_p,
)

DRAWS = 20_000
DRAWS_OF_LEVELS = 40_000
DRAWS_OF_ALPHA = {0.05: 5_000, 1e-3: 20_000}  # of the whole rule, whose sign flips cost the more the larger alpha is
PAIRS = (0.25, 0.5, 1.0)  # of the final information, at 5, 10 and 20 pairs
GROUPS = (0.4, 2 / 3, 1.0)  # at 5, 10 and 20 values against 20: (1 / 20 + 1 / 20) / (1 / n + 1 / 20)
DESIGNS = {"pairs": True, "groups": False}


def limit(draws, alpha):
    """Return alpha and 3 standard errors of a simulated rate."""
    return alpha + 3 * math.sqrt(alpha * (1 - alpha) / draws)


@pytest.mark.parametrize(
    ("looks", "alpha", "bound"),
    [
        *((1, 0.05, 1.960), (2, 0.05, 1.977), (3, 0.05, 2.004), (4, 0.05, 2.024), (5, 0.05, 2.040)),
        *((2, 0.01, 2.580), (3, 0.01, 2.595), (4, 0.01, 2.609), (5, 0.01, 2.621)),
    ],
)
def test_levels_are_those_of_the_published_boundaries(looks, alpha, bound):
    """Jennison and Turnbull 2000, table 2.3, at equally spaced looks: C_B(K, alpha) sqrt(K / k) at look k."""
    times = tuple((k + 1) / looks for k in range(looks))
    z = [-float(special.ndtri(level / 2)) for level in look_alphas(alpha, times)]
    assert (
        pytest.approx([bound / math.sqrt(t) for t in times], abs=0.0006 / math.sqrt(times[0])) == z
    )  # rounded to .001


def test_three_equally_spaced_looks_have_the_values_that_everybody_knows():
    """3.471, 2.454 and 2.004 at alpha .05 (O'Brien and Fleming 1979)."""
    z = [-float(special.ndtri(level / 2)) for level in look_alphas(0.05, (1 / 3, 2 / 3, 1.0))]
    assert pytest.approx([3.471, 2.454, 2.004], abs=0.0006) == z  # rounded to three decimals


@pytest.mark.parametrize("times", [PAIRS, GROUPS])
def test_a_walk_leaves_the_boundaries_with_probability_alpha(times):
    """Simulated normal statistics at the times of the looks, none of which ends the walk."""
    generator, draws, alpha = np.random.default_rng(1), 200_000, 0.05
    steps = np.sqrt(np.diff((0.0, *times)))[:, None] * generator.normal(size=(3, draws))
    z = np.abs(steps.cumsum(axis=0)) / np.sqrt(times)[:, None]
    bounds = -special.ndtri(np.array(look_alphas(alpha, times)) / 2)
    rate = float((z >= bounds[:, None]).any(axis=0).mean())
    assert pytest.approx(alpha, abs=limit(draws, alpha) - alpha) == rate  # 3 standard errors


@pytest.mark.parametrize("alpha", [0.05, 1e-3, 1e-12])
def test_levels_of_any_alpha_add_up_to_little_more_than_it(alpha):
    """The last look has nearly all of it, and the sum bounds the rate however the looks depend on each other."""
    for times in (PAIRS, GROUPS):
        levels = look_alphas(alpha, times)
        assert sorted(levels) == list(levels)
        assert alpha <= sum(levels) <= 1.21 * alpha  # 1.064 in pairs and 1.207 in groups at .05, less at smaller ones
        assert levels[-1] <= alpha


def test_the_rule_of_a_look_has_its_part_of_alpha():
    """In pairs by the number of seeds, in groups by the error of the difference; further seeds are a last look."""
    rule = MetricRule(margin=0.5, alpha=0.01, scale="log")
    pairs = [look_rule(rule, n, paired=True, n_golden=20).alpha for n in (*LOOKS, 25)]
    assert [*look_alphas(0.01, PAIRS), look_alphas(0.01, PAIRS)[-1]] == pytest.approx(pairs, rel=1e-9)  # rounding
    groups = [look_rule(rule, n, paired=False, n_golden=20).alpha for n in LOOKS]
    assert look_alphas(0.01, GROUPS) == pytest.approx(groups, rel=1e-9)  # rounding
    assert (0.5, "log") == (look_rule(rule, 5, paired=True, n_golden=20).margin, rule.scale)


@pytest.mark.parametrize(
    ("p", "n", "decision"),
    [
        *((1e-5, 5, "alarm"), (1e-3, 5, "go on"), (0.3, 5, "go on"), (0.31, 5, "holds")),
        *((1e-5, 10, "alarm"), (0.1, 10, "go on"), (0.11, 10, "holds"), (0.31, 10, "holds")),
        *((1e-5, 20, "alarm"), (1e-3, 20, "holds"), (1.0, 20, "holds"), (1e-3, 25, "holds")),
    ],
)
def test_a_look_decides_by_its_level_and_by_what_is_enough(p, n, decision):
    """Alarm at the level or below, holds above .3 and .1, and the last look always comes to an end."""
    assert decision == look_decision(p, n, 1e-5)


def p_of_mean(x, y, rule, *, paired):
    """Return the p-value of the test of the mean over its share: what weighed_p says of t alone."""
    n, n_golden = x.shape[-1], y.shape[-1]
    shift = paired_shift(x, y[..., :n]) if paired else group_shift(x, y)
    return shift.p(rule.margin) * (rule.alpha / split_alpha(rule, n, n_golden, paired=paired)["mean"])


def p_of_rule(x, y, rule, *, paired):
    """Return the smallest p-value of all tests, each over its share: that of the whole rule."""
    return np.min(list(weighed_p(x, y, rule, paired=paired).values()), axis=0)


def checked(x, y, rule, *, paired, p_of=p_of_mean):
    """Run sequential checks, one a row; return which alarmed and how many seeds each has trained."""
    going, alarmed, seeds = np.arange(len(x)), np.zeros(len(x), dtype=bool), np.zeros(len(x))
    for n in LOOKS:
        look = look_rule(rule, n, paired=paired, n_golden=y.shape[-1])
        seeds[going] = n
        alarms, holds = decided(p_of(x[going, :n], y[going], look, paired=paired), n, look.alpha)
        alarmed[going[alarms]] = True
        going = going[~alarms & ~holds]
    assert 0 == going.size
    return alarmed, seeds


@pytest.fixture(scope="module")
def unchanged():
    """{(design, alpha, margin in sd): (alarm rate, mean seeds)} of the whole rule where the true shift is 0."""
    results = {}
    for design, paired in DESIGNS.items():
        for alpha, draws in DRAWS_OF_ALPHA.items():
            x, y = np.random.default_rng(0).normal(size=(2, draws, 20))
            for margin in (0.0, 0.5):
                rule = MetricRule(margin=margin * (math.sqrt(2) if paired else 1.0), alpha=alpha)
                alarmed, seeds = checked(x, y, rule, paired=paired, p_of=p_of_rule)
                results[design, alpha, margin] = float(alarmed.mean()), float(seeds.mean())
    return results


def test_an_unchanged_program_trains_about_seven_seeds(unchanged):
    """Without a margin; a margin of half the spread ends most checks at the first look."""
    without = [seeds for (_, _, margin), (_, seeds) in unchanged.items() if margin == 0]
    assert (True, True) == (min(without) >= 6.8, max(without) <= 7.6)  # measured 7.1 to 7.3; standard error .06 at most
    beside = [seeds for (_, _, margin), (_, seeds) in unchanged.items() if margin == 0.5]
    assert (True, True) == (min(beside) >= 5.2, max(beside) <= 6.6)  # measured 5.5 and 5.7


def test_unchanged_programs_alarm_no_more_often_than_alpha(unchanged):
    """The whole rule, with its stops, of pairs and of groups."""
    assert {} == {key: rate for key, (rate, _) in unchanged.items() if rate > limit(DRAWS_OF_ALPHA[key[1]], key[1])}


@pytest.mark.parametrize("alpha", [0.05, 1e-3])
@pytest.mark.parametrize(("design", "margin"), [("pairs", 0.0), ("pairs", 0.5), ("groups", 0.5)])
def test_whoever_looks_three_times_and_never_stops_alarms_no_more_often_than_alpha(design, margin, alpha):
    """That a check may end early buys no alpha: the true shift is the margin, and all three looks are taken."""
    paired = DESIGNS[design]
    x, y = np.random.default_rng(2).normal(size=(2, DRAWS_OF_LEVELS, 20))
    rule = MetricRule(margin=margin, alpha=alpha)
    alarmed = np.zeros(len(x), dtype=bool)
    for n in LOOKS:
        look = look_rule(rule, n, paired=paired, n_golden=20)
        alarmed |= p_of_mean(x[:, :n] + margin, y, look, paired=paired) <= look.alpha
    assert limit(DRAWS_OF_LEVELS, alpha) >= alarmed.mean()


def powers(effect, margin, alpha, draws=DRAWS):
    """Return the power of a sequential check and of one of 20 pairs, and the mean seeds of the first; effects in sd."""
    d = np.random.default_rng(3).normal(size=(draws, 20)) + effect
    rule, none = MetricRule(margin=margin, alpha=alpha), np.zeros_like(d)
    alarmed, seeds = checked(d, none, rule, paired=True)
    return float(alarmed.mean()), float((p_of_mean(d, none, rule, paired=True) <= alpha).mean()), float(seeds.mean())


EFFECTS = {0.0: (0.6, 0.9, 1.05, 1.2, 1.5), 0.5: (0.75, 0.9, 1.2)}  # beyond a margin, in sd of the differences


@pytest.fixture(scope="module")
def losses():
    """{(margin, effect beyond it): (sequential power, that of 20 seeds, mean seeds)} at alpha .001."""
    return {
        (margin, effect): powers(margin + effect, margin, 1e-3)
        for margin, effects in EFFECTS.items()
        for effect in effects
    }


def test_power_is_at_most_six_hundredths_lower_than_with_twenty_seeds(losses):
    """At alpha .001, the default; a larger one loses more, and the detectable effect says it."""
    lost = {key: fixed - sequential for key, (sequential, fixed, _) in losses.items()}
    assert {} == {key: loss for key, loss in lost.items() if loss > 0.06 + 0.005}  # measured .060; 3 standard errors
    assert max(lost.values()) > 0.04  # the looks are not free: a test that never stops would lose nothing


@pytest.mark.slow
def test_the_table_of_the_documentation_is_printed(unchanged, losses, capsys):
    """Rates and seeds where nothing changed, and power against shifts."""
    lines = ["", "| alpha, design | margin, sd | false alarms | mean seeds |", "|---|---|---|---|"]
    for (design, alpha, margin), (rate, seeds) in unchanged.items():
        lines.append(f"| {alpha:g}, {design} | {margin:g} | {100 * rate:.3f} % | {seeds:.1f} |")
    lines += [
        "",
        "| shift beyond the margin, sd | margin, sd | power | of 20 seeds | mean seeds |",
        "|---|---|---|---|---|",
    ]
    for (margin, effect), (sequential, fixed, seeds) in losses.items():
        lines.append(f"| {effect:g} | {margin:g} | {sequential:.2f} | {fixed:.2f} | {seeds:.1f} |")
    lines += [
        "",
        "| alpha | power of 20 seeds | sequential, at worst | effect: 20 seeds | sequential |",
        "|---|---|---|---|---|",
    ]
    for alpha in (5e-2, 1e-2, 1e-3, 1e-4):
        rule = MetricRule(margin=0.0, alpha=alpha)
        all_powers = {effect: powers(effect, 0.0, alpha, 4_000) for effect in (0.6, 0.75, 0.9, 1.05)}
        worst = max(all_powers.values(), key=lambda power: power[1] - power[0])
        stated = detectable_effect(1.0, 20, rule), sequential_effect(1.0, rule, paired=True, n_golden=20)
        lines.append(f"| {alpha:g} | {worst[1]:.2f} | {worst[0]:.2f} | {stated[0]:.2f} sd | {stated[1]:.2f} sd |")
        assert worst[0] < worst[1]
    with capsys.disabled():
        print("\n".join(lines))


@pytest.mark.parametrize(("margin", "effect", "alpha"), [(0.0, 1.0, 1e-3), (0.5, 1.4, 1e-3), (0.0, 1.2, 0.05)])
@pytest.mark.parametrize(("design", "n_golden"), [("pairs", 20), ("groups", 20), ("groups", 40)])
def test_power_is_that_of_a_simulation(design, n_golden, margin, effect, alpha):
    """The quasi-random integral against random checks of the code that judges.

    The tolerance: 3 standard errors .015, .002 of the integral, .005 that Welch, of 20 against 20, loses to Student.
    """
    paired, generator = DESIGNS[design], np.random.default_rng(4)
    rule, draws = MetricRule(margin=margin, alpha=alpha), 10_000
    y = np.zeros((draws, 20)) if paired else generator.normal(size=(draws, n_golden))
    alarmed, _ = checked(generator.normal(size=(draws, 20)) + effect, y, rule, paired=paired)
    power = sequential_power(effect, 1.0, rule, paired=paired, n_golden=n_golden)
    assert pytest.approx(float(alarmed.mean()), abs=0.022) == power


@pytest.mark.parametrize("margin", [0.0, 0.5])
@pytest.mark.parametrize("paired", [True, False])
def test_the_stated_effect_is_found_nine_times_in_ten(margin, paired):
    """For the upper bound of the spread, as of a fixed number of seeds, and it is larger than theirs."""
    rule = MetricRule(margin=margin, alpha=1e-3)
    bound = math.sqrt(19 / float(special.chdtri(19, 0.8)))  # 80 % upper bound of an sd of 1 from 20 seeds
    stated = sequential_effect(1.0, rule, paired=paired, n_golden=20)
    assert pytest.approx(0.9, abs=0.002) == sequential_power(stated, bound, rule, paired=paired, n_golden=20)  # a path
    assert stated > detectable_effect(1.0, 20, rule, paired=paired)


def test_what_has_no_spread_or_no_design_states_no_effect():
    """Without any spread the margin is the effect; a golden of too few seeds, or an alpha of 2, state nothing."""
    rule = MetricRule(margin=0.5, alpha=1e-3)
    assert 0.5 == sequential_effect(0.0, rule, paired=True, n_golden=20)
    assert math.isnan(sequential_effect(1.0, rule, paired=True, n_golden=19))
    assert math.isnan(sequential_effect(math.nan, rule, paired=True, n_golden=20))
    assert math.isnan(sequential_effect(1.0, MetricRule(margin=0.5, alpha=2.0), paired=True, n_golden=20))
    assert (1.0, 0.0) == tuple(sequential_power(x, 0.0, rule, paired=True, n_golden=20) for x in (0.6, 0.4))


def test_a_wild_seed_at_the_first_look_does_not_end_the_check():
    """Its own scatter hides it from t, p .35, but not from the whole rule: the next look sees it."""
    golden = np.random.default_rng(5).normal(size=20)
    new = golden + 0.01 * np.random.default_rng(6).normal(size=20)
    new[2] += 5000.0
    rule, decisions = MetricRule(margin=0.1, alpha=1e-3), []
    for n in LOOKS[:2]:
        look = look_rule(rule, n, paired=True, n_golden=20)
        assert p_of_mean(new[:n], golden, look, paired=True) > ENOUGH_P[1]
        decisions.append(look_decision(float(p_of_rule(new[:n], golden, look, paired=True)), n, look.alpha))
    assert ["go on", "alarm"] == decisions
