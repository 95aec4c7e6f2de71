"""What the regressions of roast share: small data in float64 with a fresh model, and a model that answers as told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from goldmark.cases.roast import CASE
from goldmark.cases.roast.data import scaled
from goldmark.cases.roast.model import RoastFormer
from goldmark.training.draws import initial_weights

SMALL = replace(CASE.settings, n_train=6, n_val=6, length=14, shortest=8, width=8)


class Told(RoastFormer):
    """A model that predicts given temperatures (N, T) in degrees Fahrenheit, one row a curve, whatever it reads."""

    def answer(self, answers_f, data):
        """Set the answers, to be given on the scale of the targets, and return the model."""
        self.answers, self.n_answered = scaled(answers_f, data, "target"), 0
        return self

    def read_out(self, temps, x):
        """Answer the next steps of each curve: as many as are asked for, from the start when all were given."""
        start = self.n_answered % self.answers.shape[1]
        self.n_answered += temps.shape[1]
        return self.answers[:, start : start + temps.shape[1]]


def prepared(**changes):
    """Settings, data and a fresh model of a small run with some settings changed."""
    settings = replace(SMALL, **changes)
    data = CASE.make_data(settings, 0)
    with initial_weights(0):
        return settings, data, CASE.make_model(settings, data).double()


@pytest.fixture
def small():
    """`small(**changes)`: settings, data and a fresh model, all in float64."""
    return prepared


@pytest.fixture
def told():
    """`told(answers_f, data, settings)`: a model of the case's own architecture that answers as it is told."""

    def model(answers_f, data, settings):
        made = CASE.make_model(settings, data).double()
        made.__class__ = Told  # of the same weights: only what is read out differs
        return made.answer(answers_f, data)

    return model
