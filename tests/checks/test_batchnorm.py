"""Running statistics of BatchNorm: those of the last batch, or still those that they started from."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from goldmark.checks import check_batchnorm_momentum, check_statistics_gap
from goldmark.checks._modes import initial_weight
from goldmark.checks._record import Record


def norm(momentum, n_batches=0):
    """A layer that has seen some batches of mean 0 and variance 0.49."""
    layer = nn.BatchNorm1d(4, momentum=momentum)
    x = torch.tensor([[-0.7], [0.7]]).expand(-1, 4)
    for _ in range(n_batches):
        layer(x)
    return layer


@pytest.mark.parametrize(("momentum", "trouble"), [(0.99, True), (0.9, True), (0.1, False), (None, False)])
def test_a_momentum_near_one_is_another_librarys(momentum, trouble):
    """None is a cumulative average; a single batch is all there is, and a layer in eval mode keeps what it has."""
    assert trouble == check_batchnorm_momentum(norm(momentum), n_batches=8).trouble
    assert not check_batchnorm_momentum(norm(momentum), n_batches=1).trouble
    assert not check_batchnorm_momentum(norm(momentum).eval(), n_batches=8).trouble


def test_the_weight_of_the_start_is_what_the_statistics_hold_of_it():
    """A running mean that starts at 1 falls to it in batches of mean 0."""
    layer = norm(0.3)
    layer.running_mean.fill_(1.0)
    for _ in range(5):
        layer(torch.tensor([[-1.0], [1.0]]).expand(-1, 4))
    assert initial_weight(layer) == pytest.approx(float(layer.running_mean[0]), rel=1e-5)  # of float32, 5 times rounded
    assert 0.0 == initial_weight(norm(None))


@pytest.mark.parametrize(("momentum", "epochs", "trouble"), [(1e-4, 2, True), (1e-4, 1, False), (0.01, 2, False)])
def test_statistics_that_stay_where_they_started_are_held_to_a_smaller_gap(momentum, epochs, trouble):
    """A variance of 0.49 against 1 is a stretch of 0.7: no gap by itself, but one after two epochs at 1e-4."""
    layer, x = norm(momentum, n_batches=40), torch.tensor([[-0.7], [0.7]]).expand(-1, 4).repeat(16, 1)
    assert not check_statistics_gap(layer, x).trouble
    record = Record(steps=40, epochs=[20, 40][:epochs], normalised={layer: [(0, x)]})
    record.compare_statistics()
    assert trouble == any(gap.trouble for gap in record.gaps)


@pytest.mark.parametrize(("passes", "trouble"), [((7, 7), True), ((7, 8), False), ((0, 0), False)])
def test_one_layer_at_two_places_of_a_pass_has_the_statistics_of_neither(passes, trouble):
    """Of two passes, or outside the whole model's own, the data may differ as those of a discriminator do."""
    dim, bright = torch.randn(2, 64, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([[[0.1]], [[2.0]]])
    layer = nn.BatchNorm1d(4)
    for _ in range(40):
        layer(dim), layer(bright)
    record = Record(steps=40, normalised={layer: list(zip(passes, (dim, bright), strict=True))})
    record.compare_statistics()
    assert trouble == any(gap.trouble for gap in record.gaps)
