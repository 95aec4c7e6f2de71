"""Values as JSON has them: what a golden stores and what is compared."""

from __future__ import annotations

import dataclasses
import datetime as dt
import sys
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

from goldmark.case import UsageError
from goldmark.golden._files.arrays import SMALL, Array, holds_numbers, is_array, listed, read_array
from goldmark.golden._files.tables import is_table, labelled

ReadArray = Callable[[Any, str], Any]

_PLAIN = {bool, int, float, str, type(None)}
_COMPLEX = {"real", "imag"}
_WAY_OUT = (
    ((set, frozenset), "pass it sorted, as a list"),
    ((bytes, bytearray), "pass .hex(), or a hash of it"),
    ((dt.date, dt.time), "pass .isoformat()"),
    ((dt.timedelta,), "pass .total_seconds()"),
    ((object,), "pass numbers, text or arrays, or a dict of them"),
)


def plain(value: Any, key: str = "value", arrays: ReadArray | None = None) -> Any:
    """Return a value as JSON has it: arrays, tensors and tuples as lists, tables and dataclasses as dicts.

    Keys of dicts are strings, an enumeration's member is its name, unless it is a number or text, and a complex number
    is its two parts. `arrays` says what stands for an array and for a long list of numbers. Neither torch nor pandas is
    loaded; what is theirs can only come from a test that did. Raise `UsageError`, naming the key, for anything else.
    """
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Mapping):
        return _plain_mapping(value, key, arrays)
    if isinstance(value, list | tuple):
        return _plain_list(value, key, arrays)
    if isinstance(value, Array) or is_array(value):
        return _plain_array(value, key, arrays)
    for kind in (int, float, str):  # numpy's float64 and enumerations are subclasses
        if isinstance(value, kind):
            return kind(value)
    return _plain_object(value, key, arrays)


def noting(tier: str, notes: dict[str, str], limit: int | None = None) -> ReadArray:
    """Return what reads arrays for `plain`, and notes of each its dtype and shape, by tier and key.

    With a limit an array of more entries becomes its summary; without one, an array of more than a few, and a list,
    stays as it is, until it is known in which form its golden holds it. A list is noted where it is not kept whole.
    """

    def read(value: Any, key: str) -> Any:
        if isinstance(value, list | tuple) and limit is not None:
            return list(value)  # whole, as it was staged
        array = value if isinstance(value, Array) else read_array(value, key)
        whole = len(array.numbers) <= (SMALL if limit is None else limit)
        if array.dtype != "list":
            notes[f"{tier} {key}"] = array.text
        elif whole:
            notes.pop(f"{tier} {key}", None)
        else:
            notes.setdefault(f"{tier} {key}", array.text)
        if whole:
            return plain(array.listed(), key)
        return array if limit is None else array.summary()

    return read


def is_complex(value: Any) -> bool:
    """Tell whether a plain value is a complex number: a dict of its two parts."""
    return isinstance(value, dict) and value.keys() == _COMPLEX and all(type(part) is float for part in value.values())


def _plain_list(value: list[Any] | tuple[Any, ...], key: str, arrays: ReadArray | None) -> Any:
    types = set(map(type, value))
    if types <= _PLAIN:  # what most lists are, at a tenth of the price
        numbers = arrays is not None and len(value) > SMALL and (types == {float} or _fits_int64(value, types))
        return arrays(value, key) if numbers and arrays else list(value)
    return [plain(entry, f"{key}[{i}]", arrays) for i, entry in enumerate(value)]


def _fits_int64(value: Any, types: set[type]) -> bool:
    return types == {int} and -(2**63) <= min(value) and max(value) < 2**63


def _plain_array(value: Any, key: str, arrays: ReadArray | None) -> Any:
    if isinstance(value, Array):
        return arrays(value, key) if arrays else plain(value.listed(), key)
    if arrays is not None and holds_numbers(value):
        return arrays(value, key)
    return plain(listed(value, key), key)


def _plain_mapping(value: Mapping[Any, Any], key: str, arrays: ReadArray | None) -> dict[str, Any]:
    odd = [name for name in value if not isinstance(name, str | int) or isinstance(name, bool)]
    if odd:
        raise UsageError(f"'{key}' has the key {odd[0]!r}, a {type(odd[0]).__qualname__}; keys are text or integers")
    entries = {str(name): plain(entry, f"{key}.{name}", arrays) for name, entry in value.items()}
    if len(entries) < len(value):
        raise UsageError(f"'{key}' has an integer and a text that read the same among its keys; rename one of them")
    return entries


def _plain_object(value: Any, key: str, arrays: ReadArray | None) -> Any:
    """Return the plain form of what is neither a number nor text nor made of them in an obvious way."""
    if isinstance(value, Enum):
        return f"{type(value).__qualname__}.{value.name}"
    if isinstance(value, complex):
        return {"real": value.real, "imag": value.imag}
    if isinstance(value, PurePath):
        return _relative_path(value, key)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        own = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return _plain_mapping(own, key, arrays)
    if is_table(value):
        return plain(labelled(value, key), key, arrays)
    dtype = _dtype_name(value)
    if dtype is None:
        way_out = next(says for kinds, says in _WAY_OUT if isinstance(value, kinds))
        raise UsageError(f"'{key}' is a {type(value).__qualname__}, which no golden holds; {way_out}")
    return dtype


def _relative_path(path: PurePath, key: str) -> str:
    if path.is_absolute():
        raise UsageError(
            f"'{key}' is the absolute path '{path}', which differs from machine to machine; "
            "pass path.relative_to(...), or path.name"
        )
    return path.as_posix()


def _dtype_name(value: Any) -> str | None:
    """Return the name of a dtype, `float32` of numpy and `torch.float32` of torch, or None for anything else."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.dtype):
        return str(value)
    if numpy is None:
        return None
    is_class = isinstance(value, type) and issubclass(value, numpy.generic)
    return str(numpy.dtype(value)) if is_class or isinstance(value, numpy.dtype) else None
