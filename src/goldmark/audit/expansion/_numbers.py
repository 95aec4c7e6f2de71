"""Arithmetic on the numbers of the JadeCompact record: what its losses, weights and bars mean."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from goldmark.cases.expansion.data import countdown_bars
from goldmark.cases.expansion.full import FULL
from goldmark.cases.expansion.model import JadeCompact
from goldmark.cases.expansion.terms import POINTERS_DELTA, TERMS, huber, log_sigma_at_start
from goldmark.checks import parameter_count, settled_log_sigma, shares, simulated_log_sigma

BARS = 105  # of a window
WINDOWS, BATCH, EPOCHS = 210, 32, 100
TRAINED, VALIDATED = 168, 42  # windows
MEAN_LENGTH = 7.2  # bars of a span
IN_SPAN = 0.0715  # share of bars, in the middle of the documented 7.1 to 7.2 %
KINDS = (121, 89)  # windows of each type
RATE = 1e-3  # of AdamW, also for the uncertainty weights


class Epoch(NamedTuple):
    """A row of the record's table: the terms of the validation loss, and their sum."""

    type: float
    pointers: float
    span: float
    countdown: float
    total: float

    @property
    def terms(self) -> dict[str, float]:
        """Return the four terms by name."""
        return {name: getattr(self, name) for name in TERMS}


TABLE: Mapping[int, Epoch] = {
    1: Epoch(type=1.08, pointers=0.025, span=0.57, countdown=16.12, total=17.79),
    10: Epoch(type=0.69, pointers=0.011, span=0.25, countdown=15.25, total=16.20),
    20: Epoch(type=0.70, pointers=0.010, span=0.27, countdown=12.88, total=13.86),
    50: Epoch(type=0.74, pointers=0.011, span=0.29, countdown=11.00, total=12.04),
    100: Epoch(type=0.68, pointers=0.009, span=0.28, countdown=10.08, total=11.05),
}
SIGMA: Mapping[str, float] = {"type": 0.83, "pointers": 0.41, "span": 0.60, "countdown": 1.47}  # at epoch 100


def n_steps() -> int:
    """Return the steps of 100 epochs, in which the last batch holds what is left over."""
    return math.ceil(TRAINED / BATCH) * EPOCHS


def n_parameters(features: int = 12) -> int:
    """Return the parameters of the record's model for so many features, counted without memory for its weights."""
    settings = replace(FULL.settings, features=features)
    with torch.device("meta"):
        model = JadeCompact(settings, torch.zeros(len(TERMS)), nn.Module())
    return parameter_count(model)


def entropy(*counts: float) -> float:
    """Return the cross-entropy, in nats, of the constant that knows how frequent each class is."""
    total = sum(counts)
    return -sum(count / total * math.log(count / total) for count in counts)


def f1_of_every_bar(share: float) -> float:
    """Return the F1 of marking every bar: precision is the share of bars in a span, recall is 1."""
    return 2 * share / (1 + share)


def mean_f1_of_every_bar(shortest: int, longest: int, bars: int) -> float:
    """Return the same as a mean over windows whose spans have these lengths, all equally often."""
    lengths = range(shortest, longest + 1)
    return sum(f1_of_every_bar(length / bars) for length in lengths) / len(lengths)


# --- uncertainty weights


def weights(sigma: Mapping[str, float]) -> dict[str, float]:
    """Return each term's weight 1 / (2 sigma^2)."""
    return {name: 1 / (2 * value**2) for name, value in sigma.items()}


def effective_share(term: str, sigma: Mapping[str, float] = SIGMA) -> float:
    """Return a term's share of the weighted loss at epoch 100."""
    by_term = weights(sigma)
    return shares({name: by_term[name] * loss for name, loss in TABLE[100].terms.items()})[term]


def settled_sigma(term: str) -> float:
    """Return the sigma at which a term's loss of epoch 100 would hold its weight: the root of the loss."""
    return math.exp(settled_log_sigma(TABLE[100].terms[term]))


