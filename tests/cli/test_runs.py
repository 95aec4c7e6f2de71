"""`goldmark runs`: what the store holds, one run of it, and how it is emptied."""

from __future__ import annotations

import json
import os
import time

import pytest
from click.testing import CliRunner

from goldmark.case import Run
from goldmark.cli import program
from goldmark.runs import note_outputs, write_run


def run_of(variant, seed, **changes):
    """A run as a worker would have written it."""
    nothing = {"learning_rates": (), "baselines": (), "findings": (), "close": {}, "fingerprint": {}}
    values = {
        "metrics": {"loss": 0.5},
        "history": ({"epoch": 1, "loss": 0.5},),
        "exact": {"recipe": {"rate": 0.1}},
        "sources": {"model.py": "hash"},
        "ingredients": {"files": {"data.csv": "hash"}},
    }
    origin = {"stream": f"seed {seed}", "data": "generated", "seconds": 1.5}
    return Run(case="line", scale="fast", variant=variant, seed=seed, **nothing, **origin, **(values | changes))


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A project whose store holds three runs, one of them failed and one old."""
    (tmp_path / "pytest.ini").write_text("[pytest]\ngoldmark_runs_dir = kept\n")
    failed = run_of("slow", 0, metrics={}, error="ValueError: no", output="line one\nline two")
    for run in (run_of("default", 0), run_of("default", 11), failed):
        write_run(tmp_path / "kept" / "runs" / "fast" / "line" / run.variant / f"{run.seed}.json", run)
    week_ago = time.time() - 7 * 86400
    os.utime(tmp_path / "kept" / "runs" / "fast" / "line" / "default" / "11.json", (week_ago, week_ago))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "kept"


def invoke(*arguments):
    """Run `goldmark runs`."""
    return CliRunner(env={"COLUMNS": "120"}).invoke(program, ["runs", *arguments], catch_exceptions=False)


def test_list_counts_seeds_and_failures(store):
    """A row a variant; the same as JSON."""
    result = invoke("list", "--json", "runs.json")
    assert 0 == result.exit_code
    rows = [line.split("│") for line in result.output.splitlines() if "line/" in line]
    assert [["line/default", "2", ""], ["line/slow", "1", "1"]] == [[cell.strip() for cell in row[1:4]] for row in rows]
    stored = json.loads((store.parent / "runs.json").read_text())["variants"]
    assert [[0, 11], [0]] == [variant["seeds"] for variant in stored]


def test_show_tells_what_a_run_was_made_of(store):
    """Metrics, arguments, code and files; of one that failed its error and output."""
    output = invoke("show", "line/default", "11").output
    assert ["loss: 0.5", "1 epochs", "arguments: {'rate': 0.1}", "code: model.py", "files: data.csv"] == (
        output.splitlines()[1:]
    )
    assert ["failed: ValueError: no", "    line one", "    line two"] == (
        invoke("show", "line/slow", "0").output.splitlines()[1:4]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "line/slwo", "0"), "the store has no runs of 'line/slwo'; it has: line/default, line/slow"),
        (("show", "line/default", "3"), "the store has no run of 'line/default' with seed 3; it has the seeds 0, 11"),
        (("clean", "lien"), "the store has no runs of 'lien'; it has: line/default, line/slow"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(store, arguments, message):
    """One line, exit status 2."""
    result = invoke(*arguments)
    assert (2, f"goldmark: {message}") == (result.exit_code, result.stderr.strip())


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (("clean",), []),
        (("clean", "--older", "3"), ["default/0.json", "slow/0.json"]),
        (("clean", "line/slow"), ["default/0.json", "default/11.json"]),
        (("clean", "line", "--older", "30"), ["default/0.json", "default/11.json", "slow/0.json"]),
    ],
)
def test_clean_deletes_what_is_meant(store, arguments, left):
    """All, what is old, or what is named; and it says how many."""
    result = invoke(*arguments)
    root = store / "runs" / "fast" / "line"
    assert left == sorted(path.relative_to(root).as_posix() for path in root.rglob("*.json"))
    assert result.output.startswith(f"{3 - len(left)} runs deleted from")


def test_clean_forgets_outputs_of_runs_that_are_gone(store):
    """What lies beside the outputs of a run that is left is none of its inputs; the rest of the list goes."""
    for variant, folder in (("slow", "logs"), ("default", "gone")):
        run = run_of(variant, 0, ingredients={"written": {f"{folder}/{variant}.txt": ""}})
        write_run(store / "runs" / "fast" / "line" / variant / "0.json", run)
        note_outputs(store, run)
    note_outputs(store, run_of("default", 1, ingredients={"written": {"logs/other.txt": "", "gone/x.txt": ""}}))
    invoke("clean", "line/default")
    assert ["logs/other.txt", "logs/slow.txt"] == [json.loads(line) for line in (store / "outputs").read_text().split()]
    invoke("clean")
    assert "" == (store / "outputs").read_text()


def test_empty_store_says_so(tmp_path, monkeypatch):
    """And is no error."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    monkeypatch.chdir(tmp_path)
    assert "no runs in '" in invoke("list").output
    assert 0 == invoke("clean").exit_code
