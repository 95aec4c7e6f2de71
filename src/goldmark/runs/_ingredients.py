"""What a run was made of, as its process saw it, and what of that has changed since."""

from __future__ import annotations

from pathlib import Path

from goldmark.case import Run


def changed(run: Run, root: Path) -> str | None:
    """Return which ingredient of a run has changed, as in "model.py changed"; None where none has."""
    raise NotImplementedError