@cache
def simulated_sigma(term: str) -> float:
    """Return a term's sigma after AdamW has taken 600 steps on its losses, between the table's rows on a line."""
    epochs = [epoch - 1 for epoch in TABLE]
    losses = [epoch.terms[term] for epoch in TABLE.values()]
    per_epoch = n_steps() // EPOCHS
    path = [_on_a_line(step / per_epoch, epochs, losses) for step in range(n_steps())]
    return math.exp(simulated_log_sigma(path, start_of(term), RATE))


def start_of(term: str) -> float:
    """Return what a term's log sigma starts from."""
    return float(log_sigma_at_start("record").double()[TERMS.index(term)])


def steps_to_settle(term: str) -> float:
    """Return how many steps of the record's rate a term's weight is away from where it settles."""
    return abs(settled_log_sigma(TABLE[100].terms[term]) - start_of(term)) / RATE


def _on_a_line(x: float, places: list[int], values: list[float]) -> float:
    after = next((i for i, place in enumerate(places) if place >= x), len(places) - 1)
    if x >= places[-1] or after == 0:
        return values[after]
    share = (x - places[after - 1]) / (places[after] - places[after - 1])
    return values[after - 1] + share * (values[after] - values[after - 1])


# --- what can be known without having seen a span


def spans() -> Iterator[tuple[int, int]]:
    """Yield start and length, in bars, of all spans of 4 to 11 bars in a window, the lengths equally often."""
    shortest, longest = FULL.settings.span_min, FULL.settings.span_max
    for length in range(shortest, longest + 1):
        for start in range(BARS - length + 1):
            yield start, length


def last_start() -> int:
    """Return the last bar on which a span starts."""
    return max(start for start, _ in spans())


@cache
def countdowns() -> Tensor:
    """Return the countdown (spans, 105) in bars of every span."""
    return countdown_bars(torch.tensor([start for start, _ in spans()]), BARS)


def countdown_loss_at_zero(delta: float = 1.0) -> float:
    """Return the countdown's Huber loss of a model that answers 0 everywhere."""
    targets = countdowns()
    return float(huber(torch.zeros_like(targets), targets, delta))


@cache
def countdown_loss_of_bar_index() -> float:
    """Return the lowest countdown loss of a predictor that knows the number of the bar and nothing of the window."""
    targets = countdowns()
    return sum(
        min(float(huber(torch.full_like(column, answer), column, 1.0)) for answer in range(-20, 21))
        for column in targets.T
    ) / len(targets.T)


@cache
def pointers_loss_of_a_constant() -> float:
    """Return the pointers' Huber loss of the mean centre and the mean length, as shares of the window."""
    pointers = torch.tensor([(start + length / 2, length) for start, length in spans()]).double() / BARS
    return float(huber(pointers.mean(dim=0).expand_as(pointers), pointers, POINTERS_DELTA))


def loss_of_knowing_nothing() -> float:
    """Return the validation loss, as the record adds it, of predictors that know no window: one constant a term."""
    return (
        entropy(*KINDS) + pointers_loss_of_a_constant() + entropy(IN_SPAN, 1 - IN_SPAN) + countdown_loss_of_bar_index()
    )


def slope_of_huber(delta: float, error: float) -> float:
    """Return the slope of the case's Huber loss for one prediction that is off by so many bars."""
    prediction = torch.tensor(error, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(huber(prediction, torch.zeros_like(prediction), delta), prediction)
    return float(slope)


def overlap_of_random_split(stride: int) -> float:
    """Return the share of validation windows that overlap a training window, in the random split with seed 42.

    Windows are 105 bars and start every `stride` bars.
    """
    order = torch.randperm(WINDOWS, generator=torch.Generator().manual_seed(42)).tolist()
    train, val = order[:TRAINED], order[TRAINED:]
    return sum(any(abs(place - other) * stride < BARS for other in train) for place in val) / len(val)
