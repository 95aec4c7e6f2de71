"""Classifiers that give a whole batch one answer, whichever it is."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from zoo.loops import plain_step

import goldmark


def names_of_answers(favoured_at):
    """Watch a classifier that knows only its bias, which favours a class a little, at each step another."""
    torch.manual_seed(0)
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-5)
    x, labels = torch.zeros(32, 2), torch.arange(32) % 2
    with goldmark.watch(model, optimizer) as watch:
        for step in range(130):
            with torch.no_grad():
                model.bias.copy_(0.02 * functional.one_hot(favoured_at(step), 2))
            plain_step(watch, model, optimizer, x, labels)
    return watch.findings.names


@pytest.mark.parametrize("period", [1000, 32])
def test_one_answer_for_all_is_named_though_it_changes_with_time(period):
    """Each batch gets one class, always the same or not."""
    names = names_of_answers(lambda step: torch.tensor(step // period % 2))
    assert {"collapsed_classes", "no_skill"} <= set(names)
