"""What a run was made of, as its process saw it, and what of that has changed since.

`Run.ingredients` holds, by kind, {name: what it was}. Files and folders are named relative to the root of the project,
and those outside of it in full:

function: the file of the function that made it -> nothing
never: why it cannot be used again -> nothing
machine: python, cpu, gpu
environment: a variable -> the hash of its value, for it may be a secret, or "" where it is not set
versions: a distribution that was imported -> its version
path: "before" and "after" -> the folders that its own code put on `sys.path`, around those of everybody, as JSON
modules: a module that was looked for -> its file in the project, "folder" of a package without a file, or "" for none
installed: "modules" -> the names of all others that were imported, as JSON
sources: a file of code that was imported -> the hash of the code
files: a file that was opened -> the hash of its bytes
missing: a file or folder that was looked for in vain -> nothing, or "link" where one leads to it
present: what was looked at, and not opened -> file, folder or other
sizes: a file whose size was looked at -> the size in bytes
links: a link that was looked at -> where it leads
folders: a folder that was listed -> the names in it, as JSON
made: a file that was looked for in vain, and then written -> the hash of its bytes; without it the run is the same
written: what the run itself wrote -> nothing
data: a file or folder that the experiment names -> its hash
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib import metadata
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from goldmark.case import Run
from goldmark.fingerprint import bytes_hash_of, distributions, fingerprint, hash_of, normalized, sha256
from goldmark.fingerprint._imports import INSTALLED, is_source, own_distribution
from goldmark.runs._slots import is_store

Ingredients = Mapping[str, Mapping[str, str]]
SearchPath = tuple[str, ...]  # folders in which modules are looked for

# Names in a folder that come and go without any meaning for what reads it.
CLUTTER = {"__pycache__", ".git", ".goldmark", ".coverage", ".DS_Store", ".venv", ".nox", ".tox", ".hypothesis"} | {
    f".{tool}_cache" for tool in ("pytest", "mypy", "ruff")
}
_EDITABLE = {"_EditableFinder", "RedirectingFinder"}  # finders of modules that are installed without being copied


def changed(run: Run, root: Path) -> str | None:
    """Return which ingredient of a run has changed, as in "model.py changed"; None where none has."""
    if not set(run.ingredients) - {"function"}:
        return "nobody saw what it was made of"
    return next((why for changes in _CHANGES for why in changes(run.ingredients, root)), None)


def named_files(ingredients: Ingredients) -> dict[str, str]:
    """Return {path: hash} of the code and the data of a run; code of a copy that is installed has its import path."""
    kinds = (ingredients.get(kind, {}) for kind in ("sources", "files", "data"))
    return {_below_installation(name): known for names in kinds for name, known in names.items()}


def _below_installation(name: str) -> str:
    """Return a path below the folder of an installation that it is in, the same on every machine, or as it is."""
    parts = Path(name).parts
    places = [place for place, part in enumerate(parts) if part in INSTALLED]
    return Path(*parts[places[-1] + 1 :]).as_posix() if places else name


def maker(place: str, root: Path) -> str:
    """Return the name of the file of a function that makes runs, by whichever links it is reached."""
    return name_of(Path(place).resolve(), root.resolve()) if place else ""


def maker_of(run: Run) -> str:
    """Return the name of the file of the function that made a run, "" where nobody noted it."""
    return next(iter(run.ingredients.get("function", {})), "")


@cache
def machine() -> Mapping[str, str]:
    """Return the parts of this machine and its Python that can change numbers; GPUs as the kernel's driver has them."""
    known = fingerprint()
    return {"python": known["python"], "cpu": known["cpu"], "gpu": _gpus()}


def value_hash(variable: str) -> str:
    """Return the hash of the value of a variable of the environment, "" where it is not set."""
    value = os.environ.get(variable)
    return "" if value is None else sha256(value.encode(errors="surrogateescape"))


