"""Batch normalisation of vectors that gives a run the same bits in a stack of any size.

Under `torch.func.vmap` torch's own lays the channels of all runs side by side, and the order of sums over such memory
depends on how many there are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BatchNorm1d(nn.BatchNorm1d):
    """`nn.BatchNorm1d` for x (B, K), written out in training; the variance is biased, and unbiased when it is kept."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x (B, K), B > 1, normalised by the batch in training and by what was kept in evaluation."""
        if not self.training:
            return super().forward(x)
        mean, variance = x.mean(dim=0), x.var(dim=0, correction=0)
        share = self.momentum or 0.0
        with torch.no_grad():
            self.get_buffer("num_batches_tracked").add_(1)
            self.get_buffer("running_mean").mul_(1 - share).add_(share * mean)
            self.get_buffer("running_var").mul_(1 - share).add_(share * len(x) / (len(x) - 1) * variance)
        return (x - mean) * (variance + self.eps).rsqrt() * self.weight + self.bias
