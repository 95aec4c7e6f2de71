"""Comparing metrics of trained models: shifts, improvements, rules, and what stays undecided."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from golden.compare.approved import (
    BROKEN,
    GOLDEN,
    HEALTHY,
    MOVED,
    NOISE,
    SAME,
    STREAM,
    approved,
    by_seed,
    compared,
    elsewhere,
    entry,
    shown,
    unguarded,
)

from goldmark.case import UsageError
from goldmark.golden._compare.tiers import compare
from goldmark.golden._files.entries import Golden, Result


def test_a_shift_beyond_the_margin_fails_with_its_numbers():
    """The text says golden, got, percent, margins, test, p, n, and what the golden detects."""
    comparison = elsewhere(rmse=entry(HEALTHY + 1 + NOISE))
    (drift,) = comparison.drifts
    assert (False, "statistical", "rmse") == (comparison.ok, drift.tier, drift.key)
    assert pytest.approx(10, abs=1) == drift.size  # a shift of 1 in margins of .1; its noise is .1 / sqrt 12
    for text in (
        "golden 3.002",
        "got 3.977 (+32.5 %, worse",
        "margins of 0.1",
        "paired t, p",
        "12 seeds, detects shifts of 0.",
    ):
        assert text in drift.text


def test_an_unexplained_improvement_fails_too():
    """It may be a leak, and the text says so."""
    (drift,) = elsewhere(rmse=entry(HEALTHY - 1)).drifts
    assert "better: a leak?" in drift.text


def test_a_shift_within_the_margin_holds():
    """A change that nobody would mind passes where the code has changed."""
    assert elsewhere(rmse=entry(HEALTHY + 0.05)).ok is True


def test_a_metric_gates_by_its_margin():
    """With or without a guard it fails beyond it; what has none is shown, whatever it says."""
    golden = approved(replace(SAME, statistical={"rmse": unguarded(), "loss": shown()}))
    moved = replace(SAME, statistical={"rmse": unguarded(HEALTHY + 1), "loss": shown(HEALTHY + 100)}, sources={})
    (drift,) = compare(golden, moved).drifts
    assert ("statistical", "rmse") == (drift.tier, drift.key)
    assert "shift 1 to 1 (99 %)" in drift.text
    assert "12 seeds, detects shifts of 0.285" in drift.text
    assert elsewhere(loss=shown([math.nan] * 12)).ok is True


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("metric", [entry, unguarded])
def test_one_seed_without_a_number_fails_a_metric_that_gates(value, metric):
    """A diverged seed is not averaged away."""
    values = HEALTHY.copy()
    values[3] = value
    golden = approved(replace(SAME, statistical={"rmse": metric()}))
    (drift,) = compare(golden, replace(SAME, statistical={"rmse": metric(values)}, sources={})).drifts
    assert "rmse, seed 3" in drift.text
    assert math.isinf(drift.size)


def test_a_value_without_a_logarithm_fails_a_log_scale():
    """It is a drift with its seed, not an error in the comparator."""
    golden = approved(replace(SAME, statistical={"rmse": entry(margin="2%")}))
    result = replace(SAME, statistical={"rmse": entry(HEALTHY - 3, margin="2%")}, sources={})
    (drift,) = compare(golden, result).drifts
    assert "not a positive number" in drift.text


def test_rounding_passes_whatever_the_margin():
    """Values that repeat to 1e-6 are the same numbers, even where all moved in one direction and the margin is 0."""
    golden = approved(replace(SAME, statistical={"rmse": entry(margin=0.0)}))
    moved = replace(SAME, statistical={"rmse": entry(HEALTHY * (1 + 5e-7), margin=0.0)}, sources={})
    assert compare(golden, moved).ok is True


def test_on_a_moved_stream_seeds_are_not_paired_and_the_text_says_so():
    """Welch replaces the paired test; a shift is still found."""
    changes = {"stream": MOVED, "sources": {}, "statistical": {"rmse": entry(HEALTHY[::-1] + 1), "loss": shown()}}
    (drift,) = compared(**changes).drifts
    assert "Welch" in drift.text
    assert "the stream moved" in drift.text
    assert compared(stream=MOVED, sources={}, statistical={"rmse": entry(HEALTHY[::-1]), "loss": shown()}).ok is True


def test_without_stream_hashes_the_text_says_what_pairing_would_buy():
    """Seeds whose spread is common detect more in pairs."""
    wide = np.linspace(2, 4, 12)
    golden = approved(Result(name="a", statistical={"rmse": entry(wide, guard_values=by_seed(wide + 9), paired=False)}))
    result = Result(name="a", statistical={"rmse": entry(wide + 3 + NOISE)})
    (drift,) = compare(golden, result).drifts
    assert "Welch" in drift.text
    assert "with stream hashes, and so pairs, 0." in drift.text


def test_a_golden_that_went_blind_with_its_stream_fails():
    """Seeds that differ more than the bug's effect see it in pairs only, and say so when pairs are gone."""
    spread_out = np.linspace(0, 20, 12)
    metric_entry = entry(spread_out, guard_values=by_seed(spread_out + 2 + NOISE))
    golden = approved(replace(SAME, statistical={"rmse": metric_entry}))
    moved = replace(SAME, stream=MOVED, sources={}, statistical={"rmse": entry(spread_out[::-1])})
    comparison = compare(golden, moved)
    assert comparison.ok is False
    assert "this golden is blind now: re-record" in comparison.drifts[0].text
    assert compare(golden, replace(moved, stream=STREAM)).ok is True


