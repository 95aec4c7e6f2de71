"""Rows of a run's logs: plain statistics of what was looked at, in float64."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from goldmark.case import Half, Look
from goldmark.checks import shares

VANISHING, EXPLODING = 1e-7, 100.0  # gradient norms of a parameter, as the record has them

Row = dict[str, Any]


def component_row(epoch: int, half: Half, look: Look, gradient_norms: Mapping[str, float] | None = None) -> Row:
    """Return each term, the whole loss, and the shares of the trained terms: raw, weighted, and by gradient if known.

    The shares by gradient are of norms on the parameters that all terms share; where none were taken they stay empty.
    """
    raw = {name: look.terms[name].item() for name in look.weighted}
    weighted = {name: loss.item() for name, loss in look.weighted.items()}
    by_gradient = dict.fromkeys(raw) if gradient_norms is None else _shares(gradient_norms)
    return {
        "epoch": epoch,
        "phase": half,
        **{f"loss_{name}": loss.item() for name, loss in look.terms.items()},
        "total_loss": look.loss.item(),
        **{f"share_raw_{name}": share for name, share in _shares(raw).items()},
        **{f"share_effective_{name}": share for name, share in _shares(weighted).items()},
        **{f"share_gradient_{name}": share for name, share in by_gradient.items()},
    }


def _shares(amounts: Mapping[str, float]) -> dict[str, float]:
    """Return every amount over the sum of all; NaN where they have no shares, as in a run that diverged."""
    if all(0 <= amount < math.inf for amount in amounts.values()) and sum(amounts.values()) > 0:
        return shares(amounts)
    return dict.fromkeys(amounts, math.nan)


def probability_row(epoch: int, probabilities: Mapping[str, Tensor]) -> Row:
    """Return the statistics of each group of probabilities, and by how much the mean of the first is above the next."""
    numbers = {group: statistics_of(values) for group, values in probabilities.items()}
    means = [statistics["mean"] for statistics in numbers.values()]
    named = {f"{group}_{name}": value for group, row in numbers.items() for name, value in row.items()}
    return {"epoch": epoch, **named, "separation": means[0] - means[1]}


def uncertainty_row(epoch: int, sigmas: Mapping[str, float]) -> Row:
    """Return sigma of each term, and the weight 1 / (2 sigma^2) that follows from it."""
    weights = {f"weight_{name}": 1 / (2 * sigma**2) if sigma else math.inf for name, sigma in sigmas.items()}
    return {"epoch": epoch, **{f"sigma_{name}": sigma for name, sigma in sigmas.items()}, **weights}


def feature_rows(epoch: int, features: Mapping[str, Row], first: Mapping[str, Row]) -> Iterator[Row]:
    """Yield the statistics of each feature, and its drift: by how many of its first std its mean has moved since.

    The rows are the same in every epoch, so that only augmentation can move anything: 0 exactly where there is none.
    """
    for name, numbers in features.items():
        start = first[name]
        moved = numbers["mean"] - start["mean"]
        drift = 0.0 if moved == 0 else moved / start["std"] if start["std"] else math.inf
        yield {"epoch": epoch, "feature": name, **numbers, "drift": drift}


def gradient_rows(epoch: int, norms: Mapping[str, float]) -> Iterator[Row]:
    """Yield the norm of the whole gradient and that of each parameter's, with its health."""
    total = math.sqrt(sum(norm**2 for norm in norms.values()))
    for name, norm in {"total": total, **norms}.items():
        yield {"epoch": epoch, "parameter": name, "norm": norm, "health": health(norm)}


def health(norm: float) -> str:
    """Return `vanishing` below 1e-7, `exploding` above 100 and where it is not finite, else `healthy`."""
    if norm < VANISHING:
        return "vanishing"
    return "healthy" if norm <= EXPLODING else "exploding"


def statistics_of(values: Tensor) -> dict[str, float]:
    """Return mean, std (of the population), min, max and the lower median of all entries; NaN where there are none."""
    names = ("mean", "std", "min", "max", "median")
    if not values.numel():
        return dict.fromkeys(names, math.nan)
    entries = values.detach().double().flatten()
    low, high = entries.aminmax()
    numbers = torch.stack([entries.mean(), entries.std(correction=0), low, high, entries.median()])
    return dict(zip(names, numbers.tolist(), strict=True))
