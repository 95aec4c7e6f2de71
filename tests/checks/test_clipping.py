"""Clipping of gradients: where it is heard, and when its place does harm."""

import math

import torch
from torch import nn

import goldmark
from goldmark import checks


def test_clipping_in_no_step_in_time_is_trouble():
    """Steps go beyond a limit that is only applied where no gradient was."""
    assert checks.check_misplaced_clipping([(False, 1.0, 3.0)] * 3).trouble


def test_clipping_in_time_and_limits_that_are_not_reached_pass():
    """A second clipping elsewhere does no harm, nor does one that a log takes the norm of."""
    assert not checks.check_misplaced_clipping([(False, 1.0, 3.0)] * 3 + [(True, 1.0, 1.0)]).trouble
    assert not checks.check_misplaced_clipping([(False, math.inf, 3.0)] * 8).trouble
    assert not checks.check_misplaced_clipping([(False, 5.0, 3.0)] * 8).trouble


def test_a_limit_that_is_multiplied_by_the_scale_passes():
    """Then gradients need not be unscaled first; a limit of 1 under a scale of 2^16 is another matter."""
    assert checks.check_clipped_before_unscaling([(1.0, 65536.0)] * 3).trouble
    assert not checks.check_clipped_before_unscaling([(0.5 * 65536, 65536.0)] * 8).trouble


def test_clipping_does_what_it_did_and_is_put_back():
    """Norm, gradients and a generator of parameters are as without a watch, during and after it."""
    model = nn.Linear(2, 2)
    before = nn.utils.clip_grad_norm_.__closure__[0].cell_contents, torch.amp.GradScaler.unscale_
    with goldmark.watch(model, torch.optim.SGD(model.parameters(), lr=0.1)):
        model(torch.ones(1, 2)).sum().backward()
        norms = [float(nn.utils.clip_grad_norm_((p for p in model.parameters()), max_norm=1.0)) for _ in range(2)]
        assert all(abs(a - b) < 1e-5 for a, b in zip(norms, (math.sqrt(6), 1.0), strict=True))  # torch adds 1e-6
    assert before == (nn.utils.clip_grad_norm_.__closure__[0].cell_contents, torch.amp.GradScaler.unscale_)
