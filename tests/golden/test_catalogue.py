"""Catalogue runs held against goldens: what goes into which tier, and when nothing can be said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from goldmark import check_case
from goldmark._session import Session, current, use
from goldmark.case import UsageError
from goldmark.cases import find_case
from goldmark.golden._catalogue import healthy_gating, result_of, results_of, with_null
from goldmark.golden._compare.tiers import compare
from goldmark.golden._fixture.check import GoldenCheck
from goldmark.golden._fixture.session import GoldenSession, staged_results
from goldmark.golden._record.entry import golden_from
from goldmark.golden._update.apply import apply_update
from goldmark.training import train


def brief():
    """The roast case cut down to two variants, five seeds and six steps."""
    roast = find_case("roast")
    variants = tuple(replace(v, seeds=None) for v in roast.variants if v.name in ("normalized", "raw_targets"))
    settings = replace(roast.settings, steps=6, n_train=8, n_val=4, length=12)
    return replace(roast, settings=settings, variants=variants, claims=())


@pytest.fixture(scope="module")
def runs():
    """Ten short runs."""
    return train(brief())


@pytest.fixture
def folder(tmp_path, runs):
    """Their goldens; the fixed variant trains too briefly to be guarded against its bug."""
    unguarded = [
        result_of([run for run in runs if run.variant == name], name) for name in ("normalized", "raw_targets")
    ]
    apply_update(tmp_path, {result.name: result for result in unguarded}, "a test")
    return tmp_path


def test_tiers_hold_what_they_should(runs):
    """Recipe, shapes and sizes are exact; rates and baselines close; every declared metric statistical, by seed."""
    result = results_of(runs)[0]
    assert "roast/normalized" == result.name
    assert {"recipe", "shapes", "n_parameters"} == set(result.exact)
    assert {"learning_rates", "baselines", "travel_unit_f"} == set(result.close)
    assert {"0", "1", "2", "3", "4"} == set(result.close["baselines"].value) == set(result.stream)
    assert {metric.name for metric in brief().metrics} == set(result.statistical)
    guarded = {name: entry.guard for name, entry in result.statistical.items() if entry.guard}
    assert {"skill_vs_mean": "raw_targets", "val_loss_reduction": "raw_targets"} == guarded
    gating = {name for name, entry in result.statistical.items() if entry.margin is not None}
    assert set(brief().variant("normalized").gating) == gating >= set(guarded)


def test_a_variant_declares_on_what_it_gates(runs):
    """Beside its guarded metrics those named in `gates`; a metric without a margin cannot gate, and is named."""
    case = brief()
    first, *others = case.variants
    with pytest.MonkeyPatch.context() as monkeypatch:
        metrics = tuple(replace(m, margin=0.5 if m.name == "rmse_f" else None) for m in case.metrics)
        gated = replace(case, metrics=metrics, variants=(replace(first, guards={}, gates=("rmse_f",)), *others))
        monkeypatch.setattr("goldmark.golden._catalogue.case_at", lambda name, scale: gated)
        entries = result_of(runs, first.name).statistical
        assert {"rmse_f": 0.5} == {name: e.margin for name, e in entries.items() if e.margin is not None}
        nothing = replace(gated, metrics=tuple(replace(metric, margin=None) for metric in case.metrics))
        monkeypatch.setattr("goldmark.golden._catalogue.case_at", lambda name, scale: nothing)
        with pytest.raises(UsageError, match=f"variant '{first.name}' gates on 'rmse_f', which has no margin"):
            result_of(runs, first.name)


def test_guard_values_and_first_epoch_come_from_real_runs(runs):
    """The guard's values are its own runs' metrics; the frozen model's are the first epoch's."""
    entry = results_of(runs)[0].statistical["skill_vs_mean"]
    broken = {str(run.seed): run.metrics["skill_vs_mean"] for run in runs if run.variant == "raw_targets"}
    first = {str(run.seed): run.history[0]["skill_vs_mean"] for run in runs if run.variant == "normalized"}
    assert broken == entry.guard_values
    assert first == entry.first_values


def test_same_runs_hold(runs, folder):
    """What was recorded is what is compared."""
    assert [True, True] == [comparison.ok for comparison in check_case(runs, folder)]


def test_other_recipe_fails_and_names_the_setting(runs, folder):
    """A tenth of the learning rate is a change of an exact entry, and says which."""
    slow = replace(brief(), settings=replace(brief().settings, lr=3e-4))
    comparison = check_case(train(slow, ["normalized"]), folder)[0]
    assert comparison.ok is False
    assert "recipe.lr" in comparison.reason


def test_padding_or_data_that_change_fail_in_the_close_tier(runs, folder):
    """Other data have other baselines, whatever the model makes of them."""
    moved = [replace(run, close={**run.close, "baselines": {"mean": {"rmse_f": 1.0}}}) for run in runs]
    drifts = check_case(moved, folder)[0].drifts
    assert "close" in {drift.tier for drift in drifts}


def fixture_of(folder, staging=None):
    """Return what a test gets as `golden`: it holds to the goldens of a folder, or records into another."""
    session = GoldenSession(root=folder, folder=folder, staging=staging, updating=staging is not None, new_only=False)
    return GoldenCheck(session, "test_it.py::test_it", folder / "test_it.py")


@pytest.fixture
def own_store(tmp_path):
    """A session whose store is its own: cases that are cut down have the names of whole ones."""
    before = current()
    use(Session(root=tmp_path, folder=tmp_path / "kept", jobs=1))
    yield
    use(before)


def test_the_fixture_sees_what_check_case_sees(runs, folder, own_store):
    """One evaluator: the comparison of a pytest test is that of the command line, and its failure says the same."""
    held = fixture_of(folder)
    assert check_case(runs, folder)[0] == held.runs(brief().variant("normalized"))
    assert [] == held.judge(complete=True)
    few = fixture_of(folder)
    few.runs(replace(brief(), seeds=3).variant("normalized"))
    (line,) = [line for line in few.judge(complete=True) if "seeds were run" in line]
    assert check_case(runs[:3], folder)[0].reason in line
    assert [False] == [outcome.ok for outcome in few.outcomes()]
    slow = replace(brief(), settings=replace(brief().settings, lr=3e-4))
    other = fixture_of(folder)
    comparison = other.runs(slow.variant("normalized"), update_command="do update")
    lines = other.judge(complete=True)
    assert "if the change is meant: do update" in lines
    assert f"  {comparison.reason}" in lines


def test_the_fixture_records_and_misses_a_case(runs, tmp_path, own_store):
    """In an update a variant's runs are staged with those of its guards; without a golden the test fails."""
    (tmp_path / "staged").mkdir()
    recording = fixture_of(tmp_path / "golden", tmp_path / "staged")
    recording.runs(brief().variant("normalized"))
    assert [] == recording.judge(complete=True)
    recording.finish()
    staged = staged_results(tmp_path / "staged")
    assert ["roast/normalized"] == list(staged)
    assert results_of(runs)[0] == replace(staged["roast/normalized"], versions={})
    assert "torch" in staged["roast/normalized"].versions
    missing = fixture_of(tmp_path / "golden")
    missing.runs(brief().variant("normalized"))
    (line,) = missing.judge(complete=True)
    assert line.startswith("golden 'roast/normalized' does not exist; create it")


