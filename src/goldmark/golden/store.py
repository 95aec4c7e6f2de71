"""The file format of a golden: what is stored, how it is read, written and sealed."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from goldmark.case import Better, Scale, UsageError
from goldmark.fingerprint import sha256

Test = Literal["t", "permutation"]

SCHEMA = 1
UPDATE_COMMAND = 'pytest --snapshot-update --golden-reason "..."'

_PART = r"[\w+=@,\[\]-][\w.+=@,\[\]-]*"
_NAME = re.compile(rf"{_PART}(/{_PART})*", re.ASCII)
_LONGEST_PART = 200  # characters: file systems allow 255 bytes, and suffixes must fit
_WORDS = {
    "scale": ("identity", "log"),
    "test": ("t", "permutation"),
    "better": ("higher", "lower", "neither"),
}
_PLAIN = {bool, int, float, str, type(None)}
_BY_SEED = ("values", "guard_values", "first_values")
_NUMBERS = ("margin", "alpha", "sd", "detectable", "effect")
_NUMBERS_OR_NULL = ("sd", "detectable", "effect")


@dataclass(frozen=True)
class Close:
    """Numbers that follow from arithmetic: a float, or lists and dicts of floats, and their relative tolerance."""

    value: Any
    rel: float = 1e-9


@dataclass(frozen=True)
class Statistical:
    """A metric of trained models: the value of every seed, and the rule by which new ones are compared.

    `margin`, `sd`, `detectable` and `effect` are on the scale g of the metric (identity or log). `guard_values` are
    the values of the variant whose bug the golden must see; `first_values` those after the first epoch, which a
    frozen model would score. Without a guard a metric is shown and gates on repeat alone, and only then may values
    be NaN (null in the file): a broken variant may well diverge.
    """

    values: Mapping[str, float]
    scale: Scale
    margin: float
    alpha: float
    test: Test
    better: Better
    guard: str | None
    guard_values: Mapping[str, float] | None
    first_values: Mapping[str, float] | None
    sd: float
    detectable: float
    effect: float | None


@dataclass(frozen=True)
class Provenance:
    """When, why and from what a golden was written."""

    date: str
    reason: str
    commit: str | None
    versions: Mapping[str, str]
    fingerprint: Mapping[str, str]
    sources: Mapping[str, str]


@dataclass(frozen=True)
class Golden:
    """An approved result, with the rule by which each entry is compared."""

    name: str
    exact: Mapping[str, Any] = field(default_factory=dict)
    close: Mapping[str, Close] = field(default_factory=dict)
    statistical: Mapping[str, Statistical] = field(default_factory=dict)
    stream: Mapping[str, str] | None = None
    provenance: tuple[Provenance, ...] = ()
    seal: str = field(default="", compare=False)  # of the file it was read from


@dataclass(frozen=True)
class Result:
    """New numbers to hold against a golden, or to record as one: the same entries, without approval."""

    name: str
    exact: Mapping[str, Any] = field(default_factory=dict)
    close: Mapping[str, Close] = field(default_factory=dict)
    statistical: Mapping[str, Statistical] = field(default_factory=dict)
    stream: Mapping[str, str] | None = None
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)


class BadGolden(UsageError):  # noqa: N818 (it says what is bad, as `UsageError` says whose fault it is)
    """A golden file that cannot be trusted: its name, what is wrong with it, and the way out."""


def golden_path(folder: Path, name: str) -> Path:
    """Return the file of a golden: folder/<name>.json, where the name's parts are separated by `/`.

    Raise `UsageError` for a name that leads out of the folder (`..`, an absolute path, a symbolic link) or that some
    file system cannot hold.
    """
    if not _NAME.fullmatch(name) or any(len(part) > _LONGEST_PART for part in name.split("/")):
        raise UsageError(
            f"'{name}' cannot name a golden; join parts of letters, digits and ._+=@,[]- by '/', none of them empty, "
            f"starting with a dot or longer than {_LONGEST_PART} characters"
        )
    path = folder / f"{name}.json"
    if _has_link(folder, name) and not os.path.realpath(path).startswith(os.path.realpath(folder) + os.sep):
        raise UsageError(f"golden '{name}' leads out of '{folder}' by a symbolic link; replace the link with a file")
    return path


def _has_link(folder: Path, name: str) -> bool:
    """Tell whether a part of a golden's path below the folder is a symbolic link: a tenth of the time of resolving."""
    part = str(folder)  # text and not `Path`, which costs ten times as much, in every test
    for below in f"{name}.json".split("/"):
        part = f"{part}/{below}"
        if os.path.islink(part):  # noqa: PTH114 (as said above)
            return True
    return False


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
        return plain(value.tolist(), key)
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


