"""RoastFormer: a causal transformer decoder over temperatures whose only memory token is the bean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor, nn

from goldmark.case import Data
from goldmark.cases.roast.data import scaled
from goldmark.training.attention import causal_attention
from goldmark.training.draws import Draws, Dropout

if TYPE_CHECKING:
    from goldmark.cases.roast import RoastSettings

Positions = Literal["sinusoidal", "learned", "rope", "rotary"]  # "rope" is the record's, "rotary" the real one
Bean = tuple[Tensor, Tensor, Tensor]  # categories (B, 4) int64, flavors (B, F), continuous (B, C)


@dataclass
class KVCache:
    """The keys and values (B, heads, T, D / heads) of a self-attention; the first `n_steps` of them are written."""

    keys: Tensor
    values: Tensor
    n_steps: int = 0

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write those of one more step (B, heads, 1, D / heads) and return the keys and values of all steps so far."""
        self.keys[:, :, self.n_steps], self.values[:, :, self.n_steps] = key[:, :, 0], value[:, :, 0]
        self.n_steps += 1
        return self.keys[:, :, : self.n_steps], self.values[:, :, : self.n_steps]


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

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        mask: Tensor | None,
        draws: Draws | None,
        cache: KVCache | None = None,
        angles: Tensor | None = None,
    ) -> Tensor:
        """Attend from x (B, T, D) to memory (B, S, D) after what is cached; mask (T, S) hides what is later.

        Queries and keys are rotated by angles (T, D / heads / 2), so that scores depend on distances in time alone.
        """
        query, key, value = map(self._split_heads, self._projected(x, memory))
        if angles is not None:
            query, key = rotated(query, angles), rotated(key, angles)
        if cache is not None:
            key, value = cache.append(key, value)
        query = query / math.sqrt(query.shape[-1])
        if mask is not None:
            attended = causal_attention(query, key, value, mask, self.dropout, draws)
        else:
            attended = self.dropout((query @ key.mT).softmax(dim=-1), draws) @ value
        mixed: Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return mixed

    def _projected(self, x: Tensor, memory: Tensor) -> tuple[Tensor, ...]:
        """Return queries (B, T, D) of x, keys and values (B, S, D) of memory."""
        if memory is x:
            return self.query_key_value(x).chunk(3, dim=-1)  # type: ignore[no-any-return]
        weight, bias, width = self.query_key_value.weight, self.query_key_value.bias, x.shape[-1]
        query = nn.functional.linear(x, weight[:width], bias[:width])
        return query, *nn.functional.linear(memory, weight[width:], bias[width:]).chunk(2, dim=-1)

    def _split_heads(self, x: Tensor) -> Tensor:
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

    def forward(
        self, x: Tensor, memory: Tensor, mask: Tensor, draws: Draws | None, angles: Tensor | None = None
    ) -> Tensor:
        """Return (B, T, D) for x (B, T, D) and memory (B, S, D); angles are those of the self-attention."""
        attended = self.self_attention(x, x, mask, draws, angles=angles)
        x = self.norms[0](x + self.dropouts[0](attended, draws))
        x = self.norms[1](x + self.dropouts[1](self.cross_attention(x, memory, None, draws), draws))
        return self._feed_forward(x, draws)

    def decode_step(self, x: Tensor, cross_attended: Tensor, cache: KVCache, angles: Tensor | None) -> Tensor:
        """Return (B, 1, D) for one more step x (B, 1, D), given the output (B, 1, D) of the cross-attention."""
        x = self.norms[0](x + self.self_attention(x, x, None, None, cache, angles))
        return self._feed_forward(self.norms[1](x + cross_attended), None)

    def _feed_forward(self, x: Tensor, draws: Draws | None) -> Tensor:
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
        positions: Positions,
        length: int,
    ) -> None:
        super().__init__()
        self.residual, self.encoding, self.head_width = residual, positions, width // heads
        self.categories = nn.ModuleList(nn.Embedding(size, embedding) for size in vocabulary)
        self.flavors = nn.Linear(n_flavors, embedding) if n_flavors else None
        self.continuous = nn.Linear(n_continuous, embedding)
        parts = len(vocabulary) + (n_flavors > 0) + 1
        self.condition = nn.Linear(parts * embedding, width)
        self.temperature = nn.Linear(1, width)
        self.positions = nn.Embedding(length, width) if positions == "learned" else None
        self.layers = nn.ModuleList(
            DecoderLayer(width, heads, feedforward, dropout, f"layer {i}") for i in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, 1)

    def forward(self, temps: Tensor, bean: Bean, draws: Draws | None = None) -> Tensor:
        """Return predictions (B, T) of the next step for temps (B, T) of a bean."""
        condition = self.memory(*bean)
        x = self.embed(temps, 0) + condition
        angles = self.rotary_angles(0, temps.shape[1], x)
        mask = torch.full((temps.shape[1], temps.shape[1]), -torch.inf, device=x.device).triu(1)
        for layer in self.layers:
            x = layer(x, condition, mask, draws, angles)
        return self.read_out(temps, x)

    def embed(self, temps: Tensor, start: int) -> Tensor:
        """Return embeddings (B, T, D) of temps (B, T) with the positional encoding of steps start ... start + T - 1."""
        x: Tensor = self.temperature(temps[..., None])
        if self.encoding == "rotary":  # every layer rotates its queries and keys instead
            return x
        if self.positions is not None:
            return x + self.positions.weight[start : start + x.shape[1]]
        angles = position_angles(start, x.shape[1], x.shape[2], x.device).to(x.dtype)
        return rotated(x, angles) if self.encoding == "rope" else x + sines_and_cosines(angles)

    def rotary_angles(self, start: int, length: int, like: Tensor) -> Tensor | None:
        """Return angles (T, D / heads / 2) of queries and keys at steps start ... start + T - 1; None if not rotary.

        Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021, section 3.2.
        """
        if self.encoding != "rotary":
            return None
        return position_angles(start, length, self.head_width, like.device).to(like.dtype)

    def read_out(self, temps: Tensor, x: Tensor) -> Tensor:
        """Return predictions (B, T) for temps (B, T) from the last layer's output (B, T, D).

        The LayerNorm gives every step the length sqrt(D), whatever the layers have learnt, so that an output far
        from 0 takes output weights that have grown: by the learning rate a step under Adam.
        """
        change: Tensor = self.output(self.norm(x)).squeeze(-1)
        return temps + change if self.residual else change

    def memory(self, categories: Tensor, flavors: Tensor, continuous: Tensor) -> Tensor:
        """Return the memory (B, 1, D) of a bean, a single token."""
        parts = [embedding(categories[:, i]) for i, embedding in enumerate(self.categories)]
        if self.flavors is not None:
            parts.append(self.flavors(flavors))
        parts.append(self.continuous(continuous))
        condition: Tensor = self.condition(torch.cat(parts, dim=-1))
        return condition[:, None]