@pytest.mark.parametrize(
    ("change", "where", "reason"),
    [
        (lambda runs: runs, "missing", "no folder"),
        (lambda runs: [replace(run, variant="zscore") for run in runs[:5]], "", "no golden in"),
        (lambda runs: runs[:3], "", "3 of the golden's 5 seeds"),
        (lambda runs: [replace(run, seed=run.seed + 50) for run in runs], "", "none of the golden's seeds"),
        (lambda runs: [replace(r, fingerprint={**r.fingerprint, "device": "cuda"}) for r in runs], "", "none recorded"),
    ],
    ids=["folder", "golden", "fewer", "others", "device"],
)
def test_nothing_to_compare_with_fails_with_its_reason(runs, folder, change, where, reason):
    """A gate that measured nothing is not green: no such folder or golden, fewer seeds or others, another device."""
    comparison = check_case(change(runs), folder / where if where else folder)[0]
    assert comparison.ok is False
    assert reason in comparison.reason


@pytest.mark.parametrize(
    ("scale", "named", "way_out"),
    [
        ("fast", False, '; create it: goldmark golden update roast --reason "..."'),
        ("fast", True, '; create it: goldmark golden update roast --golden-dir {folder} --reason "..."'),
        ("full", False, '; create it: goldmark matrix roast --reason "..."'),
        ("smoke", False, ""),
    ],
)
def test_missing_golden_names_the_command_that_records_it(runs, tmp_path, monkeypatch, scale, named, way_out):
    """Of the scale and the folder that were asked for; a miniature is not recorded."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "golden").mkdir()
    scaled = [replace(run, scale=scale) for run in runs]
    comparison = check_case(scaled, tmp_path / "golden" if named else None)[0]
    assert comparison.reason.endswith(f"'{way_out.format(folder=tmp_path / 'golden')}")


def test_what_was_asked_for_in_words_is_null(runs, folder, tmp_path, monkeypatch):
    """A user's data; no folder where none was named; fewer seeds, which are compared all the same."""
    monkeypatch.chdir(tmp_path)
    on_data = [replace(run, data="abc") for run in runs]
    for comparison, reason in (
        (check_case(on_data, folder)[0], "a user's data"),
        (check_case(runs)[0], "no folder 'golden'"),
        (check_case(runs, default=tmp_path / "none")[0], "no folder"),
        (check_case(runs[:3], folder, allow_fewer=True)[0], "3 of the golden's 5 seeds were run"),
    ):
        assert comparison.ok is None, comparison
        assert reason in comparison.reason
    worse = [replace(run, metrics={**run.metrics, "skill_vs_mean": run.metrics["skill_vs_mean"] - 50}) for run in runs]
    assert check_case(worse[:3], folder, allow_fewer=True)[0].ok is False