def to_bytes(golden: Golden) -> bytes:
    """Return a golden in the file format: sorted keys, full precision, a line an entry, sealed.

    Raise `UsageError`, naming the entry, for NaN or infinity; in a metric without a guard, NaN is stored as null.
    """
    document = _document(golden)
    _refuse_not_finite(document, golden.name)
    document["seal"] = _seal(document)
    return f"{_pretty(document, '')}\n".encode()


def from_bytes(content: bytes, where: str) -> Golden:
    """Return the golden that `to_bytes` wrote; raise `BadGolden`, naming `where`, for anything else."""
    try:
        document = json.loads(content.decode(), object_pairs_hook=_without_repeats, parse_constant=_no_constant)
        return _golden(document)
    except (ValueError, OverflowError, RecursionError) as error:
        raise BadGolden(
            f"{where} is not a golden that can be trusted: {_what_is_wrong(error)}. Restore it with `git checkout -- "
            f"{where}`, or delete it and record it again with `{UPDATE_COMMAND}`"
        ) from error


def read(path: Path) -> Golden:
    """Return the golden of a file.

    Raise `BadGolden` for one that cannot be trusted or that holds another golden, `FileNotFoundError` without one.
    """
    try:
        golden = from_bytes(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise BadGolden(f"{path} cannot be read: {error.strerror}; a golden is a file that you may read") from error
    if not f"/{path.as_posix()}".endswith(f"/{golden.name}.json"):
        raise BadGolden(f"{path} holds the golden '{golden.name}'; move it to {golden.name}.json or record it again")
    return golden


def _document(golden: Golden) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "name": golden.name,
        "exact": plain(golden.exact, "exact"),
        "close": {key: {"value": plain(close.value, key), "rel": close.rel} for key, close in golden.close.items()},
        "statistical": {key: _statistical_document(entry, key) for key, entry in golden.statistical.items()},
        "stream": plain(golden.stream, "stream"),
        "provenance": [asdict(provenance) for provenance in golden.provenance],
    }


def _statistical_document(entry: Statistical, key: str) -> dict[str, Any]:
    """Write NaN as null, but not among the values of a guarded metric: those are refused later, by name."""
    document: dict[str, Any] = plain({field.name: getattr(entry, field.name) for field in fields(entry)}, key)
    for name, value in document.items():
        if name in _BY_SEED and value is not None and entry.guard is None:
            document[name] = {seed: _null_for_nan(number) for seed, number in value.items()}
        elif name in _NUMBERS_OR_NULL:
            document[name] = _null_for_nan(value)
    return document


def _null_for_nan(number: float | None) -> float | None:
    return None if number is None or math.isnan(number) else number


def _refuse_not_finite(value: Any, key: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"'{key}' is {value}; a golden holds finite numbers only, so find out where it comes from")
    if isinstance(value, dict):
        for name, entry in value.items():
            _refuse_not_finite(entry, f"{key}.{name}")
    if isinstance(value, list):
        for i, entry in enumerate(value):
            _refuse_not_finite(entry, f"{key}[{i}]")


def _seal(document: Mapping[str, Any]) -> str:
    entries = {key: value for key, value in document.items() if key != "seal"}
    return sha256(json.dumps(entries, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())


def _pretty(value: Any, indent: str) -> str:
    """Write one entry a line, so that git shows what moved; a list of plain values stays on its line."""
    deeper = f"{indent}  "
    if isinstance(value, dict) and value:
        lines = [f"{deeper}{json.dumps(key)}: {_pretty(value[key], deeper)}" for key in sorted(value)]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(entry, dict | list) for entry in value):
        return "[\n" + ",\n".join(deeper + _pretty(entry, deeper) for entry in value) + f"\n{indent}]"
    return json.dumps(value)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key '{next(key for key in keys if keys.count(key) > 1)}' comes twice")
    return entries


def _no_constant(name: str) -> None:
    raise ValueError(f"it holds {name}, which is not a number that can be compared")


