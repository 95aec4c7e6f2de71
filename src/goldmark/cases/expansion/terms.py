"""The loss: four terms, what each is scaled by, and the uncertainty weights that were to balance them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from goldmark.case import Data
from goldmark.cases.expansion.data import COUNTDOWN_LIMIT
from goldmark.cases.expansion.model import Outputs
from goldmark.training.draws import Draws

if TYPE_CHECKING:
    from goldmark.cases.expansion import ExpansionSettings

TERMS = ("type", "pointers", "span", "countdown")  # in the order of `log_sigma`
POINTERS_DELTA = 0.08  # of the Huber loss, as in the record: in shares of a window, 8.4 of 105 bars
_TRAINED = {"all": TERMS, "no_countdown": TERMS[:3], "span": ("span",)}
_ZERO_AND_UNIT = {"bars": (0.0, 1.0), "unit": (-1.0 * COUNTDOWN_LIMIT, 2.0 * COUNTDOWN_LIMIT)}  # both in bars
_LOG_SIGMA = {
    "record": (0.0, -0.30, 0.0, 0.0),
    # L / (2 sigma^2) + log sigma is lowest at sigma^2 = L: the record's validation losses at epoch 100
    "equilibrium": tuple(math.log(loss) / 2 for loss in (0.68, 0.009, 0.28, 10.08)),
}


class TermScales(nn.Module):
    """What the span and countdown terms are scaled by: buffers, so that models with different ones stack."""

    pos_weight: Tensor
    countdown_zero: Tensor  # bars
    countdown_unit: Tensor  # bars
    countdown_delta: Tensor

    def __init__(self, settings: ExpansionSettings, span: Tensor) -> None:
        super().__init__()
        balanced = positive_weight(span).cpu()
        zero, unit = _ZERO_AND_UNIT[settings.countdown_scale]
        scales = {
            "pos_weight": balanced if settings.pos_weight == "balanced" else torch.ones_like(balanced),
            "countdown_zero": torch.tensor(zero),
            "countdown_unit": torch.tensor(unit),
            "countdown_delta": torch.tensor(settings.countdown_delta),
        }
        for name, scale in scales.items():
            self.register_buffer(name, scale, persistent=False)


def positive_weight(span: Tensor) -> Tensor:
    """Return (1 - p) / p for the share p of bars in a span: the weight that makes both classes count the same."""
    share = span.mean()
    return (1 - share) / share


def scaled_countdown(countdown: Tensor, scale: str) -> Tensor:
    """Return a countdown in bars on a scale: `bars`, as it is, or `unit`, which maps [-20, 20] to [0, 1]."""
    zero, unit = _ZERO_AND_UNIT[scale]
    return (countdown - zero) / unit


def log_sigma_at_start(name: str) -> Tensor:
    """Return what log sigma (4,) starts at: as in the record, or where the record's last losses would hold it."""
    return torch.tensor(_LOG_SIGMA[name])


def trained_terms(settings: ExpansionSettings) -> tuple[str, ...]:
    """Return the names of the terms that a model is trained on."""
    return _TRAINED[settings.terms]


def huber(predictions: Tensor, targets: Tensor, delta: float | Tensor) -> Tensor:
    """Return the mean Huber loss: e^2 / 2 for errors |e| up to delta, delta (|e| - delta / 2) beyond (Huber, 1964).

    The slope is never steeper than delta, which is why the raw share of such a term says little about its pull. It is
    written out, as torch's own takes no tensor for delta, and deltas that differ between stacked models are one.
    """
    error = (predictions - targets).abs()
    within = error.clamp(max=delta)
    return (within * (error - within / 2)).mean()


def term_losses(
    model: nn.Module, data: Data, half: str, rows: Tensor | slice = slice(None), draws: Draws | None = None
) -> tuple[dict[str, Tensor], Outputs]:
    """Return all four terms, unweighted means over windows or bars, trained or not, and the outputs."""
    target = {name: data[f"{half}_{name}"][rows] for name in ("kind", "pointers", "span", "countdown")}
    outputs: Outputs = model(data[f"{half}_features"][rows], draws)
    scales = cast("TermScales", model.scales)
    countdown = (target["countdown"] - scales.countdown_zero) / scales.countdown_unit
    span_loss = nn.functional.binary_cross_entropy_with_logits
    return {
        "type": nn.functional.cross_entropy(outputs.kind, target["kind"]),
        "pointers": huber(outputs.pointers, target["pointers"], POINTERS_DELTA),
        "span": span_loss(outputs.span, target["span"], pos_weight=scales.pos_weight),
        "countdown": huber(outputs.countdown, countdown, scales.countdown_delta),
    }, outputs


def weighted(model: nn.Module, losses: Mapping[str, Tensor], settings: ExpansionSettings) -> dict[str, Tensor]:
    """Return each trained term as it counts: times 1 / (2 sigma^2), or as it is under `sum`.

    Kendall, Gal and Cipolla, "Multi-task learning using uncertainty to weigh losses", CVPR 2018, equation 7.
    """
    trained = {name: losses[name] for name in trained_terms(settings)}
    if settings.weighting == "sum":
        return trained
    return {name: loss * (-2 * _log_sigma(model, name)).exp() / 2 for name, loss in trained.items()}


def total_loss(model: nn.Module, losses: Mapping[str, Tensor], settings: ExpansionSettings) -> Tensor:
    """Return the sum of the trained terms as they count, plus log sigma of each under uncertainty weighting."""
    counting = weighted(model, losses, settings)
    total = torch.stack(list(counting.values())).sum()
    if settings.weighting == "sum":
        return total
    return total + torch.stack([_log_sigma(model, name) for name in counting]).sum()


def sigmas(model: nn.Module) -> dict[str, float]:
    """Return the sigma of each term, trained or not."""
    return dict(zip(TERMS, cast("Tensor", model.log_sigma).exp().tolist(), strict=True))


def _log_sigma(model: nn.Module, term: str) -> Tensor:
    return cast("Tensor", model.log_sigma)[TERMS.index(term)]
