"""The statements of the four records as a whole: many, named, with sources, each with a number that can turn it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import pytest

from goldmark.audit import Computed, audit, statements_of, variants_of
from goldmark.cases import CASES, case_at


@pytest.fixture(scope="module")
def rows_of(runs_of):
    """`rows_of(case)`: the audit of a case on the runs that all tests share."""
    rows = {}

    def of(name):
        if name not in rows:
            rows[name] = audit(name, {"fast": runs_of(name, variants_of(name))})
        return rows[name]

    return of


@pytest.mark.parametrize("name", CASES)
def test_statements_have_names_of_their_own_and_sources(name):
    """A row can be told from every other and be looked up in its record."""
    statements = statements_of(name)
    assert {1} == set(Counter(statement.name for statement in statements).values())
    assert all(statement.source and statement.says and statement.why for statement in statements)


@pytest.mark.parametrize("name", CASES)
def test_statements_read_variants_that_exist(name):
    """A misspelt variant would read as 'not testable here' for ever."""
    for scale in ("fast", "full"):
        assert set(variants_of(name, scale)) <= {variant.name for variant in case_at(name, scale).variants}


@pytest.mark.parametrize("name", CASES)
def test_computed_numbers_hold_their_golden(name, golden):
    """What follows by arithmetic is approved once and stays, whatever its verdict is."""
    golden.close(
        {
            f"{statement.name}: {part.says}": float(part.compute())
            for statement in statements_of(name)
            for part in statement.parts
            if isinstance(part, Computed)
        }
    )


@pytest.mark.parametrize("name", CASES)
def test_each_range_can_be_missed(name):
    """No statement is confirmed by whatever is computed: NaN lies in none of the ranges."""
    for statement in statements_of(name):
        for part in statement.parts:
            if isinstance(part, Computed):
                assert replace(part, compute=lambda: math.nan).read({}).ok is False, statement.name


@pytest.mark.parametrize("name", CASES)
def test_fast_statements_are_all_judged(name, rows_of):
    """With the catalogue's runs at hand nothing that names a fast variant stays open."""
    for row in rows_of(name):
        if row.statement.parts and row.statement.scale == "fast":
            assert row.answer != "not testable here", row.statement.name


def test_records_are_covered():
    """Four records make far more than sixty statements, each of them a good share."""
    counts = {name: len(statements_of(name)) for name in CASES}
    assert min(counts.values()) >= 15, counts
