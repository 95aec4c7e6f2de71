"""The comparator, tested by breaking things: perturb, drop a key, add a key, NaN, change a type."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from golden.compare.approved import (
    BROKEN,
    FINGERPRINT,
    GOLDEN,
    HEALTHY,
    NOISE,
    SAME,
    SOURCES,
    UPDATE,
    approved,
    compared,
    entry,
    shown,
)
from hypothesis import given
from hypothesis import strategies as st

from goldmark.golden._compare.drift import Length
from goldmark.golden._compare.messages import attribution, message
from goldmark.golden._compare.tiers import compare
from goldmark.golden._files.entries import Close, Result


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


def test_another_kind_of_device_fails():
    """A golden made on a CPU says nothing about a GPU's metrics: none is recorded, whatever the values."""
    on_gpu = {"fingerprint": {**FINGERPRINT, "device": "cuda"}, "statistical": {"rmse": entry(BROKEN), "loss": shown()}}
    (drift,) = compared(**on_gpu).drifts
    assert "statistical: none recorded for cuda; this golden was made on cpu" == drift.text
    assert ["n", "device"] == [drift.key for drift in compared(**on_gpu, exact={**SAME.exact, "n": 4}).drifts]


def test_the_statistical_tier_can_be_looked_at_alone():
    """Without recipe, arithmetic and repetition the metrics alone decide."""
    other = replace(SAME, exact={}, close={}, statistical={"rmse": entry(HEALTHY + 0.01), "loss": shown(HEALTHY + 1)})
    assert compare(GOLDEN, other).ok is False
    assert compare(GOLDEN, other, statistical_only=True).ok is True
    assert compare(GOLDEN, replace(other, statistical={}), statistical_only=True).ok is False


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
