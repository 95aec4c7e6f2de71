"""The record's evaluations of a trained span finder, each beside what a trivial predictor scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from goldmark.case import Data
from goldmark.cases.expansion.model import N_KINDS, Outputs
from goldmark.cases.expansion.scores import auc, average_precision, probabilities, span_f1
from goldmark.cases.expansion.terms import TermScales, term_losses, trained_terms

if TYPE_CHECKING:
    from goldmark.cases.expansion import ExpansionSettings

# The record's bar of success: shares of 1
LOSS_FALLS = 0.2  # of the validation loss, an unweighted sum of its terms
F1_BARS = {"first": 0.0, "later": 0.10}  # span F1 has to be above
SEPARATION_BAR = 0.05  # mean probability in spans minus that outside
SKILL_MARGIN = 0.05  # by which span F1 is above that of marking every bar where it counts as skill: the metric's margin
N_THRESHOLDS = 200  # quantiles of the training probabilities that are tried

Section = dict[str, float | str]


class BarIndex(nn.Module):
    """A predictor that sees no feature: its answers are those of a bar's number and of the training labels."""

    def __init__(self, data: Data, scales: TermScales) -> None:
        super().__init__()
        self.scales = scales
        share = data["train_span"].mean()
        kinds = (
            torch.bincount(data["train_kind"], minlength=N_KINDS).to(share.dtype) + 1
        )  # Laplace's rule: no kind is impossible
        countdown = data["train_countdown"].median(dim=0).values
        self.answers = Outputs(
            kind=(kinds / kinds.sum()).log(),
            pointers=data["train_pointers"].median(dim=0).values,
            span=(scales.pos_weight * share / (1 - share)).log().expand(len(countdown)),
            countdown=(countdown - scales.countdown_zero) / scales.countdown_unit,
        )

    def forward(self, features: Tensor, draws: None = None) -> Outputs:
        """Return the same answers for each of the windows (B, T, F)."""
        return Outputs(*(answer.expand(len(features), *answer.shape) for answer in self.answers))


def record_evaluations(
    model: nn.Module, fresh: nn.Module, data: Data, settings: ExpansionSettings
) -> dict[str, Section]:
    """Return the bar of success, separation, threshold and ranking of a trained model on the validation half.

    `fresh` is a model of the same settings before its training.
    """
    scored = {half: _probabilities(model, data, half) for half in ("train", "val")}
    return {
        "success_bar": success_bar(model, fresh, data, settings),
        "separation": separation(scored["val"], data["val_span"]),
        "threshold": threshold_from_training(scored["train"], data["train_span"], scored["val"], data["val_span"]),
        "ranking": ranking(scored["val"], data["val_span"]),
    }


def _probabilities(model: nn.Module, data: Data, half: str) -> Tensor:
    with torch.no_grad():
        return probabilities(term_losses(model, data, half)[1].span)


def success_bar(model: nn.Module, fresh: nn.Module, data: Data, settings: ExpansionSettings) -> Section:
    """Return what of the record's bar of success a model meets, beside what predictors without skill meet of it.

    The validation loss has to fall by 20 % from the fresh model's, beside that of `BarIndex`; span F1 at .5 has to be
    above 0, later .10, and separation above .05, beside marking every bar. The decision is `skill` where all is met and
    F1 is .05 above that of marking every bar, `bar only` where all is met and it is not, else `missed`.
    """
    span = data["val_span"]
    probability = _probabilities(model, data, "val")
    losses = [
        _trained_loss(each, data, settings) for each in (fresh, model, BarIndex(data, cast("TermScales", fresh.scales)))
    ]
    every_bar = span_f1(torch.ones_like(span), span)
    numbers = {
        "loss_falls": 1 - losses[1] / losses[0],
        "span_f1": span_f1(probability > 0.5, span),
        "separation": _mean(probability, span, 1) - _mean(probability, span, 0),
    }
    trivial = {"loss_falls": 1 - losses[2] / losses[0], "span_f1": every_bar, "separation": 0.0}
    met = _met(numbers)
    skill = "skill" if numbers["span_f1"] > every_bar + SKILL_MARGIN else "bar only"
    return {
        **numbers,
        **{f"{name}_without_skill": number for name, number in trivial.items()},
        **met,
        **{f"{name}_without_skill": word for name, word in _met(trivial).items()},
        "decision": skill if set(met.values()) == {"met"} else "missed",
    }


