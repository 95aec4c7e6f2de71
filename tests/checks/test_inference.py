"""Probabilities that were squashed twice: where they lie, and what else lies there."""

from __future__ import annotations

import math

import pytest
import torch

from goldmark.checks import check_squashed_twice

LOGITS = torch.linspace(-12, 12, 200)
RARE = (torch.arange(200) >= 186).double()  # one label in fourteen is 1


def test_a_sigmoid_of_a_sigmoid_is_found():
    """Once is no trouble, twice is, and what probabilities do then is told in numbers."""
    assert not check_squashed_twice(LOGITS.sigmoid(), RARE).trouble
    finding = check_squashed_twice(LOGITS.sigmoid().sigmoid(), RARE)
    assert finding.trouble
    assert 1 / 2 <= finding.numbers["lowest"] < finding.numbers["highest"] <= 1 / (1 + math.exp(-1))


def test_a_cautious_model_of_frequent_labels_is_no_trouble():
    """A constant between 1/2 and .731 is right where that is the share of labels that are 1."""
    labels = (torch.arange(100) < 60).double()
    assert not check_squashed_twice(torch.full((100,), 0.58), labels).trouble
    assert check_squashed_twice(torch.full((100,), 0.58), 1 - labels).trouble


def test_nan_is_trouble_and_shapes_must_agree():
    """A diverged model is a row with trouble; unequal shapes are an error."""
    assert check_squashed_twice(torch.full((200,), math.nan), RARE).trouble
    with pytest.raises(ValueError, match=r"probabilities \(200,\) and labels \(3,\) differ in shape"):
        check_squashed_twice(LOGITS, RARE[:3])
