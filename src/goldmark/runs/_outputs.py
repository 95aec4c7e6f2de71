"""What the runs of experiments have written below the root of their project, as a list that the run store keeps.

A training that numbers its folders, as Lightning does with `lightning_logs/version_3`, lists what is there, and the
next seed finds one more. That changes nothing for the one before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from goldmark.case import Run

_LIST = "outputs"  # in the folder of the store: a name a line, as JSON


def note_outputs(store: Path, run: Run) -> None:
    """Add to a store's list what a run has written."""
    new = sorted(set(run.ingredients.get("written", {})) - _noted(store))
    if new:
        with (store / _LIST).open("ab", buffering=0) as file:  # in one piece, beside other processes
            file.write("".join(f"{json.dumps(name)}\n" for name in new).encode())


def with_outputs(written: Mapping[str, str], store: Path) -> dict[str, str]:
    """Return what a run wrote, and what others have: these folders, and what is in them; outputs are no inputs."""
    folders = {PurePosixPath(name).parent for name in written}
    others = [name for name in _noted(store) if folders & {PurePosixPath(name), PurePosixPath(name).parent}]
    return {**written, **dict.fromkeys(others, "")}


def _noted(store: Path) -> set[str]:
    try:
        lines = (store / _LIST).read_text().splitlines()
    except FileNotFoundError:
        return set()
    return {json.loads(line) for line in lines}