def versions_of(modules: Iterable[str], root: Path) -> dict[str, str]:
    """Return {distribution: version} of top-level modules, without the project's own: its code is looked at itself."""
    names = {normalized(name) for module in modules for name in distributions().get(module, ())}
    return {name: version_of(name) for name in sorted(names - {own_distribution(root)})}


def names_in(folder: Path) -> list[str]:
    """Return the sorted names in a folder, without those of tools; none where it is no folder."""
    try:
        return sorted(name for name in os.listdir(folder) if name not in CLUTTER)  # noqa: PTH208 - names alone, fast
    except OSError:
        return []


def data_hash(path: Path) -> str:
    """Return the hash of a file's bytes, or of all files in a folder; "" where there is nothing."""
    if not path.is_dir():
        return bytes_hash_of(path) if path.exists() else ""
    digest = hashlib.sha256()
    for folder, folders, files in os.walk(path, followlinks=True):
        if is_store(folder):
            folders.clear()
            continue
        folders[:] = sorted(set(folders) - CLUTTER)
        for name in sorted(set(files) - CLUTTER):
            file = Path(folder, name)
            content = bytes_hash_of(file) if file.exists() else "a link to nothing"
            digest.update(f"{file.relative_to(path).as_posix()}\0{content}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


def module_place(name: str, root: Path, before: SearchPath, after: SearchPath) -> str:
    """Return where a module would be found: its file in the project, "installed", "folder", or "" for nowhere.

    It is found without importing anything, on this process's `sys.path` with folders before and after it.
    """
    return found_place(name, root, before, tuple(sys.path), after)


def place_of(name: str, spec: ModuleSpec | None, root: Path) -> str:
    """Return the place of a module whose specification is there already, in the same words."""
    if spec is None:
        return ""
    if not spec.has_location or spec.origin is None:
        return "folder" if spec.submodule_search_locations is not None else "installed"
    file = Path(os.path.abspath(spec.origin))  # noqa: PTH100 - links stay as they are
    return name_of(file, root) if is_source(name, file, root) else "installed"


def kind_of(state: os.stat_result) -> str:
    """Return what kind of thing a state is of: file, folder or other."""
    return "folder" if stat.S_ISDIR(state.st_mode) else "file" if stat.S_ISREG(state.st_mode) else "other"


def name_of(file: Path, root: Path) -> str:
    """Return a path relative to the root of the project, or in full where it lies elsewhere."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)


def _never(made_of: Ingredients, root: Path) -> Iterator[str]:
    yield from made_of.get("never", {})


def _machine(made_of: Ingredients, root: Path) -> Iterator[str]:
    now = machine()
    for name, then in made_of.get("machine", {}).items():
        if now[name] != then:
            yield f"{name} {then or 'none'} -> {now[name] or 'none'}"


def _environment(made_of: Ingredients, root: Path) -> Iterator[str]:
    for variable, then in made_of.get("environment", {}).items():
        if value_hash(variable) != then:
            yield f"{variable} changed"


def _versions(made_of: Ingredients, root: Path) -> Iterator[str]:
    for name, then in made_of.get("versions", {}).items():
        if version_of(name) != then:
            yield f"{name} {then} -> {version_of(name)}"


def _modules(made_of: Ingredients, root: Path) -> Iterator[str]:
    before, after = (tuple(json.loads(made_of.get("path", {}).get(place, "[]"))) for place in ("before", "after"))
    installed = json.loads(made_of.get("installed", {}).get("modules", "[]"))
    for name, then in {**made_of.get("modules", {}), **dict.fromkeys(installed, "installed")}.items():
        now = module_place(name, root, before, after)
        if now != then:
            yield f"module {name} is {'there now' if not then else 'another file now' if now else 'gone'}"


def _hashed(kind: str, hashed: Callable[[Path], str]) -> Callable[[Ingredients, Path], Iterator[str]]:
    def changes(made_of: Ingredients, root: Path) -> Iterator[str]:
        for name, then in made_of.get(kind, {}).items():
            path = root / name
            if not path.exists():
                if kind != "made":
                    yield f"{name} is gone"
            elif path.is_dir() or hashed(path) != then:
                yield f"{name} changed"

    return changes


def _looked_for(made_of: Ingredients, root: Path) -> Iterator[str]:
    for name, then in made_of.get("missing", {}).items():
        path = root / name
        if path.exists() or os.path.lexists(path) != (then == "link"):
            yield f"{name} is {'there now' if os.path.lexists(path) else 'gone'}"
    written = made_of.get("written", {})
    for kind, look in _LOOKS.items():
        for name, then in made_of.get(kind, {}).items():
            if name in written:
                continue
            now = _seen_by(look, root / name)
            if now != then:
                yield f"{name} {'is gone' if now is None else 'changed'}"


def _seen_by(look: Callable[[Path], str], path: Path) -> str | None:
    try:
        return look(path)
    except OSError:
        return None


def _folders(made_of: Ingredients, root: Path) -> Iterator[str]:
    written = made_of.get("written", {})
    for name, then in made_of.get("folders", {}).items():
        now, before = (
            [entry for entry in names if (Path(name) / entry).as_posix() not in written]
            for names in (names_in(root / name), json.loads(then))
        )
        if now != before:
            yield f"folder {name} has other files"


def _data(made_of: Ingredients, root: Path) -> Iterator[str]:
    for name, then in made_of.get("data", {}).items():
        now = data_hash(root / name)
        if now != then:
            yield f"{name} {'changed' if now else 'is gone'}"


_LOOKS: Mapping[str, Callable[[Path], str]] = {
    "present": lambda path: kind_of(path.stat()),
    "sizes": lambda path: str(path.stat().st_size),
    "links": os.readlink,
}
_CHANGES = (  # what is asked fast comes first
    *(_never, _machine, _environment, _versions, _hashed("sources", hash_of), _hashed("files", bytes_hash_of)),
    *(_hashed("made", bytes_hash_of), _looked_for, _folders, _modules, _data),
)


def _gpus() -> str:
    """Return the models of NVIDIA's GPUs and their driver, asked of the kernel: no library has to be loaded."""
    driver = Path("/proc/driver/nvidia")
    try:
        version = (driver / "version").read_text().splitlines()[0]
        files = sorted((driver / "gpus").glob("*/information"))
        lines = [line for file in files for line in file.read_text().splitlines() if line.startswith("Model")]
    except OSError:
        return ""
    return "; ".join(" ".join(line.split()) for line in [*lines, version])


@cache
def version_of(name: str) -> str:
    """Return the whole version of a distribution: builds of one release for several devices differ in numbers."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


@cache
def found_place(name: str, root: Path, before: SearchPath, path: SearchPath, after: SearchPath) -> str:
    """Return the place of a module, looked up once."""
    return place_of(name, specification_of(name, before, path, after), root)


@cache
def specification_of(name: str, before: SearchPath, path: SearchPath, after: SearchPath) -> ModuleSpec | None:
    """Return what the import system would find of a module on a path, looked up once; None where there is none."""
    parent, _, own = name.rpartition(".")
    folders = [*before, *path, *after]
    if parent:
        around = specification_of(parent, before, path, after)
        folders = list(around.submodule_search_locations or ()) if around is not None else []
    # By its own name alone: of a package without `__init__.py` Python asks for its parent, which was not imported.
    spec = PathFinder.find_spec(own, folders) if folders else None
    if spec is not None:
        if spec.submodule_search_locations is not None:  # as they are now; else they follow the path
            spec.submodule_search_locations = list(spec.submodule_search_locations)
        return spec
    editable = (finder for finder in sys.meta_path if getattr(finder, "__name__", type(finder).__name__) in _EDITABLE)
    return next((spec for finder in editable if (spec := finder.find_spec(name, None)) is not None), None)
