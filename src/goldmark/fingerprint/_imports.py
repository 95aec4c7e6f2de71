"""Which modules of a project some files of code import, directly or through others: the code behind their numbers."""

from __future__ import annotations

import ast
import importlib.util
import sys
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import TypeGuard

from goldmark.fingerprint import normalized
from goldmark.fingerprint._code import children, parsed

INSTALLED = {"site-packages", "dist-packages"}
_STANDARD_LIBRARY = Path(ast.__file__).parent
_IMPORTERS = {"import_module", "__import__", "importorskip"}  # functions that import the module of a given name


def reached(
    files: Iterable[Path], root: Path, *, by_member: str | None = None, but: Collection[Path] = ()
) -> dict[Path, str]:
    """Return {file: import path} of a project's modules that files of code import, directly or through others.

    The project is what lies under its root and is not installed there, and the distribution that its `pyproject.toml`
    names, wherever that is installed; an import path, `package/module.py`, is the same in both places. Imports are read
    from the text, those inside functions too and those for type checkers not, so that the answer does not depend on
    what else the process has imported. A module that imports by names made at run time reaches its whole package, or,
    outside of a package, every loaded module of the project that is not a test.

    The package `by_member`, wherever it lies, is one whose `__init__` files change nothing by being imported: of what
    is imported from it only the file that defines it counts. Files in `but` are neither returned nor followed.
    """
    names = _names_of_loaded_files()
    paths: dict[Path, str] = {}
    visited: set[str] = set()
    own: dict[str, bool] = {}  # by top-level name: whether it can lead to modules of the project
    waiting = [(names.get(str(file), file.stem), file) for file in files]
    while waiting:
        importer, file = waiting.pop()
        for name in sorted(_names_imported(importer, file, root, by_member) - visited):
            visited.add(name)
            top = name.partition(".")[0]
            if top not in own:
                own[top] = top == by_member or _may_be_own(top, root)
            place = _place(name) if own[top] else _Place()
            if place.file is None or place.file in paths or place.file in but:
                continue
            if top == by_member or _is_own(name, place.file, root):
                paths[place.file] = _import_path(name, place.file)
                waiting.append((name, place.file))
    return paths


def modules_named(files: Iterable[Path]) -> set[str]:
    """Return the top-level names of all modules that files of code import, their own package's among them."""
    imports = (entry for file in files for entry in _statements_of(file).imports)
    return {module.partition(".")[0] for level, module, _ in imports if not level}


def own_distribution(root: Path) -> str | None:
    """Return the normalized name of the distribution that the `pyproject.toml` in a folder names, or None."""
    try:
        document = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or one that is not for us to judge
        return None
    named = document.get("project", {}).get("name") or document.get("tool", {}).get("poetry", {}).get("name")
    return normalized(named) if isinstance(named, str) else None


@dataclass(frozen=True)
class _Place:
    """Where a module lies: its file, if it has one, and the folders of its submodules."""

    file: Path | None = None
    folders: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Statements:
    """What the text of a file imports: (level, module, names from it), and whether also names made at run time.

    `passed_on` says of a file that does nothing but pass on members of other modules which ones: name -> (module, name
    there). It is None for a file that does more.
    """

    imports: tuple[tuple[int, str, tuple[str, ...]], ...] = ()
    by_name: bool = False
    passed_on: Mapping[str, tuple[str, str]] | None = None


def _names_of_loaded_files() -> dict[str, str]:
    return {file: name for name, module in list(sys.modules.items()) if (file := _attribute(module, "__file__"))}


def _attribute(module: object, name: str) -> str | None:
    """Return a text attribute of a loaded module; `getattr` would make lazy modules import what they stand for."""
    value = object.__getattribute__(module, "__dict__").get(name) if isinstance(module, ModuleType) else None
    return value if isinstance(value, str) else None


