"""The code behind a file: what it imports of its project, followed through the text."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from goldmark.fingerprint._imports import own_distribution, reached


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write files of a project whose root modules are found by: `project({"a.py": "import b"})`."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def project(files: dict[str, str]) -> Path:
        for path, text in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        importlib.invalidate_caches()
        return tmp_path

    yield project
    for name in set(sys.modules) - before:
        del sys.modules[name]


def of_test(root: Path, test: str = "test_it.py") -> list[str]:
    """The import paths that a test reaches."""
    return sorted(reached([root / test], root).values())


PACKAGE = {
    "pk/__init__.py": "from pk.one import x",
    "pk/one.py": "from . import two\nx = 1",
    "pk/two.py": "x = 1",
    "pk/deep/__init__.py": "",
    "pk/deep/three.py": "from ..two import x",
    "pk/unused.py": "",
    "lone.py": "import json",
    "other.py": "",
}


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("import lone", ["lone.py"]),
        ("import numpy, json, not_installed", []),
        ("def f():\n    import lone", ["lone.py"]),
        ("import pk", ["pk/__init__.py", "pk/one.py", "pk/two.py"]),
        ("from pk import two as x", ["pk/__init__.py", "pk/one.py", "pk/two.py"]),
        (
            "from pk.deep.three import x",
            ["pk/__init__.py", "pk/deep/__init__.py", "pk/deep/three.py", "pk/one.py", "pk/two.py"],
        ),
        ("import pytest\npytest.importorskip('lone')", ["lone.py"]),
        ("from importlib import import_module\nimport_module('lone')", ["lone.py"]),
        ("pytest_plugins = ['lone']", ["lone.py"]),
    ],
)
def test_imports_are_followed_whether_they_are_loaded_or_not(project, text, paths) -> None:
    """Statements anywhere, names in texts, packages around a module, and nothing that is not of the project."""
    root = project({**PACKAGE, "test_it.py": text})
    assert paths == of_test(root)
    for module in ("lone", "other", "pk.unused", "pk.deep.three"):
        importlib.import_module(module)
    assert paths == of_test(root)


def test_folders_without_a_file_are_packages_too(project) -> None:
    """One in another, loaded or not: modules in them are reached."""
    root = project({"space/deep/one.py": "", "space/deep/other.py": "", "test_it.py": "import space.deep.one"})
    assert ["space/deep/one.py"] == of_test(root)
    importlib.import_module("space.deep.one")
    assert ["space/deep/one.py"] == of_test(root)


def test_a_name_made_at_run_time_reaches_the_package(project) -> None:
    """A package that loads its parts by name may need each of them."""
    lazy = "from importlib import import_module\ndef __getattr__(name):\n    return import_module(f'pk.{name}')"
    root = project({"pk/__init__.py": lazy, "pk/a.py": "", "pk/b/__init__.py": "", "lone.py": ""})
    project({"test_it.py": "import pk"})
    assert ["pk/__init__.py", "pk/a.py", "pk/b/__init__.py"] == of_test(root)


def test_a_name_made_at_run_time_outside_of_a_package_reaches_what_is_loaded(project) -> None:
    """A test that imports by a computed name: every loaded module of the project, other tests left out."""
    root = project({"a.py": "", "b.py": "", "test_other.py": "", "test_it.py": "__import__('a' + '')"})
    for module in ("a", "test_other"):
        importlib.import_module(module)
    assert ["a.py"] == of_test(root)


def test_a_test_that_others_import_counts(project) -> None:
    """Tests of the session are no code of a test, but those that it imports are."""
    root = project({"test_first.py": "", "test_second.py": "", "test_it.py": "from test_first import f"})
    importlib.import_module("test_second")
    assert ["test_first.py"] == of_test(root)


def test_installed_modules_below_the_root_are_others(project) -> None:
    """An environment inside of the project is not the project's code."""
    root = project({".venv/lib/site-packages/dep.py": "", "test_it.py": "import dep"})
    sys.path.insert(0, str(root / ".venv/lib/site-packages"))
    try:
        assert [] == of_test(root)
    finally:
        sys.path.pop(0)


def test_a_text_that_cannot_be_parsed_imports_nothing(project) -> None:
    """It could not have been imported either."""
    assert [] == of_test(project({"lone.py": "", "test_it.py": "import lone\n)"}))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('[project]\nname = "My.Own_pkg"', "my-own-pkg"),
        ('[tool.poetry]\nname = "own"', "own"),
        ("[tool.other]", None),
        ("not toml", None),
    ],
)
def test_the_distribution_is_the_one_that_pyproject_names(tmp_path: Path, text, name) -> None:
    """Its name as indexes compare it; none where there is none."""
    assert own_distribution(tmp_path) is None
    (tmp_path / "pyproject.toml").write_text(text)
    assert name == own_distribution(tmp_path)


def test_imports_for_type_checkers_are_not_followed(project) -> None:
    """They never run; what stands in their `else` does."""
    text = "import typing\nif typing.TYPE_CHECKING:\n    import lone\nelse:\n    import other"
    assert ["other.py"] == of_test(project({"lone.py": "", "other.py": "", "test_it.py": text}))


THROUGH = {
    "pk/__init__.py": '"""It passes on."""\n__all__ = ["f"]\nfrom pk.one import f\nfrom pk.two import g as h',
    "pk/one.py": "from pk import far",
    "pk/two.py": "",
    "pk/far.py": "",
    "pk/busy/__init__.py": "from pk.two import g\nx = [].copy()",
    "pk/busy/part.py": "",
    "pk/lazy/__init__.py": "import typing\nif typing.TYPE_CHECKING:\n    from pk.two import g\n\n"
    "def __getattr__(name):\n    raise AttributeError",
}


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("from pk import f", ["pk/far.py", "pk/one.py"]),
        ("from pk import h", ["pk/two.py"]),
        ("from pk import far", ["pk/far.py"]),
        ("from pk.lazy import g", ["pk/two.py"]),
        ("from pk.two import g", ["pk/two.py"]),
        ("from pk.busy import x", ["pk/busy/__init__.py", "pk/two.py"]),
        ("from pk.busy import part", ["pk/busy/part.py"]),
        ("from pk import unknown", ["pk/__init__.py", "pk/far.py", "pk/one.py", "pk/two.py"]),
        ("import pk", ["pk/__init__.py", "pk/far.py", "pk/one.py", "pk/two.py"]),
        ("from pk import *", ["pk/__init__.py", "pk/far.py", "pk/one.py", "pk/two.py"]),
    ],
)
def test_a_package_that_passes_on_is_looked_through(project, text, paths) -> None:
    """What is imported from it leads to the file that defines it; a package that does more counts itself."""
    root = project({**THROUGH, "test_it.py": text})
    assert paths == sorted(reached([root / "test_it.py"], root, by_member="pk").values())


def test_files_that_are_left_out_are_not_followed(project) -> None:
    """Nor is what they alone import."""
    root = project({"a.py": "import b\nimport c", "b.py": "import d", "c.py": "", "d.py": "", "test_it.py": "import a"})
    assert ["a.py", "c.py"] == sorted(reached([root / "test_it.py"], root, but={root / "b.py"}).values())
