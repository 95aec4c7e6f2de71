"""Losses of which both sides have a gradient, or seem to: target networks, margins, and equations of motion."""

from __future__ import annotations

import copy

import torch
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.loops import classes, mlp, watch_steps
from zoo.pairs_terms import of_transitions


@healthy
def values_of_a_target_network_with_a_graph():
    """What its weights get, no optimizer reads."""
    other = copy.deepcopy(mlp(8, 32, 2))
    return of_transitions(
        lambda model, later, rewards: rewards + 0.9 * other(later).gather(1, model(later).argmax(1, keepdim=True))[:, 0]
    )


@healthy
def a_squared_margin_over_the_best_of_the_others():
    model, (x, y) = mlp(8, 16, 3), classes()

    def step_of():
        output = model(x)
        own = functional.one_hot(y, 3).bool()
        best = output.masked_fill(own, -torch.inf).max(1).values
        loss = (1 + best - output.gather(1, y[:, None])[:, 0]).relu().square().mean()
        return (x, y), output, loss, None

    return watch_steps(model, step_of, lr=1e-2)


@healthy
def speeds_that_follow_from_accelerations():
    """The first column is a speed, the second one an acceleration of the same motion, a moment later."""
    model = mlp(8, 16, 2)

    def step_of():
        now = torch.randn(32, 8)
        output = model(now)
        measured = functional.mse_loss(output[:, 1], now[:, 1] - now[:, 2])
        later = functional.mse_loss(model(now + 0.1)[:, 0], now[:, 0] + 0.1 * model(now)[:, 1])
        return (now, now[:, :1]), output, measured + later, None

    return watch_steps(model, step_of, lr=1e-2)
