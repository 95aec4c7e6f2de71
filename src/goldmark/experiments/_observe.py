"""What a process looks at while it trains: modules, files, folders and programs, noted before it sees them.

Every process of a worker appends to one file: those that it forks inherit the hooks, and those that it spawns install
them as they start. A line is a JSON list of kind, name and what there is to say of it.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import linecache
import os
import platform
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, cast
from urllib.parse import unquote

from goldmark.fingerprint._code import code_hash
from goldmark.fingerprint._imports import INSTALLED, is_inside, is_source
from goldmark.runs import is_store
from goldmark.runs._ingredients import CLUTTER, kind_of, name_of, names_in

State = list[int]  # of a file: changed, changed or moved, size, number
_ORIGINALS = {name: getattr(os, name) for name in ("stat", "lstat", "access", "readlink")}
_TRUNCATES = os.O_TRUNC | os.O_EXCL  # nothing of what was there can be read
# Who lists folders to find modules and distributions, shows lines of code, or asks what machine this is.
_IMPORTERS = {"<frozen importlib._bootstrap_external>", importlib.metadata.__file__}
_QUOTERS = {linecache.__file__}
# Functions of Python's own that ask of a file whether it is there, and nothing else.
_FINDERS = {"exists", "lexists", "isfile", "isdir", "islink", "is_file", "is_dir", "is_symlink", "_joinrealpath"}
# Folders outside of the project that hold no data of it: of the system, and of this Python.
_OF_SYSTEM = ("/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr", "/Library", "/System")
_OF_PYTHON = (sys.prefix, sys.base_prefix, str(Path(os.__file__).parent))
# Functions of libraries that open a file where Python does not see it: by module, which argument, to write or not.
_NATIVE = {
    "safetensors": {"safe_open": (0, "filename", False), "serialize_file": (1, "filename", True)},
    "torch.serialization": {"save": (1, "f", True)},
}
_ASKERS = {platform.__file__, str(Path(platform.__file__).parent / "ctypes" / "util.py")}
# They tell of the machine and read no data: `numpy.testing` starts one as it is imported, joblib to count cores.
_OF_MACHINE = {"lscpu", "sysctl"}


def state_of(path: str | Path) -> State | None:
    """Return what tells two states of a file apart without reading it; None where there is none."""
    try:
        state = _ORIGINALS["stat"](path)
    except (OSError, ValueError):
        return None
    return [state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino]


class Observer:
    """The hooks of one process: once installed, they stay."""

    def __init__(self, root: Path, notes: Path) -> None:
        """Open the file of notes; `root` is the project, and files beside the notes are none of its."""
        self._root, self._scratch = root, str(notes.parent)
        self._no_data = (*_OF_SYSTEM, *_OF_PYTHON, *{tempfile.gettempdir(), os.path.realpath(tempfile.gettempdir())})
        self._roots = tuple(dict.fromkeys((str(root), os.path.realpath(root))))
        self._file = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._noted: set[tuple[str, str]] = set()
        self._sources: dict[tuple[str, str], bool] = {}
        self._folders: dict[str, str] = {}  # outside of the project -> where they lead to
        self._stores: dict[str, bool] = {}  # folder -> whether it is, or lies in, a run store
        self._paused = threading.local()
        self._looks: dict[str, Callable[..., None]] = {
            "open": self._opened,
            "os.listdir": self._listed,
            "os.scandir": self._listed,
            "os.mkdir": lambda path, *_: self._made(path),
            "os.rename": lambda _, path, *__: self._wrote(path),
            "os.symlink": lambda _, path, *__: self._wrote(path),
            "os.link": lambda _, path, *__: self._wrote(path),
            "sqlite3.connect": lambda path, *_: self._read(_of_address(path)),
            "ctypes.dlopen": self._loaded_library,
            "subprocess.Popen": lambda program, arguments, *_: self._started(program or arguments),
            **dict.fromkeys(
                ("os.posix_spawn", "os.exec", "os.system", "os.spawn"), lambda *what: self._started(what[0])
            ),
        }

    def install(self) -> None:
        """See whatever this process does from now on."""
        _note_code_that_is_loaded(self)
        for name in _ORIGINALS:
            _note_what_is_looked_at(name, self)
        sys.meta_path.insert(0, cast("Any", self))
        sys.addaudithook(self._hook)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """See nothing of what this thread does: it is ours."""
        was, self._paused.on = getattr(self._paused, "on", False), True
        try:
            yield
        finally:
            self._paused.on = was

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return what the other finders find, and note it before its loader reads it."""
        finders = [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
        spec = next((s for finder in finders if (s := finder.find_spec(name, path, target)) is not None), None)
        origin = spec.origin if spec is not None and spec.has_location else None
        if name in _NATIVE and spec is not None:
            _note_what_it_opens(spec, self)
        if spec is None or origin is None or not self.is_source(name, origin):
            self.note("module", name, "" if spec is None else "installed")
            return spec
        self.note("module", name, "own")
        if not isinstance(spec.loader, SourceFileLoader):  # whose code is noted as it is loaded
            self._read(origin, name_of(Path(origin), self._root))
        return spec

    def note(self, kind: str, name: str, value: Any = None) -> None:
        """Append a line, unless this process has written it."""
        if (kind, name) not in self._noted:
            self._noted.add((kind, name))
            os.write(self._file, json.dumps([kind, name, value]).encode() + b"\n")

    def loaded(self, path: str, content: bytes) -> None:
        """Note code of the project that is loaded."""
        self.note("source", name_of(Path(os.path.abspath(path)), self._root), code_hash(content))  # noqa: PTH100

    def opened(self, path: Any, *, written: bool) -> None:
        """Note a file that is opened where Python does not see it."""
        with self.paused():
            (self._wrote if written else self._read)(path)

    def looked_at(self, path: Any, state: os.stat_result | str | None) -> None:
        """Note of a file or folder what was seen of it: its state, where a link leads, or None for nothing there."""
        if getattr(self._paused, "on", False) or (name := self._below(path)) is None:
            return
        if state is None:
            self.note("read", name)
        elif isinstance(state, str):
            self.note("links", name, state)
        elif stat.S_ISLNK(state.st_mode):
            self.note("links", name, os.fsdecode(_ORIGINALS["readlink"](path)))
        else:
            self.note("present", name, kind_of(state))
            if stat.S_ISREG(state.st_mode) and not _only_finds():
                self.note("sizes", name, str(state.st_size))

    def is_source(self, name: str, origin: str) -> bool:
        """Tell whether a module's file is code that is worked on."""
        place = name.partition(".")[0], origin.rpartition(os.sep)[0]  # modules of one folder are of one kind
        if place not in self._sources:
            self._sources[place] = is_source(name, Path(origin), self._root)
        return self._sources[place]

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        look = self._looks.get(event)
        if look is not None and not getattr(self._paused, "on", False):
            with self.paused():
                look(*arguments)

    def _opened(self, path: Any, mode: str | None, flags: int) -> None:
        if str(path).endswith(".py") and _called_by(_QUOTERS, 2):
            return
        writes = flags & (os.O_WRONLY | os.O_RDWR)
        if not flags & os.O_WRONLY and not flags & _TRUNCATES:
            self._read(path)
        if writes:
            self._wrote(path)

    def _read(self, path: Any, name: str | None = None) -> None:
        name = self._named(path) if name is None else name
        if name is None or ("read", name) in self._noted:
            return
        if (self._root / name).is_dir():  # opened so that its names are written to the disk, say
            self.note("present", name, "folder")
        else:
            self.note("read", name, state_of(self._root / name))

    def _loaded_library(self, path: Any, *_: Any) -> None:
        if (name := self._below(path)) is not None:
            self._read(path, name)

    def _wrote(self, path: Any) -> None:
        if (name := self._named(path)) is not None:
            self.note("write", name)

    def _made(self, path: Any) -> None:
        """Note a folder: what will be in one that was not there is written, even by code that nobody sees."""
        if (name := self._below(path)) is not None:
            self.note("made" if state_of(self._root / name) is None else "write", name)

    def _listed(self, path: Any) -> None:
        if isinstance(path, int):
            path = os.path.realpath(f"/proc/self/fd/{path}")
        name = self._named("." if path is None else path)
        if name is not None and not self._in_store(name) and not _called_by(_IMPORTERS, 1):
            self.note("list", name, names_in(self._root / name))

    def _started(self, program: Any) -> None:
        first = program[0] if isinstance(program, list | tuple) and program else program
        name = os.fsdecode(first) if isinstance(first, str | bytes | os.PathLike) else repr(first)
        if name not in _OF_MACHINE and not _called_by(_ASKERS, 1):
            self.note("program", name)

    def _named(self, path: Any) -> str | None:
        """Return the name of a path that may hold data: below the root, or elsewhere in full."""
        full = _full(path)
        return None if full is None else self._below(full) or self._elsewhere(full)

    def _elsewhere(self, full: str) -> str | None:
        """Return a path outside of the project, unless it is one of the system, of an installation, or a hidden one.

        Tools keep caches and settings in folders whose names begin with a point, and others in that of temporary files.
        """
        parts = Path(full).parts
        hidden = any(part.startswith(".") for part in parts) or INSTALLED & set(parts)
        if hidden or any(_is_below(full, place) for place in (*self._roots, *self._no_data, self._scratch)):
            return None
        return full

    def _below(self, path: Any) -> str | None:
        """Return the name of a path below the root of the project; None for another one, and for one of tools."""
        full = _full(path)
        if full is None:
            return None
        inside = self._relative(full)
        if inside is None:  # a link may lead into it
            folder, name = os.path.split(full)
            if folder not in self._folders:
                with self.paused():
                    self._folders[folder] = os.path.realpath(folder)
            inside = self._relative(os.path.join(self._folders[folder], name))  # noqa: PTH118 - of texts
        if inside is None or CLUTTER & set(Path(inside).parts) or full.startswith(self._scratch):
            return None
        if self._in_store(inside.rpartition("/")[0]):
            return None
        return inside if is_inside(self._root / inside, self._root) else None

    def _in_store(self, folder: str) -> bool:
        """Tell whether a folder below the root is a run store or lies in one, whatever its name is."""
        if folder and folder not in self._stores:
            with self.paused():
                self._stores[folder] = is_store(self._root / folder) or self._in_store(folder.rpartition("/")[0])
        return bool(folder) and self._stores[folder]

    def _relative(self, full: str) -> str | None:
        for root in self._roots:
            if full == root:
                return "."
            if full.startswith(f"{root}{os.sep}"):
                return Path(full[len(root) + 1 :]).as_posix()
        return None


def _full(path: Any) -> str | None:
    """Return a path in full, links as they are; None for what is none, as a number of an open file."""
    if not isinstance(path, str | bytes | os.PathLike) or not os.fspath(path):
        return None
    return os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - links stay


def _is_below(full: str, place: str) -> bool:
    return full == place or full.startswith(f"{place.rstrip(os.sep)}{os.sep}")


def _of_address(path: Any) -> Any:
    """Return the path of a database, which may be given as a URI."""
    text = os.fsdecode(path) if isinstance(path, str | bytes) else ""
    return unquote(text[5:].partition("?")[0]) if text.startswith("file:") else path


def _called_by(files: set[str], within: int) -> bool:
    """Tell whether what is noted was done by a function of some files, one of the innermost few of Python's own."""
    frame = sys._getframe(3)  # noqa: SLF001 - the only way; this function, the look and the hook stand above
    while frame is not None and within:
        file = frame.f_code.co_filename
        if file in files:
            return True
        within -= file not in {__file__, subprocess.__file__}
        frame = frame.f_back  # type: ignore[assignment]
    return False


def _only_finds() -> bool:
    """Tell whether a function of Python's asks that only tells whether a file is there; it asks by itself or a path."""
    asks = sys._getframe(3)  # noqa: SLF001 - the only way; this function and two of ours stand above
    return any(
        frame is not None
        and frame.f_code.co_name in _FINDERS
        and frame.f_code.co_filename.startswith(("<frozen", _OF_PYTHON[-1]))
        for frame in (asks, asks.f_back)
    )


def _note_code_that_is_loaded(observer: Observer) -> None:
    """Note the very bytes of the project's code, and load it from them: a cache may be older than it seems."""
    read, states = SourceFileLoader.get_data, SourceFileLoader.path_stats

    @functools.wraps(read)
    def get_data(self: SourceFileLoader, path: str) -> bytes:
        if not (path.endswith(".py") and observer.is_source(self.name, path)):
            return read(self, path)
        with observer.paused():
            content = read(self, path)
        observer.loaded(path, content)
        return content

    @functools.wraps(states)
    def path_stats(self: SourceFileLoader, path: str) -> Any:
        if observer.is_source(self.name, path):
            raise OSError(f"{path} is compiled anew")
        return states(self, path)

    setattr(SourceFileLoader, "get_data", get_data)  # noqa: B010 - a method of a class of Python's
    setattr(SourceFileLoader, "path_stats", path_stats)  # noqa: B010


def _note_what_is_looked_at(name: str, observer: Observer) -> None:
    """Note what `os.stat` and the like are asked about: Python has no audit event for it."""
    original = _ORIGINALS[name]

    @functools.wraps(original)
    def look(path: Any, *arguments: Any, **options: Any) -> Any:
        if options.get("dir_fd") is not None:  # nobody can tell which path it is
            return original(path, *arguments, **options)
        try:
            answer = original(path, *arguments, **options)
        except (FileNotFoundError, NotADirectoryError):
            observer.looked_at(path, None)
            raise
        observer.looked_at(path, _seen(path) if name == "access" else answer)
        return answer

    for able in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
        if original in able:
            able.add(look)
    setattr(os, name, look)


def _seen(path: Any) -> os.stat_result | None:
    try:
        return cast("os.stat_result", _ORIGINALS["stat"](path))
    except (OSError, ValueError):
        return None


def _note_what_it_opens(spec: ModuleSpec, observer: Observer) -> None:
    """Note the files that some functions of a module open in C++ or Rust."""
    loader: Any = spec.loader
    execute = loader.exec_module

    def exec_module(module: Any) -> None:
        execute(module)
        for function, opened in _NATIVE[spec.name].items():
            setattr(module, function, _noted(getattr(module, function), opened, observer))

    loader.exec_module = exec_module


def _noted(original: Any, opened: tuple[int, str, bool], observer: Observer) -> Any:
    place, argument, written = opened

    @functools.wraps(original, updated=())
    def opens(*arguments: Any, **options: Any) -> Any:
        observer.opened(arguments[place] if len(arguments) > place else options.get(argument), written=written)
        return original(*arguments, **options)

    return opens
