"""Errors of outputs that a watch hears of as torch takes them: its functions do what they did, and are put back."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch._C import _nn
from torch.nn import functional

import goldmark
from goldmark.checks._predictions import ERRORS, Predictions


def predictions(target_of, *, passes=4, alike=True):
    """What is found of so many passes of a layer, whose target `target_of(noise)` is."""
    torch.manual_seed(0)
    heard, layer = Predictions(), nn.Linear(8, 8)
    ERRORS.add(heard.compare)
    for _ in range(passes):
        noise = torch.randn(64, 8)
        noisy = noise + torch.randn(64, 8)
        output = layer(noisy)
        heard.note(noisy if alike else noisy[:, :4], output)
        functional.smooth_l1_loss(output.view_as(noise), target_of(noise))
        heard.end_pass()
    ERRORS.remove(heard.compare)
    return [finding.trouble for finding in heard.findings()]


def test_an_output_is_followed_to_its_target():
    """A view is the same; there must be an input of their shape, and targets drawn anew."""
    assert [True] == predictions(torch.randn_like)
    assert [False] == predictions(lambda noise: noise)
    assert [] == predictions(torch.randn_like, alike=False)
    assert [] == predictions(torch.ones_like)
    assert [] == predictions(torch.randn_like, passes=0)


def test_what_may_hold_the_noise_is_no_input_beside_it():
    """Points that are joined with something else, beside one of the shape of the noise."""
    heard, layer, noise = Predictions(), nn.Linear(16, 8), torch.randn(64, 8)
    joined = torch.cat([noise, noise], dim=1)
    output = layer(joined)
    heard.note(((joined,), {"condition": torch.randn(64, 8)}), output)
    heard.compare(output, noise)
    assert not heard.compared


def test_several_errors_of_one_output_are_no_prediction():
    """Nor an error of something else, nor one whose both sides move."""
    heard, layer, x = Predictions(), nn.Linear(8, 8), torch.randn(64, 8)
    for errors in (2, 0):
        output = layer(x)
        heard.note((x,), output)
        for _ in range(errors):
            heard.compare(output, torch.randn(64, 8))
        heard.compare(2 * output, torch.randn(64, 8))
        heard.compare(output, layer(x))
        heard.end_pass()
    assert not heard.last
    assert heard.passed is None


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is:DeprecationWarning")
def test_errors_are_what_they_were():
    """In scripts as well, while a watch goes on and after it."""
    layer, x, y = nn.Linear(4, 2), torch.randn(3, 4), torch.randn(3, 2)
    own = _nn.mse_loss

    def error(output, target):
        # type: (torch.Tensor, torch.Tensor) -> torch.Tensor
        return functional.mse_loss(output, target) + functional.huber_loss(output, target, reduction="sum")

    before = error(layer(x), y)
    with goldmark.watch(layer, torch.optim.SGD(layer.parameters(), lr=0.1)):
        assert _nn.mse_loss is not own
        assert torch.equal(before, error(layer(x), y))
        assert torch.equal(before, torch.jit.script(error)(layer(x), y))
    assert _nn.mse_loss is own
    assert torch.equal(before, torch.jit.script(error)(layer(x), y))
