"""The comparator, tested by breaking things: perturb, drop a key, add a key, NaN, change a type."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldmark.case import UsageError
from goldmark.golden._compare.drift import Length
from goldmark.golden._compare.messages import attribution, message
from goldmark.golden._compare.tiers import compare
from goldmark.golden._files.entries import Close, Golden, Provenance, Result
from goldmark.golden._record.entry import golden_from, statistical_entry

GENERATOR = np.random.default_rng(0)
HEALTHY = 3 + 0.1 * GENERATOR.normal(size=12)
NOISE = 0.1 * GENERATOR.normal(size=12)
BROKEN = HEALTHY + 2 + 0.1 * GENERATOR.normal(size=12)
STREAM = {str(seed): f"stream {seed}" for seed in range(12)}
MOVED = {str(seed): f"moved {seed}" for seed in range(12)}
FINGERPRINT = {"device": "cpu", "torch": "2.13.0", "cpu": "EPYC"}
SOURCES = {"src/a.py": "11", "src/b.py": "22"}
UPDATE = 'pytest tests/test_a.py --golden-update --golden-reason "..."'


def by_seed(values):
    """Return values as a golden stores them."""
    return {str(seed): float(value) for seed, value in enumerate(values)}


def entry(values=HEALTHY, **rule):
    """Return a metric guarded by a broken variant two units away, of which .1 is nothing to mind."""
    guard = {"guard": "broken", "guard_values": by_seed(BROKEN)}
    return statistical_entry(by_seed(values), **{"scale": "identity", "margin": 0.1, "better": "lower"} | guard | rule)


def unguarded(values=HEALTHY):
    """Return a metric with a margin and without a guard."""
    return entry(values, guard=None, guard_values=None)


def shown(values=HEALTHY):
    """Return a metric without a margin."""
    return entry(values, guard=None, guard_values=None, margin=None)


def approved(result):
    """Return a result as a golden that was made with its own code and environment."""
    text = Provenance(
        date="2026-01-02",
        reason="first",
        commit=None,
        versions=result.versions,
        fingerprint=result.fingerprint,
        sources=result.sources,
    )
    return golden_from(result, (replace(text, sources={}), text))


SAME = Result(
    name="roast/normalized",
    exact={"n": 3, "recipe": {"lr": 0.1, "clip": None, "warm": True}, "shapes": [[1, 2], [3]]},
    close={"shares": Close([i / 50 + 0.01 for i in range(50)]), "trace": Close({"a": 1.0, "b": [2.0, 0.0]}, rel=1e-3)},
    statistical={"rmse": entry(), "loss": shown()},
    stream=STREAM,
    versions={"scipy": "1.11"},
    fingerprint=FINGERPRINT,
    sources=SOURCES,
)
GOLDEN = approved(SAME)


def compared(**changes):
    """Compare the golden with a result that differs in some fields."""
    return compare(GOLDEN, replace(SAME, **changes))


def elsewhere(**metrics):
    """Compare metrics that were trained with other code, so that they need not repeat."""
    return compared(statistical={**SAME.statistical, **metrics}, sources={"src/a.py": "changed"})


def test_identical_entries_hold():
    """Everything is counted and nothing drifts; arrays and tuples are what their plain forms are."""
    comparison = compared(exact={**SAME.exact, "shapes": ((1, 2), np.array([3]))})
    assert (True, (), ()) == (comparison.ok, comparison.drifts, comparison.not_checked)
    assert comparison.reason == "62 entries hold"


@pytest.mark.parametrize(
    ("key", "got", "change"),
    [
        ("n", 4, {"n": 4}),
        ("n", 3.0, {"n": 3.0}),
        ("n", "3", {"n": "3"}),
        ("n", None, {"n": None}),
        ("recipe.warm", 1, {"recipe": {"lr": 0.1, "clip": None, "warm": 1}}),
        ("recipe.lr", 0.1 + 2**-56, {"recipe": {"lr": 0.1 + 2**-56, "clip": None, "warm": True}}),
        ("recipe.clip", 0, {"recipe": {"lr": 0.1, "clip": 0, "warm": True}}),
        ("shapes[0][1]", 3, {"shapes": [[1, 3], [3]]}),
        ("shapes[1]", Length(2), {"shapes": [[1, 2], [3, 4]]}),
        ("recipe", [], {"recipe": []}),
    ],
)
def test_exact_entries_are_equal_in_value_and_type(key, got, change):
    """A bit, a type, a length or a structure is enough, and the entry is named by its path."""
    (drift,) = compared(exact={**SAME.exact, **change}).drifts
    assert ("exact", key, got, math.inf) == (drift.tier, drift.key, drift.got, drift.size)


def test_lists_of_other_lengths_say_so_and_what_else_differs():
    """Two long lists that begin alike would be shown alike; their common part is compared as well."""
    longer = compared(close={**SAME.close, "shares": Close([*SAME.close["shares"].value, 1.0])})
    assert ["close shares: golden 50 values, got 51 values (the lengths differ)"] == [d.text for d in longer.drifts]
    first = [2.0, *SAME.close["shares"].value[1:-1]]
    shorter = compared(close={**SAME.close, "shares": Close(first)})
    assert ["shares", "shares[0]"] == [drift.key for drift in shorter.drifts]


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("n", {"exact": {key: value for key, value in SAME.exact.items() if key != "n"}}),
        ("new", {"exact": {**SAME.exact, "new": 1}}),
        ("recipe.clip", {"exact": {**SAME.exact, "recipe": {"lr": 0.1, "warm": True}}}),
        ("recipe.new", {"exact": {**SAME.exact, "recipe": {"lr": 0.1, "clip": None, "warm": True, "new": None}}}),
        ("trace", {"close": {"shares": SAME.close["shares"]}}),
        ("new", {"close": {**SAME.close, "new": Close(1.0)}}),
        ("trace.a", {"close": {**SAME.close, "trace": Close({"b": [2.0, 0.0]}, rel=1e-3)}}),
        ("trace.c", {"close": {**SAME.close, "trace": Close({"a": 1.0, "b": [2.0, 0.0], "c": 1.0}, rel=1e-3)}}),
        ("rmse", {"statistical": {"loss": shown()}}),
        ("loss", {"statistical": {"rmse": entry()}}),
        ("new", {"statistical": {**SAME.statistical, "new": shown()}}),
    ],
)
def test_a_missing_and_an_added_key_fail_in_every_tier(key, change):
    """A metric that vanished does not pass, nor does one that nobody approved; None is not an absent key."""
    comparison = compared(**change)
    (drift,) = comparison.drifts
    assert (False, "key", key) == (comparison.ok, drift.tier, drift.key)


@pytest.mark.parametrize("factor", [1 + 0.99e-9, 1 - 0.99e-9])
def test_close_numbers_within_their_tolerance_hold(factor):
    """Each number may move by the golden's relative tolerance."""
    moved = Close([x * factor for x in SAME.close["shares"].value])
    assert compared(close={**SAME.close, "shares": moved}).ok is True


