"""What follows from the numbers of the poetry record, or from its system as it is built here, in float64."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import product
from statistics import fmean

import torch
from torch import Tensor, nn, optim

from goldmark.cases.poetry import CASE
from goldmark.cases.poetry.data import windows
from goldmark.cases.poetry.full import SETTINGS
from goldmark.cases.poetry.model import make_model
from goldmark.cases.poetry.objective import Forcing, draw_forcing, forcing_tensors
from goldmark.cases.poetry.scores import close, constant_prediction, reconstruction_scores
from goldmark.checks import check_forcing_not_per_step, cosine_ceiling, parameter_count
from goldmark.training.cells import Cell
from goldmark.training.draws import Draws

# --- parameters


def n_parameters(  # what a wiring of the record may differ in
    hidden: int,
    code_size: int = 16,
    *,
    cell: Cell = "rnn",
    layers: int = 1,
    bidirectional: bool = False,
    attention_heads: int = 0,
) -> int:
    """Return how many parameters the model has with `hidden` units in encoder and decoder, on words of 300 numbers."""
    settings = replace(
        SETTINGS,
        encoder_hidden=hidden,
        decoder_hidden=hidden,
        code_size=code_size,
        cell=cell,
        layers=layers,
        bidirectional=bidirectional,
        attention_heads=attention_heads,
    )
    with torch.device("meta"):
        model = make_model(settings, SETTINGS.embedding)
    return parameter_count(model)


def nearest_wiring(hidden: int, wanted: float) -> float:
    """Return the parameter count nearest to a wanted one, over cells, depths, directions and attention."""
    cells: tuple[Cell, ...] = ("rnn", "gru", "lstm")
    counts = [
        n_parameters(hidden, cell=cell, layers=layers, bidirectional=both_ways, attention_heads=heads)
        for cell, layers, both_ways, heads in product(cells, (1, 2), (False, True), (0, 4))
        if not (both_ways and heads)  # attention needs encoder states of the decoder's width
    ]
    return min(counts, key=lambda count: abs(count - wanted))


# --- what the record's scores imply


def mean_share(constant_mse: float, zero_mse: float) -> float:
    """Return the share of the words' energy in their mean: errors of the mean and of zero are E|x - m|^2 and E|x|^2."""
    return 1 - constant_mse / zero_mse


def constant_token_cosine(share: float) -> float:
    """Return the mean cosine of words with their mean, for words of one norm: E[x.m] / (|x| |m|) = |m| / |x|."""
    return math.sqrt(share)


def constant_sequence_cosine(share: float, n_tokens: int) -> float:
    """Return the cosine of a window's mean with the mean of all words, for independent words.

    The mean of n words is m plus an error of energy (1 - share) / n: cos = |m| / sqrt(|m|^2 + that).
    """
    return math.sqrt(share / (share + (1 - share) / n_tokens))


def participation_of(first_share: float, n_dimensions: int) -> float:
    """Return the participation ratio where one component holds a share and the others what is left, in equal parts."""
    rest = (1 - first_share) / (n_dimensions - 1)
    return 1 / (first_share**2 + (n_dimensions - 1) * rest**2)


# --- what the data allow


@cache
def bounds_of(seed: int) -> dict[str, float]:
    """Return ceilings and floors on a seed's grammar with 8 decoder units: `token_ceiling`, `token_floor`, ..."""
    settings = CASE.settings_of("narrow")
    data = CASE.make_data(settings, seed)
    constant = reconstruction_scores(constant_prediction(data), data["val_tokens"])
    tokens = data["val_tokens"].flatten(0, 1)
    return {
        **close(data, settings),
        "sequence_floor": constant["sequence_cosine"],
        "attained": attained_cosine(tokens, settings.decoder_hidden),
    }


def mean_bound(name: str) -> float:
    """Return one of those numbers, the mean over the seeds of the case."""
    return fmean(bounds_of(seed)[name] for seed in range(CASE.seeds))


