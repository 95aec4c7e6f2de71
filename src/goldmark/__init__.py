"""Regression tests for training code, with golden results; public names load on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from goldmark.case import (
        Baseline,
        Case,
        Check,
        Claim,
        Finding,
        Metric,
        ModelCase,
        Run,
        UsageError,
        Variant,
        Verdict,
    )
    from goldmark.cases import CASES, find_case
    from goldmark.checks import assert_healthy, preflight, watch
    from goldmark.experiments import experiment
    from goldmark.golden import check_case
    from goldmark.training import train
    from goldmark.trajectory import same_trajectory

__all__ = [
    "CASES",
    "Baseline",
    "Case",
    "Check",
    "Claim",
    "Finding",
    "Metric",
    "ModelCase",
    "Run",
    "UsageError",
    "Variant",
    "Verdict",
    "area_under",
    "assert_healthy",
    "check_case",
    "experiment",
    "find_case",
    "preflight",
    "same_trajectory",
    "steps_to",
    "train",
    "watch",
]

_NEED_TORCH = {"assert_healthy", "preflight", "train", "watch"}
_HOME = {
    "CASES": "cases",
    "assert_healthy": "checks",
    "check_case": "golden",
    "experiment": "experiments",
    "find_case": "cases",
    "preflight": "checks",
    "same_trajectory": "trajectory",
    "train": "training",
    "watch": "checks",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'goldmark' has no attribute '{name}'; it has: {', '.join(__all__)}")
    from goldmark.case import naming_extras

    with naming_extras(f"goldmark.{name}", *(["torch"] if name in _NEED_TORCH else [])):
        return getattr(import_module(f"goldmark.{_HOME.get(name, 'case')}"), name)


def __dir__() -> list[str]:
    return __all__
