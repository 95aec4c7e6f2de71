"""Which files of code can change the numbers of a case."""

from __future__ import annotations

import inspect
from functools import cache
from pathlib import Path
from typing import Literal

import goldmark
from goldmark.case import Case
from goldmark.fingerprint import source_hashes

Engine = Literal["single", "stacked"]
_PACKAGE = Path(goldmark.__file__).parent
_SHARED = (
    "case.py",
    *(f"training/{name}.py" for name in ("batchnorm", "cells", "draws", "prepare", "recurrent", "schedule")),
)
_ENGINES = {
    "single": ("training/single.py",),
    "stacked": ("training/stacked.py", "training/adamw.py", "training/graph.py"),
}


def sources_of(case: Case, engine: Engine) -> dict[str, str]:
    """Return {path: sha256} of the engine, the checks and the files that define the case."""
    return _sources(Path(inspect.getsourcefile(case.make_model) or ""), engine)


@cache
def _sources(defined_in: Path, engine: Engine) -> dict[str, str]:
    paths = [_PACKAGE / name for name in (*_SHARED, *_ENGINES[engine])] + list((_PACKAGE / "checks").glob("*.py"))
    if not defined_in.is_relative_to(_PACKAGE):
        return source_hashes(paths, _PACKAGE.parent) | source_hashes([defined_in], defined_in.parent)
    folder = defined_in.parent
    own = [defined_in] if folder == _PACKAGE / "cases" else list(folder.glob("*.py"))
    return source_hashes(paths + own, _PACKAGE.parent)
