"""What the runs of experiments have written below the root of their project, as a list that the run store keeps.

A training that numbers its folders, as Lightning does with `lightning_logs/version_3`, lists what is there, and the
next seed finds one more. That changes nothing for the one before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from goldmark.case import Run
from goldmark.runs._store import write_whole

_LIST = "outputs"  # in the folder of the store: a name a line, as JSON


def note_outputs(store: Path, run: Run) -> None:
    """Add to a store's list what a run has written."""
    new = sorted(set(run.ingredients.get("written", {})) - _noted(store))
    if new:
        with (store / _LIST).open("ab", buffering=0) as file:  # in one piece, beside other processes
            file.write("".join(f"{json.dumps(name)}\n" for name in new).encode())


def with_outputs(written: Mapping[str, str], store: Path) -> dict[str, str]:
    """Return what a run wrote, and what others have: these folders, and what is in them; outputs are no inputs."""
    return {**written, **dict.fromkeys(_beside(written, store), "")}


def trim_outputs(store: Path, left: Iterable[Run]) -> None:
    """Leave in a store's list what counts for the runs that are left; nothing where none is left that wrote."""
    if (store / _LIST).exists():
        names = sorted(_beside([name for run in left for name in run.ingredients.get("written", {})], store))
        write_whole(store / _LIST, "".join(f"{json.dumps(name)}\n" for name in names).encode())


def _beside(written: Iterable[str], store: Path) -> list[str]:
    """Return the names of a store's list that lie in the folders of what was written, and these folders."""
    folders = {PurePosixPath(name).parent for name in written}
    return [name for name in _noted(store) if folders & {PurePosixPath(name), PurePosixPath(name).parent}]


def _noted(store: Path) -> set[str]:
    try:
        lines = (store / _LIST).read_text().splitlines()
    except FileNotFoundError:
        return set()
    return {json.loads(line) for line in lines}
