"""The files that can change a test's numbers, as hashes: its code, what that imports of the project, and named data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType

from goldmark.case import UsageError
from goldmark.fingerprint import hash_of, imported_versions
from goldmark.fingerprint._imports import own_distribution, reached

Source = str | Path | ModuleType


def sources_of_test(
    test_file: Path, root: Path, named: Mapping[Path, str] | None = None, data: Iterable[Path] = ()
) -> dict[str, str]:
    """Return {path: sha256} of the code and the data behind a test.

    That is the test file, every conftest.py from its folder up to the root, the named data, and the named sources, or
    where none are named, every module of the project that the test's files reach by import. Modules have their import
    path, all other files a path relative to the root.
    """
    own = [file for file in (test_file, *_conftests(test_file, root)) if file.is_file()]
    code = reached(own, root) if named is None else named
    paths = {**code, **{file: _relative(file, root) for file in (*own, *data)}}
    return {path: hash_of(file) for file, path in sorted(paths.items()) if file.is_file()}


def versions_of_test(root: Path, recorded: Iterable[str] = ()) -> dict[str, str]:
    """Return the versions of all imported distributions but the project's own, whose code is looked at itself."""
    own = own_distribution(root)
    versions = imported_versions({"goldmark", *recorded})
    return {name: version for name, version in versions.items() if name != own}


def data_files(name: str | Path, root: Path) -> tuple[Path, list[Path]]:
    """Return the path of a file or folder of data, given relative to the root, and all the files in it.

    Raise `UsageError` where there are none.
    """
    path = root / name
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise UsageError(f"data names '{name}', and there is no file at {path}; give a path, absolute or from {root}")
    return path, files


@cache
def _conftests(test_file: Path, root: Path) -> tuple[Path, ...]:
    inside = [folder for folder in test_file.parents if folder == root or root in folder.parents]
    return tuple(folder / "conftest.py" for folder in inside)


def named_sources(sources: Iterable[Source], root: Path) -> dict[Path, str]:
    """Return {file: path to show} of the files, folders and modules that a test names; raise `UsageError` for none."""
    return {file: path for source in sources for file, path in _paths_of(source, root).items()}


def _paths_of(source: Source, root: Path) -> dict[Path, str]:
    path = Path(source.__file__ or "") if isinstance(source, ModuleType) else root / source
    if isinstance(source, ModuleType) and path.name == "__init__.py":
        path = path.parent
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise UsageError(f"sources names {source!r}, where no Python file is; name a file, a folder or a module")
    if not isinstance(source, ModuleType):
        return {file: _relative(file, root) for file in files}
    package = (
        source.__name__.replace(".", "/") if path.is_dir() else source.__name__.rpartition(".")[0].replace(".", "/")
    )
    inside = path if path.is_dir() else path.parent
    return {file: "/".join(filter(None, [package, file.relative_to(inside).as_posix()])) for file in files}


def _relative(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.as_posix()
