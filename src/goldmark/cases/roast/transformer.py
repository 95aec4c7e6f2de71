"""RoastFormer: a causal transformer decoder over temperatures whose only memory token is the bean."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from goldmark.training.draws import Draws, Dropout


class Attention(nn.Module):
    """Multi-head attention with keyed dropout, and the parameters and initial weights of `nn.MultiheadAttention`."""

    def __init__(self, width: int, heads: int, dropout: float, site: str) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.dropout = Dropout(dropout, site)
        nn.init.xavier_uniform_(self.query_key_value.weight)
        nn.init.zeros_(self.query_key_value.bias)
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor | None, draws: Draws | None) -> Tensor:
        """Attend from x (B, T, D) to memory (B, S, D); mask (T, S) is added to the scores."""
        weight, bias = self.query_key_value.weight, self.query_key_value.bias
        width = x.shape[-1]
        query = self._split(nn.functional.linear(x, weight[:width], bias[:width]))
        key, value = map(self._split, nn.functional.linear(memory, weight[width:], bias[width:]).chunk(2, dim=-1))
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        weights = self.dropout((scores if mask is None else scores + mask).softmax(dim=-1), draws)
        attended: Tensor = self.output((weights @ value).transpose(1, 2).flatten(2))
        return attended

    def _split(self, x: Tensor) -> Tensor:
        """Return (B, heads, T, D / heads) for (B, T, D)."""
        return x.reshape(*x.shape[:-1], self.heads, -1).transpose(1, 2)


class DecoderLayer(nn.Module):
    """A post-norm ReLU layer as in `nn.TransformerDecoderLayer`: self-attention, cross-attention, feed-forward."""

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float, site: str) -> None:
        super().__init__()
        self.self_attention = Attention(width, heads, dropout, f"{site} self-attention")
        self.cross_attention = Attention(width, heads, dropout, f"{site} cross-attention")
        self.expand, self.contract = nn.Linear(width, feedforward), nn.Linear(feedforward, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        sites = ("after self-attention", "after cross-attention", "hidden", "after feed-forward")
        self.dropouts = nn.ModuleList(Dropout(dropout, f"{site} {part}") for part in sites)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor, draws: Draws | None) -> Tensor:
        """Return (B, T, D) for x (B, T, D) and memory (B, S, D)."""
        x = self.norms[0](x + self.dropouts[0](self.self_attention(x, x, mask, draws), draws))
        x = self.norms[1](x + self.dropouts[1](self.cross_attention(x, memory, None, draws), draws))
        hidden = self.dropouts[2](self.expand(x).relu(), draws)
        result: Tensor = self.norms[2](x + self.dropouts[3](self.contract(hidden), draws))
        return result


class RoastFormer(nn.Module):
    """Predict the next temperature at every step, on whatever scale the temperatures come in."""

    def __init__(
        self,
        *,
        vocabulary: Sequence[int],
        n_flavors: int,
        n_continuous: int,
        width: int,
        heads: int,
        layers: int,
        feedforward: int,
        embedding: int,
        dropout: float,
        residual: bool,
    ) -> None:
        super().__init__()
        self.residual = residual
        self.categories = nn.ModuleList(nn.Embedding(size, embedding) for size in vocabulary)
        self.flavors = nn.Linear(n_flavors, embedding) if n_flavors else None
        self.continuous = nn.Linear(n_continuous, embedding)
        parts = len(vocabulary) + (n_flavors > 0) + 1
        self.condition = nn.Linear(parts * embedding, width)
        self.temperature = nn.Linear(1, width)
        self.layers = nn.ModuleList(
            DecoderLayer(width, heads, feedforward, dropout, f"layer {i}") for i in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, 1)

    def forward(self, temps: Tensor, bean: tuple[Tensor, Tensor, Tensor], draws: Draws | None = None) -> Tensor:
        """Return predictions (B, T) of the next step for temps (B, T) of a bean (categories, flavors, continuous)."""
        condition = self._condition(*bean)[:, None]
        x = self.temperature(temps[..., None]) + condition
        x = x + sinusoidal_positions(temps.shape[1], x.shape[-1], x.device).to(x.dtype)
        mask = torch.full((temps.shape[1], temps.shape[1]), -torch.inf, device=x.device).triu(1)
        for layer in self.layers:
            x = layer(x, condition, mask, draws)
        change: Tensor = self.output(self.norm(x)).squeeze(-1)
        return temps + change if self.residual else change

    def _condition(self, categories: Tensor, flavors: Tensor, continuous: Tensor) -> Tensor:
        """Return the memory token (B, D) of a bean."""
        parts = [embed(categories[:, i]) for i, embed in enumerate(self.categories)]
        if self.flavors is not None:
            parts.append(self.flavors(flavors))
        parts.append(self.continuous(continuous))
        condition: Tensor = self.condition(torch.cat(parts, dim=-1))
        return condition


def sinusoidal_positions(length: int, width: int, device: torch.device) -> Tensor:
    """Return (T, D) sines and cosines of geometric wavelengths (Vaswani et al., 2017)."""
    rates = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10000.0) / width))
    angles = torch.arange(length, device=device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