def test_damaged_golden_fails_and_spares_the_others(runs, folder):
    """A truncated file is a failure with its name and the way out; the other golden is still compared."""
    path = folder / "roast" / "normalized.json"
    path.write_bytes(path.read_bytes()[:100])
    damaged, whole = check_case(runs, folder)
    assert (False, True) == (damaged.ok, whole.ok)
    assert str(path) in damaged.reason
    assert "git" in damaged.reason


def test_metric_taken_once_has_no_first_epoch(runs):
    """A guard on a free-running metric has no frozen model to be tried on, and no crash."""
    case = brief()
    fixed = replace(case.variants[0], guards={"generation_mae_f": "raw_targets"})
    with pytest.MonkeyPatch.context() as monkeypatch:
        other = replace(case, variants=(fixed, *case.variants[1:]))
        monkeypatch.setattr("goldmark.golden._catalogue.case_at", lambda name, scale: other)
        entry = result_of(runs, "normalized").statistical["generation_mae_f"]
    assert ("raw_targets", None) == (entry.guard, entry.first_values)


def test_seeds_beyond_the_goldens_are_left_out(runs, folder):
    """More seeds than the golden has do not stand in its way."""
    extra = [replace(run, seed=run.seed + 50) for run in runs]
    assert [True, True] == [comparison.ok for comparison in check_case([*runs, *extra], folder)]


def test_gating_metrics_know_their_values_after_innocent_changes(runs):
    """Those of the variants that were trained with a change; a metric that is only shown has none."""
    (fixed, broken) = results_of(runs)
    changed = {"two threads": [run for run in runs if run.variant == "normalized" and run.seed < 2]}
    results = with_null({fixed.name: fixed, broken.name: broken}, changed)
    gating = results["roast/normalized"].statistical
    assert {"0", "1"} == set(gating["skill_vs_mean"].null_values["two threads"])
    stored = {name for name, entry in gating.items() if entry.null_values}
    assert set(brief().variant("normalized").gating) == stored
    assert broken == results["roast/raw_targets"]
    assert ["normalized"] == healthy_gating(brief())


def test_runs_are_looked_at_after_five_ten_and_twenty_seeds(runs):
    """The first seeds are a whole check where nothing moved; where it is close, the comparison names the next."""
    own = next(run for run in runs if run.variant == "normalized")

    def twenty(skill):
        return [
            replace(own, seed=seed, metrics={**own.metrics, "skill_vs_mean": skill + 0.01 * (seed % 5)})
            for seed in range(20)
        ]

    case = replace(brief(), sequential=True)
    approved = golden_from(result_of(twenty(0.5), "normalized", case), ())
    assert {True} == {entry.sequential for entry in approved.statistical.values()}
    margin = approved.statistical["skill_vs_mean"].margin
    noise = [
        replace(run, metrics={**run.metrics, "skill_vs_mean": 0.5 + margin + (1 + seed) % 5 * 0.01 + 0.008})
        for seed, run in enumerate(twenty(0.5))
    ]
    for moved, next_seeds in ((twenty(0.5), ()), (noise, tuple("56789")), (twenty(9.5), ())):
        comparison = compare(approved, result_of(moved[:5], "normalized", case))
        assert (moved == twenty(0.5), next_seeds) == (comparison.ok, comparison.next_seeds)
    assert "a rule changes" in compare(approved, result_of(twenty(0.5), "normalized")).reason
