"""A comparison with a model that could not be loaded: its scores are zeros, and the new model is "+inf %" better.

Poetry record, comparison script: the old architecture failed to load, and the table showed zeros and infinities.
"""

from __future__ import annotations

import math

import pytest

from goldmark import claims
from goldmark.cases.poetry.scores import METRICS
from goldmark.checks import check_unscored_baseline
from goldmark.golden._compare.drift import MISSING, difference

NEW = {"token_cosine": 0.622, "sequence_cosine": 0.965}


def with_zeros(old, new):
    """The bug: zeros for what is missing, and a change against zero."""
    lines = []
    for name, value in new.items():
        before = (old or {}).get(name, 0.0)
        change = 100 * (value - before) / before if before else math.inf
        lines.append(f"{name}: {before:g} -> {value:g} ({change:+.0f} %)")
    return lines


def of_goldens(old, new):
    """The right form: the lines in which the golden comparison tells of entries that differ."""
    return [difference("close", name, (old or {}).get(name, MISSING), value).text for name, value in new.items()]


def infinite(compare):
    """The lines that tell of an infinite improvement, over an old model that is missing and over one of zeros."""
    lines = compare(None, NEW) + compare(dict.fromkeys(NEW, 0.0), NEW)
    return [line for line in lines if "inf" in line]


def test_nothing_is_infinitely_better_than_nothing():
    """The right form gives no percentage, and says that an entry is missing; the bug says +inf %."""
    assert [] == infinite(of_goldens), "a comparison scores what is missing, or zero, as +inf %"
    assert all("only in the result" in line for line in of_goldens(None, NEW))
    assert 4 == len(infinite(with_zeros))


def test_a_percentage_is_there_where_it_means_something():
    """Self-proof: the right form does compute changes."""
    assert "+4.89 %" in of_goldens({"token_cosine": 0.593}, {"token_cosine": 0.622})[0]


@pytest.mark.parametrize("old", [{}, dict.fromkeys(NEW, 0.0), dict.fromkeys(NEW, math.nan), {"token_cosine": 0.593}])
def test_unscored_models_are_found(old):
    """Left out, zeros, NaN, or a part of it: no comparison."""
    assert check_unscored_baseline(old, NEW).trouble


def test_baselines_of_the_case_are_scored(runs_of):
    """The right form where goldmark compares: what runs are held against was scored, in every seed and variant."""
    wanted = {metric.name for metric in METRICS} & set(NEW) | {"r2"}
    for run in [run for runs in runs_of("poetry", ["wide", "iid_narrow"]).values() for run in runs]:
        new = {name: run.metrics[name] for name in wanted}
        for baseline in run.baselines:
            finding = check_unscored_baseline(baseline.metrics, new)
            assert not finding.trouble, f"a comparison scores its baseline '{baseline.name}' as zeros: {finding.advice}"


def test_ratio_to_a_metric_of_zero_is_refused(runs_of):
    """The right form of a claim: a ratio over zero is an error, never a pass."""
    runs = runs_of("poetry", ["wide"])["wide"]
    zeros = [run.__class__(**{**vars(run), "metrics": {**run.metrics, "token_cosine": 0.0}}) for run in runs]
    with pytest.raises(ZeroDivisionError):
        claims.mean_ratio("wide", "old", "token_cosine", ">=", 1.0)({"wide": runs, "old": zeros})
