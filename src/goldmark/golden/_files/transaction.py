"""Files of a golden folder replaced all or none: staged, sealed by a commit marker, then moved into place."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from goldmark.case import UsageError

# The folder of an update, inside the golden folder: `lock`, the staged bytes in `next/`, and the marker `commit`. It
# stays after an update, because a lock file that is deleted lets two processes hold two locks of one name.
STAGING = ".update"
_MARKER, _NEXT, _LOCK = "commit", "next", "lock"
_WAIT_S = 60.0  # an update takes well under a second; a longer wait means that a process hangs


def recover(folder: Path) -> None:
    """Finish a marked update and discard an unmarked one, so that what is read next is of one generation.

    Every reader of a golden folder calls this first; without traces of an update it costs two calls of `stat`.
    """
    staging = f"{folder}/{STAGING}/"  # text and not `Path`, which costs four times as much, in every test
    if os.path.exists(staging + _MARKER) or os.path.exists(staging + _NEXT):  # noqa: PTH110 (as said above)
        with locked(folder):
            pass


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the one lock of a golden folder, with every interrupted update recovered.

    Raise `UsageError` where another process does not let go of the lock within a minute.
    """
    from filelock import FileLock, Timeout

    staging = folder / STAGING
    staging.mkdir(parents=True, exist_ok=True)
    # the folder ignores itself, so that git never sees it, even where nothing is written
    if not (staging / ".gitignore").exists():
        (staging / ".gitignore").write_text("*\n")
    lock = FileLock(staging / _LOCK)
    try:
        lock.acquire(timeout=_WAIT_S)
    except Timeout:
        raise UsageError(
            f"{folder}: another process has held {lock.lock_file} for {_WAIT_S:.0f} s; end it, then run again"
        ) from None
    try:
        _recover(folder)
        yield
    finally:
        lock.release()


def replace_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Replace or create files of a golden folder, all or none, even if the process dies at any moment.

    `files` maps paths relative to the folder to their new bytes. The caller holds the lock (`locked`).
    """
    if not files:
        return
    try:
        _stage(folder, files)
        _mark(folder, files)
    except BaseException:  # Ctrl-C too: what is not marked never happened
        if not (folder / STAGING / _MARKER).exists():
            shutil.rmtree(folder / STAGING / _NEXT, ignore_errors=True)
        raise
    _recover(folder)


def _stage(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the new bytes beside the goldens, on the disk but without any effect until they are marked."""
    waiting = folder / STAGING / _NEXT
    waiting.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(sorted(files)):
        _write(waiting / str(number), files[path])
    _sync(waiting)


def _mark(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the marker last, and by renaming, so that it is whole and all staged bytes are on the disk before it."""
    staging = folder / STAGING
    paths = {str(number): path for number, path in enumerate(sorted(files))}
    _write(staging / f"{_MARKER}.new", json.dumps(paths).encode())
    (staging / f"{_MARKER}.new").replace(staging / _MARKER)
    _sync(staging)


def _recover(folder: Path) -> None:
    staging = folder / STAGING
    marker, waiting = staging / _MARKER, staging / _NEXT
    if marker.exists():
        _roll_forward(folder, json.loads(marker.read_bytes()))
        marker.unlink()
        _sync(staging)
    if waiting.exists():
        shutil.rmtree(waiting)


def _roll_forward(folder: Path, paths: Mapping[str, str]) -> None:
    """Move every staged file that is still waiting to its place; one that is gone was moved before the interruption."""
    waiting = folder / STAGING / _NEXT
    for number, path in paths.items():
        target = _inside(folder, path)
        if (waiting / number).exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            (waiting / number).replace(target)
    for parent in {_inside(folder, path).parent for path in paths.values()}:
        _sync(parent)


def _inside(folder: Path, path: str) -> Path:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts:
        raise UsageError(f"{folder / STAGING / _MARKER} names '{path}', outside the folder; delete {folder / STAGING}")
    return folder / pure


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Put the names of a folder on the disk; Windows cannot open a folder and keeps its names in order itself."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
