"""`goldmark run` in a user's project: its experiments by the ini file, their runs shared with the next command."""

from __future__ import annotations

import json
import sys

import pytest
from click.testing import CliRunner

from goldmark.cli import program
from goldmark.experiments import close_workers

MODEL = '''
from goldmark import Metric, experiment


@experiment(seeds=6, metrics=[Metric("x", margin="2%", better="lower", guard="doubled"), Metric("n", margin=None)])
def cli_digits(seed, *, scale=1.0, crash_at=-1):
    """Digits, fitted."""
    if seed == crash_at:
        raise ValueError("no data")
    return {"x": scale * (10 + seed / 10), "n": seed}


doubled = cli_digits.variant("doubled", scale=2.0)
'''


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of one experiment, as `goldmark` finds it by its configuration."""
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\ngoldmark_cases = cli_model:cli_digits\n")
    (tmp_path / "cli_model.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    close_workers()
    sys.modules.pop("cli_model", None)


def invoke(*arguments):
    """Run the program, which imports the project anew as a new command does."""
    sys.modules.pop("cli_model", None)
    return CliRunner(env={"COLUMNS": "160"}).invoke(program, [*arguments], catch_exceptions=False)


def run(*arguments):
    """Run `goldmark run` in one process."""
    return invoke("run", "--jobs", "1", *arguments)


def test_a_second_command_reads_what_the_first_has_trained(project) -> None:
    """Without names those of the ini file are trained; fewer seeds are read from more, `--fresh` trains."""
    first = run("--json", "first.json")
    assert 0 == first.exit_code, first.output
    for text in ("Digits, fitted.", "0 runs read, 12 trained (no run yet)", "not checked (no folder 'golden')"):
        assert text in first.output
    assert "| cli_digits | x | doubled | 20.5 [20, 21] | default | 10.2 [10, 10.5] (6 seeds) |  |" in first.output
    again = run("cli_digits", "--json", "again.json")
    assert "cli_digits: 12 runs read, 0 trained" in again.output
    assert json.loads((project / "first.json").read_text()) == json.loads((project / "again.json").read_text())
    fewer = run("--seeds", "2", "--json", "fewer.json")
    assert "cli_digits: 4 runs read, 0 trained" in fewer.output
    variants = json.loads((project / "fewer.json").read_text())["cases"]["cli_digits"]["variants"]
    assert {"default": 10.05, "doubled": 20.1} == {name: v["metrics"]["x"]["mean"] for name, v in variants.items()}
    assert "0 runs read, 2 trained (all are trained anew)" in run("--seeds", "1", "--fresh").output


def test_a_regression_fails_and_names_what_moved(project) -> None:
    """Against the golden of the variant that has one; a broken variant needs none."""
    assert 0 == invoke("golden", "update", "--reason", "first results").exit_code
    held = run()
    assert 0 == held.exit_code, held.output
    assert "goldens: 1 hold, 0 fail, 0 not checked" in held.output
    (project / "cli_model.py").write_text(MODEL.replace("scale * (10 +", "scale * (12 +"))
    moved = run()
    assert 1 == moved.exit_code
    assert "12 trained (cli_model.py changed)" in moved.output
    assert "cli_digits/default fails: statistical x: golden 10.25, got 12.25" in " ".join(moved.output.split())


def test_a_seed_that_fails_is_named_with_its_error(project) -> None:
    """The others are shown all the same, and the command fails."""
    crashing = MODEL.replace("crash_at=-1", "crash_at=1").replace(
        "        raise", "        print(f'at {scale}')\n        raise"
    )
    (project / "cli_model.py").write_text(crashing)
    failed = run("--json", "out.json")
    assert 1 == failed.exit_code
    words = " ".join(failed.output.split())
    for variant, scale in (("default", 1.0), ("doubled", 2.0)):
        assert f"cli_digits/{variant} seed 1 fails: ValueError: no data at {scale} Traceback (most" in words
    failures = json.loads((project / "out.json").read_text())["cases"]["cli_digits"]["failures"]
    assert [True, True] == ["no data" in failure["output"] for failure in failures]


@pytest.mark.parametrize(
    "options",
    [
        ["--device", "cuda"],
        ["--data", "x.csv"],
        ["--preset", "tiny"],
        ["--evaluate"],
        ["--out", "kept"],
        ["--checkpoint-every", "5"],
    ],
)
def test_what_only_the_engine_can_is_refused(project, options) -> None:
    """In a line, before anything is looked for or trained."""
    refused = run("cli_digits", *options)
    assert 2 == refused.exit_code
    line = "goldmark: case 'cli_digits' is an experiment, whose function says itself what it reads and where it trains"
    assert f"{line}; leave out: {options[0]}\n" == refused.output
    assert not (project / ".goldmark").exists()
    assert not (project / "kept").exists()


def with_claim(check):
    """The experiment's module, with a claim."""
    claim = f'Claim(name="c", says="", source="project", check=claims.{check})'
    text = MODEL.replace("import Metric, experiment", "import Claim, Metric, claims, experiment")
    return text.replace(")\ndef cli_digits", f", claims=[{claim}])\ndef cli_digits")


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        ('mean("doubeld", "x", ">", 1.0)', "claim 'c' names a variant that is not declared: case 'cli_digits' has no "),
        ('mean("default", "x", "=>", 1.0)', "the relation is '=>'; give one of >= <= > <"),
    ],
)
def test_claim_of_what_there_is_not_is_bad_input(project, claim, says) -> None:
    """A variant, or a relation: one line and exit status 2, of every command and before anything is trained."""
    (project / "cli_model.py").write_text(with_claim(claim))
    for command in (("list",), ("run",), ("golden", "update", "--reason", "x")):
        refused = invoke(*command)
        assert (2, 1) == (refused.exit_code, refused.output.count("\n")), refused.output
        assert says in refused.output
    if "doubeld" in claim:
        assert "has no variant 'doubeld'; it has: default, doubled; the nearest is 'doubled'\n" in refused.output
    assert not (project / ".goldmark").exists()


def test_guard_that_nobody_declared_is_bad_input(project) -> None:
    """One line and exit status 2, of every command."""
    (project / "cli_model.py").write_text(MODEL.replace('guard="doubled"', 'guard="doubeld"'))
    for command in (("list",), ("run",), ("golden", "update", "--reason", "x")):
        refused = invoke(*command)
        assert 2 == refused.exit_code
        assert "goldmark: the guard of 'x' names a variant that is not declared: case" in refused.output
        assert "; the nearest is 'doubled'\n" in refused.output


def test_claim_of_an_unknown_metric_is_bad_input(project) -> None:
    """Its runs tell which metrics there are."""
    (project / "cli_model.py").write_text(with_claim('mean("default", "y", ">", 1.0)'))
    refused = run()
    assert 2 == refused.exit_code
    assert "goldmark: claim 'c': a run of 'default' has no metric 'y'; it has: x, n\n" in refused.output
