"""What the tests of the case share: settings of a run that takes milliseconds, its data, its fresh model."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import nn

from goldmark.cases.expansion import CASE, ExpansionSettings
from goldmark.cases.expansion.model import Outputs
from goldmark.cases.expansion.terms import TermScales
from goldmark.training.draws import initial_weights


class Planted(NamedTuple):
    """A model whose outputs are known: of all windows, those of the training half first."""

    model: nn.Module
    data: dict[str, torch.Tensor]
    outputs: Outputs


@pytest.fixture
def small():
    """`small(**changes)`: settings whose data and model are made in milliseconds."""

    def small(**changes):
        return ExpansionSettings(**{"n_train": 12, "n_val": 6, "bars": 40, "batch": 6} | changes)

    return small


@pytest.fixture
def fresh():
    """`fresh(settings, seed=0, dtype=float32)`: data and model of a seed, as the engine makes them."""

    def fresh(settings, seed=0, dtype=torch.float32):
        made = CASE.make_data(settings, seed)
        data = {name: x.to(dtype) if x.is_floating_point() else x for name, x in made.items()}
        with initial_weights(seed):
            return data, CASE.make_model(settings, data).to(dtype)

    return fresh


class Answers(nn.Module):
    """A model that answers what it is told to, times a parameter of its trunk, which is 1."""

    def __init__(self, outputs, scales):
        super().__init__()
        self.lstm = nn.ParameterDict({"gain": nn.Parameter(torch.ones((), dtype=torch.float64))})
        self.log_sigma = nn.Parameter(torch.tensor([0.1, -0.3, 0.2, 0.6], dtype=torch.float64))
        self.outputs, self.scales = outputs, scales

    def forward(self, features, draws=None):
        """Return the outputs of the windows whose numbers stand in the features."""
        rows = features[:, 0, 0].long()
        return Outputs(*(output[rows] * self.lstm["gain"] for output in self.outputs))


@pytest.fixture
def planted():
    """`planted(settings)`: outputs near all thresholds, drawn at random in float64, for data of both halves.

    Errors of pointers lie about .08, those of the countdown about 1 and 10 in its own unit, with targets at both ends
    and the middle of [-20, 20]; probabilities lie about one half, where the first bars of a window are exactly there.
    """

    def planted(settings, seed=0):
        generator = torch.Generator().manual_seed(seed)
        data = dict(CASE.make_data(settings, seed))
        n, bars = settings.n_train + settings.n_val, settings.bars
        numbers = torch.arange(n, dtype=torch.float64)[:, None, None].expand(n, bars, settings.features)
        data |= {"train_features": numbers[: settings.n_train], "val_features": numbers[settings.n_train :]}
        scales = TermScales(settings, data["train_span"]).double()
        labels = {name: torch.cat([data[f"train_{name}"], data[f"val_{name}"]]) for name in ("pointers", "countdown")}

        def about(target, *widths):
            width = torch.tensor(widths, dtype=torch.float64)[torch.arange(target.numel()) % len(widths)]
            noise = torch.rand(target.shape, generator=generator, dtype=torch.float64) * 2 - 1
            return target + noise * width.reshape(target.shape)

        span = torch.randn((n, bars), generator=generator, dtype=torch.float64) * 0.04
        span[:, :3] = 0.0
        countdown = (labels["countdown"] - scales.countdown_zero) / scales.countdown_unit
        outputs = Outputs(
            kind=torch.randn((n, 3), generator=generator, dtype=torch.float64),
            pointers=about(labels["pointers"], 0.04, 0.2),
            span=span,
            countdown=about(countdown, 0.5, 3.0, 15.0),
        )
        return Planted(Answers(outputs, scales), data, outputs)

    return planted
