"""A small recipe of the case, its data, and a fresh model in float64, so that second implementations can agree."""

from __future__ import annotations

import pytest

from goldmark.cases.poetry import CASE, PoetrySettings
from goldmark.training import draws


@pytest.fixture(scope="module")
def settings():
    """A small grammar, 4 hidden units in the decoder."""
    return PoetrySettings(n_train=96, n_val=40, encoder_hidden=10, decoder_hidden=4, steps=6, batch=32)


@pytest.fixture(scope="module")
def data(settings):
    """Its first seed."""
    return CASE.make_data(settings, 0)


@pytest.fixture(scope="module")
def model(settings, data):
    """A fresh model in evaluation mode, in float64."""
    with draws.initial_weights(0):
        return CASE.make_model(settings, data).double().eval()
