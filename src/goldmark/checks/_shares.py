"""Shares: which of several loss terms the shared parameters listen to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from goldmark.case import Finding


def shares(amounts: Mapping[str, float]) -> dict[str, float]:
    """Return every amount over the sum of all; amounts are losses, weighted losses or gradient norms, none negative."""
    if any(not amount >= 0 for amount in amounts.values()):
        raise ValueError(f"shares need amounts of 0 or more, got {dict(amounts)}")
    total = sum(amounts.values())
    if total == 0:
        raise ValueError(f"shares need one amount above 0, got {dict(amounts)}")
    return {name: amount / total for name, amount in amounts.items()}


def gradient_norms(losses: Mapping[str, Tensor], shared: Iterable[Tensor]) -> dict[str, float]:
    """Return the Euclidean norm of every (weighted) loss term's gradient on the shared parameters.

    With the terms weighted as they are trained, `shares` of these norms are S_i = w_i |g_i| / sum_j w_j |g_j|.
    A term that does not reach the shared parameters has norm 0. The graph is kept for the caller.
    """
    parameters = list(shared)
    norms = {}
    for name, loss in losses.items():
        gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        squares = [gradient.double().square().sum() for gradient in gradients if gradient is not None]
        norms[name] = float(torch.stack(squares).sum().sqrt()) if squares else 0.0
    return norms


def check_dominated_gradient(norms: Mapping[str, float], term: str, threshold: float = 0.4) -> Finding:
    """Find out whether one loss term takes more than `threshold` of the gradient on the shared parameters."""
    share = shares(norms)[term]
    return Finding(
        name="dominated_gradient",
        trouble=not share <= threshold,
        numbers={"share": share},
        threshold=threshold,
        relation=f"no term may own the shared parameters: '{term}' does",
        advice=f"'{term}' drowns the other terms on the shared parameters: scale its targets to the others' range",
    )
