"""The statements of the expansion record: data and model, training, weights and options, bugs, trials."""

from __future__ import annotations

from goldmark.audit._statement import Statement
from goldmark.audit.expansion import _bugs, _system, _training, _trials, _weights

STATEMENTS: tuple[Statement, ...] = (
    *_system.STATEMENTS,
    *_training.STATEMENTS,
    *_weights.STATEMENTS,
    *_bugs.STATEMENTS,
    *_trials.STATEMENTS,
)
