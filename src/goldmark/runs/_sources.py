"""Which files of code can change the numbers of a case."""

from __future__ import annotations

import inspect
from functools import cache
from pathlib import Path
from typing import Any

import goldmark
from goldmark.case import ModelCase
from goldmark.fingerprint import source_hashes
from goldmark.runs._jobs import Engine

_PACKAGE = Path(goldmark.__file__).parent
_SHARED = (
    "case/_case.py",
    "case/_model_case.py",
    "case/_run.py",
    *(f"training/{name}.py" for name in ("_checkpoint", "_log", "_log_rows", "_prepare", "_schedule")),
    "training/checkpoint_file.py",
    *(f"training/{name}.py" for name in ("batchnorm", "cells", "draws", "recurrent")),
)
_ENGINES = {
    "single": ("training/_single.py",),
    "stacked": ("training/_stacked.py", "training/_adamw.py", "training/_graph.py"),
}
# A variant's settings are part of its run by value, and claims are judged anew each time: neither trains it again.
_DECLARATIONS = ("experiments.py", "full.py")


def sources_of(case: ModelCase[Any], engine: Engine) -> dict[str, str]:
    """Return {path: sha256} of the engine, the checks and the files that say how the case behaves."""
    return _sources(_defined_in(case), engine)


def files_of(case: ModelCase[Any]) -> list[Path]:
    """Return the files that say how a case behaves: those of its folder in the catalogue, or the one of its class."""
    return _files(_defined_in(case))


def _defined_in(case: ModelCase[Any]) -> Path:
    return Path(inspect.getsourcefile(type(case)) or "")


def _files(defined_in: Path) -> list[Path]:
    if not defined_in.is_relative_to(_PACKAGE):
        return [defined_in]
    return sorted(path for path in defined_in.parent.glob("*.py") if path.name not in _DECLARATIONS)


@cache
def _sources(defined_in: Path, engine: Engine) -> dict[str, str]:
    paths = [_PACKAGE / name for name in (*_SHARED, *_ENGINES[engine])] + list((_PACKAGE / "checks").glob("*.py"))
    root = _PACKAGE.parent if defined_in.is_relative_to(_PACKAGE) else defined_in.parent
    return source_hashes(paths, _PACKAGE.parent) | source_hashes(_files(defined_in), root)
