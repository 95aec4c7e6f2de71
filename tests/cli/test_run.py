"""`goldmark run`: what is printed, what is written, and the exit status."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from functools import partial

import pytest
from cli.printed import only_line
from click.testing import CliRunner

from goldmark.case import Baseline, UsageError
from goldmark.cases import CASES, find_case
from goldmark.cases.roast import RoastCase
from goldmark.claims import all_of, every_seed
from goldmark.cli import program
from goldmark.cli._known_cases import cases_named
from goldmark.cli._tables import mean_baselines
from goldmark.golden._catalogue import results_of
from goldmark.golden._update.apply import apply_update
from goldmark.runs import by_variant
from goldmark.training import train


def brief(*claims, guard=None):
    """The roast case cut down to two variants, two seeds and six steps, with the named claims."""
    roast = find_case("roast")
    return replace(
        roast,
        settings=replace(roast.settings, steps=6, n_train=8, n_val=2, length=12),
        seeds=2,
        variants=tuple(
            replace(v, seeds=None, guards={"rmse_f": guard} if guard and v.role == "fixed" else {})
            for v in map(roast.variant, ("normalized", "raw_fahrenheit"))
        ),
        claims=tuple(claim for claim in roast.claims if claim.name in claims),
    )


def invoked(monkeypatch, *arguments, case=None):
    """Run the program in the current folder on the shortened case."""
    chosen = case or brief("raw_loss_hardly_falls")

    def named(names, project):
        return [chosen if known.name == "roast" else known for known in cases_named(names, project)]

    monkeypatch.setattr("goldmark.cli._run.cases_named", named)
    return CliRunner(env={"COLUMNS": "160"}).invoke(program, [*arguments], catch_exceptions=False)


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    """Run the program in an empty folder on the shortened case."""
    monkeypatch.chdir(tmp_path)
    return partial(invoked, monkeypatch)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What a run of the shortened case printed, and what it wrote of that case as JSON."""
    file = tmp_path_factory.mktemp("shown") / "out.json"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(file.parent)
        done = invoked(monkeypatch, "run", "roast", "--jobs", "1", "--json", file.name)
    return done, json.loads(file.read_text())["cases"]["roast"]


def test_run_shows_variants_baselines_claims_and_goldens(shown):
    """One sentence, a row a variant and a baseline, verdicts with value and limit, and what was not checked."""
    done, _ = shown
    assert 0 == done.exit_code, done.output
    for text in (find_case("roast").says, "normalized", "raw_fahrenheit", "fixed (2)", "persistence", "baseline"):
        assert text in done.output
    for text in ("raw_loss_hardly_falls", "holds", "0.028", "0 fail, 2 not checked", "no folder 'golden'", "4 runs"):
        assert text in done.output
    assert "all as it should be" in done.output


def test_run_ends_with_before_and_after(invoke, tmp_path):
    """A Markdown row for every guarded metric: bug, fix, mean [min, max] of both, and what trivial predictors score."""
    guarded = brief("raw_loss_hardly_falls", guard="raw_fahrenheit")
    done = invoke("run", "roast", "--jobs", "1", "--json", "out.json", case=guarded)
    variants = json.loads((tmp_path / "out.json").read_text())["cases"]["roast"]["variants"]
    values = [variants[name]["metrics"]["rmse_f"]["values"] for name in ("raw_fahrenheit", "normalized")]
    before, after = (f"{sum(two) / 2:.3g} [{min(two):.3g}, {max(two):.3g}]" for two in values)
    row = only_line(done.output, "| roast | rmse_f |")
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert ["roast", "rmse_f", "raw_fahrenheit", "normalized"] == [cells[i] for i in (0, 1, 2, 4)]
    assert float(cells[3].split()[0]) > 100  # six steps of raw targets go nowhere
    assert [before, f"{after} (2 seeds)"] == [cells[3], cells[5]]
    assert "persistence" in cells[6]


def test_baselines_of_other_data_are_kept_apart():
    """Two kinds of data have two sets of baselines, each the mean over the seeds of its fullest variant."""
    runs = by_variant(train(brief(), ["normalized", "raw_fahrenheit"], [0, 1]))
    other = [
        replace(run, baselines=(Baseline(name="mean", says="other data", metrics={"rmse_f": 7.0 + run.seed}),))
        for run in runs["normalized"]
    ]
    baselines = mean_baselines({**runs, "normalized": runs["normalized"][:1], "late": other})
    assert ["mean", "mean_curve", "persistence", "mean (late)"] == list(baselines)
    assert {"rmse_f": 7.5} == baselines["mean (late)"]
    both = [run.baselines[0].metrics["rmse_f"] for run in runs["raw_fahrenheit"]]
    assert pytest.approx(sum(both) / 2) == baselines["mean"]["rmse_f"]


