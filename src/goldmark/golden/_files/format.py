"""The file format of a golden: what is stored, how it is read, written and sealed."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, get_args

from goldmark.case import UsageError
from goldmark.fingerprint import sha256
from goldmark.golden._files.arrays import is_summary
from goldmark.golden._files.entries import (
    CLOSE_RULE,
    BadGolden,
    Close,
    Golden,
    Norm,
    Provenance,
    Statistical,
    update_command,
)
from goldmark.golden._files.plain import plain

SCHEMA = 2

_WORDS = {
    "scale": ("identity", "log"),
    "test": ("t", "permutation"),
    "better": ("higher", "lower", "neither"),
}
_CONFLICT = {  # as git marks the sides of a merge, each with what it calls them
    "ours": re.compile(r"^<{7} (.+?)\r?$", re.MULTILINE),
    "theirs": re.compile(r"^>{7} (.+?)\r?$", re.MULTILINE),
}
_BY_SEED = ("values", "guard_values", "first_values")
# written where they say something: files without them are as before
_OPTIONAL = {"dead_below": None, "null_values": None, "sequential": False}
_NUMBERS = ("alpha", "sd", "detectable", "effect")
_NUMBERS_OR_NULL = ("sd", "detectable", "effect")
_CLOSE_OPTIONAL = {field.name: field.default for field in fields(Close) if field.name not in ("value", "rel")}


def to_bytes(golden: Golden) -> bytes:
    """Return a golden in the file format: sorted keys, full precision, one entry per line, sealed.

    Raise `UsageError`, naming the entry, for NaN or infinity; in a metric without a margin, in guards and in close
    entries with `equal_nan`, NaN is null.
    """
    document = _document(golden)
    _refuse_not_finite(document, golden.name)
    for key, close in document["close"].items():
        _refuse_nan_in_summaries(close["value"], key, allowed=golden.close[key].equal_nan)
    _refuse_nan_in_summaries(document["exact"], golden.name, allowed=False)
    return dump(document)


def from_bytes(content: bytes, where: str) -> Golden:
    """Return the golden that `to_bytes` wrote; raise `BadGolden`, naming `where`, for anything else."""
    document = load(content, where)
    if document.get("schema") == 1:
        raise BadGolden(f"{where} is a golden of schema 1, this version reads {SCHEMA}: run `goldmark golden migrate`")
    try:
        return _golden(document)
    except (ValueError, OverflowError, RecursionError) as error:
        raise untrusted(where, str(error)) from error


def load(content: bytes, where: str) -> dict[str, Any]:
    """Return the JSON object of a golden file, of any schema; raise `BadGolden` where there is none."""
    try:
        document = json.loads(content.decode(), object_pairs_hook=_without_repeats, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        sides = [_CONFLICT[side].search(error.doc) for side in ("ours", "theirs")]
        if all(sides):
            raise _unmerged(where, *(side[1] if side else "" for side in sides)) from error
        raise untrusted(where, f"not JSON, or cut off ({error})") from error
    except RecursionError as error:
        raise untrusted(where, "nested too deep") from error
    except ValueError as error:
        raise untrusted(where, str(error)) from error
    if not isinstance(document, dict):
        raise untrusted(where, "it is not a JSON object")
    return document


def dump(document: Mapping[str, Any]) -> bytes:
    """Return the bytes of a golden file, sealed; raise `ValueError` for a number that is not finite."""
    return f"{_pretty({**document, 'seal': seal_of(document)}, '')}\n".encode()


def seal_of(document: Mapping[str, Any]) -> str:
    """Return the sha256 of the canonical form of a golden's entries, all but the seal itself."""
    entries = {key: value for key, value in document.items() if key != "seal"}
    return sha256(json.dumps(entries, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())


def untrusted(where: str, reason: str) -> BadGolden:
    """Return the error for a file that cannot be trusted, with the ways out."""
    return BadGolden(
        f"{where} is not a golden that can be trusted: {reason}. Restore it with `git checkout -- {where}`, or delete "
        f"it and record it again with `{update_command()}`"
    )


def _unmerged(where: str, ours: str, theirs: str) -> BadGolden:
    """Return the error for a file in which git left both sides of a merge, with the ways out."""
    return BadGolden(
        f"{where} holds a conflict of a merge: '{ours}' and '{theirs}' both changed it. Take one side, "
        f"`git checkout --ours -- {where}` for '{ours}' or `git checkout --theirs -- {where}` for '{theirs}', and "
        f"`git add` it, or delete it where git no longer has the sides; where the merged code gives neither, record it "
        f"after that: `{update_command()}`"
    )


def read(path: Path, name: str) -> Golden:
    """Return the golden of a file, which must be that of the name.

    Raise `BadGolden` for one that cannot be trusted or that holds another golden, `FileNotFoundError` without one.
    """
    try:
        golden = from_bytes(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise BadGolden(f"{path} cannot be read: {error.strerror}; a golden is a file that you may read") from error
    if golden.name != name:
        move = f"goldmark golden mv {shlex.join([golden.name, name])}"
        raise BadGolden(
            f"{path} holds the golden '{golden.name}'; if its test was renamed: `{move}`; or delete it and record it "
            f"again: `{update_command()}`"
        )
    return golden


def _document(golden: Golden) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "name": golden.name,
        "exact": plain(golden.exact, "exact"),
        "close": {key: _close_document(close, key) for key, close in golden.close.items()},
        "statistical": {key: _statistical_document(entry, key) for key, entry in golden.statistical.items()},
        "stream": plain(golden.stream, "stream"),
        "recorded_by": golden.recorded_by,
        "provenance": [asdict(provenance) for provenance in golden.provenance],
        **({"arrays": dict(golden.arrays)} if golden.arrays else {}),
    }


def _close_document(close: Close, key: str) -> dict[str, Any]:
    """Write the parts of a tolerance that say something: a file without the others reads the same."""
    value = plain(close.value, key)
    rule = {name: getattr(close, name) for name in CLOSE_RULE}
    stated = {name: part for name, part in rule.items() if name == "rel" or part != _CLOSE_OPTIONAL[name]}
    return {"value": _replaced(value, _null_for_nan) if close.equal_nan else value, **stated}


def _replaced(value: Any, replace_leaf: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(entry, replace_leaf) for key, entry in value.items()}
    if isinstance(value, list):
        return [_replaced(entry, replace_leaf) for entry in value]
    return replace_leaf(value)


def _nan_for_null(leaf: Any) -> Any:
    return math.nan if leaf is None else leaf


def _statistical_document(entry: Statistical, key: str) -> dict[str, Any]:
    """Write NaN as null, but not among the values of a metric that gates: those are refused later, by name."""
    document: dict[str, Any] = plain({field.name: getattr(entry, field.name) for field in fields(entry)}, key)
    document = {name: value for name, value in document.items() if name not in _OPTIONAL or value != _OPTIONAL[name]}
    for name, value in document.items():
        if name in _nullable(entry.margin) and value is not None:
            document[name] = {seed: _null_for_nan(number) for seed, number in value.items()}
        elif name in _NUMBERS_OR_NULL:
            document[name] = _null_for_nan(value)
    return document


def _nullable(margin: float | None) -> tuple[str, ...]:
    """Return the values by seed that may be NaN: of a metric that gates, only those of its guard."""
    return _BY_SEED if margin is None else ("guard_values",)


def _null_for_nan(leaf: Any) -> Any:
    return None if isinstance(leaf, float) and math.isnan(leaf) else leaf


def _refuse_nan_in_summaries(value: Any, key: str, *, allowed: bool) -> None:
    """Raise `UsageError` for NaN among the entries of an array of which only a summary is stored."""
    if is_summary(value):
        if value["nan"] and not allowed:
            raise UsageError(f"'{key}' holds {value['nan']} NaN; a golden holds finite numbers only")
    elif isinstance(value, dict | list):
        for entry in value.values() if isinstance(value, dict) else value:
            if isinstance(entry, dict | list):
                _refuse_nan_in_summaries(entry, key, allowed=allowed)


def _refuse_not_finite(value: Any, key: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"'{key}' is {value}; a golden holds finite numbers only, so find out where it comes from")
    if isinstance(value, dict):
        for name, entry in value.items():
            _refuse_not_finite(entry, f"{key}.{name}")
    if isinstance(value, list):
        for i, entry in enumerate(value):
            _refuse_not_finite(entry, f"{key}[{i}]")


def _pretty(value: Any, indent: str) -> str:
    """Write one entry per line, so that git shows what moved; a list of plain values stays on its line."""
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


def _golden(document: dict[str, Any]) -> Golden:
    """Build a golden from parsed JSON after every part is checked; raise `ValueError` for the first that is wrong."""
    _demand(document.get("schema") == SCHEMA, f"its schema is {document.get('schema')!r}, this version reads {SCHEMA}")
    keys = {"schema", "seal", *(field.name for field in fields(Golden))}
    _same_keys({"arrays": {}, **document}, keys, "the file")
    _demand(document["seal"] == seal_of(document), "its seal is broken: it was edited by hand or damaged")
    _demand(_is_text(document["name"]), "its name is not text")
    _demand(isinstance(document["exact"], dict), "'exact' is not an object")
    _demand(document["stream"] is None or _all_are(document["stream"], _is_text), "'stream' is not text by seed")
    arrays = document.get("arrays", {})
    _demand(_all_are(arrays, _is_text), "'arrays' is not text by entry")
    _demand(document["recorded_by"] is None or _is_text(document["recorded_by"]), "'recorded_by' is not text")
    return Golden(
        name=document["name"],
        exact=document["exact"],
        close={key: _close(entry, key) for key, entry in _entries(document, "close")},
        statistical={key: _statistical(entry, key) for key, entry in _entries(document, "statistical")},
        stream=document["stream"],
        arrays=arrays,
        recorded_by=document["recorded_by"],
        provenance=tuple(_provenance(entry) for entry in _items(document["provenance"], "provenance")),
        seal=document["seal"],
    )


def _close(entry: Any, key: str) -> Close:
    _demand(isinstance(entry, dict), f"'{key}' is not an object")
    stored = {**_CLOSE_OPTIONAL, **entry}
    _same_keys(stored, {"value", *CLOSE_RULE}, key)
    for name in ("rel", "abs"):
        _demand(_is_number(stored[name]) and stored[name] >= 0, f"'{key}.{name}' is {stored[name]!r}, not a tolerance")
    _demand(
        stored["norm"] in (None, *get_args(Norm)), f"'{key}.norm' is {stored['norm']!r}, not one of {get_args(Norm)}"
    )
    _demand(isinstance(stored["equal_nan"], bool), f"'{key}.equal_nan' is {stored['equal_nan']!r}, not true or false")
    value = _replaced(stored.pop("value"), _nan_for_null) if stored["equal_nan"] else stored.pop("value")
    return Close(value, **{**stored, "rel": float(stored["rel"]), "abs": float(stored["abs"])})


def _statistical(entry: Any, key: str) -> Statistical:
    entry = {**_OPTIONAL, **entry} if isinstance(entry, dict) else entry
    _same_keys(entry, {field.name for field in fields(Statistical)}, key)
    for name, allowed in _WORDS.items():
        _demand(entry[name] in allowed, f"'{key}.{name}' is {entry[name]!r}, not one of {allowed}")
    _demand(entry["guard"] is None or _is_text(entry["guard"]), f"'{key}.guard' is not text")
    guarded = entry["guard"] is not None
    _demand(guarded == (entry["guard_values"] is not None), f"'{key}' has a guard without its values, or the reverse")
    numbers = {name: _number(entry[name], f"{key}.{name}", nullable=name in _NUMBERS_OR_NULL) for name in _NUMBERS}
    margin = None if entry["margin"] is None else _number(entry["margin"], f"{key}.margin", nullable=False)
    _demand(margin is not None or not guarded, f"'{key}' has a guard and no margin, so it could not see its bug")
    nullable = _nullable(margin)
    by_seed = {name: _by_seed(entry[name], f"{key}.{name}", nullable=name in nullable) for name in _BY_SEED}
    _demand(bool(by_seed["values"]), f"'{key}' has no values")
    _need_counts(entry, key)
    effect = None if entry["effect"] is None else numbers["effect"]
    dead_below = (
        None if entry["dead_below"] is None else _number(entry["dead_below"], f"{key}.dead_below", nullable=False)
    )
    null = _by_change(entry["null_values"], f"{key}.null_values")
    told = {"margin": margin, "effect": effect, "dead_below": dead_below, "null_values": null}
    return Statistical(**{**entry, **numbers, **by_seed, **told})


def _by_change(value: Any, key: str) -> dict[str, dict[str, float]] | None:
    """Return values by innocent change and by seed, or None."""
    if value is None:
        return None
    _demand(
        isinstance(value, dict) and all(isinstance(moved, dict) for moved in value.values()),
        f"'{key}' is not numbers by change and seed",
    )
    return {
        change: {seed: _number(number, f"{key}.{change}.{seed}", nullable=False) for seed, number in moved.items()}
        for change, moved in value.items()
    }


def _need_counts(entry: Mapping[str, Any], key: str) -> None:
    """Raise `ValueError` unless `check_seeds` counts stored seeds, and `repeats` and `sequential` are yes or no."""
    check_seeds, repeats, sequential = entry["check_seeds"], entry["repeats"], entry["sequential"]
    countable = type(check_seeds) is int and 1 <= check_seeds <= len(entry["values"])
    _demand(check_seeds is None or countable, f"'{key}.check_seeds' is {check_seeds!r}, not a number of its seeds")
    _demand(repeats is None or isinstance(repeats, bool), f"'{key}.repeats' is {repeats!r}, not true, false or null")
    _demand(isinstance(sequential, bool), f"'{key}.sequential' is {sequential!r}, not true or false")


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