def test_the_golden_s_tolerance_decides():
    """A result that brings a wider tolerance of its own is held to the stored one, and the rule is named."""
    moved = Close([x * (1 + 1e-6) for x in SAME.close["shares"].value], rel=1.0)
    drifts = compared(close={**SAME.close, "shares": moved}).drifts
    assert ["rule", *["close"] * 50] == [drift.tier for drift in drifts]
    assert "rule shares.rel: golden 1e-09, now 1; a rule changes by an update of the golden" == drifts[0].text


@pytest.mark.parametrize("got", [math.nan, math.inf, -math.inf, None, "1.0", True, [1.0], 1.0 + 1.1e-3])
def test_a_close_number_that_is_off_or_no_number_fails(got):
    """NaN never equals anything, and a flag is not the number 1."""
    (drift,) = compared(close={**SAME.close, "trace": Close({"a": got, "b": [2.0, 0.0]}, rel=1e-3)}).drifts
    assert (drift.tier, drift.key) == ("close", "trace.a")


def test_a_close_zero_is_exactly_zero():
    """A relative tolerance of nothing is nothing."""
    (drift,) = compared(close={**SAME.close, "trace": Close({"a": 1.0, "b": [2.0, 1e-300]}, rel=1e-3)}).drifts
    assert drift.key == "trace.b[1]"
    assert math.isinf(drift.size)


@given(st.integers(0, 49), st.floats(1.01e-9, 1e9), st.sampled_from([1, -1]))
def test_any_close_entry_that_moves_is_found(place, relative, sign):
    """Whichever of 50 entries moves, and however far beyond the tolerance, it is the one that is named."""
    values = list(SAME.close["shares"].value)
    values[place] *= 1 + sign * relative
    (drift,) = compared(close={**SAME.close, "shares": Close(values)}).drifts
    assert f"shares[{place}]" == drift.key