def test_run_exits_1_where_a_claim_fails(invoke):
    """Six steps do not beat the mean: the claim fails and so does the run."""
    done = invoke("run", "roast", "--jobs", "1", case=brief("normalized_beats_mean"))
    assert 1 == done.exit_code
    assert "FAILS" in done.output
    assert "fails: roast" in done.output


def test_missing_golden_of_a_case_that_the_project_does_not_name_asks_for_that_first(invoke, tmp_path):
    """`goldmark golden update` would refuse it; where the project names the case, that command is all."""
    (tmp_path / "golden").mkdir()
    done = " ".join(invoke("run", "roast", "--seeds", "1", "--jobs", "1").output.split())
    create = 'create it: goldmark golden update roast --reason "..."'
    assert f"; name 'goldmark.cases.roast:CASE' in goldmark_cases of the project, and {create}" in done
    (tmp_path / "pytest.ini").write_text("[pytest]\ngoldmark_cases = goldmark.cases.roast:CASE\n")
    assert f"no golden in 'golden'; {create}" in " ".join(invoke("run", "roast", "--seeds", "1").output.split())


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


def test_a_project_keeps_runs_and_another_command_reads_them(invoke, tmp_path):
    """The same JSON from runs that are read, at once; a change of the case, and --fresh, train again and say why."""
    (tmp_path / "pytest.ini").write_text("[pytest]\ngoldmark_runs_dir = kept")
    first = invoke("run", "roast", "--jobs", "1", "--json", "first.json")
    again = invoke("run", "roast", "--jobs", "1", "--json", "again.json")
    assert "roast: 0 runs read, 4 trained (no run yet)" in first.output
    assert "roast: 4 runs read, 0 trained" in again.output
    assert json.loads((tmp_path / "first.json").read_text()) == json.loads((tmp_path / "again.json").read_text())
    assert 4 == len(list((tmp_path / "kept" / "runs").rglob("*.json")))
    case = brief("raw_loss_hardly_falls")
    changed = replace(case, settings=replace(case.settings, steps=2))
    assert "0 runs read, 4 trained (steps 6 -> 2)" in invoke("run", "roast", "--jobs", "1", case=changed).output
    fresh = invoke("run", "roast", "--jobs", "1", "--seeds", "1", "--fresh", case=changed)
    assert "roast: 0 runs read, 2 trained (all are trained anew)" in fresh.output


def test_no_runs_are_kept_outside_of_a_project(invoke, tmp_path):
    """An empty folder stays empty, and nothing is said of runs that were read."""
    done = invoke("run", "roast", "--jobs", "1", "--seeds", "1")
    assert "runs read" not in done.output
    assert [] == list(tmp_path.iterdir())


