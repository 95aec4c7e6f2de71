"""Losses that sum up risks along a batch."""

import pytest
import torch

from goldmark.checks import check_unsorted_risks

N = 16
RISKS, TIMES = (torch.randn(N, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
EVENTS = (torch.arange(N) % 3 > 0).float()
ORDER = TIMES.argsort(descending=True)


def likelihood(sums):
    """Cox's partial likelihood whose risks that are still there `sums(outputs, times)` gives."""
    return lambda output, targets: -((output - sums(output, targets[0])) * targets[1]).sum() / targets[1].sum()


SUMS = {
    "at once": lambda output, _: output.logcumsumexp(-1),
    "in a row": lambda output, _: output.exp().cumsum(0).log(),
    "of a column": lambda output, _: (output[:, None].exp().cumsum(0) + 1e-7).log().squeeze(1),
    "less the largest": lambda output, _: (output - output.max()).exp().cumsum(0).clamp(min=1e-7).log() + output.max(),
    "from the end": lambda output, _: output.flip(0).logcumsumexp(0).flip(0),
}
HEALTHY = {
    "sorted": lambda output, times: output[times.argsort()].logcumsumexp(0),
    "gathered": lambda output, times: output.gather(0, times.argsort()).exp().cumsum(0).log(),
    "by a matrix": lambda output, times: (output.exp() * (times >= times[:, None])).sum(1).log(),
    "along each example": lambda output, _: output.reshape(4, 4).logcumsumexp(1).reshape(N),
    "no logarithm": lambda output, _: output.exp().cumsum(0),
    "no exponential": lambda output, _: output.square().cumsum(0).log(),
}


@pytest.mark.parametrize("sums", SUMS.values(), ids=SUMS)
def test_risks_are_summed_up_in_the_order_of_times(sums):
    """Examples that are not in order are trouble; times that fall or rise pass."""
    assert check_unsorted_risks(likelihood(sums), RISKS, (TIMES, EVENTS)).trouble
    for order in (ORDER, ORDER.flip(0)):
        assert not check_unsorted_risks(likelihood(sums), RISKS[order], (TIMES[order], EVENTS[order])).trouble


@pytest.mark.parametrize("sums", HEALTHY.values(), ids=HEALTHY)
def test_a_loss_that_sorts_and_other_sums_pass(sums):
    """Sums over a sorted batch, a matrix of who is at risk, and sums that are none of risks."""
    assert not check_unsorted_risks(likelihood(sums), RISKS, (TIMES, EVENTS)).trouble


def test_what_the_loss_reads_is_no_time():
    """Weights and events alone say nothing of the order, nor do a few examples."""
    summed = likelihood(SUMS["at once"])
    assert not check_unsorted_risks(
        lambda output, targets: summed(output, (None, targets.prod(1))), RISKS, torch.stack([TIMES, EVENTS], dim=1)
    ).trouble
    assert not check_unsorted_risks(summed, RISKS, (EVENTS, EVENTS)).trouble
    assert not check_unsorted_risks(likelihood(lambda output, _: output.logcumsumexp(0)), RISKS, (TIMES, TIMES)).trouble
    assert not check_unsorted_risks(summed, RISKS[:7], (TIMES[:7], EVENTS[:7])).trouble


def test_whole_numbers_that_come_twice_are_times():
    """Others may be names of people, in this batch and in all that are known."""
    summed, days = likelihood(SUMS["at once"]), (TIMES * 100).long()
    names, other = 7 * torch.arange(N).flip(0).roll(5), 7 * torch.arange(N) + 1
    assert check_unsorted_risks(summed, RISKS, (days // 50, EVENTS)).trouble
    assert not check_unsorted_risks(summed, RISKS, (names, EVENTS)).trouble
    assert not check_unsorted_risks(summed, RISKS, (names, EVENTS), [(names, EVENTS), (other, EVENTS)]).trouble
    assert check_unsorted_risks(summed, RISKS, (names, EVENTS), [(names, EVENTS), (names, EVENTS)]).trouble
