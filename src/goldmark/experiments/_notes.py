"""The notes of a worker's processes, and the ingredients of a run that follow from them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from goldmark.experiments._observe import State, state_of
from goldmark.fingerprint import bytes_hash_of, hash_of
from goldmark.fingerprint._imports import is_source
from goldmark.runs import _ingredients as ingredients

Kinds = dict[str, dict[str, str]]


class Notes:
    """What a worker has looked at since it started, and what it was told: the seeds of one worker share it.

    Something that an earlier seed read may be remembered by the code that read it, so that it counts for later ones.
    """

    def __init__(self, file: Path, root: Path, path: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start with the modules that are loaded already: their files, and those that they stand before."""
        self._file, self._root, self._path = file, root, list(path)
        self._environment = dict(environment)
        self._place = 0  # of the first line that was not read yet
        self._reads: dict[str, State | None] = {}  # what was there when it was opened or looked for
        self._written: set[str] = set()
        self._made: set[str] = set()  # folders that were not there before
        self._looked: Kinds = {"present": {}, "sizes": {}, "links": {}}
        self._sources: dict[str, str] = {}
        self._folders: dict[str, list[str]] = {}
        self._modules: dict[str, str] = {}
        self._never: dict[str, str] = {}
        self._programs: list[str] = []
        for name, origin in _loaded():
            if name.partition(".")[0] not in {"goldmark", "__main__"} and is_source(name, Path(origin), root):
                self._sources[ingredients.name_of(Path(origin), root)] = hash_of(Path(origin))

    def ingredients(self, data: Sequence[str], hashes: dict[str, str]) -> Kinds:
        """Return what runs are made of; `hashes` are those of the data before it trained."""
        self._take()
        for folder in filter(self._is_own, self._folders):
            self._written |= {(Path(folder) / name).as_posix() for name in ingredients.names_in(self._root / folder)}
        self._never |= {
            f"{name} changed while it trained": ""
            for name, then in hashes.items()
            if ingredients.data_hash(self._root / name) != then
        }
        if self._programs and not data:
            self._never[f"it starts {self._programs[0]}; name what that reads: data=[...]"] = ""
        files, made, missing = self._files()
        made_of = {
            "machine": dict(ingredients.machine()),
            "environment": self._environment,
            **self._modules_by_place(),
            "sources": dict(sorted(self._sources.items())),
            "files": files,
            "made": made,
            "missing": missing,
            **self._looked_at(),
            "folders": {name: json.dumps(self._not_written(name, names)) for name, names in self._folders.items()},
            "written": dict.fromkeys(sorted(self._written), ""),
            "data": hashes,
            "never": self._never,
        }
        return {kind: names for kind, names in made_of.items() if names}

    def imported(self) -> list[str]:
        """Return the top-level modules that the worker's processes have imported."""
        names = [*list(sys.modules), *(name for name, kind in self._modules.items() if kind)]
        return sorted({name.partition(".")[0] for name in names})

    def _take(self) -> None:
        """Read the lines that are new; their order says what was read after the worker had written it."""
        with self._file.open("rb") as file:
            file.seek(self._place)
            for line in file:
                if line.endswith(b"\n"):
                    self._place += len(line)
                    self._add(*json.loads(line))

    def _add(self, kind: str, name: str, value: Any) -> None:
        if kind in {"write", "made"} or self._is_output(kind, name, value):
            self._written.add(name)
            self._made |= {name} if kind == "made" else set()
        elif kind == "read" and name not in self._written:
            self._reads.setdefault(name, value)
        elif kind in self._looked:
            self._looked[kind].setdefault(name, value)
        elif kind == "source" and self._sources.setdefault(name, value) != value:
            self._never[f"{name} changed while it trained"] = ""
        elif kind == "list":
            self._folders.setdefault(name, value)
        elif kind == "module" and (value or name not in self._modules):
            self._modules[name] = value
        elif kind == "program":
            self._programs.append(name)

    def _files(self) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
        """Return the hashes of files that were read, of those looked for in vain and then written, and what is missing.

        What was written stands there the next time, where it would be read.
        """
        files: dict[str, str] = {}
        made: dict[str, str] = {}
        missing: dict[str, str] = {}
        for name, then in sorted(self._reads.items()):
            path = self._root / name
            now = state_of(path)
            is_made = then is None and (name in self._written or self._is_own(name))
            if now != then and not is_made:
                self._never[f"{name} changed while it trained"] = ""
            elif now is None and not is_made:
                missing[name] = "link" if os.path.lexists(path) else ""
            elif path.is_file():
                (made if is_made else files)[name] = bytes_hash_of(path)
        return files, made, missing

    def _is_output(self, kind: str, name: str, value: Any) -> bool:
        """Tell whether what was read or looked at can only have been written since, as libraries in C++ do unseen."""
        return (kind in self._looked or (kind == "read" and value is not None)) and self._is_own(name)

    def _is_own(self, name: str) -> bool:
        """Tell whether a name is that of a folder that was not there before, or lies in one."""
        return any(place.as_posix() in self._made for place in (Path(name), *Path(name).parents))

    def _looked_at(self) -> Kinds:
        """Return what was seen of files that were not read, without what is known better or was written."""
        known = {".", *self._written, *self._reads, *self._sources}
        return {
            kind: {name: values[name] for name in sorted(set(values) - (self._written if kind == "links" else known))}
            for kind, values in self._looked.items()
        }

    def _not_written(self, folder: str, names: list[str]) -> list[str]:
        return [name for name in names if (Path(folder) / name).as_posix() not in self._written]

    def _modules_by_place(self) -> Kinds:
        """Return the places of modules that can be found again without importing anything."""
        before, after = self._added_to_path()
        top = {name: "" for name in sys.modules if "." not in name and name not in sys.builtin_module_names}
        places: dict[str, str] = {}
        for name in sorted({**self._modules, **top}):
            now = self._place_now(name)
            if now is not None and now == ingredients.module_place(name, self._root, before, after):
                places[name] = now
        installed = [name for name, place in places.items() if place == "installed" and "." not in name]
        return {
            "path": {"before": json.dumps(before), "after": json.dumps(after)} if before or after else {},
            "modules": {name: place for name, place in places.items() if place != "installed"},
            "installed": {"modules": json.dumps(installed)},
        }

    def _place_now(self, name: str) -> str | None:
        """Return where a module was found; None where nobody can tell, or for what is missing in a library."""
        spec = getattr(sys.modules.get(name), "__spec__", None)
        if spec is not None:
            return ingredients.place_of(name, spec, self._root)
        if name in sys.modules or self._modules.get(name):  # made by code, or loaded by another process
            return None
        parent = name.rpartition(".")[0]
        return "" if not parent or self._modules.get(parent) == "own" else None

    def _added_to_path(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the folders that the user's code put on `sys.path`, before all that were there, and others."""
        first = next((place for place, entry in enumerate(sys.path) if entry in self._path), len(sys.path))
        others = [entry for entry in sys.path[first:] if entry not in self._path]
        before, after = ([str(self._root / entry) for entry in entries] for entries in (sys.path[:first], others))
        return tuple(before), tuple(after)


def _loaded() -> list[tuple[str, str]]:
    specs = {name: getattr(module, "__spec__", None) for name, module in list(sys.modules.items())}
    return [
        (name, spec.origin) for name, spec in specs.items() if spec is not None and spec.has_location and spec.origin
    ]
