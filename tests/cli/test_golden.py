"""`goldmark golden` in a project of its own: one case, which fits a line in well under a second."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from cli.fitted_line import line
from click.testing import CliRunner

from goldmark.cli import program
from goldmark.golden import Golden, Result, statistical_entry
from goldmark.golden._files.folder import find_golden, golden_names
from goldmark.golden._files.format import to_bytes
from goldmark.golden._update.apply import apply_update

INI = "[pytest]\ngoldmark_cases = line_case:CASE\ngolden_dir = tests/golden\n"


def call(monkeypatch, folder, *arguments, case=None, ini=INI):
    """Run `goldmark golden` in a folder below the project's root."""
    monkeypatch.setitem(sys.modules, "line_case", SimpleNamespace(CASE=case or line()))
    (folder / "tests").mkdir(exist_ok=True)
    (folder / "pytest.ini").write_text(ini)
    monkeypatch.chdir(folder / "tests")
    return CliRunner(env={"COLUMNS": "160"}).invoke(program, ["golden", *arguments], catch_exceptions=False)


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    """Run `goldmark golden` in a project without goldens."""
    return lambda *arguments, **changes: call(monkeypatch, tmp_path, *arguments, **changes)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A project with goldens written by `update`, and what it printed."""
    folder = tmp_path_factory.mktemp("recorded")
    with pytest.MonkeyPatch.context() as monkeypatch:
        done = call(monkeypatch, folder, "update", "line", "--reason", "first", "--jobs", "1")
    assert 0 == done.exit_code, done.output
    return folder, done.output


@pytest.fixture
def invoke_recorded(recorded, monkeypatch):
    """Run `goldmark golden` beside the recorded goldens."""
    return lambda *arguments, **changes: call(monkeypatch, recorded[0], *arguments, **changes)


@pytest.mark.slow
def test_update_writes_goldens_and_prints_its_review(recorded):
    """Both variants, in the folder of the ini file, with the reason, and one line of the table for each."""
    folder, output = recorded
    assert "2 written, 0 unchanged in golden" in output
    assert 2 == output.count("(new)")
    assert ["line/fitted", "line/slow"] == golden_names(folder / "tests" / "golden")
    assert "first" == find_golden(folder / "tests" / "golden", "line/fitted").provenance[0].reason


@pytest.mark.parametrize("command", ["update", "diff", "confirm"])
def test_a_project_without_cases_trains_nothing(invoke, tmp_path, command):
    """Exit status 2 and one line with the way out, also where the catalogue has a case of that name."""
    (tmp_path / "golden" / "roast").mkdir(parents=True)
    (tmp_path / "golden" / "roast" / "normalized.json").write_text("{}" if command != "confirm" else golden_text())
    reason = ("--reason", "x") if command == "update" else ()
    name = "roast/normalized" if command == "confirm" else "roast"
    done = invoke(command, name, *reason, ini="[pytest]\n")
    assert 2 == done.exit_code
    assert 1 == done.output.count("\n"), done.output
    assert "has no cases: name them in its pytest configuration, goldmark_cases = module:ATTRIBUTE" in done.output


def golden_text():
    """A golden of nothing but a name."""
    return to_bytes(Golden(name="roast/normalized", exact={"n": 1})).decode()


@pytest.mark.parametrize(
    ("ini", "says"),
    [
        ("goldmark_cases = no_such_module:CASE", "goldmark_cases names 'no_such_module:CASE' (ModuleNotFoundError: No"),
        ("goldmark_cases = line_case:OTHER", "goldmark_cases names 'line_case:OTHER' ("),
        (
            "goldmark_cases = json:dumps",
            "goldmark_cases names 'json:dumps', which is a function; write module:ATTRIBUTE",
        ),
        ("goldmark_cases =\n line_case:CASE\n line_case:CASE", "names two cases 'line'"),
        ("golden_budget = lots", "golden_budget is 'lots'; give what all alphas may add up to, such as 0.04 or 4%"),
        ("minversion = 99", "pytest cannot read its configuration"),
        ("required_plugins = no-such-plugin", "pytest cannot read its configuration"),
    ],
)
def test_a_configuration_that_cannot_be_is_named(invoke, ini, says):
    """Exit status 2 and what to write instead."""
    done = invoke("update", "line", "--reason", "x", ini=f"[pytest]\n{ini}\n")
    assert (2, True) == (done.exit_code, says in done.output), done.output


def test_a_warning_of_pytest_is_no_error_of_a_command(invoke):
    """Where the project makes errors of warnings, and its `testpaths` are not there: it is read all the same."""
    done = invoke("status", ini="[pytest]\ntestpaths = nowhere\nfilterwarnings = error\n")
    assert (2, True) == (done.exit_code, done.output.startswith("goldmark: no goldens in '")), done.output


def test_an_unknown_case_is_answered_with_the_known_ones(invoke):
    """Those of the project, not of the catalogue."""
    done = invoke("update", "roast", "--reason", "x")
    says = "has no case 'roast'; it has: line; name others in goldmark_cases, also those of installed packages\n"
    assert (2, True) == (done.exit_code, done.output.endswith(says)), done.output


@pytest.mark.parametrize("where", ["ini", "addopts", "environment", "option"])
def test_the_folder_is_that_of_the_project(recorded, monkeypatch, where):
    """The ini option counts from the root; `--golden-dir` from here, wherever it is said."""
    ini = "[pytest]\naddopts = --no-such-option" + (" --golden-dir=golden" if where == "addopts" else "")
    ini += "\ngolden_dir = tests/golden\n" if where == "ini" else "\ngolden_dir = elsewhere\n"
    if where == "environment":
        monkeypatch.setenv("PYTEST_ADDOPTS", "-q --golden-dir golden")
    option = ("--golden-dir", "golden") if where == "option" else ()
    assert 0 == call(monkeypatch, recorded[0], "status", *option, ini=ini).exit_code


def test_status_shows_what_goldens_see(invoke_recorded):
    """Each metric that gates, the bug that it is shown to see or nothing, and how far away that is."""
    done = invoke_recorded("status")
    assert 0 == done.exit_code
    for text in (
        "line/fitted",
        "line/slow",
        "slow, ",
        "nothing",
        "detectable effects",
        "2 gating metrics, alphas of 0.002",
        "held here",
        "1 repeat",
        "Held on this machine: of 2 goldens with metrics 0 were recorded in another environment",
    ):
        assert text in done.output


@pytest.mark.parametrize(("budget", "status"), [("0.2%", 0), ("0.002", 0), ("0.0013", 1)])
def test_status_holds_the_alphas_against_the_budget(invoke_recorded, tmp_path, budget, status):
    """Past it the exit status is 1 and the alpha is named that would fit; nothing is changed."""
    written = tmp_path / "status.json"
    done = invoke_recorded("status", "--json", str(written), ini=f"{INI}golden_budget = {budget}\n")
    assert status == done.exit_code
    assert bool(status) == ("over budget: the alphas of 2 gating metrics add up to 0.002, more than" in done.output)
    assert bool(status) == ("golden_budget = 0.0013; an alpha of 0.00065 for each would fit" in done.output)
    document = json.loads(written.read_text())
    assert pytest.approx(0.002) == document["alphas"]
    assert bool(status) == (document["over_budget"] is not None)


def test_status_as_json_says_what_the_table_says(recorded, invoke_recorded, tmp_path):
    """Schema 1, every golden, the gating metrics with their numbers, the rate, no budget and no doubt."""
    assert 0 == invoke_recorded("status", "--json", str(tmp_path / "status.json")).exit_code
    document = json.loads((tmp_path / "status.json").read_text())
    assert (1, ["line/fitted", "line/slow"]) == (document["schema"], [g["name"] for g in document["goldens"]])
    entry = find_golden(recorded[0] / "tests" / "golden", "line/fitted").statistical["rmse"]
    (proven,), (unproven,) = (golden["gating"] for golden in document["goldens"])
    assert ("rmse", "slow", 7) == (proven["metric"], proven["guard"], proven["n_seeds"])
    stated = (entry.margin, entry.detectable, entry.effect, entry.effect / entry.detectable)
    assert stated == tuple(proven[name] for name in ("margin", "detectable", "effect", "effects_away"))
    assert (None, None, None) == tuple(unproven[name] for name in ("guard", "effect", "effects_away"))
    assert (pytest.approx(1 - (1 - entry.alpha) ** 2), []) == (document["false_alarm_rate"], document["doubts"])
    held = {"gating": 1, "repeating": 1, "changed": []}
    assert [held, held] == [golden["held_here"] for golden in document["goldens"]]
    assert (None, "first") == (document["budget"], document["goldens"][0]["written"]["reason"])


def test_status_names_goldens_in_doubt(recorded, monkeypatch, tmp_path):
    """One edited and sealed again, one truncated: both are named, the exit status is 1, the others are shown."""
    folder = shutil.copytree(recorded[0] / "tests" / "golden", tmp_path / "tests" / "golden")
    path = folder / "line" / "fitted.json"
    golden = find_golden(folder, "line/fitted")
    metric = golden.statistical["rmse"]
    edited = {**golden.statistical, "rmse": replace(metric, values={**metric.values, "0": 1.0})}
    path.write_bytes(to_bytes(replace(golden, statistical=edited)))
    done = call(monkeypatch, tmp_path, "status", "--json", "status.json")
    assert 1 == done.exit_code
    assert "in doubt: line/fitted: rmse: sd, detectable, effect are not what its values give" in done.output
    doubtful = json.loads((tmp_path / "tests" / "status.json").read_text())["doubts"]
    assert {"line/fitted"} == {doubt.partition(":")[0] for doubt in doubtful}
    path.write_text("{")
    done = call(monkeypatch, tmp_path, "status")
    assert "fitted.json is not a golden that can be trusted" in done.output
    assert "1 goldens, 1 gating metrics" in done.output


@pytest.mark.parametrize("command", ["status", "diff", "update", "confirm", "mv", "prune", "migrate"])
def test_help_has_an_example(invoke, command):
    """Each command shows how it is called."""
    assert f"goldmark golden {command}" in invoke(command, "--help").output


def test_json_into_a_missing_folder_is_wrong_use(invoke_recorded):
    """It is said before anything is trained."""
    done = invoke_recorded("diff", "line", "--json", "nowhere/diff.json")
    assert (2, True) == (done.exit_code, "there is no folder" in done.output)


def test_diff_of_unchanged_code_is_empty(invoke_recorded):
    """Nothing would change: exit status 0."""
    done = invoke_recorded("diff", "--jobs", "1")
    assert (0, "nothing would change") == (done.exit_code, done.output.splitlines()[-1])


def test_diff_names_what_an_update_would_confirm(recorded, invoke_recorded):
    """Other code that gives the same values is no difference."""
    path = recorded[0] / "tests" / "golden" / "line" / "slow.json"
    before, golden = path.read_bytes(), find_golden(recorded[0] / "tests" / "golden", "line/slow")
    (origin,) = golden.provenance
    path.write_bytes(to_bytes(replace(golden, provenance=(replace(origin, sources={"line.py": "00"}),))))
    done = invoke_recorded("diff", "line", "--jobs", "1")
    path.write_bytes(before)
    expected = ["nothing would change", "1 would be confirmed as they are, their sources noted: line/slow"]
    assert (0, expected) == (done.exit_code, done.output.splitlines()[-2:])


def test_diff_tells_a_change_and_writes_nothing(recorded, invoke_recorded, tmp_path):
    """Another learning rate: exit status 1, the recipe named, the golden as it was."""
    written = ("--json", str(tmp_path / "diff.json"))
    done = invoke_recorded("diff", "line", "--jobs", "1", *written, case=line(lr=5e-2))
    assert 1 == done.exit_code
    assert "recipe" in done.output
    document = json.loads((tmp_path / "diff.json").read_text())
    assert (1, ["line/slow"]) == (document["schema"], document["unchanged"])
    for change in document["changes"]:
        assert any(all(text in row for text in change.values()) for row in done.output.splitlines())
    assert 1 == len(find_golden(recorded[0] / "tests" / "golden", "line/fitted").provenance)


def test_update_without_reason_trains_and_writes_nothing(invoke, tmp_path):
    """Exit status 2, the way out, no golden."""
    done = invoke("update", "line")
    assert 2 == done.exit_code
    assert 'nothing written: no reason was given; say why the results change: --reason "..."' in done.output
    assert [] == list((tmp_path / "tests" / "golden").rglob("*.json"))


def test_failing_claim_cannot_be_blessed(invoke, tmp_path):
    """A claim that fails stops the update, whatever the reason."""
    done = invoke("update", "line", "--reason", "please", "--jobs", "1", case=line(limit=0.01))
    assert 1 == done.exit_code
    assert "nothing written: claims of case 'line' fail:" in done.output
    assert "fits: it fits" in done.output
    assert [] == list((tmp_path / "tests" / "golden").rglob("*.json"))


def test_golden_that_cannot_see_its_bug_is_refused(invoke, tmp_path):
    """A bug that does not move the metric is no guard."""
    done = invoke("update", "line", "--reason", "x", "--jobs", "1", case=line(guard="fitted"))
    assert 2 == done.exit_code
    assert "nothing written: this must not be recorded:" in done.output
    assert [] == list((tmp_path / "tests" / "golden").rglob("*.json"))


def test_prune_runs_the_tests_of_the_project(invoke, tmp_path):
    """From a folder below the root: the golden of a test outside `testpaths` stays, that of one that is gone goes."""
    for path in ("unit/test_u.py", "slow/test_s.py"):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text("def test_x(golden):\n    golden.exact({'n': 1})\n")
    names = {"unit/test_u/test_x": "unit/test_u.py", "slow/test_s/test_x": "slow/test_s.py", "gone/test_x": "gone.py"}
    results = {name: Result(name=name, exact={"n": 1}, recorded_by=f"{file}::test_x") for name, file in names.items()}
    apply_update(tmp_path / "tests" / "golden", results, "first")
    ini = "[pytest]\ntestpaths = unit\ngolden_dir = tests/golden\n"
    quiet = [
        part
        for plugin in ("cacheprovider", "xdist", "randomly", "hypothesispytest", "benchmark")
        for part in ("-p", f"no:{plugin}")
    ]
    done = invoke("prune", *quiet, ini=ini)
    assert 0 == done.exit_code
    assert ["slow/test_s/test_x", "unit/test_u/test_x"] == golden_names(tmp_path / "tests" / "golden")


def test_migrate_counts_what_it_rewrote(invoke_recorded):
    """A folder of this version has nothing to migrate."""
    done = invoke_recorded("migrate")
    assert (0, "0 of 2 goldens migrated in golden\n") == (done.exit_code, done.output)


@pytest.mark.parametrize(
    "arguments", [("status",), ("migrate",), ("confirm", "line/fitted"), ("mv", "line/fitted", "line/good")]
)
def test_missing_goldens_are_wrong_use(invoke, arguments):
    """Exit status 2, with the folder and the way out."""
    done = invoke(*arguments)
    assert 2 == done.exit_code
    assert "no goldens in 'golden'; name their folder with --golden-dir" in done.output


def test_a_golden_that_is_not_there_is_answered_with_those_that_are(invoke_recorded):
    """Exit status 2 and the names."""
    for arguments in (("confirm", "line/good"), ("mv", "line/good", "line/better")):
        done = invoke_recorded(*arguments)
        assert 2 == done.exit_code
        assert "there is no golden 'line/good' in " in done.output
        assert "; it has: line/fitted, line/slow" in done.output


def test_plan_shows_what_each_number_of_seeds_detects(invoke, recorded, tmp_path):
    """A row for each number of seeds, power against the guard's effect, and how many would be enough."""
    folder, _ = recorded
    done = invoke("plan", "line/fitted", "--golden-dir", str(folder / "tests" / "golden"), "--json", "plan.json")
    assert 0 == done.exit_code
    assert "rmse: t, identity scale, alpha 0.001, detects; power against a shift of" in " ".join(done.output.split())
    assert "enough for power .9" in done.output
    checks = json.loads((tmp_path / "tests" / "plan.json").read_text())["checks"]
    assert [5, 8, 12, 16, 24, 32] * 3 == [check["seeds"] for check in checks]
    assert [0.025, 0.05, 0.1] == sorted({check["margin"] for check in checks})
    assert all(check["power"] > 0.9 for check in checks)  # a model that hardly moves is far off


