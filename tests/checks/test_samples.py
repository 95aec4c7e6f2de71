"""What a watch keeps of the batches that it has looked at, and what rates and noise it names."""

from __future__ import annotations

import pytest
import torch

from goldmark.checks import check_rate_of_zero, check_targets_with_gradient, check_unrelated_noise
from goldmark.checks._bootstrapping import bootstrapped_values
from goldmark.checks._record import Record
from goldmark.checks._samples import FIRST_STEPS, LAST_ANSWERS, Sample


def test_numbers_of_the_first_and_the_last_samples_are_kept():
    """What lies between is let go of; inputs are kept of the last alone."""
    record, rows = Record(), torch.zeros(4, 2)
    for step in [*range(FIRST_STEPS), *range(32, 640, 32)]:
        record.keep(Sample(step=step, answers=("mse", rows, rows), of_same_shape=(rows,)))
    kept = [sample.step for sample in record.samples if sample.answers is not None]
    assert [*range(FIRST_STEPS), 512, 544, 576, 608] == kept
    assert LAST_ANSWERS == sum(bool(sample.of_same_shape) for sample in record.samples)


def test_a_rate_of_zero_is_named_where_training_goes_on():
    """Not for a last epoch, nor for a rate that rises again or was never another; steps count, and not samples."""
    early = [(place, 0.1) for place in range(8)]
    falls = [*early, (32, 0.1), (64, 0.0), (96, 0.0)]
    assert check_rate_of_zero(falls, 120).trouble
    assert 56.0 == check_rate_of_zero(falls, 120).numbers["steps_at_zero"]
    assert not check_rate_of_zero([*falls, (128, 0.1)], 130).trouble
    assert not check_rate_of_zero([*early, *((32 * k, 0.1) for k in range(1, 20)), (640, 0.0), (672, 0.0)], 690).trouble
    assert not check_rate_of_zero([(place, 0.0) for place in range(12)], 12).trouble
    assert not check_rate_of_zero([], 0).trouble


def test_noise_is_unrelated_to_all_inputs_or_not():
    """The noisy input may be the second one; numbers of another sd are no noise."""
    noise, other, zeros = torch.randn(3, 128, 4, generator=torch.Generator().manual_seed(0)).unbind()
    assert check_unrelated_noise(0 * noise, noise, [other, zeros]).trouble
    assert not check_unrelated_noise(0 * noise, noise, [other, zeros + noise]).trouble
    assert not check_unrelated_noise(0 * noise + 0.3 * noise, noise, [other]).trouble
    assert not check_unrelated_noise(0 * noise, 3 * noise, [other]).trouble
    assert not check_unrelated_noise(0 * noise, noise[:8], [other[:8]]).trouble


def test_targets_move_the_weights_of_their_outputs_or_others():
    """A bootstrapped value does, not one of another network, nor the other side of an equation."""
    layer, other, x = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1), torch.ones(3, 2)
    assert check_targets_with_gradient(layer(x), 0.9 * layer(2 * x)).trouble
    assert not check_targets_with_gradient(layer(x), other(x)).trouble
    assert not check_targets_with_gradient(layer(x), layer(x).detach()).trouble
    moving = x.clone().requires_grad_()
    assert not check_targets_with_gradient(layer(moving), layer(x)).trouble


VALUES = {
    "of_the_loss": lambda value, target: torch.nn.functional.mse_loss(value, target),
    "squared": lambda value, target: (value - target).square().mean(),
    "absolute_and_turned": lambda value, target: 0.5 * (target - value).abs().mean() + value.square().mean(),
}


@pytest.mark.parametrize("error", VALUES.values(), ids=VALUES)
def test_bootstrapped_values_are_found_by_the_graph_of_a_loss(error):
    """Reward plus a share of the best value; not a margin, nor a constant plus a share of one output."""
    layer, x, rewards = torch.nn.Linear(2, 3), torch.ones(4, 2), torch.ones(4)
    value, best = layer(x)[:, 0], layer(2 * x).max(1).values
    found = list(bootstrapped_values(error(value, rewards + 0.9 * best * (rewards > 0))))
    assert 1 == len(found)
    assert check_targets_with_gradient(*found[0]).trouble
    taken = layer(2 * x)[torch.arange(4), torch.tensor([0, 1, 2, 0])]
    assert 1 == len(list(bootstrapped_values(error(value, rewards + 0.9 * taken))))
    assert not list(bootstrapped_values(error(value, rewards + 0.9 * layer(2 * x)[torch.tensor([3, 2, 1, 0]), 0])))
    assert not list(bootstrapped_values(error(value, rewards + 0.9 * best.detach())))
    assert not list(bootstrapped_values(error(value, rewards + best)))
    assert not list(bootstrapped_values(error(value, rewards + 0.9 * layer(2 * x)[:, 0])))
    assert not list(bootstrapped_values(error(value, 0.9 * best)))
    left = torch.tensor([1.0, 0.0, 1.0, 1.0])
    ended = error(value, rewards + 0.9 * layer(2 * x)[:, 0] * left)
    assert 1 == len(list(bootstrapped_values(ended)))
    ended.backward(retain_graph=False)
    assert not list(bootstrapped_values(ended))
    filled = [given + layer(place * x)[:, 0] * left for place, given in ((1, rewards), (2, 3 * rewards))]
    assert not list(bootstrapped_values(error(*filled)))
    other = torch.nn.Linear(2, 3)(x).max(1).values
    sides = next(bootstrapped_values(error(value, rewards + 0.9 * other)))
    assert not check_targets_with_gradient(*sides).trouble
