"""What the tests of the case share: settings of a run that takes milliseconds, its data, its fresh model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
import torch
from torch import nn

from goldmark.cases.expansion import CASE, ExpansionSettings
from goldmark.cases.expansion.bars import Span
from goldmark.cases.expansion.model import Outputs
from goldmark.cases.expansion.terms import TermScales
from goldmark.training import draws
from goldmark.training.draws import initial_weights

SPACING = 80  # bars from one planted span to the next


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


class Made(NamedTuple):
    """Bars (N, 4) of a made market and the spans that were planted in it."""

    bars: torch.Tensor
    spans: tuple[Span, ...]


@pytest.fixture(scope="session")
def made_market():
    """Quiet bars in which 15 spans of 4 to 11 bars are planted: a bar of twice the range, four times the first."""
    lengths = [4 + number % 8 for number in range(15)]
    spans = tuple(
        Span(first=40 + SPACING * i, last=40 + SPACING * i + length - 1, kind="up" if i % 3 else "down")
        for i, length in enumerate(lengths)
    )
    quiet = draws.uniform(draws.key(0, 0, "quiet"), (40 + SPACING * 15, 3))
    heights = (0.5 + 0.5 * quiet[:, 0]).tolist()
    rises = (quiet[:, 1] > 0.5).tolist()
    for span in spans:
        within = range(span.first, span.last + 1)
        heights[span.last + 1] = 0.4  # below the mean, so that the span ends
        for bar in within:
            heights[bar], rises[bar] = (4.0 if bar == span.first else 2.0), span.kind == "up"
    rows, close = [], 1000.0
    for height, rising, wick in zip(heights, rises, (0.2 * quiet[:, 2]).tolist(), strict=True):
        low, opened = close - (wick if rising else 1 - wick) * height, close
        close = low + (1 - wick if rising else wick) * height
        rows.append((opened, low + height, low, close))
    return Made(torch.tensor(rows, dtype=torch.float64), spans)


@pytest.fixture(scope="session")
def times(made_market):
    """The times of the bars of the made market, an hour apart, as a file has them."""
    first = datetime(2024, 1, 1, tzinfo=UTC)
    return [f"{first + timedelta(hours=hour):%Y-%m-%d %H:%M:%S}" for hour in range(len(made_market.bars))]


@pytest.fixture(scope="session")
def bar_lines(made_market, times):
    """The lines of a file of the made market: a header, then a line a bar."""
    prices = ([f"{price:.6f}" for price in bar] for bar in made_market.bars.tolist())
    return ["time,open,high,low,close", *(",".join([time, *bar]) for time, bar in zip(times, prices, strict=True))]


@pytest.fixture(scope="session")
def span_lines(made_market, times):
    """The lines of a file of the planted spans."""
    return ["start,end,type", *(f"{times[s.first]},{times[s.last]},{s.kind}" for s in made_market.spans)]


@pytest.fixture
def write(tmp_path):
    """`write(name, lines)`: the path of a file of these lines."""

    def write(name, lines):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        return path

    return write
