"""Series and frames of pandas: stored by column and label, or refused with the way out."""

from __future__ import annotations

import math

import pytest

from goldmark.case import UsageError
from goldmark.golden._files.plain import noting, plain

pandas = pytest.importorskip("pandas")


def test_rows_that_are_merely_numbered_are_arrays():
    """A column keeps its dtype where it is one of numpy's, and is a list otherwise."""
    notes = {}
    frame = pandas.DataFrame({"loss": [0.5, 0.25], "epoch": [1, 2], "name": ["a", "b"]})
    expected = {"loss": [0.5, 0.25], "epoch": [1, 2], "name": ["a", "b"]}
    assert expected == plain(frame, "log", noting("close", notes))
    assert {"close log.loss": "float64 (2,)", "close log.epoch": "int64 (2,)"} == notes
    assert [1, 2] == plain(pandas.Series([1, 2], dtype="Int64"))


def test_labels_are_keys():
    """Of rows, so that their order does not matter, and of columns; integers and text."""
    series = pandas.Series([0.5, 0.25], index=["b", "a"])
    assert {"b": 0.5, "a": 0.25} == plain(series) == plain(series.sort_index())
    assert {"2": 0.5, "1": 0.25} == plain(pandas.Series([0.5, 0.25], index=[2, 1]))
    assert {"x": {"b": 0.5, "a": 0.25}} == plain(series.to_frame("x"))


def test_nan_stays_nan():
    """So that it fails, or is allowed in words."""
    assert math.isnan(plain(pandas.Series([1.0, None]))[1])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            lambda: pandas.Series([1, 2], index=["a", "a"]),
            r"'log' has the index label 'a' more than once; .*reset_index",
        ),
        (lambda: pandas.Series([1], index=[0.5]), r"'log' has the index label 0\.5; labels are text or integers"),
        (lambda: pandas.DataFrame([[1, 2]], columns=["a", "a"]), "'log' has the columns label 'a' more than once"),
        (lambda: pandas.Series([1], index=pandas.to_datetime(["2026-01-02"])), r"label Timestamp\(.*set_axis"),
        (lambda: pandas.Series([1, None], dtype="Int64"), r"'log\[1\]' is a NAType, which no golden holds"),
    ],
)
def test_what_has_no_plain_form_is_refused_in_one_line(table, message):
    """With its key, what is wrong, and the way out."""
    with pytest.raises(UsageError, match=message) as error:
        plain(table(), "log")
    assert "\n" not in str(error.value)
