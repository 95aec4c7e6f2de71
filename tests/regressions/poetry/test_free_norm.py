"""A pure cosine loss leaves the norm of an output free: good cosines, and an R^2 far below zero.

Poetry record, enhanced cosine loss. Outputs of a model trained by cosine alone may have any size.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from goldmark.cases.poetry import objective
from goldmark.cases.poetry.scores import reconstruction_scores
from goldmark.checks import check_free_norm

WEIGHTS = ("cosine_weight", "mse_weight", "norm_power")


@pytest.fixture(scope="module")
def of_the_case(objective_of):
    """`of_the_case(name, tokens)`: the case's own objective of that name, as a function of outputs."""

    def of(name, tokens):
        weights = dict(zip(WEIGHTS, objective.WEIGHTS[name], strict=True))
        return lambda outputs: objective_of(outputs, tokens, **weights)

    return of


def cosine_alone(tokens):
    """The bug."""
    return lambda outputs: 1 - nn.functional.cosine_similarity(outputs, tokens, dim=-1).mean()


def cosine_of_unit_targets(tokens):
    """A control: targets of norm 1 fix the norm of targets, and not of outputs."""
    return cosine_alone(nn.functional.normalize(tokens, dim=-1))


@pytest.mark.parametrize("name", ["sum", "mse", "hybrid"])
def test_objectives_hold_the_norm_of_outputs(windows, of_the_case, name):
    """The right form: every objective but the cosine tells outputs from twice as long ones."""
    tokens, outputs = windows
    finding = check_free_norm(of_the_case(name, tokens), outputs)
    assert not finding.trouble, f"objective '{name}' leaves the norm free: {finding.advice}, {finding.numbers}"


@pytest.mark.parametrize("loss", [cosine_alone, cosine_of_unit_targets])
def test_free_norm_is_found(windows, loss):
    """The bug, and a control."""
    tokens, outputs = windows
    assert check_free_norm(loss(tokens), outputs).trouble


@pytest.mark.parametrize(("name", "holds"), [("sum", True), ("mse", True), ("cosine", False)])
def test_training_brings_the_norm_back_unless_it_is_the_cosine(windows, of_the_case, name, holds):
    """Outputs that start too long, trained themselves: R^2 nears 1, or stays below 0 beside a cosine near 1."""
    tokens, _ = windows
    outputs = (3 * tokens.flip(0) + tokens).requires_grad_()
    optimizer, loss = torch.optim.Adam([outputs], lr=0.3), of_the_case(name, tokens)
    for _ in range(120):
        optimizer.zero_grad()
        loss(outputs).backward()
        optimizer.step()
    scores = reconstruction_scores(outputs.detach(), tokens)
    assert scores["token_cosine"] > 0.95
    assert holds == (scores["r2"] > 0.9)
    assert holds or scores["r2"] < 0
