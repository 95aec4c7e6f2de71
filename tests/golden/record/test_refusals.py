"""What may become a golden: entries know what they can detect, and blind or weaker ones are refused."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from goldmark.case import UsageError
from goldmark.golden._files.entries import Close, Golden, Result, as_result
from goldmark.golden._record.entry import golden_from, statistical_entry
from goldmark.golden._record.refusals import name_clashes, refusals, weakenings
from goldmark.golden._record.selftest import blind_spots
from goldmark.statistics import MetricRule, detectable_effect

GENERATOR = np.random.default_rng(0)
HEALTHY = 3 + 0.1 * GENERATOR.normal(size=12)
BROKEN = HEALTHY + 2 + 0.1 * GENERATOR.normal(size=12)
RULE = MetricRule(margin=0.1, alpha=1e-3)
STREAM = {str(seed): "same" for seed in range(12)}


def by_seed(values):
    """Return values as a golden stores them."""
    return {str(seed): float(value) for seed, value in enumerate(values)}


def entry(values=HEALTHY, guard_values=BROKEN, **rule):
    """Return a metric guarded by a broken variant two units away."""
    rule = {"scale": "identity", "margin": 0.1, "guard": "broken"} | rule
    return statistical_entry(by_seed(values), guard_values=by_seed(guard_values), **rule)


def result(**metrics):
    """Return a result with a recipe, a trace and metrics on one stream."""
    return Result(
        name="a",
        exact={"n": 3, "sizes": {"x": [1, 2]}},
        close={"lr": Close([0.1, 0.2])},
        statistical=metrics,
        stream=STREAM,
    )


def test_a_guarded_entry_knows_the_effect_and_what_it_detects():
    """The spread is that of guard - golden by seed, the effect the distance of their means."""
    metric = entry()
    sd = np.std(BROKEN - HEALTHY, ddof=1)
    assert pytest.approx(sd, rel=1e-12) == metric.sd  # sums of 12 numbers in another order
    assert pytest.approx(np.mean(BROKEN) - np.mean(HEALTHY), rel=1e-12) == metric.effect
    assert detectable_effect(metric.sd, 12, RULE) == metric.detectable


@pytest.mark.parametrize(("paired", "dead"), [(True, 10), (False, 8)])
def test_a_permutation_entry_states_no_fewer_dead_seeds_than_alarm(paired, dead):
    """10 of 12 in pairs and 8 in groups, however far off the guard is; without one the t formula is all there is."""
    metric = entry(test="permutation", paired=paired)
    assert pytest.approx(metric.effect * dead / 12, rel=1e-12) == metric.detectable  # k / n, then the product
    unguarded = entry(test="permutation", guard=None)  # which has no wild seeds to see, and spends no alpha on them
    assert detectable_effect(unguarded.sd, 12, replace(RULE, test="permutation"), paired=False) == unguarded.detectable


@pytest.mark.parametrize("change", [{"paired": False}, {"guard_values": BROKEN[:9]}])
def test_without_a_common_stream_the_spread_is_that_of_both_groups(change):
    """Seeds that cannot be paired leave the sd over seeds, of both groups, and the effect of two groups."""
    metric = entry(**change)
    guard = change.get("guard_values", BROKEN)
    pooled = np.sqrt((np.var(HEALTHY, ddof=1) + np.var(guard, ddof=1)) / 2)
    assert pytest.approx(pooled, rel=1e-12) == metric.sd  # another order of summation
    assert detectable_effect(metric.sd, 12, RULE, paired=False) == metric.detectable


def test_a_margin_in_percent_puts_the_entry_on_the_log_scale():
    """Margin, spread, effect and detectable effect are then logarithms of factors."""
    metric = entry(margin="2%")
    assert (metric.scale, metric.margin) == ("log", math.log1p(0.02))
    effect = np.mean(np.log(BROKEN)) - np.mean(np.log(HEALTHY))
    assert pytest.approx(effect, rel=1e-12) == metric.effect  # another order of summation


def test_building_an_entry_refuses_no_values():
    """A result is built to be compared, too: few seeds, NaN and a missing logarithm are the recorder's business."""
    one = statistical_entry({"0": 1.0}, scale="identity", margin=0.1)
    diverged = statistical_entry(by_seed([1.0, math.inf, math.nan]), scale="identity", margin=0.1)
    negative = entry(values=-HEALTHY, margin="2%")
    assert all(math.isnan(metric.detectable) for metric in (one, diverged, negative))
    assert [1.0, "nan", "nan"] == [x if math.isfinite(x) else str(x) for x in diverged.values.values()]


