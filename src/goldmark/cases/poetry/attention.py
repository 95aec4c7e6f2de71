"""Attention over all states of the encoder: the decoder's way around the code."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from goldmark.training.cells import Product


class Attention(nn.Module):
    """Multi-head attention of one query at a time, without biases, whose context is mixed into the querying state."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.context = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.mix = nn.Linear(2 * width, width)

    def reader(self, memory: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the function from states (B, H) to states mixed with what they attend to in memory (B, S, H)."""
        keys, values = (self._split(part(memory)).transpose(1, 2) for part in (self.key, self.value))
        keys = keys.transpose(-1, -2) / math.sqrt(keys.shape[-1])
        query, context = Product(self.query.weight), Product(self.context.weight)
        mix = Product(self.mix.weight, self.mix.bias)

        def read(state: Tensor) -> Tensor:
            weights = (self._split(query(state))[:, :, None] @ keys).softmax(dim=-1)
            attended = context((weights @ values).flatten(1))
            return mix(torch.cat([state, attended], dim=-1)).relu()

        return read

    def _split(self, x: Tensor) -> Tensor:
        """Return (..., heads, H / heads) for (..., H)."""
        return x.reshape(*x.shape[:-1], self.heads, -1)
