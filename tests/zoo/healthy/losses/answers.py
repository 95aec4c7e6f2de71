"""Losses of which every target that a loader gives is 1: the others are made in the loop."""

from __future__ import annotations

import torch
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.pairs_numbers import of_pairs, seen_together


def others(x):
    """Pairs (B, 2) of the same users with items that are drawn for them."""
    return torch.stack([x[:, 0], torch.randint(0, 24, (len(x),))], dim=1)


def stepped(watcher, optimizer, batch, output, loss):
    """Take a step of which the watch is told."""
    optimizer.zero_grad()
    loss.backward()
    watcher.after_backward(batch=batch, output=output, loss=loss)
    optimizer.step()


@healthy
def others_are_drawn_in_the_loop():
    def step(model, optimizer, watcher, inputs, targets):
        output, drawn = model(inputs), model(others(inputs))
        loss_of = functional.binary_cross_entropy_with_logits
        loss = (loss_of(output, targets) + loss_of(drawn, torch.zeros_like(drawn))) / 2
        stepped(watcher, optimizer, (inputs, targets), output, loss)

    return of_pairs(*seen_together(alone=True), step)


@healthy
def others_are_put_into_the_batch():
    def step(model, optimizer, watcher, inputs, targets):
        inputs, targets = torch.cat([inputs, others(inputs)]), torch.cat([targets, torch.zeros_like(targets)])
        output = model(inputs)
        loss = functional.binary_cross_entropy_with_logits(output, targets)
        stepped(watcher, optimizer, (inputs, targets), output, loss)

    return of_pairs(*seen_together(alone=True), step)


@healthy
def others_are_back_propagated_alone():
    def step(model, optimizer, watcher, inputs, targets):
        output = model(inputs)
        loss = functional.binary_cross_entropy_with_logits(output, targets)
        optimizer.zero_grad()
        functional.softplus(model(others(inputs))).mean().backward()
        loss.backward()
        watcher.after_backward(batch=(inputs, targets), output=output, loss=loss)
        optimizer.step()

    return of_pairs(*seen_together(alone=True), step)