def test_a_golden_that_sees_its_bug_may_be_recorded():
    """A guarded metric with a clear effect, one without a guard, and those without a margin, whatever their values."""
    shown = statistical_entry(by_seed([math.nan] * 5), scale="identity", margin=None)
    assert [] == refusals(result(rmse=entry(), mae=entry(guard=None), loss=shown, rank=entry([3.0] * 12, margin=None)))


def test_an_entry_without_a_guard_knows_what_it_detects():
    """Two groups of its own spread: what a check without common seeds would find."""
    metric, sd = entry(guard=None), np.std(HEALTHY, ddof=1)
    assert detectable_effect(sd, 12, RULE, paired=False) == metric.detectable
    assert math.isnan(entry(guard=None, margin=None).detectable)


def test_a_check_with_fewer_seeds_than_the_golden_detects_less():
    """What is stated is what a check can see; the spread is that of all seeds."""
    metric = entry(check_seeds=6)
    assert detectable_effect(metric.sd, 6, RULE, n_golden=12) == metric.detectable > entry().detectable
    (too_few,) = refusals(result(rmse=entry(check_seeds=4)))
    assert "rmse: 4 seeds are too few" in too_few


@pytest.mark.parametrize("guard_values", [[math.nan] * 12, [*BROKEN[:11], math.inf]])
def test_a_guard_that_diverges_is_a_guard(guard_values):
    """NaN in one seed fails whatever the others are; what is detected follows from the golden's own spread."""
    metric = entry(guard_values=guard_values)
    assert [] == refusals(result(rmse=metric))
    assert [] == blind_spots(golden_from(result(rmse=metric), ()))
    assert (None, entry(guard=None).detectable) == (metric.effect, metric.detectable)


@pytest.mark.parametrize(("better", "sign"), [("higher", 1), ("lower", -1)])
def test_a_guard_on_the_better_side_is_refused(better, sign):
    """It is no bug, or the two were mixed up; a metric of which neither side is better has no such side."""
    (reason_given,) = refusals(result(rmse=entry(guard_values=HEALTHY + sign * (BROKEN - HEALTHY), better=better)))
    assert "the guard 'broken' is better than the golden" in reason_given
    assert [] == refusals(result(rmse=entry(guard_values=HEALTHY - sign * (BROKEN - HEALTHY), better=better)))
    assert [] == refusals(result(rmse=entry(guard_values=HEALTHY + sign * (BROKEN - HEALTHY))))


@pytest.mark.parametrize("values", [[0.25] * 12, [0.25 * (1 + 1e-8 * seed) for seed in range(12)]])
@pytest.mark.parametrize("guard", ["broken", None])
def test_a_seed_that_reaches_nothing_is_refused(values, guard):
    """Equal values, or equal but for rounding, have no spread: a t test would be certain of anything."""
    (reason_given,) = refusals(result(rmse=entry(values, guard=guard)))
    assert reason_given.startswith("rmse: all 12 seeds give 0.25: the seed reaches nothing")
    assert "a constant belongs in `exact`" in reason_given
    dead = entry([0.0] * 12, test="permutation", guard=guard)
    assert [] == refusals(result(rmse=dead))  # an F1 of 0 in every seed


@pytest.mark.parametrize(
    ("reason", "bad"),
    [
        ("cannot see its bug 'broken'.* the margin is 3;", entry(margin=3.0)),
        (
            "cannot see its bug 'broken', an effect of 0.127 on the identity scale: with 12 seeds .* about 399 seeds",
            entry(guard_values=HEALTHY + 0.15 + BROKEN - 5),
        ),
        ("4 seeds are too few", entry(HEALTHY[:4], BROKEN[:4])),
        ("9 paired seeds .* train 10", entry(HEALTHY[:9], BROKEN[:9], test="permutation")),
        ("NaN or infinity at seed 2, 3", entry([1, 1, math.nan, math.inf, 1, 1], [3, 3, 3, 3, 3, 3])),
        ("NaN or infinity at seed 2;", entry([1, 1, math.nan, 1, 1, 1], guard=None)),
        ("guard 'broken' has 9 seeds, the golden 12", entry(guard_values=BROKEN[:9])),
        ("a margin in percent needs positive values", entry(values=HEALTHY - 3, margin="2%")),
        ("alpha 0 is not a false-alarm rate", replace(entry(), alpha=0.0)),
    ],
)
def test_what_cannot_see_its_bug_is_refused_with_the_way_out(reason, bad):
    """Too small an effect, too few seeds, values that are no numbers, a percentage that means nothing."""
    (reason_given,) = refusals(result(rmse=bad))
    assert re.match(f"rmse: .*{reason}", reason_given), reason_given


