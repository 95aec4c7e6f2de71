"""A worker on a machine of a Ray cluster, which sees the folders of the project where they are here."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, cast

from goldmark.case import Run
from goldmark.experiments._worker import _TELLING, Worker

if TYPE_CHECKING:
    from goldmark.experiments._declare import Experiment


class RemoteWorker:
    """A worker elsewhere: what it is told and answers is that of one here."""

    def __init__(self, case: Experiment, root: Path) -> None:
        """Ask the cluster for a core; `train` waits until there is one."""
        from goldmark.training._machines import OnRay

        told = {name: os.environ.get(name) for name in (*_TELLING, *case.environment)}
        self._there = OnRay(_There, _portable(case), root, sys.path, told)
        self.alive = True

    def train(self, variant: str, seed: int) -> Run:
        """Return the run of a variant and a seed, with its error where it came to nothing.

        Raise `WorkerDiedError` where its machines die, each time it is tried.
        """
        return cast("Run", self._there.call("train", variant, seed))

    def close(self) -> None:
        """End it, and give back its core."""
        self.alive = False
        self._there.close()


class _There:
    """The worker where it is, and a new one after a seed that has ended it."""

    def __init__(self, case: Experiment, root: Path, path: Sequence[str], told: Mapping[str, str | None]) -> None:
        sys.path[:] = path
        for name, value in told.items():  # of the machine here, where runs are read again
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._case, self._root = case, root
        self._worker: Worker | None = None

    def train(self, variant: str, seed: int) -> Run:
        if self._worker is None or not self._worker.alive:
            self._worker = Worker(self._case, self._root)
        return self._worker.train(variant, seed)


def _portable(case: Experiment) -> Any:
    """Return an experiment that can be sent: its function without what it refers to, as a worker imports it by file."""
    function: Any = FunctionType(case.function.__code__, {}, case.function.__name__)
    function.__module__, function.__qualname__ = case.function.__module__, case.function.__qualname__
    return replace(case, function=function, claims=())
