"""Values as JSON has them: what a golden stores and what is compared."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from goldmark.case import UsageError

_PLAIN = {bool, int, float, str, type(None)}


def plain(value: Any, key: str = "value") -> Any:
    """Return a value as JSON has it: arrays and tensors as lists, tuples as lists, keys of dicts as strings.

    torch is never loaded; a tensor can only come from a test that did. Raise `UsageError`, naming the key, for
    anything that has no plain form.
    """
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Mapping):
        return _plain_mapping(value, key)
    if isinstance(value, list | tuple):
        if set(map(type, value)) <= _PLAIN:  # what most lists are, at a tenth of the price
            return list(value)
        return [plain(entry, f"{key}[{i}]") for i, entry in enumerate(value)]
    if _is_array(value):
        return plain(_listed(value, key), key)
    for kind in (int, float, str):  # numpy's float64 and enumerations are subclasses
        if isinstance(value, kind):
            return kind(value)
    raise UsageError(f"'{key}' is a {type(value).__qualname__}, which no golden holds; pass numbers, text or arrays")


def _plain_mapping(value: Mapping[Any, Any], key: str) -> dict[str, Any]:
    odd = [name for name in value if not isinstance(name, str | int) or isinstance(name, bool)]
    if odd:
        raise UsageError(f"'{key}' has the key {odd[0]!r}, a {type(odd[0]).__qualname__}; keys are text or integers")
    entries = {str(name): plain(entry, f"{key}.{name}") for name, entry in value.items()}
    if len(entries) < len(value):
        raise UsageError(f"'{key}' has an integer and a text that read the same among its keys; rename one of them")
    return entries


def _is_array(value: Any) -> bool:
    """Tell a numpy array or scalar or a torch tensor, without loading either."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic):
        return bool(value.dtype.kind in "biufUSO")
    return torch is not None and isinstance(value, torch.Tensor)


def _listed(array: Any, key: str) -> Any:
    """Return an array as lists; raise `UsageError` where it has numbers that JSON lacks, or no numbers in memory."""
    if getattr(array.dtype, "kind", "") == "f" and array.dtype.itemsize > 8:
        raise UsageError(f"'{key}' is of {array.dtype}, more digits than a golden holds; pass .astype(float)")
    try:
        return array.tolist()
    except (RuntimeError, TypeError, NotImplementedError):  # a sparse tensor, one without memory
        layout = str(getattr(array, "layout", "")).removeprefix("torch.")
        kind = f"{type(array).__qualname__} ({layout}, on {getattr(array, 'device', '?')})"
        raise UsageError(
            f"'{key}' is a {kind} without a plain list of numbers; pass a dense tensor: .to_dense()"
        ) from None
