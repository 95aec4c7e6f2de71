"""Swallowed arguments and missing keys: functions and readers that are known to be right or wrong."""

from __future__ import annotations

import inspect
from dataclasses import make_dataclass

import pytest

from goldmark.checks import check_missing_keys, check_swallowed_arguments


def named(*, width=1):
    """Know one argument."""
    return width


def keyworded(width=1, **options):
    """Know one argument, and take any."""
    return width


def forwarding(**options):
    """Take any, and hand it to what knows one."""
    return named(**options)


@pytest.mark.parametrize(
    ("function", "swallows"),
    [(named, False), (keyworded, True), (forwarding, False), (make_dataclass("Settings", ["width"]), False)],
)
def test_functions_that_take_anything_are_found(function, swallows):
    """Calling tells what a signature does not: `**options` that are handed on are refused further down."""
    assert swallows == check_swallowed_arguments(function, width=2).trouble
    if function is forwarding:
        assert inspect.signature(function).parameters["options"].kind is inspect.Parameter.VAR_KEYWORD


def test_a_call_that_fails_by_itself_says_nothing():
    """A TypeError of the call as given is the caller's, and no proof that unknown arguments are refused."""
    with pytest.raises(TypeError, match="depth"):
        check_swallowed_arguments(named, depth=3)


@pytest.mark.parametrize(
    "read",
    [
        lambda record: record["poem_idx"],
        lambda record: record.get("poem_idx"),
        lambda record: record.get("poem_idx", 0),
        lambda record: "poem_idx" in record and record["poem_idx"],
        lambda record: record.pop("poem_idx", 0),
    ],
)
def test_every_way_of_asking_for_a_missing_key_is_seen(read):
    """With a default and without."""
    finding = check_missing_keys(read, {"poem_index": 3, "start": 0})
    assert finding.trouble
    assert {"missing": 1.0, "unread": 2.0} == finding.numbers
    assert "'poem_idx' (there is 'poem_index')" in finding.advice


@pytest.mark.parametrize("read", [lambda r: r["a"], lambda r: r.get("a"), lambda r: "a" in r, lambda r: r.pop("a")])
def test_keys_that_are_there_are_no_trouble(read):
    """They are counted as read, the other one as unread, and the caller's record stays whole."""
    record = {"a": 1, "b": 2}
    finding = check_missing_keys(read, record)
    assert (False, {"missing": 0.0, "unread": 1.0}, {"a": 1, "b": 2}) == (finding.trouble, finding.numbers, record)


def test_a_key_like_no_other_is_named_alone():
    """No neighbour is made up."""
    assert "'zz'; write" in check_missing_keys(lambda record: record.get("zz"), {"poem_index": 3}).advice