def test_a_guard_whose_own_values_would_pass_is_refused():
    """In pairs, values that fall where the guard's rise scatter more than the two groups from which it was stated."""
    rise = np.linspace(-1, 1, 5)
    bad = entry(3 + rise, 3 + 5.8 - rise, paired=False)
    assert bad.detectable < bad.effect
    (reason_given,) = refusals(
        Result(name="a", statistical={"rmse": bad}, stream={str(seed): "same" for seed in range(5)})
    )
    assert "the guard's own values pass" in reason_given


@pytest.mark.parametrize(
    ("reason", "rule"),
    [
        (None, {"null_values": {"two threads": by_seed(HEALTHY[:3] + np.array([0.01, 0.0, 0.02]))}}),
        (
            "'one ulp', an innocent change, moves it by 0.269 .95 % bound of 3 seeds., more than .* 0.1; .* 0.27, or",
            {"null_values": {"none": by_seed(HEALTHY[:3]), "one ulp": by_seed(HEALTHY[:3] + 0.1 * np.arange(3))}},
        ),
        (
            "'one ulp', an innocent change, moves it by 4.7 %.* more than the margin of 2 %; take a margin of 4.7 %,",
            {"margin": "2%", "null_values": {"one ulp": by_seed(HEALTHY[:3] * [1.04, 1.02, 1.03])}},
        ),
        ("null 'one ulp' bounds nothing", {"margin": "2%", "null_values": {"one ulp": {"0": 3.0}}}),
        ("null 'one ulp' bounds nothing", {"margin": "2%", "null_values": {"one ulp": {"0": 3.0, "1": -1.0}}}),
        ("null has a value at seed 12, which the golden has not", {"null_values": {"one ulp": {"12": 3.0, "1": 3.0}}}),
    ],
)
def test_a_margin_that_an_innocent_change_exceeds_is_refused(reason, rule):
    """By the 95 % bound of the largest of them, with the margin that would do; one seed bounds nothing."""
    reasons = refusals(result(rmse=entry(**rule)))
    assert (reason is None) == (reasons == [])
    assert reason is None or re.match(f"rmse: {reason}", reasons[0]), reasons


def test_names_are_unique_without_case():
    """Two tests, or a test and a golden, whose names differ by case alone are one file on some systems."""
    assert [] == name_clashes(["a/b", "a/c"], ["a/b", "A/d"])
    (stored,) = name_clashes(["a/b", "a/c"], ["a/B"])
    assert stored.startswith("'a/b' and 'a/B' differ by case alone")
    (both,) = name_clashes(["test[x]", "test[X]"], [])
    assert both.startswith("'test[x]' and 'test[X]' differ")


def test_any_number_of_metrics_may_gate():
    """Each spends its own alpha, and the budget of all goldens is kept elsewhere."""
    assert [] == refusals(result(**{name: entry() for name in "abcde"}))


def test_metrics_without_a_guard_need_5_seeds():
    """A spread from fewer is a guess, and is not recorded."""
    (reason_given,) = refusals(result(loss=statistical_entry(by_seed([1, 2, 3, 4]), scale="identity", margin=0.1)))
    assert "4 seeds are too few" in reason_given


def test_a_margin_in_percent_of_values_that_are_not_positive_is_refused_without_a_guard_too():
    """Every metric with a margin has a place on its scale."""
    unguarded = entry(guard=None, margin="2%")
    assert [] == refusals(result(loss=unguarded))
    (reason_given,) = refusals(result(loss=replace(unguarded, values={**unguarded.values, "3": -1.0})))
    assert "loss: a log scale or a margin in percent needs positive values" in reason_given


