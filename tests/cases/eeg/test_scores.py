"""The scores of the EEG case, each against a second implementation, and what its checks see on both sides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from goldmark.cases.eeg import CASE, EegSettings
from goldmark.cases.eeg.data import generate
from goldmark.cases.eeg.model import CompactRT, Ensemble
from goldmark.cases.eeg.scores import FULL_METRICS, augmented_prediction_s, examine, mse, window_share

NAMES = [metric.name for metric in FULL_METRICS]


def smooth_l1(error):
    """Return the mean SmoothL1 of errors, as its definition has it."""
    return np.where(np.abs(error) < 1, error**2 / 2, np.abs(error) - 0.5).mean()


# --- metrics


@pytest.fixture(scope="module")
def expected_metrics():
    """The metrics of `Mean` on seed 1, computed by numpy in float64."""
    data = {name: tensor.numpy() for name, tensor in generate(EegSettings(), 1).items()}
    x, target, train_target = data["val_eeg"], data["val_response_s"], data["train_response_s"]
    predicted = x.mean(axis=(1, 2))
    views = [x, np.roll(x, 3, -1), np.roll(x, -3, -1), 1.02 * x, 0.98 * x]
    augmented = np.mean([view.mean(axis=(1, 2)) for view in views], axis=0)
    val_mse, constant_mse = ((predicted - target) ** 2).mean(), ((train_target.mean() - target) ** 2).mean()
    return {
        "val_mse": val_mse,
        "val_smooth_l1": smooth_l1(predicted - target),
        "nrmse": val_mse**0.5 / target.std(),
        "skill_vs_mean": 1 - (val_mse / constant_mse) ** 0.5,
        "train_mse": ((data["train_eeg"].mean(axis=(1, 2)) - train_target) ** 2).mean(),
        "prediction_sd_ratio": predicted.std(ddof=1) / target.std(ddof=1),
        "tta_change_s": np.abs(augmented - predicted).mean(),
        "tta_mse": ((augmented - target) ** 2).mean(),
        "gain_of_average": 0.0,
    }


@pytest.mark.parametrize("name", NAMES)
def test_metric_equals_a_second_implementation(name, mean_model, expected_metrics):
    """Rounding of float64 sums only; the mean of a window neither rolls nor, over both factors, scales."""
    metrics = CASE.evaluate(mean_model, generate(EegSettings(), 1), EegSettings())
    assert set() == set(NAMES) ^ set(metrics)
    assert pytest.approx(expected_metrics[name], rel=1e-9, abs=1e-15) == metrics[name]


def test_test_time_augmentation_averages_five_views():
    """A model that squares one sample tells the views apart: 1, both neighbours at 3 samples, both factors."""

    class Square(nn.Module):
        def forward(self, eeg):
            """Return (B,) for (B, C, T)."""
            return eeg[:, 0, 10] ** 2

    x = torch.arange(20.0, dtype=torch.float64)[None, None]
    expected = (10**2 + 7**2 + 13**2 + 10.2**2 + 9.8**2) / 5
    assert pytest.approx(expected, rel=1e-12) == float(augmented_prediction_s(Square(), x))
    data = {"val_eeg": x.expand(3, 1, 20), "val_response_s": torch.tensor([90.0, 100.0, 110.0])}
    data |= {"train_eeg": x, "train_response_s": torch.tensor([100.0])}
    metrics = CASE.evaluate(Square(), data, EegSettings())
    assert pytest.approx(expected - 100, rel=1e-9) == metrics["tta_change_s"]
    assert pytest.approx(np.mean([(expected - t) ** 2 for t in (90, 100, 110)]), rel=1e-9) == metrics["tta_mse"]
    assert pytest.approx(200 / 3, rel=1e-9) == metrics["val_mse"]


def test_average_gains_what_its_members_differ_by():
    """MSE of the mean = mean MSE - variance of the members (Krogh and Vedelsby, 1995); float64 rounding."""
    settings = EegSettings(members=3)
    data = CASE.make_data(settings, 0)
    model = CASE.make_model(settings, data).double().eval()
    with torch.no_grad():
        metrics = CASE.evaluate(model, data, settings)
        predicted = torch.stack([member(data["val_eeg"]) for member in model.members])
    of_members = (predicted - data["val_response_s"]).square().mean()
    varies = predicted.var(dim=0, correction=0).mean()
    assert pytest.approx(float(of_members - varies), rel=1e-9) == metrics["val_mse"]
    assert pytest.approx(float(varies / of_members), rel=1e-9) == metrics["gain_of_average"]
    assert metrics["gain_of_average"] > 0


# --- the constant predictor


class Constant(nn.Module):
    """Predict one number for every window."""

    def __init__(self, answer_s):
        super().__init__()
        self.answer_s = answer_s

    def forward(self, eeg, draws=None):
        """Return (B,) for (B, C, T)."""
        return torch.full((len(eeg),), self.answer_s, dtype=torch.float64)


@pytest.mark.parametrize("name", NAMES)
def test_baseline_is_what_a_model_of_the_training_mean_scores(name):
    """The same path scores it; the sum of float64 rounding only."""
    data = generate(EegSettings(), 0)
    (constant,) = CASE.baselines(data, EegSettings())
    metrics = CASE.evaluate(Constant(float(data["train_response_s"].mean())), data, EegSettings())
    assert set() == set(metrics) ^ set(constant.metrics)
    assert pytest.approx(constant.metrics[name], rel=1e-12, abs=1e-12) == metrics[name]


def test_constant_predictor_scores_an_nrmse_of_about_1():
    """The baseline's NRMSE is 1 and what the two halves' means differ by; over the range it reads as near perfect."""
    data = generate(EegSettings(), 0)
    (constant,) = CASE.baselines(data, EegSettings())
    target = data["val_response_s"].numpy()
    offset = float(data["train_response_s"].mean()) - target.mean()
    assert pytest.approx((1 + offset**2 / target.var()) ** 0.5, rel=1e-12) == constant.metrics["nrmse"]
    over_range = (target.var() + offset**2) ** 0.5 / (target.max() - target.min())
    assert pytest.approx(over_range, rel=1e-12) == CASE.close(data, EegSettings())["mean_rmse_over_range"]
    assert over_range < 0.3


@pytest.mark.parametrize("largest_s", [0.2, 0.999, 1.001, 2.0])
def test_smooth_l1_is_half_the_mse_below_an_error_of_1_s(largest_s):
    """The unit error, in numbers: a factor of exactly 2 below 1 s, more where an error lies above."""
    error_s = np.array([0.1, -0.3, largest_s, -largest_s])
    data = {
        "train_response_s": torch.tensor([1.0, 2.0], dtype=torch.float64),
        "val_response_s": torch.from_numpy(1.5 - error_s),
    }
    units = CASE.close(data, EegSettings())
    factor = (error_s**2).mean() / smooth_l1(error_s)
    assert pytest.approx(smooth_l1(error_s), rel=1e-12) == units["mean_smooth_l1"]
    assert pytest.approx(factor, rel=1e-12) == units["mean_mse_over_smooth_l1"]
    assert pytest.approx(2.0, rel=1e-12) == units["mean_mse_over_smooth_l1_below_1_s"]
    assert (factor > 2 + 1e-9) == (largest_s > 1)


# --- what the checks see


class Answers(CompactRT):
    """A net whose predictions are given."""

    def __init__(self, answers_s):
        super().__init__(channels=16, widths=(4,), kernels=(3,), head=(2,))
        self.double()
        self.answers_s = answers_s

    def forward(self, eeg, draws=None):
        """Return (B,), whatever the windows are."""
        return self.answers_s


def findings(model, data, settings=None):
    """Return what the checks say of a model, by name."""
    with torch.no_grad():
        return {finding.name: finding for finding in examine(model, data, settings or EegSettings())}


def answers_of_skill(target_s, share):
    """Return answers on the line from the mean of the targets to the targets whose MSE is 1 - share of a constant's."""
    return target_s.mean() + (1 - (1 - share) ** 0.5) * (target_s - target_s.mean())


