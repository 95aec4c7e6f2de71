"""Settings that nothing reads."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import pytest

from goldmark.checks import check_unread_setting


@dataclass(frozen=True)
class Settings:
    """Two settings that a run could read."""

    read: float = 1.0
    ignored: bool = True


def test_unread_setting_is_named():
    """The one whose other value changes no number, with the count of numbers that the other one changes."""
    others = {"read": 2.0, "ignored": False}
    finding = check_unread_setting(lambda settings: [settings.read, 5.0, -settings.read], Settings(), others)
    assert (True, {"read": 2.0, "ignored": 0.0}) == (finding.trouble, finding.numbers)
    assert "for ignored: nothing reads it" in finding.advice
    assert not check_unread_setting(lambda settings: [settings.read, settings.ignored], Settings(), others).trouble


def test_longer_traces_and_single_bits_are_changes():
    """A trace that grows has changed, the last bit of a float too; a NaN that stays has not."""
    assert not check_unread_setting(lambda settings: [1.0] * int(settings.read), Settings(), {"read": 2.0}).trouble
    assert not check_unread_setting(lambda s: [math.nextafter(1.0, s.read)], Settings(), {"read": 2.0}).trouble
    assert check_unread_setting(lambda settings: [math.nan], Settings(), {"read": 2.0}).trouble


def test_question_that_cannot_be_answered_is_refused():
    """Traces that differ by themselves, and a value that is no other one."""
    counter = itertools.count()
    with pytest.raises(ValueError, match="two traces of the same settings differ"):
        check_unread_setting(lambda settings: [next(counter)], Settings(), {"read": 2.0})
    with pytest.raises(ValueError, match=r"setting 'read' is 1\.0 already"):
        check_unread_setting(lambda settings: [1.0], Settings(), {"read": 1.0})