@pytest.mark.parametrize(
    ("weakening", "before", "after"),
    [
        ("the values under `null` are gone", {"null_values": {"two threads": by_seed(HEALTHY[:3])}}, {}),
        ("dead_below was 0.1 and is None", {"dead_below": 0.1}, {}),
        ("dead_below was 0.1 and is 0.01", {"dead_below": 0.1}, {"dead_below": 0.01}),
    ],
)
def test_evidence_and_dead_seeds_are_not_given_up_without_a_word(weakening, before, after):
    """What a margin was measured by, and which seeds count as dead, are part of how strictly a golden checks."""
    (reason,) = weakenings(golden_from(result(loss=entry(**before)), ()), result(loss=entry(**after)))
    assert weakening in reason


def test_an_equal_or_stricter_result_weakens_nothing():
    """More keys, more seeds, a smaller margin, a smaller tolerance, another value."""
    old = golden_from(result(rmse=entry(), loss=entry()), ())
    longer = replace(entry(margin=0.05), values={**by_seed(HEALTHY + 1), "12": 4.0})
    stricter = Result(
        name="a",
        exact={"n": 4, "m": 1, "sizes": {"x": [1, 2, 3]}},
        close={"lr": Close([9.0, 9.0], rel=0.0)},
        statistical={},
        stream=STREAM,
    )
    assert [] == weakenings(old, replace(stricter, statistical={"rmse": longer, "loss": entry()}))


LOSS = entry()


@pytest.mark.parametrize(
    ("weakening", "change"),
    [
        ("exact n is gone", {"exact": {"sizes": {"x": [1, 2]}}}),
        ("exact sizes.x is gone", {"exact": {"n": 3, "sizes": {}}}),
        ("exact sizes.x[1:] is gone", {"exact": {"n": 3, "sizes": {"x": [1]}}}),
        ("the exact tier is gone: 2 entries", {"exact": {}}),
        ("close lr[1:] is gone", {"close": {"lr": Close([0.1])}}),
        ("the close tier is gone: 1 entries", {"close": {}}),
        ("close lr: the tolerance grows from 1e-09 to 1e-06", {"close": {"lr": Close([0.1, 0.2], rel=1e-6)}}),
        ("the statistical tier is gone: 2 entries", {"statistical": {}}),
        ("statistical loss is gone", {"statistical": {"rmse": entry()}}),
        ("the stream is gone", {"stream": None}),
        ("loss: seeds 10, 11 are gone", {"statistical": {"rmse": entry(), "loss": entry(HEALTHY[:10], BROKEN[:10])}}),
        (
            "loss: NaN at seed 3",
            {"statistical": {"rmse": entry(), "loss": replace(LOSS, values=LOSS.values | {"3": math.nan})}},
        ),
        ("loss: the margin grows from 0.1 to 0.2", {"statistical": {"rmse": entry(), "loss": entry(margin=0.2)}}),
        ("loss: alpha changes from 0.001 to 0.0001", {"statistical": {"rmse": entry(), "loss": entry(alpha=1e-4)}}),
        ("loss: alpha changes from 0.001 to 0.01", {"statistical": {"rmse": entry(), "loss": entry(alpha=1e-2)}}),
        (
            "loss: the scale changes from identity to log",
            {"statistical": {"rmse": entry(), "loss": entry(margin="1%")}},
        ),
        ("loss: it detects 9 or more", {"statistical": {"rmse": entry(), "loss": replace(LOSS, detectable=9.0)}}),
        (
            "loss: it detects 9 or more, past the guard's effect of 1.97",
            {"statistical": {"rmse": entry(), "loss": replace(LOSS, detectable=9.0, effect=99.0)}},
        ),
        (
            "loss: the guard changes from 'broken' to 'other'",
            {"statistical": {"rmse": entry(), "loss": entry(guard="other")}},
        ),
        (
            "loss: the test changes from t to permutation",
            {"statistical": {"rmse": entry(), "loss": replace(LOSS, test="permutation")}},
        ),
        ("loss: the guard 'broken' is dropped", {"statistical": {"rmse": entry(), "loss": entry(guard=None)}}),
        (
            "loss: the margin of 0.1 is dropped: it would only be shown",
            {"statistical": {"rmse": entry(), "loss": entry(guard=None, margin=None)}},
        ),
        (
            "loss: a check needs 8 seeds instead of 12",
            {"statistical": {"rmse": entry(), "loss": entry(check_seeds=8)}},
        ),
        ("loss: it repeats no longer", {"statistical": {"rmse": entry(), "loss": entry(repeats=False)}}),
    ],
)
def test_each_weakening_is_named(weakening, change):
    """Fewer keys or seeds, wider margins, NaN, a blind golden, a guard or a tier dropped."""
    old = golden_from(result(rmse=entry(), loss=LOSS), ())
    (named,) = weakenings(old, replace(result(rmse=entry(), loss=LOSS), **change))
    assert named.startswith(weakening)


