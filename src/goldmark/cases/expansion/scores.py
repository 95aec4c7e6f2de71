"""Scores of a span finder and of the predictor that marks every bar, and how the loss terms share the trunk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from goldmark.case import Baseline, Data, Finding, Half, Look, Metric
from goldmark.cases.expansion.model import TRUNK
from goldmark.cases.expansion.terms import (
    huber,
    scaled_countdown,
    sigmas,
    term_losses,
    total_loss,
    trained_terms,
    weighted,
)
from goldmark.checks import check_no_skill, check_target_scale, gradient_norms, shares

if TYPE_CHECKING:
    from goldmark.cases.expansion import ExpansionSettings

THRESHOLD = 0.5  # probability above which a bar is marked, as in the record
GRADIENT_ROWS = 64  # windows on which gradients are compared: two batches' worth, always the same

METRICS = (
    Metric(
        name="span_f1",
        says="F1 of bars marked at .5, mean over windows",
        better="higher",
        margin=0.05,
        test="permutation",
    ),
    Metric(
        name="separation",
        says="mean probability of bars in a span minus that of the others",
        better="higher",
        margin=0.05,
    ),
    Metric(name="auc", says="probability that a bar in a span scores above one outside", better="higher", margin=0.03),
    Metric(name="average_precision", says="area under precision over recall", better="higher", margin=0.05),
    Metric(name="countdown_share_raw", says="the countdown's share of the validation loss terms", margin=0.03),
    Metric(name="countdown_share_effective", says="the same, each term times its uncertainty weight", margin=0.03),
    Metric(
        name="countdown_share_gradient",
        says="the countdown's share of the weighted gradient norms on the shared trunk, mid-training",
        better="lower",
        margin=0.1,
    ),
)


def score(model: nn.Module, data: Data, settings: ExpansionSettings) -> dict[str, float]:
    """Return the metrics of a model on the validation half, and the countdown's shares of the loss."""
    losses, outputs = term_losses(model, data, "val")
    trained = {name: losses[name] for name in trained_terms(settings)}
    return {
        "val_loss": float(total_loss(model, losses, settings)),
        **_span_scores(outputs.span, data["val_span"]),
        "countdown_share_raw": _countdown_share(trained),
        "countdown_share_effective": _countdown_share(weighted(model, losses, settings)),
        "countdown_share_gradient": gradient_share(model, data, settings),
        "loss_sum": sum(map(float, trained.values())),
        **{f"loss_{name}": float(loss) for name, loss in losses.items()},
        **{f"sigma_{name}": sigma for name, sigma in sigmas(model).items()},
    }


def look(model: nn.Module, data: Data, half: Half, rows: slice, settings: ExpansionSettings) -> Look:
    """Return from one forward pass the terms, those trained as they count, and how well spans are found."""
    losses, outputs = term_losses(model, data, half, rows)
    span, probability, marked = data[f"{half}_span"][rows], probabilities(outputs.span), marks(outputs.span)
    return Look(
        loss=total_loss(model, losses, settings),
        terms=losses,
        weighted=weighted(model, losses, settings),
        scores={
            "span_f1": span_f1(marked, span),
            "span_precision": hits_per(marked, marked, span),
            "span_recall": hits_per(span, marked, span),
        },
        probabilities={"in_span": probability[span == 1], "out_span": probability[span == 0]},
    )


def _span_scores(logits: Tensor, span: Tensor) -> dict[str, float]:
    """Return how well bars (N, T) are marked and ranked."""
    probability = probabilities(logits)
    inside, outside = (float(probability[span == label].mean()) for label in (1, 0))
    marked = marks(logits)
    return {
        "span_f1": span_f1(marked, span),
        "span_precision": hits_per(marked, marked, span),
        "span_recall": hits_per(span, marked, span),
        "in_span": inside,
        "out_span": outside,
        "separation": inside - outside,
        "auc": auc(logits, span),
        "average_precision": average_precision(logits, span),
    }


def probabilities(logits: Tensor) -> Tensor:
    """Return the probability that a bar is in the span, float64: the only sigmoid on the way from logits to marks."""
    return logits.double().sigmoid()


def marks(logits: Tensor) -> Tensor:
    """Return which bars (N, T) are marked: those whose probability is above the threshold."""
    return probabilities(logits) > THRESHOLD


def span_f1(marked: Tensor, span: Tensor) -> float:
    """Return 2 TP / (2 TP + FP + FN) per window, mean over windows, for marks and labels (N, T); 0 without a mark."""
    hits = (marked * span).double().sum(dim=1)
    return float((2 * hits / (marked.double().sum(dim=1) + span.double().sum(dim=1))).mean())


def hits_per(of: Tensor, marked: Tensor, span: Tensor) -> float:
    """Return the hits over the bars in `of`, the marks or the labels (N, T), mean over windows.

    Per mark that is the precision, per label the recall. A window without such a bar counts as 0.
    """
    hits = (marked * span).double().sum(dim=1)
    return float((hits / of.double().sum(dim=1).clamp_min(1)).mean())


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
    trunk = [parameter for name, parameter in model.named_parameters() if name.startswith(TRUNK)]
    training = model.training
    model.train()  # cuDNN has a backward pass for an LSTM in training alone; without draws nothing is dropped
    with torch.enable_grad():
        losses, _ = term_losses(model, data, "train", slice(GRADIENT_ROWS))
        norms = gradient_norms(weighted(model, losses, settings), trunk)
    model.train(training)
    return shares(norms).get("countdown", 0.0)


def _countdown_share(losses: Mapping[str, Tensor]) -> float:
    """Return the countdown's share of some loss terms; 0 where it is not trained."""
    return shares({name: float(loss) for name, loss in losses.items()}).get("countdown", 0.0)


def finish(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the gradient share of the middle evaluation: at the start it misleads, and at the end it is too late."""
    name = "countdown_share_gradient"
    evaluated = [row[name] for row in history if name in row]
    return {name: evaluated[len(evaluated) // 2]}


def baselines(data: Data) -> tuple[Baseline, ...]:
    """Return the predictor that marks every bar: what an F1 above 0 has to be read against."""
    span = data["val_span"]
    return (
        Baseline(
            name="predict_every_bar",
            says="every bar is in the span, with the same probability",
            metrics={
                "span_f1": span_f1(torch.ones_like(span), span),
                "separation": 0.0,
                "auc": 0.5,
                "average_precision": float(span.mean()),
            },
        ),
    )


def examine(fresh: nn.Module, trained: nn.Module, data: Data, settings: ExpansionSettings) -> tuple[Finding, ...]:
    """Look for countdown targets out of a fresh model's reach, and afterwards for no skill over marking every bar."""
    _, outputs = term_losses(trained, data, "val")
    span = data["val_span"]
    skill = check_no_skill(1 - span_f1(marks(outputs.span), span), 1 - span_f1(torch.ones_like(span), span))
    if "countdown" not in trained_terms(settings):
        return (skill,)
    _, outputs = term_losses(fresh, data, "train")
    targets = scaled_countdown(data["train_countdown"], settings.countdown_scale)
    return check_target_scale(outputs.countdown, targets), skill


def close(data: Data, settings: ExpansionSettings) -> dict[str, float]:
    """Return the share of training bars in a span, and the countdown's loss of a model that answers 0 everywhere.

    A fresh model starts near that loss.
    """
    targets = scaled_countdown(data["train_countdown"], settings.countdown_scale)
    return {
        "share_in_span": float(data["train_span"].mean()),
        "countdown_loss_at_zero": float(huber(torch.zeros_like(targets), targets, settings.countdown_delta)),
    }
