"""Weights and rates that are small or 0 for a time, and samplers that leave examples out: what is meant."""

from __future__ import annotations

import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler
from zoo.healthy.register import healthy
from zoo.healthy.unusual.batches import data
from zoo.loops import batched, classes, classifier, look, mlp, plain_step
from zoo.pairs_keeping import annealed


@healthy
def divergence_that_counts_late():
    return annealed(lambda epoch: float(epoch > 4), epochs=6)


@healthy
def the_first_epochs_of_a_late_divergence():
    return annealed(lambda epoch: max(0, epoch - 8), epochs=3)


def scheduled(rate, factor_of, *, epochs=3):
    """Look at a classifier whose rate is multiplied by a factor after every step."""
    model = mlp(8, 16, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor_of)

    def step(watcher, inputs, targets):
        plain_step(watcher, model, optimizer, inputs, targets)
        schedule.step()

    return look(model, optimizer, *data(), functional.cross_entropy, step=step, epochs=epochs)


@healthy
def warmup_that_ends_where_it_passes_the_rate():
    return scheduled(0.08, lambda step: (step + 1) / 100, epochs=1)


@healthy
def warmup_that_passes_the_rate():
    return scheduled(0.1, lambda step: (step + 1) / 20)


@healthy
def rates_that_multiply_1():
    return scheduled(1.0, lambda step: 0.1 * 0.97**step)


@healthy
def a_rate_that_falls_with_the_width():
    """As of Vaswani et al., 2017, equation 3, with a rate to multiply it by."""
    return scheduled(0.1, lambda step: 64**-0.5 * min((step + 1) ** -0.5, (step + 1) * 16**-1.5))


@healthy
def weights_for_the_half_that_trains():
    x, y = classes(512)
    weights = 1 / torch.bincount(y[:256]).double()[y[:256]]
    sampler = WeightedRandomSampler(weights, num_samples=512)
    loader = DataLoader(TensorDataset(x, y), batch_size=32, sampler=sampler)
    return classifier(mlp(8, 16, 3), train=loader, val=[(x[256:], y[256:])])


@healthy
def a_second_phase_with_a_schedule_of_its_own():
    model = mlp(8, 16, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    names = []
    for n_epochs in (3, 2):
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.8)
        end = {"end": lambda epoch, schedule=schedule: schedule.step()}
        names += look(model, optimizer, *data(), functional.cross_entropy, epochs=n_epochs, **end)
    return names


@healthy
def a_warm_up_over_epochs():
    model = mlp(8, 16, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: min(1.0, (epoch + 1) / 40))
    end = {"end": lambda epoch: schedule.step()}
    return look(model, optimizer, *data(), functional.cross_entropy, epochs=4, **end)


@healthy
def a_warm_up_far_longer_than_what_is_looked_at():
    return scheduled(0.1, lambda step: (1 + min(step, 90_000)) / 90_001, epochs=1)


@healthy
def a_rate_that_ends_at_zero():
    return scheduled(0.1, lambda step: max(0.0, 1 - step / 158), epochs=20)


@healthy
def a_last_epoch_at_a_rate_of_zero():
    model = mlp(8, 16, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=7)
    train = batched(*classes(1024), 8)
    how = {"epochs": 8, "end": lambda epoch: schedule.step()}
    return look(model, optimizer, train, data()[1], functional.cross_entropy, **how)
