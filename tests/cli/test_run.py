"""`goldmark run` and `goldmark list`: what is printed, what is written, and the exit status."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from click.testing import CliRunner

from goldmark.case import Baseline, UsageError
from goldmark.cases import CASES, find_case
from goldmark.cli import program
from goldmark.cli.tables import mean_baselines, summary
from goldmark.golden._catalogue import results_of
from goldmark.golden._update.apply import apply_update
from goldmark.training import by_variant, train


def brief(*claims, guard=None):
    """The roast case cut down to two variants, two seeds and six steps, with the named claims."""
    roast = find_case("roast")
    return replace(
        roast,
        settings=replace(roast.settings, steps=6, n_train=8, n_val=4, length=12),
        seeds=2,
        variants=tuple(
            replace(v, guards={"rmse_f": guard} if guard and v.role == "fixed" else {})
            for v in roast.variants
            if v.name in ("normalized", "raw_fahrenheit")
        ),
        claims=tuple(replace(c, variants=("normalized", "raw_fahrenheit")) for c in roast.claims if c.name in claims),
    )


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    """Run the program in an empty folder on the shortened case."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, case=None):
        chosen = case or brief("raw_loss_hardly_falls")
        monkeypatch.setattr("goldmark.cli.run.find_case", lambda name: chosen if name == "roast" else find_case(name))
        return CliRunner(env={"COLUMNS": "160"}).invoke(program, [*arguments], catch_exceptions=False)

    return run


def test_run_shows_variants_baselines_claims_and_goldens(invoke):
    """One sentence, a row a variant and a baseline, verdicts with value and limit, and what was not checked."""
    done = invoke("run", "roast", "--jobs", "1")
    assert 0 == done.exit_code, done.output
    for text in (find_case("roast").says, "normalized", "raw_fahrenheit", "fixed (2)", "persistence", "baseline"):
        assert text in done.output
    for text in ("raw_loss_hardly_falls", "holds", "0.028", "0 fail, 2 not checked", "no folder 'golden'", "4 runs"):
        assert text in done.output
    assert "all as it should be" in done.output