def _names_imported(importer: str, file: Path, root: Path, by_member: str | None) -> set[str]:
    """Return the absolute names of all modules that a file may import, with the packages around them."""
    statements = _statements_of(file)
    package = importer if file.stem == "__init__" else importer.rpartition(".")[0]
    names, homes = set(), set()
    for level, module, members in statements.imports:
        start = ".".join(package.split(".")[: package.count(".") + 2 - level]) if level else ""
        origin = ".".join(part for part in (start, module) if part)
        if origin.partition(".")[0] == by_member:
            homes |= {_home(origin, member) for member in members} or {origin}
        else:
            names |= {origin, *(f"{origin}.{member}" for member in members)}  # a member may be a module
    if statements.by_name:
        names |= set(_modules_below(package) if package else _loaded(root))
    around = {".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 2)}
    return {name for name in names | around | homes if name}


def _home(module: str, member: str) -> str:
    """Return the name of the module that defines what is imported from another one, or that is imported itself."""
    file = _place(module).file
    passed_on = None if file is None or file.stem != "__init__" else _statements_of(file).passed_on
    if passed_on is not None and member in passed_on:
        return _home(*passed_on[member])
    below = f"{module}.{member}"
    return below if _place(below).file is not None else module


def _statements_of(file: Path) -> _Statements:
    if file.suffix != ".py" or not file.is_file():
        return _Statements()
    state = file.stat()
    return _parsed(file, state.st_mtime_ns, state.st_size)


@cache
def _parsed(file: Path, changed_ns: int, size: int) -> _Statements:  # the state is a part of the key
    source = file.read_bytes()
    try:
        tree = parsed(source)
    except (SyntaxError, ValueError):  # it cannot have been imported either
        return _Statements()
    imports: list[tuple[int, str, tuple[str, ...]]] = []
    by_name = False
    calls = any(name.encode() in source for name in _IMPORTERS)
    for node in _executed(tree, ast.iter_child_nodes if calls else children):
        if isinstance(node, ast.Import):
            imports += [(0, alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imports.append((node.level, node.module or "", tuple(alias.name for alias in node.names)))
        elif isinstance(node, ast.Call) and _called(node) in _IMPORTERS and node.args:
            texts = _texts(node.args[0])
            imports += map(_by_text, texts)
            by_name |= not texts
        elif isinstance(node, ast.Assign) and "pytest_plugins" in map(ast.unparse, node.targets):
            imports += map(_by_text, _texts(node.value))
    return _Statements(tuple(imports), by_name, _passed_on(tree))


def _executed(tree: ast.Module, below: Callable[[ast.AST], Iterator[ast.AST]]) -> Iterator[ast.AST]:
    """Yield the nodes of code that can run, which is all but what stands under `if TYPE_CHECKING`."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.orelse if _is_for_types(node) else below(node)


def _is_for_types(node: ast.AST) -> TypeGuard[ast.If]:
    return isinstance(node, ast.If) and ast.unparse(node.test).rpartition(".")[2] == "TYPE_CHECKING"


def _passed_on(tree: ast.Module) -> dict[str, tuple[str, str]] | None:
    """Return the members of other modules that a file passes on, or None where it does anything else.

    Members that `__getattr__` loads on first use are those that the file imports for type checkers.
    """
    members: dict[str, tuple[str, str]] = {}
    for node in [part for top in tree.body for part in (top.body if _is_for_types(top) else [top])]:
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            members |= {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
        elif not _passes_on(node):
            return None
    return members


def _passes_on(node: ast.stmt) -> bool:
    """Tell whether a statement does nothing by itself: a docstring, a literal, an import, or access to members."""
    if isinstance(node, ast.FunctionDef):
        return node.name in {"__getattr__", "__dir__"}
    if isinstance(node, ast.Assign | ast.Expr):
        try:
            ast.literal_eval(node.value)
        except ValueError:
            return False
        return True
    return isinstance(node, ast.Import)


def _called(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def _texts(node: ast.expr) -> list[str]:
    """Return the texts of a literal, or of a literal list of texts; an f-string is no literal."""
    parts = node.elts if isinstance(node, ast.List | ast.Tuple) else [node]
    return [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]


def _by_text(name: str) -> tuple[int, str, tuple[str, ...]]:
    module = name.lstrip(".")
    return len(name) - len(module), module, ()


def _modules_below(package: str) -> Iterator[str]:
    for folder in _place(package).folders:
        for file in sorted(Path(folder).rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            yield ".".join([package, *(part for part in parts if part != "__init__")])


def _loaded(root: Path) -> Iterator[str]:
    for file, name in _names_of_loaded_files().items():
        if not _is_test(Path(file)) and _is_own(name, Path(file), root):
            yield name


def _is_test(file: Path) -> bool:
    return file.name.startswith("test_") or file.name.endswith("_test.py") or file.name == "conftest.py"


def _place(name: str) -> _Place:
    """Return where a module lies, without importing anything: as it is loaded, else as it would be found."""
    module = sys.modules.get(name)
    if isinstance(module, ModuleType):
        file = _attribute(module, "__file__")
        return _Place(
            Path(file) if file else None, tuple(object.__getattribute__(module, "__dict__").get("__path__") or ())
        )
    parent = name.rpartition(".")[0]
    folders = _place(parent).folders if parent else ()
    if parent and not folders:
        return _Place()
    try:  # the name of a submodule would make `find_spec` import its package
        spec = PathFinder.find_spec(name, list(folders)) if parent else importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return _Place()
    except KeyError:  # a folder without a file, in another one that is not loaded
        below = (Path(folder) / name.rpartition(".")[2] for folder in folders)
        return _Place(None, tuple(str(folder) for folder in below if folder.is_dir()))
    if spec is None:
        return _Place()
    return _Place(
        Path(spec.origin) if spec.has_location and spec.origin else None, tuple(spec.submodule_search_locations or ())
    )


def _may_be_own(top: str, root: Path) -> bool:
    """Tell whether a top-level name can lead to modules of the project: by itself, or as a folder without a file."""
    if top in own_packages(root):
        return True
    place = _place(top)
    return any(is_inside(path, root) for path in (place.file, *map(Path, place.folders)) if path is not None)


def _is_own(name: str, file: Path, root: Path) -> bool:
    return name.partition(".")[0] in own_packages(root) or is_inside(file, root)


def is_source(name: str, file: Path, root: Path) -> bool:
    """Tell whether a module's file is code that is worked on: the project's own, or that of no installation."""
    return _is_own(name, file, root) or not (INSTALLED & set(file.parts) or file.is_relative_to(_STANDARD_LIBRARY))


def is_inside(path: Path, root: Path) -> bool:
    """Tell whether a path lies under a project's root, and in no Python installation there."""
    if not path.is_relative_to(root) or INSTALLED & set(path.relative_to(root).parts):
        return False
    installations = {Path(sys.prefix), Path(sys.base_prefix)}
    return not any(path.is_relative_to(prefix) for prefix in installations if prefix.is_relative_to(root))


@cache
def own_packages(root: Path) -> frozenset[str]:
    """Return the top-level modules that the project's own distribution has installed."""
    own = own_distribution(root)
    try:
        distribution = metadata.distribution(own) if own else None
    except metadata.PackageNotFoundError:
        distribution = None
    if distribution is None:
        return frozenset()
    named = (distribution.read_text("top_level.txt") or "").split()
    files = [file for file in distribution.files or () if file.suffix == ".py"]
    return frozenset(named or {file.parts[0].removesuffix(".py") for file in files})


def _import_path(name: str, file: Path) -> str:
    parts = name.split(".")
    return "/".join([*(parts if file.stem == "__init__" else parts[:-1]), file.name])
