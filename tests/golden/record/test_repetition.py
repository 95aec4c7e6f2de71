"""Two runs of the same tests: what of their numbers must be the same, and what a golden says of the rest."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from goldmark.golden._compare.rounding import same_but_for_rounding
from goldmark.golden._files.entries import Close, Result
from goldmark.golden._record.entry import golden_from, statistical_entry
from goldmark.golden._record.repetition import keep_repetition, not_repeating, unrepeated, with_repetition

VALUES = {str(seed): 1 + seed / 100 for seed in range(6)}


def entry(**moved: float):
    """A metric, with other values at some seeds: `s3=2.0`."""
    values = VALUES | {seed.removeprefix("s"): value for seed, value in moved.items()}
    return statistical_entry(values, scale="identity", margin=0.1)


FIRST = Result(
    name="a",
    exact={"n": 3, "recipe": {"lr": 1e-3}},
    close={"wide": Close([1.0, 2.0], rel=0.1), "narrow": Close(1.0)},
    statistical={"rmse": entry(), "loss": entry()},
    stream={seed: f"hash {seed}" for seed in VALUES},
)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"exact": {**FIRST.exact, "n": 4}}, "exact n: 3, then 4"),
        ({"exact": {"n": 3}}, "key recipe: {'lr': 0.001}, then nothing"),
        ({"close": {**FIRST.close, "wide": Close([1.0, 2.00001], rel=0.1)}}, "close wide[1]: 2, then 2.00001"),
        ({"close": {**FIRST.close, "narrow": Close(1 + 1e-8)}}, "close narrow: 1, then 1.00000001"),
        ({"statistical": {"rmse": entry()}}, "metrics: ['loss', 'rmse'], then ['rmse']"),
        ({"statistical": {"rmse": entry(), "loss": entry(s9=1.0)}}, "seeds: ['0', '1', '2', '3', '4', '5'], then ['0'"),
        ({"stream": {**(FIRST.stream or {}), "0": "other"}}, "stream: {'0': 'hash 0',"),
    ],
)
def test_entries_that_must_repeat_are_named_with_both_values(changes, says) -> None:
    """Exact entries to the bit, close ones to 1e-6 or their own tolerance, keys, seeds and the stream."""
    (reason,) = unrepeated(FIRST, replace(FIRST, **changes))
    assert reason.startswith(says)


def test_rounding_repeats_and_metrics_are_no_reason_to_refuse() -> None:
    """A trained metric may differ; a number that differs by rounding is the same."""
    close = {"wide": Close([1.0, 2.0 + 1e-7], rel=0.1), "narrow": Close(1.0 + 1e-10)}
    other = replace(FIRST, close=close, statistical={"rmse": entry(s3=9.0), "loss": entry()})
    assert [] == unrepeated(FIRST, other)


def test_each_metric_says_whether_every_seed_repeated() -> None:
    """One seed by more than 1e-6 is enough; where nobody has tried, nothing is said."""
    second = replace(FIRST, statistical={"rmse": entry(s3=1.03 * (1 + 2e-6)), "loss": entry(s3=1.03 * (1 + 5e-7))})
    tried = with_repetition(FIRST, second)
    assert {"rmse": False, "loss": True} == {name: metric.repeats for name, metric in tried.statistical.items()}
    assert ["rmse"] == not_repeating(tried)
    untried = with_repetition(FIRST, None)
    assert [None, None] == [metric.repeats for metric in untried.statistical.values()]
    assert [] == not_repeating(untried)


@pytest.mark.parametrize("before", [True, False, None])
def test_values_that_came_again_keep_what_their_golden_says(before) -> None:
    """An update that did not try knows more of a metric only where its values are the golden's."""
    stored = {name: replace(metric, repeats=before) for name, metric in FIRST.statistical.items()}
    old = golden_from(replace(FIRST, statistical=stored), ())
    untried = with_repetition(replace(FIRST, statistical={"rmse": entry(), "loss": entry(s0=2.0)}), None)
    kept = keep_repetition(old, untried)
    assert {"rmse": before, "loss": None} == {name: metric.repeats for name, metric in kept.statistical.items()}
    assert untried == keep_repetition(None, untried)
    tried = with_repetition(FIRST, FIRST)
    assert tried == keep_repetition(old, tried)


@pytest.mark.parametrize(
    ("value", "again", "rule", "same"),
    [
        ([1.0, 0.0], [1.0, 4e-33], {"abs": 1e-12}, True),  # a zero is as large as what is nothing
        ([1.0, 0.0], [1.0, 1e-3], {"abs": 0.1}, False),  # wide for another machine, not for this one
        (0.0, 1e-13, {"abs": 1e-12}, True),
        ([1.0, 2.0], [1.0, 2.00001], {"norm": "l2", "rel": 0.1}, False),
        ([1.0, 1e-9], [1.0, 2e-9], {"norm": "max", "rel": 0.1}, True),
        ([1.0, math.nan], [1.0, math.nan], {"equal_nan": True}, True),
        ([1.0, math.nan], [math.nan, 1.0], {"equal_nan": True}, False),
    ],
)
def test_a_tolerance_is_not_what_may_differ_from_one_run_to_the_next(value, again, rule, same) -> None:
    """Of a wide one 1e-6 is left, in relation to the largest number or to the norm."""
    first, second = (Result(name="a", close={"x": Close(x, **rule)}) for x in (value, again))
    assert same == (unrepeated(first, second) == [])
    assert same == same_but_for_rounding(golden_from(first, ()), second)


def test_a_tolerance_that_is_drawn_anew_does_not_repeat() -> None:
    """The rule itself is compared."""
    first, second = (Result(name="a", close={"x": Close(1.0, abs=x)}) for x in (1e-6, 1e-7))
    assert unrepeated(first, second)


def test_dtype_and_shape_repeat() -> None:
    """As entries do; an update notes another dtype."""
    first, second = (Result(name="a", exact={"x": np.zeros(3, dtype=kind)}) for kind in ("int32", "int64"))
    assert ["exact x: int32 (3,), then int64 (3,)"] == unrepeated(first, second)
    assert not same_but_for_rounding(golden_from(first, ()), second)
    large = Result(name="a", close={"x": Close(np.arange(20_000.0))})
    assert [] == unrepeated(large, large)
    assert same_but_for_rounding(golden_from(large, ()), large)
