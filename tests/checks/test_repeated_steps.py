"""Steps with the gradients of the step before, and what only looks like it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import goldmark
from goldmark.checks import check_repeated_steps


def watched(step, optimizer=torch.optim.SGD):
    """The names of the findings of twelve steps of a linear model on one batch, whose loss is its mean output."""
    model, x = nn.Linear(8, 4), torch.ones(16, 8)
    own = optimizer(model.parameters(), lr=0.01)
    with goldmark.watch(model, own) as watch:
        for _ in range(12):
            step(model, own, lambda: model(x).mean())
            watch.after_backward()
    return watch.findings.names


def twice(model, optimizer, loss):
    """Step twice after a backward pass."""
    optimizer.zero_grad()
    loss().backward()
    optimizer.step()
    optimizer.step()


def constant(model, optimizer, loss):
    """Step once; the gradient of a linear loss is the same in every step."""
    optimizer.zero_grad()
    loss().backward()
    optimizer.step()


def by_hand(model, optimizer, loss):
    """Set gradients that no backward pass has accumulated, as private and surgical optimizers do."""
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()


def in_a_closure(model, optimizer, loss):
    """Let the optimizer call the backward pass."""

    def closure():
        optimizer.zero_grad()
        value = loss() + model.weight.square().sum()
        value.backward()
        return value

    optimizer.step(closure)


@pytest.mark.parametrize(
    ("step", "repeated"), [(twice, True), (constant, False), (by_hand, False), (in_a_closure, False)]
)
def test_gradients_are_used_once(step, repeated):
    """A second step without a backward pass is named; a constant gradient, one set by hand and a closure are not."""
    assert repeated == ("repeated_steps" in watched(step))


def test_closures_of_lbfgs_pass():
    """Which is stepped before its backward passes."""
    assert "repeated_steps" not in watched(in_a_closure, torch.optim.LBFGS)


@pytest.mark.parametrize(("n_repeated", "trouble"), [(1, False), (3, False), (4, True)])
def test_a_quarter_of_the_steps_is_no_accident(n_repeated, trouble):
    """Of sixteen."""
    assert trouble == check_repeated_steps(n_repeated, 16).trouble