def test_two_of_fifty_entries_adrift_are_both_shown_worst_first():
    """The message names both with golden, got, percent and tolerances, in few and short enough lines for pytest."""
    values = list(SAME.close["shares"].value)
    values[7] *= 1.001
    values[30] *= 1.5
    comparison = compare(
        approved(Result(name="lr", close={"shares": SAME.close["shares"]}, fingerprint=FINGERPRINT, sources=SOURCES)),
        Result(name="lr", close={"shares": Close(values)}, fingerprint=FINGERPRINT, sources=SOURCES),
    )
    lines = message(comparison, UPDATE)
    assert "2 of 50 entries, worst first" in lines[0]
    assert lines[1] == "  close shares[30]: golden 0.61, got 0.915 (+50 %, 5e+08 tolerances of 1e-09, the farthest)"
    first = "  close shares[7]: golden 0.15, got 0.15015 (+0.1 %, 1e+06 tolerances of 1e-09, the first of 2 outside)"
    assert lines[2] == first
    assert len(lines) <= 8
    assert len("\n".join(lines)) <= 8 * 80  # pytest shows 8 lines and 640 characters of an assertion


def test_many_drifts_are_counted_and_the_worst_shown():
    """The list has eight lines, the last of which says how many more there are; all of them are shown where asked."""
    moved = {f"x{i}": i for i in range(50)}
    comparison = compared(exact={**SAME.exact, **moved})
    lines = message(comparison, UPDATE)
    assert [11, "  and 43 more: -vv shows all"] == [len(lines), lines[8]]
    assert f"if the change is meant: {UPDATE}" == lines[-1]
    assert 50 == sum("exact x" in line for line in message(comparison, UPDATE, every_drift=True))


def test_of_a_curve_the_first_entry_outside_and_the_farthest_are_named_with_a_plot():
    """Forty-nine of fifty moved: two lines and two of a plot, and the others are counted and shown where asked."""
    moved = Close([x * (1 + i / 100) for i, x in enumerate(SAME.close["shares"].value)])
    comparison = compared(close={**SAME.close, "shares": moved})
    lines = message(comparison, UPDATE)
    assert "the farthest)" in lines[1]
    assert lines[1].startswith("  close shares[49]: ")
    assert lines[2].startswith("  close shares[1]: golden 0.03, got 0.0303 ")
    assert lines[2].endswith("the first of 49 outside)")
    assert lines[3].startswith("  shares, golden ▁▁")
    assert lines[4].startswith("  got            ▁▁")
    assert "  and 47 more: -vv shows all" == lines[5]
    assert max(map(len, lines[:6])) <= 120
    assert 49 == sum("close shares" in line for line in message(comparison, UPDATE, every_drift=True))


def test_drifts_of_all_tiers_are_in_one_list():
    """The worst first, whatever its tier; eight fit without a count."""
    comparison = compared(
        exact={**SAME.exact, "n": 4},
        close={**SAME.close, "shares": Close([0.5, *SAME.close["shares"].value[1:]])},
        statistical={"rmse": entry(HEALTHY + 1 + NOISE), "loss": shown()},
        sources={},
    )
    assert ["exact", "close", "statistical"] == [drift.tier for drift in comparison.drifts]
    assert 6 == len(message(comparison, UPDATE))


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


FEWER = {"rmse": entry(HEALTHY[:7]), "loss": shown(HEALTHY[:7])}


def test_fewer_seeds_fail_with_how_many_are_needed():
    """Whatever their values: a check that measured less than its golden is not green."""
    (drift,) = compared(statistical=FEWER).drifts
    assert ("key", "seeds") == (drift.tier, drift.key)
    assert drift.text.startswith("statistical: 7 of the golden's 12 seeds were run: they detect shifts of 0.")
    assert drift.text.endswith("run the others too, or say allow_fewer=True or --golden-partial")


def test_fewer_seeds_that_are_allowed_are_compared_and_named():
    """Where they hold `ok` is null and the reason says what they still detect; a shift in them fails."""
    comparison = compare(GOLDEN, replace(SAME, statistical=FEWER), allow_fewer=True)
    assert (None, (), ("rmse", "loss")) == (comparison.ok, comparison.drifts, comparison.not_checked)
    assert comparison.reason.startswith("7 of the golden's 12 seeds were run: they detect shifts of 0.")
    assert " instead of 0.2" in comparison.reason
    other_n = compare(GOLDEN, replace(SAME, statistical=FEWER, exact={**SAME.exact, "n": 4}), allow_fewer=True)
    assert [("exact", "n")] == [(drift.tier, drift.key) for drift in other_n.drifts]


@pytest.mark.parametrize("metric", [entry, unguarded])
def test_fewer_seeds_never_detect_more(metric):
    """What is said of seven seeds follows from the same spread as what twelve are stated to detect."""
    golden = approved(replace(SAME, statistical={"rmse": metric()}))
    reason = compare(golden, replace(SAME, statistical={"rmse": metric(HEALTHY[:7])}), allow_fewer=True).reason
    few, all_of_them = map(float, re.findall(r"0\.\d+", reason))
    assert few > all_of_them


