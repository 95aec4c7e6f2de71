"""CPU time of 200 tests that each hold 50 floats to a stored result: plain json, goldmark and others side by side."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

pytest.importorskip("pytest_benchmark")

TESTS, FLOATS = 200, 50
ALLOWED = 1.3  # times the CPU time of plain json and numpy.allclose
LINEAR = 1.5  # times the CPU time of a test in a small session; what other processes do to it is about 1.3

PLAIN = """
import json, numpy, pathlib
FOLDER = pathlib.Path(__file__).parent / "plain"
def check(name, values):
    golden = json.loads((FOLDER / f"{name}.json").read_text())
    assert numpy.allclose(values, golden["x"], rtol=1e-9, atol=0)
"""
BODIES = {
    "plain": "def test_{n}():\n    check('test_{n}', {values})\n",
    "goldmark": "def test_{n}(golden):\n    golden.close({{'x': {values}}})\n",
    "syrupy": "def test_{n}(snapshot):\n    assert snapshot(extension_class=Json) == {{'x': {values}}}\n",
    "regressions": "def test_{n}(num_regression):\n    num_regression.check({{'x': {values}}})\n",
}
HEADS = {
    "plain": PLAIN,
    "goldmark": "",
    "syrupy": "from syrupy.extensions.json import JSONSnapshotExtension as Json\n",
    "regressions": "",
}
# Installed plugins load whether a test uses them or not, so that plain json is measured where goldmark is installed.
PLUGINS = {
    "plain": ["syrupy", "goldmark.plugin"],
    "goldmark": ["syrupy", "goldmark.plugin"],
    "syrupy": ["syrupy"],
    "regressions": ["pytest_datadir.plugin", "pytest_regressions.plugin"],
}
RECORD = {
    "plain": [],
    "goldmark": ["--golden-update", "--golden-once", "--golden-reason", "bench"],
    "syrupy": ["--snapshot-update"],
    "regressions": ["--force-regen"],
}


def child_cpu_s() -> float:
    """CPU time of all child processes that have ended, user and system."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def values_of(test: int) -> list[float]:
    """Fifty numbers that no two tests share."""
    return [(test + 1) / (i + 3) for i in range(FLOATS)]


def project(folder: Path, library: str, tests: int) -> Path:
    """Write a project with its stored results, in four test files."""
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    for file in range(4):
        mine = range(file, tests, 4)
        bodies = [BODIES[library].format(n=n, values=values_of(n)) for n in mine]
        (folder / f"test_{file}.py").write_text(HEADS[library] + "\n".join(bodies))
    if library == "plain":
        (folder / "plain").mkdir()
        for n in range(tests):
            (folder / "plain" / f"test_{n}.json").write_text(f'{{"x": {values_of(n)}}}')
    session(folder, library, *RECORD[library], expect=(0, 1))  # pytest-regressions fails where it writes
    return folder


def session(folder: Path, library: str, *arguments: str, expect: tuple[int, ...] = (0,)) -> None:
    """Run the project's tests in a process that loads no plugin but those named above."""
    plugins = [part for plugin in PLUGINS[library] for part in ("-p", plugin)]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugins, *arguments]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in expect, done.stdout + done.stderr


def cpu_s(folders: list[tuple[Path, str]], *arguments: str, rounds: int) -> list[list[float]]:
    """The CPU times of each project's sessions, taken in turn, so that a busy machine slows them alike."""
    times: list[list[float]] = [[] for _ in folders]
    for _ in range(rounds):
        for (folder, library), its in zip(folders, times, strict=True):
            start = child_cpu_s()
            session(folder, library, *arguments)
            its.append(child_cpu_s() - start)
    return times


@pytest.mark.benchmark(group="200 tests, 50 floats each", timer=child_cpu_s, warmup=False)
@pytest.mark.parametrize("library", list(BODIES))
def test_cpu_time_of_200_tests(benchmark, tmp_path: Path, library: str) -> None:
    """All libraries in one table; the numbers are CPU seconds of a whole session."""
    if library == "regressions":
        pytest.importorskip("pandas", reason="num_regression needs pandas")
    folder = project(tmp_path / library, library, TESTS)
    benchmark.pedantic(session, args=(folder, library), rounds=5, iterations=1, warmup_rounds=1)


def test_at_most_1_3_times_plain_json(tmp_path: Path) -> None:
    """All passing, the search for unused goldens included."""
    folders = [(project(tmp_path / library, library, TESTS), library) for library in ("plain", "goldmark")]
    plain, ours = cpu_s(folders, rounds=9)
    ratio = median(b / a for a, b in zip(plain, ours, strict=True))
    print(f"plain {median(plain):.3f} s, goldmark {median(ours):.3f} s, median of the ratios {ratio:.2f}")
    assert ratio <= ALLOWED


@pytest.mark.parametrize("arguments", [[], ["test_0.py", "test_1.py", "test_2.py", "test_3.py"]], ids=["all", "paths"])
def test_time_is_linear_in_the_number_of_files(tmp_path: Path, arguments: list[str]) -> None:
    """Tests 801 to 2400 cost each about what tests 201 to 800 cost, with path arguments too; a square would be 3.2."""
    folders = [(project(tmp_path / str(tests), "goldmark", tests), "goldmark") for tests in (200, 800, 2400)]
    at_200, at_800, at_2400 = map(min, cpu_s(folders, *arguments, rounds=3))  # other processes only add
    few, many = (at_800 - at_200) / 600, (at_2400 - at_800) / 1600
    print(f"CPU ms a test: {1e3 * few:.2f} up to 800, {1e3 * many:.2f} up to 2400")
    assert many <= LINEAR * few
