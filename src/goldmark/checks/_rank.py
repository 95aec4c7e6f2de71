"""Rank: how many dimensions a representation uses, and what a narrow layer makes impossible."""

from __future__ import annotations

import torch
from torch import Tensor

from goldmark.case import Finding


def participation_ratio(states: Tensor) -> float:
    """Return (sum of eigenvalues)^2 / sum of squared eigenvalues of the covariance of states (N, D): 1 to D.

    1 means that all variance lies along one direction; constant states give 0, and NaN gives NaN. Unlike a count of
    dimensions whose variance exceeds a threshold after a normalisation, this can be low. The sums are those of the
    diagonal and of the squared entries of the covariance, so that no eigenvalue is computed.
    """
    covariance = _covariance(states)
    total = covariance.trace()
    return 0.0 if total == 0 else float(total.square() / covariance.square().sum())


def check_low_rank(states: Tensor, threshold: float = 0.25) -> Finding:
    """Find out whether states (N, D) fill less than `threshold` of their dimensions, by participation ratio over D.

    A count of dimensions whose variance exceeds some value is no such check: a normalisation before it gives every
    dimension the variance 1, and copies of one dimension count as often as there are copies.
    """
    rank = participation_ratio(states)
    share = rank / states.shape[-1]
    return Finding(
        name="low_rank",
        trouble=not share >= threshold,
        numbers={"participation_ratio": rank, "share": share},
        threshold=threshold,
        advice=f"{states.shape[-1]} dimensions hold the variance of {rank:.3g}: the code is narrower than it looks",
    )


def cosine_ceiling(tokens: Tensor, width: int) -> float:
    """Return the highest mean cosine that outputs affine in `width` units can reach on non-zero tokens (N, D).

    Such outputs lie in a linear space of width + 1 dimensions, so the mean cosine is at most
    sqrt(sum of the width + 1 largest eigenvalues of E[u u^T]), u = x / |x|, whatever the training (Cauchy-Schwarz,
    then Jensen). Computed in float64; pass the tokens that are scored.
    """
    directions = tokens.double() / tokens.double().norm(dim=-1, keepdim=True)
    eigenvalues = torch.linalg.eigvalsh(directions.T @ directions / len(directions))
    return float(eigenvalues[-(width + 1) :].sum().clamp(0, 1).sqrt())


def r2_ceiling(tokens: Tensor, width: int) -> float:
    """Return the highest R^2 that outputs affine in `width` units can reach on tokens (N, D).

    Source: Eckart and Young (1936), the best approximation of a matrix by one of lower rank.
    """
    eigenvalues = torch.linalg.eigvalsh(_covariance(tokens)).clamp_min(0)
    return float(eigenvalues[-width:].sum() / eigenvalues.sum())


def check_low_ceiling(ceiling: float, wanted: float) -> Finding:
    """Find out whether a layer's width puts a score out of reach: `ceiling` from one of the functions above."""
    return Finding(
        name="low_ceiling",
        trouble=not ceiling >= wanted,
        numbers={"ceiling": ceiling},
        threshold=wanted,
        advice="no training reaches the score through so narrow a layer: widen the one before the output",
    )


def check_code_ignored(score: float, shuffled_score: float, threshold: float = 0.05) -> Finding:
    """Find out whether a score hardly falls (by less than `threshold`) when codes are shuffled between samples."""
    return Finding(
        name="code_ignored",
        trouble=not score - shuffled_score >= threshold,
        numbers={"score": score, "shuffled_score": shuffled_score},
        threshold=threshold,
        advice="the decoder does not use the code: look for a way around it (attention) or a collapse",
    )


def _covariance(states: Tensor) -> Tensor:
    """Return the covariance (D, D) of states (N, D), in float64."""
    centred = states.double() - states.double().mean(dim=0)
    return centred.T @ centred / len(states)