def attained_cosine(tokens: Tensor, width: int) -> float:
    """Return the mean cosine of tokens (N, D) with their projections on the `width` + 1 best directions.

    It is what outputs affine in `width` units reach if every token has states of its own: a lower bound beside the
    upper one of `cosine_ceiling`.
    """
    directions = tokens.double() / tokens.double().norm(dim=-1, keepdim=True)
    best = torch.linalg.eigh(directions.T @ directions).eigenvectors[:, -(width + 1) :]
    return float((directions @ best).norm(dim=-1).mean())


@cache
def full_size_ceiling(width: int) -> float:
    """Return the ceiling of a decoder's width on synthetic words of the documented size, seed 0."""
    return cosine_ceiling(_full_size_tokens(), width)


@cache
def _full_size_tokens() -> Tensor:
    return windows(SETTINGS, 0)["val_tokens"].flatten(0, 1)


# --- teacher forcing


def forcing_number(way: Forcing, name: str) -> float:
    """Return a number of `check_forcing_not_per_step` on 200 batches of 12 words, at a ratio of one half."""
    data = forcing_tensors(replace(CASE.settings, forcing=way)) | {"step_forcing": torch.tensor(0.5)}
    tokens = torch.zeros(1, CASE.settings.length, 1)
    drawn = [draw_forcing(data, tokens, Draws.at(0, step)) for step in range(200)]
    return check_forcing_not_per_step(torch.stack([forcing.forced for forcing in drawn if forcing])).numbers[name]


def mean_forced_share() -> float:
    """Return the share of forced steps over the 30 epochs of the curriculum."""
    return float(forcing_tensors(replace(SETTINGS, forcing="per step"))["step_forcing"].mean())


# --- learning rates after a resume

Scheduler = optim.lr_scheduler.LRScheduler
MakeScheduler = Callable[[optim.Optimizer], Scheduler]

N_EPOCHS = 30  # of the record


def cosine_schedule(optimizer: optim.Optimizer) -> Scheduler:
    """Return a cosine over all epochs."""
    return optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=N_EPOCHS)


def warm_restarts(optimizer: optim.Optimizer) -> Scheduler:
    """Return cosines of 10 epochs each."""
    return optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=10)


def largest_deviation(make: MakeScheduler, *, load_scheduler: bool) -> float:
    """Return the largest deviation of a resumed trace of learning rates from the whole one, over the first rate.

    The training is resumed after each of its epochs: the optimiser's state is loaded, and then that of the scheduler,
    or a fresh scheduler goes on.
    """
    return max(_deviation(make, epoch, load_scheduler=load_scheduler) for epoch in range(1, N_EPOCHS))


def last_epoch_is_refused() -> float:
    """Return 1 where a scheduler with `last_epoch` on an optimiser without initial rates raises `KeyError`, else 0."""
    try:
        optim.lr_scheduler.CosineAnnealingLR(_optimizer(), N_EPOCHS, last_epoch=5)
    except KeyError:
        return 1.0
    return 0.0


def _deviation(make: MakeScheduler, epoch: int, *, load_scheduler: bool) -> float:
    optimizer = _optimizer()
    scheduler = make(optimizer)
    before = _trace(optimizer, scheduler, epoch)
    stored = copy.deepcopy((optimizer.state_dict(), scheduler.state_dict()))
    whole = _trace(optimizer, scheduler, N_EPOCHS - epoch)
    optimizer = _optimizer()
    scheduler = make(optimizer)
    optimizer.load_state_dict(stored[0])
    if load_scheduler:
        scheduler.load_state_dict(stored[1])
    else:
        scheduler = make(optimizer)
    resumed = _trace(optimizer, scheduler, N_EPOCHS - epoch)
    return max(abs(a - b) for a, b in zip(whole, resumed, strict=True)) / before[0]


def _optimizer() -> optim.Optimizer:
    return optim.SGD([nn.Parameter(torch.zeros(1))], lr=1e-3)


def _trace(optimizer: optim.Optimizer, scheduler: Scheduler, n_epochs: int) -> list[float]:
    rates = []
    for _ in range(n_epochs):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return rates


# --- the cosine loss


def tempered_loss(cosine: float, temperature: float) -> float:
    """Return the record's loss of one word: 1 - cosine, through tanh(cosine / temperature) unless that is 1."""
    return 1 - (cosine if temperature == 1 else math.tanh(cosine / temperature))
