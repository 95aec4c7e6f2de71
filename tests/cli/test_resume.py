"""`goldmark run --out` and `--resume`: what is kept, what is read again, what is trained, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from goldmark.cases import CASES
from goldmark.cli import program
from goldmark.runs import alone
from goldmark.training import _checkpoint as checkpoint


def brief(**settings):
    """The roast case cut down to two variants of five epochs, in the plain loop."""
    roast = CASES["roast"]
    small = {"n_train": 4, "n_val": 2, "length": 12, "batch": 4, "layers": 1, "steps": 5} | settings
    return replace(
        roast,
        settings=replace(roast.settings, **small),
        variants=tuple(v for v in roast.variants if v.name in ("normalized", "raw_fahrenheit")),
        claims=(),
        stacks_on_cpu=False,
    )


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    """Run the program in an empty folder on the shortened case, in one process."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, case=None):
        monkeypatch.setattr("goldmark.cli._run.cases_named", lambda names, project: [case or brief()])
        options = ("run", *arguments, "--jobs", "1")
        return CliRunner(env={"COLUMNS": "160"}).invoke(program, [*options], catch_exceptions=False)

    return run


def finished(folder):
    """Every finished run of a folder, by its file, without its time."""
    paths = sorted((folder / "fast").glob("*/*/*.json"))
    return {path.name: json.loads(path.read_text()) | {"seconds": 0} for path in paths}


def test_killed_program_goes_on_with_what_it_was_asked_for(invoke, tmp_path, monkeypatch):
    """Killed in its second run: the first is read, the second goes on from its checkpoint, and nothing else differs."""
    write = checkpoint.write_whole

    def dying(path, content):
        write(path, content)
        if path.parent.name == "raw_fahrenheit" and path.name == "0.last.safetensors":
            raise SystemExit(9)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_whole", dying)
        asked = ("roast", "--seeds", "1", "--out", "killed", "--checkpoint-every", "2")
        assert 9 == invoke(*asked).exit_code
    assert ["0.json"] == list(finished(tmp_path / "killed"))
    done = invoke("--resume", "killed", "--json", "killed.json")
    assert 0 == done.exit_code, done.output
    for line in ("roast: 1 of 2 runs are there already", "roast: 1 runs go on from their last checkpoint"):
        assert line in done.output
    assert 0 == invoke("roast", "--seeds", "1", "--out", "whole", "--json", "whole.json").exit_code
    assert finished(tmp_path / "whole") == finished(tmp_path / "killed")
    assert (tmp_path / "whole.json").read_bytes() == (tmp_path / "killed.json").read_bytes()
    assert "roast: 2 of 2 runs are there already" in invoke("--resume", "killed").output


def test_what_was_kept_of_other_settings_is_trained_again(invoke, tmp_path):
    """Finished runs and checkpoints alike, each with the reason and the count."""
    invoke("roast", "--seeds", "1", "--out", "runs")
    next((tmp_path / "runs" / "fast").rglob("raw_fahrenheit/0.json")).unlink()
    done = invoke("--resume", "runs", case=brief(lr=0.1))
    assert "roast: 1 runs are trained again: other settings" in done.output
    assert "roast: 2 runs start anew, their checkpoint is of no use: other settings" in done.output


def test_damaged_checkpoint_is_told_and_not_read(invoke, tmp_path):
    """One line, and the run starts anew."""
    invoke("roast", "--seeds", "1", "--out", "runs")
    next((tmp_path / "runs" / "fast").rglob("normalized/0.json")).unlink()
    next((tmp_path / "runs" / "fast").rglob("normalized/0.last.safetensors")).write_bytes(b"half a fi")
    done = invoke("--resume", "runs")
    assert (0, True) == (done.exit_code, "1 runs start anew, their checkpoint is of no use: damaged" in done.output)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--resume", "nope"), "--resume nope: there is no such folder; start a run in it with --out nope"),
        (("--resume", "empty"), "--resume empty: it holds no run, for there is no 'run.json'; start one with --out"),
        (("--resume", "damaged"), "--resume damaged: 'run.json' is damaged ("),
        (("roast", "--out", "damaged"), "--out damaged: it holds another run; goldmark run --resume damaged goes on"),
        (("roast", "--out", "other"), "--out other: it holds other files; name a new folder"),
        (("roast", "--checkpoint-every", "3"), "name a new folder with --out DIR"),
        (
            ("roast", "--resume", "damaged", "--seeds", "2", "--checkpoint-every", "3", "--device", "cpu"),
            "leave out: CASE, --seeds, --device, --checkpoint-every",
        ),
        (("--resume", "damaged", "--out", "new"), "leave out: --out"),
        (("roast", "--out", "taken"), "another goldmark command is at work in 'taken'"),
    ],
)
def test_wrong_use_exits_2_with_one_line_and_trains_nothing(invoke, tmp_path, arguments, message):
    """The value, what would be right, the way out; no folder appears and none is written to."""
    for name, file in (("empty", None), ("damaged", "run.json"), ("other", "thesis.tex")):
        (tmp_path / name).mkdir()
        if file is not None:
            (tmp_path / name / file).write_text("{")
    with alone(tmp_path / "taken"):
        before = sorted(tmp_path.rglob("*"))
        done = invoke(*arguments)
    assert 2 == done.exit_code
    assert message in done.stderr
    assert 1 == done.stderr.count("\n"), done.stderr
    assert before == sorted(tmp_path.rglob("*"))


def test_own_data_and_goldens_are_found_from_anywhere(invoke, tmp_path, monkeypatch):
    """The options that are kept name files by their whole path."""
    (tmp_path / "golden").mkdir()
    assert "no golden" in invoke("roast", "--seeds", "1", "--out", "runs", "--golden-dir", "golden").output
    monkeypatch.chdir(tmp_path / "runs")
    done = invoke("--resume", str(tmp_path / "runs"))
    assert "2 of 2 runs are there already" in done.output
    assert "no golden" in done.output
    assert str(tmp_path / "golden") == json.loads((tmp_path / "runs" / "run.json").read_text())["run"]["golden_dir"]
