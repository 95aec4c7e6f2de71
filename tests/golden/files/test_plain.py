"""Plain values: what becomes of arrays, tensors and other types, and what is refused."""

from __future__ import annotations

import enum
from pathlib import Path

import numpy as np
import pytest
import torch

from goldmark.case import UsageError
from goldmark.golden._files.plain import plain


class Color(enum.IntEnum):
    """An enumeration whose members are integers."""

    RED = 3


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ([1, [2, 3]], (1, (2, 3))),
        ([[1, 2], [3, 4]], np.array([[1, 2], [3, 4]])),
        (0.5, np.float32(0.5)),
        (0.1, np.float64(0.1)),
        (True, np.bool_(True)),
        ("a", np.str_("a")),
        ([0.5, 1.5], torch.tensor([0.5, 1.5], requires_grad=True)),
        (7, torch.tensor(7)),
        ({"0": {"a": None}}, {0: {"a": None}}),
        (3, Color.RED),
    ],
)
def test_values_become_what_json_has(expected, value):
    """Arrays, tensors, tuples and enumerations have one plain form, with Python's own types."""
    plain_value = plain(value)
    assert expected == plain_value
    assert type(expected) is type(plain_value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": {"b": [1, {2}]}}, r"'value\.a\.b\[1\]' is a set"),
        (1j, "'value' is a complex"),
        (Path("x"), "Path"),
        (np.array([1j]), "ndarray"),
        (b"x", "'value' is a bytes"),
        ({(1, 2): 3}, r"has the key \(1, 2\), a tuple"),
        ({True: 3}, "has the key True, a bool"),
        ({1: 2, "1": 3}, "read the same"),
    ],
)
def test_values_without_a_plain_form_are_refused_by_name(value, message):
    """The message names the entry and its type."""
    with pytest.raises(UsageError, match=message):
        plain(value)
