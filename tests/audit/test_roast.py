"""The statements of the roast record: second computations, and inputs that turn their verdicts."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from goldmark.audit import answer, statements_of, variants_of
from goldmark.audit.roast import _bugs, _collapse, _profiles, _repair, _system
from goldmark.cases.roast import CASE
from goldmark.cases.roast.data import generate
from goldmark.cases.roast.full import FULL
from goldmark.cases.roast.scores import baseline_rmses_f

STATEMENTS = {statement.name: statement for statement in statements_of("roast")}
TABLES = {  # rows of the record's and the trials' tables that must be there, each with its documented number
    **{f"parameters_{name.replace(' ', '_')}": row[-1] for name, row in _system.ARCHITECTURES.items()},
    **{
        f"{name}_error_of_a_constant": _collapse.documented(name, "teacher_forced_mae_f") for name in _collapse.RECOVERY
    },
    **{f"{name}_constant": _collapse.documented(name, "prediction_mean_f") for name in _collapse.RECOVERY},
    **{f"{name}_fails": _collapse.documented(name, "rmse_f") for name in _collapse.RECOVERY},
    "later_original_full": 10.4,
    "later_micro_full": 49.3,
    "trial_rmse_f_broken": 311,
    "trial_distinct_values_normalized": 47.2,
    "trial_skill_vs_persistence_zscore": 0.43,
}


def answer_to(name, runs=None):
    """The verdict on one statement."""
    return answer("roast", STATEMENTS[name], {"fast": runs or {}}).answer


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_covered_cell_by_cell(name):
    """Each row has its number beside it, and nine metrics of the trials have all their cells."""
    assert TABLES[name] == STATEMENTS[name].documented
    cells = Counter(cell.rpartition("_")[2] for cell in STATEMENTS if cell.startswith("trial_"))
    assert (9, 9, 7) == tuple(cells[column] for column in ("broken", "normalized", "zscore"))


def test_open_statements_say_what_is_missing():
    """Without parts a statement is not testable here, and has a reason."""
    for statement in STATEMENTS.values():
        if not statement.parts:
            assert "not testable here" == answer_to(statement.name)
            assert any(word in statement.why for word in ("needs", "no variant", "depends", "property")), statement.why


def constant_models(share_of_cells=None):
    """What the record would have written of five constants on real cells: its RMSE counts padded cells, its MAE not."""
    data = generate(FULL.settings, 1)
    temp_f, valid = data["val_temp_f"], data["val_valid"]
    rows = {}
    for name, constant_f in zip(_collapse.RECOVERY, (3.0, 5.0, 8.0, 11.0, 20.0), strict=True):
        error_f = (temp_f - constant_f) * valid
        counted = valid if share_of_cells == "valid" else torch.ones_like(valid)
        rows[f"recovery_{name}_raw"] = {
            "rmse_f": float((error_f.square().sum() / counted.sum()).sqrt()),
            "teacher_forced_mae_f": float(error_f.abs()[valid].mean()),
            "prediction_mean_f": constant_f,
        }
    return rows, float(valid.double().mean()), float(temp_f[valid].std(correction=0))


def test_padded_share_is_recovered_from_five_constants(monkeypatch):
    """On cells that are known: the line's slope is the share of valid ones, and the losses give the MAEs back."""
    rows, share, sd_f = constant_models()
    monkeypatch.setattr(_collapse, "DOCUMENTED", rows)
    assert (pytest.approx(share, rel=1e-9), pytest.approx(sd_f, rel=1e-6)) == _collapse.padded_fit()
    for name in _collapse.RECOVERY:
        row = rows[f"recovery_{name}_raw"]
        assert pytest.approx(row["teacher_forced_mae_f"], rel=1e-9) == _collapse.mae_of_loss(row["rmse_f"])
        assert pytest.approx(row["prediction_mean_f"], abs=1e-9) == _collapse.constant_of_mae(name)


@pytest.mark.parametrize("counted", [None, "valid"])
def test_padding_verdicts_turn_with_the_cells_that_are_counted(monkeypatch, counted):
    """Without padded cells in the RMSE, the same statements come out the other way round."""
    monkeypatch.setattr(_collapse, "DOCUMENTED", constant_models(counted)[0])
    assert ("confirmed" if counted else "refuted") == answer_to("mae_above_rmse")
    share, _ = _collapse.padded_fit()
    assert (share == pytest.approx(1)) == bool(counted)


def test_naive_predictors_are_those_of_the_case():
    """Their errors, computed again by the case's own baselines; AR(2) by numpy's normal equations."""
    data = _profiles.stand_in()
    for name, value in baseline_rmses_f(data).items():
        assert pytest.approx(value, rel=1e-12) == _profiles.rmse_f(name.replace("_", " "))
    temps, valid = data["train_temp_f"].numpy(), data["train_valid"].numpy()
    curves = [curve[cells] for curve, cells in zip(temps, valid, strict=True)]
    x = np.concatenate([np.stack([curve[:-2], curve[1:-1], np.ones(len(curve) - 2)], axis=1) for curve in curves])
    y = np.concatenate([curve[2:] for curve in curves])
    weights = np.linalg.solve(x.T @ x, x.T @ y)
    t, v = data["val_temp_f"].numpy(), data["val_valid"].numpy()[:, 2:]
    errors = (weights[0] * t[:, :-2] + weights[1] * t[:, 1:-1] + weights[2] - t[:, 2:])[v]
    assert pytest.approx(np.sqrt((errors**2).mean()), rel=1e-6) == _profiles.rmse_f("AR(2)")
    changes = np.diff(t)[data["val_valid"].numpy()[:, 1:]]
    assert pytest.approx(np.abs(changes).mean(), rel=1e-12) == _profiles.mae_f("persistence")


