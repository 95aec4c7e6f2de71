"""A small recipe of the case, and runs with it that several regressions look at, trained once."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from torch import nn

from goldmark.case import Variant
from goldmark.cases.poetry import CASE, PoetryCase, PoetrySettings, objective
from goldmark.cases.poetry.scores import FORCED_GAP, METRICS
from goldmark.runs import Job
from goldmark.training import draws
from goldmark.training._single import train_single

SMALL = PoetrySettings(
    text="iid", n_train=256, n_val=64, length=8, embedding=24, encoder_hidden=32, decoder_hidden=32, steps=100, lr=1e-2
)


@pytest.fixture(scope="session")
def small():
    """Independent words: what is not in the code or fed to the decoder cannot be known."""
    return SMALL


@pytest.fixture(scope="session")
def fresh():
    """`fresh(settings, seed=0)`: a model in evaluation mode and its data, both in float64."""

    def fresh(settings, seed=0):
        data = CASE.make_data(settings, 0)
        with draws.initial_weights(seed):
            return CASE.make_model(settings, data).double().eval(), data

    return fresh


class Answer(nn.Module):
    """A model that answers with given outputs."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs

    def forward(self, tokens, draws, forcing, valid=None):
        """Return the outputs, whatever the tokens."""
        return self.outputs


@pytest.fixture(scope="session")
def windows():
    """Eight windows, and outputs that miss them by as much as they vary."""
    tokens = CASE.make_data(SMALL, 0)["train_tokens"][:8]
    return tokens, tokens + draws.normal(draws.key(0, 0, "noise"), tuple(tokens.shape))


@pytest.fixture(scope="session")
def objective_of():
    """`objective_of(outputs, tokens, **weights)`: what the case's loss gives such outputs, by its own tensors."""

    def value(outputs, tokens, **weights):
        tensors = {name: torch.tensor(weight, dtype=torch.float64) for name, weight in weights.items()}
        rows = torch.arange(len(tokens))
        return objective.loss(Answer(outputs), {"train_tokens": tokens} | tensors, rows, draws.Draws.at(0, 0))

    return value


@pytest.fixture(scope="session")
def train():
    """`train(settings, case_class=PoetryCase)`: the run of seed 0."""

    def train(settings, case_class=PoetryCase):
        declared = {field.name: getattr(CASE, field.name) for field in fields(CASE)}
        variants = (Variant(name="small", says="small", role="option"),)
        case = replace(
            case_class(**declared), settings=settings, variants=variants, metrics=(*METRICS, FORCED_GAP), claims=()
        )
        return train_single(Job(case, "small", 0))

    return train


@pytest.fixture(scope="session")
def forced_run(small, train):
    """The run whose teacher forcing is drawn per step and feeds the last target: the right form of both."""
    return train(replace(small, forcing="per step"))