def test_run_ends_with_before_and_after(invoke):
    """A Markdown row for every guarded metric: bug, fix, and what trivial predictors score."""
    done = invoke("run", "roast", "--jobs", "1", case=brief("raw_loss_hardly_falls", guard="raw_fahrenheit"))
    row = next(line for line in done.output.splitlines() if line.startswith("| roast") and " rmse_f " in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert ["roast", "rmse_f", "raw_fahrenheit", "normalized"] == [cells[i] for i in (0, 1, 2, 4)]
    assert float(cells[3].split()[0]) > 100  # six steps of raw targets go nowhere
    assert cells[5].endswith("(2 seeds)")
    assert "persistence" in cells[6]


def test_baselines_of_other_data_are_kept_apart():
    """Two kinds of data have two sets of baselines, each the mean over the seeds of its fullest variant."""
    runs = by_variant(train(brief(), ["normalized", "raw_fahrenheit"], [0, 1]))
    other = [
        replace(run, baselines=(Baseline("mean", "other data", {"rmse_f": 7.0 + run.seed}),))
        for run in runs["normalized"]
    ]
    found = mean_baselines({**runs, "normalized": runs["normalized"][:1], "late": other})
    assert ["mean", "mean_curve", "persistence", "mean (late)"] == list(found)
    assert {"rmse_f": 7.5} == found["mean (late)"]
    both = [run.baselines[0].metrics["rmse_f"] for run in runs["raw_fahrenheit"]]
    assert pytest.approx(sum(both) / 2) == found["mean"]["rmse_f"]


def test_one_diverged_seed_makes_the_summary_nan():
    """Mean and extremes do not depend on where the NaN stands."""
    for values in ([1.0, math.nan], [math.nan, 1.0]):
        assert all(math.isnan(value) for value in summary(values).values())
    assert {"mean": 2.0, "sd": 2**0.5, "min": 1.0, "max": 3.0} == summary([3.0, 1.0])


def test_run_exits_1_where_a_claim_fails(invoke):
    """Six steps do not beat the mean: the claim fails and so does the run."""
    done = invoke("run", "roast", "--jobs", "1", case=brief("normalized_beats_mean"))
    assert 1 == done.exit_code
    assert "FAILS" in done.output
    assert "fails: roast" in done.output


def test_run_exits_1_where_a_golden_fails(invoke, tmp_path):
    """A golden made with another recipe does not hold, and the line says what differs."""
    case = brief("raw_loss_hardly_falls")
    other = replace(case, settings=replace(case.settings, lr=1e-3), seeds=5)
    results = {result.name: result for result in results_of(train(other, ["raw_fahrenheit"]))}
    apply_update(tmp_path / "golden", results, "a test")
    done = invoke("run", "roast", "--jobs", "1", case=replace(case, seeds=5))
    assert 1 == done.exit_code
    assert "roast/raw_fahrenheit fails: " in done.output
    assert "recipe.lr" in done.output


def test_json_has_the_documented_layout(invoke, tmp_path):
    """Schema 1: means, extremes and values of every seed, baselines, claims, goldens, fingerprint; strict JSON."""
    done = invoke("run", "roast", "--seeds", "1", "--jobs", "1", "--json", "out.json")
    assert 0 == done.exit_code, done.output
    whole = json.loads((tmp_path / "out.json").read_text(), parse_constant=pytest.fail)
    assert {"schema", "cases", "fingerprint"} == set(whole)
    assert 1 == whole["schema"]
    roast = whole["cases"]["roast"]
    assert {"says", "seeds", "variants", "baselines", "claims", "goldens", "failures"} == set(roast)
    assert [0] == roast["seeds"]
    fixed = roast["variants"]["normalized"]
    assert {"role": "fixed", "of": None} == {key: fixed[key] for key in ("role", "of")}
    rmse = fixed["metrics"]["rmse_f"]
    assert [rmse["mean"]] == rmse["values"] == [rmse["min"]] == [rmse["max"]]
    assert {"mean", "mean_curve", "persistence"} == set(roast["baselines"])
    assert 0.0 == roast["baselines"]["mean"]["skill_vs_mean"]
    keys = {"name", "says", "source", "documented", "ok", "value", "limit", "n_seeds"}
    assert keys == set(roast["claims"][0])
    assert {"name": "roast/normalized", "ok": None, "reason": "no folder 'golden'"} == roast["goldens"][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "toast"], "goldmark: there is no case 'toast'; the catalogue has: roast, eeg, expansion, poetry"),
        (["run", "roast", "--data", "missing.jsonl"], "missing.jsonl: cannot be read (No such file or directory)"),
        (["run", "--data", "x.jsonl"], "--data takes one case that reads a file: roast; for example: goldmark run"),
        (["run", "eeg", "--data", "x.jsonl"], "--data takes one case that reads a file: roast"),
        (["run", "roast", "--json", "no/folder/out.json"], "there is no folder"),
        (["run", "roast", "--seeds", "0"], "Invalid value for '--seeds'"),
        (["run", "roast", "--golden-dir", "goldem"], "--golden-dir goldem: there is no such folder"),
        (["run", "roast", "--device", "tpu"], "Invalid value for '--device'"),
    ],
)
def test_wrong_use_exits_2_with_one_line_and_writes_nothing(invoke, tmp_path, arguments, message):
    """The value, what would be right, the way out; no file appears."""
    done = invoke(*arguments)
    assert 2 == done.exit_code
    assert message in done.output
    assert [] == list(tmp_path.iterdir())


def test_list_shows_every_case_variant_and_claim():
    """Names and sources of the whole catalogue."""
    done = CliRunner().invoke(program, ["list"], env={"COLUMNS": "250"}, catch_exceptions=False)
    assert 0 == done.exit_code
    for case in CASES.values():
        for name in [case.name, *(v.name for v in case.variants), *(c.name for c in case.claims)]:
            assert name in done.output


def test_help_gives_examples():
    """Each command tells how it is used."""
    for arguments in ([], ["run"], ["list"], ["golden"], ["golden", "update"], ["golden", "confirm"]):
        done = CliRunner().invoke(program, [*arguments, "--help"])
        assert 0 == done.exit_code
        assert "goldmark " in done.output


def test_usage_errors_are_values_too():
    """Library users catch them as `ValueError`."""
    assert issubclass(UsageError, ValueError)
