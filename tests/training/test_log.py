"""Logs of a run: what they hold, that they change nothing, repeat to the byte, and outlive a kill."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import fields, replace

import pytest
import torch

from goldmark.case import Look, ModelCase
from goldmark.cases import CASES
from goldmark.cases.roast import RoastCase
from goldmark.runs import Job, Keep, log_folder
from goldmark.training import _checkpoint as checkpoint
from goldmark.training._log_rows import component_row, feature_rows, gradient_rows, health, statistics_of
from goldmark.training._single import train_single
from goldmark.training._stacked import train_stacked

RECORD = {  # columns of the JadeCompact record's files, "CSV logs"
    "epoch_metrics": ["epoch", "train_loss", "val_loss", "span_f1", "span_precision", "span_recall", "epoch_time"],
    "loss_components": ["epoch", "phase", "loss_type", "loss_pointers", "loss_span", "loss_countdown", "total_loss"],
    "uncertainty_params": [f"{a}_{b}" for a in ("sigma", "weight") for b in ("type", "pointers", "span", "countdown")],
    "probability_stats": [f"{g}_{s}" for g in ("in_span", "out_span") for s in ("mean", "std", "min", "max", "median")],
    "feature_stats": ["feature", "mean", "std", "min", "max", "median"],
    "gradient_stats": ["parameter", "norm"],
}
SMALL = {
    "expansion": {"n_train": 32, "n_val": 8, "bars": 24, "batch": 32, "steps": 24},
    "roast": {"n_train": 4, "n_val": 2, "length": 12, "batch": 4, "layers": 1, "steps": 12},
    "poetry": {"n_train": 16, "n_val": 8, "batch": 8, "steps": 24},
    "eeg": {"n_train": 16, "n_val": 8, "batch": 16, "steps": 20, "noise_sd": 0.5},
}


def small(name, **settings):
    """A case of the catalogue with 12 to 24 short epochs."""
    case = CASES[name]
    return replace(case, settings=replace(case.settings, **SMALL[name] | settings))


def job_in(folder, case, variant, every=10):
    """One run of it, kept."""
    return Job(case, variant, 0, keep=Keep(folder=folder, every=every))


def logs_of(job):
    """The rows of each log of a job, as they are read."""
    files = sorted(log_folder(job.keep.folder, job).glob("*.csv"))
    return {path.stem: list(csv.DictReader(path.read_text().splitlines())) for path in files}


def timeless(job):
    """The logs of a job without the only column that is a time."""
    return {
        name: [{key: value for key, value in row.items() if key != "epoch_time"} for row in rows]
        for name, rows in logs_of(job).items()
    }


@pytest.fixture(scope="module")
def expansion(tmp_path_factory):
    """A job of the case with everything to log, of which nothing may be changed, and its run."""
    job = job_in(tmp_path_factory.mktemp("expansion"), small("expansion"), "clipped_countdown")
    return job, train_single(job)


def test_logs_have_the_files_and_columns_of_the_record(expansion):
    """All six, in every file its epoch first, and beside them what they follow from."""
    job, run = expansion
    logs = logs_of(job)
    assert sorted(RECORD) == sorted(logs)
    for name, columns in RECORD.items():
        assert [] == [column for column in ("epoch", *columns) if column not in logs[name][0]]
    metadata = json.loads((log_folder(job.keep.folder, job) / "metadata.json").read_text())
    assert ("expansion", 24, run.exact["n_parameters"]) == tuple(
        metadata[key] for key in ("case", "epochs", "n_parameters")
    )
    assert run.exact["recipe"] == metadata["made_from"]["settings"]


def test_logging_changes_no_bit_of_a_run(expansion):
    """Metrics, history, learning rates, findings and the stream, beside the same run without a folder."""
    job, run = expansion
    assert replace(train_single(replace(job, keep=None)), seconds=0) == replace(run, seconds=0)


def test_logs_hold_what_the_run_measured_by_itself(expansion):
    """Every number that the history has too, in the epochs in which both were taken."""
    job, run = expansion
    logs, last = logs_of(job), run.history[-1]
    components, epochs = (logs[name] for name in ("loss_components", "epoch_metrics"))
    assert [row["train_loss"] for row in run.history] == [float(row["train_loss"]) for row in epochs]
    final = {row["phase"]: row for row in components if row["epoch"] == "24"}
    for mine, theirs in (
        (epochs[-1]["val_loss"], "val_loss"),
        (epochs[-1]["span_precision"], "span_precision"),
        (final["val"]["loss_pointers"], "loss_pointers"),
        (final["val"]["share_raw_countdown"], "countdown_share_raw"),
        (final["val"]["share_effective_countdown"], "countdown_share_effective"),
        (final["train"]["share_gradient_countdown"], "countdown_share_gradient"),  # on the same 32 windows
        (logs["probability_stats"][-1]["out_span_mean"], "out_span"),
        (logs["probability_stats"][-1]["separation"], "separation"),
    ):
        assert last[theirs] == float(mine), theirs
    row = next(row for row in logs["uncertainty_params"] if row["epoch"] == "1")
    assert run.history[0]["sigma_countdown"] == float(row["sigma_countdown"])
    # 1 / (2 sigma^2) of the same sigma, in one rounding more
    assert 1 / (2 * run.history[0]["sigma_countdown"] ** 2) == pytest.approx(float(row["weight_countdown"]), rel=1e-12)


def test_what_is_expensive_is_measured_now_and_then(expansion):
    """As often as in the record, where a file has a column that is empty otherwise it has been left empty."""
    logs = logs_of(expansion[0])
    epochs = {name: sorted({int(row["epoch"]) for row in rows}) for name, rows in logs.items()}
    assert list(range(1, 25)) == epochs["epoch_metrics"]
    assert [1, 5, 10, 15, 20] == epochs["uncertainty_params"]
    assert [10, 20] == epochs["gradient_stats"]
    assert {1, 12, 24} <= set(epochs["probability_stats"]) < set(range(1, 25))
    empty = [int(row["epoch"]) for row in logs["epoch_metrics"] if row["val_loss"] == ""]
    assert sorted(set(range(1, 25)) - set(epochs["probability_stats"])) == empty


def test_features_that_nothing_augments_do_not_drift(expansion):
    """Exactly: the same rows are described each time."""
    assert {"0.0"} == {row["drift"] for row in logs_of(expansion[0])["feature_stats"]}


def test_logs_repeat_to_the_byte(expansion, tmp_path):
    """Times aside, which have a column of their own."""
    job, _ = expansion
    again = replace(job, keep=Keep(folder=tmp_path, every=7))
    train_single(again)
    assert timeless(job) == timeless(again)
    for name in set(RECORD) - {"epoch_metrics"}:
        files = [log_folder(j.keep.folder, j) / f"{name}.csv" for j in (job, again)]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_killed_run_ends_with_the_logs_of_one_that_was_not(expansion, tmp_path, monkeypatch):
    """Killed between the rows of epoch 20 and their checkpoint: they are cut, and written again."""
    job, run = expansion
    killed = replace(job, keep=Keep(folder=tmp_path, every=10))
    write = checkpoint.write_whole

    def dying(path, content):
        if len(logs_of(killed)["epoch_metrics"]) == 20:
            raise SystemExit(9)
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_whole", dying)
        with pytest.raises(SystemExit):
            train_single(killed)
    assert 20 == len(logs_of(killed)["epoch_metrics"])
    assert 10 == checkpoint.begin(killed).n_steps
    assert 10 == len(logs_of(killed)["epoch_metrics"])
    assert replace(run, seconds=0) == replace(train_single(killed), seconds=0)
    assert timeless(job) == timeless(killed)
    next(log_folder(tmp_path, killed).glob("gradient_stats.csv")).unlink()
    assert (0, {"logs that end before it": 1}) == checkpoint.kept_states([killed])


def test_logs_of_a_stack_are_those_of_its_runs_alone(tmp_path):
    """Same files, epochs and names; both terms of the objective with their shares."""
    case, variants = small("poetry"), ("wide", "iid_wide")
    stacked = [job_in(tmp_path / "stacked", case, variant) for variant in variants]
    single = [job_in(tmp_path / "single", case, variant) for variant in variants]
    runs = train_stacked(stacked)
    assert [replace(run, seconds=0) for run in train_stacked([replace(job, keep=None) for job in stacked])] == [
        replace(run, seconds=0) for run in runs
    ]
    for one, other in zip(stacked, single, strict=True):
        train_single(other)
        mine, theirs = timeless(one), timeless(other)
        assert {"epoch_metrics", "loss_components", "feature_stats", "gradient_stats"} == set(mine) == set(theirs)
        for name, rows in mine.items():
            for row, reference in zip(rows, theirs[name], strict=True):
                assert {key: near(value) for key, value in reference.items()} == {
                    key: number(value) for key, value in row.items()
                }, name
        shares = [row for row in mine["loss_components"] if row["phase"] == "train"][-1]
        assert 1 == pytest.approx(sum(float(shares[f"share_gradient_{term}"]) for term in ("cosine", "mse")))


def number(text):
    """A cell as a number where it is one."""
    try:
        return float(text)
    except ValueError:
        return text


def near(text):
    """A cell up to the rounding of float32 in a dozen steps of another order of sums."""
    return pytest.approx(number(text), rel=1e-3, abs=1e-6) if isinstance(number(text), float) else text


def test_case_of_one_term_has_no_files_of_terms(tmp_path):
    """Neither shares of one, nor weights or probabilities that it has not."""
    job = job_in(tmp_path, small("roast"), "normalized")
    run = train_single(job)
    logs = logs_of(job)
    assert ["epoch_metrics", "feature_stats", "gradient_stats"] == list(logs)
    assert ["epoch", "train_loss", "val_loss", "epoch_time"] == list(logs["epoch_metrics"][0])
    assert 12 == len(run.history) == len(logs["epoch_metrics"])


class Unseen(RoastCase):
    """The roast case as a user's may be: with nothing of what is optional."""

    look, inputs = ModelCase.look, ModelCase.inputs


