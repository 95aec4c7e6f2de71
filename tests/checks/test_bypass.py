"""Bypass of a code: known mixtures of code and memory, on both sides of the threshold."""

from __future__ import annotations

import math

import pytest
import torch

from goldmark.checks import check_code_bypassed

CODES = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
MEMORY = torch.tensor([[3.0], [5.0]], dtype=torch.float64)


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_bypass_is_the_change_by_other_memory_over_the_spread(share):
    """Outputs code + share x memory: the memories differ by 2, the outputs lie 1 + share from their mean."""
    finding = check_code_bypassed(lambda codes, memory: codes + share * memory, CODES, MEMORY)
    assert finding.numbers["bypass"] == pytest.approx(2 * share / (1 + share), rel=1e-12)  # float64 rounding
    assert (share > 0) == finding.trouble


def test_constant_outputs_bypass_nothing_and_nan_is_trouble():
    """A collapse is another check's matter; NaN is trouble."""
    assert not check_code_bypassed(lambda codes, memory: torch.ones(2, 1), CODES, MEMORY).trouble
    assert check_code_bypassed(lambda codes, memory: codes * math.nan, CODES, MEMORY).trouble


def test_one_sample_is_refused():
    """There is no other memory to give it."""
    with pytest.raises(ValueError, match="1 samples"):
        check_code_bypassed(lambda codes, memory: codes, CODES[:1], MEMORY[:1])
