"""Gradients of the loss terms on the shared trunk of a fresh model, where the record looked at none."""

from __future__ import annotations

from functools import cache
from statistics import fmean

import torch

from goldmark.cases.expansion import CASE
from goldmark.cases.expansion.model import TRUNK
from goldmark.cases.expansion.scores import GRADIENT_ROWS, gradient_share
from goldmark.cases.expansion.terms import TERMS, term_losses, weighted
from goldmark.training.draws import initial_weights

_SEEDS = range(4)


@cache
def share_at_the_start(variant: str) -> float:
    """Return the countdown's share of the weighted gradient norms on a fresh trunk, mean over four seeds."""
    settings = CASE.settings_of(variant)
    return fmean(gradient_share(*_fresh(variant, seed), settings) for seed in _SEEDS)


@cache
def attributions(variant: str) -> dict[str, float]:
    """Return A_i = w_i <g_i, G> / |G|^2 of every term on a fresh trunk, G the sum of all weighted gradients."""
    settings = CASE.settings_of(variant)
    model, data = _fresh(variant, 0)
    losses, _ = term_losses(model, data, "train", slice(GRADIENT_ROWS))
    trunk = [parameter for name, parameter in model.named_parameters() if name.startswith(TRUNK)]

    def flat(loss: torch.Tensor) -> torch.Tensor:
        gradients = torch.autograd.grad(loss, trunk, retain_graph=True)
        return torch.cat([gradient.flatten() for gradient in gradients])

    counting = weighted(model, losses, settings)
    whole = flat(torch.stack(list(counting.values())).sum())
    return {name: float(flat(counting[name]) @ whole / (whole @ whole)) for name in TERMS}


def _fresh(variant: str, seed: int) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """Return a fresh model of a variant and its data, both in float64."""
    settings = CASE.settings_of(variant)
    data = dict(CASE.make_data(settings, seed))
    with initial_weights(seed):
        return CASE.make_model(settings, data).double(), data