def test_reach_adds_every_step_of_the_cut_cosine():
    """Tiny: 240 steps of 100 epochs' cosine, written out."""
    rates = [1e-6 + (1e-4 - 1e-6) * (1 + math.cos(math.pi * step / 1500)) / 2 for step in range(240)]
    assert pytest.approx(math.sqrt(64 / 3) + 0.8 * 64 * sum(rates), rel=1e-12) == _collapse.reach_f("tiny")


def test_parameters_on_the_meta_device_are_those_of_a_real_model():
    """Micro, built on the CPU on data of its settings."""
    settings = replace(FULL.settings_of("later_micro_normalized"), n_train=2, n_val=2, length=20, shortest=12)
    model = FULL.make_model(settings, generate(settings, 0))
    assert sum(p.numel() for p in model.parameters()) == _system.n_parameters("later_micro_normalized")


def test_size_and_error_are_ranked_as_scipy_does(monkeypatch):
    """Spearman's correlation; with the errors the other way round the record's diagnosis would be confirmed."""
    errors = dict(zip(("micro", "tiny", "medium", "original"), (1.0, 9.0, 3.0, 40.0), strict=True))
    monkeypatch.setattr(_repair, "_LATER", errors)
    assert pytest.approx(stats.spearmanr(range(4), list(errors.values())).statistic) == _repair.better_with_size()
    assert "confirmed" == answer_to("too_large")


def test_running_minimum_stops_every_run_alike():
    """Falling, rising, up and down: the record's rule never looks."""
    for losses in ([1 / n for n in range(1, 60)], range(60), [1.0, 0.5] * 30):
        assert 16 == _bugs.stopped_by_running_minimum(list(losses))


def test_noise_has_the_computed_variance_and_distinct_values():
    """Of 2,000 curves of 50 uniform values: within 1 %, some ten standard errors."""
    noise = 250 + 200 * torch.rand(2000, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert pytest.approx(float(noise.var()), rel=0.01) == 200**2 / 12
    distinct = np.mean([len(np.unique(np.floor(curve * 10))) for curve in noise.numpy()])
    assert pytest.approx(distinct, rel=0.001) == _bugs.expected_distinct(50)


@pytest.mark.parametrize(
    ("name", "module", "number", "value", "verdict"),
    [
        ("micro_is_a_success", _repair, "_MEAN_F", 100.0, "confirmed"),
        ("loss_reduction", _repair, "_MICRO_VAL_1", 0.1693, "confirmed"),
        ("validation_reduction", _repair, "_MICRO_VAL_5", 0.02, "refuted"),
        ("reduction_of_a_constant", _repair, "_MEAN_F", 90.0, "refuted"),
        ("suite_beats_persistence", _repair, "_PERSISTENCE_F", 20.0, "confirmed"),
        ("suite_beats_product_curve", _repair, "_PRODUCT_CURVE_F", 12.0, "confirmed"),
        ("clamp", _bugs, "_CLAMP_F", 50.0, "confirmed"),
        ("noise_variance", _bugs, "_NOISE_F", (250.0, 300.0), "refuted"),
        ("micro_reach", _collapse, "_TRAVEL", 8.0, "refuted"),
        ("parameters_per_sample_micro", _system, "_N_TRAIN", 144, "refuted"),
    ],
)
def test_other_numbers_turn_the_verdict(monkeypatch, name, module, number, value, verdict):
    """No verdict is typed in: with another number in the record the same statement is answered otherwise."""
    before = answer_to(name)
    monkeypatch.setattr(module, number, value)
    assert before != verdict == answer_to(name)


def spoilt(run):
    """A run that has nothing that a statement asks for: NaN in all numbers, findings the other way round."""
    nan = lambda numbers: dict.fromkeys(numbers, math.nan)  # noqa: E731
    return replace(
        run,
        metrics=nan(run.metrics),
        history=tuple(nan(row) for row in run.history),
        baselines=tuple(replace(baseline, metrics=nan(baseline.metrics)) for baseline in run.baselines),
        findings=tuple(replace(finding, trouble=not finding.trouble) for finding in run.findings),
    )


def test_every_measured_part_depends_on_its_runs(runs_of):
    """Runs with nothing but NaN confirm no part of any statement that is read off them."""
    runs = runs_of("roast", variants_of("roast"))
    broken = {name: [spoilt(run) for run in of_variant] for name, of_variant in runs.items()}
    for statement in STATEMENTS.values():
        for part in statement.parts:
            if part.variants and statement.scale == "fast":
                assert part.read(broken).ok is False, statement.name


def test_fix_and_bug_swapped_turn_the_trial_tables(runs_of):
    """Raw runs in the place of normalized ones fail every row, and the other way round."""
    runs = runs_of("roast", ["normalized", "raw_fahrenheit"])
    swapped = {"normalized": runs["raw_fahrenheit"], "raw_fahrenheit": runs["normalized"]}
    for name in STATEMENTS:
        if name.startswith("trial_") and name.endswith(("_normalized", "_broken")):
            assert "refuted" == answer_to(name, swapped), name
    assert CASE.variant("raw_fahrenheit").role == "broken"