def test_status_and_plan_say_which_metrics_are_checked_sequentially(invoke, tmp_path):
    """The test of the metric, and a row with what its looks detect."""
    values = {str(seed): 1.0 + 0.01 * (7 * seed % 13) for seed in range(20)}
    entry = statistical_entry(values, scale="identity", margin=0.05, sequential=True)
    apply_update(tmp_path / "tests" / "golden", {"looks": Result(name="looks", statistical={"rmse": entry})}, "a test")
    assert "t, sequential" in invoke("status").output
    planned = invoke("plan", "looks", "--seeds", "20", "--margin", "0.05").output
    assert "looks at 5, 10, 20" in planned
    assert f"{entry.detectable:.3g}" in planned


def test_plan_takes_values_of_a_file(invoke, tmp_path):
    """Margins in percent put them on the log scale; seeds, effect and alpha may be given."""
    (tmp_path / "values.json").write_text('{"loss": [0.07, 0.08, 0.06, 0.075, 0.068]}')
    options = ("--margin", "1%", "--margin", "5%", "--effect", "30%", "--seeds", "12", "--alpha", "0.01")
    done = invoke("plan", "--values", str(tmp_path / "values.json"), *options)
    assert 0 == done.exit_code
    assert "loss: t, log scale, alpha 0.01" in done.output
    assert all(text in done.output for text in ("margin 1 %", "margin 5 %", "12"))


