"""What the tests of the EEG case share: a model without weights, and data as training sees them."""

from __future__ import annotations

from functools import cache

import pytest
from torch import nn

from goldmark.cases.eeg import CASE


class Mean(nn.Module):
    """Predict the mean of a window, in training and evaluation alike."""

    def forward(self, eeg, draws=None):
        """Return (B,) for (B, C, T)."""
        return eeg.mean(dim=(1, 2))


@pytest.fixture
def mean_model():
    """A model whose predictions anyone can compute."""
    return Mean()


@pytest.fixture(scope="session")
def float_data():
    """`float_data(settings, seed=0)`: the data of a seed in float32, made once, in a dict of the test's own."""

    @cache
    def made(settings, seed):
        data = CASE.make_data(settings, seed)
        return {name: x.float() if x.is_floating_point() else x for name, x in data.items()}

    return lambda settings, seed=0: dict(made(settings, seed))
