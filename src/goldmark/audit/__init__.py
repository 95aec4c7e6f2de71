"""The audit: every statement of the records with its number, beside what is measured or computed here."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from goldmark.audit._statement import (
    Answer,
    Computed,
    Part,
    Reading,
    Row,
    Statement,
    answer,
    checked,
    computed,
    measured,
    of_metric,
)
from goldmark.case import MatrixScale, Runs

__all__ = [
    "Answer",
    "Computed",
    "Part",
    "Reading",
    "Row",
    "Statement",
    "answer",
    "audit",
    "checked",
    "computed",
    "measured",
    "of_metric",
    "statements_of",
    "variants_of",
]


def statements_of(case: str) -> tuple[Statement, ...]:
    """Return the statements of a case's record, in the record's order."""
    statements: tuple[Statement, ...] = import_module(f"goldmark.audit.{case}").STATEMENTS
    return statements


def variants_of(case: str, scale: MatrixScale = "fast") -> tuple[str, ...]:
    """Return the variants whose runs a case's statements read at a scale."""
    statements = [statement for statement in statements_of(case) if statement.scale == scale]
    return tuple(dict.fromkeys(name for statement in statements for name in statement.variants))


def audit(case: str, runs: Mapping[MatrixScale, Runs]) -> list[Row]:
    """Return a row for every statement of a case, judged on its runs by scale."""
    return [answer(case, statement, runs) for statement in statements_of(case)]
