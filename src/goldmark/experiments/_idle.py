"""Workers that wait for the next call: what starting one costs, above all its imports, is paid once per session."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goldmark._session import Session
from goldmark.case import Run
from goldmark.experiments._worker import Worker
from goldmark.runs import outdated

if TYPE_CHECKING:
    from goldmark.experiments._declare import Experiment

Kind = tuple[Callable[..., Any], Path]  # what it trains: the function, and the root of the project
IDLE_S = 20.0  # without work for so long they end, and what they hold of the machine's memory is free


@dataclass
class IdleWorkers:
    """Workers of one experiment that wait, each with its last run: they hold no slot, and end after a while."""

    waiting: list[tuple[Kind, Worker, Run]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    timer: threading.Timer | None = None

    def take(self, case: Experiment, session: Session) -> Worker | None:
        """Return a worker of an experiment that waits, unless something that it has loaded has changed since.

        Those of another experiment, and those that are outdated, end.
        """
        while True:
            with self.lock:
                if not self.waiting:
                    return None
                kind, worker, run = self.waiting.pop()
            if kind == (case.function, session.root) and worker.alive and outdated(session, run) is None:
                return worker
            worker.close()

    def keep(self, case: Experiment, root: Path, worker: Worker, run: Run) -> None:
        """Let a worker wait, for a while and no longer than this process."""
        with self.lock:
            self.waiting.append(((case.function, root), worker, run))
            if self.timer is not None:
                self.timer.cancel()
            self.timer = threading.Timer(IDLE_S, self.close)
            self.timer.daemon = True
            self.timer.start()

    def close(self) -> None:
        """End all that wait."""
        with self.lock:
            ended, self.waiting = self.waiting, []
            if self.timer is not None:
                self.timer.cancel()
        for _, worker, _ in ended:
            worker.close()


IDLE = IdleWorkers()


@atexit.register
def close_workers() -> None:
    """End the processes that wait for further runs of an experiment."""
    IDLE.close()