def layout(value):
    """JSON with the kind of every value in its place, and of a list its first entry."""
    if isinstance(value, dict):
        return {key: layout(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [layout(entry) for entry in value[:1]]
    return type(value).__name__


def test_json_has_the_documented_layout(invoke, tmp_path, snapshot):
    """Schema 1: means, extremes and values of every seed, baselines, claims, goldens, fingerprint; strict JSON."""
    done = invoke("run", "roast", "--seeds", "1", "--jobs", "1", "--json", "out.json")
    assert 0 == done.exit_code, done.output
    whole = json.loads((tmp_path / "out.json").read_text(), parse_constant=pytest.fail)
    assert snapshot == json.dumps(layout(whole), indent=1)
    assert 1 == whole["schema"]
    roast = whole["cases"]["roast"]
    assert {"says", "seeds", "variants", "baselines", "claims", "goldens", "failures"} == set(roast)
    assert [0] == roast["seeds"]
    fixed = roast["variants"]["normalized"]
    declared = find_case("roast").variant("normalized")
    assert {"role": "fixed", "of": None, "says": declared.says} == {key: fixed[key] for key in ("role", "of", "says")}
    rmse = fixed["metrics"]["rmse_f"]
    assert [rmse["mean"]] == rmse["values"] == [rmse["min"]] == [rmse["max"]]
    assert {"mean", "mean_curve", "persistence"} == set(roast["baselines"])
    assert 0.0 == roast["baselines"]["mean"]["skill_vs_mean"]
    assert {"name": "roast/normalized", "ok": None, "reason": "no folder 'golden'"} == roast["goldens"][0]


def test_json_and_table_hold_the_numbers_of_every_claim(shown):
    """Value, relation, limit, worst seed and the record's number, for the claim and for its part, from the runs."""
    done, roast = shown
    values = roast["variants"]["raw_fahrenheit"]["metrics"]["val_loss_reduction"]["values"]
    assert ["raw_loss_hardly_falls"] == [claim["name"] for claim in roast["claims"]]
    claim = roast["claims"][0]
    numbers = {"ok": True, "value": max(values), "relation": "<=", "limit": 0.1, "n_seeds": 2}
    numbers |= {"worst_seed": values.index(max(values)), "distance_sd": pytest.approx((0.1 - max(values)) / sd(values))}
    declared = find_case("roast").claim("raw_loss_hardly_falls")
    told = {"name": declared.name, "says": declared.says, "source": declared.source, "documented": 0.028}
    part = {"says": "val_loss_reduction of 'raw_fahrenheit', every seed", **numbers}
    assert told | numbers | {"parts": [part]} == claim
    row = only_line(done.output, "raw_loss_hardly_falls")
    cells = [cell.strip() for cell in row.split("│")[1:-1]]
    assert ["raw_loss_hardly_falls", "holds", f"{max(values):.3g}", "<= 0.1", "2", "0.028"] == cells[:6]


def test_claim_of_several_parts_shows_each(invoke, tmp_path):
    """A row and a JSON object for each limit, with its own verdict: one part holds, and the other does not."""
    case = brief("collapse_is_a_flat_curve")
    check = all_of(
        every_seed("normalized", "rmse_f", "<=", 0.5), every_seed("raw_fahrenheit", "generated_variance", "<=", 1.0)
    )
    case = replace(case, claims=(replace(case.claims[0], check=check),))
    done = invoke("run", "roast", "--jobs", "1", "--json", "out.json", case=case)
    claims = json.loads((tmp_path / "out.json").read_text())["cases"]["roast"]["claims"]
    assert ["collapse_is_a_flat_curve"] == [claim["name"] for claim in claims]
    claim = claims[0]
    parts = {part["says"]: (part["ok"], part["relation"], part["limit"]) for part in claim["parts"]}
    assert {
        "rmse_f of 'normalized', every seed": (False, "<=", 0.5),
        "generated_variance of 'raw_fahrenheit', every seed": (True, "<=", 1.0),
    } == parts
    assert (1, False) == (done.exit_code, claim["ok"])
    for part in parts:
        assert part in done.output


def sd(values):
    """The sd of two values: their difference over the root of 2."""
    return abs(values[0] - values[1]) / 2**0.5


def test_table_holds_mean_sd_and_extremes(shown):
    """Mean (sd) and, below, [min, max] of every metric, as the JSON file has them value by value."""
    done, roast = shown
    metric = roast["variants"]["normalized"]["metrics"]
    values = metric["rmse_f"]["values"]
    lines = done.output.splitlines()
    place = next(
        i for i, line in enumerate(lines) if line.split("│")[1:2] == [" normalized "] or " normalized " in line
    )
    header = next(i for i, line in enumerate(lines) if "rmse_f" in line)
    column = [cell.strip() for cell in lines[header].split("┃")].index("rmse_f")
    shown = [lines[i].split("│")[column].strip() for i in (place, place + 1)]
    mean = sum(values) / 2
    assert [f"{mean:.3g} ({sd(values):.3g})", f"[{min(values):.3g}, {max(values):.3g}]"] == shown
    assert {"mean": mean, "sd": pytest.approx(sd(values)), "min": min(values), "max": max(values)} == {
        name: metric["rmse_f"][name] for name in ("mean", "sd", "min", "max")
    }


@pytest.mark.slow
def test_users_file_is_judged_by_the_claims_that_hold_on_any_data(invoke, tmp_path):
    """Those of the synthetic data alone are left out, by name."""
    path = tmp_path / "profiles.jsonl"
    path.write_text("\n".join(json.dumps(profile(i)) for i in range(12)))
    small = brief(*(claim.name for claim in find_case("roast").claims))
    small = replace(small, claims=tuple(c for c in small.claims if {"normalized", "raw_fahrenheit"} >= set(c.variants)))
    invoke("run", "roast", "--data", str(path), "--jobs", "1", "--json", "out.json", case=small)
    claims = json.loads((tmp_path / "out.json").read_text())["cases"]["roast"]["claims"]
    assert ["normalized_beats_mean", "normalizing_is_the_fix"] == [claim["name"] for claim in claims]
    assert "collapse_is_a_flat_curve" in [claim.name for claim in small.claims]


def profile(i):
    """A measured roast of one of four products, ten minutes long."""
    curve = [200.0 + i + second / 4 for second in range(600)]
    bean = {"origin": "a", "process": "b", "roast_level": "c", "variety": "d", "target_finish_temp_f": 400 + i}
    return {"id": f"product{i % 4}-{i}", "bean_temp_f": curve, **bean}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["run", "toast"],
            "goldmark: there is no case 'toast'; there are: roast, eeg, expansion, poetry; a project names its own",
        ),
        (["run", "roast", "--data", "missing.jsonl"], "missing.jsonl: cannot be read (No such file or directory)"),
        (
            ["run", "--data", "x.jsonl"],
            "--data takes one case that reads a file: roast (JSON Lines of roast profiles), eeg (npz",
        ),
        (["run", "roast", "eeg", "--data", "x.jsonl"], "--data takes one case that reads a file: roast ("),
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


class Evaluated(RoastCase):
    """A case that evaluates its trained models, and takes a file of weather beside the profiles."""

    def evaluations(self, model, data, settings):
        """A number and a word that follow from the seed's data."""
        first = float(data["val_temp_f"][0, 0])
        return {"forced": {"first_temp_f": first, "verdict": "warm" if first > 390 else "cold", "nothing": math.nan}}

    def on_file(self, path, companions):
        """The same case, which remembers what it was given."""
        return replace(self, says=f"{path.name} with {sorted((k, v.name) for k, v in companions.items())}")


@pytest.fixture
def evaluated(monkeypatch):
    """That case, in the catalogue too."""
    small = brief()
    declared = {field.name: getattr(small, field.name) for field in fields(small)}
    case = Evaluated(**declared | {"companions": {"weather": "CSV of days"}})
    monkeypatch.setattr("goldmark.cli._companions.CASES", {"roast": case, "eeg": CASES["eeg"]})
    return case


@pytest.mark.slow
def test_evaluations_are_shown_and_written_where_asked_for(invoke, tmp_path, evaluated):
    """Means over seeds of numbers, counts of words; a value of every seed in the JSON; kept with the run."""
    plain = invoke("run", "roast", "--jobs", "1", "--out", "plain", "--json", "plain.json", case=evaluated)
    done = invoke("run", "roast", "--jobs", "1", "--out", "kept", "--evaluate", "--json", "out.json", case=evaluated)
    assert ["first_temp_" in output for output in (plain.output, done.output)] == [False, True]
    first, again = (json.loads((tmp_path / f"{name}.json").read_text())["cases"]["roast"] for name in ("plain", "out"))
    assert {} == first["variants"]["normalized"].pop("evaluations")
    forced = again["variants"]["normalized"].pop("evaluations")["forced"]
    assert first["variants"]["normalized"] == again["variants"]["normalized"]
    temps, words = (forced[name]["values"] for name in ("first_temp_f", "verdict"))
    assert 2 == len(temps) == len(set(temps))
    assert sum(temps) / 2 == pytest.approx(forced["first_temp_f"]["mean"])
    assert {word: words.count(word) for word in words} == forced["verdict"]["counts"]
    assert [None, None] == forced["nothing"]["values"]
    resumed = invoke("run", "--resume", "kept", "--json", "again.json", "--jobs", "1", case=evaluated)
    assert "4 of 4 runs are there already" in resumed.output
    assert (tmp_path / "out.json").read_bytes() == (tmp_path / "again.json").read_bytes()


@pytest.mark.slow
def test_companion_goes_with_the_users_file(invoke, tmp_path, evaluated):
    """An option for each that a case declares; --resume asks for it again, by its whole path."""
    options = ("--data", "bars.csv", "--weather", "weather.csv", "--seeds", "1", "--jobs", "1", "--out", "kept")
    done = invoke("run", "roast", *options, case=evaluated)
    assert "bars.csv with [('weather', 'weather.csv')]" in done.output
    asked = json.loads((tmp_path / "kept" / "run.json").read_text())["run"]
    assert {"weather": str(tmp_path / "weather.csv")} == asked["companions"]
    resumed = invoke("run", "--resume", "kept", case=evaluated)
    assert "bars.csv with [('weather', 'weather.csv')]" in resumed.output
    assert "--weather PATH" in invoke("run", "--help").output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["eeg", "--data", "x.npz"], "--weather w.csv: case 'eeg' takes none; it goes with: roast"),
        (["roast"], "--weather w.csv: it goes with a file of your own; name that with --data FILE"),
        (["--resume", "kept"], "leave out: --weather"),
    ],
)
def test_companion_that_nobody_takes_is_refused(invoke, tmp_path, evaluated, arguments, message):
    """The value, what would be right, the way out; no file appears."""
    done = invoke("run", *arguments, "--weather", "w.csv", case=evaluated)
    assert (2, True) == (done.exit_code, message in done.stderr), done.output
    assert [] == list(tmp_path.iterdir())


@pytest.mark.slow
def test_goldens_are_those_of_the_project(invoke, tmp_path):
    """The folder is the one of the pytest configuration that is found upwards."""
    (tmp_path / "pytest.ini").write_text("[pytest]\ngolden_dir = approved\n")
    assert "no folder 'approved'" in invoke("run", "roast", "--seeds", "1", "--jobs", "1").output


def test_usage_errors_are_values_too():
    """Library users catch them as `ValueError`."""
    assert issubclass(UsageError, ValueError)
