"""Batch normalisation written out is torch's own."""

from __future__ import annotations

import torch
from torch import nn

from goldmark.training.batchnorm import BatchNorm1d


def test_training_evaluation_and_gradients_are_torchs():
    """Two batches in float64: outputs, all gradients, running statistics and evaluation agree to rounding."""
    torch.manual_seed(0)
    ours, theirs = BatchNorm1d(3).double(), nn.BatchNorm1d(3).double()
    x = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    results = []
    for norm in (ours, theirs):
        nn.init.normal_(norm.weight, generator=torch.Generator().manual_seed(1))
        outputs = torch.stack([norm(batch) for batch in x])
        gradients = torch.autograd.grad(outputs.pow(3).sum(), [x, norm.weight, norm.bias])
        results.append([outputs, *gradients, *norm.buffers(), norm.eval()(x[0])])
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-12)
