"""Comparing with other seeds than the golden has, and where every seed must repeat."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from golden.compare.approved import (
    GOLDEN,
    HEALTHY,
    MOVED,
    SAME,
    STREAM,
    approved,
    by_seed,
    compared,
    entry,
    shown,
    unguarded,
)

from goldmark.golden._compare.tiers import compare
from goldmark.golden._files.entries import Close

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
