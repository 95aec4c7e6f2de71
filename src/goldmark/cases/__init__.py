"""The catalogue: one documented system per file, loaded on first use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from goldmark.case import Case, UsageError

_NAMES = ("roast", "eeg", "expansion", "poetry")


class _Catalogue(Mapping[str, Case]):
    """The cases by name; looking one up imports its file."""

    def __getitem__(self, name: str) -> Case:
        if name not in _NAMES:
            raise KeyError(name)
        case: Case = import_module(f"goldmark.cases.{name}").CASE
        return case

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)


CASES: Mapping[str, Case] = _Catalogue()


def find_case(name: str) -> Case:
    """Return the case of that name; raise `UsageError` with the known names otherwise."""
    if name not in CASES:
        raise UsageError(f"there is no case '{name}'; the catalogue has: {', '.join(CASES)}")
    return CASES[name]
