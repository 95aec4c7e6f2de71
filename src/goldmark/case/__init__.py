"""The words of the project: a case with its metrics, variants and claims, a run of it, and what runs bear out."""

from __future__ import annotations

from goldmark.case._case import (
    LOOKS,
    Better,
    Case,
    MeanTest,
    Metric,
    Role,
    S,
    Scale,
    Unsaid,
    Variant,
    recipe_of,
)
from goldmark.case._claim import AllOf, Check, Claim, Relation, Verdict
from goldmark.case._curve import Curve, area_under, first_values, steps_to, with_curves
from goldmark.case._extras import installed, naming_extras
from goldmark.case._look import Half, Look
from goldmark.case._model_case import Data, ModelCase, Recipe, cosine_factor
from goldmark.case._run import Baseline, Failure, Finding, MatrixScale, Run, Runs, UsageError, find
from goldmark.case._score import Decision, Score, Thresholds

__all__ = [
    "LOOKS",
    "AllOf",
    "Baseline",
    "Better",
    "Case",
    "Check",
    "Claim",
    "Curve",
    "Data",
    "Decision",
    "Failure",
    "Finding",
    "Half",
    "Look",
    "MatrixScale",
    "MeanTest",
    "Metric",
    "ModelCase",
    "Recipe",
    "Relation",
    "Role",
    "Run",
    "Runs",
    "S",
    "Scale",
    "Score",
    "Thresholds",
    "Unsaid",
    "UsageError",
    "Variant",
    "Verdict",
    "area_under",
    "cosine_factor",
    "find",
    "first_values",
    "installed",
    "naming_extras",
    "recipe_of",
    "steps_to",
    "with_curves",
]
