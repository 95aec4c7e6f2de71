"""Healthy programs whose losses are unusual: targets that they ignore or leave out, terms that are meant for a log."""

from __future__ import annotations

from zoo.healthy.losses import (
    answers,
    bootstrapping,
    constants,
    derivatives,
    leaving,
    noise,
    reading,
    reduction,
    risks,
    signs,
    targets,
    terms,
    views,
    weights,
)

__all__ = [
    "answers",
    "bootstrapping",
    "constants",
    "derivatives",
    "leaving",
    "noise",
    "reading",
    "reduction",
    "risks",
    "signs",
    "targets",
    "terms",
    "views",
    "weights",
]
