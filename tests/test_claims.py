"""Checks of claims on made-up runs: right side, wrong side, NaN, missing seeds, and what a verdict tells."""

from __future__ import annotations

import math

import pytest

from goldmark import claims
from goldmark.case import Baseline, Claim, Finding, Run, UsageError


def run(seed, *, trouble=False, **metrics):
    """A run with these metrics, also as numbers that follow from the data, a finding, and a baseline of 0.5 each."""
    baseline = Baseline(name="naive", says="says", metrics=dict.fromkeys(metrics, 0.5))
    finding = Finding(name="collapsed_output", trouble=trouble, numbers={}, threshold=0.1, advice="")
    empty = {"history": (), "learning_rates": (), "exact": {}, "close": metrics, "fingerprint": {}, "sources": {}}
    where = {"case": "case", "scale": "fast", "variant": "v", "seed": seed, "stream": "", "data": "", "seconds": 0.0}
    return Run(metrics=metrics, baselines=(baseline,), findings=(finding,), **where, **empty)


RUNS = {
    "good": [run(0, score=0.9, bound=0.9), run(1, score=0.7, bound=0.8)],
    "bad": [run(0, score=0.1), run(1, score=0.3)],
}


def judged(check, runs=RUNS):
    """Whether a check holds for runs, its value, its limit and its count of seeds."""
    verdict = check(runs)
    return verdict.ok, verdict.value, verdict.limit, verdict.n_seeds


def test_every_seed_shows_the_worst_one():
    """The value of the verdict is the seed furthest on the wrong side, whichever side that is, and it is named."""
    assert (True, 0.7, 0.6, 2) == judged(claims.every_seed("good", "score", ">=", 0.6))
    assert (False, 0.7, 0.8, 2) == judged(claims.every_seed("good", "score", ">=", 0.8))
    assert (False, 0.3, 0.2, 2) == judged(claims.every_seed("bad", "score", "<=", 0.2))
    assert 1 == claims.every_seed("good", "score", ">=", 0.6)(RUNS).worst_seed
    assert 0 == claims.every_seed("good", "score", "<=", 0.6)(RUNS).worst_seed


@pytest.mark.parametrize("value", [0.5, math.nan])
def test_of_equal_values_the_lowest_seed_is_the_worst(value):
    """Whatever the order of the runs, so that a verdict reads the same however they were trained."""
    runs = {"v": [run(seed, score=value) for seed in (3, 1, 2)]}
    assert {1} == {claims.every_seed("v", "score", relation, 0.5)(runs).worst_seed for relation in (">=", "<=")}


@pytest.mark.parametrize(("relation", "at_the_limit"), [(">=", True), ("<=", True), (">", False), ("<", False)])
def test_relations_differ_at_the_limit_itself(relation, at_the_limit):
    """A value that is the limit keeps it where the relation says 'or equal'."""
    assert at_the_limit is claims.every_seed("v", "score", relation, 0.5)({"v": [run(0, score=0.5)]}).ok


def test_nan_in_one_seed_fails_every_relation():
    """A diverged seed can neither be above nor below a limit, and is the worst one."""
    runs = {"v": [run(0, score=0.9), run(1, score=math.nan)]}
    for relation in (">=", "<=", ">", "<"):
        assert claims.every_seed("v", "score", relation, 0.5)(runs).ok is False
        assert claims.mean("v", "score", relation, 0.5)(runs).ok is False
        assert 1 == claims.every_seed("v", "score", relation, 0.5)(runs).worst_seed


def test_means_and_differences_are_taken_over_common_seeds():
    """Differences are paired by seed; a seed that one side lacks does not count."""
    runs = {**RUNS, "good": [*RUNS["good"], run(7, score=100.0)]}
    assert (True, 0.2, 0.2, 2) == judged(claims.mean("bad", "score", "<=", 0.2))
    assert (True, pytest.approx(0.6), 0.5, 2) == judged(claims.mean_difference("good", "bad", "score", ">=", 0.5), runs)
    every = claims.every_difference("good", "bad", "score", ">=", 0.5)
    assert (False, pytest.approx(0.4), 0.5, 2) == judged(every, runs)


def test_no_common_seed_is_an_error_and_not_a_verdict():
    """Two variants that were trained with different seeds cannot be compared in pairs."""
    runs = {"good": [run(0, score=1.0)], "bad": [run(1, score=0.0)]}
    with pytest.raises(ValueError, match="there is no seed to judge it on; train good and bad"):
        claims.mean_difference("good", "bad", "score", ">=", 0.5)(runs)


def test_ratios_are_geometric_means_or_the_worst_seed():
    """9 and 7/3 have the geometric mean 21 ** .5; of numbers that follow from the data the worst seed's is judged."""
    mean = claims.mean_ratio("good", "bad", "score", ">=", 4.0)
    assert (True, pytest.approx(21**0.5), 4.0, 2) == judged(mean)
    every = claims.close_ratio("good", "bad", "score", ">=", 4.0)
    assert (False, pytest.approx(7 / 3), 4.0, 2) == judged(every)
    assert (True, 0.9, 0.9, 2) == judged(claims.every_close("good", "score", "<=", 0.9))


