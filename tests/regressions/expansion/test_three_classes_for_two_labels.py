"""The type head had three classes for two labels: its loss had to come down from log 3 before it said anything.

The case keeps the record's head, whose 97,547 parameters it is held to. So the check is what protects others.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from goldmark.cases.expansion.model import N_KINDS
from goldmark.checks import check_unseen_classes


@pytest.fixture(scope="module")
def heads(made):
    """The record's head, as the case has it, and one with a class a label; what they say, and the labels."""
    _, data, model = made(n_train=40)
    labels = data["train_kind"]
    fitting = nn.Linear(model.kind.in_features, len(set(labels.tolist())))
    with torch.no_grad():
        states = model.bottleneck(model.lstm(data["train_features"])[0]).mean(dim=1)
        return {"broken": model.kind(states), "right": fitting(states)}, labels


def test_a_class_a_label_is_no_trouble(heads):
    """The right form."""
    logits, labels = heads
    assert not check_unseen_classes(logits["right"], labels).trouble


def test_a_third_class_is_seen(heads):
    """The broken form: the record's head, with a class that no label has."""
    logits, labels = heads
    finding = check_unseen_classes(logits["broken"], labels)
    assert finding.trouble
    assert {"classes": 3, "labelled": 2} == dict(finding.numbers)
    assert logits["broken"].shape[1] == N_KINDS


def test_the_third_class_costs_loss_at_the_start(heads):
    """The harm: an even guess costs log 3 in the place of log 2, which the record's first epoch shows: 1.08."""
    logits, labels = heads
    losses = {name: float(nn.functional.cross_entropy(torch.zeros_like(x), labels)) for name, x in logits.items()}
    assert pytest.approx({"broken": math.log(3), "right": math.log(2)}, rel=1e-6) == losses  # float32
