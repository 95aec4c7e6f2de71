"""A verdict follows from numbers and ranges: what makes it confirmed, refuted, partly or not testable here."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import fmean

import pytest

from goldmark.audit import Statement, answer, checked, computed, measured, of_metric
from goldmark.case import Run
from goldmark.claims import all_of, every_seed

STATEMENT = Statement(name="half", source="record, results", says="half of it", why="the halves are equal")


def runs(*values, variant="plain"):
    """Runs of a variant that scored these values, a seed each."""
    blank = {
        **dict.fromkeys(("baselines", "findings", "learning_rates", "history"), ()),
        **{key: {} for key in ("exact", "close", "fingerprint", "sources")},
        "case": "x",
        "scale": "fast",
        "stream": "",
        "data": "generated",
        "seconds": 0.0,
    }
    return {variant: [Run(**blank, variant=variant, seed=s, metrics={"score": v}) for s, v in enumerate(values)]}


def row_of(*parts, of=None, **changes):
    """The row of a statement with these parts on fast runs."""
    return answer("x", replace(STATEMENT, parts=parts, **changes), {"fast": of or runs(0.4, 0.6)})


@pytest.mark.parametrize(
    ("value", "expected"), [(0.5, "confirmed"), (0.5049, "confirmed"), (0.4951, "confirmed"), (0.506, "refuted")]
)
def test_near_is_within_one_percent(value, expected):
    """A number that is computed again confirms the record's within its rounding."""
    assert expected == row_of(computed("half", lambda: value, near=0.5)).answer


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_refutes(value):
    """NaN lies in no range, and an infinity in none that is asked for here; JSON shows neither."""
    row = row_of(computed("half", lambda: value, low=0.0, high=1.0))
    assert ("refuted", None) == (row.answer, row.measured)


def test_some_of_the_parts_are_partly():
    """Two statements in one sentence, of which one holds."""
    right, wrong = computed("a", lambda: 1.0, low=1.0), computed("b", lambda: 1.0, high=0.5)
    rows = [row_of(right, wrong), row_of(wrong, right), row_of(right, right), row_of(wrong, wrong)]
    assert ["partly", "partly", "confirmed", "refuted"] == [row.answer for row in rows]


def test_mean_and_worst_seed_are_told_apart():
    """A statement of the mean does not hold every seed to it."""
    assert "confirmed" == row_of(of_metric("plain", "score", near=0.5)).answer
    assert "refuted" == row_of(of_metric("plain", "score", statistic=min, near=0.5)).answer
    assert "refuted" == row_of(of_metric("plain", "score", near=0.5), of=runs(0.4, 0.7)).answer


@pytest.mark.parametrize("statistic", [fmean, min, max])
def test_a_diverged_seed_refutes(statistic):
    """NaN in one seed is not passed over by a minimum or a maximum, whichever place it has."""
    for values in ((0.5, math.nan), (math.nan, 0.5)):
        part = of_metric("plain", "score", statistic=statistic, low=0.0)
        assert "refuted" == row_of(part, of=runs(*values)).answer


def test_check_of_a_claim_is_read_by_its_own_code():
    """What the catalogue holds as a claim is not written a second time; every part counts."""
    claim = all_of(every_seed("plain", "score", ">=", 0.3), every_seed("plain", "score", ">", 0.4))
    row = row_of(*checked(claim))
    assert ("partly", 0.4) == (row.answer, row.measured)


@pytest.mark.parametrize(
    "parts", [(), (of_metric("other", "score", near=0.5),), checked(every_seed("z", "score", ">", 0))]
)
def test_without_numbers_it_is_not_testable_here(parts):
    """Nothing to measure, or no runs to measure it on: no verdict, and no number."""
    row = row_of(*parts)
    assert ("not testable here", None) == (row.answer, row.measured)


def test_what_needs_full_runs_names_the_command():
    """A statement of the documented size is not judged on small runs, and says what would."""
    row = row_of(of_metric("plain", "score", near=0.5), scale="full")
    assert row.answer == "not testable here"
    assert "goldmark matrix x --only 'x/plain'" in row.why
    part = of_metric("plain", "score", near=0.5)
    full = answer("x", replace(STATEMENT, parts=(part,), scale="full"), {"fast": {}, "full": runs(0.5)})
    assert full.answer == "confirmed"


def test_reason_counts_the_seeds():
    """Every number stands with its range and the seeds behind it, or is said to be computed."""
    row = row_of(computed("half", lambda: 0.5, near=0.5), measured("sum", ["plain"], lambda r: len(r["plain"]), high=1))
    assert row.why == (
        "half: 0.5, asked for 0.495 to 0.505 (computed); sum: 2, asked for 1 or less (2 seeds): the halves are equal"
    )


@pytest.mark.parametrize("limits", [{}, {"near": 1.0, "low": 0.0}])
def test_part_has_one_range(limits):
    """A number without a range could not be refuted."""
    with pytest.raises(ValueError, match="one of the two, not both"):
        computed("half", lambda: 0.5, **limits)