@pytest.mark.slow
def test_case_that_shows_nothing_is_logged_by_what_it_evaluates(tmp_path):
    """Its own metrics, in the epochs in which they are taken."""
    case = small("roast")
    declared = {field.name: getattr(case, field.name) for field in fields(case)}
    job = job_in(tmp_path, Unseen(**declared), "normalized")
    run = train_single(job)
    logs = logs_of(job)
    assert ["epoch_metrics", "gradient_stats"] == list(logs)
    rows = logs["epoch_metrics"]
    assert [row.get("rmse_f") for row in run.history] == [number(row["rmse_f"]) or None for row in rows]


def test_gradients_are_those_of_the_last_step_before_clipping(tmp_path):
    """Beside autograd's own on a run of one step, clipped to nearly nothing."""
    case = small("roast", steps=1, clip=1e-6)
    job = job_in(tmp_path, case, "normalized")
    fresh = checkpoint.begin(replace(job, keep=None))
    rows = torch.arange(4)
    loss = case.loss(fresh.model, fresh.data, rows, None, fresh.settings)  # no dropout at fast scale
    torch.autograd.backward(loss)
    train_single(job)
    norms = {row["parameter"]: float(row["norm"]) for row in logs_of(job)["gradient_stats"]}
    expected = {name: float(p.grad.norm()) for name, p in fresh.model.named_parameters()}
    # the order of four rows in a sum
    assert {name: pytest.approx(norm, rel=1e-4, abs=1e-9) for name, norm in expected.items()} == {
        name: norm for name, norm in norms.items() if name != "total"
    }
    assert math.hypot(*expected.values()) == pytest.approx(norms["total"], rel=1e-4)