@pytest.mark.parametrize("n", [3, 4, 7, 11])
@pytest.mark.parametrize("stream", [STREAM, MOVED])
def test_a_large_shift_in_a_few_seeds_is_seen(n, stream):
    """In pairs and without, below the five that a golden needs too, a metric ten times worse fails."""
    few = {"rmse": entry(10 * HEALTHY[:n]), "loss": shown(HEALTHY[:n])}
    (drift,) = compare(GOLDEN, replace(SAME, statistical=few, stream=stream, sources={}), allow_fewer=True).drifts
    assert ("statistical", "rmse") == (drift.tier, drift.key)
    assert f"{n} seeds, detects" in drift.text or f"{n} against 12 seeds, detects" in drift.text


@pytest.mark.parametrize(("n", "rule"), [(1, {}), (9, {"test": "permutation"})])
def test_seeds_too_few_for_any_test_are_said_to_be(n, rule):
    """One seed has no spread, and nine pairs no permutation of alpha .001; NaN among them fails."""
    golden = approved(replace(SAME, statistical={"rmse": entry(**rule)}))
    few = replace(SAME, statistical={"rmse": entry(10 * HEALTHY[:n], **rule)}, sources={})
    comparison = compare(golden, few, allow_fewer=True)
    assert (None, f"{n} of the golden's 12 seeds were run: too few for a test") == (comparison.ok, comparison.reason)
    diverged = replace(few, statistical={"rmse": entry([math.nan] * n, **rule)})
    assert compare(golden, diverged, allow_fewer=True).ok is False


def test_a_golden_states_how_many_of_its_seeds_a_check_must_have():
    """Further seeds are reference values: any eight of twelve are a whole check, and seven are not."""
    golden = approved(replace(SAME, statistical={"rmse": entry(check_seeds=8)}))
    some = {str(seed): float(HEALTHY[seed]) for seed in range(2, 10)}
    whole = replace(SAME, statistical={"rmse": replace(entry(check_seeds=8), values=some)})
    assert compare(golden, whole).ok is True
    assert compare(golden, replace(SAME, statistical={"rmse": entry(check_seeds=8)})).ok is True
    seven = replace(SAME, statistical={"rmse": entry(HEALTHY[:7], check_seeds=8)})
    (drift,) = compare(golden, seven).drifts
    assert "7 of the golden's 12 seeds were run, and a check needs 8" in drift.text
    all_of_them = replace(SAME, statistical={"rmse": entry()}, sources={})
    assert ["rmse.check_seeds"] == [drift.key for drift in compare(golden, all_of_them).drifts]


def test_close_entries_by_seed_are_held_for_the_seeds_that_ran():
    """An entry with a value a seed is compared in those, and fails in those."""
    golden = approved(replace(SAME, close={"ceiling": Close(by_seed(HEALTHY))}))
    two = {"0": "stream 0", "1": "stream 1"}
    few = replace(SAME, stream=two, statistical={"rmse": entry(HEALTHY[:2]), "loss": shown(HEALTHY[:2])})
    held = replace(few, close={"ceiling": Close(by_seed(HEALTHY[:2]))})
    assert compare(golden, held, allow_fewer=True).ok is None
    moved = replace(few, close={"ceiling": Close(by_seed(HEALTHY[:2] + 1))})
    assert compare(golden, moved, allow_fewer=True).ok is False


@pytest.mark.parametrize("values", [[], [*HEALTHY, 3.0]])
def test_other_seeds_than_the_golden_s_fail(values):
    """Seeds that the golden has not seen, or none at all, are not a smaller run."""
    comparison = compared(statistical={"rmse": replace(entry(), values=by_seed(values)), "loss": shown()})
    (drift,) = comparison.drifts
    assert (drift.tier, drift.key, comparison.not_checked) == ("key", "rmse", ())
    assert "train the same" in drift.text


def test_another_kind_of_device_fails():
    """A golden made on a CPU says nothing about a GPU's metrics: none is recorded, whatever the values."""
    on_gpu = {"fingerprint": {**FINGERPRINT, "device": "cuda"}, "statistical": {"rmse": entry(BROKEN), "loss": shown()}}
    (drift,) = compared(**on_gpu).drifts
    assert "statistical: none recorded for cuda; this golden was made on cpu" == drift.text
    assert ["n", "device"] == [drift.key for drift in compared(**on_gpu, exact={**SAME.exact, "n": 4}).drifts]


