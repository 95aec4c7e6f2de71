"""Scores of a reconstruction, what the decoder's width allows, and what is reached without any code."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor, nn

from goldmark.case import Baseline, Data, Finding, Metric
from goldmark.cases.poetry.model import PoetryAutoencoder
from goldmark.cases.poetry.objective import cosine, full_forcing
from goldmark.checks import code_ignored, cosine_ceiling, low_ceiling, participation_ratio, r2_ceiling
from goldmark.training import draws

if TYPE_CHECKING:
    from goldmark.cases.poetry import PoetrySettings

WANTED = 0.9  # token cosine; the record expected .95
USEFUL_VARIANCE = 0.01  # of a code dimension, above which the record counts it as utilised

METRICS = (
    Metric(name="token_cosine", says="cosine of output and target, mean over tokens", better="higher", margin=0.01),
    Metric(
        name="sequence_cosine", says="cosine of a window's mean output and mean target", better="higher", margin=0.01
    ),
    Metric(name="r2", says="explained share of the tokens' variance", better="higher", margin=0.03),
    Metric(name="token_ceiling", says="token cosine that no decoder of that width exceeds (eigenvalue bound)"),
    Metric(name="token_floor", says="token cosine of the mean training token, always"),
    Metric(
        name="decoder_rank", says="participation ratio of the decoder's hidden states", unit="dimensions", margin=2.0
    ),
    Metric(name="code_rank", says="participation ratio of the codes", unit="dimensions", margin=0.5),
    Metric(
        name="shuffled_code_cosine",
        says="token cosine with codes shuffled between windows",
        better="lower",
        margin=0.03,
    ),
    Metric(
        name="utilised_dims",
        says="code dimensions of variance above .01 after BatchNorm, the record's count",
        unit="dimensions",
    ),
)
FORCED_GAP = Metric(  # of the full scale, the only one with teacher forcing
    name="forced_gap", says="token cosine while every step is fed a target, less that of free running"
)


class Reconstruction(NamedTuple):
    """What a model makes of windows: codes (N, K), states (N, T, H) and outputs (N, T, D) of its decoder."""

    codes: Tensor
    states: Tensor
    outputs: Tensor
    shuffled_outputs: Tensor  # from the codes of other windows; attention still sees the window's own states


def reconstruct(model: nn.Module, tokens: Tensor) -> Reconstruction:
    """Decode the codes of windows (N, T, D) in free running, in their order and shuffled between the windows."""
    autoencoder = cast("PoetryAutoencoder", model)
    codes, memory = autoencoder.encode(tokens)
    states, outputs = autoencoder.decoder(codes, memory)
    shuffled_outputs = autoencoder.decoder(codes[other_windows(len(codes), codes.device)], memory)[1]
    return Reconstruction(codes, states, outputs, shuffled_outputs)


def other_windows(n: int, device: torch.device) -> Tensor:
    """Return the permutation of n windows by which codes are shuffled, the same in every run."""
    return draws.permutation(draws.key(0, 0, "poetry shuffled codes"), n).to(device)


def token_cosine(outputs: Tensor, tokens: Tensor) -> float:
    """Return the mean cosine of outputs and tokens (N, T, D), in float64."""
    return float(cosine(outputs.double(), tokens.double()).mean())


def reconstruction_scores(outputs: Tensor, tokens: Tensor) -> dict[str, float]:
    """Return the scores of outputs (N, T, D): by token, of the windows' mean vectors, and the explained variance."""
    outputs, tokens = outputs.double(), tokens.double()
    spread = tokens - tokens.mean(dim=(0, 1))
    return {
        "token_cosine": token_cosine(outputs, tokens),
        "sequence_cosine": token_cosine(outputs.mean(dim=1), tokens.mean(dim=1)),
        "r2": 1 - float((outputs - tokens).square().sum() / spread.square().sum()),
    }


def evaluate(model: nn.Module, data: Data) -> dict[str, float]:
    """Return the metrics that change as a model is trained, on the validation half."""
    tokens = data["val_tokens"]
    codes, states, outputs, shuffled_outputs = reconstruct(model, tokens)
    return reconstruction_scores(outputs, tokens) | {
        "decoder_rank": participation_ratio(states.flatten(0, 1)),
        "code_rank": participation_ratio(codes),
        "shuffled_code_cosine": token_cosine(shuffled_outputs, tokens),
        "utilised_dims": float((codes.double().var(dim=0) > USEFUL_VARIANCE).sum()),
    }


def forced_gap(model: nn.Module, data: Data) -> float:
    """Return how much higher the token cosine is while every step is forced than in free running."""
    tokens = data["val_tokens"]
    forced = model(tokens, forcing=full_forcing(data, tokens))
    return token_cosine(forced, tokens) - token_cosine(model(tokens), tokens)


def token_bounds(data: Data, settings: PoetrySettings) -> dict[str, float]:
    """Return the token cosine that no training with the decoder's width exceeds, and the constant's."""
    tokens = data["val_tokens"]
    return {
        "token_ceiling": cosine_ceiling(tokens.flatten(0, 1), settings.decoder_hidden),
        "token_floor": token_cosine(constant_prediction(data), tokens),
    }


def close(data: Data, settings: PoetrySettings) -> dict[str, float]:
    """Return what no training with the decoder's width exceeds on the validation tokens, and the constant's score."""
    r2 = r2_ceiling(data["val_tokens"].flatten(0, 1), settings.decoder_hidden)
    return token_bounds(data, settings) | {"r2_ceiling": r2}


def examine(model: nn.Module, data: Data, settings: PoetrySettings) -> tuple[Finding, ...]:
    """Find out whether the decoder's width allows the wanted score, and whether the trained decoder uses its codes."""
    tokens = data["val_tokens"]
    reconstruction = reconstruct(model, tokens)
    return (
        low_ceiling(cosine_ceiling(tokens.flatten(0, 1), settings.decoder_hidden), WANTED),
        code_ignored(
            token_cosine(reconstruction.outputs, tokens), token_cosine(reconstruction.shuffled_outputs, tokens)
        ),
    )


def constant_prediction(data: Data) -> Tensor:
    """Return the mean training token at every place (N, T, D)."""
    return data["train_tokens"].mean(dim=(0, 1)).expand_as(data["val_tokens"])


def mean_window_prediction(data: Data) -> Tensor:
    """Return the mean training window (N, T, D): the best answer by place in the window to those who see no code."""
    return data["train_tokens"].mean(dim=0).expand_as(data["val_tokens"])


def baselines(data: Data) -> tuple[Baseline, ...]:
    """Return the predictors that ignore the window they are asked for."""
    tokens = data["val_tokens"]
    return (
        Baseline(
            name="constant",
            says="the mean training token, always",
            metrics=reconstruction_scores(constant_prediction(data), tokens),
        ),
        Baseline(
            name="mean_window",
            says="the mean training token at that place in the window, whatever the window",
            metrics=reconstruction_scores(mean_window_prediction(data), tokens),
        ),
    )
