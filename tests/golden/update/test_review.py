"""What an update changed, entry by entry."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from goldmark.golden._files.entries import Close, Golden, Result
from goldmark.golden._record.entry import golden_from, statistical_entry
from goldmark.golden._update.review import changes, markdown_table, terminal_table

VALUES = {str(seed): 1.0 + 0.01 * seed for seed in range(8)}
ENTRY = statistical_entry(
    VALUES,
    scale="identity",
    margin=0.05,
    guard="broken",
    guard_values={seed: value + 2 for seed, value in VALUES.items()},
    first_values={seed: value + 1 for seed, value in VALUES.items()},
)
OLD = Golden(
    name="a",
    exact={"n": 1},
    close={"x": Close([1.0, 2.0])},
    statistical={"loss": ENTRY},
    stream={"0": "s"},
    recorded_by="test_a.py::test_a",
)


def metric(**changed):
    """The golden with another metric."""
    return replace(OLD, statistical={"loss": replace(ENTRY, **changed)})


@pytest.mark.parametrize(
    ("new", "entry", "change"),
    [
        (metric(values={**VALUES, "0": 1.1}), "loss", "+1.21%, 1 of 8 seeds moved"),
        (metric(values={**VALUES, "8": 1.5}), "loss", "+4.99%, 1 of 9 seeds moved"),
        (metric(guard_values=VALUES), "loss", "the guard's values moved"),
        (metric(first_values=None), "loss", "the values after the first epoch moved"),
        (metric(margin=0.1), "loss", "margin 0.05 -> 0.1"),
        (metric(margin=None), "loss", "margin 0.05 -> null"),
        (metric(alpha=0.01), "loss", "alpha 0.001 -> 0.01"),
        (metric(check_seeds=5), "loss", "check_seeds null -> 5"),
        (metric(repeats=None), "loss", "exact repetition seen -> not tried"),
        (metric(repeats=False), "loss", "exact repetition seen -> not seen"),
        (metric(sd=1.0, detectable=9.0), "loss", f"sd {ENTRY.sd:.6g} -> 1, detectable {ENTRY.detectable:.6g} -> 9"),
        (replace(OLD, close={"x": Close([1.0, 2.5])}), "x", "+25.00% at most, 1 of 2 moved"),
        (replace(OLD, close={"x": Close([1.0, 2.0], rel=1e-6)}), "x", "rel 1e-09 -> 1e-06"),
        (replace(OLD, exact={"n": 2}), "n", "+100.00%"),
        (replace(OLD, exact={"n": None}), "n", "changed"),
        (replace(OLD, stream={"0": "t"}), "stream", "other order of examples or draws"),
        (replace(OLD, recorded_by="test_b.py::test_a"), "(recorded by)", "another test"),
        (OLD, "(rules)", "the same values"),
    ],
)
def test_each_change_is_said(new, entry, change):
    """One row: which entry, and how it changed, rules that do not show in the values included."""
    (row,) = changes(OLD, new)
    assert (entry, change) == (row.entry, row.change)


def test_of_a_recipe_the_keys_that_differ_are_said():
    """Whatever the order of its keys: a row each, by the name that a comparison gives the entry."""
    before = {"rate": 0.1, "model": {"width": 64, "depth": 2}, "schedule": [1, 2], "clip": None}
    after = {"clip": None, "seed": 0, "model": {"depth": 2, "width": 32}, "schedule": [1, 2]}
    rows = changes(*(Golden(name="a", exact={"recipe": recipe}) for recipe in (before, after)))
    expected = [
        ("recipe.model.width", "64", "32", "-50.00%"),
        ("recipe.rate", "0.1", "", "dropped"),
        ("recipe.seed", "", "0", "added"),
    ]
    assert expected == [(row.entry, row.old, row.new, row.change) for row in rows]
    same = Golden(name="a", exact={"recipe": dict(reversed(before.items()))})
    assert ["(rules)"] == [row.entry for row in changes(Golden(name="a", exact={"recipe": before}), same)]


def test_a_golden_that_is_new_or_gone_is_one_row():
    """With how much it holds."""
    for pair, expected in (((None, OLD), ("(new)", "", True)), ((OLD, None), ("(deleted)", True, ""))):
        (row,) = changes(*pair)
        contents = "1 exact, 1 close, 1 statistical"
        assert expected == (row.entry, row.old and row.old == contents, row.new and row.new == contents)


def test_values_that_diverged_are_shown():
    """NaN is left out of the mean, and no change in percent."""
    (row,) = changes(OLD, metric(values=dict.fromkeys(VALUES, math.nan), margin=None))
    assert row.change.startswith("+nan, 8 of 8 seeds moved")


def test_columns_are_aligned():
    """On a terminal."""
    lines = terminal_table(changes(OLD, replace(OLD, exact={"n": 2, "name": "long"})))
    assert 1 == len({line.index("n", 6) for line in lines[1:]})
    assert ["golden", "entry", "old", "new", "change"] == lines[0].split()


def test_markdown_shows_cells_as_they_are():
    """Bars, ticks, stars and tags do not change the table; underscores within words need nothing."""
    lines = markdown_table(("a_b", "c"), [("x|y", "`*<b>_i_"), ("test_a\nb", "\\")])
    expected = ["| a_b | c |", "| --- | --- |", "| x\\|y | \\`\\*\\<b>\\_i\\_ |", "| test_a b | \\\\ |"]
    assert expected == lines


def test_a_tolerance_and_the_form_of_an_array_are_said():
    """Beside what has moved; NaN that stays is nothing."""
    before = Golden(name="a", close={"x": Close([1.0, math.nan], equal_nan=True)}, arrays={"close x": "float32 (2,)"})
    after = replace(before, close={"x": Close([1.0, math.nan], abs=1e-6, norm="max", equal_nan=True)})
    assert ["abs 0 -> 1e-06, norm null -> max"] == [row.change for row in changes(before, after)]
    (row,) = changes(
        before, replace(before, arrays={"close x": "float64 (2,)"}, close={"x": Close([1.0, math.nan], equal_nan=True)})
    )
    assert ("close x", "float32 (2,)", "float64 (2,)") == (row.entry, row.old, row.new)
    (row,) = changes(before, replace(before, close={}, arrays={}))
    assert "dropped" == row.change


def test_an_array_that_is_summed_up_is_shown_by_size_and_mean():
    """And by the largest change of a statistic or a sampled entry."""
    old, new = (golden_from(Result(name="a", exact={"w": np.arange(2e4) + x}), ()) for x in (0, 1))
    (row,) = changes(old, new)
    assert ("20000 entries, mean 9999.5", "20000 entries, mean 10000.5") == (row.old, row.new)
