"""Schedules on a plateau: what they are given is heard, and a metric that goes the wrong way is named."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

import goldmark
from goldmark.checks import check_plateau_mode

FALLING = (0.9, 0.7, 0.5, 0.4)
ACCURACY = (0.625, 0.75, 0.8125, 0.875)  # shares of 16, of the size of the losses
UNCOUNTED = (0.6251137, 0.7502391, 0.8125713, 0.8753117)  # a validation loss that rises from its first epoch


def test_an_accuracy_under_min_is_named_and_a_rising_loss_is_not():
    """Both rise alike beside the same losses; one counts examples."""
    assert check_plateau_mode("min", ACCURACY, FALLING).trouble
    assert check_plateau_mode("min", [float(torch.tensor(one)) for one in (1 / 3, 0.4, 0.6, 2 / 3)], FALLING).trouble
    assert not check_plateau_mode("min", UNCOUNTED, FALLING).trouble
    assert not check_plateau_mode("max", ACCURACY, FALLING).trouble


@pytest.mark.parametrize("errors", [(0.3, 0.35, 0.4, 0.375), (0.02, 0.1, 0.3, 0.4), (0.0, 0.0, 0.0, 0.0)])
def test_an_error_rate_that_gets_worse_is_no_accuracy(errors):
    """It stays below a half, though noise be memorised."""
    assert not check_plateau_mode("min", errors, FALLING).trouble


def test_an_error_rate_under_max_is_named():
    """It halves while the loss falls; an accuracy that gets worse does not."""
    assert check_plateau_mode("max", (0.125, 0.0625, 0.05, 0.025), FALLING).trouble
    assert not check_plateau_mode("max", (0.125, 0.11, 0.12, 0.1), FALLING).trouble


@pytest.mark.parametrize("losses", [(0.9, 0.9, 0.9, 0.8), FALLING[:3]])
def test_nothing_is_said_before_the_loss_has_fallen(losses):
    """Of a run that learns nothing, and of one that is young."""
    assert not check_plateau_mode("min", ACCURACY, losses).trouble


def test_a_watch_hears_the_metrics_of_its_own_schedule_and_leaves_torch_as_it_was():
    """Without any call of `end_epoch`; two watches at a time, and a schedule of a third optimizer."""
    before = ReduceLROnPlateau.step
    models = [nn.Linear(2, 1) for _ in range(3)]
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1) for model in models]
    plateaus = [ReduceLROnPlateau(optimizer, mode="min", patience=0) for optimizer in optimizers]
    with goldmark.watch(models[0], optimizers[0]) as first, goldmark.watch(models[1], optimizers[1]) as second:
        for loss, metric in zip(FALLING, ACCURACY, strict=True):
            first.after_backward(loss=torch.tensor(loss))
            second.after_backward(loss=torch.tensor(loss))
            for plateau, given in zip(plateaus, (metric, 1 / loss, 0.5), strict=True):
                plateau.step(given)
    assert "plateau_mode" in first.findings.names
    assert [[(k + 1, 1 / loss) for k, loss in enumerate(FALLING)]] == list(second.record.metrics.values())
    assert before is ReduceLROnPlateau.step
    assert [pytest.approx(0.1 * 0.1**3)] * 2 == [optimizers[k].param_groups[0]["lr"] for k in (0, 2)]


@pytest.mark.parametrize(
    ("metrics", "trouble"),
    [
        ((0.69, 0.78, 0.65, 0.59, 0.57, 0.56), True),  # a validation loss, which was worse once by chance
        ((0.31, 0.22, 0.35, 0.41, 0.43, 0.44), False),  # a score
        ((0.69, 0.68, 0.68, 0.67, 0.67, 0.66), False),  # hardly moves
    ],
)
def test_a_metric_under_max_that_falls_with_the_loss_is_named(metrics, trouble):
    """Also where one of its values seemed to be better than the first."""
    losses = (0.70, 0.73, 0.68, 0.62, 0.57, 0.56)
    assert trouble is check_plateau_mode("max", metrics, losses).trouble


RISES_A_LITTLE = (0.67, 0.7, 0.71, 0.72)


@pytest.mark.parametrize(("accuracy", "trouble"), [(0.6, True), (0.35, False), (None, False)])
def test_a_share_that_starts_where_the_accuracy_was_is_one(accuracy, trouble):
    """As an error rate, which may rise so far, it would be a model that had been much better on new examples."""
    assert trouble is check_plateau_mode("min", RISES_A_LITTLE, FALLING, accuracy=accuracy).trouble
