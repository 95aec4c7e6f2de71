"""Experiments: anybody's training function as a case, with its variants, metrics, claims and finished runs."""

from __future__ import annotations

from goldmark.experiments._declare import Experiment, ExperimentVariant, experiment
from goldmark.experiments._idle import close_workers
from goldmark.experiments._obtain import Obtained, obtain

__all__ = ["Experiment", "ExperimentVariant", "Obtained", "close_workers", "experiment", "obtain"]
