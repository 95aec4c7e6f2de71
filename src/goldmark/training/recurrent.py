"""Recurrent layers that stack: torch's own, and step by step where a stack of models has to share each step.

torch's fused LSTM, GRU and RNN run one model after another under `torch.func.vmap`. Here the same layers, with the same
parameters and the same initial weights, can be unrolled into steps of plain arithmetic, which stack. A layer is
unrolled by `unroll(model)`; until then it is torch's.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

State = tuple[Tensor, ...]  # (h,), or (h, c) for an LSTM, each (B, H)


def lstm_step(inputs: Tensor, state: State, weight_hh: Tensor, bias_hh: Tensor) -> State:
    """Return the next (h, c) for inputs (B, 4H) = W_ih x + b_ih, gates in torch's order: in, forget, cell, out."""
    h, c = state
    i, f, g, o = (inputs + nn.functional.linear(h, weight_hh, bias_hh)).chunk(4, dim=-1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def gru_step(inputs: Tensor, state: State, weight_hh: Tensor, bias_hh: Tensor) -> State:
    """Return the next (h,) for inputs (B, 3H) = W_ih x + b_ih, gates in torch's order: reset, update, new."""
    (h,) = state
    r_x, z_x, n_x = inputs.chunk(3, dim=-1)
    r_h, z_h, n_h = nn.functional.linear(h, weight_hh, bias_hh).chunk(3, dim=-1)
    z = (z_x + z_h).sigmoid()
    n = (n_x + (r_x + r_h).sigmoid() * n_h).tanh()
    return (n + z * (h - n),)


def rnn_step(inputs: Tensor, state: State, weight_hh: Tensor, bias_hh: Tensor) -> State:
    """Return the next (h,) for inputs (B, H) = W_ih x + b_ih."""
    return ((inputs + nn.functional.linear(state[0], weight_hh, bias_hh)).tanh(),)


_STEPS = {"LSTM": lstm_step, "GRU": gru_step, "RNN_TANH": rnn_step}


def _unrolled(layer: nn.RNNBase, x: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
    """Return the states h (B, T, D H) of the last layer, and the last h (L D, B, H), and c for an LSTM."""
    last: list[State] = []
    for depth in range(layer.num_layers):
        directions = [_pass(layer, x, depth, reverse) for reverse in range(1 + layer.bidirectional)]
        x = torch.cat([states for states, _ in directions], dim=-1)
        last += [state for _, state in directions]
    return x, [torch.stack(parts) for parts in zip(*last, strict=True)]


def _pass(layer: nn.RNNBase, x: Tensor, depth: int, reverse: int) -> tuple[Tensor, State]:
    """Return the states h (B, T, H) of one direction of one layer, in the order of time, and the last state."""
    suffix = f"l{depth}{'_reverse' * reverse}"
    weight_ih, weight_hh, bias_ih, bias_hh = (
        getattr(layer, f"{name}_{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    step, inputs = _STEPS[layer.mode], nn.functional.linear(x, weight_ih, bias_ih).unbind(dim=1)
    state: State = (x.new_zeros(len(x), layer.hidden_size),) * (2 if layer.mode == "LSTM" else 1)
    states = []
    for step_inputs in reversed(inputs) if reverse else inputs:
        state = step(step_inputs, state, weight_hh, bias_hh)
        states.append(state[0])
    return torch.stack(states[::-1] if reverse else states, dim=1), state


class LSTM(nn.LSTM):
    """`nn.LSTM` with batch_first and zero initial states, which stacks once it is unrolled."""

    unrolled = False

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:  # type: ignore[override]
        """Return (states (B, T, D H), (h, c)), as `nn.LSTM` does, for x (B, T, F)."""
        if not self.unrolled:
            fused: tuple[Tensor, tuple[Tensor, Tensor]] = super().forward(x)
            return fused
        states, (h, c) = _unrolled(self, x)
        return states, (h, c)


class GRU(nn.GRU):
    """`nn.GRU` with batch_first and zero initial states, which stacks once it is unrolled."""

    unrolled = False

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Return (states (B, T, D H), h), as `nn.GRU` does, for x (B, T, F)."""
        if not self.unrolled:
            fused: tuple[Tensor, Tensor] = super().forward(x)
            return fused
        states, (h,) = _unrolled(self, x)
        return states, h


class RNN(nn.RNN):
    """`nn.RNN` (tanh) with batch_first and zero initial states, which stacks once it is unrolled."""

    unrolled = False

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Return (states (B, T, D H), h), as `nn.RNN` does, for x (B, T, F)."""
        if not self.unrolled:
            fused: tuple[Tensor, Tensor] = super().forward(x)
            return fused
        states, (h,) = _unrolled(self, x)
        return states, h


def unroll(model: nn.Module) -> None:
    """Have every recurrent layer of a model take its steps one by one, in plain arithmetic."""
    for module in model.modules():
        if isinstance(module, LSTM | GRU | RNN):
            module.unrolled = True
