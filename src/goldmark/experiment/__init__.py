"""Experiments: anybody's training function as a case, with its variants, metrics, claims and finished runs."""

from __future__ import annotations

from goldmark.experiment._declare import Experiment, ExperimentVariant, experiment
from goldmark.experiment._obtain import obtain

__all__ = ["Experiment", "ExperimentVariant", "experiment", "obtain"]
