"""Updates that are rounded away, and states that share their memory with gradients."""

from __future__ import annotations

import pytest
import torch

from goldmark import checks
from goldmark.checks._updates import Rounding, rounding_of, shares_gradient


@pytest.mark.parametrize(("dtype", "rate", "unmoved"), [(torch.bfloat16, 1e-4, 0.75), (torch.bfloat16, 0.1, 0.0)])
def test_entries_with_a_gradient_that_stay_to_the_bit(dtype, rate, unmoved):
    """Around 1 a bfloat16 is 1/128 wide, around 2^-8 it moves; an entry without a gradient is not counted."""
    parameter = torch.nn.Parameter(torch.tensor([1.0, 1.0, 1.0, 2**-8, 1.0], dtype=dtype))
    before = [(parameter, parameter.detach().clone())]
    parameter.grad = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0], dtype=dtype)
    optimizer = torch.optim.SGD([parameter], lr=rate)
    optimizer.step()
    found = rounding_of(optimizer, before)
    assert (rate, unmoved) == (found.rate, found.unmoved)


def test_a_parameter_of_32_bits_is_not_judged():
    """Nor is one in few bits that has no gradient."""
    for parameter in (torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(3).bfloat16())):
        parameter.grad = torch.ones(3) if parameter.dtype == torch.float32 else None
        assert rounding_of(torch.optim.SGD([parameter], lr=1e-9), [(parameter, parameter.detach().clone())]) is None


def test_steps_of_a_warmup_are_not_judged():
    """Only steps at half of the highest rate or more."""
    lost, moved = Rounding(rate=0.1, unmoved=0.9), Rounding(rate=0.1, unmoved=0.1)
    assert checks.check_rounded_updates([lost] * 8).trouble
    assert not checks.check_rounded_updates([lost] * 7).trouble
    assert not checks.check_rounded_updates([lost] * 8 + [moved] * 8).trouble
    early = [Rounding(rate=0.01 * step, unmoved=0.9) for step in range(4)]
    assert not checks.check_rounded_updates([*early, *early, lost]).trouble


def test_a_state_is_a_gradient_by_its_memory():
    """A copy, a gradient of which nothing is left, and a state that is no tensor are not."""
    parameter = torch.nn.Parameter(torch.ones(3))
    parameter.grad = torch.ones(3)
    optimizer = torch.optim.SGD([parameter], lr=0.1, momentum=0.9)
    optimizer.step()
    assert not shares_gradient(optimizer)
    optimizer.state[parameter] = {"step": 3, "last": parameter.grad}
    assert shares_gradient(optimizer)
    parameter.grad = None
    assert not shares_gradient(optimizer)
