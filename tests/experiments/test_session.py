"""Experiments in a test session: its options, and what it says was read, trained and failed."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from goldmark.experiments import _obtain, close_workers
from goldmark.golden._fixture.training import _Terminal

MODEL = """
from goldmark import Metric, experiment

@experiment(seeds=3, metrics=[Metric("x", margin="2%")])
def digits(seed, *, scale=1.0, crash_at=-1):
    with open({notes!r}, "a") as file:
        file.write(f"{{seed}}\\n")
    if seed == crash_at:
        print("the last thing that it said")
        raise ValueError("no data")
    return {{"x": scale * (seed + 1)}}

doubled = digits.variant("doubled", scale=2.0)
crashing = digits.variant("crashing", crash_at=1)
"""
TESTS = """
from model import digits, doubled

def test_ratio():
    assert 2.0 == doubled.mean("x") / digits.mean("x")

def test_again():
    assert {0: 1.0, 1: 2.0, 2: 3.0} == digits.values("x")
"""
GOLDEN = """
from model import digits

def test_digits(golden):
    golden.close({"x": list(digits.values("x").values())})
"""


@pytest.fixture
def begun(pytester, write, tmp_path, monkeypatch):
    """Write a project that trains in one process; `begun()` returns the seeds that were trained, in order."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "--experiment-jobs=1")
    notes = tmp_path / "notes"
    write(MODEL.format(notes=str(notes)), "model.py")
    write(TESTS)
    yield lambda: [int(line) for line in notes.read_text().split()]
    close_workers()


def test_the_summary_says_what_was_read_and_trained_and_why(run, write, begun, pytester) -> None:
    """Each run once, however many tests ask for it; a second session reads; a change is named, a comment is none."""
    first = run()
    first.assert_outcomes(passed=2)
    first.stdout.fnmatch_lines(["*- experiments -*", "digits: 6 trained (no run yet)"])
    model = (pytester.path / "model.py").read_text()
    write(model + "# a comment\n", "model.py")
    second = run()
    second.stdout.fnmatch_lines(["digits: 6 runs read"])
    assert [0, 1, 2, 0, 1, 2] == begun()
    write(model.replace("(seed + 1)", "(1 + seed)"), "model.py")
    run("-k", "again").stdout.fnmatch_lines(["digits: 3 trained (model.py changed)"])
    assert 9 == len(begun())


def test_two_experiments_of_one_name_are_refused_in_a_line(run, write, begun, pytester) -> None:
    """Runs are kept by name: neither gets those of the other, and no line of goldmark's own is shown."""
    write((pytester.path / "model.py").read_text().replace("(seed + 1)", "100"), "other.py")
    write("import model, other\n\ndef test_one():\n    assert 2.0 == model.digits.mean('x')\n")
    write("import other\n\ndef test_two():\n    assert 100.0 == other.digits.mean('x')\n", "test_z.py")
    refused = run()
    refused.assert_outcomes(passed=1, failed=1)
    refused.stdout.fnmatch_lines(["E *two experiments are named 'digits', in model.py and in other.py; give one *"])
    refused.stdout.no_fnmatch_line("*_declare.py*")
    run("test_z.py").stdout.fnmatch_lines(["digits: 3 trained (the function of another file)"])


@pytest.mark.slow
def test_fresh_trains_all_and_leaves_them_for_others(run, begun, pytester) -> None:
    """In the folder that the ini file names, below the root of the project."""
    pytester.makeini("[pytest]\ngoldmark_runs_dir = kept/runs")
    run("-k", "again")
    run("-k", "again", "--fresh").stdout.fnmatch_lines(["digits: 3 trained (all are trained anew)"])
    run("-k", "again").stdout.fnmatch_lines(["digits: 3 runs read"])
    assert (pytester.path / "kept" / "runs" / ".gitignore").exists()
    assert not (pytester.path / ".goldmark").exists()


def test_no_jobs_train_in_the_session_itself(run, write, pytester, begun) -> None:
    """For a debugger: monkeypatches of the test reach the function, and nothing is stored."""
    write("import model\n\ndef test_it(monkeypatch):\n    monkeypatch.setattr(model, 'float', int, raising=False)\n"
          "    assert 2.0 == model.digits.mean('x')\n")  # fmt: skip
    run("--experiment-jobs", "0").assert_outcomes(passed=1)
    assert not (pytester.path / ".goldmark").exists()
    assert [0, 1, 2] == begun()


def test_a_failed_seed_is_named_with_what_it_said(run, write, begun) -> None:
    """In the test that asks for its numbers, and in the summary."""
    write("from model import crashing\n\ndef test_it():\n    crashing.mean('x')\n")
    result = run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*UsageError: digits/crashing, seed 1: ValueError: no data; it printed at last:",
            "*the last thing that it said",
            "digits: 3 trained (no run yet), 1 failed",
            "digits/crashing, seed 1: ValueError: no data",
        ]
    )


def test_a_recording_and_its_second_run_read_nothing(run, write, begun) -> None:
    """What is recorded was trained for it; the second run trains again, the last seed first, and is a session apart."""
    write(GOLDEN)
    run()
    recorded = run("--golden-update", "--golden-reason", "new", once=False)
    recorded.stdout.fnmatch_lines(["digits: 3 trained (all are trained anew)", "1 recorded"])
    assert [[0, 1, 2], [0, 1, 2], [2, 1, 0]] == [begun()[at : at + 3] for at in (0, 3, 6)]
    checked = run()
    checked.assert_outcomes(passed=1)
    checked.stdout.fnmatch_lines(["digits: 3 runs read"])


@pytest.mark.slow
def test_workers_of_xdist_are_one_session(pytester, write, begun, monkeypatch) -> None:
    """No run is trained in two of them, and the controller adds up what they count."""
    for name in [name for name in os.environ if name.startswith("PYTEST_XDIST_")]:
        monkeypatch.delenv(name)
    for name in ("one", "other"):
        write(TESTS, f"test_{name}.py")
    quiet = [f"-pno:{plugin}" for plugin in ("randomly", "cacheprovider", "hypothesispytest", "benchmark", "syrupy")]
    result = pytester.runpytest_subprocess("-n", "2", *quiet, "--fresh", "--experiment-jobs=2")
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["digits: 6 trained (no run yet)"])
    assert [0, 0, 1, 1, 2, 2] == sorted(begun())


def test_progress_passes_the_capture(run, begun, monkeypatch) -> None:
    """A line of its own between the dots, at once where the test waits; the output of tests stays captured."""
    monkeypatch.setattr(_obtain, "SILENT_S", 0.0)
    result = run("-k", "ratio")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["test_it.py*", "goldmark: training digits: 0 of 3 runs after 0 s"])


def test_of_all_workers_of_xdist_one_says_how_far_it_is(tmp_path, capsys) -> None:
    """On the stream of errors, which is that of the session: they have no terminal. The next line comes later."""
    manager = SimpleNamespace(get_plugin=lambda name: None)
    workers = [_Terminal(SimpleNamespace(pluginmanager=manager, workerinput={}), tmp_path) for _ in range(2)]
    for worker in workers:
        worker.say("training digits: 1 of 6 runs after 2 s")
    assert ("", "goldmark: training digits: 1 of 6 runs after 2 s\n") == capsys.readouterr()
    os.utime(tmp_path / "said", (0, 0))
    workers[1].say("training digits: 4 of 6 runs after 32 s")
    assert "goldmark: training digits: 4 of 6 runs after 32 s\n" == capsys.readouterr().err