@pytest.mark.parametrize(("skill", "trouble"), [(0.0, True), (0.009, True), (0.011, False), (0.5, False)])
def test_skill_is_taken_over_the_best_constant_in_hindsight(skill, trouble):
    """One per cent of its MSE is the threshold; beating the training mean alone, 1 s off here, is no skill."""
    data = dict(CASE.make_data(EegSettings(), 0))
    data["train_response_s"] = data["train_response_s"] + 1
    finding = findings(Answers(answers_of_skill(data["val_response_s"], skill)), data)["no_skill"]
    assert pytest.approx(skill, abs=1e-9) == finding.numbers["skill"]
    assert trouble == finding.trouble


@pytest.mark.parametrize(("spread", "trouble"), [(0.0, True), (0.099, True), (0.101, False), (1.0, False)])
def test_collapse_is_seen_on_validation_windows(spread, trouble):
    """Answers that vary a tenth as much as their targets are the threshold."""
    data = CASE.make_data(EegSettings(), 0)
    assert trouble == findings(Answers(spread * data["val_response_s"]), data)["collapsed_output"].trouble


@pytest.mark.parametrize("mixup_of", ["batches", "windows"])
@pytest.mark.parametrize("members", [1, 2])
def test_mixup_of_a_run_is_held_to_its_contract(mixup_of, members):
    """With the weights that the run draws: none is wrong unless the targets stay, or another share was meant."""
    settings = EegSettings(mixup_of=mixup_of, mixup_fraction=0.5, members=members, steps=200)
    data = CASE.make_data(settings, 0)
    model = Answers(data["val_response_s"])
    assert not findings(model, data, settings)["wrong_mixup"].trouble
    assert findings(model, data, replace(settings, mix_targets=False))["wrong_mixup"].trouble
    assert findings(model, data, replace(settings, mixup_fraction=0.0))["wrong_mixup"].trouble


