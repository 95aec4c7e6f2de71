"""Calls whose place in the loop looks wrong at a glance."""

from __future__ import annotations

import copy
import math

import torch
from torch import nn
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.loops import batched, look, mlp, numbers
from zoo.pairs_loop import looped
from zoo.pairs_placing import bootstrapped, scaled


@healthy
def norms_for_a_log_after_the_step():
    model = mlp(8, 16, 3)

    def order(optimizer, backward, mark):
        optimizer.zero_grad()
        backward()
        mark()
        optimizer.step()
        assert nn.utils.clip_grad_norm_(model.parameters(), math.inf) > 0
        nn.utils.clip_grad_norm_(filter(torch.is_floating_point, model.parameters()), 1e6)

    return looped(order, model)


@healthy
def clipping_once_more_before_gradients_are_zeroed():
    model = mlp(8, 16, 3)

    def order(optimizer, backward, mark):
        nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        optimizer.zero_grad()
        backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        mark()
        optimizer.step()

    return looped(order, model)


@healthy
def a_limit_times_the_scale_of_mixed_precision():
    return scaled(lambda parameters, scaler, _: nn.utils.clip_grad_norm_(parameters, 0.1 * scaler.get_scale()))


@healthy
def gradients_that_are_looked_at_before_they_are_computed_again():
    model = mlp(8, 16, 3)

    def order(optimizer, backward, mark):
        optimizer.zero_grad()
        backward(retain_graph=True)
        assert all(parameter.grad is not None for parameter in model.parameters())
        optimizer.zero_grad()
        backward()
        mark()
        optimizer.step()

    return looped(order, model)


@healthy
def a_backward_pass_for_each_half_of_the_weights():
    model = mlp(8, 16, 3)

    def order(optimizer, backward, mark):
        optimizer.zero_grad()
        backward(retain_graph=True, inputs=list(model[0].parameters()))
        backward(inputs=list(model[2].parameters()))
        mark()
        optimizer.step()

    return looped(order, model)


@healthy
def a_target_network_that_is_averaged_where_it_lies():
    model, target = mlp(8, 16, 1), mlp(8, 16, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def end(epoch):
        state, new = target.state_dict(), model.state_dict()
        for name in state:
            state[name].mul_(0.9).add_(new[name], alpha=0.1)
        target.load_state_dict(state)

    halves = batched(*numbers()), batched(*numbers(64, seed=1))
    return look(model, optimizer, *halves, functional.mse_loss, end=end)


@healthy
def a_target_network_that_shares_its_first_layers():
    model = nn.Sequential(mlp(8, 16), nn.ReLU(), mlp(16, 1))
    target = nn.Sequential(*model[:2], copy.deepcopy(model[2]).requires_grad_(False))
    return bootstrapped(model, target, lambda: target.load_state_dict(model.state_dict()))


@healthy
def averaged_weights_for_validation():
    model, kept = mlp(8, 16, 1), {}
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def end(epoch):
        own = copy.deepcopy(model.state_dict())
        kept.update({name: 0.9 * kept.get(name, weight) + 0.1 * weight for name, weight in own.items()})
        model.load_state_dict(kept)
        model.load_state_dict(own)

    halves = batched(*numbers()), batched(*numbers(64, seed=1))
    return look(model, optimizer, *halves, functional.mse_loss, end=end)
