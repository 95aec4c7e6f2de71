"""`goldmark golden`: status, diff, update and confirm on short real trainings."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from click.testing import CliRunner

from goldmark.cases import find_case
from goldmark.claims import every_seed
from goldmark.cli import program
from goldmark.golden._files.folder import find_golden
from goldmark.golden._files.format import read, to_bytes

CLAIMS = {"holds": "raw_loss_hardly_falls", "fails": "normalized_beats_mean"}


def brief(claim="holds", guard=None, **settings):
    """The roast case cut down to two variants, seven seeds and 14 steps."""
    roast = find_case("roast")
    kept = [v for v in roast.variants if v.name in ("normalized", "raw_targets")]
    variants = [replace(v, guards=(guard or {"rmse_f": "raw_targets"}) if v.role == "fixed" else {}) for v in kept]
    claims = [roast.claim(CLAIMS[claim])]
    if claim == "holds":
        claims = [replace(claims[0], check=every_seed("raw_targets", "val_loss_reduction", "<=", 0.1))]
    short = replace(
        roast.settings, **{"steps": 14, "n_train": 8, "n_val": 4, "length": 12, "layers": 1, "lr": 1e-2} | settings
    )
    return replace(roast, seeds=7, settings=short, variants=tuple(variants), claims=tuple(claims))


def call(monkeypatch, folder, *arguments, case=None):
    """Run `goldmark golden` in a folder on a shortened case."""
    chosen = case or brief()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("goldmark.cli._golden.find_case", lambda name: chosen)
    monkeypatch.setattr("goldmark.golden._catalogue.case_at", lambda name, scale: chosen)
    return CliRunner(env={"COLUMNS": "160"}).invoke(program, ["golden", *arguments], catch_exceptions=False)


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    """Run `goldmark golden` in an empty folder."""
    return lambda *arguments, case=None: call(monkeypatch, tmp_path, *arguments, case=case)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A folder with goldens written by `update`, and what it printed."""
    folder = tmp_path_factory.mktemp("recorded")
    with pytest.MonkeyPatch.context() as monkeypatch:
        done = call(monkeypatch, folder, "update", "roast", "--reason", "first", "--jobs", "1")
    assert 0 == done.exit_code, done.output
    return folder, done.output


@pytest.fixture
def invoke_recorded(recorded, monkeypatch):
    """Run `goldmark golden` beside the recorded goldens."""
    return lambda *arguments, case=None: call(monkeypatch, recorded[0], *arguments, case=case)


def test_update_writes_goldens_and_prints_its_review(recorded):
    """Both variants, with the reason in the file, and one line of the table for each."""
    folder, output = recorded
    assert "2 written, 0 unchanged" in output
    assert 2 == output.count("(new)")
    assert ["roast"] == sorted(path.name for path in (folder / "golden").iterdir() if path.name != ".update")
    assert "first" == find_golden(folder / "golden", "roast/normalized").provenance[0].reason


def test_status_shows_what_goldens_see(invoke_recorded):
    """Each golden, its guard, and how many detectable effects away the bug is."""
    done = invoke_recorded("status")
    assert 0 == done.exit_code
    for text in ("roast/normalized", "roast/raw_targets", "raw_targets, ", "detectable effects", "1 guarded metrics"):
        assert text in done.output


def test_status_as_json_says_what_the_table_says(recorded, invoke_recorded, tmp_path):
    """Schema 1, every golden, the guarded metric with its numbers, the rate, and no doubt."""
    assert 0 == invoke_recorded("status", "--json", str(tmp_path / "status.json")).exit_code
    said = json.loads((tmp_path / "status.json").read_text())
    assert (1, ["roast/normalized", "roast/raw_targets"]) == (said["schema"], [g["name"] for g in said["goldens"]])
    entry = find_golden(recorded[0] / "golden", "roast/normalized").statistical["rmse_f"]
    (guarded,) = said["goldens"][0]["guarded"]
    assert ("rmse_f", "raw_targets", 7) == (guarded["metric"], guarded["guard"], guarded["n_seeds"])
    stated = (entry.margin, entry.detectable, entry.effect, entry.effect / entry.detectable)
    assert stated == tuple(guarded[name] for name in ("margin", "detectable", "effect", "effects_away"))
    assert (pytest.approx(entry.alpha), []) == (said["false_alarm_rate"], said["doubts"])
    assert "first" == said["goldens"][0]["written"]["reason"]


def test_status_names_goldens_in_doubt(recorded, monkeypatch, tmp_path):
    """One edited and sealed again, one truncated: both are named, the exit status is 1, the others are shown."""
    folder = shutil.copytree(recorded[0] / "golden", tmp_path / "golden")
    path = folder / "roast" / "normalized.json"
    golden = read(path)
    metric = golden.statistical["rmse_f"]
    edited = {**golden.statistical, "rmse_f": replace(metric, values={**metric.values, "0": 1.0})}
    path.write_bytes(to_bytes(replace(golden, statistical=edited)))
    done = call(monkeypatch, tmp_path, "status", "--json", "status.json")
    assert 1 == done.exit_code
    assert "in doubt: roast/normalized: rmse_f: sd, detectable, effect are not what its values give" in done.output
    doubtful = json.loads((tmp_path / "status.json").read_text())["doubts"]
    assert {"roast/normalized"} == {doubt.partition(":")[0] for doubt in doubtful}
    path.write_text("{")
    done = call(monkeypatch, tmp_path, "status")
    assert "normalized.json is not a golden that can be trusted" in done.output
    assert "1 goldens, 0 guarded metrics" in done.output


