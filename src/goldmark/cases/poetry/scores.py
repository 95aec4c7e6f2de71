"""Scores of a reconstruction, what the decoder's width allows, and what is reached without any code."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from goldmark.case import Baseline, Data
from goldmark.cases.poetry.autoencoder import PoetryAutoencoder
from goldmark.cases.poetry.objective import cosine, whole_feed
from goldmark.checks import cosine_ceiling, participation_ratio, r2_ceiling
from goldmark.training import draws

if TYPE_CHECKING:
    from goldmark.cases.poetry import PoetrySettings

USEFUL_VARIANCE = 0.01  # of a code dimension, above which the record counts it as utilised


def reconstruction_scores(outputs: Tensor, tokens: Tensor) -> dict[str, float]:
    """Return the scores of outputs (N, T, D): by token, of the windows' mean vectors, and the explained variance."""
    outputs, tokens = outputs.double(), tokens.double()
    spread = tokens - tokens.mean(dim=(0, 1))
    return {
        "token_cosine": float(cosine(outputs, tokens).mean()),
        "sequence_cosine": float(cosine(outputs.mean(dim=1), tokens.mean(dim=1)).mean()),
        "r2": 1 - float((outputs - tokens).square().sum() / spread.square().sum()),
    }


def score(model: nn.Module, data: Data, settings: PoetrySettings) -> dict[str, float]:
    """Return the metrics of a model on the validation half."""
    poet, tokens = cast("PoetryAutoencoder", model), data["val_tokens"]
    codes, memory = poet.encode(tokens)
    states, outputs = poet.decoder(codes, memory)
    shuffled = poet.decoder(codes[other_windows(len(codes), codes.device)], memory)[1]
    return reconstruction_scores(outputs, tokens) | {
        **token_bounds(data, settings),
        "decoder_rank": participation_ratio(states.flatten(0, 1)),
        "code_rank": participation_ratio(codes),
        "shuffled_code_cosine": reconstruction_scores(shuffled, tokens)["token_cosine"],
        "utilised_dims": float((codes.double().var(dim=0) > USEFUL_VARIANCE).sum()),
    }


def score_forced(model: nn.Module, data: Data, settings: PoetrySettings) -> dict[str, float]:
    """Return the metrics of a model, and how much better it scores while it is fed targets at every step."""
    tokens, free = data["val_tokens"], score(model, data, settings)
    forced = reconstruction_scores(model(tokens, feed=whole_feed(data, tokens)), tokens)
    return free | {"forced_gap": forced["token_cosine"] - free["token_cosine"]}


def other_windows(n: int, device: torch.device) -> Tensor:
    """Return the permutation of n windows by which codes are shuffled, the same in every run."""
    return draws.permutation(draws.key(0, 0, "poetry shuffled codes"), n).to(device)


def constant_prediction(data: Data) -> Tensor:
    """Return the mean training token at every place (N, T, D)."""
    return data["train_tokens"].mean(dim=(0, 1)).expand_as(data["val_tokens"])


def mean_window_prediction(data: Data) -> Tensor:
    """Return the mean training window (N, T, D): the best answer by place in the window to those who see no code."""
    return data["train_tokens"].mean(dim=0).expand_as(data["val_tokens"])


def baselines(data: Data, settings: PoetrySettings) -> tuple[Baseline, ...]:
    """Return the predictors that ignore the window they are asked for."""
    tokens = data["val_tokens"]
    return (
        Baseline(
            "constant", "the mean training token, always", reconstruction_scores(constant_prediction(data), tokens)
        ),
        Baseline(
            "mean_window",
            "the mean training token at that place in the window, whatever the window",
            reconstruction_scores(mean_window_prediction(data), tokens),
        ),
    )


def token_bounds(data: Data, settings: PoetrySettings) -> dict[str, float]:
    """Return the token cosine that no training with the decoder's width exceeds, and the constant's."""
    tokens = data["val_tokens"]
    return {
        "token_ceiling": cosine_ceiling(tokens.flatten(0, 1), settings.decoder_hidden),
        "token_floor": reconstruction_scores(constant_prediction(data), tokens)["token_cosine"],
    }


def ceilings(data: Data, settings: PoetrySettings) -> dict[str, float]:
    """Return what no training with the decoder's width exceeds on the validation tokens, and the constant's score."""
    r2 = r2_ceiling(data["val_tokens"].flatten(0, 1), settings.decoder_hidden)
    return token_bounds(data, settings) | {"r2_ceiling": r2}