def _trained_loss(model: nn.Module, data: Data, settings: ExpansionSettings) -> float:
    """Return the sum of the trained terms of the validation loss, without weights, as the record's total."""
    with torch.no_grad():
        losses, _ = term_losses(model, data, "val")
    return sum(float(losses[name]) for name in trained_terms(settings))


def _met(numbers: dict[str, float]) -> dict[str, str]:
    """Return each part of the bar with whether it is met; a number that is not one meets none."""
    parts = {
        "loss_bar": numbers["loss_falls"] >= LOSS_FALLS,
        **{f"f1_bar_{name}": numbers["span_f1"] > bar for name, bar in F1_BARS.items()},
        "separation_bar": numbers["separation"] > SEPARATION_BAR,
    }
    return {name: "met" if holds else "missed" for name, holds in parts.items()}


def _mean(probability: Tensor, span: Tensor, label: int) -> float:
    return float(probability[span == label].double().mean())


def separation(probability: Tensor, span: Tensor) -> Section:
    """Return the probabilities (N, T) of bars in a span and of the others in numbers, and how far the means lie apart.

    As in the record's probability statistics: mean, std, min, max and median of each.
    """
    numbers: Section = {}
    for name, label in (("in_span", 1), ("out_span", 0)):
        chosen = probability[span == label]
        numbers |= {
            f"{name}_{word}": float(number)
            for word, number in (
                ("mean", chosen.mean()),
                ("std", chosen.std()),
                ("min", chosen.min()),
                ("max", chosen.max()),
                ("median", chosen.median()),
            )
        }
    apart = _mean(probability, span, 1) - _mean(probability, span, 0)
    return {
        **numbers,
        "separation": apart,
        "separation_every_bar": 0.0,
        "decision": "apart" if apart > SEPARATION_BAR else "not apart",
    }


def best_threshold(probability: Tensor, span: Tensor) -> float:
    """Return the probability above which to mark bars (N, T) for the highest span F1, the lowest of equals.

    Tried are 0, which marks every bar, and 200 quantiles of the probabilities: those of a model without skill lie so
    close together that steps of .01 would pass over them.
    """
    steps = torch.linspace(0, 1, N_THRESHOLDS, dtype=probability.dtype, device=probability.device)
    tried: list[float] = [0.0, *torch.quantile(probability.flatten(), steps).tolist()]
    return max(tried, key=lambda threshold: span_f1(probability > threshold, span))


def threshold_from_training(probability: Tensor, span: Tensor, val_probability: Tensor, val_span: Tensor) -> Section:
    """Return span F1 of the validation half at the best threshold of the training half, beside .5 and every bar.

    A threshold chosen on the half that it is judged on would flatter. The decision is `skill` where F1 is .05 above
    that of marking every bar, `threshold only` where it is not but above that at .5, else `no use`.
    """
    threshold = best_threshold(probability, span)
    f1, at_half = (span_f1(val_probability > limit, val_span) for limit in (threshold, 0.5))
    every_bar = span_f1(torch.ones_like(val_span), val_span)
    return {
        "threshold": threshold,
        "train_f1": span_f1(probability > threshold, span),
        "val_f1": f1,
        "val_f1_at_half": at_half,
        "val_f1_every_bar": every_bar,
        "decision": "skill" if f1 > every_bar + SKILL_MARGIN else "threshold only" if f1 > at_half else "no use",
    }


def ranking(probability: Tensor, span: Tensor) -> Section:
    """Return how well probabilities (N, T) rank bars in a span above others, without a threshold, beside no skill."""
    return {
        "auc": auc(probability, span),
        "auc_every_bar": 0.5,
        "average_precision": average_precision(probability, span),
        "average_precision_every_bar": float(span.double().mean()),
    }