def test_baselines_and_bounds_are_those_of_the_same_run():
    """A score is compared with its own run's baseline or bound."""
    assert (True, pytest.approx(0.2), 0.1, 2) == judged(claims.against_baseline("good", "score", ">", "naive", 0.1))
    assert (False, pytest.approx(-0.4), 0.0, 2) == judged(claims.against_baseline("bad", "score", ">", "naive"))
    assert (True, pytest.approx(0.3), 0.4, 2) == judged(
        claims.mean_against_baseline("good", "score", "<=", "naive", 0.4)
    )
    assert claims.within("good", "score", "<=", "bound")(RUNS).ok
    assert claims.within("good", "score", "<", "bound")(RUNS).ok is False
    with pytest.raises(UsageError, match="a run of 'v' has no baseline 'mean'; it has: naive"):
        claims.against_baseline("good", "score", ">", "mean")(RUNS)


def test_findings_are_wanted_in_every_run_or_in_none():
    """One run out of two in trouble is neither; a run that was not examined for it says nothing."""
    runs = {"v": [run(0, trouble=True), run(1)]}
    assert claims.finding_in_every_seed("v", "collapsed_output")(runs).ok is False
    assert claims.finding_in_no_seed("v", "collapsed_output")(runs).ok is False
    assert claims.finding_in_no_seed("v", "collapsed_output")({"v": [run(0)]}).ok
    assert claims.finding_in_every_seed("v", "collapsed_output")({"v": [run(0, trouble=True)]}).ok
    with pytest.raises(ValueError, match="'v' seed 0 was not examined for 'other', only for: collapsed_output"):
        claims.finding_in_every_seed("v", "other")({"v": [run(0)]})


def test_all_of_keeps_every_part():
    """One failing part fails the whole and its numbers are shown; variants are those of the parts, each once."""
    low, high = claims.mean("bad", "score", ">=", 0.5), claims.mean("good", "score", ">=", 0.5)
    both = claims.all_of(high, low, high)
    assert ("good", "bad") == both.variants
    assert (False, low(RUNS).value) == (both(RUNS).ok, both(RUNS).value)
    assert [True, False, True] == [part.ok for part in both(RUNS).parts]
    assert claims.all_of(high, high)(RUNS).ok


def test_paired_test_needs_the_better_one_first():
    """The one-sided p-value is small in one direction only, on the log scale too."""
    runs = {"low": [run(s, x=1.0 + 0.01 * s) for s in range(8)], "high": [run(s, x=2.0 + 0.03 * s) for s in range(8)]}
    for scale in ("identity", "log"):
        assert claims.paired_lower("low", "high", "x", 0.01, scale)(runs).ok
        assert claims.paired_lower("high", "low", "x", 0.01, scale)(runs).ok is False


def test_distance_of_the_limit_is_in_sd_of_the_seeds():
    """Seeds .9 and .7 have an sd of .1414; the worst lies .1 above a limit of .6, and below one of .8."""
    distances = [claims.every_seed("good", "score", ">=", limit)(RUNS).distance_sd for limit in (0.6, 0.8)]
    assert pytest.approx([0.5**0.5, -(0.5**0.5)]) == distances
    assert pytest.approx(-(0.5**0.5)) == claims.mean("good", "score", "<=", 0.8)(RUNS).distance_sd
    one_seed = claims.every_seed("v", "score", ">=", 0.6)({"v": [run(0, score=1.0)]})
    p_value = claims.paired_lower("good", "bad", "score", 0.01, "log")
    assert math.isnan(one_seed.distance_sd)
    assert not p_value.one_unit


def claim(check, **fields):
    """A claim with that check."""
    return Claim(name="better", says="good is better", source="project", check=check, **fields)


def test_claim_with_too_few_seeds_is_not_judged():
    """Two seeds are no evidence for a claim that states eight; nor are runs that are missing."""
    verdict = claim(claims.mean("good", "score", ">=", 0.5), fewest_seeds=8).verdict(RUNS)
    assert (None, 2) == (verdict.ok, verdict.n_seeds)
    assert "claim 'better': not judged on 2 seeds" == repr(verdict)
    assert claim(claims.mean("other", "score", ">=", 0.5)).verdict(RUNS).ok is None


def test_claim_counts_the_seeds_of_the_variant_that_has_fewest():
    """Eight seeds of one side do not make up for two of the other."""
    runs = {**RUNS, "good": [run(seed, score=0.9) for seed in range(8)]}
    verdict = claim(claims.mean_difference("good", "bad", "score", ">=", 0.5), fewest_seeds=8).verdict(runs)
    assert (None, 2) == (verdict.ok, verdict.n_seeds)


def test_asserted_verdict_tells_claim_value_limit_and_worst_seed():
    """A verdict is true where it holds; the one that does not says which part failed, on which seed."""
    right, wrong = claims.mean("good", "score", ">=", 0.5), claims.every_seed("bad", "score", ">=", 0.5)
    assert claim(right).verdict(RUNS)
    verdict = claim(claims.all_of(right, wrong)).verdict(RUNS)
    with pytest.raises(AssertionError) as failure:
        assert verdict
    text = str(failure.value)
    assert "claim 'better': FAILS" in text
    assert "score of 'bad', every seed: FAILS: 0.1, must be >= 0.5 (2 seeds, the worst is seed 0)" in text
    assert "of 'good'" not in text
