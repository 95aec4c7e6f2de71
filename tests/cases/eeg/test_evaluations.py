"""The record's evaluations of EEG nets: the rule at its limits, five views, ensembles, and the constant beside each."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from goldmark.case import Score, UsageError
from goldmark.cases.eeg import CASE, EegSettings
from goldmark.cases.eeg.data import generate
from goldmark.cases.eeg.evaluations import DECISION_RULE, challenge_score, decide, decision, ensemble, five_views
from goldmark.cases.eeg.model import make_model
from goldmark.training.draws import initial_weights

SETTINGS = EegSettings(n_train=8, n_val=12, channels=4, samples=24, widths=(4, 4), head=(4,))


@pytest.fixture(scope="module")
def data():
    """Windows in float64."""
    return generate(SETTINGS, 0)


class Answering(nn.Module):
    """Predict given response times, whatever the windows are."""

    def __init__(self, response_s):
        super().__init__()
        self.response_s = response_s

    def forward(self, eeg):
        """Return (B,) for (B, C, T)."""
        return self.response_s.expand(len(eeg))


def constant(data):
    """The constant predictor as a model."""
    return Answering(data["train_response_s"].mean()).eval()


def test_evaluations_of_a_fixed_ensemble(golden, data):
    """Every number and every word that `goldmark run --evaluate` would tell of two nets that are not trained."""
    settings = EegSettings(channels=4, samples=24, widths=(4, 4), head=(4,), members=2)
    with initial_weights(0):
        model = make_model(settings, 1.5).double().eval()
    sections = CASE.evaluations(model, data, settings)
    flat = {f"{section}.{name}": value for section, entries in sections.items() for name, value in entries.items()}
    golden.exact({name: value for name, value in flat.items() if isinstance(value, str)})
    golden.close({name: value for name, value in flat.items() if not isinstance(value, str)}, rel=1e-6)  # float64 sums


def test_a_net_alone_is_no_ensemble(data):
    """Its evaluations are the three that need no other member."""
    assert {"decision", "challenge", "test_time_augmentation"} == set(CASE.evaluations(constant(data), data, SETTINGS))


def test_rule_decides_at_the_limits_of_the_record_and_in_its_unit():
    """Below 0.085, to 0.095, beyond; NaN stops; a mean squared error is refused."""
    at = {0.0849: "go on", 0.085: "marginal", 0.095: "marginal", 0.0951: "stop", math.nan: "stop"}
    assert list(at.values()) == [decide(loss) for loss in at]
    with pytest.raises(UsageError, match="do not compare"):
        DECISION_RULE.decide(Score(metric=CASE.metric("val_mse"), value=0.16))


def test_a_constant_gets_what_stands_beside_it(data):
    """Decision, challenge score and augmented errors of the constant predictor are those that are told of it."""
    model, target_s = constant(data), data["val_response_s"].numpy()
    error_s = float(data["train_response_s"].mean()) - target_s
    rule, score, views = (evaluate(model, data) for evaluate in (decision, challenge_score, five_views))
    bounded = np.minimum(np.abs(error_s), 1)
    assert pytest.approx((bounded * (np.abs(error_s) - bounded / 2)).mean()) == rule["smooth_l1_s2"]
    assert (rule["constant_smooth_l1_s2"], rule["constant_decision"]) == (rule["smooth_l1_s2"], rule["decision"])
    assert pytest.approx((error_s**2).mean() ** 0.5 / target_s.std()) == score["rmse_over_sd"] == score["constant"]
    errors_s2 = [value for name, value in views.items() if name.startswith("mse_")]
    assert [pytest.approx((error_s**2).mean())] * 7 == errors_s2
    assert {0.0} == {value for name, value in views.items() if name.startswith("change_")}
    assert "unmoved: says nothing" == views["judged"]


def test_five_views_equal_a_second_implementation(data):
    """A model that reads one sample: what numpy's roll and products give, view by view."""

    class Sample(nn.Module):
        def forward(self, eeg):
            """Return (B,) for (B, C, T)."""
            return 1.5 + eeg[:, 0, 10]

    x, target_s = data["val_eeg"].numpy(), data["val_response_s"].numpy()
    seen = {"identity": x, "roll_+3": np.roll(x, 3, -1), "roll_-3": np.roll(x, -3, -1)}
    seen |= {"times_1.02": 1.02 * x, "times_0.98": 0.98 * x}
    seen = {name: 1.5 + view[:, 0, 10] for name, view in seen.items()}
    section = five_views(Sample().eval(), data)
    for name, predicted_s in (seen | {"average": np.mean(list(seen.values()), axis=0)}).items():
        assert pytest.approx(((predicted_s - target_s) ** 2).mean()) == section[f"mse_{name}_s2"]
        if name != "identity":
            assert pytest.approx(np.abs(predicted_s - seen["identity"]).mean()) == section[f"change_{name}_s"]
    assert "moved" == section["judged"]


def test_ensemble_gains_the_variance_of_its_members(data):
    """The truth with errors of +e and -e, and without: numpy's MSEs, gain and spread; the word says that it gains."""
    target_s, e = data["val_response_s"], torch.linspace(-0.3, 0.3, 12, dtype=torch.float64)
    section = ensemble([Answering(target_s + sign * e).eval() for sign in (1, -1, 0)], data)
    of_members = float(2 * e.square().mean() / 3)
    assert pytest.approx(of_members) == section["mse_of_members_s2"]
    assert pytest.approx(0, abs=1e-12) == section["mse_of_average_s2"]
    assert (pytest.approx(1), pytest.approx(of_members**0.5)) == (section["gain"], section["spread_s"])
    assert (3, "gains") == (section["members"], section["judged"])


def test_ensemble_of_equals_or_of_constants_is_idle(data):
    """One model five times saves nothing; constants of their own save by their offsets, which is no gain."""
    target_s = data["val_response_s"]
    equal = ensemble([Answering(target_s + 0.1).eval()] * 5, data)
    offsets = ensemble([Answering(target_s.mean() + offset).eval() for offset in (-0.2, 0.2)], data)
    assert (pytest.approx(0, abs=1e-12), "idle") == (equal["gain"], equal["judged"])  # rounding of their mean
    assert pytest.approx(0, abs=1e-12) == equal["spread_s"]
    assert offsets["gain"] > 0.1
    assert ("idle", pytest.approx(offsets["gain"])) == (offsets["judged"], offsets["gain_by_offsets"])
    with pytest.raises(UsageError, match="1 model is no ensemble; pass two or more"):
        ensemble([constant(data)], data)


@pytest.mark.parametrize("evaluate", [decision, challenge_score, five_views, lambda m, d: ensemble([m, m], d)])
def test_models_in_training_are_refused(data, evaluate):
    """BatchNorm would normalize by the windows at hand."""
    with pytest.raises(UsageError, match=r"the model is in training, .*; call model.eval\(\) first"):
        evaluate(constant(data).train(), data)
