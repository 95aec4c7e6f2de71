"""Gradients that are followed from where they come in to the step."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from goldmark.checks._following import Following


def followed(*, other_steps, zeroed, set_to_none=True):
    """What is noted of two backward passes before a step, of which another optimizer may step between them."""
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    following = Following(awake=True)
    handles = following.begin(model, [optimizer])
    for place in range(2):
        model(torch.randn(8, 4)).square().mean().backward()
        following.note_backward(1, again=False)
        if place == 0:
            following.others += other_steps
            if zeroed:
                optimizer.zero_grad(set_to_none=set_to_none)
    following.note_step()
    following.note_last_step(2)
    for handle in handles:
        handle.remove()
    return following


@pytest.mark.parametrize(("other_steps", "lost"), [(0, True), (1, False)])
def test_gradients_of_before_another_optimizers_step_are_not_missed(other_steps, lost):
    """Who zeroes them then has used them: only those that come after belong to the step."""
    following = followed(other_steps=other_steps, zeroed=True)
    assert lost == any(finding.trouble for finding in following.lost)
    assert not any(finding.trouble for finding in following.stale)


def test_gradients_that_add_up_are_whole():
    """Nothing is lost, stale, gone or repeated."""
    following = followed(other_steps=0, zeroed=False)
    assert following.lost
    assert not any(finding.trouble for finding in (*following.lost, *following.stale))
    assert (0, 1) == following.zeroed()
    assert [False] == following.repeated


def test_what_arrives_while_nobody_looks_is_forgotten():
    """As between two sampled steps; a new step starts anew."""
    following = followed(other_steps=1, zeroed=False)
    following.end_step()
    following.fall_asleep()
    assert (0, False, {}) == (following.others, following.awake, following.incoming)