def test_a_frozen_model_that_is_no_longer_tried_is_a_weakening():
    """Values after the first epoch that a golden had and its replacement has not; the reverse is none."""
    tried, untried = result(rmse=entry(first_values=by_seed(BROKEN))), result(rmse=entry())
    (named,) = weakenings(golden_from(tried, ()), untried)
    assert "rmse: a frozen model is no longer tried: the values after the first epoch are gone" == named
    assert [] == weakenings(golden_from(untried, ()), tried)


def test_a_metric_without_a_margin_has_no_rule_to_weaken():
    """It judges nothing, so that another test or a margin loses nothing; one without a guard has one."""
    old = golden_from(result(loss=entry(guard=None, margin=None)), ())
    assert [] == weakenings(old, result(loss=entry(guard=None, margin=9.0, alpha=0.5)))
    assert [] == weakenings(old, result(loss=entry(guard=None, margin=None, repeats=None)))
    gating = golden_from(result(loss=entry(guard=None)), ())
    (grows,) = weakenings(gating, result(loss=entry(guard=None, margin=9.0)))
    assert "loss: the margin grows from 0.1 to 9" == grows
    assert [] == weakenings(gating, result(loss=entry()))  # a guard is a proof more


def test_a_golden_holds_plain_values():
    """Arrays and tuples become lists, dtype and shape of arrays beside them; what has no plain form is refused."""
    golden = golden_from(Result(name="a", exact={"shape": (1, 2)}, close={"x": Close(np.array([0.5]))}), ())
    arrays = {"close x": "float64 (1,)"}
    assert Golden(name="a", exact={"shape": [1, 2]}, close={"x": Close([0.5])}, arrays=arrays) == golden
    with pytest.raises(UsageError, match=r"'odd' is a set"):
        golden_from(Result(name="a", exact={"odd": {1}}), ())


def arithmetic(value=(0.1, 0.2), **rule):
    """Return a result with one close entry."""
    return Result(name="a", close={"lr": Close(value, **rule)})


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ({}, {"rel": 1e-6}, "the tolerance grows from 1e-09 to 1e-06"),
        ({}, {"abs": 1e-12}, "the absolute tolerance grows from 0 to 1e-12"),
        ({}, {"norm": "max"}, "the max norm of a vector is compared instead of every entry"),
        ({"norm": "max"}, {"norm": "l2"}, "the l2 norm of a vector is compared instead of the max norm"),
        ({}, {"equal_nan": True}, "NaN equals NaN"),
    ],
)
def test_a_wider_tolerance_weakens_and_a_narrower_one_does_not(before, after, says):
    """Each of its parts, and never the way back, but for two norms, of which neither is narrower."""
    assert [f"close lr: {says}"] == weakenings(golden_from(arithmetic(**before), ()), arithmetic(**after))
    back = weakenings(golden_from(arithmetic(**after), ()), arithmetic(**before))
    assert (before.get("norm") is None) == (back == [])


def test_an_array_that_would_be_seen_less_weakens():
    """As a list without dtype and shape, or as a summary of what was held whole; never the way back."""
    array = np.arange(20_000.0)
    forms = {
        "list": golden_from(arithmetic(array.tolist()), ()),
        "whole": golden_from(arithmetic(array), (), whole=10**6),
        "summary": golden_from(arithmetic(array), ()),
    }
    says = "close lr: all but a summary of 20000 entries (golden_whole = 20000 keeps all) is gone"
    assert [says] == weakenings(forms["whole"], as_result(forms["summary"]))
    form = "close lr: the dtype and shape of float64 (20000,) are gone"
    assert [form] == weakenings(forms["whole"], as_result(forms["list"]))
    assert [] == weakenings(forms["list"], as_result(forms["whole"]))
    assert [] == weakenings(forms["summary"], as_result(forms["summary"]))
    gone = weakenings(
        golden_from(Result(name="a", close={"x": Close(1.0), "lr": Close(array[:3])}), ()),
        Result(name="a", close={"x": Close(1.0)}),
    )
    assert ["close lr is gone"] == gone
