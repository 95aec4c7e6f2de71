"""The statements of the poetry record."""

from __future__ import annotations

from goldmark.audit._statement import Statement
from goldmark.audit.poetry._bugs import BUGS
from goldmark.audit.poetry._evidence import EVIDENCE
from goldmark.audit.poetry._results import RESULTS
from goldmark.audit.poetry._system import SYSTEM
from goldmark.audit.poetry._trials import TRIALS

STATEMENTS: tuple[Statement, ...] = (*SYSTEM, *RESULTS, *EVIDENCE, *BUGS, *TRIALS)
