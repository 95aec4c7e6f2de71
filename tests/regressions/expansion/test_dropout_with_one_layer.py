"""The LSTM was given dropout .7, which torch puts between layers; with one layer nothing was ever dropped."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from goldmark.checks import check_idle_dropout
from goldmark.training.draws import Draws


def of_torch(n_layers):
    """Torch's own LSTM with dropout .7, in training mode: what it answers to the same windows, step by step."""
    lstm = nn.LSTM(6, 8, num_layers=n_layers, dropout=0.7, batch_first=True).train()
    windows = torch.ones(2, 5, 6)
    return lambda step: lstm(windows)[0].detach()


def test_input_dropout_drops_in_every_step(made):
    """The right form: the model's inputs are dropped, by other draws in every step."""
    _, data, model = made(input_dropout=0.3)
    finding = check_idle_dropout(lambda step: model(data["train_features"], Draws.at(0, step)).span.detach())
    assert not finding.trouble, f"{finding.advice}; {dict(finding.numbers)}"


def test_input_dropout_leaves_evaluation_alone(made):
    """Without draws the same windows have one answer."""
    _, data, model = made(input_dropout=0.3)
    assert check_idle_dropout(lambda step: model(data["train_features"]).span.detach()).trouble


def test_dropout_of_a_single_layer_does_nothing():
    """The broken form: .7 was asked for, and all steps answer alike; torch warns of it."""
    with pytest.warns(UserWarning, match="dropout option adds dropout after all but last recurrent layer"):
        answer = of_torch(n_layers=1)
    assert check_idle_dropout(answer).trouble


def test_dropout_between_two_layers_works():
    """The same layer twice has a between."""
    assert not check_idle_dropout(of_torch(n_layers=2)).trouble
