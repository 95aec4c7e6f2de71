"""The loss against numpy, and teacher forcing: which steps are forced, and what they are fed."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
import torch
from torch import nn

from goldmark.cases.poetry import CASE
from goldmark.cases.poetry.objective import draw_forcing, forcing_tensors, full_forcing
from goldmark.training import draws
from goldmark.training._prepare import of_step

OBJECTIVES = ["sum", "mse", "cosine", "hybrid"]


class Answer(nn.Module):
    """A model that answers with given outputs, and keeps the forcing that it was given."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs

    def forward(self, tokens, draws, forcing, valid=None):
        """Return the outputs, whatever the tokens."""
        self.forcing = forcing
        return self.outputs


def loss_of(objective, settings, outputs, rows):
    """The loss of given outputs for rows of the training half."""
    settings = replace(settings, objective=objective)
    data = CASE.make_data(settings, 0)
    return CASE.loss(Answer(outputs), data, rows, draws.Draws.at(0, 0), settings)


def expected_loss(objective, outputs, targets):
    """The loss with numpy, from the record's sentences."""
    cosines = (outputs * targets).sum(-1) / np.linalg.norm(outputs, axis=-1) / np.linalg.norm(targets, axis=-1)
    units = targets / np.linalg.norm(targets, axis=-1, keepdims=True)
    return {
        "sum": 1 - cosines.mean() + ((outputs - targets) ** 2).mean(),
        "mse": ((outputs - targets) ** 2).mean(),
        "cosine": 1 - cosines.mean(),
        "hybrid": 0.9 * (1 - cosines.mean()) + 0.1 * ((outputs - units) ** 2).mean(),
    }[objective]


# --- the loss


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e3])
def test_loss_is_that_of_numpy(objective, size, settings, data):
    """Of the batch's rows, for outputs from tiny to huge; the expanded square costs digits, so to 1e-9."""
    rows = torch.tensor([3, 1, 8])
    outputs = size * draws.normal(draws.key(0, 0, "outputs"), (3, 12, 48))
    expected = expected_loss(objective, outputs.numpy(), data["train_tokens"].numpy()[rows.numpy()])
    assert expected == pytest.approx(float(loss_of(objective, settings, outputs, rows)), rel=1e-9)


@pytest.mark.parametrize(
    ("objective", "factor", "expected"),
    [("sum", 2, "energy"), ("mse", 2, "energy"), ("cosine", 2, 0.0), ("sum", 1, 0.0), ("mse", 1, 0.0)],
)
def test_loss_minds_the_norm_of_an_output_unless_it_is_the_cosine(objective, factor, expected, settings, data):
    """Perfect outputs cost nothing; twice as long ones cost their squared error, or nothing by cosine alone."""
    rows = torch.arange(8)
    tokens = data["train_tokens"][rows]
    expected = float(tokens.square().mean()) if expected == "energy" else expected
    # float64 rounding of a cosine of 1
    assert expected == pytest.approx(float(loss_of(objective, settings, factor * tokens, rows)), rel=1e-12, abs=1e-12)


def test_hybrid_loss_wants_targets_of_norm_1(settings, data):
    """Targets over their norm cost nothing; the targets themselves, of norm 7, cost a tenth of the difference."""
    rows = torch.arange(8)
    tokens = data["train_tokens"][rows]
    norms = tokens.norm(dim=-1, keepdim=True)
    units = tokens / norms
    assert 0 == pytest.approx(float(loss_of("hybrid", settings, units, rows)), abs=1e-12)  # float64 rounding
    expected = 0.1 * float((tokens - units).square().mean())
    assert expected == pytest.approx(float(loss_of("hybrid", settings, tokens, rows)), rel=1e-9)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_zero_outputs_have_a_cosine_of_0_and_a_finite_gradient(objective, settings, data):
    """Where an output is zero the cosine is 0, not NaN: the loss of a dead model can still be stepped on."""
    rows, outputs = torch.arange(4), torch.zeros(4, 12, 48, dtype=torch.float64, requires_grad=True)
    loss = loss_of(objective, settings, outputs, rows)
    tokens = data["train_tokens"][rows]
    square = float(tokens.square().mean())
    expected = {"sum": 1 + square, "mse": square, "cosine": 1.0, "hybrid": 0.9 + 0.1 / 48}[objective]
    assert expected == pytest.approx(float(loss.detach()), rel=1e-12)
    assert torch.autograd.grad(loss, outputs)[0].isfinite().all()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_loss_reaches_every_parameter(objective, settings):
    """A model in training gets a finite gradient everywhere; only the bias before the batch norm may have none."""
    settings = replace(settings, objective=objective)
    data = CASE.make_data(settings, 0)
    model = CASE.make_model(settings, data).double().train()
    CASE.loss(model, data, torch.arange(32), draws.Draws.at(0, 0), settings).backward()
    still = {name for name, p in model.named_parameters() if not p.grad.isfinite().all() or p.grad.abs().max() < 1e-12}
    assert still <= {"to_code.bias"}


