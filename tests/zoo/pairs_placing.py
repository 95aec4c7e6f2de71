"""Pairs whose bug is the place of a call in the loop: clipping, repeated backward passes, weights that are put back."""

from __future__ import annotations

import copy
import itertools

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from zoo.loops import batched, classes, look, mlp, numbers, pair, plain_step
from zoo.pairs_loop import looped

import goldmark


@pair("misplaced_clipping")
def clipping_after_the_step(bug):
    model = mlp(8, 16, 3)

    def order(optimizer, backward, mark):
        optimizer.zero_grad()
        backward()
        mark()
        if bug:
            optimizer.step()
            clip_grad_value_(model.parameters(), 0.01)
        else:
            clip_grad_value_(model.parameters(), 0.01)
            optimizer.step()

    return looped(order, model)


@pair("misplaced_clipping")
def clipping_before_the_backward_pass(bug):
    model = mlp(8, 16, 3)

    def order(optimizer, backward, mark):
        optimizer.zero_grad()
        if bug:
            nn.utils.clip_grad_norm_(parameters=model.parameters(), max_norm=0.1)
        backward()
        if not bug:
            nn.utils.clip_grad_norm_(parameters=model.parameters(), max_norm=0.1)
        mark()
        optimizer.step()

    return looped(order, model)


def scaled(clip):
    """Look at steps in mixed precision, whose gradients `clip(parameters, scaler, optimizer)` clips before each."""
    model = mlp(8, 16, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    scaler = torch.amp.GradScaler("cpu")

    def step(watcher, inputs, targets):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = model(inputs)
            loss = functional.cross_entropy(output, targets)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        watcher.after_backward((inputs, targets), output, loss)
        clip(model.parameters(), scaler, optimizer)
        scaler.step(optimizer)
        scaler.update()

    halves = batched(*classes()), batched(*classes(64, seed=1))
    return look(model, optimizer, *halves, functional.cross_entropy, step=step)


@pair("clipped_before_unscaling")
def clipping_of_scaled_gradients(bug):
    def clip(parameters, scaler, optimizer):
        if not bug:
            scaler.unscale_(optimizer)
        clip_grad_norm_(parameters, 1.0)

    return scaled(clip)


@pair("repeated_backward")
def a_loss_back_propagated_twice(bug):
    model = mlp(8, 16, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(watcher, inputs, targets):
        output = model(inputs)
        loss = functional.cross_entropy(output, targets)
        optimizer.zero_grad()
        loss.backward(retain_graph=bug)
        if bug:
            loss.backward()
        watcher.after_backward((inputs, targets), output, loss)
        optimizer.step()

    halves = batched(*classes()), batched(*classes(64, seed=1))
    return look(model, optimizer, *halves, functional.cross_entropy, step=step)


@pair("repeated_backward")
def a_loss_back_propagated_once_for_each_head(bug):
    model = mlp(8, 16, 3)

    def order(optimizer, backward, mark):
        optimizer.zero_grad()
        for _ in range(2 if bug else 1):
            backward(retain_graph=True)
            mark()
        optimizer.step()

    return looped(order, model, watch={"accumulate": 2 if bug else 1})


@pair("nothing_moves")
def a_rate_that_an_integer_division_makes_zero(bug):
    model = mlp(8, 16, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda epoch: (1 + epoch) // 30 if bug else (1 + epoch) / 30
    )
    halves = batched(*classes()), batched(*classes(64, seed=1))
    return look(model, optimizer, *halves, functional.cross_entropy, end=lambda epoch: schedule.step())


@pair("state_by_reference")
def best_weights_that_train_on(bug):
    model, best = mlp(8, 16, 1), {"score": float("inf"), "weights": None}
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    x, y = numbers(64, seed=1)
    with goldmark.watch(model, optimizer) as watcher:
        for _ in range(4):
            for inputs, targets in batched(*numbers()):
                plain_step(watcher, model, optimizer, inputs, targets, functional.mse_loss)
            with torch.no_grad():
                score = float(functional.mse_loss(model(x), y))
            if score < best["score"]:
                best = {"score": score, "weights": model.state_dict()}
                if not bug:
                    best = copy.deepcopy(best)
            watcher.end_epoch()
    model.load_state_dict(best["weights"])
    return list(watcher.findings.names)


def bootstrapped(model, target, synchronise, *, every=8):
    """Look at values that are trained on rewards and a target network, which `synchronise()` sets now and then."""
    optimizer = torch.optim.Adam([one for one in model.parameters() if one.requires_grad], lr=1e-2)
    n_steps = itertools.count(1)

    def step(watcher, inputs, targets):
        with torch.no_grad():
            wanted = targets + 0.5 * target(inputs.roll(1, 0))
        plain_step(watcher, model, optimizer, inputs, wanted, functional.mse_loss)
        if next(n_steps) % every == 0:
            synchronise()

    halves = batched(*numbers()), batched(*numbers(64, seed=1))
    return look(model, optimizer, *halves, functional.mse_loss, step=step)


@pair("state_by_reference")
def a_target_network_that_is_loaded_from_itself(bug):
    model, target = mlp(8, 16, 1), mlp(8, 16, 1)
    return bootstrapped(model, target, lambda: target.load_state_dict((target if bug else model).state_dict()))


class Agent(nn.Module):
    """Values of states, and a target network that is a copy of what gives them, or that itself."""

    def __init__(self, *, copied):
        super().__init__()
        self.value = mlp(8, 16, 1)
        self.target = copy.deepcopy(self.value).requires_grad_(False) if copied else self.value

    def forward(self, x):
        """Values (B, 1)."""
        return self.value(x)


@pair("state_by_reference")
def a_target_network_that_is_the_one_that_trains(bug):
    agent = Agent(copied=not bug)
    return bootstrapped(agent, agent.target, lambda: agent.target.load_state_dict(agent.value.state_dict()), every=5)


@pair("state_by_reference")
def a_target_network_that_is_averaged_with_itself(bug):
    agent = Agent(copied=not bug)

    def synchronise():
        states = agent.target.state_dict(), agent.value.state_dict()
        agent.target.load_state_dict({name: 0.9 * slow + 0.1 * states[1][name] for name, slow in states[0].items()})

    return bootstrapped(agent, agent.target, synchronise, every=5)
