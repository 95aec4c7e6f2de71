"""The code that can change a test's numbers, as hashes: the test, its conftest files, and what it has imported."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType

from goldmark.case import UsageError
from goldmark.fingerprint import sha256

Source = str | Path | ModuleType


def sources_of_test(test_file: Path, root: Path, named: Iterable[Source] | None = None) -> dict[str, str]:
    """Return {path relative to root: sha256} of the code behind a test.

    That is the test file, every conftest.py from its folder up to the root, and the named files, folders and modules.
    Where none are named: every imported module of the project, which is what lies under the root and outside
    `site-packages`, other tests left out.
    """
    files = {test_file, *_conftests(test_file, root)}
    files |= _imported(root) if named is None else {file for source in named for file in _files_of(source, root)}
    return {_relative(file, root): hash_of(file) for file in sorted(files) if file.is_file()}


def hash_of(file: Path) -> str:
    """Return the sha256 of a file, read again only after it has changed."""
    state = file.stat()
    return _hash_of(file, state.st_mtime_ns, state.st_size)


@cache
def _hash_of(file: Path, changed_ns: int, size: int) -> str:  # the state is a part of the key
    return sha256(file.read_bytes())


@cache
def _conftests(test_file: Path, root: Path) -> frozenset[Path]:
    inside = [folder for folder in test_file.parents if folder == root or root in folder.parents]
    return frozenset(folder / "conftest.py" for folder in inside)


def _imported(root: Path) -> set[Path]:
    # the attribute is read without getattr, which would make lazy modules import what they stand for
    names = [vars(module).get("__file__") for module in list(sys.modules.values()) if isinstance(module, ModuleType)]
    start = f"{root}/"
    inside = (Path(name) for name in names if isinstance(name, str) and Path(name).as_posix().startswith(start))
    return {path for path in inside if path.suffix == ".py" and not _foreign(path)}


def _foreign(path: Path) -> bool:
    is_test = path.name.startswith("test_") or path.name.endswith("_test.py") or path.name == "conftest.py"
    return is_test or "site-packages" in path.parts


def _files_of(source: Source, root: Path) -> list[Path]:
    path = Path(source.__file__ or "") if isinstance(source, ModuleType) else root / source
    if isinstance(source, ModuleType) and path.name == "__init__.py":
        path = path.parent
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise UsageError(f"sources names {source!r}, where no Python file is; name a file, a folder or a module")
    return files


def _relative(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.as_posix()
