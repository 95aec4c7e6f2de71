"""The session that trains: where its finished runs are kept, which of them it trusts, and how many processes it has.

A pytest session says so once, in its plugin, and a command by its options: whoever asks for runs then need not.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Machines = Literal["here", "processes", "ray"]
Address = tuple[str, str, int]  # of a run: case, variant, seed
FOLDER = ".goldmark"
SILENT_S, EVERY_S = 2.0, 30.0  # until the first line of progress, and between two
_MARKS = ("pyproject.toml", "pytest.ini", "setup.cfg", "tox.ini", ".git")  # of the root of a project


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What became of the runs that a session was asked for, each counted once however often it was asked for."""

    read: set[Address] = field(default_factory=set)  # they were there already
    trained: dict[Address, str] = field(default_factory=dict)  # -> why
    failed: dict[Address, str] = field(default_factory=dict)  # read or trained -> their error

    def add(self, other: Tally) -> None:
        """Add what another process of the session counts: what one has trained, another only reads."""
        self.read.update(other.read)
        self.trained.update(other.trained)
        self.failed.update(other.failed)

    def to_plain(self) -> list[list[tuple[Address, str]]]:
        """Return the tally as plain values, which pytest-xdist sends from a worker to the controller."""
        return [[(address, "") for address in self.read], [*self.trained.items()], [*self.failed.items()]]

    @classmethod
    def from_plain(cls, plain: list[list[tuple[Address, str]]]) -> Tally:
        """Return the tally that `to_plain` made plain."""
        read, trained, failed = map(dict, plain)
        return cls(read=set(read), trained=trained, failed=failed)

    def lines(self) -> list[str]:
        """Return a line per case, "digits: 12 runs read, 12 trained (model.py changed)", and one per failed seed."""
        cases = dict.fromkeys(case for case, _, _ in sorted({*self.read, *self.trained}))
        failures = [
            f"{case}/{variant}, seed {seed}: {error}" for (case, variant, seed), error in sorted(self.failed.items())
        ]
        return [*(self._line(case) for case in cases), *failures]

    def _line(self, case: str) -> str:
        n_read = sum(address[0] == case for address in self.read - set(self.trained))
        reasons = Counter(why for address, why in sorted(self.trained.items()) if address[0] == case)
        n_failed = sum(address[0] == case for address in self.failed)
        trained = trained_in_words(reasons)
        counts = ((n_read, f"{n_read} runs read"), (reasons.total(), trained), (n_failed, f"{n_failed} failed"))
        return f"{case}: {', '.join(text for count, text in counts if count)}"


def trained_in_words(reasons: Counter[str]) -> str:
    """Return how many runs were trained, and why, as in "12 trained (model.py changed)"."""
    one = len(reasons) == 1
    why = ", ".join(reason if one else f"{count} {reason}" for reason, count in reasons.most_common())
    return f"{reasons.total()} trained" + (f" ({why})" if why else "")


def _say_nothing(line: str) -> None:
    """Say nothing; a function of the module, because sessions travel to other processes."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """What belongs together of commands or tests: runs that one of them has trained are never trained by another."""

    root: Path  # of the project
    folder: Path  # of the run store
    token: str = field(default_factory=lambda: uuid.uuid4().hex)  # the same in all processes of a session
    fresh: bool = False  # only runs of this session are read
    machines: Machines = "processes"
    jobs: int | None = None  # processes that train; None: as many as there are cores; 0: this one, without the store
    reverse: bool = False  # the last seed is trained first: what hangs on the order of seeds does not come again
    say: Callable[[str], None] = field(default=_say_nothing, repr=False)  # tell a person how far it is
    tally: Tally = field(default_factory=Tally)
    makers: dict[str, str] = field(default_factory=dict)  # experiment -> the file of its function


_current: list[Session] = []


def use(session: Session | None) -> Session | None:
    """Make a session that of this process, None one of the project around, and return what was in use before."""
    before = _current[0] if _current else None
    _current[:] = [] if session is None else [session]
    return before


def current() -> Session:
    """Return the session of this process; where none is in use, a new one of the project around the current directory.

    An interpreter that lives for hours has no session: what it trained before a change is looked at as anybody's.
    """
    if _current:
        return _current[0]
    root = project_around(Path.cwd())
    return Session(root=root, folder=root / FOLDER)


def project_around(folder: Path) -> Path:
    """Return the root of the project that a folder is in: the nearest one with a mark of it, or the folder itself."""
    return next((place for place in (folder, *folder.parents) if is_project(place)), folder)


def is_project(folder: Path) -> bool:
    """Return whether a folder is the root of a project, by the files in it."""
    return any((folder / mark).exists() for mark in _MARKS)