@pytest.mark.parametrize(
    ("content", "arguments", "says"),
    [
        (None, (), "plan takes the name of a golden or --values FILE"),
        ("[1]", (), "holds no values by metric"),
        ("{", (), "is not JSON"),
        ('{"f1": [1.0]}', (), "'f1' is [1.0]; give the values of two seeds or more"),
        ('{"f1": ["a", "b"]}', (), "give the values of two seeds or more"),
        ('{"f1": [0.0, 1.0]}', ("--margin", "2%"), "'f1' has values without a place on the log scale"),
        ('{"f1": [0.5, 1.0]}', ("--margin", "wide"), "'wide' is no number; give one in the metric's unit"),
        (
            '{"f1": [0.5, 1.0]}',
            ("--effect", "2%"),
            "2% is a percentage, on the log scale; this metric is on the identity",
        ),
        ('{"f1": [0.5, 1.0]}', ("--alpha", "7"), "alpha is 7.0; give a false-alarm rate"),
    ],
)
def test_plan_names_what_is_wrong_with_its_values(invoke, tmp_path, content, arguments, says):
    """Exit status 2 and one line with what would be right."""
    (tmp_path / "values.json").write_text(content or "")
    named = () if content is None else ("--values", str(tmp_path / "values.json"))
    done = invoke("plan", *named, *arguments)
    assert 2 == done.exit_code
    assert says in " ".join(done.output.split())


def test_update_measures_margins_against_innocent_changes(recorded):
    """The fixed variant that gates was trained with one ulp in one weight and with two threads; the broken one not."""
    folder, _ = recorded
    fitted, slow = (find_golden(folder / "tests" / "golden", f"line/{name}") for name in ("fitted", "slow"))
    null = fitted.statistical["rmse"].null_values
    assert {"one ulp in one weight", "two threads"} == set(null)
    assert set(fitted.statistical["rmse"].values) == set(null["one ulp in one weight"])
    assert {"0", "1", "2", "3", "4"} == set(null["two threads"])
    assert slow.statistical["rmse"].null_values is None