def make_model(settings: RoastSettings, data: Data) -> RoastFormer:
    """Return a fresh model for the conditions that the data have."""
    model = RoastFormer(
        vocabulary=data["vocabulary"].tolist(),
        n_flavors=data["train_flavors"].shape[1] if settings.use_flavors else 0,
        n_continuous=data["train_continuous"].shape[1],
        width=settings.width,
        heads=settings.heads,
        layers=settings.layers,
        feedforward=settings.feedforward,
        embedding=settings.embedding,
        dropout=settings.dropout,
        residual=settings.residual,
        positions=settings.positions,
        length=data["train_temp_f"].shape[1],
    )
    if settings.mean_bias:
        nn.init.constant_(model.output.bias, float(scaled(data["temp_mean_f"], data, "target")))
    return model


class IncrementalDecoder:
    """A model that takes temperatures one by one, at the cost of one step each.

    Every layer caches the keys and values of the steps before. Its cross-attention is the same at every step, because
    attention to a single token has nothing to weigh.
    """

    def __init__(self, model: RoastFormer, bean: Bean, n_steps: int) -> None:
        self.model, self.condition = model, model.memory(*bean)
        self.layers = cast("list[DecoderLayer]", list(model.layers))
        self.cross_attended = [
            layer.cross_attention(self.condition, self.condition, None, None) for layer in self.layers
        ]
        self.caches = [self._empty_cache(layer.self_attention.heads, n_steps) for layer in self.layers]

    def _empty_cache(self, heads: int, n_steps: int) -> KVCache:
        size, _, width = self.condition.shape
        keys = self.condition.new_empty(size, heads, n_steps, width // heads)
        return KVCache(keys, keys.clone())

    def decode(self, temps: Tensor) -> Tensor:
        """Return predictions (B, 1) of the next step for the temps (B, 1) of this one."""
        start = self.caches[0].n_steps
        x = self.model.embed(temps, start) + self.condition
        angles = self.model.rotary_angles(start, 1, x)
        for layer, cross_attended, cache in zip(self.layers, self.cross_attended, self.caches, strict=True):
            x = layer.decode_step(x, cross_attended, cache, angles)
        return self.model.read_out(temps, x)


def position_angles(start: int, length: int, width: int, device: torch.device) -> Tensor:
    """Return (T, D / 2) angles of the steps start ... start + T - 1 for geometric wavelengths.

    Vaswani et al., "Attention is all you need", NeurIPS 2017, section 3.5.
    """
    rates = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10000.0) / width))
    return torch.arange(start, start + length, device=device)[:, None] * rates


def sines_and_cosines(angles: Tensor) -> Tensor:
    """Return sines and cosines (T, D) of angles (T, D / 2), in turns, to be added to embeddings."""
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def rotated(x: Tensor, angles: Tensor) -> Tensor:
    """Rotate vectors (..., T, D), entry i with entry i + D / 2, by angles (T, D / 2).

    A rotary embedding rotates the queries and keys of every layer, so that scores depend on distances. The record's
    "rope" rotates the input once, which makes no score relative.
    """
    (one, other), (sine, cosine) = x.chunk(2, dim=-1), (angles.sin(), angles.cos())
    return torch.cat([one * cosine - other * sine, other * cosine + one * sine], dim=-1)
