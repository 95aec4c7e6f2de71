"""Losses that sum up risks along a batch which is in order, and products of all pairs that are meant."""

from __future__ import annotations

import itertools

import torch
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.loops import batched, mlp, numbers, regressor
from zoo.pairs_risks import columns, of_risks
from zoo.pairs_sequences import Strided, trained, transcripts

TIMES = torch.linspace(0.5, 1.5, 32)


def of_those_before(risks, events):
    """Return the partial likelihood of examples whose times fall."""
    return -((risks - risks.logcumsumexp(0)) * events).sum() / events.sum()


@healthy
def batches_that_are_sorted_by_time_before_they_come():
    def loss_fn(output, targets):
        return of_those_before(output[:, 0], targets[:, 1])

    return of_risks(loss_fn, columns, in_order=lambda times: times.argsort(descending=True))


@healthy
def sorted_batches_that_are_summed_up_from_their_end():
    def loss_fn(output, targets):
        risks, (times, events) = output[:, 0], targets.T
        return of_those_before(risks.flip(0), events.flip(0)) + 0 * times.sum()

    return of_risks(loss_fn, columns, in_order=torch.argsort)


@healthy
def weights_beside_events_of_people_in_order():
    def loss_fn(output, targets):
        weights, events = targets
        return of_those_before(output[:, 0], events * weights)

    def weighted(times, events):
        return 0.5 + torch.rand(len(times), generator=torch.Generator().manual_seed(len(times))), events

    return of_risks(loss_fn, weighted, in_order=lambda times: times.argsort(descending=True))


@healthy
def people_in_order_with_their_names():
    def loss_fn(output, targets):
        return of_those_before(output[:, 0], targets["left"])

    counted = itertools.count(1000, 32)

    def named(times, events):
        return {"left": events, "name": next(counted) + torch.randperm(len(times))}

    return of_risks(loss_fn, named, in_order=lambda times: times.argsort(descending=True))


@healthy
def times_whose_sign_says_that_people_left():
    def loss_fn(output, targets):
        return of_those_before(output[:, 0], (targets > 0).float())

    def signed(times, events):
        return torch.where(events > 0, times, -times)

    return of_risks(loss_fn, signed, in_order=lambda times: times.argsort(descending=True))


@healthy
def pairs_of_people_of_whom_one_was_there_longer():
    def loss_fn(output, targets):
        times, events = targets
        counted = events * (times < times.T)
        return (functional.softplus(output.T - output) * counted).sum() / counted.sum()

    return of_risks(loss_fn, lambda times, events: (times[:, None], events[:, None]))


@healthy
def as_many_quantiles_as_examples():
    levels = (torch.arange(16) + 0.5) / 16

    def loss_fn(output, targets):
        errors = targets - output
        return torch.max(errors * levels, errors * (levels - 1)).mean()

    halves = (batched(*numbers(n, seed=seed), 16) for n, seed in ((256, 0), (64, 1)))
    return regressor(mlp(8, 16, 16), loss_fn=loss_fn, **dict(zip(("train", "val"), halves, strict=True)))


@healthy
def errors_that_count_for_all_who_are_near():
    def loss_fn(output, targets):
        errors = functional.smooth_l1_loss(output, targets, reduction="none")[:, 0]
        near = (-(targets - targets.T).square()).exp()
        return (errors * near / near.sum(1, keepdim=True)).sum() / len(errors)

    return regressor(mlp(8, 16, 1), loss_fn=loss_fn)


@healthy
def slopes_of_lines_with_as_many_points_as_examples():
    def halves_of(n, seed):
        x, y = numbers(n, seed=seed)
        return batched(x, y * TIMES + 0.1 * torch.randn(n, 32, generator=torch.Generator().manual_seed(seed)))

    def loss_fn(output, targets):
        return (output * TIMES - targets).square().mean()

    return regressor(mlp(8, 32, 1), loss_fn=loss_fn, train=halves_of(256, 0), val=halves_of(64, 1))


@healthy
def some_texts_that_do_not_fit_their_frames():
    def loss_fn(output, targets):
        lengths = torch.full((len(targets),), 3)
        frames = torch.where(torch.arange(len(targets)) % 4 == 0, 2, output.shape[1])
        logs = output.log_softmax(2).transpose(0, 1)
        return functional.ctc_loss(logs, targets, frames, lengths, zero_infinity=True)

    return trained(Strided(3, 1), transcripts(128, 0), transcripts(64, 1), loss_fn)
