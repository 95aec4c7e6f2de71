"""The record's evaluations of roast models: words at their limits, and what dead models and naive predictors get."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from goldmark.case import UsageError
from goldmark.cases.roast import CASE, RoastSettings
from goldmark.cases.roast.data import generate, scaled
from goldmark.cases.roast.evaluations import (
    corrected,
    decide,
    decision,
    generation_diagnostic,
    spread_word,
    teacher_forced,
    tier,
)
from goldmark.cases.roast.model import make_model
from goldmark.training.draws import initial_weights

SETTINGS = RoastSettings(n_train=6, n_val=4, width=8)


@pytest.fixture(scope="module")
def data():
    """Profiles in float64."""
    return generate(SETTINGS, 0)


def fresh(settings, data):
    """A model of a fixed seed, in float64 and in evaluation."""
    with initial_weights(0):
        return make_model(settings, data).double().eval()


def answering(temp_f, data):
    """A model that answers one temperature, whatever it reads."""
    model = fresh(SETTINGS, data)
    torch.nn.init.zeros_(model.output.weight)
    torch.nn.init.constant_(model.output.bias, float(scaled(torch.tensor(temp_f), data, "target")))
    return model


def test_evaluations_of_a_fixed_model(golden, data):
    """Every number and every word that `goldmark run --evaluate` would tell of a model that is not trained."""
    sections = CASE.evaluations(fresh(SETTINGS, data), data, SETTINGS)
    flat = {f"{section}.{name}": value for section, entries in sections.items() for name, value in entries.items()}
    golden.exact({name: value for name, value in flat.items() if isinstance(value, str)})
    # float64 sums in another order, through 47 steps that are fed back
    golden.close({name: value for name, value in flat.items() if not isinstance(value, str)}, rel=1e-6)


@pytest.mark.parametrize(
    ("word", "at"),
    [
        (tier, {9.99: "excellent", 10.0: "good", 50.0: "moderate", 150.0: "poor", math.nan: "poor"}),
        (spread_word, {0.99: "COLLAPSED", 1.0: "LOW", 99.9: "LOW", 100.0: "VARYING", math.nan: "COLLAPSED"}),
        (
            decide,
            {
                59.9: "success",
                60.0: "acceptable",
                100.0: "acceptable",
                100.1: "fall back to micro",
                math.nan: "fall back to micro",
            },
        ),
    ],
    ids=["tier", "spread", "decision"],
)
def test_words_change_at_the_limits_of_the_record(word, at):
    """Each side of each limit; a number that is none gets the worst word."""
    assert list(at.values()) == [word(value) for value in at]


def test_a_collapsed_model_varies_in_the_record_and_is_found_once_the_start_is_left_out(data):
    """It answers 100 F: the record's variance is that of the start, (s - 100)^2 * 10 / 121, and the true word none."""
    sections = generation_diagnostic(answering(100.0, data), data, SETTINGS)
    start_f = data["val_temp_f"][:, 0].numpy()
    assert pytest.approx(((start_f - 100) ** 2 * 10 / 121).mean()) == sections["generation"]["raw_variance_f2"]
    assert ("VARYING", "COLLAPSED") == (
        sections["generation"]["raw_spread"],
        sections["generation_corrected"]["spread"],
    )
    assert "collapsed" == sections["generation_corrected"]["judged"]
    assert pytest.approx(0, abs=1e-12) == sections["generation_corrected"]["variance_f2"]
    # clamped, the same constant reads as a temperature
    assert pytest.approx([start_f.mean(), *[250.0] * 10]) == list(sections["steps_clamped"].values())
    assert pytest.approx([start_f.mean(), *[100.0] * 10]) == list(sections["steps_raw"].values())
    true_f = data["val_temp_f"].numpy()[:, :11].mean(axis=0)
    assert pytest.approx(true_f) == list(sections["steps_true"].values())


def test_corrected_errors_equal_a_second_implementation(data):
    """Curves that are 5 F off: errors of model, training mean, mean curve and start over valid cells, by numpy."""
    true_f, valid = data["val_temp_f"].numpy(), data["val_valid"].numpy()[:, 1:]
    train_f, trained = data["train_temp_f"].numpy(), data["train_valid"].numpy()
    mean_f = train_f[trained].mean()  # and of the mean curve where no training profile is as long
    cells = zip(train_f.T, trained.T, strict=True)
    curve_f = np.array([column[valid].mean() if valid.any() else mean_f for column, valid in cells])
    naive = {"mean": mean_f, "mean_curve": curve_f[1:], "start": true_f[:, :1]}
    section = corrected(data["val_temp_f"] + 5, data)
    for name, predicted_f in naive.items():
        expected = np.abs(predicted_f - true_f[:, 1:])[valid].mean()
        assert pytest.approx(expected) == section[f"{name}_mae_f"]
        assert pytest.approx(1 - 5 / expected) == section[f"skill_vs_{name}"]
    variances = [curve[cells].var() for curve, cells in zip(true_f[:, 1:], valid, strict=True)]
    assert pytest.approx(np.mean(variances)) == section["variance_f2"] == pytest.approx(section["true_variance_f2"])
    assert ("skill", pytest.approx(5)) == (section["judged"], section["mae_f"])


def test_varying_without_skill_is_said(data):
    """Noise in the range of roasts varies without the start, too, and the mean is as good."""
    noise = 250 + 200 * torch.rand(data["val_temp_f"].shape, generator=torch.Generator().manual_seed(0)).double()
    section = corrected(noise, data)
    assert ("VARYING", "no skill") == (section["spread"], section["judged"])


def test_curves_are_compared_as_far_as_they_are_generated(data):
    """Seven steps of 47: the errors are those of seven."""
    section = corrected(data["val_temp_f"][:, :8] + 5, data)
    expected = (data["val_temp_f"][:, :1] - data["val_temp_f"][:, 1:8]).abs().mean()
    assert pytest.approx(float(expected)) == section["start_mae_f"]


def test_a_model_that_copies_its_input_has_the_tier_of_persistence(data):
    """Persistence stands beside the tier, and skill over it is 0, whatever the tier is."""
    settings = RoastSettings(n_train=6, n_val=4, width=8, residual=True)
    model = fresh(settings, data)
    torch.nn.init.zeros_(model.output.weight)
    torch.nn.init.zeros_(model.output.bias)
    section = teacher_forced(model, data)
    steps_f = np.abs(np.diff(data["val_temp_f"].numpy()))[data["val_valid"].numpy()[:, 1:]].mean()
    assert (pytest.approx(steps_f), pytest.approx(steps_f)) == (section["mae_f"], section["persistence_mae_f"])
    assert section["tier"] == section["persistence_tier"]
    assert pytest.approx(0, abs=1e-9) == section["skill_vs_persistence"]


def test_decision_shows_that_a_constant_is_acceptable(data):
    """The mean of the training half errs by 60 to 100 F: the record's rule accepts it, and tells no 79 F from it."""
    section = decision(answering(float(data["temp_mean_f"]), data), data)
    assert pytest.approx(section["mean_rmse_f"]) == section["rmse_f"]
    assert ("acceptable", "acceptable", "success") == tuple(
        section[name] for name in ("decision", "mean_decision", "persistence_decision")
    )


@pytest.mark.parametrize("evaluate", [teacher_forced, decision, lambda m, d: generation_diagnostic(m, d, SETTINGS)])
def test_models_in_training_are_refused(data, evaluate):
    """With dropout, its numbers would be those of chance."""
    with pytest.raises(UsageError, match=r"the model is in training; call model.eval\(\) first"):
        evaluate(fresh(SETTINGS, data).train(), data)
