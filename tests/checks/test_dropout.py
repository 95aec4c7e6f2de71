"""Dropout without effect, seen from what a model answers."""

from __future__ import annotations

import math

import torch
from torch import nn

from goldmark.checks import check_idle_dropout

ONES = torch.ones(4, 50)


def test_dropout_that_drops_is_no_trouble_and_in_evaluation_it_is():
    """Torch's own layer in both modes, and with a share of 0."""
    layer = nn.Dropout(0.5)
    assert not check_idle_dropout(lambda step: layer(ONES)).trouble
    assert check_idle_dropout(lambda step: nn.Dropout(0.0)(ONES)).trouble
    layer.eval()
    assert check_idle_dropout(lambda step: layer(ONES)).trouble


def test_one_step_that_differs_is_dropout():
    """The share of later steps that differ from the first one is told."""
    finding = check_idle_dropout(lambda step: ONES * (1 + (step == 2)), n_steps=5)
    assert not finding.trouble
    assert {"share_of_steps_that_differ": 0.25} == dict(finding.numbers)


def test_nan_hides_nothing():
    """Entries that are NaN in every step differ from themselves, and the others still count: no crash either way."""
    assert 1.0 == check_idle_dropout(lambda step: ONES * math.nan).numbers["share_of_steps_that_differ"]