@pytest.mark.parametrize("metric", [entry, unguarded])
def test_unchanged_code_and_environment_repeat_every_seed(metric):
    """Where nothing changed, one seed that moves by more than 1e-6 fails, though no mean is far off."""
    values = HEALTHY.copy()
    values[5] *= 1 + 2e-6
    golden = approved(replace(SAME, statistical={"rmse": metric()}))
    comparison = compare(golden, replace(SAME, statistical={"rmse": metric(values)}))
    (drift,) = comparison.drifts
    assert ("repeat", "rmse, seed 5") == (drift.tier, drift.key)
    assert "1 of 12 seeds moved" in drift.text
    assert comparison.cause.startswith("nothing that goldmark watches changed: ")
    assert compared(statistical={**SAME.statistical, "loss": shown(values)}).ok is True  # only shown


def test_numbers_repeat_to_rounding():
    """All seeds may differ in the seventh digit: the load of a machine does that."""
    assert compared(statistical={**SAME.statistical, "rmse": entry(HEALTHY * (1 + 5e-7))}).ok is True


@pytest.mark.parametrize("repeats", [False, None])
def test_repetition_is_not_asked_of_a_metric_that_was_not_recorded_to_repeat(repeats):
    """Training that does not repeat bit by bit, or that nobody has run twice, is held by its margin alone."""
    golden = approved(replace(SAME, statistical={**SAME.statistical, "rmse": replace(entry(), repeats=repeats)}))
    moved = {**SAME.statistical, "rmse": entry(HEALTHY * (1 + 2e-6))}
    assert compare(golden, replace(SAME, statistical=moved)).ok is True
    assert compare(GOLDEN, replace(SAME, statistical=moved)).ok is False


@pytest.mark.parametrize(
    "unknown",
    [{"sources": {}}, {"fingerprint": {}}, {"sources": {"src/a.py": "other"}}, {"versions": {"scipy": "1.12"}}],
)
def test_repetition_is_not_asked_of_changed_or_unknown_code(unknown):
    """Only known and equal sources and environment make a number repeat."""
    moved = replace(SAME, statistical={**SAME.statistical, "rmse": entry(HEALTHY * (1 + 2e-6))}, **unknown)
    assert compare(GOLDEN, moved).ok is True
    if not all(unknown.values()):  # unknown on both sides is not known to be equal
        assert compare(approved(replace(SAME, **unknown)), moved).ok is True


def test_the_statistical_tier_can_be_looked_at_alone():
    """Without recipe, arithmetic and repetition the metrics alone decide."""
    other = replace(SAME, exact={}, close={}, statistical={"rmse": entry(HEALTHY + 0.01), "loss": shown(HEALTHY + 1)})
    assert compare(GOLDEN, other).ok is False
    assert compare(GOLDEN, other, statistical_only=True).ok is True
    assert compare(GOLDEN, replace(other, statistical={}), statistical_only=True).ok is False


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


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("nothing that goldmark watches changed: 2 files of code, 1 version, processor and flags, no data (name", {}),
        ("code changed: src/a.py", {"sources": {**SOURCES, "src/a.py": "33"}}),
        ("code changed: src/b.py, src/c.py", {"sources": {"src/a.py": "11", "src/c.py": "33"}}),
        ("environment changed: torch 2.13.0 -> 2.11.0", {"fingerprint": {**FINGERPRINT, "torch": "2.11.0"}}),
        ("environment changed: device cpu -> cuda", {"fingerprint": {**FINGERPRINT, "device": "cuda", "gpu": "H200"}}),
        ("environment changed: scipy 1.11 -> 1.12", {"versions": {"scipy": "1.12", "rich": "13"}}),
        ("data changed: data/x.csv", {"sources": {**SOURCES, "data/x.csv": "44"}}),
        (
            "code changed: src/a.py; environment changed: torch 2.13.0 -> 2.11.0",
            {"sources": {**SOURCES, "src/a.py": "33"}, "fingerprint": {**FINGERPRINT, "torch": "2.11.0"}},
        ),
        ("code changed: 0.py, 1.py, 2.py, 3.py and 1 more", {"sources": SOURCES | {f"{i}.py": "1" for i in range(5)}}),
        ("code and environment were not recorded", {"sources": {}, "fingerprint": {}}),
    ],
)
def test_the_cause_names_what_changed(text, changes):
    """Files of code and of data and parts of the environment that differ from the record, or what was looked at.

    What one side alone knows of the environment is no change: torch is described where something has loaded it.
    """
    assert attribution(GOLDEN, replace(SAME, **changes)).startswith(text)
    assert text in str(message(compare(GOLDEN, replace(SAME, exact={}, **changes)), UPDATE))


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
