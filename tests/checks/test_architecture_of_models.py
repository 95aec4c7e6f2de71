"""Architecture: parameters counted, and held to the number on record."""

from __future__ import annotations

import torch
from torch import nn

from goldmark.checks import check_wrong_architecture, parameter_count


def test_parameters_are_counted_by_hand_and_shared_ones_once():
    """3 x 4 weights and 4 biases, once more for an own layer, not for the same one; frozen ones count."""
    layer = nn.Linear(3, 4)
    assert 16 == parameter_count(layer)
    assert 32 == parameter_count(nn.Sequential(layer, nn.Linear(3, 4).requires_grad_(requires_grad=False)))
    assert 16 == parameter_count(nn.Sequential(layer, layer))
    with torch.device("meta"):
        assert 10**6 + 1000 == parameter_count(nn.Linear(1000, 1000))


def test_another_count_is_trouble():
    """By one parameter, either way; both counts are told."""
    layer = nn.Linear(3, 4)
    assert not check_wrong_architecture(layer, 16).trouble
    for documented in (15, 17):
        finding = check_wrong_architecture(layer, documented)
        assert finding.trouble
        assert {"n_parameters": 16.0, "documented": float(documented)} == finding.numbers
        assert f"16 parameters, the one that was meant has {documented}" in finding.advice
