"""Recurrent layers that stack: torch's own, and step by step where a stack of models has to share each step.

torch's fused LSTM, GRU and RNN run one model after another under `torch.func.vmap`. Here are the same layers, with the
same parameters and the same initial weights, which take their steps one by one once `unroll(model)` says so. All have
batch_first, start from zero, and return the states (B, T, D H) of the top layer with its last h (B, D H), of both
directions where there are two (D = 2).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from goldmark.training.cells import Cell, run

_CELLS: dict[str, Cell] = {"LSTM": "lstm", "GRU": "gru", "RNN_TANH": "rnn"}


class LSTM(nn.LSTM):
    """`nn.LSTM`, which stacks once it is unrolled."""

    unrolled = False

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Return (states (B, T, D H), last h (B, D H)) for x (B, T, F)."""
        return _unrolled(self, x) if self.unrolled else _fused(self, super().forward(x))


class GRU(nn.GRU):
    """`nn.GRU`, which stacks once it is unrolled."""

    unrolled = False

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Return (states (B, T, D H), last h (B, D H)) for x (B, T, F)."""
        return _unrolled(self, x) if self.unrolled else _fused(self, super().forward(x))


class RNN(nn.RNN):
    """`nn.RNN` (tanh), which stacks once it is unrolled."""

    unrolled = False

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Return (states (B, T, D H), last h (B, D H)) for x (B, T, F)."""
        return _unrolled(self, x) if self.unrolled else _fused(self, super().forward(x))


def unroll(model: nn.Module) -> None:
    """Have every recurrent layer of a model take its steps one by one."""
    for module in model.modules():
        if isinstance(module, LSTM | GRU | RNN):
            module.unrolled = True


def _fused(layer: nn.RNNBase, outputs: tuple[Tensor, Tensor | tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return the states and, of the last h of all layers (L D, B, H), those of the top; torch adds c for an LSTM."""
    states, last = outputs
    h = last[0] if isinstance(last, tuple) else last
    return states, torch.cat(list(h[-(1 + layer.bidirectional) :]), dim=-1)


def _unrolled(layer: nn.RNNBase, x: Tensor) -> tuple[Tensor, Tensor]:
    for depth in range(layer.num_layers):
        directions = [_pass(layer, x, depth, reverse) for reverse in range(1 + layer.bidirectional)]
        x = torch.cat([states for states, _ in directions], dim=-1)
    return x, torch.cat([h for _, h in directions], dim=-1)


def _pass(layer: nn.RNNBase, x: Tensor, depth: int, reverse: int) -> tuple[Tensor, Tensor]:
    """Return the states (B, T, H) of one direction of one layer, in the order of time, and the one it ends with."""
    suffix, cell = f"l{depth}{'_reverse' * reverse}", _CELLS[layer.mode]
    weight_ih, weight_hh, bias_ih, bias_hh = (
        getattr(layer, f"{name}_{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    inputs = nn.functional.linear(x.flip(1) if reverse else x, weight_ih, bias_ih)
    start = x.new_zeros(len(x), layer.hidden_size)
    states = run(cell, x.shape[1], inputs, weight_hh, bias_hh, (start, start) if cell == "lstm" else (start,))
    return states.flip(1) if reverse else states, states[:, -1]
