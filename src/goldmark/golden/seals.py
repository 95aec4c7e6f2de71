"""The list of seals: what updates wrote, so that a golden that was edited and sealed again by hand is seen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from goldmark.golden.store import BadGolden, Golden, golden_path

SEALS = "SEALS"  # one line a golden: its seal, two spaces, its name


def listed_seals(folder: Path) -> Mapping[str, str] | None:
    """Return {name: seal} as the last update left it, None where there is no list; raise `BadGolden` for a bad one."""
    path = f"{folder}/{SEALS}"  # text and not `Path`, which costs ten times as much, in every test
    try:
        state = os.stat(path)  # noqa: PTH116 (as said above)
    except FileNotFoundError:
        return None
    return _read(path, state.st_ino, state.st_mtime_ns, state.st_size)


@cache
def _read(path: str, inode: int, changed_ns: int, size: int) -> Mapping[str, str]:  # the state is a part of the key
    pairs = [line.split() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    if any(len(pair) != 2 for pair in pairs) or len({pair[1] for pair in pairs}) < len(pairs):
        raise BadGolden(
            f"{path} is not a list of seals: a line is a seal and a name, each name once. In a merge keep the lines of "
            f"both sides, or restore it with `git checkout -- {path}`"
        )
    return {name: seal for seal, name in pairs}


def seal_list(seals: Mapping[str, str]) -> bytes:
    """Return the list as a file, sorted by name, so that two branches change different lines."""
    return "".join(f"{seals[name]}  {name}\n" for name in sorted(seals)).encode()


def need_listed_seal(folder: Path, golden: Golden) -> None:
    """Raise `BadGolden` for a golden that is not what the last update wrote; without a list every golden is."""
    listed = listed_seals(folder)
    if listed is not None and listed.get(golden.name) != golden.seal:
        path = golden_path(folder, golden.name)
        raise BadGolden(
            f"{path} is not what the last update wrote: its seal is not the one in {folder / SEALS}. Restore both with "
            f"`git checkout`, or delete {path.name} and record it again"
        )
