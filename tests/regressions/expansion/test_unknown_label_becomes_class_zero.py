"""`label_map.get(label, 0)`: a label that nobody knows trains the first class, and nothing says so."""

from __future__ import annotations

import pytest

from goldmark.case import UsageError
from goldmark.cases.expansion.bars import kind_numbers
from goldmark.checks import check_hidden_labels

KINDS = ("breakout", "squeeze")
LABEL_MAP = {kind: number for number, kind in enumerate(KINDS)}


def test_unknown_labels_are_refused():
    """The right form: every known kind has its number, and any other label is an error."""
    finding = check_hidden_labels(lambda label: int(kind_numbers([label], KINDS)), KINDS)
    assert not finding.trouble, f"{finding.advice}; {dict(finding.numbers)}"


def test_a_default_of_zero_hides_unknown_labels():
    """The broken form: a default is a known class."""
    assert check_hidden_labels(lambda label: LABEL_MAP.get(label, 0), KINDS).trouble


def test_tidying_labels_first_is_no_fix():
    """The control: fewer labels are unknown then, and those that are become class 0 as before."""
    assert check_hidden_labels(lambda label: LABEL_MAP.get(label.strip("? ").lower(), 0), KINDS).trouble


def test_the_refusal_names_label_and_kinds():
    """What is wrong, and what would be right; known labels keep their order."""
    assert [1, 0, 1] == kind_numbers(["squeeze", "breakout", "squeeze"], KINDS).tolist()
    with pytest.raises(UsageError, match=r"labels \['brekout'\] are no kind of span; the kinds are: breakout, squeeze"):
        kind_numbers(["squeeze", "brekout"], KINDS)
