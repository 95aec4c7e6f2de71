"""The EEG case's own behaviour: the loss of a step, the learning rate, and a run from end to end."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from goldmark.cases.eeg import CASE, EegSettings
from goldmark.cases.eeg.model import Ensemble, members_of
from goldmark.runs import Job
from goldmark.training._prepare import of_step
from goldmark.training._single import train_single
from goldmark.training.draws import Draws


def test_every_variant_draws_the_same_so_that_runs_pair(mean_model, float_data):
    """A batch is permuted in every step whether it is mixed or not: variants without noise share a stream of draws."""
    used = []
    for name in ("mixup", "no_mixup", "mixup_documented", "inputs_only_mixup"):
        draws, settings = Draws.at(0, 0), CASE.settings_of(name)
        CASE.loss(mean_model, of_step(float_data(settings), 0), torch.arange(32), draws, settings)
        used.append(draws.used)
    assert [{("mixup index", (32,))}] * 4 == used


@pytest.mark.parametrize("name", ["mixup", "no_mixup", "mixup_documented", "inputs_only_mixup", "scaled_noise"])
def test_loss_is_the_mse_of_the_batch_as_augmented(name, mean_model, float_data):
    """A second implementation in numpy, from the same draws; float32 rounding only."""
    settings, rows = CASE.settings_of(name), torch.arange(31, -1, -1)
    data = float_data(settings, seed=5)
    draws = Draws.at(5, 2)
    x, y = data["train_eeg"][rows].numpy(), data["train_response_s"][rows].numpy()
    if settings.noise_sd:
        x = x + settings.noise_sd * draws.normal("noise", 32, 16, 100).numpy()
    if float(draws.uniform("mixup applied", 1)) < settings.mixup_fraction:
        lam = _lam(float(draws.uniform("mixup weight", 1)), settings.mixup_alpha)
        index = draws.permutation("mixup index", 32).numpy()
        x = lam * x + (1 - lam) * x[index]
        y = lam * y + (1 - lam) * y[index] if settings.mix_targets else y
    expected = ((x.mean(axis=(1, 2)) - y) ** 2).mean()
    lost = CASE.loss(mean_model, of_step(data, 2), rows, Draws.at(5, 2), settings)
    assert pytest.approx(expected, rel=1e-5) == float(lost)


@pytest.mark.parametrize("error_s", [0.0, 0.5, 0.999, 1.001, 1.5, -0.999, -1.001, -2.0])
@pytest.mark.parametrize("name", ["mse", "smooth_l1"])
def test_loss_is_the_one_of_the_settings_on_both_sides_of_1_s(name, error_s, mean_model, float_data):
    """One window is off by an error, the others by 0.1 s; by hand, and for SmoothL1 by torch too; float32 rounding."""
    settings = EegSettings(loss=name, mixup_fraction=0.0)
    data = of_step(float_data(settings), 0)
    errors = torch.full((32,), 0.1)
    errors[0] = error_s
    data["train_response_s"] = mean_model(data["train_eeg"]) - errors
    squares = [error**2 for error in errors.tolist()]
    bounded = [square / 2 if square < 1 else square**0.5 - 0.5 for square in squares]
    expected = sum(squares if name == "mse" else bounded) / 32
    lost = CASE.loss(mean_model, data, torch.arange(32), Draws.at(0, 0), settings)
    assert pytest.approx(expected, rel=1e-5) == float(lost)
    if name == "smooth_l1":
        by_torch = torch.nn.functional.smooth_l1_loss(mean_model(data["train_eeg"]), data["train_response_s"])
        assert pytest.approx(float(by_torch), rel=1e-5) == float(lost)


@pytest.mark.parametrize(
    ("cycles", "expected"), [(1, [1.0, 0.8535534, 0.5, 0.1464466]), (2, [1.0, 0.5, 1.0, 0.5]), (4, [1.0] * 4)]
)
def test_learning_rate_falls_by_cosines_that_start_again(cycles, expected):
    """Four steps as one cosine, as two, and as four of a step each; without an end the rate stays."""
    settings = EegSettings(lr_min=0.0, cycles=cycles, steps=4)
    assert pytest.approx(expected) == [CASE.rate_factor(settings, step) for step in range(4)]
    assert [1.0] * 4 == [CASE.rate_factor(replace(settings, lr_min=None), step) for step in range(4)]


def test_run_holds_every_metric_the_case_declares():
    """Four steps are enough to see that a run is whole and says what it was trained on."""
    short = replace(CASE, settings=EegSettings(steps=4))
    run = train_single(Job(short, "mixup", 0))
    assert {metric.name for metric in CASE.metrics} == set(run.metrics)
    assert all(math.isfinite(value) for value in run.metrics.values())
    assert run.exact["n_parameters"] == 5_041
    names = {"collapsed_output", "no_skill", "wrong_mixup", "drowned_windows", "unmoved_by_augmentation"}
    assert names == {finding.name for finding in run.findings}
    sources = {path.removeprefix("goldmark/cases/eeg/") for path in run.sources}
    assert {"__init__.py", "augmentation.py", "data.py", "mixup.py", "model.py", "scores.py"} <= sources
    assert not {"experiments.py", "full.py"} & sources


@pytest.fixture
def ensemble(float_data):
    """`ensemble(members)`: settings, data of a step and model of an ensemble of small nets."""

    def make(members):
        settings = EegSettings(members=members, mixup_alpha=0.5, conv_dropout=(0.3, 0.4))
        data = float_data(settings)
        return settings, of_step(data, 1), CASE.make_model(settings, data)

    return make


def gradient(settings, data, model, member):
    """Return the gradient of the first convolution of a member, and the loss."""
    total = CASE.loss(model, data, torch.arange(32), Draws.at(0, 1), settings)
    return torch.autograd.grad(total, members_of(model)[member].convolutions[0].weight)[0], float(total.detach())


def test_members_train_as_if_they_were_alone(ensemble):
    """No member's gradient depends on the weights of another, and the loss is the sum of theirs."""
    settings, data, model = ensemble(3)
    before, all_three = gradient(settings, data, model, member=0)
    with torch.no_grad():
        model.members[1].output.bias.add_(10)  # its error grows by about 10 s, its loss by about 100 s^2
    after, with_one_worse = gradient(settings, data, model, member=0)
    assert torch.equal(before, after)
    assert float(before.abs().max()) > 0
    assert pytest.approx(100, rel=0.2) == with_one_worse - all_three


