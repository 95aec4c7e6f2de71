"""The catalogue: one documented system per file, loaded on first use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any

from goldmark.case import MatrixScale, ModelCase, find

_NAMES = ("roast", "eeg", "expansion", "poetry")


class _Catalogue(Mapping[str, ModelCase[Any]]):
    """The cases by name; looking one up imports its file."""

    def __getitem__(self, name: str) -> ModelCase[Any]:
        if name not in _NAMES:
            raise KeyError(name)
        case: ModelCase[Any] = import_module(f"goldmark.cases.{name}").CASE
        return case

    def __contains__(self, name: object) -> bool:  # which loads nothing: that of a mapping looks it up
        return name in _NAMES

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)


CASES: Mapping[str, ModelCase[Any]] = _Catalogue()


def find_case(name: str) -> ModelCase[Any]:
    """Return the case of that name; raise `UsageError` with the known names otherwise."""
    return find(CASES, name, "the catalogue has no case")


def case_at(name: str, scale: MatrixScale) -> ModelCase[Any]:
    """Return a case at a scale: `fast` as in `CASES`, `full` at its documented size, `smoke` as a miniature of that.

    The miniature keeps all widths; it has few and short examples, two of them a batch, and takes two steps.
    """
    fast = find_case(name)
    if scale == "fast":
        return fast
    full = import_module(f"goldmark.cases.{name}.full")
    whole: ModelCase[Any] = replace(
        full.FULL, documented=full.DOCUMENTED, stacks_on_cpu=False
    )  # too large for a core's cache
    if scale == "full":
        return whole
    variants = tuple(replace(variant, changes={**variant.changes, **full.SMOKE}) for variant in whole.variants)
    settings = replace(whole.settings, **full.SMOKE)
    return replace(
        whole,
        settings=settings,
        variants=variants,
        claims=(),
        documented={},
        scale="smoke",
        stacks_on_cpu=True,  # so that a CPU tries the path of a GPU
    )
