"""Plain values: what becomes of arrays, tensors and other types, and what is refused."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from pathlib import Path, PureWindowsPath

import numpy as np
import pytest
import torch

from goldmark.case import UsageError
from goldmark.golden._files.plain import noting, plain


class Color(enum.IntEnum):
    """An enumeration whose members are integers."""

    RED = 3


class Mode(enum.Enum):
    """An enumeration whose members are only names."""

    TRAIN = object()


@dataclasses.dataclass
class Recipe:
    """A dataclass that holds another value."""

    lr: float
    parts: dict


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
        ("Mode.TRAIN", Mode.TRAIN),
        ({"real": 1.0, "imag": -2.0}, 1 - 2j),
        ({"real": 0.5, "imag": 0.0}, np.complex64(0.5)),
        ([{"real": 0.0, "imag": 1.0}], np.array([1j])),
        ([{"real": 0.0, "imag": 1.0}], torch.tensor([1j])),
        ("a/b.json", Path("a/b.json")),
        ("a/b", PureWindowsPath("a\\b")),
        ({"lr": 0.1, "parts": {"a": [1]}}, Recipe(0.1, {"a": torch.tensor([1])})),
        ("torch.bfloat16", torch.bfloat16),
        ("float32", np.dtype("float32")),
        ("float32", np.float32),
        ([2, 3], torch.zeros(2, 3).shape),
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
        ({3, 1}, "'value' is a set, which no golden holds; pass it sorted, as a list"),
        (b"x", "'value' is a bytes, which no golden holds; pass .hex"),
        (dt.date(2026, 1, 2), r"'value' is a date, which no golden holds; pass \.isoformat"),
        (dt.timedelta(1), r"'value' is a timedelta, which no golden holds; pass \.total_seconds"),
        (object(), "'value' is a object, which no golden holds; pass numbers, text or arrays, or a dict of them"),
        (Path("/data/x"), r"'value' is the absolute path '/data/x', which differs .*; pass path\.relative_to"),
        (np.array([1, 2], dtype="datetime64[s]"), "'value' is a ndarray"),
        (Recipe(0.1, {"a": {1}}), r"'value\.parts\.a' is a set"),
        (np.array([1], dtype=np.longdouble), "'value' is of float128, more digits than a golden holds"),
        (np.array([1], dtype=np.clongdouble), "'value' is of complex256, more digits than a golden holds"),
        ({(1, 2): 3}, r"has the key \(1, 2\), a tuple"),
        ({True: 3}, "has the key True, a bool"),
        ({1: 2, "1": 3}, "read the same"),
    ],
)
def test_values_without_a_plain_form_are_refused_by_name(value, message):
    """The message names the entry and its type."""
    with pytest.raises(UsageError, match=message):
        plain(value)


@pytest.mark.parametrize(
    ("form", "array"),
    [
        ("float32 (2,)", np.array([0.5, 1], dtype=np.float32)),
        ("int16 (2, 0, 3)", np.zeros((2, 0, 3), dtype=np.int16)),
        ("bfloat16 (1, 1)", torch.tensor([[0.5]], dtype=torch.bfloat16)),
        ("bool (1,)", torch.tensor([True])),
        ("complex64 (1,)", torch.tensor([1j]).conj()),
        ("float64 (2,)", np.array([[1.0, 2.0], [3.0, 4.0]])[:, 1]),
    ],
)
def test_dtype_and_shape_of_an_array_are_noted_beside_its_numbers(form, array):
    """Of whatever kind, empty or not, at any depth; its numbers are what they are without a note."""
    notes = {}
    value = plain({"a": [array]}, "key", noting("close", notes))
    assert {"close key.a[0]": form} == notes
    assert {"a": [plain(array)]} == value


def test_of_numbers_and_text_no_form_is_noted():
    """A number is a number, whether numpy, torch or Python made it."""
    notes = {}
    plain([np.float32(1), torch.tensor(2.0), np.array("x"), np.array(["x"]), [1.0, 2.0]], "key", noting("exact", notes))
    assert {} == notes