@pytest.mark.parametrize("change", [{"margin": 0.2}, {"alpha": 1e-2}, {"test": "permutation"}, {"margin": "2%"}])
def test_a_rule_changed_without_an_update_fails(change):
    """The stored rule decides, so a new one in the code has to be said to have no effect yet."""
    comparison = elsewhere(rmse=entry(**change))
    assert {"rule"} == {drift.tier for drift in comparison.drifts}
    assert elsewhere(loss=replace(shown(), alpha=0.5, test="permutation")).ok is True  # it is judged by none


def test_a_margin_that_only_one_side_has_fails():
    """A metric that shall gate is recorded to; one that shall be shown no longer gates by an update alone."""
    (drift,) = elsewhere(loss=unguarded()).drifts
    assert "rule loss.margin: golden None, now 0.1; a rule changes by an update of the golden" == drift.text
    assert ["rmse.margin"] == [drift.key for drift in elsewhere(rmse=shown()).drifts]


def test_a_guard_may_be_left_out_and_is_not_looked_at():
    """It was judged when it was recorded; one that the golden does not have would guard nothing."""
    assert elsewhere(rmse=unguarded()).ok is True
    assert elsewhere(rmse=entry(guard="another", guard_values=by_seed(HEALTHY))).ok is True
    golden = approved(replace(SAME, statistical={"rmse": unguarded()}))
    stated = replace(entry(), guard_values=None)  # as a test states it
    (drift,) = compare(golden, replace(SAME, statistical={"rmse": stated}, sources={})).drifts
    assert "rmse.guard" == drift.key


def test_a_golden_with_too_few_seeds_for_its_test_is_an_error():
    """Such a golden cannot be recorded; one that exists anyway is not passed over."""
    few = entry(HEALTHY[:4], guard_values=by_seed(BROKEN[:4]))
    golden = Golden(name="a", statistical={"rmse": few})
    with pytest.raises(UsageError, match="4 seeds are too few"):
        compare(golden, Result(name="a", statistical={"rmse": replace(few, values=by_seed(BROKEN[:4]))}))


def noisy(shift):
    """Return the healthy values, each seed moved by half a unit in one direction or the other, and all by a shift."""
    return HEALTHY + shift + np.resize([0.5, -0.5], 12)


