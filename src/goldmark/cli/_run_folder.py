"""The folder of `goldmark run --out`: what was asked for, so that `--resume` asks for the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from goldmark.case import UsageError
from goldmark.cli._json_file import write_json

_FILE, _LOCK = "run.json", ".lock"


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What `goldmark run` was asked for, but for what changes no result."""

    cases: tuple[str, ...]
    seeds: int | None  # None: each variant's own
    data: str | None  # the user's file
    companions: Mapping[str, str]  # further files of the user's, by option
    device: str
    golden_dir: str | None
    checkpoint_every: int  # epochs
    evaluate: bool
    preset: str | None = None  # the size of the one model that is trained


def start_folder(folder: Path, options: RunOptions) -> None:
    """Write the options of a run into a locked folder, so that they can be followed from anywhere."""
    places = {"data": options.data, "golden_dir": options.golden_dir}
    absolute = {name: path and str(Path(path).resolve()) for name, path in places.items()}
    companions = {name: str(Path(path).resolve()) for name, path in options.companions.items()}
    write_json(folder / _FILE, run=asdict(options) | absolute | {"companions": companions})


def need_new_folder(folder: Path) -> None:
    """Raise `UsageError` where a folder is not empty: a lock that was left behind does not count."""
    if (folder / _FILE).exists():
        raise UsageError(
            f"--out {folder}: it holds another run; goldmark run --resume {folder} goes on with that one, "
            "or name a new folder"
        )
    if folder.exists() and any(path.name != _LOCK for path in folder.iterdir()):
        raise UsageError(f"--out {folder}: it holds other files; name a new folder")


def read_options(folder: Path) -> RunOptions:
    """Return the options of a folder's run; raise `UsageError` where there is no folder, no run, or a damaged one."""
    if not folder.is_dir():
        raise UsageError(f"--resume {folder}: there is no such folder; start a run in it with --out {folder}")
    try:
        stored = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        options = stored["run"]
        return RunOptions(**options | {"cases": tuple(options["cases"])})
    except FileNotFoundError:
        raise UsageError(
            f"--resume {folder}: it holds no run, for there is no '{_FILE}'; start one with --out and a new folder"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"--resume {folder}: '{_FILE}' is damaged ({error}); start the run anew with --out and a new folder"
        ) from None
