"""How much a Gaussian divergence counts beside a reconstruction, read from the gradients of the loss."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence
from torch.nn import functional

from goldmark import checks


def uniform(*shape, seed=0):
    """Numbers between 0 and 1, the same in every test."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


MEAN, SPREAD = uniform(6, 3, seed=1) - 0.5, uniform(6, 3, seed=2) + 0.5
SD_OF = {
    "log-variance": lambda spread: (spread / 2).exp(),
    "log sd": torch.exp,
    "variance": torch.sqrt,
    "sd": lambda spread: spread,
}
ERRORS = {
    "squared": functional.mse_loss,
    "absolute": functional.l1_loss,
    "smooth": functional.smooth_l1_loss,
    "logits": functional.binary_cross_entropy_with_logits,
    "probabilities": functional.binary_cross_entropy,
}


def judged(errors=functional.mse_loss, *, sd_of=SD_OF["log sd"], weight=1.0, shape=(8, 5), aim=None):
    """A loss of outputs (6, *shape) and a code (6, 3), whose divergence has a weight and is known as torch gives it."""

    def loss_fn(output, targets):
        reconstruction, mean, spread = output
        divergence = kl_divergence(Normal(mean, sd_of(spread)), Normal(0.0, 1.0)).sum(dim=1).mean()
        return errors(reconstruction, targets.reshape(reconstruction.shape)) + weight * divergence

    targets = uniform(6, *shape, seed=3) if aim is None else aim
    return checks.check_divergence_weight(loss_fn, (uniform(6, *shape), MEAN, SPREAD), targets)


@pytest.mark.parametrize("errors", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("sd_of", SD_OF.values(), ids=SD_OF)
def test_a_mean_beside_a_sum_per_example_is_named(errors, sd_of):
    """Whatever the errors and the parameters of the code are; torch's own divergence is the reference."""
    finding = judged(errors, sd_of=sd_of)
    assert (True, 40, 3) == (finding.trouble, finding.numbers["elements"], finding.numbers["dimensions"])


def test_targets_may_have_another_shape():
    """As a picture that is compared with a row."""
    assert judged(shape=(40,), aim=uniform(6, 1, 8, 5, seed=3)).trouble


@pytest.mark.parametrize("weight", [1 / 40, 1 / 3, 0.5, 1.02, 4.0, 0.0])
def test_another_weight_was_chosen(weight):
    """The mean over elements among them."""
    assert not judged(weight=weight).trouble


def test_sums_and_few_elements_pass():
    """As they should be, or nearly."""
    assert not judged(lambda out, y: functional.mse_loss(out, y, reduction="sum") / len(out)).trouble
    assert not judged(lambda out, y: 40 * functional.mse_loss(out, y)).trouble
    assert not judged(shape=(31,)).trouble


def test_errors_of_a_large_scale_pay_for_a_code():
    """A mean of squares that is worth more nats than the code has dimensions."""
    assert not judged(aim=100 * uniform(6, 8, 5)).trouble


def test_a_floor_below_the_divergence_passes():
    """Where some dimensions count and others do not."""

    def loss_fn(output, targets):
        reconstruction, mean, spread = output
        divergence = kl_divergence(Normal(mean, spread.exp()), Normal(0.0, 1.0)).clamp(min=0.3)
        return functional.mse_loss(reconstruction, targets) + divergence.sum(dim=1).mean()

    output = (uniform(6, 40), MEAN, SPREAD)
    assert not checks.check_divergence_weight(loss_fn, output, uniform(6, 40, seed=3)).trouble
