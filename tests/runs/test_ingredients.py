"""What is said of a run whose ingredients have changed; what a worker sees is tested with experiments."""

from __future__ import annotations

import hashlib
import importlib
import json
from importlib import metadata

import pytest
from runs.bare import bare_run

from goldmark.runs import _ingredients
from goldmark.runs._ingredients import changed, data_hash, machine, named_files, value_hash, versions_of


def made_of(**ingredients):
    """Return a run with some ingredients."""
    return bare_run(ingredients={"machine": dict(machine()), **ingredients})


def test_a_run_that_nobody_saw_is_trained_again(tmp_path):
    """One that was trained in this process, say."""
    assert "nobody saw what it was made of" == changed(bare_run(), tmp_path)
    assert changed(made_of(), tmp_path) is None


def test_another_python_or_machine_is_named(tmp_path):
    """What was, and what is now; a machine without a GPU says so."""
    python, gpu = machine()["python"], machine()["gpu"]
    assert f"python 3.9.1 -> {python}" == changed(made_of(machine={"python": "3.9.1"}), tmp_path)
    assert f"gpu H100 -> {gpu or 'none'}" == changed(made_of(machine={"gpu": "H100"}), tmp_path)


def test_a_reason_against_reading_comes_first(tmp_path):
    """It is told before anything that changed."""
    run = made_of(never={"it starts make": ""}, files={"gone.txt": "0"})
    assert "it starts make" == changed(run, tmp_path)


def test_versions_are_whole_and_without_the_project_itself(tmp_path):
    """A build for another device is another version; the project's own code is looked at itself."""
    assert {"pytest": metadata.version("pytest")} == versions_of(["pytest", "math", "no_such_module"], tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'PyTest'\n")
    assert {} == versions_of(["pytest"], tmp_path)
    version = metadata.version("pytest")
    assert f"pytest 1.0+cpu -> {version}" == changed(made_of(versions={"pytest": "1.0+cpu"}), tmp_path)
    assert "gone-library 1.0 -> not installed" == changed(made_of(versions={"gone-library": "1.0"}), tmp_path)


def test_a_folder_is_compared_without_what_the_run_wrote_and_what_tools_leave(tmp_path):
    """Names alone count: what is in the files was opened, or not."""
    for name in ("a.csv", "result.csv", ".coverage"):
        (tmp_path / name).touch()
    run = made_of(folders={".": json.dumps(["a.csv"])}, written={"result.csv": ""})
    assert changed(run, tmp_path) is None
    (tmp_path / "b.csv").touch()
    assert "folder . has other files" == changed(run, tmp_path)


def test_a_file_that_became_a_folder_has_changed(tmp_path):
    """It is there, and cannot be read."""
    (tmp_path / "data").mkdir()
    assert "data changed" == changed(made_of(files={"data": "0"}), tmp_path)


def test_the_hash_of_data_is_that_of_all_files_with_their_names(tmp_path):
    """A file moved within a folder is another folder; nothing has no hash."""
    assert "" == data_hash(tmp_path / "data")
    file = tmp_path / "data" / "a" / "x"
    file.parent.mkdir(parents=True)
    file.write_text("1")
    before = data_hash(tmp_path / "data")
    file.rename(tmp_path / "data" / "a" / "y")
    assert before != data_hash(tmp_path / "data")
    assert hashlib.sha256(b"1").hexdigest() == data_hash(tmp_path / "data" / "a" / "y")


def test_values_of_variables_are_hashed(monkeypatch):
    """A variable that is not set is told from one that is empty, and none can be read from a run."""
    monkeypatch.delenv("GM_RATE", raising=False)
    assert "" == value_hash("GM_RATE")
    monkeypatch.setenv("GM_RATE", "")
    assert hashlib.sha256(b"").hexdigest() == value_hash("GM_RATE")


@pytest.mark.parametrize(
    ("then", "why"),
    [("", "module here is there now"), ("other.py", "module here is another file now"), ("here.py", None)],
)
def test_modules_are_looked_for_on_the_path_of_now(tmp_path, monkeypatch, then, why):
    """A package is looked for without importing it."""
    root = tmp_path.resolve() / then.replace(".", "_")
    root.mkdir(exist_ok=True)
    (root / "here.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(str(root))
    run = made_of(modules={"here": then} if then != "here.py" else {"here": "here.py", "gone": ""})
    assert why == changed(run, root)


def test_packages_without_a_file_of_their_own_are_found_in_those_that_have_one(tmp_path, monkeypatch):
    """Nothing is imported for it, not even the package around them, and modules within them are looked for there."""
    root = tmp_path.resolve()
    (root / "around" / "inner" / "deep").mkdir(parents=True)
    (root / "around" / "__init__.py").write_text("raise AssertionError('imported')")
    (root / "around" / "inner" / "deep" / "far.py").touch()
    monkeypatch.syspath_prepend(str(root))
    there = {"around.inner": "folder", "around.inner.deep": "folder", "around.inner.gone": ""}
    run = made_of(modules={**there, "around.inner.deep.far": "around/inner/deep/far.py"})
    assert changed(run, root) is None
    (root / "around" / "inner" / "gone.py").touch()
    importlib.invalidate_caches()
    _ingredients.found_place.cache_clear()
    _ingredients.specification_of.cache_clear()
    assert "module around.inner.gone is there now" == changed(run, root)


def test_code_of_an_installed_copy_has_its_import_path():
    """Wherever the installation lies; what lies elsewhere keeps its name."""
    sources = {"/home/a/.venv/lib/python3.12/site-packages/waves/fit.py": "1", "src/waves/fit.py": "2"}
    data = {"/data/waves.csv": "3"}
    expected = {"waves/fit.py": "1", "src/waves/fit.py": "2", "/data/waves.csv": "3"}
    assert expected == named_files({"sources": sources, "data": data})
