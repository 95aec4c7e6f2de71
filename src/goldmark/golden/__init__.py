"""Golden results: what was approved, with the rule by which new numbers are compared; names load on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from goldmark.golden._catalogue import check_case
    from goldmark.golden._compare.drift import Comparison
    from goldmark.golden._compare.tiers import compare
    from goldmark.golden._files.entries import BadGolden, Close, Golden, Result
    from goldmark.golden._files.folder import find_golden
    from goldmark.golden._fixture.check import GoldenCheck
    from goldmark.golden._record.entry import statistical_entry

__all__ = [
    "BadGolden",
    "Close",
    "Comparison",
    "Golden",
    "GoldenCheck",
    "Result",
    "check_case",
    "compare",
    "find_golden",
    "statistical_entry",
]

_HOME = {
    "BadGolden": "_files.entries",
    "Close": "_files.entries",
    "Comparison": "_compare.drift",
    "Golden": "_files.entries",
    "GoldenCheck": "_fixture.check",
    "Result": "_files.entries",
    "check_case": "_catalogue",
    "compare": "_compare.tiers",
    "find_golden": "_files.folder",
    "statistical_entry": "_record.entry",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'goldmark.golden' has no attribute '{name}'; it has: {', '.join(__all__)}")
    return getattr(import_module(f"goldmark.golden.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