def test_members_have_draws_and_an_order_of_their_own(ensemble):
    """Members of equal weights still learn differently: dropout, partners, weights and windows are their own."""
    settings, data, model = ensemble(2)
    model.members[1].load_state_dict(model.members[0].state_dict())
    assert not torch.allclose(*(gradient(settings, data, model, i)[0] for i in (0, 1)), rtol=1e-3)
    assert (2, 32) == data["member_order"].shape
    assert not torch.equal(*data["member_order"])
    assert list(range(32)) == data["member_order"][0].sort().values.tolist()
    assert data["step_mix_weight"][0] != data["step_mix_weight"][1]


class Recorder(torch.nn.Module):
    """Keep what a member is shown."""

    def __init__(self):
        super().__init__()
        self.shown = []

    def forward(self, eeg, draws=None):
        """Return (B,) for (B, C, T)."""
        self.shown.append(eeg)
        return eeg.mean(dim=(1, 2))


def test_a_member_is_shown_the_rows_of_its_own_order(float_data):
    """Without mixup, the batch of a member is its order at the rows of the step."""
    settings = EegSettings(members=2, mixup_fraction=0.0)
    data, rows = of_step(float_data(settings), 0), torch.arange(5, 9)
    model = Ensemble([Recorder(), Recorder()])
    CASE.loss(model, data, rows, Draws.at(0, 0), settings)
    for order, member in zip(data["member_order"], members_of(model), strict=True):
        assert torch.equal(data["train_eeg"][order[rows]], member.shown[0])


def test_a_member_is_augmented_by_draws_of_its_own(float_data):
    """Of one batch, two members of one order are shown the same windows under different noise."""
    settings = EegSettings(members=2, mixup_fraction=0.0, noise_sd=0.5)
    data = of_step(float_data(settings), 0)
    data["member_order"] = torch.arange(32).expand(2, 32)
    model = Ensemble([Recorder(), Recorder()])
    CASE.loss(model, data, torch.arange(8), Draws.at(0, 0), settings)
    first, second = ((member.shown[0] - data["train_eeg"][:8]).flatten() for member in members_of(model))
    # 12,800 pairs of independent numbers correlate by less than four standard errors
    assert abs(float(torch.corrcoef(torch.stack([first, second]))[0, 1])) < 4 / 12_800**0.5
    assert pytest.approx(0.5, rel=0.05) == float(first.std())


def _lam(probability, alpha):
    from scipy import stats

    return stats.beta(alpha, alpha).ppf(probability)
