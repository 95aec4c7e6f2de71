"""What a loss is given, and whether its terms add up over a batch in one way."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from goldmark import checks
from goldmark.checks import _reduction as reduction


def normal(*shape):
    """Standard normal numbers, the same in every test."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("highest", "trouble"), [(1.0, False), (1.01, True), (255.0, True)])
def test_targets_above_1_are_no_probabilities(highest, trouble):
    """A loss on logits holds its targets until a backward pass."""
    targets = torch.linspace(0, highest, 8)[:, None]
    loss = functional.binary_cross_entropy_with_logits(normal(8, 1).requires_grad_(), targets)
    judged = checks.check_probability_targets(loss)
    assert (trouble, pytest.approx(highest)) == (judged.trouble, judged.numbers["highest"])


@pytest.mark.parametrize(
    ("weights", "counts", "trouble"),
    [
        ([1.0, 5.0], [80, 20], False),  # as it should be
        ([5.0, 1.0], [80, 20], True),
        ([5.0, 1.0], [60, 40], False),  # too alike to tell
        ([1.2, 1.0], [80, 20], False),
        ([3.0, 1.0, 5.0], [80, 20, 10], False),  # a cost of one class
        ([9.0, 3.0, 1.0], [80, 30, 10], True),
        ([1.0, 0.0], [80, 20], False),  # left out on purpose
        ([5.0, 1.0], [80, 0], False),
    ],
)
def test_weights_that_go_with_frequency_are_in_the_wrong_order(weights, counts, trouble):
    """All classes that can be compared have to be the wrong way round."""
    assert trouble is checks.check_class_weights(weights, counts).trouble


def test_weights_are_read_from_the_loss():
    """Of class indices as they are, of a binary one beside the weight 1, and of several outputs none."""
    weight, labels = torch.tensor([1.0, 2.0, 4.0]), torch.arange(6) % 3
    output = normal(6, 3).requires_grad_()
    assert [[1.0, 2.0, 4.0]] == list(reduction.weights_in(functional.cross_entropy(output, labels, weight)))
    positive = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0))
    assert [[1.0, 3.0]] == list(reduction.weights_in(positive(output[:, :1], labels[:, None].clamp(max=1).float())))
    several = nn.BCEWithLogitsLoss(pos_weight=weight)
    assert [] == list(reduction.weights_in(several(output, functional.one_hot(labels, 3).float())))


def contrast(output, targets):
    """A loss that compares examples with each other."""
    return functional.cross_entropy(output @ targets.T, torch.arange(len(output)))


@pytest.mark.parametrize(
    ("loss_fn", "trouble"),
    [
        (lambda output, targets: functional.mse_loss(output, targets), False),
        (lambda output, targets: functional.mse_loss(output, targets, reduction="sum"), False),
        (lambda output, targets: functional.mse_loss(output, targets) + 0.01 * output.square().sum(), True),
        (lambda output, targets: (output - targets).square().sum(dim=1).mean() + output.abs().sum(), True),
        (lambda output, targets: functional.mse_loss(output, targets) + output.std(), False),
        (lambda output, targets: functional.mse_loss(output, targets).sqrt(), False),
        (contrast, False),
    ],
)
def test_a_mean_and_a_sum_do_not_add_up(loss_fn, trouble):
    """Each alone does, and so do losses that are neither."""
    gradients = reduction.gradients_of_copies(loss_fn, normal(8, 3), normal(8, 3) + 1, 8)
    assert trouble is checks.check_mixed_reduction(gradients).trouble


def test_what_a_model_has_reduced_is_not_judged():
    """A divergence of the whole batch among the outputs may be a mean or a sum."""
    output = (normal(8, 3), normal(1)[0])
    assert (
        reduction.gradients_of_copies(lambda out, y: (out[0] - y).square().sum() + out[1], output, normal(8, 3), 8)
        is None
    )


@pytest.mark.parametrize(("divisor", "trouble"), [(1, True), (255, False), (255**2, True)])
def test_pixels_are_divided_by_255_once(divisor, trouble):
    """Never or twice is another scale than that of initial weights."""
    pixels = normal(8, 1, 4, 4).abs().clamp(max=2) * 127.5
    assert trouble is checks.check_input_scale(pixels / divisor).trouble
