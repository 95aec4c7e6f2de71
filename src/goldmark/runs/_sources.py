"""Which files of code can change the numbers of a case."""

from __future__ import annotations

import inspect
from functools import cache
from pathlib import Path
from typing import Any

from goldmark._session import project_around
from goldmark.case import ModelCase
from goldmark.fingerprint import hash_of
from goldmark.fingerprint._imports import own_distribution, reached
from goldmark.fingerprint._libraries import versions_behind
from goldmark.runs._jobs import Engine

_PACKAGE = Path(__file__).parents[1]
_ENGINES = {"single": _PACKAGE / "training" / "_single.py", "stacked": _PACKAGE / "training" / "_stacked.py"}
# A variant's settings are part of its run by value, and claims are judged anew each time: neither trains it again.
_DECLARATIONS = ("experiments.py", "full.py")
# What these two files write into a run is itself compared before it is read.
_BOOKKEEPING = {Path(__file__), Path(__file__).with_name("_since.py")}


def sources_of(case: ModelCase[Any], engine: Engine) -> dict[str, str]:
    """Return {path: hash} of what a run executes: the case's file, the engine, and all that they import.

    That is followed within this package, where only the file that defines what is imported counts, and within the
    project of a user's case; other distributions are known by their versions.
    """
    return _loaded(_defined_in(case), engine)[0]


def versions_of(case: ModelCase[Any], engine: Engine) -> dict[str, str]:
    """Return {distribution: version} of those that these files import, and that these require in turn."""
    return _loaded(_defined_in(case), engine)[1]


def is_of_catalogue(case: ModelCase[Any]) -> bool:
    """Return whether a case is one of this package, whose runs depend on their sources and settings alone."""
    return _defined_in(case).is_relative_to(_PACKAGE)


def files_of(case: ModelCase[Any]) -> list[Path]:
    """Return the files that say how a case behaves: those of its folder in the catalogue, or the one of its class."""
    if not is_of_catalogue(case):
        return [_defined_in(case)]
    folder = _defined_in(case).parent
    return sorted(path for path in folder.glob("*.py") if path.name not in _DECLARATIONS)


def _defined_in(case: ModelCase[Any]) -> Path:
    return Path(inspect.getsourcefile(type(case)) or "")


@cache  # what a process has loaded stays what it is, whatever becomes of the files
def _loaded(defined_in: Path, engine: Engine) -> tuple[dict[str, str], dict[str, str]]:
    """Return the hashes of the files behind a case, and the versions of the distributions."""
    code = _code(defined_in, engine)
    own = own_distribution(project_around(defined_in.parent))
    return {path: hash_of(file) for file, path in sorted(code.items())}, versions_behind(code, own)


def _code(defined_in: Path, engine: Engine) -> dict[Path, str]:
    start = [defined_in, _ENGINES[engine]]
    declarations = {defined_in.with_name(name) for name in _DECLARATIONS if defined_in.is_relative_to(_PACKAGE)}
    root = project_around(defined_in.parent)
    code = reached(start, root, by_member=_PACKAGE.name, but=_BOOKKEEPING | declarations)
    roots = (_PACKAGE.parent, root)
    return code | {file: next(_below(file, root) for root in roots if file.is_relative_to(root)) for file in start}


def _below(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix()