def test_run_that_diverges_is_logged_to_its_end(tmp_path):
    """NaN as NaN, gradients that exploded, shares of nothing."""
    job = job_in(tmp_path, small("roast", lr=1e30), "normalized")
    train_single(job)
    logs = logs_of(job)
    assert ["nan", "12"] == [logs["epoch_metrics"][-1][name] for name in ("val_loss", "epoch")]
    assert "exploding" in {row["health"] for row in logs["gradient_stats"]}
    terms = {"a": torch.tensor(math.nan), "b": torch.tensor(1.0)}
    row = component_row(3, "val", Look(loss=torch.tensor(math.nan), terms=terms, weighted=terms))
    assert all(math.isnan(row[f"share_{way}_{name}"]) for way in ("raw", "effective") for name in terms)


def test_augmentation_that_changes_is_drift_and_noise_alone_is_not(tmp_path):
    """The rows stay, the noise is drawn anew: its mean moves by less than a hundredth of a sd over 16 windows."""
    job = job_in(tmp_path, small("eeg"), "mixup")
    train_stacked([job])
    drifts = [float(row["drift"]) for row in logs_of(job)["feature_stats"]]
    assert 0.0 == drifts[0]
    assert 0.0 < abs(drifts[-1]) < 0.01
    first, later = statistics_of(torch.tensor([0.0, 2.0])), statistics_of(torch.tensor([3.0, 5.0]))
    (row,) = feature_rows(9, {"x": later}, {"x": first})
    assert {"epoch": 9, "feature": "x", **later, "drift": 3.0} == row


def test_health_of_gradients_is_told_by_the_thresholds_of_the_record():
    """Vanishing below 1e-7, exploding above 100; what is not finite has exploded."""
    healths = [health(norm) for norm in (0.0, 9.9e-8, 1e-7, 100.0, 100.1, math.nan, math.inf)]
    assert [*["vanishing"] * 2, *["healthy"] * 2, *["exploding"] * 3] == healths
    assert [5.0, 3.0, 4.0] == [row["norm"] for row in gradient_rows(1, {"a": 3.0, "b": 4.0})]


def test_statistics_of_nothing_are_nan():
    """A half without a bar in a span has no probabilities in one."""
    assert all(math.isnan(value) for value in statistics_of(torch.tensor([])).values())
    assert {"mean": 2.5, "std": math.sqrt(1.25), "min": 1.0, "max": 4.0, "median": 2.0} == statistics_of(
        torch.tensor([4.0, 1.0, 3.0, 2.0])
    )
