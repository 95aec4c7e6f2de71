"""Long tests that are not repeated: nothing that they depend on may change without their being run again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import unchanged

FILES = {
    "test_it.py": "import factor\n\ndef test_it(): assert factor.FACTOR\n\ndef test_more(): pass\n",
    "test_other.py": "def test_other(): pass\n\ndef test_reads(store): pass\n",
    "factor.py": "FACTOR = 1\n",
    "data.csv": "1,2\n",
    "conftest.py": "import pytest\n\n@pytest.fixture\ndef store():\n    return 1\n",
    ".gitignore": ".pytest_cache/\n__pycache__/\n",
}


@pytest.fixture
def session(pytester, monkeypatch):
    """`session(*options)`: run the tests of a small project and return how many passed and were left out."""
    monkeypatch.setattr(unchanged, "LONG_S", 0)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for name, text in FILES.items():
        (pytester.path / name).write_text(text)
    subprocess.run(["git", "init", "-q"], cwd=pytester.path, check=True)

    def session(*options):
        counts = pytester.runpytest_inprocess("-p", "unchanged", "--skip-unchanged", *options).parseoutcomes()
        return counts.get("passed", 0), counts.get("deselected", 0)

    return session


def test_nothing_is_repeated_where_nothing_has_changed(session):
    """But for what reads stored runs; the third time as well: what was left out has still passed."""
    assert [(4, 0), (1, 3), (1, 3)] == [session(), session(), session()]


@pytest.mark.parametrize("file", ["factor.py", "data.csv", "conftest.py", "pytest.ini"])
def test_a_file_of_the_project_repeats_all(pytester, session, file):
    """Code two imports away, data, fixtures, and one that is new."""
    session()
    with (pytester.path / file).open("a") as changed:
        changed.write("# changed\n" if file != "pytest.ini" else "[pytest]\n")
    assert (4, 0) == session()


def test_a_test_file_repeats_its_own_tests(pytester, session):
    """Those of the other file are left out."""
    session()
    with (pytester.path / "test_it.py").open("a") as changed:
        changed.write("# changed\n")
    assert (3, 1) == session()


@pytest.mark.parametrize(
    "change",
    [
        lambda patch: patch.setenv("GOLDMARK_ROAST_PROFILES", "elsewhere"),
        lambda patch: patch.setattr(unchanged, "fingerprint", lambda: {"python": "4.0"}),
        lambda patch: patch.setattr(unchanged.metadata, "distributions", lambda: iter(())),
    ],
    ids=["variable", "python", "installed"],
)
def test_another_environment_repeats_all(session, monkeypatch, change):
    """Each alone."""
    session()
    change(monkeypatch)
    assert (4, 0) == session()


def test_a_variable_names_a_file_that_counts(pytester, session, monkeypatch, tmp_path_factory):
    """Its bytes, wherever it lies."""
    data = tmp_path_factory.mktemp("data") / "profiles"
    data.write_text("1")
    monkeypatch.setenv("GOLDMARK_ROAST_PROFILES", str(data))
    session()
    data.write_text("2")
    assert (4, 0) == session()


def test_other_options_repeat_all(session):
    """They may change what a test does."""
    session()
    assert (4, 0) == session("--strict-markers")


@pytest.mark.slow
def test_what_failed_or_was_skipped_is_repeated(pytester, session):
    """Also where it had passed before, on the same files."""
    flag = pytester.path / ".pytest_cache" / "flag"  # ignored by git
    code = f"import os, pytest\n\ndef test_it():\n    assert not os.path.exists('{flag}')\n"
    (pytester.path / "test_it.py").write_text(code + "\ndef test_no(): pytest.skip('no')\n")
    assert [(3, 0), (1, 2)] == [session(), session()]
    (pytester.path / "test_other.py").write_text("# changed\n")
    flag.touch()
    assert (0, 1) == session()
    (pytester.path / "test_it.py").write_text(code)
    assert [(0, 0), (0, 0)] == [session(), session()]
    flag.unlink()
    assert [(1, 0), (0, 1)] == [session(), session()]


@pytest.mark.slow
def test_processes_of_xdist_leave_out_the_same(session, monkeypatch):
    """Each is told what has passed, and what they run is kept; their counts do not tell what was left out."""
    monkeypatch.setenv("PYTHONPATH", str(Path(unchanged.__file__).parent))
    options = ("-p", "xdist", "-n", "2")
    assert [4, 1, 1] == [session(*options)[0] for _ in range(3)]
