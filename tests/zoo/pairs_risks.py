"""Pairs of survival analyses: the partial likelihood of Cox, by sums along a batch or by a matrix of who is at risk."""

from __future__ import annotations

import torch
from zoo.loops import look, mlp, pair


def cohort(n, seed):
    """People (N, 6), the times (N,) until something happened to them or they left, and whether it did (N,)."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 6, generator=generator)
    waited = -(1 - torch.rand(n, generator=generator)).log() * (-1.2 * x[:, 0] + 0.8 * x[:, 1]).exp()
    left = 0.2 + 3 * torch.rand(n, generator=generator)
    return x, torch.minimum(waited, left), (waited < left).float()


def of_risks(loss_fn, targets_of, *, in_order=None):
    """Look at a model of risks (B, 1) whose targets are what `targets_of(times, events)` gives for a batch."""

    def batches(n, seed):
        """Batches of people, as they come or sorted by their times."""
        people = cohort(n, seed)
        for start in range(0, n, 32):
            x, times, events = (part[start : start + 32] for part in people)
            order = torch.arange(len(x)) if in_order is None else in_order(times)
            yield x[order], targets_of(times[order], events[order])

    model = mlp(6, 16, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    return look(model, optimizer, list(batches(256, 0)), list(batches(64, 1)), loss_fn)


def columns(times, events):
    """Times and events as columns (B, 2)."""
    return torch.stack([times, events], dim=1)


@pair("unsorted_risks")
def sums_over_whoever_comes_earlier_in_the_batch(bug):
    def loss_fn(output, targets):
        risks, (times, events) = output[:, 0], targets.T
        if not bug:
            order = times.argsort(descending=True)
            risks, events = risks[order], events[order]
        return -((risks - risks.logcumsumexp(0)) * events).sum() / events.sum()

    return of_risks(loss_fn, columns)


@pair("unsorted_risks")
def exponentials_summed_up_in_a_batch_as_it_comes(bug):
    def loss_fn(output, targets):
        times, events = targets
        if not bug:
            order = times.sort(descending=True).indices
            output, events = output.index_select(0, order), events[order]
        largest = output.max()
        sums = ((output - largest).exp().cumsum(0) + 1e-7).log() + largest
        return -((output - sums)[:, 0] * events).mean()

    return of_risks(loss_fn, lambda times, events: (times, events))


@pair("shape_broadcast")
def a_column_of_events_for_a_row_of_risks(bug):
    def loss_fn(output, targets):
        times, events = targets
        risks = output.reshape(-1)
        later = (times[:, 0] >= times).float()
        return -((risks - (risks.exp() * later).sum(1).log()) * (events if bug else events[:, 0])).mean()

    return of_risks(loss_fn, lambda times, events: (times[:, None], events[:, None]))
