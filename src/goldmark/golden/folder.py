"""What lies in a golden folder: the names of its goldens, and each read after interrupted updates are recovered."""

from __future__ import annotations

import os
from pathlib import Path

from goldmark.golden.seals import SEALS, need_listed_seal
from goldmark.golden.store import BadGolden, Golden, golden_path, read
from goldmark.golden.transaction import recover

_SUFFIX = ".json"


def find_golden(folder: Path, name: str) -> Golden | None:
    """Return the golden of that name after any interrupted update is recovered, or None where there is none.

    Raises `BadGolden` for a file that cannot be trusted and `UsageError` for a name that leads out of the folder.
    """
    recover(folder)
    try:
        return stored_golden(folder, name)
    except BadGolden:
        recover(folder)  # an update of another process may have fallen between the golden and the list of seals
        return stored_golden(folder, name)


def stored_golden(folder: Path, name: str) -> Golden | None:
    """Return the golden of that name as it lies there; for callers that hold the folder's lock."""
    try:
        golden = read(golden_path(folder, name))
    except FileNotFoundError:
        return None
    need_listed_seal(folder, golden)
    return golden


def golden_names(folder: Path) -> list[str]:
    """Return the names of all goldens of a folder, sorted, without reading them.

    A folder inside that has a list of seals is a golden folder of its own, such as that of the full matrices.
    """
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [
            name for name in folders if not name.startswith(".") and not (Path(parent) / name / SEALS).exists()
        ]
        inside = os.path.relpath(parent, folder).replace(os.sep, "/")
        prefix = "" if inside == "." else f"{inside}/"
        found += [prefix + file.removesuffix(_SUFFIX) for file in files if file.endswith(_SUFFIX)]
    return sorted(found)
