"""Unrolled recurrent layers are torch's own, in values and gradients, and stack."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch.func import functional_call, vmap

from goldmark.training.recurrent import GRU, LSTM, RNN, unroll

KINDS = [(kind, layers, both) for kind in (LSTM, GRU, RNN) for layers in (1, 2) for both in (False, True)]


def outputs(layer, x):
    """States and last states, flat."""
    return torch.cat([tensor.flatten() for tensor in layer(x)])


@pytest.mark.parametrize(("kind", "layers", "both"), KINDS)
def test_unrolled_layer_is_the_fused_one(kind, layers, both):
    """All states, the last ones, and the gradients of every weight, to rounding in float64."""
    torch.manual_seed(0)
    layer = kind(3, 4, num_layers=layers, batch_first=True, bidirectional=both).double()
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    fused = outputs(layer, x)
    gradients = torch.autograd.grad(fused.square().sum(), list(layer.parameters()))
    unroll(torch.nn.Sequential(layer))
    unrolled = outputs(layer, x)
    again = torch.autograd.grad(unrolled.square().sum(), list(layer.parameters()))
    torch.testing.assert_close(unrolled, fused, rtol=1e-12, atol=1e-14)
    for gradient, other in zip(gradients, again, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [LSTM, GRU, RNN])
def test_unrolled_layers_stack_without_a_slow_fallback(kind):
    """Three layers under vmap give what each gives alone; torch would warn where it falls back to a loop."""
    torch.manual_seed(0)
    layers = [kind(3, 4, batch_first=True) for _ in range(3)]
    x = torch.randn(3, 2, 5, 3)
    expected = torch.stack([layer(one)[0] for layer, one in zip(layers, x, strict=True)])
    stacked = {
        name: torch.stack([layer.get_parameter(name) for layer in layers]) for name, _ in layers[0].named_parameters()
    }
    unroll(layers[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        together = vmap(lambda weights, one: functional_call(layers[0], weights, (one,))[0])(stacked, x)
    torch.testing.assert_close(together, expected)
