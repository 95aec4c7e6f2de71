"""How far targets lie after what their outputs have seen, of models whose lag is known."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from zoo.loops import tokens

from goldmark.checks import check_decoder_sees_target, check_shifted_twice
from goldmark.checks._lags import taught_lags


def causal(prefix=0, *, delay=0):
    """Outputs of one position each (B, prefix + T, 12), from running sums over all tokens up to `delay` before."""
    weights = torch.randn(12, 12, generator=torch.Generator().manual_seed(0))

    def forward(text):
        delayed = functional.pad(weights[text], (0, 0, prefix + delay, 0))[:, : prefix + text.shape[1]]
        return delayed.cumsum(dim=1)

    return forward


def shifting(shift, prefix=0):
    """A loss of outputs `shift` positions before their targets."""

    def loss_fn(output, targets):
        kept = output[:, prefix : output.shape[1] - shift]
        return functional.cross_entropy(kept.transpose(1, 2), targets[:, shift:])

    return loss_fn


@pytest.mark.parametrize("prefix", [0, 4])
@pytest.mark.parametrize(("shift", "delay"), [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1)])
def test_shifts_of_model_and_loss_add_up(prefix, shift, delay):
    """The lag is their sum, with outputs before those of the tokens or without."""
    text = tokens(8, length=7)
    lags = taught_lags(causal(prefix, delay=delay), shifting(shift, prefix), text, text)
    assert {shift + delay} == set(lags)
    assert (shift + delay > 1) == check_shifted_twice(lags).trouble
    assert (shift + delay == 0) == check_decoder_sees_target([text, text[:, 0]], text, lags).trouble


def test_a_shift_in_the_data_counts_as_well():
    """Targets that are the next tokens have a lag of 1, and of 2 after another shift."""
    text = tokens(8, length=8)
    for shift in (0, 1):
        assert {1 + shift} == set(taught_lags(causal(), shifting(shift), text[:, :-1], text[:, 1:], offset=1))


@pytest.mark.parametrize("layout", ["flat", "channels"])
def test_outputs_may_lie_in_other_ways(layout):
    """All rows one after another, or classes before positions."""
    text = tokens(8, length=7)

    def forward(changed):
        output = causal()(changed)
        return output.flatten(0, 1) if layout == "flat" else output.transpose(1, 2)

    def loss_fn(output, targets):
        return shifting(1)(output.view(8, 8, 12) if layout == "flat" else output.transpose(1, 2), targets)

    assert {1} == set(taught_lags(forward, loss_fn, text, text))


def test_what_reads_the_whole_or_nothing_is_not_judged():
    """The lag is negative, or there is none; two unlike ones, or one alone, say nothing."""
    text = tokens(8, length=7)
    lags = taught_lags(lambda changed: causal()(changed) + causal()(changed)[:, -1:], shifting(0), text, text)
    assert max(lags) < 0
    assert not check_decoder_sees_target([text, text[:, 0]], text, lags).trouble
    fixed = torch.randn(8, 8, 12)
    assert [] == taught_lags(lambda changed: fixed, shifting(0), text, text)
    assert not any(check_shifted_twice(lags).trouble for lags in ([], [2], [1, 2], [1, 1], [0, 0]))
    assert not check_decoder_sees_target([text, text[:, 0]], text, []).trouble
