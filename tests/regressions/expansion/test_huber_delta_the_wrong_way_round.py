"""Option 4 was to tame the countdown with a Huber delta of 10: it multiplies the tail by 10 instead.

A Huber loss is never steeper than its delta, so that a small one tames. The two ways to have it the wrong way round are
to confuse it with SmoothL1, which divides by its beta, and to swap the branches.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from goldmark.case import Finding
from goldmark.cases.expansion import CASE
from goldmark.cases.expansion.terms import TERMS, huber, term_losses

FAR = 20.0  # bars: where the countdown is clipped


def swapped(predictions, targets, delta):
    """Huber's branches the wrong way round: linear near the target, quadratic far from it."""
    error = (predictions - targets).abs()
    return torch.where(error <= delta, delta * (error - delta / 2), error.square() / 2).mean()


def smooth_l1(predictions, targets, delta):
    """Torch's SmoothL1, whose beta is taken for a delta: its tail has slope 1 whatever beta is."""
    return nn.functional.smooth_l1_loss(predictions, targets, beta=delta)


def steeper_than_delta(loss, delta):
    """Find out whether a loss's slope is anything but the error near the target, and delta far from it."""
    errors = torch.tensor([delta / 4, FAR], requires_grad=True, dtype=torch.float64)
    (slopes,) = torch.autograd.grad(2 * loss(errors, torch.zeros_like(errors), delta), errors)  # a mean of two
    near, far = slopes[0].item() / (delta / 4), slopes[1].item() / delta
    return Finding(
        name="steeper_than_delta",
        trouble=not max(abs(near - 1), abs(far - 1)) <= 1e-9,  # a few roundings of float64
        numbers={"slope_near_over_error": near, "slope_far_over_delta": far},
        threshold=1e-9,
        advice="the Huber delta is the wrong way round: its slope is the error up to delta, and delta beyond",
    )


@pytest.mark.parametrize("delta", [0.08, 1.0, 10.0])
def test_huber_slope_is_bounded_by_its_delta(delta):
    """The right form: the loss of pointers and countdown."""
    finding = steeper_than_delta(huber, delta)
    assert not finding.trouble, f"{finding.advice}; {dict(finding.numbers)}"


@pytest.mark.parametrize("delta", [0.08, 10.0])
@pytest.mark.parametrize("wrong", [swapped, smooth_l1])
def test_losses_that_look_like_it_are_told_from_it(wrong, delta):
    """The broken forms; at delta 1 SmoothL1 is the Huber loss, which is how the two are confused."""
    assert steeper_than_delta(wrong, delta).trouble


def louder(losses, reference):
    """Find out whether an option that was to tame the countdown takes a larger share of the terms than before."""
    share, before = (float(terms["countdown"] / sum(terms.values())) for terms in (losses, reference))
    return Finding(
        name="louder",
        trouble=not share < before,
        numbers={"share": share, "before": before},
        threshold=before,
        advice="the option does not tame the countdown: a larger Huber delta multiplies its tail, map its targets",
    )


@pytest.fixture(scope="module")
def losses_of(made):
    """`losses_of(**changes)`: all terms of a fresh model in validation, the countdown in bars unless changed."""

    def losses_of(**changes):
        _, data, model = made(**{"countdown_scale": "bars"} | changes)
        with torch.no_grad():
            return term_losses(model, data, "val")[0]

    return losses_of


def test_mapping_the_countdown_tames_it(losses_of):
    """The right form: option 2, the fixed recipe."""
    finding = louder(losses_of(countdown_scale=CASE.settings.countdown_scale), losses_of())
    assert not finding.trouble, f"{finding.advice}; {dict(finding.numbers)}"


def test_delta_10_makes_the_countdown_louder(losses_of):
    """The broken form: option 4, of the same model on the same windows."""
    assert louder(losses_of(countdown_delta=10.0), losses_of()).trouble


def test_smooth_l1_with_beta_10_hardly_tames(losses_of):
    """The control: divided by beta as the record meant it, the countdown's loss falls, and is still the largest."""
    delta_10 = losses_of(countdown_delta=10.0)
    beta_10 = delta_10 | {"countdown": delta_10["countdown"] / 10}
    assert not louder(beta_10, losses_of()).trouble
    assert "countdown" == max(TERMS, key=lambda term: float(beta_10[term]))
