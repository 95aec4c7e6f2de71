"""What the regressions of the case share: data and a fresh model in small, made as the engine makes them."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import nn

from goldmark.cases.expansion import CASE, ExpansionSettings
from goldmark.training.draws import initial_weights


class Made(NamedTuple):
    """Settings, their data and a fresh model."""

    settings: ExpansionSettings
    data: dict[str, torch.Tensor]
    model: nn.Module


@pytest.fixture(scope="session")
def made():
    """`made(**changes)`: few short windows of seed 0 in float32, and a model of fresh weights."""

    def made(**changes):
        settings = ExpansionSettings(**{"n_train": 12, "n_val": 6, "bars": 40, "batch": 6} | changes)
        data = {name: x.float() if x.is_floating_point() else x for name, x in CASE.make_data(settings, 0).items()}
        with initial_weights(0):
            return Made(settings, data, CASE.make_model(settings, data))

    return made
