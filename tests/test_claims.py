"""Checks of claims on made-up runs: right side, wrong side, NaN, missing seeds."""

from __future__ import annotations

import math

import pytest

from goldmark import claims
from goldmark.case import Baseline, Claim, Finding, Run, Verdict


def run(seed, *, trouble=False, **metrics):
    """A run with these metrics, a finding and a baseline of 0.5 for every metric."""
    baseline = Baseline("naive", "says", dict.fromkeys(metrics, 0.5))
    finding = Finding("collapsed_output", trouble, {}, 0.1, "")
    empty = {"history": (), "learning_rates": (), "exact": {}, "close": {}, "fingerprint": {}, "sources": {}}
    where = {"case": "case", "scale": "fast", "variant": "v", "seed": seed, "stream": "", "data": "", "seconds": 0.0}
    return Run(metrics=metrics, baselines=(baseline,), findings=(finding,), **where, **empty)


RUNS = {
    "good": [run(0, score=0.9, bound=0.9), run(1, score=0.7, bound=0.8)],
    "bad": [run(0, score=0.1), run(1, score=0.3)],
}


def test_every_seed_shows_the_worst_one():
    """The value of the verdict is the seed furthest on the wrong side, whichever side that is."""
    assert Verdict(True, 0.7, 0.6, 2) == claims.every_seed("good", "score", ">=", 0.6)(RUNS)
    assert Verdict(False, 0.7, 0.8, 2) == claims.every_seed("good", "score", ">=", 0.8)(RUNS)
    assert Verdict(False, 0.3, 0.2, 2) == claims.every_seed("bad", "score", "<=", 0.2)(RUNS)


def test_nan_in_one_seed_fails_every_relation():
    """A diverged seed can neither be above nor below a limit."""
    runs = {"v": [run(0, score=0.9), run(1, score=math.nan)]}
    for relation in (">=", "<=", ">", "<"):
        assert not claims.every_seed("v", "score", relation, 0.5)(runs).ok
        assert not claims.mean("v", "score", relation, 0.5)(runs).ok


def test_means_and_differences_are_taken_over_common_seeds():
    """Differences are paired by seed; a seed that one side lacks does not count."""
    runs = {**RUNS, "good": [*RUNS["good"], run(7, score=100.0)]}
    assert Verdict(True, 0.2, 0.2, 2) == claims.mean("bad", "score", "<=", 0.2)(RUNS)
    assert claims.mean_difference("good", "bad", "score", ">=", 0.5)(runs).n_seeds == 2
    assert pytest.approx(0.6) == claims.mean_difference("good", "bad", "score", ">=", 0.5)(runs).value
    assert pytest.approx(0.4) == claims.every_difference("good", "bad", "score", ">=", 0.5)(runs).value
    assert not claims.every_difference("good", "bad", "score", ">=", 0.5)(runs).ok


def test_baselines_and_bounds_are_those_of_the_same_run():
    """A score is held against its own run's baseline or bound."""
    assert claims.against_baseline("good", "score", ">", "naive")(RUNS).ok
    assert not claims.against_baseline("bad", "score", ">", "naive")(RUNS).ok
    assert claims.within("good", "score", "<=", "bound")(RUNS).ok
    assert not claims.within("good", "score", "<", "bound")(RUNS).ok
    with pytest.raises(ValueError, match="no baseline 'mean'; the run has: naive"):
        claims.against_baseline("good", "score", ">", "mean")(RUNS)


def test_found_wants_all_runs_or_none():
    """One run out of two in trouble is neither."""
    runs = {"v": [run(0, trouble=True), run(1)]}
    assert Verdict(False, 0.5, 1, 2) == claims.found("v", "collapsed_output", 1)(runs)
    assert Verdict(False, 0.5, 0, 2) == claims.found("v", "collapsed_output", 0)(runs)
    assert claims.found("v", "collapsed_output", 0)({"v": [run(0)]}).ok
    with pytest.raises(ValueError, match="1 runs of 'v' hold 0 findings 'other'"):
        claims.found("v", "other", 1)({"v": [run(0)]})


def test_all_of_shows_the_first_failure():
    """One failing part fails the whole, and its numbers are shown."""
    low, high = claims.mean("bad", "score", ">=", 0.5), claims.mean("good", "score", ">=", 0.5)
    assert low(RUNS) == claims.all_of(high, low)(RUNS)
    assert claims.all_of(high, high)(RUNS).ok


def test_paired_test_needs_the_better_one_first():
    """The one-sided p-value is small in one direction only."""
    runs = {"low": [run(s, x=1.0 + 0.01 * s) for s in range(8)], "high": [run(s, x=2.0 + 0.03 * s) for s in range(8)]}
    assert claims.paired_lower("low", "high", "x", 0.01, "log")(runs).ok
    assert not claims.paired_lower("high", "low", "x", 0.01, "log")(runs).ok


def test_claim_with_too_few_seeds_is_not_judged():
    """Two seeds are no evidence for a claim that states eight."""
    claim = Claim("c", "says", "project", ("good",), claims.mean("good", "score", ">=", 0.5), fewest_seeds=8)
    verdict = claims.verdict_on(claim, RUNS)
    assert (None, 2) == (verdict.ok, verdict.n_seeds)
