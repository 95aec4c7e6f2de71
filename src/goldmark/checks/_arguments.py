"""Arguments and keys: settings that a function swallows, and keys that a reader asks for in vain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from goldmark.case import Finding

_UNKNOWN = "goldmark_asks_for_an_unknown_argument"


def check_swallowed_arguments(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Finding:
    """Find out whether a function takes a keyword argument that it does not know, and goes on without a word.

    It is called once as given, where it must work, and once with a made-up keyword beside, which a `TypeError` has to
    refuse. What such a function is asked for and does not have (`use_attention=True`) is silently left out.
    """
    function(*args, **kwargs)
    try:
        function(*args, **kwargs, **{_UNKNOWN: True})
    except TypeError:
        swallowed = False
    else:
        swallowed = True
    name = getattr(function, "__qualname__", repr(function))
    return Finding(
        name="swallowed_arguments",
        trouble=swallowed,
        numbers={"swallowed": float(swallowed)},
        threshold=0.0,
        advice=f"{name} swallows keyword arguments that it does not know: name its parameters, without a **kwargs",
    )


def check_missing_keys(read: Callable[[dict[str, Any]], Any], record: Mapping[str, Any]) -> Finding:
    """Find out whether a reader asks a record for keys that it does not have, by `[]`, `get`, `in` or `pop`.

    A key written in two ways (`poem_idx`, `poem_index`) and read with a default gives the default, silently, for every
    record. The advice names each such key beside the nearest one that is there. `unread` counts the keys that are
    there and were not asked for. What a reader iterates over, or copies, is not seen.
    """
    asked = _AskedKeys(record)
    try:
        read(asked)
    except KeyError as error:  # what a reader without a default says of the same bug
        asked.keys_asked.update(key for key in error.args if isinstance(key, str))
    missing = sorted(asked.keys_asked - record.keys())
    named = ", ".join(f"'{key}'{_nearest(key, record)}" for key in missing)
    return Finding(
        name="missing_keys",
        trouble=bool(missing),
        numbers={"missing": float(len(missing)), "unread": float(len(record.keys() - asked.keys_asked))},
        threshold=0.0,
        advice=f"keys that are read and not there: {named}; write and read a key by one name, without a default"
        if missing
        else "every key that is read is there",
    )


class _AskedKeys(dict[str, Any]):
    """A dict that remembers which keys it was asked for."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        super().__init__(record)
        self.keys_asked: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.keys_asked.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.keys_asked.add(str(key))
        return super().__contains__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, or the default."""
        self.keys_asked.add(key)
        return super().get(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        """Remove a key and return its value, or the default."""
        self.keys_asked.add(key)
        return super().pop(key, *default)


def _nearest(key: str, record: Mapping[str, Any]) -> str:
    near = get_close_matches(key, record.keys(), n=1, cutoff=0.5)
    return f" (there is '{near[0]}')" if near else ""