@pytest.mark.parametrize("command", ["status", "diff", "update", "confirm", "prune", "migrate"])
def test_help_has_an_example(invoke, command):
    """Each command shows how it is called."""
    assert f"goldmark golden {command}" in invoke(command, "--help").output


def test_json_into_a_missing_folder_is_wrong_use(invoke_recorded):
    """It is said before anything is trained."""
    done = invoke_recorded("diff", "roast", "--json", "nowhere/diff.json")
    assert (2, True) == (done.exit_code, "there is no folder" in done.output)


def test_diff_of_unchanged_code_is_empty(invoke_recorded):
    """Nothing would change: exit status 0."""
    done = invoke_recorded("diff", "roast", "--jobs", "1")
    assert (0, "nothing would change") == (done.exit_code, done.output.splitlines()[-1])


def test_diff_tells_a_change_and_writes_nothing(recorded, invoke_recorded, tmp_path):
    """Another learning rate: exit status 1, the recipe named, the golden as it was."""
    written = ("--json", str(tmp_path / "diff.json"))
    done = invoke_recorded("diff", "roast", "--jobs", "1", *written, case=brief(lr=2e-2))
    assert 1 == done.exit_code
    assert "recipe" in done.output
    said = json.loads((tmp_path / "diff.json").read_text())
    assert (1, []) == (said["schema"], said["unchanged"])
    for change in said["changes"]:
        assert any(all(text in line for text in change.values()) for line in done.output.splitlines())
    assert 1 == len(find_golden(recorded[0] / "golden", "roast/normalized").provenance)


def test_update_without_reason_trains_and_writes_nothing(invoke, tmp_path):
    """Exit status 2, the way out, an empty folder."""
    done = invoke("update", "roast")
    assert 2 == done.exit_code
    assert 'nothing written: no reason was given; say why the results change: --reason "..."' in done.output
    assert [] == list(tmp_path.iterdir())


def test_failing_claim_cannot_be_blessed(invoke, tmp_path):
    """A claim that fails stops the update, whatever the reason."""
    done = invoke("update", "roast", "--reason", "please", "--jobs", "1", case=brief("fails", steps=3, lr=1e-4))
    assert 1 == done.exit_code
    assert "nothing written: claims of case 'roast' fail:" in done.output
    assert "normalized_beats_mean" in done.output
    assert [] == list(tmp_path.iterdir())


def test_golden_that_cannot_see_its_bug_is_refused(invoke, tmp_path):
    """A metric that the bug does not move is no guard."""
    done = invoke(
        "update", "roast", "--reason", "x", "--jobs", "1", case=brief(guard={"prediction_sd_f": "normalized"}, steps=2)
    )
    assert 2 == done.exit_code
    assert "cannot see its bug" in done.output
    assert [] == list(tmp_path.rglob("*.json"))


def test_confirm_tells_a_real_shift_from_none(invoke_recorded):
    """On fresh seeds an unchanged variant is not confirmed, one trained on raw targets is, and is the guarded bug.

    One that learns too slowly is confirmed too, and is another.
    """
    done = invoke_recorded("confirm", "roast/normalized", "--jobs", "1")
    assert 0 == done.exit_code, done.output
    assert "on the fresh seeds 1000 ... 1006" in done.output
    assert "rmse_f: not confirmed" in done.output
    done = invoke_recorded("confirm", "roast/normalized", "--jobs", "1", case=brief(target_scale="raw"))
    assert 1 == done.exit_code
    assert "rmse_f: REAL" in done.output
    assert "not told from 'raw_targets'" in done.output
    done = invoke_recorded("confirm", "roast/normalized", "--jobs", "1", case=brief(lr=1.6e-3))
    assert 1 == done.exit_code
    assert "rmse_f: REAL" in done.output
    assert "; not 'raw_targets' (p " in done.output


def test_migrate_counts_what_it_rewrote(invoke_recorded):
    """A folder of this version has nothing to migrate."""
    done = invoke_recorded("migrate")
    assert (0, "0 of 2 goldens migrated in golden\n") == (done.exit_code, done.output)


@pytest.mark.parametrize("arguments", [("status",), ("migrate",), ("confirm", "roast/normalized")])
def test_missing_goldens_are_wrong_use(invoke, arguments):
    """Exit status 2, with the folder and the way out."""
    done = invoke(*arguments)
    assert 2 == done.exit_code
    assert "no goldens in 'golden'; name their folder with --golden-dir" in done.output