# --- the mechanism of the collapse: what the first layer normalizes by


def untrained(settings):
    """Return data and a fresh net in float64."""
    data = CASE.make_data(settings, 0)
    torch.manual_seed(0)
    return data, CASE.make_model(settings, data).double().eval()


@pytest.mark.parametrize(
    ("settings", "low", "high"),
    [
        (EegSettings(), 0.99, 1.0),
        (EegSettings(noise_sd=0.01), 0.99, 1.01),
        (EegSettings(noise_sd=0.5), 0.5, 0.99),
        (EegSettings(noise_sd=10.0), 1e-3, 0.2),
        (EegSettings(input_scale="volts", noise_sd=0.01), 1e-7, 1e-5),
        (EegSettings(input_scale="volts"), 1e-6, 1e-4),  # eps alone is 10,000 times their variance
    ],
    ids=["scaled", "scaled_noise", "noisy", "drowned", "volts", "quiet_volts"],
)
def test_share_of_the_windows_equals_a_second_implementation(settings, low, high):
    """Convolved by numpy, with the noise of step 0 of seed 0 and eps of 1e-5; float64 rounding."""
    data, net = untrained(settings)
    weight, bias = (tensor.detach().numpy() for tensor in (net.convolutions[0].weight, net.convolutions[0].bias))
    x = data["train_eeg"]
    with torch.no_grad():
        share = window_share(net, data, settings)
    from goldmark.training.draws import Draws

    shown = x + settings.noise_sd * Draws.at(0, 0).normal("noise", *x.shape)

    def variance(windows):
        padded = np.pad(windows.numpy(), ((0, 0), (0, 0), (3, 3)))
        convolved = [np.einsum("oik,nik->no", weight, padded[:, :, at : at + 7]) + bias for at in range(0, 100, 2)]
        return np.var(convolved, axis=(0, 1))

    assert pytest.approx((variance(x) / (variance(shown) + 1e-5)).mean(), rel=1e-9) == share
    assert low < share <= high


@pytest.mark.parametrize(("noise_sd", "trouble"), [(0.9, False), (1.1, True)])
def test_windows_are_drowned_by_noise_of_more_than_their_own_variance(noise_sd, trouble):
    """White windows of sd 1: noise of the same sd would take half of the variance, the threshold."""
    settings = EegSettings(noise_sd=noise_sd)
    data, net = untrained(settings)
    data = {**data, "train_eeg": torch.randn(32, 16, 100, generator=torch.manual_seed(1), dtype=torch.float64)}
    finding = findings(net, data, settings)["drowned_windows"]
    assert pytest.approx(1 / (1 + noise_sd**2), abs=0.02) == finding.numbers["window_share"]
    assert trouble == finding.trouble


@pytest.mark.parametrize("weight", [1e-4, float("nan")])
def test_an_ensemble_is_as_drowned_as_its_worst_member(weight):
    """Weights so small that eps outweighs what they make of the windows, or none that are numbers."""
    settings = EegSettings(members=2)
    data, model = untrained(settings)
    assert isinstance(model, Ensemble)
    assert not findings(model, data, settings)["drowned_windows"].trouble
    with torch.no_grad():
        model.members[1].convolutions[0].weight.mul_(weight)
    assert findings(model, data, settings)["drowned_windows"].trouble


def test_mse_is_summed_in_float64():
    """A million float32 errors of 0.1 s: a float32 sum would be off in the fifth digit."""
    assert pytest.approx(float(np.float32(0.1)) ** 2, rel=1e-12) == mse(torch.full((1_000_000,), 0.1), torch.zeros(1))
