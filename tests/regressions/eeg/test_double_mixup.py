"""Mixup in the data set and again in the training loop: windows of four, where two were meant.

Targets stay right, since both mixtures are the targets' too, and the score looks healthy. The number of windows in a
mixture tells, on what the model is shown in a training step.
"""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from torch import nn

from goldmark.cases.eeg import CASE, EegCase
from goldmark.cases.eeg.mixup import mixup
from goldmark.checks import check_wrong_mixup
from goldmark.runs import Job
from goldmark.training._prepare import of_step
from goldmark.training._single import train_single
from goldmark.training.draws import Draws

N_BATCHES = 64


class MixedTwice(EegCase):
    """The bug: the data set hands out windows that are mixed, and the training step mixes them once more."""

    def loss(self, model, data, rows, draws, settings):
        """Return the loss of batches whose windows have been mixed before."""
        index = draws.permutation("mixup of the data set", len(rows))
        weight = draws.uniform("weight of the data set", 1)
        eeg, response_s = mixup(data["train_eeg"][rows], data["train_response_s"][rows], weight, index)
        mixed = {**data, "train_eeg": eeg, "train_response_s": response_s}
        return super().loss(model, mixed, torch.arange(len(rows)), draws, settings)


TWICE = MixedTwice(**{field.name: getattr(CASE, field.name) for field in fields(CASE)})


class Probe(nn.Module):
    """Predict 0, and keep what is shown."""

    def forward(self, eeg, draws=None):
        """Return (B,) for (B, D)."""
        self.shown, self.answers = eeg, torch.zeros(len(eeg), dtype=torch.float64, requires_grad=True)
        return self.answers


def training_step(case, variant):
    """Return the mixup of a variant's training steps, read off what the model is shown and its loss is computed with.

    The gradient of a mean squared error by a prediction of 0 is -2 / B times the target.
    """
    settings = replace(case.settings_of(variant), steps=N_BATCHES)
    of_run, steps, model = case.make_data(settings, 0), iter(range(N_BATCHES)), Probe()

    def mix(x, y):
        step = next(steps)
        data = of_step(of_run, step) | {"train_eeg": x, "train_response_s": y}
        loss = case.loss(model, data, torch.arange(len(x)), Draws.at(0, step), settings)
        (gradient,) = torch.autograd.grad(loss, model.answers)
        return model.shown, -gradient * len(x) / 2

    return mix


@pytest.mark.parametrize(("variant", "fraction"), [("mixup", 1.0), ("mixup_documented", 0.5), ("no_mixup", 0.0)])
def test_training_step_mixes_once(variant, fraction):
    """Two windows a mixture, or one, in as many batches as meant; the targets that the loss sees are theirs."""
    finding = check_wrong_mixup(training_step(CASE, variant), fraction, N_BATCHES)
    assert not finding.trouble, f"double mixup, or a wrong one, in the training step of '{variant}': {finding}"


@pytest.mark.parametrize("variant", ["mixup", "mixup_documented"])
def test_mixing_twice_is_found(variant):
    """By the number of windows alone: the targets are right."""
    finding = check_wrong_mixup(training_step(TWICE, variant), 1.0, N_BATCHES)
    assert finding.trouble, f"double mixup is not found: {finding}"
    assert finding.numbers["most_rows"] in (3, 4)
    assert finding.numbers["target_error"] < 1e-12


def test_mixing_twice_looks_healthy():
    """A control: a model trained so has neither collapsed nor lost its skill, so that no score gives it away."""
    run = train_single(Job(TWICE, "mixup", 0))
    troubles = {finding.name: finding.trouble for finding in run.findings}
    assert (False, False) == (troubles["collapsed_output"], troubles["no_skill"])