def _what_is_wrong(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON, or cut off ({error})"
    return "nested too deep" if isinstance(error, RecursionError) else str(error)


def _golden(document: Any) -> Golden:
    """Build a golden from parsed JSON after every part is checked; raise `ValueError` for the first that is wrong."""
    _demand(isinstance(document, dict), "it is not a JSON object")
    _demand(document.get("schema") == SCHEMA, f"its schema is {document.get('schema')!r}, this version reads {SCHEMA}")
    _same_keys(document, {"schema", "seal", *(field.name for field in fields(Golden))}, "the file")
    _demand(document["seal"] == _seal(document), "its seal is broken: it was edited by hand or damaged")
    _demand(_is_text(document["name"]), "its name is not text")
    _demand(isinstance(document["exact"], dict), "'exact' is not an object")
    _demand(document["stream"] is None or _all_are(document["stream"], _is_text), "'stream' is not text by seed")
    return Golden(
        document["name"],
        document["exact"],
        {key: _close(entry, key) for key, entry in _entries(document, "close")},
        {key: _statistical(entry, key) for key, entry in _entries(document, "statistical")},
        document["stream"],
        tuple(_provenance(entry) for entry in _items(document["provenance"], "provenance")),
        document["seal"],
    )


def _close(entry: Any, key: str) -> Close:
    _same_keys(entry, {"value", "rel"}, key)
    _demand(_is_number(entry["rel"]) and entry["rel"] >= 0, f"'{key}.rel' is {entry['rel']!r}, not a tolerance")
    return Close(entry["value"], float(entry["rel"]))


def _statistical(entry: Any, key: str) -> Statistical:
    _same_keys(entry, {field.name for field in fields(Statistical)}, key)
    for name, allowed in _WORDS.items():
        _demand(entry[name] in allowed, f"'{key}.{name}' is {entry[name]!r}, not one of {allowed}")
    _demand(entry["guard"] is None or _is_text(entry["guard"]), f"'{key}.guard' is not text")
    guarded = entry["guard"] is not None
    _demand(guarded == (entry["guard_values"] is not None), f"'{key}' has a guard without its values, or the reverse")
    numbers = {name: _number(entry[name], f"{key}.{name}", nullable=name in _NUMBERS_OR_NULL) for name in _NUMBERS}
    by_seed = {name: _by_seed(entry[name], f"{key}.{name}", nullable=not guarded) for name in _BY_SEED}
    _demand(bool(by_seed["values"]), f"'{key}' has no values")
    effect = None if entry["effect"] is None else numbers["effect"]
    return Statistical(**{**entry, **numbers, **by_seed, "effect": effect})


def _by_seed(value: Any, key: str, *, nullable: bool) -> dict[str, float] | None:
    if value is None:
        return None
    _demand(isinstance(value, dict), f"'{key}' is not numbers by seed")
    return {seed: _number(number, f"{key}.{seed}", nullable=nullable) for seed, number in value.items()}


def _number(value: Any, key: str, *, nullable: bool) -> float:
    """Return a stored number, and NaN for null where that is allowed."""
    if nullable and value is None:
        return math.nan
    _demand(_is_number(value), f"'{key}' is {value!r}, not a number")
    return float(value)


def _provenance(entry: Any) -> Provenance:
    _same_keys(entry, {field.name for field in fields(Provenance)}, "provenance")
    _demand(_is_text(entry["date"]) and _is_text(entry["reason"]), "a provenance without date or reason")
    _demand(entry["commit"] is None or _is_text(entry["commit"]), "a provenance whose commit is not text")
    for name in ("versions", "fingerprint", "sources"):
        _demand(_all_are(entry[name], _is_text), f"'provenance.{name}' is not text by name")
    return Provenance(**entry)


def _demand(holds: bool, otherwise: str) -> None:  # noqa: FBT001 (reads as `assert`)
    if not holds:
        raise ValueError(otherwise)


def _same_keys(entry: Any, keys: set[str], key: str) -> None:
    _demand(isinstance(entry, dict), f"'{key}' is not an object")
    _demand(not keys - set(entry), f"{key} lacks {', '.join(sorted(keys - set(entry)))}")
    _demand(not set(entry) - keys, f"{key} has unknown {', '.join(sorted(set(entry) - keys))}")


def _entries(document: dict[str, Any], tier: str) -> list[tuple[str, Any]]:
    _demand(isinstance(document[tier], dict), f"'{tier}' is not an object")
    return list(document[tier].items())


def _items(value: Any, key: str) -> list[Any]:
    _demand(isinstance(value, list), f"'{key}' is not a list")
    return list(value)


def _all_are(value: Any, check: Callable[[Any], bool]) -> bool:
    return isinstance(value, dict) and all(check(entry) for entry in value.values())


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)
