"""Who may train now: one process per core of the machine and one per run, by locks that end with their process."""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock, Timeout

Lock = FileLock  # of one holder, released when its process ends, however it does
_GITIGNORE = b"# made by goldmark: runs that can be trained again\n*\n"


def n_cores() -> int:
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux: of a container or a batch job, not of the machine
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def lock_now(path: Path) -> Lock | None:
    """Return the lock of a file, held, or None where another process or thread holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, thread_local=False)  # whoever stops a thread may release what it held
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock


def take_slot(store: Path) -> Lock | None:
    """Return one of the store's slots to train in, as many as there are cores, or None where all are taken."""
    slots = (lock_now(store / "slots" / f"{number}.lock") for number in range(n_cores()))
    return next((slot for slot in slots if slot is not None), None)


def open_store(store: Path) -> None:
    """Make the folder of a run store, which git leaves out."""
    store.mkdir(parents=True, exist_ok=True)
    if not (store / ".gitignore").exists():
        (store / ".gitignore").write_bytes(_GITIGNORE)  # the same, whoever writes it and how many at once


def is_store(folder: str | Path) -> bool:
    """Tell whether a folder is a run store, whatever its name is."""
    try:
        with open(f"{folder}/.gitignore", "rb") as file:  # noqa: PTH123 - a text, as for every folder that is looked at
            return file.read(len(_GITIGNORE)) == _GITIGNORE
    except OSError:
        return False
