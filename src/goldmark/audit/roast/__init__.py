"""The statements of the roast record: its data and models, its broken models, its fix, further bugs, and trials."""

from __future__ import annotations

from goldmark.audit._statement import Statement
from goldmark.audit.roast import _bugs, _collapse, _repair, _system, _trials

STATEMENTS: tuple[Statement, ...] = (
    *_system.STATEMENTS,
    *_collapse.STATEMENTS,
    *_repair.STATEMENTS,
    *_bugs.STATEMENTS,
    *_trials.STATEMENTS,
)
