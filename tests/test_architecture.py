"""The house: imports go one way, heavy libraries stay in their files, starting is cheap, rooms are small."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import goldmark
from goldmark.cases import CASES

PACKAGE = Path(goldmark.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
TESTS = Path(__file__).parent
PUBLIC = {
    *(
        "audit",
        "case",
        "cases",
        "checks",
        "claims",
        "cli",
        "experiments",
        "fingerprint",
        "golden",
        "plugin",
        "runs",
        "statistics",
        "training",
        "trajectory",
    ),
    # what models are built of
    *(f"training.{part}" for part in ("attention", "batchnorm", "cells", "convolution", "draws", "recurrent")),
    "training.checkpoint_file",
}
ROOMS = [
    "_session",
    "case",
    "fingerprint",
    "statistics",
    "trajectory",
    "claims",
    "checks",
    "runs",
    "training",
    "experiments",
    "cases",
    "audit",
    "golden",
    "plugin",
    "cli",
]  # a room may import those before it
HEAVY = {
    "torch": {"checks", "training", "cases", "audit"},
    "scipy": {"statistics", "cases"},
    "rich": {"cli"},
    "click": {"cli"},
    "syrupy": set(),
    "pytest": {"golden", "plugin"},
    "filelock": {"golden", "runs"},
    "matplotlib": set(),
    "ray": {"training"},
    "safetensors": {"training"},
}  # library -> the rooms that may import it
VAGUE = {"utils", "util", "common", "core", "helpers", "helper", "base", "manager", "misc"}


@cache
def tree_of(path):
    """What a file says, parsed once for all who ask."""
    return ast.parse(path.read_text())


def room_of(path):
    """The room a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path, *, top_level_only=False):
    """The modules that a file imports, those for type checking left out."""
    tree = tree_of(path)
    guarded = [node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    hidden = {id(child) for node in guarded for child in ast.walk(node)}
    for node in tree.body if top_level_only else ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_every_file_is_in_a_known_room():
    """A new room is named in the order of imports before it is used."""
    assert {room_of(path) for path in FILES} - set(ROOMS) == {"__init__"}


def test_imports_go_one_way():
    """A room imports only the rooms before it."""
    for path in FILES:
        if room_of(path) in ROOMS:
            used = {module.split(".")[1] for module in imports(path) if module.startswith("goldmark.")}
            later = {other for other in used if ROOMS.index(other) > ROOMS.index(room_of(path))}
            assert set() == later, path


def test_heavy_libraries_stay_in_their_rooms():
    """torch, scipy and the like are imported where they belong and nowhere else."""
    for path in FILES:
        used = {module.partition(".")[0] for module in imports(path)} & set(HEAVY)
        assert set() == {library for library in used if room_of(path) not in HEAVY[library]}, path


def test_ray_is_imported_in_one_file():
    """Only the file that says where tasks run knows of Ray."""
    users = [path for path in FILES if "ray" in {module.partition(".")[0] for module in imports(path)}]
    assert [PACKAGE / "training" / "_machines.py"] == users


def test_comparing_numbers_needs_neither_pytest_nor_torch():
    """The comparator is pure numbers: its own imports, followed through the package, reach neither."""
    seen, waiting = set(), ["goldmark.golden._compare.tiers"]
    while waiting:
        module = waiting.pop()
        seen.add(module)
        place = PACKAGE.joinpath(*module.split(".")[1:])
        path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if module.startswith("goldmark.") and path.exists():
            waiting += [name for name in imports(path) if name not in seen]
    assert set() == {module for module in seen if module.partition(".")[0] in {"torch", "pytest", "syrupy"}}


@pytest.mark.parametrize("module", ["goldmark", "goldmark.plugin", "goldmark.golden", "goldmark.golden._compare.tiers"])
def test_importing_is_cheap(module):
    """A test session that uses no golden pays for neither torch nor scipy nor matplotlib."""
    code = f"import sys, {module}; print(*({{'torch', 'scipy', 'matplotlib', 'ray'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_public_names_are_those_of_the_plan():
    """The names that users import, no more and no fewer, and each can be had."""
    cases = ["CASES", "Case", "ModelCase", "area_under", "experiment", "find_case", "steps_to"]
    words = ["Baseline", "Check", "Claim", "Finding", "Metric", "Run", "UsageError", "Variant", "Verdict"]
    checks = ["assert_healthy", "preflight", "same_trajectory", "watch"]
    assert sorted([*cases, *words, *checks, "check_case", "train"]) == sorted(goldmark.__all__)
    assert all(getattr(goldmark, name) is not None for name in goldmark.__all__)
    with pytest.raises(AttributeError, match="module 'goldmark' has no attribute 'fit'; it has: CASES, "):
        goldmark.fit  # noqa: B018


def test_public_modules_are_named_here_and_say_what_is_public():
    """What users and cases import from; every other module is private by name, or part of the catalogue."""
    modules = {".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in FILES}
    public = {name.removesuffix(".__init__") for name in modules if "._" not in f".{name.removesuffix('.__init__')}"}
    assert PUBLIC == {name for name in public if not name.startswith(("audit.", "cases."))} - {"__init__"}
    for room in ("case", "checks", "experiments", "golden", "runs", "statistics", "training", "trajectory"):
        assert importlib.import_module(f"goldmark.{room}").__all__, room


def test_cases_share_one_plan():
    """Someone who knows one case knows them all: the same files, and the same tests beside them."""
    plan = {"__init__", "data", "model", "scores", "experiments", "full"}
    for name in CASES:
        assert plan <= {path.stem for path in (PACKAGE / "cases" / name).glob("*.py")}, name
        tests = {path.stem.removeprefix("test_") for path in (TESTS / "cases" / name).glob("test_*.py")}
        assert plan - {"__init__"} <= tests, name


def test_things_have_names():
    """No variable is called by a pronoun or a participle where the thing that it holds has a name."""
    for path in FILES:
        names = [node.id for node in ast.walk(tree_of(path)) if isinstance(node, ast.Name)]
        assert set() == {"its", "found", "said", "seen"} & set(names), path


def test_rooms_are_small_and_named():
    """Files stay under 400 lines, functions of code under 45, names say what is inside, a sentence opens each file."""
    for path in FILES:
        source = path.read_text()
        tree = tree_of(path)
        assert path.stem not in VAGUE, path
        assert source.count("\n") < 400, path
        assert ast.get_docstring(tree), path
        for node in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            spoken = (ast.get_docstring(node) or "").count("\n") + 1
            assert node.end_lineno - node.lineno + 1 - spoken <= 45, f"{path}: {node.name}"


def test_files_of_tests_are_small():
    """As those of the code: what is longer is split by what it tests."""
    assert [] == [str(path) for path in TESTS.rglob("*.py") if path.read_text().count("\n") >= 400]


def test_every_room_has_its_tests():
    """tests/ mirrors src/: a room without tests is seen here."""
    for room in {room_of(path) for path in FILES} - {"__init__"}:
        own = [*TESTS.glob(f"test_{room.removeprefix('_')}*.py"), *(TESTS / room).glob("test_*.py")]
        assert own, room
