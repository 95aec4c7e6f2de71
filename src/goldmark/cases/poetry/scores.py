"""Scores of a reconstruction, what the decoder's width allows, and what is reached without any code."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor, nn

from goldmark.case import Baseline, Data, Finding, Metric
from goldmark.cases.poetry.model import PoetryAutoencoder
from goldmark.cases.poetry.objective import cosine, full_forcing
from goldmark.checks import check_code_ignored, check_low_ceiling, cosine_ceiling, participation_ratio, r2_ceiling
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


def reconstruct(model: nn.Module, tokens: Tensor, valid: Tensor | None = None) -> Reconstruction:
    """Decode the codes of windows (N, T, D) in free running, in their order and shuffled between the windows."""
    autoencoder = cast("PoetryAutoencoder", model)
    codes, memory = autoencoder.encode(tokens, valid=valid)
    states, outputs = autoencoder.decoder(codes, memory)
    shuffled_outputs = autoencoder.decoder(codes[other_windows(len(codes), codes.device)], memory)[1]
    return Reconstruction(codes, states, outputs, shuffled_outputs)


def scored(tokens: Tensor, valid: Tensor | None) -> Tensor:
    """Return the tokens (M, D) of windows (N, T, D) that count: those which are not padding."""
    return tokens.flatten(0, 1) if valid is None else tokens[valid]


def window_means(tokens: Tensor, valid: Tensor | None) -> Tensor:
    """Return the mean (N, D) of each window's tokens (N, T, D), padding left out."""
    if valid is None:
        return tokens.mean(dim=1)
    return (tokens * valid[..., None]).sum(dim=1) / valid.sum(dim=1, keepdim=True)


def other_windows(n: int, device: torch.device) -> Tensor:
    """Return the permutation of n windows by which codes are shuffled, the same in every run."""
    return draws.permutation(draws.key(0, 0, "poetry shuffled codes"), n).to(device)


def token_cosine(outputs: Tensor, tokens: Tensor, valid: Tensor | None = None) -> float:
    """Return the mean cosine of outputs and tokens (N, T, D), in float64."""
    return float(cosine(scored(outputs, valid).double(), scored(tokens, valid).double()).mean())


def reconstruction_scores(outputs: Tensor, tokens: Tensor, valid: Tensor | None = None) -> dict[str, float]:
    """Return the scores of outputs (N, T, D): by token, of the windows' mean vectors, and the explained variance."""
    outputs, tokens = outputs.double(), tokens.double()
    means = (window_means(each, valid) for each in (outputs, tokens))
    targets = scored(tokens, valid)
    spread = targets - targets.mean(dim=0)
    return {
        "token_cosine": token_cosine(outputs, tokens, valid),
        "sequence_cosine": float(cosine(*means).mean()),
        "r2": 1 - float((scored(outputs, valid) - targets).square().sum() / spread.square().sum()),
    }


def evaluate(model: nn.Module, data: Data) -> dict[str, float]:
    """Return the metrics that change as a model is trained, on the validation half."""
    tokens, valid = data["val_tokens"], data.get("val_valid")
    codes, states, outputs, shuffled_outputs = reconstruct(model, tokens, valid)
    return reconstruction_scores(outputs, tokens, valid) | {
        "decoder_rank": participation_ratio(scored(states, valid)),
        "code_rank": participation_ratio(codes),
        "shuffled_code_cosine": token_cosine(shuffled_outputs, tokens, valid),
        "utilised_dims": utilised_dims(codes),
    }


def utilised_dims(codes: Tensor) -> float:
    """Return the record's count of the dimensions of codes (N, K) that vary."""
    return float((codes.double().var(dim=0) > USEFUL_VARIANCE).sum())


def forced_gap(model: nn.Module, data: Data) -> float:
    """Return how much higher the token cosine is while every step is forced than in free running."""
    forced, free = forced_and_free(model, data)
    return forced - free


def forced_and_free(model: nn.Module, data: Data) -> tuple[float, float]:
    """Return the token cosine while every step is fed a target, and that of free running."""
    tokens, valid = data["val_tokens"], data.get("val_valid")
    forced = model(tokens, forcing=full_forcing(data, tokens), valid=valid)
    return token_cosine(forced, tokens, valid), token_cosine(model(tokens, valid=valid), tokens, valid)


def token_bounds(data: Data, settings: PoetrySettings) -> dict[str, float]:
    """Return the token cosine that no training with the decoder's width exceeds, and the constant's."""
    tokens, valid = data["val_tokens"], data.get("val_valid")
    return {
        "token_ceiling": cosine_ceiling(scored(tokens, valid), settings.decoder_hidden),
        "token_floor": token_cosine(constant_prediction(data), tokens, valid),
    }


def close(data: Data, settings: PoetrySettings) -> dict[str, float]:
    """Return what no training with the decoder's width exceeds on the validation tokens, and the constant's score."""
    r2 = r2_ceiling(scored(data["val_tokens"], data.get("val_valid")), settings.decoder_hidden)
    return token_bounds(data, settings) | {"r2_ceiling": r2}


def examine(model: nn.Module, data: Data, settings: PoetrySettings) -> tuple[Finding, ...]:
    """Find out whether the decoder's width allows the wanted score, and whether the trained decoder uses its codes."""
    tokens, valid = data["val_tokens"], data.get("val_valid")
    made = reconstruct(model, tokens, valid)
    return (
        check_low_ceiling(cosine_ceiling(scored(tokens, valid), settings.decoder_hidden), WANTED),
        check_code_ignored(
            token_cosine(made.outputs, tokens, valid), token_cosine(made.shuffled_outputs, tokens, valid)
        ),
    )


def constant_prediction(data: Data) -> Tensor:
    """Return the mean training token at every place (N, T, D)."""
    return _mean_token(data).expand_as(data["val_tokens"])


def mean_window_prediction(data: Data) -> Tensor:
    """Return the mean training window (N, T, D): the best answer by place in the window to those who see no code."""
    tokens, valid = data["train_tokens"], data.get("train_valid")
    if valid is None:
        return tokens.mean(dim=0).expand_as(data["val_tokens"])
    n_valid = valid.sum(dim=0)[:, None]
    means = (tokens * valid[..., None]).sum(dim=0) / n_valid.clamp_min(1)
    return torch.where(n_valid > 0, means, _mean_token(data)).expand_as(data["val_tokens"])


def _mean_token(data: Data) -> Tensor:
    return scored(data["train_tokens"], data.get("train_valid")).mean(dim=0)


def baselines(data: Data) -> tuple[Baseline, ...]:
    """Return the predictors that ignore the window they are asked for."""
    tokens, valid = data["val_tokens"], data.get("val_valid")
    return (
        Baseline(
            name="constant",
            says="the mean training token, always",
            metrics=reconstruction_scores(constant_prediction(data), tokens, valid),
        ),
        Baseline(
            name="mean_window",
            says="the mean training token at that place in the window, whatever the window",
            metrics=reconstruction_scores(mean_window_prediction(data), tokens, valid),
        ),
    )
