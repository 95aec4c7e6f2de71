"""Scores of a span finder and of the predictor that marks every bar, and how the loss terms share the trunk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from goldmark.case import Baseline, Data
from goldmark.cases.expansion.jade import TERMS, TRUNK, JadeCompact, Outputs
from goldmark.cases.expansion.windows import COUNTDOWN_LIMIT
from goldmark.checks import gradient_norms, shares
from goldmark.training.draws import Draws

if TYPE_CHECKING:
    from goldmark.cases.expansion import ExpansionSettings

THRESHOLD = 0.5  # probability above which a bar is marked
GRADIENT_ROWS = 64  # windows on which gradients are compared: two batches' worth, always the same


def scaled_countdown(countdown: Tensor, scale: str) -> Tensor:
    """Bring a countdown in bars to a scale: `bars`, or `unit`, which maps [-20, 20] to [0, 1]."""
    if scale == "bars":
        return countdown
    return ((countdown + COUNTDOWN_LIMIT) / (2 * COUNTDOWN_LIMIT)).clamp(0, 1)


def term_losses(
    model: nn.Module,
    data: Data,
    settings: ExpansionSettings,
    half: str,
    rows: Tensor | slice = slice(None),
    draws: Draws | None = None,
) -> tuple[dict[str, Tensor], Outputs]:
    """Return the loss terms that the settings train on, unweighted means over windows or bars, and the outputs."""
    target = {name: data[f"{half}_{name}"][rows] for name in ("kind", "pointers", "span", "countdown")}
    outputs: Outputs = model(data[f"{half}_features"][rows], draws)
    losses = nn.functional
    weight = positive_weight(data["train_span"]) if settings.pos_weight else None
    terms = {
        "type": losses.cross_entropy(outputs.kind, target["kind"]),
        "pointers": losses.huber_loss(outputs.pointers, target["pointers"], delta=0.08),
        "span": losses.binary_cross_entropy_with_logits(outputs.span, target["span"], pos_weight=weight),
        "countdown": losses.huber_loss(
            outputs.countdown,
            scaled_countdown(target["countdown"], settings.countdown_scale),
            delta=settings.countdown_delta,
        ),
    }
    trained = {"all": TERMS, "no_countdown": TERMS[:3], "span": ("span",)}[settings.terms]
    return {name: terms[name] for name in trained}, outputs


def positive_weight(span: Tensor) -> Tensor:
    """Return (1 - p) / p for the share p of bars in a span: the weight that makes both classes count the same."""
    share = span.mean()
    return (1 - share) / share


def weighted(model: nn.Module, losses: Mapping[str, Tensor], settings: ExpansionSettings) -> dict[str, Tensor]:
    """Return every term as it is trained: times 1 / (2 sigma^2) (Kendall, Gal and Cipolla, 2018), or as it is."""
    if settings.weighting == "sum":
        return dict(losses)
    return {name: loss * (-2 * _log_sigma(model, name)).exp() / 2 for name, loss in losses.items()}


def total_loss(model: nn.Module, losses: Mapping[str, Tensor], settings: ExpansionSettings) -> Tensor:
    """Return the sum of the terms as they are trained, plus log sigma of each under uncertainty weighting."""
    total = torch.stack(list(weighted(model, losses, settings).values())).sum()
    if settings.weighting == "sum":
        return total
    return total + torch.stack([_log_sigma(model, name) for name in losses]).sum()


def _log_sigma(model: nn.Module, term: str) -> Tensor:
    return cast("JadeCompact", model).log_sigma[TERMS.index(term)]


def score(model: nn.Module, data: Data, settings: ExpansionSettings) -> dict[str, float]:
    """Return the metrics of a model on the validation half, and the countdown's shares of the loss."""
    span = data["val_span"]
    losses, outputs = term_losses(model, data, settings, "val")
    probability = outputs.span.double().sigmoid()
    return {
        "val_loss": float(total_loss(model, losses, settings)),
        "span_f1": span_f1(probability > THRESHOLD, span),
        "separation": float(probability[span == 1].mean() - probability[span == 0].mean()),
        "auc": auc(outputs.span, span),
        "average_precision": average_precision(outputs.span, span),
        "countdown_share_raw": _countdown_share(losses),
        "countdown_share_effective": _countdown_share(weighted(model, losses, settings)),
        "countdown_share_gradient": gradient_share(model, data, settings),
    }


def span_f1(marked: Tensor, span: Tensor) -> float:
    """Return 2 TP / (2 TP + FP + FN) per window, mean over windows, for marks and labels (N, T); 0 without a mark."""
    hits = (marked * span).double().sum(dim=1)
    return float((2 * hits / (marked.double().sum(dim=1) + span.double().sum(dim=1))).mean())


def auc(scores: Tensor, labels: Tensor) -> float:
    """Return the probability that a bar in a span scores above one outside, ties half (Mann-Whitney U / n m)."""
    positives, counts = _by_score(scores, labels)
    negatives = counts - positives
    below = negatives.cumsum(dim=0) - negatives / 2
    return float((positives * below).sum() / (positives.sum() * negatives.sum()))


def average_precision(scores: Tensor, labels: Tensor) -> float:
    """Return the sum over thresholds of precision times the recall gained there; tied scores share a threshold."""
    positives, counts = (column.flip(0) for column in _by_score(scores, labels))
    precision = positives.cumsum(dim=0) / counts.cumsum(dim=0)
    return float((precision * positives).sum() / positives.sum())


def _by_score(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the positives and the count of every distinct score, ascending, in float64."""
    ordered, order = scores.flatten().sort()
    places = nn.functional.pad(ordered.diff() != 0, (1, 0)).long().cumsum(dim=0)
    return torch.bincount(places, weights=labels.flatten()[order].double()), torch.bincount(places).double()


def gradient_share(model: nn.Module, data: Data, settings: ExpansionSettings) -> float:
    """Return the countdown's share of the weighted gradient norms on the shared trunk, over some training windows."""
    # cuDNN has no backward pass for an LSTM in eval mode
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        trunk = [parameter for name, parameter in model.named_parameters() if name.startswith(TRUNK)]
        losses, _ = term_losses(model, data, settings, "train", slice(GRADIENT_ROWS))
        norms = gradient_norms(weighted(model, losses, settings), trunk)
    return shares(norms).get("countdown", 0.0)


def _countdown_share(losses: Mapping[str, Tensor]) -> float:
    """Return the countdown's share of some loss terms; 0 where it is not trained."""
    return shares({name: float(loss) for name, loss in losses.items()}).get("countdown", 0.0)


def baselines(data: Data, settings: ExpansionSettings) -> tuple[Baseline, ...]:
    """Return the predictor that marks every bar: what an F1 above 0 has to be read against."""
    span = data["val_span"]
    return (
        Baseline(
            "predict_every_bar",
            "every bar is in the span, with the same probability",
            {
                "span_f1": span_f1(torch.ones_like(span), span),
                "separation": 0.0,
                "auc": 0.5,
                "average_precision": float(span.mean()),
            },
        ),
    )


def countdown_loss_at_zero(data: Data, settings: ExpansionSettings) -> float:
    """Return the countdown's Huber loss of a model that answers 0 everywhere: where a fresh model starts."""
    targets = scaled_countdown(data["train_countdown"], settings.countdown_scale)
    return float(nn.functional.huber_loss(torch.zeros_like(targets), targets, delta=settings.countdown_delta))