def test_what_a_wide_interval_leaves_open_is_undecided():
    """It passes, and names shift, margin and how many seeds would decide; `strict` fails it with the same words."""
    golden = approved(replace(SAME, statistical={"rmse": entry(), "loss": shown()}))
    moved = replace(SAME, statistical={"rmse": entry(noisy(0.05)), "loss": shown(noisy(9))}, sources={})
    comparison = compare(golden, moved)
    (undecided,) = comparison.undecided
    assert (True, ", 1 undecided") == (comparison.ok, comparison.reason[-13:])
    assert (
        "rmse: undecided: shift -0.418 to 0.518 (99 %), margin 0.1, 12 seeds; about 728 seeds would decide" == undecided
    )
    (drift,) = compare(golden, moved, strict=True).drifts
    assert f"statistical {undecided}" == drift.text


def test_equal_and_changed_metrics_are_not_undecided():
    """A shift of nothing with little noise is equal, values that repeat are, and an alarm is an alarm."""
    calm = replace(SAME, statistical={"rmse": entry(HEALTHY + 0.01 * NOISE), "loss": shown()}, sources={})
    assert (True, ()) == (compare(GOLDEN, calm, strict=True).ok, compare(GOLDEN, calm).undecided)
    assert compare(GOLDEN, SAME, strict=True).ok is True
    assert () == compare(GOLDEN, replace(calm, statistical={"rmse": entry(BROKEN), "loss": shown()})).undecided


def test_unchanged_code_that_does_not_repeat_is_no_matter_of_more_seeds():
    """Where nothing has changed every seed must repeat: the drift is that, and nothing is undecided."""
    moved = replace(SAME, statistical={"rmse": entry(noisy(0.05)), "loss": shown()})
    comparison = compare(GOLDEN, moved)
    assert (False, "repeat", ()) == (comparison.ok, comparison.drifts[0].tier, comparison.undecided)


def test_a_wild_seed_is_named():
    """One seed that runs away among calm ones fails, with its name, value and distance."""
    values = HEALTHY.copy()
    values[4] = 1000.0
    (drift,) = compare(GOLDEN, replace(SAME, statistical={"rmse": entry(values), "loss": shown()}, sources={})).drifts
    assert re.search(r"wild seed 4: 1000, [0-9.e+]+ sd of the golden off, p ", drift.text)


def test_dead_seeds_are_counted_in_the_message():
    """Eleven of twelve that fail outright, against one of the golden's."""
    healthy = {"test": "permutation", "dead_below": 0.5, "guard": None, "guard_values": None}
    golden = approved(replace(SAME, statistical={"rmse": entry([*HEALTHY[:11], 0.0], **healthy)}))
    values = np.where(np.arange(12) < 11, 0.0, HEALTHY)
    (drift,) = compare(golden, replace(SAME, statistical={"rmse": entry(values, **healthy)}, sources={})).drifts
    assert "dead seeds: 11 of 12, golden 1 of 12, p " in drift.text


def test_another_limit_of_dead_seeds_is_another_rule():
    """A rule changes by an update of the golden."""
    (drift,) = compare(GOLDEN, replace(SAME, statistical={"rmse": entry(dead_below=0.5), "loss": shown()})).drifts
    assert ("rule", "rmse.dead_below") == (drift.tier, drift.key)


def test_reference_seeds_count_where_seeds_are_not_paired():
    """A check of six seeds of twelve is compared with all twelve once the stream has moved."""
    golden = approved(replace(SAME, statistical={"rmse": entry(check_seeds=6)}))
    six = replace(entry(check_seeds=6), values=by_seed(HEALTHY[:6] + 1))
    (drift,) = compare(golden, replace(SAME, statistical={"rmse": six}, stream=MOVED, sources={})).drifts
    assert re.search(r"pooled t, p [0-9.e-]+, 6 against 12 seeds", drift.text)
