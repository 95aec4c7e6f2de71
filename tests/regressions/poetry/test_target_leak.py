"""A forced step is fed target t + 1, the word that it is to write: the decoder learns to copy, and only while forced.

Poetry record, both attention decoders. Forced minus free cosine was .454 with the leak and .118 without.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from goldmark.cases.poetry import PoetryCase
from goldmark.cases.poetry.decoder import TeacherForcing
from goldmark.cases.poetry.objective import draw_forcing, full_forcing
from goldmark.checks import check_target_leak
from goldmark.training import draws

LARGEST_GAP = 0.2  # forced - free cosine: between the record's .118 without and .454 with the leak


class Leaking(PoetryCase):
    """The bug: every step is fed the target of its own place."""

    def make_data(self, settings, seed):
        """Return the case's data, shifted by one."""
        data = super().make_data(settings, seed)
        return data | {"fed_from": torch.arange(settings.length)}


def in_training(data, targets):
    """The forcing of a training batch, at a ratio of 1."""
    return draw_forcing(data | {"step_forcing": torch.ones((), dtype=torch.float64)}, targets, draws.Draws.at(0, 0))


def leak_of(forcing_of, model, data):
    """What the check says of a decoder that keeps the codes of windows while their targets change."""
    windows = data["val_tokens"][:4]
    codes, memory = model.encode(windows)
    with torch.no_grad():
        return check_target_leak(lambda targets: model.decoder(codes, memory, forcing_of(data, targets))[1], windows)


@pytest.fixture(scope="module")
def settings(small):
    """Forcing per step."""
    return replace(small, forcing="per step")


@pytest.mark.parametrize("forcing_of", [in_training, full_forcing])
@pytest.mark.parametrize("heads", [0, 4])
def test_forced_steps_are_fed_the_last_target(settings, fresh, forcing_of, heads):
    """The right form: with and without attention, in training and in evaluation, no output sees its own target."""
    finding = leak_of(forcing_of, *fresh(replace(settings, attention_heads=heads)))
    assert not finding.trouble, f"target leak at t + 1: {finding.advice}, {finding.numbers}"


@pytest.mark.parametrize("forcing_of", [in_training, full_forcing])
def test_leak_is_found(settings, fresh, forcing_of):
    """The bug: an output changes with the target that it is to match."""
    model, data = fresh(settings)
    assert leak_of(forcing_of, model, data | {"fed_from": torch.arange(settings.length)}).trouble


def test_dropping_words_that_leak_is_no_fix(settings, fresh):
    """A control: with half of the entries dropped, the word to write is still fed."""

    def dropped(data, targets):
        kept = (torch.arange(targets.shape[-1]) % 2).double()
        return TeacherForcing(torch.ones(targets.shape[1], dtype=torch.bool), targets * kept)

    assert leak_of(dropped, *fresh(settings)).trouble


def test_leak_shows_in_a_trained_model_while_it_is_forced(settings, train, forced_run):
    """On independent words the last target tells nothing: the gap of a right model is small, that of a leak is not."""
    assert forced_run.metrics["forced_gap"] < LARGEST_GAP, "a model that is fed the last target scores as with a leak"
    assert train(settings, Leaking).metrics["forced_gap"] > LARGEST_GAP
