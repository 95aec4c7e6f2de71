"""The name of a test's golden: its path and name, in characters that every file system takes."""

from __future__ import annotations

import hashlib
import re

_ODD = re.compile(r"[^A-Za-z0-9_.+=@,\[\]-]+")  # all other characters may name a golden
_LONGEST = 120  # characters of one part; file systems allow 255 bytes, and a suffix must fit


def name_of_test(nodeid: str) -> str:
    """Return the golden's name of a test: `tests/test_a.py::TestB::test_c[0.1]` -> `tests/test_a/TestB/test_c[0.1]`.

    Two tests never share a name: where characters had to go, a hash of what they were is appended.
    """
    file, *parts = nodeid.split("::") if "[" not in nodeid else _split(nodeid)
    return "/".join([*(_clean(part) for part in file.removesuffix(".py").split("/")), *map(_clean, parts)])


def _split(nodeid: str) -> list[str]:
    """Split at `::` outside the parameters, which may hold any text."""
    name, bracket, parameters = nodeid.partition("[")
    *parts, last = name.split("::")
    return [*parts, last + bracket + parameters]


def _clean(part: str) -> str:
    cleaned = _ODD.sub("-", part)
    if cleaned == part and len(part) <= _LONGEST and not part.startswith("."):
        return part
    return f"{cleaned.lstrip('.')[:_LONGEST]}-{hashlib.sha256(part.encode()).hexdigest()[:8]}"
