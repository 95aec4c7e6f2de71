"""Padding in a score: masked means beside what looks like one."""

from __future__ import annotations

import pytest
import torch

from goldmark.checks import check_padding_counted

VALUES = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 0.0]])
VALID = torch.tensor([[True, True, True], [True, True, False]])


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4)])
def test_masked_mean_does_not_count_padding(shape):
    """The mean of the valid entries, of cells that are numbers or vectors."""
    values = torch.arange(24.0).reshape(2, 3, 4)[(..., 0) if len(shape) == 2 else ...]
    assert not check_padding_counted(lambda values, valid: values[valid].square().mean(), values, VALID).trouble


def test_each_way_of_counting_padding_is_seen():
    """No mask: what cells hold; a masked mean over all cells: how many they are; and NaN is trouble."""
    by_value = check_padding_counted(lambda values, valid: values.mean(), VALUES, VALID)
    assert (True, True) == (by_value.trouble, by_value.numbers["change_by_their_values"] > 0)
    by_number = check_padding_counted(lambda values, valid: (values * valid).mean(), VALUES, VALID)
    assert (True, 0.0) == (by_number.trouble, by_number.numbers["change_by_their_values"])
    assert pytest.approx(15 / 12 - 15 / 6) == by_number.numbers["change_by_their_number"]
    assert check_padding_counted(lambda values, valid: values.mean() * torch.nan, VALUES, VALID).trouble
