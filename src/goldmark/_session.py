"""The session that trains: where its finished runs are kept, which of them it trusts, and how many processes it has.

A pytest session says so once, in its plugin, and a command by its options: whoever asks for runs then need not.
"""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Machines = Literal["here", "processes", "ray"]
FOLDER = ".goldmark"
_MARKS = ("pyproject.toml", "pytest.ini", "setup.cfg", "tox.ini", ".git")  # of the root of a project


@dataclass(frozen=True, kw_only=True)
class Session:
    """What belongs together of commands or tests: runs that one of them has trained are never trained by another."""

    root: Path  # of the project
    folder: Path  # of the run store
    token: str = field(default_factory=lambda: uuid.uuid4().hex)  # the same in all processes of a session
    fresh: bool = False  # only runs of this session are read
    machines: Machines = "processes"
    jobs: int | None = None  # processes that train; None: as many as there are cores
    read: Counter[str] = field(default_factory=Counter)  # case -> runs that were there already
    trained: Counter[tuple[str, str]] = field(default_factory=Counter)  # (case, why) -> runs


_current: list[Session] = []


def use(session: Session) -> None:
    """Make a session that of this process."""
    _current[:] = [session]


def current() -> Session:
    """Return the session of this process: the one in use, or one of the project around the current directory."""
    if not _current:
        here = Path.cwd()
        root = next((folder for folder in (here, *here.parents) if any((folder / m).exists() for m in _MARKS)), here)
        use(Session(root=root, folder=root / FOLDER))
    return _current[0]
