"""Sequential checks in the comparator: what a look at 5, 10 or 20 seeds says, and what is not recorded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from goldmark.golden._compare.messages import message
from goldmark.golden._compare.shift import rule_of
from goldmark.golden._compare.tiers import compare
from goldmark.golden._files.entries import Golden, Result
from goldmark.golden._files.format import from_bytes, to_bytes
from goldmark.golden._record.entry import golden_from, statistical_entry
from goldmark.golden._record.refusals import refusals, weakenings
from goldmark.golden._record.selftest import self_test
from goldmark.statistics import detectable_effect, look_rule, sequential_effect

SEEDS = [str(seed) for seed in range(20)]
HEALTHY = 3 + 0.1 * np.random.default_rng(0).normal(size=20)
NOISE = np.tile([-0.1, -0.05, 0.0, 0.05, 0.1], 4)  # no shift, and an sd of .08, at every look
BROKEN = HEALTHY + 2 + NOISE
SLIGHT = HEALTHY + 0.05 + 0.045 + NOISE  # beyond the margin: p is .14, .04 and .006 at the three looks
MEDIUM = HEALTHY + 0.05 + 0.3 + NOISE  # p is 5e-4 and 2e-7 at the first two
STREAM = {seed: f"stream {seed}" for seed in SEEDS}


def by_seed(values):
    """Return values as a golden stores them."""
    return dict(zip(SEEDS, map(float, values), strict=False))


def entry(values=HEALTHY, **rule):
    """Return a metric that is checked sequentially, guarded by a bug two units away."""
    guard = {"guard": "broken", "guard_values": by_seed(BROKEN)}
    return statistical_entry(
        by_seed(values), **{"scale": "identity", "margin": 0.05, "sequential": True} | guard | rule
    )


def golden(stream=STREAM, exact=None, **entries):
    """Return a golden of 20 seeds."""
    return golden_from(Result(name="a", exact=exact or {}, statistical=entries or {"rmse": entry()}, stream=stream), ())


def looked(values, n, approved=None, **how):
    """Compare the first n of some values with a golden."""
    approved = approved or golden()
    metrics = values if isinstance(values, dict) else {"rmse": values}
    statistical = {name: entry(own[:n], guard=None, guard_values=None) for name, own in metrics.items()}
    stream = approved.stream and {seed: approved.stream[seed] for seed in SEEDS[:n]}
    return compare(approved, Result(name="a", exact=approved.exact, statistical=statistical, stream=stream), **how)


def test_unchanged_values_end_the_check_at_the_first_look():
    """Five of twenty seeds are then a whole check, and nothing more is asked for."""
    for values in (HEALTHY, HEALTHY + NOISE):
        comparison = looked(values, 5)
        assert (True, ()) == (comparison.ok, comparison.next_seeds)
        assert comparison.reason.startswith("1 entries hold, look 1 of 3, 5 of 20 seeds")


def test_a_large_shift_alarms_at_the_first_look():
    """Where all seeds move alike nothing hides it; the message says at which look."""
    comparison = looked(HEALTHY + 0.5, 5)
    assert (False, ()) == (comparison.ok, comparison.next_seeds)
    assert "look 1 of 3, 5 of 20 seeds" in comparison.reason


def test_a_moderate_shift_goes_on_and_alarms_at_a_later_look():
    """What five seeds leave open the next seeds are asked about, by name, until one of the looks decides."""
    first = looked(MEDIUM, 5)
    assert (False, tuple(SEEDS[5:10])) == (first.ok, first.next_seeds)
    assert "statistical rmse: look 1 of 3, 5 of 20 seeds: p 0.000" in first.reason
    second = looked(MEDIUM, 10)
    assert (False, ()) == (second.ok, second.next_seeds)
    assert "look 2 of 3, 10 of 20 seeds" in second.reason


def test_the_last_look_always_decides():
    """A shift that no look takes for certain holds, as undecided."""
    decisions = [looked(SLIGHT, n) for n in (5, 10, 20)]
    assert [(False, 5), (False, 10), (True, 0)] == [(look.ok, len(look.next_seeds)) for look in decisions]
    assert "undecided: shift" in decisions[-1].undecided[0]
    assert "look 3 of 3, 20 of 20 seeds" in decisions[-1].undecided[0]


def test_a_check_that_goes_on_says_what_to_train():
    """The message names the seeds, p and both limits, and no update: nothing is wrong yet."""
    alpha = look_rule(look_metric_rule(), 5, paired=True, n_golden=20).alpha
    lines = message(looked(SLIGHT, 5), "pytest --golden-update")
    assert "golden 'a' is not decided: train seeds 5 6 7 8 9 as well" == lines[0]
    assert f"an alarm is {alpha:.2g} or less, enough to end more than 0.3" in lines[1]
    assert not any("--golden-update" in line for line in lines)


def look_metric_rule():
    """Return the rule of the metric that the tests look at."""
    return rule_of(entry())


def test_every_metric_has_to_decide():
    """One that holds waits for one that does not; where one alarms, no more is trained for the other."""
    both = golden(rmse=entry(), loss=entry())
    waiting = looked({"rmse": HEALTHY, "loss": SLIGHT}, 5, both)
    assert (False, tuple(SEEDS[5:10])) == (waiting.ok, waiting.next_seeds)
    failed = looked({"rmse": HEALTHY + 2, "loss": SLIGHT}, 5, both)
    assert (False, ()) == (failed.ok, failed.next_seeds)
    assert ["rmse"] == [drift.key for drift in failed.drifts]


def test_another_failure_ends_the_check():
    """An exact entry that differs is not made better by more seeds."""
    statistical = {"rmse": entry(SLIGHT[:5], guard=None, guard_values=None)}
    result = Result(name="a", exact={"n": 4}, statistical=statistical, stream=STREAM)
    failed = compare(golden(exact={"n": 3}), result)
    assert (False, ()) == (failed.ok, failed.next_seeds)
    assert ["n"] == [drift.key for drift in failed.drifts]


@pytest.mark.parametrize("n", [4, 7, 19])
def test_other_numbers_of_seeds_fail_as_too_few(n):
    """Whatever their values; those asked for in words are compared at alpha as a whole."""
    comparison = looked(HEALTHY, n)
    assert (False, ()) == (comparison.ok, comparison.next_seeds)
    assert (
        f"{n} of the golden's 20 seeds were run, and a sequential check looks at the first 5, 10, 20"
        in comparison.reason
    )
    assert looked(HEALTHY, n, allow_fewer=True).ok is None
    assert looked(BROKEN, n, allow_fewer=True).ok is False


def test_five_other_seeds_are_no_look():
    """The looks are nested: a choice among the seeds would be a choice of the result."""
    some = {seed: float(HEALTHY[int(seed)]) for seed in SEEDS[3:8]}
    result = Result(name="a", statistical={"rmse": replace(entry(), values=some)}, stream=STREAM)
    assert "looks at the first 5, 10, 20" in compare(golden(), result).reason


def test_a_check_that_may_be_partial_does_not_fail_for_want_of_a_further_look():
    """It is not decided: neither green nor red, and the seeds are still named."""
    comparison = looked(SLIGHT, 5, allow_fewer=True)
    assert (None, tuple(SEEDS[5:10])) == (comparison.ok, comparison.next_seeds)
    assert "look 1 of 3" in comparison.unchecked


def test_a_strict_check_goes_on_while_it_is_undecided():
    """An interval wider than the margin ends no look but the last, which fails; twenty seeds can show equality."""
    looks = [looked(HEALTHY + NOISE, n, strict=True) for n in (5, 10, 20)]
    assert [(False, 5), (False, 10), (True, 0)] == [(look.ok, len(look.next_seeds)) for look in looks]
    last = looked(SLIGHT, 20, strict=True)
    assert (False, ()) == (last.ok, last.next_seeds)
    assert "and an interval within the margin" in looks[0].reason
    wide = golden(rmse=entry(margin=1.0))
    assert looked_with_margin(wide).ok is True


def looked_with_margin(approved):
    """Compare the first five values with a golden of a wide margin, strictly."""
    new = entry((HEALTHY + NOISE)[:5], margin=1.0, guard=None, guard_values=None)
    stream = {seed: STREAM[seed] for seed in SEEDS[:5]}
    return compare(approved, Result(name="a", statistical={"rmse": new}, stream=stream), strict=True)


def test_a_moved_stream_is_looked_at_in_groups():
    """Welch and Student stand in for pairs, a bug is still seen, and the golden is not called blind for being young."""
    approved, moved = golden(), dict.fromkeys(SEEDS, "moved")
    for values, ok in ((HEALTHY + NOISE, True), (BROKEN, False)):
        statistical = {"rmse": entry(values[:5], guard=None, guard_values=None)}
        comparison = compare(approved, Result(name="a", statistical=statistical, stream=moved))
        assert (ok, ()) == (comparison.ok, comparison.next_seeds)
        assert "blind" not in comparison.reason


@pytest.mark.parametrize(("distance", "blind"), [(1.05, False), (0.95, True)])
def test_a_golden_in_groups_is_blind_where_all_looks_together_would_not_see_its_bug(distance, blind):
    """Not where a first look of five seeds alone would not."""
    effect = sequential_effect(float(HEALTHY.std(ddof=1)), look_metric_rule(), paired=False, n_golden=20)
    approved = golden(rmse=entry(guard_values=by_seed(HEALTHY + distance * effect + NOISE)))
    new = entry((HEALTHY + NOISE)[:5], guard=None, guard_values=None)
    comparison = compare(approved, Result(name="a", statistical={"rmse": new}, stream=dict.fromkeys(SEEDS, "moved")))
    assert blind == ("this golden is blind now" in comparison.reason)
    assert blind == (comparison.ok is False)


def test_a_changed_rule_is_reported():
    """A golden of either kind is no golden of the other."""
    plain = golden(rmse=entry(sequential=False))
    for approved, now, words in ((golden(), False, "golden True, now False"), (plain, True, "golden False, now True")):
        new = entry(sequential=now, guard=None, guard_values=None)
        comparison = compare(approved, Result(name="a", statistical={"rmse": new}, stream=STREAM))
        assert f"rule rmse.sequential: {words}; a rule changes by an update of the golden" == comparison.reason


def test_the_file_says_so_only_where_it_is_so():
    """A sequential golden comes back as it was; a file without the word reads and is written as before."""
    approved = golden()
    content = to_bytes(approved)
    assert b'"sequential": true' in content
    assert from_bytes(content, "a") == approved
    plain = to_bytes(golden(rmse=entry(sequential=False)))
    assert b"sequential" not in plain
    assert not from_bytes(plain, "a").statistical["rmse"].sequential


def test_what_a_golden_states_is_the_effect_of_the_sequential_check():
    """Larger than that of twenty seeds, in pairs with its guard, and found to be false where it states theirs."""
    metric, plain = entry(), entry(sequential=False)
    assert sequential_effect(metric.sd, look_metric_rule(), paired=True, n_golden=20) == metric.detectable
    assert detectable_effect(plain.sd, 20, look_metric_rule()) == plain.detectable < metric.detectable
    assert [] == self_test(golden())
    assert ["rmse: sd, detectable, effect are not what its values give"] == self_test(
        golden(rmse=replace(metric, detectable=plain.detectable))
    )


@pytest.mark.parametrize("first", [HEALTHY + NOISE, SLIGHT])
def test_a_golden_whose_looks_would_let_its_bug_pass_is_found(first):
    """A guard whose first seeds look healthy ends the check, at the first look or at the second."""
    early = np.where(np.arange(20) < 5, first, np.where(np.arange(20) < 10, HEALTHY + NOISE, BROKEN))
    blind = golden(rmse=replace(entry(), guard_values=by_seed(early)))
    assert "rmse: the guard 'broken' passes" in self_test(blind)
    (reason,) = refusals(Result(name="a", statistical={"rmse": entry(guard_values=by_seed(early))}, stream=STREAM))
    assert "cannot see its bug 'broken'" in reason


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"test": "permutation"}, "looks at t tests only, and its test is 'permutation'; take test='t', or leave"),
        ({"dead_below": 0.5}, "looks at t tests only, and dead_below=0.5 counts seeds; or leave sequential=True out"),
        (
            {"check_seeds": 8},
            "check_seeds is 8, and a sequential check looks at 5, 10, 20 seeds; leave check_seeds out",
        ),
        ({"values": HEALTHY[:19]}, "19 seeds, and a sequential check looks at 5, 10, 20; record 20 or more, or leave"),
    ],
)
def test_what_no_look_can_judge_is_refused_where_it_is_recorded(rule, words):
    """With the value, what would be right and the way out."""
    (reason,) = refusals(Result(name="a", statistical={"rmse": entry(**rule)}, stream=STREAM))
    assert words in reason


def test_a_bug_too_small_for_the_looks_is_refused_with_the_way_out():
    """Twenty seeds at once would see it."""
    between = (entry().detectable + entry(sequential=False).detectable) / 2
    near = entry(guard_values=by_seed(HEALTHY + between + NOISE))
    (reason,) = refusals(Result(name="a", statistical={"rmse": near}, stream=STREAM))
    assert "cannot see its bug 'broken'" in reason
    assert "without sequential=True about " in reason


def test_to_switch_it_on_is_a_weakening_unless_the_guard_is_still_seen():
    """Without a guard it detects less than before; to switch it off is none."""
    alone = {"guard": None, "guard_values": None}
    before, after = entry(sequential=False, **alone), entry(**alone)
    (weaker,) = weakenings(golden(rmse=before), Result(name="a", statistical={"rmse": after}, stream=STREAM))
    assert (
        f"rmse: a sequential check detects {after.detectable:.3g} or more instead of {before.detectable:.3g}" == weaker
    )
    assert [] == weakenings(golden(rmse=after), Result(name="a", statistical={"rmse": before}, stream=STREAM))
    guarded: Golden = golden(rmse=entry(sequential=False))
    assert [] == weakenings(guarded, Result(name="a", statistical={"rmse": entry()}, stream=STREAM))