# --- teacher forcing


def forcings(way, share, settings, n_batches=200):
    """The tokens of a batch, and what is drawn for many of them where a share of the steps is to be forced."""
    settings = replace(settings, forcing=way)
    data = CASE.make_data(settings, 0) | {"step_forcing": torch.tensor(share, dtype=torch.float64)}
    tokens = data["train_tokens"][:3]
    return tokens, [draw_forcing(data, tokens, draws.Draws.at(0, step)) for step in range(n_batches)]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_forcing_per_step_mixes_within_a_batch_and_per_batch_does_not(share, settings):
    """The documented bug shows in the structure: per batch all 12 steps are forced or none, with that probability."""
    drawn = {
        way: torch.stack([forcing.forced for forcing in forcings(way, share, settings)[1]]).double()
        for way in ("per step", "per batch")
    }
    of_batch = {way: forced.mean(dim=1) for way, forced in drawn.items()}
    assert {0.0, 1.0} == set(of_batch["per batch"].tolist())
    mixed = float(((of_batch["per step"] > 0) & (of_batch["per step"] < 1)).double().mean())
    # 12 steps agree with probability share^12 + (1 - share)^12, at most .282: 5 standard errors of 200 batches
    assert 1 - share**12 - (1 - share) ** 12 == pytest.approx(mixed, abs=0.16)
    for way, n_draws in (("per step", 2400), ("per batch", 200)):
        error = (share * (1 - share) / n_draws) ** 0.5
        assert share == pytest.approx(float(of_batch[way].mean()), abs=5 * error), way


@pytest.mark.parametrize(("way", "shift"), [("per step", 1), ("per batch", 1), ("leak", 0)])
def test_forced_step_is_fed_the_last_target_and_a_leak_the_next(way, shift, settings):
    """At step t a decoder is to write target t: target t - 1 is known by then, target t is the answer."""
    tokens, (forcing,) = forcings(way, 1.0, settings, 1)
    assert forcing.forced.all()
    torch.testing.assert_close(forcing.inputs[:, 1:], tokens[:, 1 - shift : 12 - shift], rtol=0, atol=0)


@pytest.mark.parametrize(("way", "shift"), [(None, 1), ("per step", 1), ("per batch", 1), ("leak", 0)])
def test_full_forcing_feeds_every_step_what_training_feeds_it(way, shift, settings):
    """Every step is forced, with the last target, or the next one where training leaks."""
    data = CASE.make_data(replace(settings, forcing=way), 0)
    forcing = full_forcing(data, data["val_tokens"])
    assert forcing.forced.all()
    torch.testing.assert_close(forcing.inputs[:, 1:], data["val_tokens"][:, 1 - shift : 12 - shift], rtol=0, atol=0)


def test_loss_gives_the_model_the_forcing_of_its_step(settings):
    """In training the share of the step decides, in free running nothing is forced."""
    settings = replace(settings, forcing="per step")
    data = CASE.make_data(settings, 0)
    model, rows = Answer(torch.ones(3, 12, 48, dtype=torch.float64)), torch.arange(3)
    for share, expected in ((0.0, 0), (1.0, 12)):
        of_share = of_step(data | {"step_forcing": torch.full((6,), share, dtype=torch.float64)}, 2)
        CASE.loss(model, of_share, rows, draws.Draws.at(0, 2), settings)
        assert expected == int(model.forcing.forced.sum())
    free = replace(settings, forcing=None)
    CASE.loss(model, CASE.make_data(free, 0), rows, draws.Draws.at(0, 2), free)
    assert model.forcing is None


@pytest.mark.parametrize("n_train", [64, 96, 400])
@pytest.mark.parametrize("way", ["per step", "per batch", "leak"])
def test_forcing_fades_in_the_documented_phases(n_train, way, settings):
    """Epochs 1-7, 8-15, 16-23 and 24-30 force .9, .7, .3 and .1 of the steps, however many steps make an epoch."""
    per_epoch = n_train // 16
    settings = replace(settings, n_train=n_train, batch=16, steps=30 * per_epoch, forcing=way)
    shares = forcing_tensors(settings)["step_forcing"].reshape(30, per_epoch)
    assert torch.equal(shares, shares[:, :1].expand(30, per_epoch))
    phases = [(share, len(list(epochs))) for share, epochs in groupby(shares[:, 0].tolist())]
    assert [(0.9, 7), (0.7, 8), (0.3, 8), (0.1, 7)] == phases


def test_ways_of_forcing_draw_the_same(settings):
    """Runs of one seed pair, whatever their forcing: the same site and the same number of draws."""
    used = []
    for way in ("per step", "per batch", "leak"):
        data = CASE.make_data(replace(settings, forcing=way), 0)
        step = draws.Draws.at(0, 0)
        draw_forcing(of_step(data, 0), data["train_tokens"][:3], step)
        used.append(step.used)
    assert [{("forcing", (12,))}] * 3 == used
