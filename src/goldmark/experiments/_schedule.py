"""Who trains which seed: as many processes as the machine has free slots, and each seed in one of them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from goldmark._session import Session
from goldmark.case import Run
from goldmark.experiments._idle import IDLE
from goldmark.experiments._remote import RemoteWorker
from goldmark.experiments._worker import Worker
from goldmark.runs import Lock, lock_now, n_cores, note_outputs, read_run, reusable, store_path, take_slot, write_run

if TYPE_CHECKING:
    from goldmark.experiments._declare import Experiment

POLL_S = 0.05  # between two looks at what others hold: an idle slot waits half of it, a few percent of a short run


@dataclass(eq=False, kw_only=True)
class Missing:
    """A run that has to be trained, by this process or by another one that is at it already."""

    variant: str
    seed: int
    why: str
    path: Path
    stamp: tuple[int, int] | None = None  # of its file as it was read last


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A run that was missing, and why this process trained it; "" where another one did."""

    run: Run
    why: str = ""


class Schedule:
    """The missing runs of one experiment, and the threads that have them trained, each in a process of its own."""

    def __init__(self, case: Experiment, session: Session, missing: Sequence[tuple[str, int, str]]) -> None:
        self.case, self.session = case, session
        self._waiting = [
            Missing(variant=variant, seed=seed, why=why, path=store_path(session, case, variant, seed))
            for variant, seed, why in (reversed(missing) if session.reverse else missing)
        ]
        n_places = _n_places(session)
        self._n_lanes = min(session.jobs or n_places, n_places, len(missing))
        self._finished: queue.SimpleQueue[Finished | BaseException] = queue.SimpleQueue()
        self._busy: set[Worker | RemoteWorker] = set()
        self._mutex, self._over = threading.Lock(), threading.Event()
        self.stopped = False  # before all was finished

    @contextmanager
    def training(self) -> Iterator[None]:
        """Train while the context lasts; where it ends early, finished runs stay and those in training are lost."""
        lanes = [threading.Thread(target=self._drive, daemon=True) for _ in range(self._n_lanes)]
        for lane in lanes:
            lane.start()
        try:
            yield
        except BaseException:
            with self._mutex:
                self.stopped = True
            for worker in self._busy:
                worker.close()
            raise
        finally:
            self._over.set()
            for lane in lanes:
                lane.join()

    def next(self, timeout_s: float) -> Finished | None:
        """Return the next finished run, or None after a time without one; raise what stopped a thread."""
        try:
            finished = self._finished.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if isinstance(finished, BaseException):
            raise finished
        return finished

    def _drive(self) -> None:
        lane = _Lane(self)
        try:
            while self._waiting and not self.stopped:
                claimed = self._claim() if lane.has_slot() else None
                if claimed is not None:
                    self._train(*claimed, lane)
                else:  # others are at all that is left, or at all that the machine can
                    lane.rest()
                    self._collect()
                    self._over.wait(POLL_S)
        except BaseException as error:  # noqa: BLE001 - whoever waits for the runs raises it
            self._finished.put(error)
        finally:
            lane.close()

    def _claim(self) -> tuple[Missing, Lock] | None:
        """Return a run that nobody else is at, with its lock; None where there is none."""
        with self._mutex:
            for missing in list(self._waiting):
                lock = lock_now(missing.path.with_suffix(".lock"))
                if lock is None:
                    continue
                self._waiting.remove(missing)
                if not self._passed_on(missing):
                    return missing, lock
                lock.release()
        return None

    def _collect(self) -> None:
        """Pass on what other processes have finished."""
        with self._mutex:
            self._waiting = [missing for missing in self._waiting if not self._passed_on(missing)]

    def _passed_on(self, missing: Missing) -> bool:
        """Pass on a run where another process has written one, since the last look, that can be read."""
        stamp = _stamp(missing.path)
        if stamp == missing.stamp:
            return False
        missing.stamp = stamp
        run, _ = reusable(self.session, self.case, missing.variant, missing.seed)
        if run is not None:
            self._finished.put(Finished(run=run))
        return run is not None

    def _train(self, missing: Missing, lock: Lock, lane: _Lane) -> None:
        try:
            run = lane.train(missing.variant, missing.seed)
            if run is not None:
                note_outputs(self.session.folder, run)
                write_run(missing.path, run)
                self._finished.put(Finished(run=read_run(missing.path), why=missing.why))
        finally:
            lock.release()

    def begin(self, worker: Worker | RemoteWorker) -> bool:
        """Note that a worker trains, so that it ends where the training is stopped; return False where it is."""
        with self._mutex:
            if not self.stopped:
                self._busy.add(worker)
            return not self.stopped

    def end(self, worker: Worker | RemoteWorker) -> bool:
        """Note that a worker has trained; return False where it was stopped."""
        with self._mutex:
            if not self.stopped:
                self._busy.discard(worker)
            return not self.stopped


class _Lane:
    """What trains one run after another: a slot, held while there is something to train, and a worker."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._worker: Worker | RemoteWorker | None = None
        self._last: Run | None = None
        self._slot: Lock | None = None

    def has_slot(self) -> bool:
        """Tell whether it has a slot of this machine, taking one where it can; a cluster sees to its own cores."""
        if self._schedule.session.machines == "ray":
            return True
        self._slot = self._slot or take_slot(self._schedule.session.folder)
        return self._slot is not None

    def train(self, variant: str, seed: int) -> Run | None:
        """Return the run of a seed, or None where the training was stopped meanwhile."""
        case, session = self._schedule.case, self._schedule.session
        if self._worker is None or not self._worker.alive:
            self._worker = _worker(case, session)
        if not self._schedule.begin(self._worker):
            return None
        run = self._worker.train(variant, seed)
        if not self._schedule.end(self._worker):
            return None
        self._last = replace(run, session=session.token)
        return self._last

    def rest(self) -> None:
        """Leave the slot to others."""
        if self._slot is not None:
            self._slot.release()
            self._slot = None

    def close(self) -> None:
        """End, with a worker that waits for the next call where it has trained and lives."""
        worker, last = self._worker, self._last
        if isinstance(worker, Worker) and last is not None and worker.alive and not self._schedule.stopped:
            IDLE.keep(self._schedule.case, self._schedule.session.root, worker, last)
        elif worker is not None:
            worker.close()
        self.rest()


def _n_places(session: Session) -> int:
    """Return how many processes can train at once."""
    if session.machines == "ray":
        from goldmark.training._machines import ray_cores

        return ray_cores()
    return n_cores()


def _worker(case: Experiment, session: Session) -> Worker | RemoteWorker:
    if session.machines == "ray":
        return RemoteWorker(case, session.root)
    return IDLE.take(case, session) or Worker(case, session.root)


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what tells one state of a file from the next: each is written beside it and then put in its place."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns
