"""The scores of the roast case: a second implementation of each, and which cells, steps and epochs they count."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from goldmark.cases.roast import CASE, RoastSettings
from goldmark.cases.roast.data import generate
from goldmark.cases.roast.model import make_model
from goldmark.cases.roast.scores import (
    METRICS,
    baselines,
    examine,
    generate_f,
    loss_reduction,
    next_steps,
    score,
    score_generation,
)
from goldmark.runs import Job
from goldmark.training._single import train_single
from goldmark.training.draws import Draws, initial_weights


def ready(settings, seed):
    """The data of a seed in float32, as they are trained on, and a fresh model."""
    data = {name: t.float() if t.is_floating_point() else t for name, t in generate(settings, seed).items()}
    with initial_weights(seed):
        return data, make_model(settings, data)


def spoilt(data):
    """The same data with other temperatures in padded cells."""
    wrong = {f"{half}_temp_f": torch.where(data[f"{half}_valid"], data[f"{half}_temp_f"], 9999.0) for half in HALVES}
    return {**data, **wrong}


HALVES = ("train", "val")


@pytest.mark.parametrize(("variant", "offset", "unit"), [("normalized", 100, 400), ("raw_targets", 0, 1)])
def test_loss_is_the_mean_square_over_valid_cells(variant, offset, unit):
    """For a model that answers 0 the loss is the mean square of the scaled targets, recomputed with numpy."""
    settings = CASE.settings_of(variant)
    data = generate(settings, 0)
    silent = nn.Module()
    silent.forward = lambda inputs, bean, draws=None: torch.zeros_like(inputs)
    curves, valid = data["train_temp_f"].numpy()[:8, 1:], data["train_valid"].numpy()[:8, 1:]
    expected = (((curves[valid] - offset) / unit) ** 2).mean()
    assert pytest.approx(expected) == float(CASE.loss(silent, data, torch.arange(8), Draws.at(0, 0), settings))


@pytest.mark.parametrize("variant", ["normalized", "raw_targets", "zscore"])
def test_padded_cells_do_not_count(variant):
    """Whatever stands in padded cells: loss, teacher-forced and free-running scores, baselines and findings stay."""
    settings = CASE.settings_of(variant)
    data, fresh = ready(settings, 0)
    _, trained = ready(settings, 1)
    expected, actual = (everything_measured(fresh, trained, each, settings) for each in (data, spoilt(data)))
    assert set(expected) == set(actual)
    for name, value in expected.items():
        assert (name, value) == (name, actual[name])


def everything_measured(fresh, trained, data, settings):
    """The loss and all numbers of scores, baselines and findings, by name."""
    with torch.no_grad():
        loss = float(CASE.loss(trained, data, torch.arange(8), Draws.at(0, 0), settings))
        measured = {"loss": loss, **score(trained, data), **score_generation(generate_f(trained, data, settings), data)}
        for finding in examine(fresh, trained, data):
            measured |= {f"{finding.name} {name}": value for name, value in finding.numbers.items()}
    for baseline in baselines(data):
        measured |= {f"{baseline.name} {name}": value for name, value in baseline.metrics.items()}
    return measured


@pytest.mark.parametrize(("variant", "unit"), [("normalized", 400.0), ("raw_fahrenheit", 1.0)])
def test_scores_equal_a_second_implementation(variant, unit):
    """RMSE, MAE, skills, mean, sd and loss recomputed with numpy, cell by cell; float32 predictions, so 1e-5."""
    offset = 100.0 if unit == 400.0 else 0.0
    data, model = ready(CASE.settings_of(variant), 2)
    bean = (data["val_categories"], data["val_flavors"], data["val_continuous"])
    with torch.no_grad():
        actual = score(model, data)
        predicted = model((data["val_temp_f"][:, :-1] - offset) / unit, bean).double().numpy() * unit + offset
    true, valid = data["val_temp_f"].double().numpy(), data["val_valid"].numpy()
    cells = [(i, t) for i in range(12) for t in range(1, 48) if valid[i, t]]
    errors = np.array([predicted[i, t - 1] - true[i, t] for i, t in cells])
    rmse, naive = np.sqrt((errors**2).mean()), naive_rmses(data)
    expected = {
        "rmse_f": rmse,
        "teacher_forced_mae_f": np.abs(errors).mean(),
        "val_loss": (errors**2).mean() / unit**2,
        "prediction_sd_f": np.std([predicted[i, t - 1] for i, t in cells], ddof=1),
        "prediction_mean_f": np.mean([predicted[i, t - 1] for i, t in cells]),
    }
    expected |= {f"skill_vs_{name}": 1 - rmse / value for name, value in naive.items()}
    assert set(expected) == set(actual)
    for name, value in expected.items():
        assert (name, pytest.approx(value, rel=1e-5)) == (name, actual[name])


def naive_rmses(data):
    """The validation RMSE of the three naive predictors, in plain loops."""
    true, valid = data["val_temp_f"].double().numpy(), data["val_valid"].numpy()
    train, train_valid = data["train_temp_f"].double().numpy(), data["train_valid"].numpy()
    mean = train[train_valid].mean()
    curve = [np.mean([train[i, t] for i in range(24) if train_valid[i, t]] or [mean]) for t in range(48)]
    cells = [(i, t) for i in range(12) for t in range(1, 48) if valid[i, t]]
    errors = {
        "mean": [mean - true[i, t] for i, t in cells],
        "mean_curve": [curve[t] - true[i, t] for i, t in cells],
        "persistence": [true[i, t - 1] - true[i, t] for i, t in cells],
    }
    return {name: np.sqrt(np.mean(np.square(each))) for name, each in errors.items()}


def test_baselines_equal_a_second_implementation():
    """Each naive predictor has its own RMSE, and a skill over every one of the three, 0 over itself."""
    data = generate(RoastSettings(), 3)
    expected = naive_rmses(data)
    actual = {baseline.name: baseline.metrics for baseline in baselines(data)}
    assert set(expected) == set(actual)
    for name, rmse in expected.items():
        assert (name, pytest.approx(rmse, rel=1e-12)) == (name, actual[name]["rmse_f"])
        for other, value in expected.items():
            skill = actual[name][f"skill_vs_{other}"]
            assert (name, other, pytest.approx(1 - rmse / value, abs=1e-12)) == (name, other, skill)


@pytest.mark.parametrize("generated_steps", [0, 40])
def test_generation_scores_equal_a_second_implementation(generated_steps):
    """Variance, distinct tenths and MAE of free-running curves: valid cells after the start, in plain loops."""
    settings = RoastSettings(generated_steps=generated_steps)
    data, model = ready(settings, 1)
    with torch.no_grad():
        curves = generate_f(model, data, settings).double().numpy()
        actual = score_generation(generate_f(model, data, settings), data)
    true, n_valid = data["val_temp_f"].double().numpy(), data["val_valid"].sum(dim=1).tolist()
    assert min(n_valid) < (generated_steps or 47) + 1 < max(n_valid) + 1  # some curves end before, some after
    own = [curves[i, 1:n] for i, n in enumerate(n_valid)]
    errors = [abs(curves[i, t] - true[i, t]) for i, n in enumerate(n_valid) for t in range(1, min(n, curves.shape[1]))]
    expected = {
        "generated_variance": np.mean([np.var(curve, ddof=1) for curve in own]),
        "distinct_values": np.mean([len({round(float(value) * 10) for value in curve}) for curve in own]),
        "generation_mae_f": np.mean(errors),
    }
    assert set(expected) == set(actual)
    for name, value in expected.items():
        assert (name, pytest.approx(value, rel=1e-9)) == (name, actual[name])


def test_a_collapsed_model_generates_a_flat_curve():
    """Its variance is 0 and it has one value, although it starts at 420 F: the start does not count."""
    data, model = ready(CASE.settings_of("raw_fahrenheit"), 0)
    nn.init.zeros_(model.output.weight)
    nn.init.constant_(model.output.bias, 7.0)
    with torch.no_grad():
        actual = score_generation(generate_f(model, data, CASE.settings_of("raw_fahrenheit")), data)
    assert (0.0, 1.0) == (actual["generated_variance"], actual["distinct_values"])
    true = data["val_temp_f"][:, 1:][data["val_valid"][:, 1:]].double()
    assert pytest.approx(float((true - 7).mean()), rel=1e-9) == actual["generation_mae_f"]


def test_generation_feeds_outputs_back():
    """A model that says 'one more' counts up from the first temperature, on degrees, as far as it is asked to."""
    settings = RoastSettings(input_scale="raw", target_scale="raw", residual=True, generated_steps=4)
    data = generate(settings, 0)
    model = make_model(settings, data).double()
    nn.init.zeros_(model.output.weight)
    nn.init.ones_(model.output.bias)
    with torch.no_grad():
        curves = generate_f(model, data, settings)
    torch.testing.assert_close(curves, data["val_temp_f"][:, :1] + torch.arange(5))


def test_raw_targets_train_on_degrees():
    """The broken variant's loss is in square degrees on the same path: 400^2 times that of the same outputs scaled."""
    model = nn.Module()
    model.forward = lambda inputs, bean, draws=None: torch.zeros_like(inputs)
    _, fixed = next_steps(model, generate(CASE.settings_of("normalized"), 0), "train")
    _, broken = next_steps(model, generate(CASE.settings_of("raw_targets"), 0), "train")
    torch.testing.assert_close(broken, fixed * 400 + 100)


def test_findings_are_of_the_half_and_the_model_they_speak_of():
    """Targets are far from the fresh model on training data; collapse and skill are the trained one's on validation."""
    data, fresh = ready(CASE.settings_of("raw_targets"), 0)
    _, trained = ready(CASE.settings_of("raw_targets"), 1)
    with torch.no_grad():
        findings = {finding.name: finding for finding in examine(fresh, trained, data)}
        fresh_outputs, targets = (side[data["train_valid"][:, 1:]] for side in next_steps(fresh, data, "train"))
        outputs, val_targets = (side[data["val_valid"][:, 1:]] for side in next_steps(trained, data, "val"))
        scores = score(trained, data)
    distance = float((targets - fresh_outputs).double().square().mean().sqrt())
    assert pytest.approx(distance, rel=1e-6) == findings["target_scale"].numbers["distance"]
    spread = float(outputs.double().std() / val_targets.double().std())
    assert pytest.approx(spread, rel=1e-6) == findings["collapsed_output"].numbers["spread_ratio"]
    assert pytest.approx(scores["skill_vs_mean"], rel=1e-5) == findings["no_skill"].numbers["skill"]


def test_loss_reduction_is_from_validation_to_validation():
    """The first against the last epoch's validation loss; the record divided validation by training (.769 for .567)."""
    history = [
        {"epoch": 1.0, "train_loss": 0.1693, "val_loss": 0.0903},
        {"epoch": 2.0, "train_loss": 0.0001},
        {"epoch": 3.0, "train_loss": 0.05, "val_loss": 0.001},
        {"epoch": 5.0, "train_loss": 0.06, "val_loss": 0.0391},
    ]
    assert pytest.approx(0.567, abs=5e-4) == loss_reduction(history)
    assert {"val_loss_reduction": loss_reduction(history)} == CASE.finish(history)


def test_a_run_reports_its_last_epoch():
    """Not its best, its first or its middle one: every metric is the last epoch's, and each epoch's is another."""
    case = replace(CASE, settings=replace(CASE.settings, steps=15))
    run = train_single(Job(case, "normalized", 0))
    assert [1, 3, 5] == [row["epoch"] for row in run.history if "rmse_f" in row]
    evaluated = [row for row in run.history if "rmse_f" in row]
    names = {metric.name for metric in METRICS} & set(evaluated[0])
    assert {"rmse_f", "teacher_forced_mae_f", "prediction_sd_f", "prediction_mean_f"} < names
    for name in names:
        values = [row[name] for row in evaluated]
        assert 3 == len(set(values))
        assert (name, values[-1]) == (name, run.metrics[name])
    first, last = run.history[0]["val_loss"], run.history[-1]["val_loss"]
    assert 1 - last / first == run.metrics["val_loss_reduction"]


@pytest.mark.parametrize(
    ("changes", "first_step"),
    [
        ({}, 42),  # 27 epochs of 3 steps: evaluated after the 1st, the 14th and the last
        ({"lr": 1e-4, "width": 8}, 42),
        ({"steps": 14, "batch": 5, "cosine_steps": 40}, 8),  # 4 epochs of 4 steps: after the 1st, the 2nd and the last
        ({"target_scale": "range"}, 42),
    ],
)
def test_travel_unit_sums_lr_times_width_after_the_middle_epoch(changes, first_step):
    """Recomputed step by step: the cosine's rate times width, in degrees, from the middle evaluation to the last."""
    settings = replace(CASE.settings_of("raw_targets"), **changes)
    steps = range(first_step, settings.steps)
    fallen = settings.cosine_steps or settings.steps
    rates = [1e-6 + (settings.lr - 1e-6) * (1 + math.cos(math.pi * step / fallen)) / 2 for step in steps]
    unit = 400.0 if settings.target_scale == "range" else 1.0
    actual = CASE.close(generate(settings, 0), settings)
    assert {"travel_unit_f"} == set(actual)
    assert pytest.approx(sum(rates) * settings.width * unit, rel=1e-12) == actual["travel_unit_f"]
