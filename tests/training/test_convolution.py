"""Convolution as one product for a stack on a GPU: the same layer as torch's own."""

from __future__ import annotations

import pytest
import torch

from goldmark.training.convolution import Conv1d


@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (5, 1), (3, 3)])
def test_product_is_the_convolution(kernel, stride):
    """Outputs and the gradients of weights, bias and inputs, to rounding in float64, also of a stack."""
    layer = Conv1d(3, 4, kernel, stride=stride, padding=kernel // 2).double()
    stack = torch.randn(2, 5, 3, 20, dtype=torch.float64, requires_grad=True)
    both = layer(stack.flatten(0, 1)).unflatten(0, (2, 5)), torch.func.vmap(layer.as_product)(stack)
    sides = [(out, *torch.autograd.grad(out.sin().sum(), [stack, *layer.parameters()])) for out in both]
    for expected, actual in zip(*sides, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)
