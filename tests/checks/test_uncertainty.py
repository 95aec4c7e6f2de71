"""Uncertainty weights: where they settle, and how far an optimiser takes them."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.optimize import minimize_scalar

from goldmark.checks import check_weights_without_time, settled_log_sigma, simulated_log_sigma


@pytest.mark.parametrize("loss", [0.009, 0.28, 1.0, 10.08])
def test_weights_settle_where_the_loss_is_lowest(loss):
    """Found by search: L / (2 sigma^2) + log sigma has its minimum there, and the term counts one half."""
    lowest = minimize_scalar(lambda s: loss * math.exp(-2 * s) / 2 + s, bracket=(-1, 1)).x
    assert pytest.approx(lowest, abs=1e-6) == settled_log_sigma(loss)  # a search near a flat minimum
    assert pytest.approx(0.5, rel=1e-12) == loss * math.exp(-2 * settled_log_sigma(loss)) / 2


def test_simulation_is_torch_s_adamw():
    """Losses that move, through autograd and torch's own optimiser."""
    losses, lr, start = torch.linspace(16, 10, 50, dtype=torch.float64), 1e-2, 0.2
    log_sigma = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.AdamW([log_sigma], lr=lr)
    for loss in losses:
        optimizer.zero_grad()
        (loss * (-2 * log_sigma).exp() / 2 + log_sigma).backward()
        optimizer.step()
    expected = log_sigma.detach().item()
    assert pytest.approx(expected, rel=1e-9) == simulated_log_sigma(losses.tolist(), start, lr)  # order of roundings


def test_distance_is_held_to_what_the_rate_can_travel():
    """A term at loss e^2 settles at 1: from 0 that is 100 steps of .01, and the furthest term decides."""
    losses, start = {"far": math.exp(2), "near": 1.0}, {"far": 0.0, "near": 0.0}
    assert not check_weights_without_time(losses, start, lr=0.01, steps=101).trouble
    finding = check_weights_without_time(losses, start, lr=0.01, steps=99)
    assert finding.trouble
    assert "'far' least of all" in finding.advice
    assert not check_weights_without_time(losses, {"far": 1.0, "near": 0.0}, lr=0.01, steps=1).trouble
