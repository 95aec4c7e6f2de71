"""The room of goldens: its rooms import one way, its public names are few, and importing it is cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import goldmark.golden

ROOM = Path(goldmark.golden.__file__).parent
ORDER = [
    "_files",
    "_compare",
    "_record",
    "_update",
    "_catalogue",
    "_defaults",
    "_project",
    "_fixture",
    "_ask",
]  # each may import those before


def test_rooms_import_one_way():
    """Files know nothing of comparing, comparing nothing of recording, and so on up to the fixture."""
    assert {path.stem for path in ROOM.iterdir() if not path.name.startswith("__")} == set(ORDER)
    for path in sorted(ROOM.rglob("*.py")):
        own = path.relative_to(ROOM).parts[0].removesuffix(".py")
        modules = [
            node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)
        ]
        used = {module.split(".")[2] for module in modules if module.startswith("goldmark.golden.")}
        later = {room for room in used if own in ORDER and ORDER.index(room) > ORDER.index(own)}
        assert set() == later, path


def test_public_names_load_on_first_use():
    """What users import, no more; a name that is not there is answered with those that are."""
    expected = ["BadGolden", "Close", "Comparison", "Golden", "GoldenCheck", "Result", "check_case", "compare"]
    expected += ["find_golden", "statistical_entry"]
    assert expected == sorted(goldmark.golden.__all__) == dir(goldmark.golden)
    assert all(callable(getattr(goldmark.golden, name)) for name in expected)
    with pytest.raises(AttributeError, match=r"module 'goldmark\.golden' has no attribute 'hold'; it has: BadGolden, "):
        goldmark.golden.hold  # noqa: B018


@pytest.mark.parametrize("names", ["", "BadGolden, Comparison, Golden, Result, compare"])
def test_importing_is_cheap(names):
    """The comparator and its words need neither torch nor scipy nor pytest, nor numpy as long as no metric comes."""
    code = f"import sys; from goldmark.golden import {names}" if names else "import sys, goldmark.golden"
    heavy = "print(*({'torch', 'scipy', 'pytest', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", f"{code}; {heavy}"], capture_output=True, text=True, check=True)
    assert "" == done.stdout.strip()
