"""The statements of the EEG record: its losses, its system and recipes, its trials, and the documented size."""

from __future__ import annotations

from goldmark.audit._statement import Statement
from goldmark.audit.eeg import _full_size, _losses, _recipes, _trials

STATEMENTS: tuple[Statement, ...] = (
    *_losses.STATEMENTS,
    *_recipes.STATEMENTS,
    *_trials.STATEMENTS,
    *_full_size.STATEMENTS,
)
